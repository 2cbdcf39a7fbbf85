//! Does to the cluster what a plan says.

use std::time::{Duration, Instant};

use bus_testkit::faults::{Cut, Fault, Flow, Onset, Plan, Renewal, Step, Who};
use control_api::{Me, ProblemCode};
use rustix::process::Signal;

use super::cluster::{AGAIN, Cluster};
use super::world::World;
use crate::daemon::harness::within;

/// For how long a certificate is good that is to expire: so long that the node is there with it.
const SHORT_LIFE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);
/// For how long a node may put off to take a new certificate.
const UNTIL_RELOADED: Duration = Duration::from_secs(45);
/// How often a disk is filled anew, since whoever writes there also deletes.
const FILL_AGAIN: Duration = Duration::from_millis(250);

/// For how long a node may come back without its operator.
const BY_ITSELF: Duration = Duration::from_mins(1);

/// Why something cannot be done to this cluster. It is left out then, and that is said.
fn is_impossible(cluster: &Cluster, fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::FullDisk if cluster.disk(0).is_none() => Some("nodes have no disks of their own"),
        Fault::ExpiredCertificate(_) if cluster.certificates().is_none() => {
            Some("nodes have no certificates")
        }
        Fault::Clock(..) if cluster.clocks().is_none() => {
            Some("nodes have no clocks of their own without libfaketime")
        }
        _ => None,
    }
}

/// Whether a leader is lost by this.
fn takes_leader(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Kill
            | Fault::KillServer
            | Fault::Stop
            | Fault::Restart
            | Fault::Wipe
            | Fault::ExpiredCertificate(_)
            | Fault::Clock(_, Onset::Start)
            | Fault::Cut(Cut::Both | Cut::Unheard | Cut::Deaf)
            | Fault::Unplugged
    )
}

/// One thing after the other. What ends by itself meanwhile is started again.
pub(crate) async fn execute(world: &World, plan: &Plan) {
    tokio::select! {
        () = execute_steps(world, plan) => {}
        () = world.cluster.manage() => {}
    }
}

async fn execute_steps(world: &World, plan: &Plan) {
    for step in &plan.steps {
        if let Some(reason) = is_impossible(&world.cluster, step.fault) {
            println!("{} is left out: {reason}", step.fault.sort());
            continue;
        }
        tokio::time::sleep(step.calm).await;
        execute_step(world, step).await;
    }
}

async fn execute_step(world: &World, step: &Step) {
    let cluster = &world.cluster;
    if step.from_whole {
        cluster.heal().await;
    }
    let leader = cluster.leader().await;
    let node = match step.who {
        Who::Leader => leader,
        Who::This(node) => node.0,
    };
    let took_leader = node == leader && takes_leader(step.fault);
    let what = format!("{:?} of node {node}{}", step.fault, if took_leader { ", which leads" } else { "" });
    let at = world.recorder.now().0.as_secs_f64();
    println!("{at:>7.1} s: {}: {what}, for {:?}", step.fault.sort(), step.lasts);
    world.recorder.trouble(what, took_leader);
    match step.fault {
        Fault::Kill | Fault::Wipe => {
            cluster.kill(node).await;
            if step.fault == Fault::Wipe {
                cluster.wipe(node);
            }
            tokio::time::sleep(step.lasts).await;
            cluster.spawn(node);
            if step.fault == Fault::Wipe {
                cluster.heal().await;
            }
        }
        Fault::KillServer => {
            cluster.signal_server(node, Signal::KILL);
            tokio::time::sleep(step.lasts).await;
        }
        Fault::Stop | Fault::StopDaemon => {
            let with_server = step.fault == Fault::Stop;
            cluster.signal_daemon(node, Signal::STOP);
            if with_server {
                cluster.signal_server(node, Signal::STOP);
            }
            tokio::time::sleep(step.lasts).await;
            if with_server {
                cluster.signal_server(node, Signal::CONT);
            }
            cluster.signal_daemon(node, Signal::CONT);
        }
        Fault::Restart => {
            cluster.stop(node).await;
            cluster.spawn(node);
            tokio::time::sleep(step.lasts).await;
        }
        Fault::Cut(cut) => {
            cluster.network.cut(node, cut);
            tokio::time::sleep(step.lasts).await;
            cluster.network.mend(node);
        }
        Fault::ClientsCut(cut) => {
            cluster.network.cut_clients(node, cut);
            tokio::time::sleep(step.lasts).await;
            cluster.network.mend(node);
        }
        Fault::Unplugged => {
            cluster.network.unplug(node);
            tokio::time::sleep(step.lasts).await;
            cluster.network.mend(node);
        }
        Fault::Slow(delay) => {
            cluster.network.between_nodes(node, Flow::Slow(delay));
            tokio::time::sleep(step.lasts).await;
            cluster.network.mend(node);
        }
        Fault::Lossy(losses) => {
            cluster.network.between_nodes(node, Flow::Lossy(losses));
            tokio::time::sleep(step.lasts).await;
            cluster.network.mend(node);
        }
        Fault::FullDisk => {
            let Some(disk) = cluster.disk(node) else { return };
            let filling = async {
                loop {
                    disk.fill();
                    tokio::time::sleep(FILL_AGAIN).await;
                }
            };
            tokio::time::timeout(step.lasts, filling).await.unwrap_err();
            disk.free();
            if !cluster.is_whole_within(BY_ITSELF).await {
                let (_, health) = cluster.ask(node, "healthz").await.unwrap_or_default();
                println!(
                    "           node {node} is started anew, for its disk was full: {}",
                    health["ha_reason"]
                );
                cluster.stop(node).await;
                cluster.spawn(node);
            }
        }
        Fault::ExpiredCertificate(renewal) => expire_certificate(cluster, node, renewal, step.lasts).await,
        Fault::Clock(seconds, onset) => set_clock(cluster, node, (seconds, onset), step.lasts).await,
    }
}

/// A node's clock is wrong: nothing that others sign is good enough for it. When it is right again, so is everything else.
async fn set_clock(cluster: &Cluster, node: usize, (seconds, onset): (i64, Onset), lasts: Duration) {
    let Some(clocks) = cluster.clocks() else { return };
    if onset == Onset::Start {
        cluster.stop(node).await;
    }
    clocks.set(node, seconds);
    if onset == Onset::Start {
        cluster.spawn(node);
    }
    cluster.until_clock_is_set(node).await;
    let control = cluster.control(node, &cluster.admin());
    let code = control.get::<Me>("/v1/me").await.err().and_then(|error| Some(error.problem()?.code));
    assert_eq!(code, Some(ProblemCode::ClockSkew), "node {node} takes what was signed by another clock");
    tokio::time::sleep(lasts).await;
    clocks.set(node, 0);
    cluster.until_clock_is_set(node).await;
    let served = async {
        while control.get::<Me>("/v1/me").await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    };
    within("request that a node with a right clock accepts", served).await;
}

/// A node's certificate expires while it is there, and its connections break some time. Either it has a new one before that,
/// and comes back; or it is out until it is started with a new one.
async fn expire_certificate(cluster: &Cluster, node: usize, renewal: Renewal, lasts: Duration) {
    let Some(certificates) = cluster.certificates() else { return };
    certificates.renew(node, SHORT_LIFE);
    cluster.stop(node).await;
    cluster.spawn(node);
    tokio::time::sleep(SHORT_LIFE).await;
    if renewal == Renewal::Reload {
        certificates.renew(node, DAY);
        match reload(cluster, node).await {
            Ok(()) => {
                cluster.network.reset(node);
                tokio::time::sleep(lasts).await;
                // It is let in again, and nobody has done anything for it.
                cluster.until_whole().await;
                return;
            }
            // A connection broke before: who cannot see the others may not reload.
            Err(refused) => {
                println!(
                    "           node {node} is started anew, for it does not reload: {}",
                    refused.trim()
                );
            }
        }
    } else {
        cluster.network.reset(node);
        // The others do without it: it is not let in again.
        cluster.until_missed((node + 1) % 3).await;
        tokio::time::sleep(lasts).await;
        certificates.renew(node, DAY);
    }
    cluster.stop(node).await;
    cluster.spawn(node);
}

/// Asks until a node has reloaded, for it does not while another one has not caught up.
async fn reload(cluster: &Cluster, node: usize) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match cluster.reload(node).await {
            Err(_) if began.elapsed() < UNTIL_RELOADED => tokio::time::sleep(AGAIN).await,
            outcome => return outcome,
        }
    }
}

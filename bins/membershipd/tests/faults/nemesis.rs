//! Does to the cluster what a plan says.

use std::time::Duration;

use bus_testkit::faults::{Cut, Fault, Flow, Plan, Step, Who};
use rustix::process::Signal;

use super::cluster::Cluster;
use super::world::World;

/// For how long a certificate is good that is to expire: so long that the node is there with it.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// How often a disk is filled anew, since whoever writes there also deletes.
const FILL_AGAIN: Duration = Duration::from_millis(250);

/// For how long a node may come back without its operator.
const BY_ITSELF: Duration = Duration::from_secs(20);

/// Why something cannot be done to this cluster. It is left out then, and that is said.
fn is_impossible(cluster: &Cluster, fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::FullDisk if cluster.disk(0).is_none() => Some("nodes have no disks of their own"),
        Fault::ExpiredCertificate if cluster.certificates().is_none() => Some("nodes have no certificates"),
        Fault::Clock(_) => Some("a node has no clock of its own: processes of a machine share one"),
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
            | Fault::ExpiredCertificate
            | Fault::Cut(Cut::Both | Cut::Unheard | Cut::Deaf)
    )
}

/// One thing after the other.
pub(crate) async fn execute(world: &World, plan: &Plan) {
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
            cluster.cut(node, cut);
            tokio::time::sleep(step.lasts).await;
            cluster.lines_of(node, Flow::Pass);
        }
        Fault::ClientsCut(cut) => {
            cluster.cut_clients(node, Some(cut));
            tokio::time::sleep(step.lasts).await;
            cluster.cut_clients(node, None);
        }
        Fault::Slow(delay) => {
            cluster.lines_of(node, Flow::Slow(delay));
            tokio::time::sleep(step.lasts).await;
            cluster.lines_of(node, Flow::Pass);
        }
        Fault::Lossy(losses) => {
            cluster.lines_of(node, Flow::Lossy(losses));
            tokio::time::sleep(step.lasts).await;
            cluster.lines_of(node, Flow::Pass);
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
                // A nats-server that met a full disk keeps nothing until it is started again.
                let (_, health) = cluster.ask(node, "healthz").await.unwrap_or_default();
                println!(
                    "           node {node} is started anew, for its disk was full: {}",
                    health["ha_reason"]
                );
                cluster.stop(node).await;
                cluster.spawn(node);
            }
        }
        Fault::ExpiredCertificate => expire_certificate(cluster, node, step.lasts).await,
        Fault::Clock(_) => {}
    }
}

/// A node's certificate expires while it is there; it stays until the next trouble with its connections. Then it is renewed.
async fn expire_certificate(cluster: &Cluster, node: usize, lasts: Duration) {
    let Some(certificates) = cluster.certificates() else { return };
    certificates.renew(node, SHORT_LIFE);
    cluster.stop(node).await;
    cluster.spawn(node);
    tokio::time::sleep(SHORT_LIFE).await;
    cluster.reset_lines(node);
    // The others do without it: it is not let in again.
    cluster.until_missed((node + 1) % 3).await;
    tokio::time::sleep(lasts).await;
    certificates.renew(node, Duration::from_hours(24));
    cluster.stop(node).await;
    cluster.spawn(node);
}

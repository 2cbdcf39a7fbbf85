//! Does to the cluster what a plan says.

use bus_testkit::faults::{Cut, Fault, Flow, Plan, Step, Who};
use rustix::process::Signal;

use super::world::World;

/// Faults that need more than processes, lines and directories: they are left out, and it is said.
fn is_possible(fault: Fault) -> bool {
    !matches!(fault, Fault::FullDisk | Fault::ExpiredCertificate | Fault::Clock(_))
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
            | Fault::Cut(Cut::Both | Cut::Unheard | Cut::Deaf)
    )
}

/// One thing after the other.
pub(crate) async fn execute(world: &World, plan: &Plan) {
    for step in &plan.steps {
        if is_possible(step.fault) {
            tokio::time::sleep(step.calm).await;
            execute_step(world, step).await;
        } else {
            println!("left out: {:?}", step.fault);
        }
    }
}

async fn execute_step(world: &World, step: &Step) {
    let cluster = &world.cluster;
    if step.from_whole {
        cluster.heal().await;
    }
    let leader = cluster.leader();
    let node = match step.who {
        Who::Leader => leader,
        Who::This(node) => node.0,
    };
    let took_leader = node == leader && takes_leader(step.fault);
    let what = format!("{:?} of node {node}{}", step.fault, if took_leader { ", which leads" } else { "" });
    println!("{:>7.1} s: {what}, for {:?}", world.recorder.now().0.as_secs_f64(), step.lasts);
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
        Fault::FullDisk | Fault::ExpiredCertificate | Fault::Clock(_) => {}
    }
}

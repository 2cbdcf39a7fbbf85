//! New certificates for nodes that run: one node at a time, and only while all others are there.

use std::path::Path;
use std::time::{Duration, SystemTime};

use async_nats::Event;
use cluster::{PkiJob, Topology, make_certificates};
use control_api::ReloadedCertificates;
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::harness::{Failed, until, within};
use super::nodes::Nodes;

const NODES: &str = "CLUSTER_NAME=members\nNODES=\"node-1 node-2 node-3\"\n\
                     NODE_1_PUBLIC=127.0.0.1\nNODE_2_PUBLIC=127.0.0.1\nNODE_3_PUBLIC=127.0.0.1\n";
const DAY: Duration = Duration::from_hours(24);

/// Pairs for all nodes, as they are made on that day.
pub(crate) fn make(directory: &Path, renew: bool, now: SystemTime) {
    let topology: Topology = NODES.parse().unwrap();
    make_certificates(&PkiJob { topology: &topology, directory, renew, client_ca: None, now }).unwrap();
}

async fn says(nodes: &Nodes, node: usize, arguments: &[&str]) -> String {
    let output = nodes.place(node).cluster(arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn nodes_take_new_certificates_in_turn_while_all_are_there() {
    let made = tempfile::tempdir().unwrap();
    let at = |file: &str| made.path().join("{node}").join(file).display().to_string();
    let (certificate, key, authority) = (at("route.crt"), at("route.key"), at("cluster-ca.crt"));
    let more = ["--route-tls-cert", &certificate, "--route-tls-key", &key, "--route-tls-ca", &authority];
    let Some(mut nodes) = Nodes::new(&more) else { return };
    // They have a week left.
    make(made.path(), false, SystemTime::now() - 391 * DAY);
    nodes.start().await;
    let warned = nodes.daemon(0).health().await;
    assert_eq!(warned["data_plane"]["state"], "degraded", "{warned}");
    assert!(warned["data_plane"]["detail"].as_str().unwrap().contains("the routes expires on 2"), "{warned}");
    let status = says(&nodes, 1, &["status"]).await;
    assert_eq!(status.matches("a certificate expires on 2").count(), 3, "{status}");
    let nothing = says(&nodes, 0, &["reload"]).await;
    assert!(nothing.contains("nothing was done"), "{nothing}");

    let alice = nodes.admit(0, "alice").await;
    let (sender, mut events) = mpsc::channel(64);
    let options = async_nats::ConnectOptions::with_nkey(alice.login_seed().as_str().to_owned())
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event).await) }
        });
    let client = within("login", options.connect(nodes.daemon(0).data())).await.unwrap();
    make(made.path(), true, SystemTime::now());
    let reloaded: ReloadedCertificates =
        serde_json::from_str(&says(&nodes, 0, &["reload", "--json"]).await).unwrap();
    assert!(reloaded.changed && reloaded.clients_expire.is_none(), "{reloaded:?}");
    let left =
        reloaded.routes_expire.unwrap().unix() - control_api::Timestamp::from(SystemTime::now()).unix();
    assert!(left > 390 * DAY.as_secs(), "{reloaded:?}");
    within("disconnection and connection", async {
        while !matches!(events.recv().await.unwrap(), Event::Disconnected) {}
        while !matches!(events.recv().await.unwrap(), Event::Connected) {}
    })
    .await;
    drop(client);
    let well = nodes.daemon(0).health().await;
    assert_eq!(well["data_plane"]["state"], "ok", "{well}");

    // By a signal as well.
    nodes.signal(1, Signal::HUP);
    nodes.daemon(1).wait_for("this node has new certificates").await;

    // Users of the last one would have one node less to go to.
    nodes.stop_cleanly(1).await;
    let refused = nodes.place(2).cluster(&["reload"]).await;
    Failed::of(&refused).says(1, &["on one node at a time", "node-2 is stopped"]);
    nodes.spawn(1);
    nodes.ready(1).await;
    until("its turn", async || {
        let output = nodes.place(2).cluster(&["reload"]).await;
        if output.status.success() {
            return Ok(());
        }
        let failed = Failed::of(&output);
        // Not caught up yet.
        failed.says(1, &["on one node at a time"]);
        Err(failed)
    })
    .await;
    until("end of the warnings", async || {
        let status = says(&nodes, 1, &["status"]).await;
        if status.contains("expires on") { Err(status) } else { Ok(()) }
    })
    .await;

    // All at once, as one command on all machines does: they wait for each other.
    make(made.path(), true, SystemTime::now());
    (0..3).for_each(|node| nodes.signal(node, Signal::HUP));
    for node in 0..3 {
        nodes.daemon(node).wait_for("this node has new certificates").await;
    }
}

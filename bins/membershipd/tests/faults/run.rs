//! A whole run: clients, what goes wrong, and whether the bus has kept its promises.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus_testkit::faults::{
    Bounds, Form, Message, Node, Outcome, Plan, Record, Room, Snapshot, User, Violation, Write, check,
};
use futures_util::FutureExt as _;
use room_protocol::Encryption;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::cluster::{Cluster, Fittings};
use super::listener::{Reader, connect};
use super::network::{Lines, Namespaces, Network};
use super::sdk::Opened;
use super::world::{MadeRoom, World};
use super::{nemesis, sdk, summary, workload};

/// The lease of a node, and what others wait beyond it.
const BOUNDS: Bounds = Bounds { staleness: Duration::from_secs(32) };
/// How long clients go on after the last thing went wrong.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// How often, and how far apart, is looked whether everything is there: a copy may be read before it has caught up.
const LOOKS: usize = 15;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not \"{text}\"")))
}

/// The processors that everything has to share in some places.
const THREADS: usize = 2;

#[test]
fn what_three_nodes_have_acknowledged_survives_whatever_happens_to_one() {
    let (seed, form) = asked_for(Form::Short);
    runtime().block_on(async {
        let lines = Network::Lines(Box::new(Lines::new(seed).await));
        Box::pin(run(lines, seed, form)).await;
    });
}

#[test]
fn what_three_nodes_in_network_namespaces_have_acknowledged_survives_whatever_happens_to_their_network() {
    let (seed, form) = asked_for(Form::Network);
    let Some(namespaces) = Namespaces::new() else { return };
    namespaces
        .enter(|namespaces| runtime().block_on(Box::pin(run(Network::Namespaces(namespaces), seed, form))));
}

/// Its threads are where the one is that makes it.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap()
}

/// The seed and what goes wrong: in short, unless somebody asks for more.
fn asked_for(short: Form) -> (u64, Form) {
    let minutes = number("UNIBUS_FAULTS_MINUTES");
    let kills = number("UNIBUS_FAULTS_LEADER_KILLS").map(|kills| usize::try_from(kills).unwrap());
    let sorts = std::env::var("UNIBUS_FAULTS_ONLY").ok();
    let form = match (kills, minutes.map(Duration::from_mins), sorts) {
        (Some(kills), _, _) => Form::LeaderKills(kills),
        (None, Some(time), None) => Form::Long(time),
        (None, Some(time), Some(sorts)) => {
            Form::LongOf(time, sorts.split(',').map(ToOwned::to_owned).collect())
        }
        (None, None, _) => short,
    };
    let by_chance = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("UNIBUS_FAULTS_SEED").unwrap_or_else(|| if form.is_short() { 1 } else { by_chance() });
    (seed, form)
}

/// Whatever network it is on.
async fn run(network: Network, seed: u64, form: Form) {
    // The short form counts seconds: shorter tables, no more.
    let crowd = if form.is_short() { 10 } else { 30 };
    let plan = Plan::new(seed, form.clone(), 3);
    assert_ne!(plan.steps, [], "there are no such faults: {form:?}");
    // A visit takes some seconds at least.
    let visitors = 4 + usize::try_from(plan.lasts().as_secs() / 6).unwrap();
    println!("seed {seed}");
    let is_long = matches!(form, Form::Long(_) | Form::LongOf(..));
    let fittings = Fittings { disks: is_long, certificates: is_long, clocks: is_long };
    let Some(cluster) = Box::pin(Cluster::start(network, fittings, &["--kv-replicas", "3"], &[])).await
    else {
        return;
    };
    cluster.until_whole().await;
    let world = Arc::new(World::populate(cluster, workload::PEOPLE + crowd + visitors).await);

    let mut clients = JoinSet::new();
    let only_elections = matches!(form, Form::LeaderKills(_));
    if only_elections {
        clients.spawn(workload::control_plane(Arc::clone(&world), crowd));
    } else {
        clients.spawn(workload::everybody(Arc::clone(&world), crowd));
    }
    let breaking = std::panic::AssertUnwindSafe(nemesis::execute(&world, &plan)).catch_unwind();
    if let Err(panic) = breaking.await {
        println!("seed {seed}, logs in {}", world.cluster.keep_logs().display());
        std::panic::resume_unwind(panic);
    }
    println!("{:>7.1} s: nothing more goes wrong", world.recorder.now().0.as_secs_f64());
    tokio::time::sleep(AFTERWARDS).await;
    world.over.cancel();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let record = world.recorder.record();
    world.cluster.heal().await;
    println!("{:>7.1} s: everything is whole again", world.recorder.now().0.as_secs_f64());
    let violations = violations(&world, &record).await;
    summary::print(&world, &record);
    let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
    if !told.is_empty() {
        let logs = world.cluster.keep_logs();
        panic!(
            "seed {seed}, logs in {}, troubles {:#?}:\n{}",
            logs.display(),
            record.troubles,
            told.join("\n")
        );
    }
    let done = |is: fn(&Write) -> bool| {
        record.operations.iter().filter(|one| one.outcome == Outcome::Acknowledged && is(&one.write)).count()
    };
    assert!(
        only_elections || done(|write| matches!(write, Write::Publish { .. })) > 20,
        "clients have hardly talked: seed {seed}"
    );
    assert!(done(|write| matches!(write, Write::Spend { .. })) > 20, "nonces were hardly taken: seed {seed}");
    assert!(done(|write| matches!(write, Write::Add { .. })) > 10, "hardly anybody was added: seed {seed}");
    world.cluster.end_all().await;
}

/// What is wrong when all copies have had time to catch up.
async fn violations(world: &World, record: &Record) -> Vec<Violation> {
    // What clients saw does not get better with time.
    let mut found = check(record, &[], BOUNDS);
    if !found.is_empty() {
        return found;
    }
    let rooms = acknowledged_rooms(world, record);
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let snapshots = snapshots(world, &rooms).await;
        found = check(record, &snapshots, BOUNDS);
        if found.is_empty() && snapshots.len() == 3 {
            return found;
        }
        if look + 1 == LOOKS && snapshots.len() < 3 {
            world.cluster.print_streams().await;
            panic!("a node does not show what it has; logs in {}", world.cluster.keep_logs().display());
        }
    }
    found
}

/// The rooms that are there for certain.
fn acknowledged_rooms(world: &World, record: &Record) -> Vec<MadeRoom> {
    let done = record.operations.iter().filter(|one| one.outcome == Outcome::Acknowledged);
    let made: BTreeSet<Room> = done
        .filter_map(|one| match one.write {
            Write::Create { room, .. } => Some(room),
            _ => None,
        })
        .collect();
    world.rooms.lock().iter().filter(|room| made.contains(&room.number)).cloned().collect()
}

/// What nodes have, of those that show it.
async fn snapshots(world: &World, rooms: &[MadeRoom]) -> Vec<Snapshot> {
    let sealed: Vec<&MadeRoom> = rooms.iter().filter(|room| room.encryption == Encryption::E2e).collect();
    let opened = match sdk::open_all(world, &sealed).await {
        Ok(opened) => opened,
        Err(missing) => {
            println!("not everything can be read yet: {missing}");
            return Vec::new();
        }
    };
    let mut snapshots = Vec::new();
    for node in 0..3 {
        match snapshot(world, Node(node), rooms, &opened).await {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(missing) => println!("node {node} does not show everything yet: {missing}"),
        }
    }
    snapshots
}

/// What a node has, or what it does not answer for.
async fn snapshot(
    world: &World,
    node: Node,
    rooms: &[MadeRoom],
    opened: &Opened,
) -> Result<Snapshot, String> {
    let mut snapshot = Snapshot { node, logs: BTreeMap::new(), messages: BTreeMap::new() };
    let mut clients: BTreeMap<User, async_nats::Client> = BTreeMap::new();
    for room in rooms {
        let missing = |what: &str| format!("{what} of room {} ({})", room.number.0, room.subject);
        let log = world.log(room, node).await.ok_or_else(|| missing("the log"))?;
        snapshot.logs.insert(room.number, log);
        if room.keeps {
            let identity = world.identity(room.owner);
            let client = match clients.entry(room.owner) {
                Entry::Occupied(client) => client.get().clone(),
                Entry::Vacant(none) => {
                    let client = Box::pin(connect(&world.cluster, &[node.0], identity)).await;
                    none.insert(client.ok_or_else(|| missing("a connection for the owner"))?).clone()
                }
            };
            let reader = Reader::of_any(client, identity, room, opened);
            let messages: Vec<Message> =
                reader.all().await.map_err(|error| format!("{}: {error}", missing("the messages")))?;
            snapshot.messages.insert(room.number, messages);
        }
    }
    Ok(snapshot)
}

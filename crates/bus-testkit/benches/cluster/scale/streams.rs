//! Streams of rooms with history on three nats-servers, each kept three times, made by the code that makes them on a node.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_nats::{
    Client,
    jetstream::{self, stream::Info},
};
use control_plane::{Kept, RoomStream, RoomStreams as _};
use data_encoding::BASE32_NOPAD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use membershipd::{Acknowledge, JetStreamRooms};
use serde::Serialize;
use tokio::{runtime::Runtime, time::sleep};

use super::{ms, resident, seconds, trio::Trio};
use crate::{Bench, cpu, median::median};

/// So many are made one after the other in the end, and shown; those before are made together.
const LAST: usize = 50;
const TOGETHER: usize = 16;
/// Servers rest before it is looked what they do when nothing happens, and for how long.
const REST: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(10);
/// Streams that are asked at once who leads them.
const AT_ONCE: usize = 64;
const ANSWER: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);
/// Elections, and a server that comes back: what takes longer does not work.
const PATIENCE: Duration = Duration::from_mins(3);

/// With so many streams.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(super) streams: usize,
    /// Milliseconds that making one took in the end.
    pub(super) made_ms: f64,
    /// Seconds for all that came since the step before, most of them made together.
    pub(super) made_all: f64,
    /// Of one server, the middle of three.
    pub(super) resident_mib: f64,
    /// Of one core, one server, while nothing happens.
    pub(super) idle_percent: f64,
    /// After the loss of the server that places streams, which led a third of them as well: seconds until a stream can be made…
    pub(super) placed: f64,
    /// …until half of those that lost their leader have one…
    pub(super) half_led: f64,
    /// …and until all have.
    pub(super) all_led: f64,
    /// How many that were.
    pub(super) leaderless: usize,
    /// Seconds from its start until that server has everything again.
    pub(super) current: f64,
}

/// Measures at each of these numbers of streams.
pub(super) fn run(bench: &Bench, steps: &[usize]) -> Result<Vec<Step>> {
    Runtime::new()?.block_on(async {
        let mut trio = Trio::start(&bench.nats_server, &bench.directory.path().join("streams"), 3).await?;
        let mut made = 0;
        let mut done = Vec::new();
        for &count in steps {
            let step = step(&mut trio, made, count).await;
            let step = step.with_context(|| format!("with {count} streams"))?;
            say(&step);
            made = count;
            done.push(step);
        }
        Ok(done)
    })
}

/// A run may be broken off: what is known is said.
#[expect(clippy::print_stderr, reason = "a benchmark talks to a terminal")]
fn say(step: &Step) {
    eprintln!("{step:?}");
}

async fn step(trio: &mut Trio, made: usize, count: usize) -> Result<Step> {
    let client = trio.connect(0).await?;
    let rooms = JetStreamRooms::new(client.clone(), Acknowledge::Nobody);
    rooms.set_copies(3);
    let began = Instant::now();
    let new: Vec<RoomStream> = (made..count).map(stream).collect::<Result<_>>()?;
    let (together, last) = new.split_at(new.len().saturating_sub(LAST));
    let make = |stream| rooms.keep_stream(stream);
    let mut making = futures_util::stream::iter(together).map(make).buffer_unordered(TOGETHER);
    let mut answered = made;
    while let Some(outcome) = making.next().await {
        outcome.with_context(|| format!("{answered} were made, in {:.0} s", seconds(began)))?;
        answered += 1;
    }
    let mut took = Vec::new();
    for stream in last {
        let since = Instant::now();
        rooms.keep_stream(stream).await?;
        took.push(ms(since.elapsed()));
    }
    let made_all = seconds(began);
    let made_ms = median(took);
    say_something(&client, count).await?;
    sleep(REST).await;
    let resident = trio.processes().into_iter().map(resident).collect::<Result<Vec<f64>>>()?;
    let idle_percent = idle(trio).await?;

    let victim = trio.leader()?;
    let gone = trio.servers[victim].name.clone();
    let before = list(&client).await?;
    ensure!(is_whole(&before, count), "not all streams are whole before a server is killed");
    let orphans: Vec<String> = led_by(&before, &gone);
    let survivor = trio.connect((victim + 1) % 3).await?;
    survivor.flush().await?;
    let killed = Instant::now();
    trio.kill(victim);
    let (placed, led) =
        tokio::join!(until_made(&survivor, killed), until_led(&survivor, &orphans, &gone, killed));
    let (placed, mut led) = (placed?, led?);
    led.sort_by(f64::total_cmp);
    trio.spawn(victim)?;
    let current = until_whole(&survivor, count).await?;
    Ok(Step {
        streams: count,
        made_ms,
        made_all,
        resident_mib: median(resident),
        idle_percent,
        placed,
        half_led: median(led.iter().copied()),
        all_led: led.last().copied().unwrap_or(0.0),
        leaderless: orphans.len(),
        current,
    })
}

fn stream(number: usize) -> Result<RoomStream> {
    let room = BASE32_NOPAD.encode(&rand::random::<[u8; 16]>());
    Ok(RoomStream { room: room.parse()?, subject: subject(number).parse()?, kept: Kept::default() })
}

fn subject(number: usize) -> String {
    format!("department.room-{number:06}")
}

/// A message for each stream that has none, so that there is something to keep.
async fn say_something(client: &Client, count: usize) -> Result<()> {
    let began = Instant::now();
    loop {
        let infos = list(client).await?;
        let silent = infos.values().filter(|info| info.state.messages == 0);
        let subjects: Vec<String> = silent.filter_map(|info| info.config.subjects.first().cloned()).collect();
        if infos.len() == count && subjects.is_empty() {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{} streams keep nothing", subjects.len());
        for subject in subjects {
            client.publish(subject, vec![0; 128].into()).await?;
        }
        client.flush().await?;
        sleep(Duration::from_millis(200)).await;
    }
}

async fn idle(trio: &Trio) -> Result<f64> {
    let used = || trio.processes().into_iter().map(cpu::of).collect::<Result<Vec<Duration>>>();
    let before = used()?;
    let began = Instant::now();
    sleep(IDLE).await;
    let wall = seconds(began);
    let shares =
        used()?.into_iter().zip(before).map(|(after, before)| after.saturating_sub(before).as_secs_f64());
    Ok(median(shares.map(|share| share / wall * 100.0)))
}

/// All streams as their leaders see them.
async fn list(client: &Client) -> Result<HashMap<String, Info>> {
    let context = jetstream::new(client.clone());
    let infos: Vec<Info> = context.streams().try_collect().await?;
    Ok(infos.into_iter().map(|info| (info.config.name.clone(), info)).collect())
}

fn led_by(infos: &HashMap<String, Info>, server: &str) -> Vec<String> {
    let leads =
        |info: &&Info| info.cluster.as_ref().is_some_and(|cluster| cluster.leader.as_deref() == Some(server));
    infos.values().filter(leads).map(|info| info.config.name.clone()).collect()
}

/// Whether all are there, and on three servers that have all of it.
fn is_whole(infos: &HashMap<String, Info>, count: usize) -> bool {
    let whole = |info: &Info| {
        info.cluster.as_ref().is_some_and(|cluster| {
            let current = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline).count();
            cluster.leader.is_some() && current == 2
        })
    };
    infos.len() == count && infos.values().all(whole)
}

async fn until_whole(client: &Client, count: usize) -> Result<f64> {
    let began = Instant::now();
    loop {
        if list(client).await.is_ok_and(|infos| is_whole(&infos, count)) {
            return Ok(seconds(began));
        }
        ensure!(began.elapsed() < PATIENCE, "a server that came back does not have everything");
        sleep(PAUSE).await;
    }
}

/// Seconds until a stream can be made, by who is left.
async fn until_made(client: &Client, killed: Instant) -> Result<f64> {
    let context = jetstream::new(client.clone());
    let config = jetstream::stream::Config {
        name: "probe".to_owned(),
        subjects: vec!["probe".to_owned()],
        num_replicas: 1,
        ..jetstream::stream::Config::default()
    };
    while !matches!(tokio::time::timeout(ANSWER, context.create_stream(config.clone())).await, Ok(Ok(_))) {
        ensure!(killed.elapsed() < PATIENCE, "no stream can be made");
        sleep(PAUSE).await;
    }
    let took = seconds(killed);
    context.delete_stream("probe").await?;
    Ok(took)
}

/// For each of these streams, seconds until another server than this leads it.
async fn until_led(client: &Client, names: &[String], gone: &str, killed: Instant) -> Result<Vec<f64>> {
    let context = jetstream::new(client.clone());
    let led = |name: &String| {
        let (context, name) = (context.clone(), name.clone());
        async move {
            loop {
                let asked = tokio::time::timeout(ANSWER, context.get_stream(&name)).await;
                if let Ok(Ok(stream)) = asked
                    && let Some(cluster) = &stream.cached_info().cluster
                    && cluster.leader.as_deref().is_some_and(|leader| leader != gone)
                {
                    return Ok(seconds(killed));
                }
                ensure!(killed.elapsed() < PATIENCE, "{name} has no leader");
                sleep(PAUSE).await;
            }
        }
    };
    futures_util::stream::iter(names).map(led).buffer_unordered(AT_ONCE).try_collect().await
}

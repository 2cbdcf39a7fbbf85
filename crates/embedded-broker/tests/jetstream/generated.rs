//! Streams and consumers made by chance, and what is done with them: two servers answer the same, deliver the same and
//! keep the same.
//!
//! nats-server counts what is pending for a consumer, and removes what was acknowledged, a little later than it
//! answers. So after each operation both are asked for the state of everything until they agree; that they do in the
//! end is part of what is tested.

mod operations;
mod peer;

use std::time::Duration;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use self::{
    operations::{Plan, plan},
    peer::Peer,
};
use super::server::Which;
use crate::support::PATIENCE;

/// How long a smaller plan is looked for.
const SHRINKING: Duration = Duration::from_secs(30);

fn rounds() -> u32 {
    if is_long() { 3000 } else { 50 }
}

fn is_long() -> bool {
    std::env::var_os("UNIBUS_LONG").is_some()
}

/// Carries out generated plans on both until one answers differently.
async fn compare(here: &mut Peer, there: &mut Peer) {
    let config = Config { failure_persistence: None, ..Config::default() };
    // Always the same plans, so that a change that fails here is what made it fail; others with `--long`.
    let mut runner = if is_long() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let strategy = plan();
    for _ in 0..rounds() {
        let mut tree = strategy.new_tree(&mut runner).expect("a plan");
        let Err(original) = differ(here, there, &tree.current()).await else { continue };
        // The smallest plan need not be about what was found first.
        println!("found in {:#?}\n{original}", tree.current());
        // Smaller ones until none fails: what proptest does, with servers that are awaited.
        let mut smallest = tree.current();
        let mut more = tree.simplify();
        // Each of them can mean waiting for what does not come.
        let enough = tokio::time::Instant::now() + SHRINKING;
        while more && tokio::time::Instant::now() < enough {
            let candidate = tree.current();
            if differ(here, there, &candidate).await.is_err() {
                smallest = candidate;
                more = tree.simplify();
            } else {
                more = tree.complicate();
            }
        }
        let difference = differ(here, there, &smallest).await;
        panic!("{smallest:#?}\n{}", difference.err().unwrap_or_else(|| "not again".to_owned()));
    }
}

async fn differ(here: &mut Peer, there: &mut Peer, plan: &Plan) -> Result<(), String> {
    let outcome = carry_out(here, there, plan).await;
    here.clear().await?;
    there.clear().await?;
    outcome
}

async fn carry_out(here: &mut Peer, there: &mut Peer, plan: &Plan) -> Result<(), String> {
    let (left, right) = (here.create(plan).await?, there.create(plan).await?);
    same(&left, &right, "created")?;
    for (number, operation) in plan.operations.iter().enumerate() {
        let (left, right) = (here.does(operation).await?, there.does(operation).await?);
        same(&left, &right, &format!("{number}. {operation:?}"))?;
        settle(here, there, &format!("after {number}. {operation:?}")).await?;
    }
    Ok(())
}

/// Waits until both have come to the same state.
async fn settle(here: &mut Peer, there: &mut Peer, what: &str) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + PATIENCE / 4;
    loop {
        let (left, right) = (here.state().await?, there.state().await?);
        if left == right {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return same(&left, &right, what);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn same(here: &[String], there: &[String], what: &str) -> Result<(), String> {
    if here == there {
        return Ok(());
    }
    let block =
        |lines: &[String]| lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    Err(format!("{what}\nfirst:\n{}\nsecond (nats-server):\n{}", block(here), block(there)))
}

/// This broker and nats-server agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_broker_agrees_with_nats_server() {
    let (Some(mut here), Some(mut there)) = (Peer::start(Which::Here).await, Peer::start(Which::There).await)
    else {
        return;
    };
    compare(&mut here, &mut there).await;
    here.stop().await;
    there.stop().await;
}

/// Two of the same kind agree: what is compared is not chance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_server_agrees_with_itself() {
    let (Some(mut here), Some(mut there)) =
        (Peer::start(Which::There).await, Peer::start(Which::There).await)
    else {
        return;
    };
    compare(&mut here, &mut there).await;
    here.stop().await;
    there.stop().await;
}

//! The figures of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use bus_testkit::faults::{Operation, Outcome, Pauses, Record, Write, pause_after, pauses};

use super::elections::Elections;
use super::world::World;

/// Prints how much was done and how long it could not be.
pub(crate) fn print(world: &World, record: &Record) {
    operations(record);
    for (what, found) in
        [("control writes", pauses(record, is_control)), ("messages", pauses(record, is_message))]
    {
        if let Some(found) = found {
            println!("{what} paused {}", of(&found));
        }
    }
    leaders(world, record);
}

fn operations(record: &Record) {
    let mut sorts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for operation in &record.operations {
        let sort = match operation.write {
            Write::Create { .. } => "rooms",
            Write::Add { .. } => "members added",
            Write::Remove { .. } => "members removed",
            Write::Publish { .. } => "messages",
            Write::Spend { .. } => "nonces",
            Write::Revoke { .. } => "users revoked",
        };
        let place = match operation.outcome {
            Outcome::Acknowledged => 0,
            Outcome::Pending => 1,
            Outcome::Refused => 2,
            Outcome::Unknown => 3,
        };
        sorts.entry(sort).or_default()[place] += 1;
    }
    println!("{:<16} {:>12} {:>8} {:>8} {:>10}", "", "acknowledged", "pending", "refused", "no answer");
    for (sort, [acknowledged, pending, refused, unknown]) in sorts {
        println!("{sort:<16} {acknowledged:>12} {pending:>8} {refused:>8} {unknown:>10}");
    }
    println!("{} messages received", record.received.len());
}

/// How much of each pause was until there was a leader again, and how much came after it.
fn leaders(world: &World, record: &Record) {
    let elections = Elections::of(&world.cluster);
    let mut until_led = Vec::new();
    let mut beyond = Vec::new();
    for trouble in record.troubles.iter().filter(|trouble| trouble.took_leader) {
        let pause = pause_after(record, trouble.from, is_control);
        let found = elections.after(world.began + trouble.from.0);
        let told: Vec<String> = found
            .iter()
            .filter_map(|(what, took)| took.map(|took| format!("{what} {:.1} s", took.as_secs_f64())))
            .collect();
        println!(
            "{:>7.1} s: {}: leaders again: {}; first control write {:.1} s",
            trouble.from.0.as_secs_f64(),
            trouble.what,
            told.join(", "),
            pause.as_secs_f64()
        );
        // A leader that was found after something had been written was not waited for.
        let waited_for = found.iter().filter_map(|(_, took)| took.filter(|took| *took <= pause)).max();
        if let Some(elected) = waited_for {
            until_led.push(elected);
            beyond.push(pause.saturating_sub(elected));
        }
    }
    for (what, found) in [("until all have a leader again", until_led), ("from then to a write", beyond)] {
        if let Some(found) = Pauses::of(found) {
            println!("{what}: {}", of(&found));
        }
    }
}

fn of(pauses: &Pauses) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    format!(
        "{} times with the leader: p50 {:.1} s, worst {:.1} s",
        pauses.count(),
        seconds(pauses.median()),
        seconds(pauses.worst())
    )
}

fn is_control(one: &Operation) -> bool {
    matches!(one.write, Write::Create { .. } | Write::Add { .. })
}

fn is_message(one: &Operation) -> bool {
    matches!(one.write, Write::Publish { .. })
}

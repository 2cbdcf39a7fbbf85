//! What was measured, as tables.

use super::{Scale, buses, streams, view};
use crate::report::number;

impl Scale {
    pub(crate) fn print(&self) {
        if let Some(view) = &self.view {
            print_view(view);
        }
        print_streams(&self.streams);
        print_buses("made through three nodes, kept three times", &self.nodes);
        print_buses("made through a node that is alone", &self.alone);
    }
}

fn print_view(measured: &view::Measured) {
    println!(
        "\n| in the view of a node | added | bytes each | resident MiB | opened in s |\n|---|---|---|---|---|"
    );
    for view::Stage { what, added, bytes_each, opened } in &measured.stages {
        let (mib, took) = (number(opened.resident_mib), number(opened.seconds));
        println!("| {what} | {added} | {} | {mib} | {took} |", number(*bytes_each));
    }
    println!("\n| a node receives | bytes |\n|---|---|");
    for view::Change { what, bytes } in &measured.changes {
        println!("| {what} | {} |", number(*bytes));
    }
}

fn print_streams(steps: &[streams::Step]) {
    if steps.is_empty() {
        return;
    }
    println!(
        "\n| streams, three copies | made, ms each | all that were added, s | nats-server, resident MiB | idle, % of a core | leader \
         killed: one can be made after s | streams that lost theirs | half have one after s | all after s | started again: whole \
         after s |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for step in steps {
        let figures = [step.made_ms, step.made_all, step.resident_mib, step.idle_percent, step.placed];
        let [made, all, resident, idle, placed] = figures.map(number);
        let [half, led, whole] = [step.half_led, step.all_led, step.current].map(number);
        let (streams, lost) = (step.streams, step.leaderless);
        println!(
            "| {streams} | {made} | {all} | {resident} | {idle} | {placed} | {lost} | {half} | {led} | {whole} |"
        );
    }
}

fn print_buses(what: &str, steps: &[buses::Step]) {
    if steps.is_empty() {
        return;
    }
    println!(
        "\n| rooms with history, {what} | answered after ms | daemon, MiB | nats-server, MiB | killed and serving again, s |"
    );
    println!("|---|---|---|---|---|");
    for step in steps {
        let [made, daemon, restart] = [step.made_ms, step.daemon_mib, step.restart].map(number);
        let server = step.server_mib.map_or_else(String::new, number);
        println!("| {} | {made} | {daemon} | {server} | {restart} |", step.rooms);
    }
}

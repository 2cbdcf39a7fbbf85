//! Verifies a room's log, one entry (compact JWS) a line, and says what it leads to.
//!
//! ```sh
//! cargo run -p room-protocol --example verify_log -- log.txt
//! cargo run -p room-protocol --example verify_log < log.txt
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example that people run in a terminal")]

use std::{
    error::Error,
    fs::File,
    io::{self, BufRead, BufReader},
    process::ExitCode,
};

use room_protocol::{RoomLog, SignedStatement};

fn main() -> ExitCode {
    let input: Box<dyn BufRead> = match std::env::args().nth(1) {
        None => Box::new(io::stdin().lock()),
        Some(path) => match File::open(&path) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => {
                eprintln!("cannot read {path}: {error}");
                return ExitCode::from(2);
            }
        },
    };
    match verify(input) {
        Ok(log) => {
            show(&log);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not a valid log: {error}");
            ExitCode::FAILURE
        }
    }
}

fn verify(input: impl BufRead) -> Result<RoomLog, Box<dyn Error>> {
    let mut entries = Vec::new();
    for line in input.lines() {
        let line = line?;
        let entry: SignedStatement =
            line.parse().map_err(|error| format!("entry {}: {error}", entries.len() + 1))?;
        entries.push(entry);
    }
    Ok(RoomLog::verify(entries)?)
}

fn show(log: &RoomLog) {
    for entry in log.entries() {
        println!("{:>5}  {}  {}", entry.statement().seq, entry.author(), entry.statement().op.name());
    }
    let room = log.state();
    println!("\nroom     {} ({})", room.name(), room.id());
    println!("subject  {}", room.subject());
    println!("head     {}", room.head());
    if let Some(epoch) = room.epoch() {
        println!("epoch    {}", epoch.n);
    }
    if room.is_closed() {
        println!("closed");
    }
    for member in room.members() {
        println!("  {:?}  {}  {}", member.role, member.user, member.handle);
    }
}

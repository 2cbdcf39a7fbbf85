//! Many connections: how fast they come in, and what they cost when they do nothing.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{Access, client::Client};
use crate::{
    arguments::Effort,
    sample::{Metric, Reading, Sample},
};

/// Threads that connect.
const THREADS: usize = 8;

/// Servers ask each client for a sign of life within two seconds, some a little later.
const FIRST_PINGS: Duration = Duration::from_millis(3_500);

/// Time for a server to put things away after that.
const SETTLE: Duration = Duration::from_millis(1_500);

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Connects and logs in, many at once; all stay connected until the end.
pub(crate) fn logins(access: &Access<'_>, effort: &Effort) -> Result<Sample> {
    let before = Reading::take(access.process)?;
    let mut clients = connect(access, 0, effort.logins)?;
    let sample = Reading::take(access.process)?.since(&before, effort.logins as u64);
    all_answer(&mut clients)?;
    Ok(sample)
}

/// Memory with few and with many connections that do nothing. The difference is what one more takes: what a
/// server holds for its configuration, and garbage of its start, are in both.
pub(crate) fn idle(access: &Access<'_>, effort: &Effort) -> Result<Sample> {
    let before = Reading::take(access.process)?;
    let [few, many] = effort.idle;
    let mut clients = connect(access, 0, few)?;
    let with_few = settled(access, &mut clients)?;
    clients.append(&mut connect(access, few, many - few)?);
    let with_many = settled(access, &mut clients)?;
    let sample = Reading::take(access.process)?.since(&before, many as u64);
    all_answer(&mut clients)?;
    Ok(sample
        .with(Metric::MemoryEach, (with_many - with_few) / (many - few) as f64 / KIB)
        .with(Metric::MemoryFew, with_few / MIB)
        .with(Metric::MemoryMany, with_many / MIB))
}

/// Connects this many clients, as users from `first` on.
fn connect(access: &Access<'_>, first: usize, count: usize) -> Result<Vec<Client>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || -> Result<Vec<Client>> {
                    (first + thread..first + count).step_by(THREADS).map(|user| access.client(user)).collect()
                })
            })
            .collect();
        let mut clients = Vec::with_capacity(count);
        for thread in threads {
            match thread.join() {
                Ok(connected) => clients.append(&mut connected?),
                Err(_) => bail!("a connecting thread panicked"),
            }
        }
        Ok(clients)
    })
}

/// Resident memory once the connections are quiet.
fn settled(access: &Access<'_>, clients: &mut [Client]) -> Result<f64> {
    std::thread::sleep(FIRST_PINGS);
    for client in clients {
        client.answer_pings()?;
    }
    std::thread::sleep(SETTLE);
    Ok(access.process.resident()? as f64)
}

/// Makes sure that every connection is one.
fn all_answer(clients: &mut [Client]) -> Result<()> {
    clients.iter_mut().try_for_each(Client::sync)
}

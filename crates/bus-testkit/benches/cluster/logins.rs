//! Connections that log in and go, one after the other from each thread.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::{
    client::Client,
    crowd::Crowd,
    report::{Figure, Sample},
    servers::Server,
};

/// Threads that connect.
const THREADS: usize = 16;

/// So many logins, each checked.
pub(crate) fn run(server: &Server, crowd: &Crowd, logins: usize) -> Result<Sample> {
    let (began, before) = (Instant::now(), server.cpu()?);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (thread..logins).step_by(THREADS).try_for_each(|number| {
                        Client::connect(server.address, &crowd.member(number).identity).map(drop)
                    })
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a connecting thread panicked"),
            }
        }
        anyhow::Ok(())
    })?;
    let wall = began.elapsed().as_secs_f64();
    let cpu = server.cpu()?.saturating_sub(before).as_secs_f64();
    let rate = logins as f64 / wall;
    Ok(Sample::from([(Figure::PerSecond, rate), (Figure::ServerCpu, cpu * 1e6 / logins as f64)]))
}

/// Makes sure that those who log in have the rights of their user, and no others.
pub(crate) fn check_rights(server: &Server, crowd: &Crowd) -> Result<()> {
    let (own, other) = (crowd.member(0), crowd.member(1));
    let mut client = Client::connect(server.address, &own.identity)?;
    ensure!(client.subscribe(&own.room.subject())?, "a user may not listen in its own room");
    ensure!(!client.subscribe(&other.room.subject())?, "a user may listen in a room of others");
    Ok(())
}

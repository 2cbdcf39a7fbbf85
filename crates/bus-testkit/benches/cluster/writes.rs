//! Writes to the control plane: new limits of rooms, each room written by its owner, one write after the other.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use room_protocol::RoomLimits;

use crate::{
    crowd::{Crowd, Member},
    report::{Figure, Sample},
};

/// Writes for so long, so many at once. A write is answered when it is kept.
pub(crate) async fn run(crowd: &Crowd, at_once: usize, seconds: f64) -> Result<Sample> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let writers = (0..at_once).map(|writer| {
        let members: Vec<&Member> = crowd.iter().skip(writer).step_by(at_once).collect();
        write(members, until)
    });
    let took: Vec<Vec<f64>> = futures_util::future::try_join_all(writers).await?;
    let wall = began.elapsed().as_secs_f64();
    let took = took.concat();
    ensure!(!took.is_empty(), "nothing was written");
    let rate = took.len() as f64 / wall;
    Ok(Sample::from([(Figure::PerSecond, rate), (Figure::MedianMs, crate::median::median(took))]))
}

/// One writer with its rooms; how many milliseconds each write took.
async fn write(members: Vec<&Member>, until: Instant) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for member in members.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let members = NonZeroU64::new(10 + took.len() as u64 % 2);
        let began = Instant::now();
        member.room.set_limits(RoomLimits { members, ..RoomLimits::default() }).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

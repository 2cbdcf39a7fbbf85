//! Ports that have to be known before whoever listens on them has started.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to whoever asks for any, so that no connection of another program takes one meanwhile.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;
/// What one test process may ask for before it meets the ports of the next.
const EACH: u16 = 16;

/// How many this process was given.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// Ports that are free now on every address; no other call, in this process or one started about now, gets the same.
///
/// # Panics
///
/// When none is free.
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}

fn free_port() -> u16 {
    let place = u16::try_from(std::process::id() % u32::from(COUNT / EACH)).unwrap_or(0) * EACH;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        FIRST + place.wrapping_add(given) % COUNT
    });
    ports.by_ref().take(usize::from(COUNT)).find(is_free).expect("a free port")
}

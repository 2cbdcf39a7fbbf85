//! What the machine and its disk could do, measured in the same minute.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use room_protocol::chunked::{CHUNK_BYTES, ChunkCipher, ChunkPlace, ChunkedHeader};
use room_protocol::{EpochKey, RoomId};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::client::{self, Job};

/// Read and written at once.
const PIECE: usize = 256 * 1024;

/// Rates in bytes per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limits {
    /// SHA-256 on one core.
    pub(crate) hash: f64,
    /// Encrypting in chunks on one core.
    pub(crate) encrypt: f64,
    /// Writing a file of this size, flushed to the disk.
    pub(crate) disk: f64,
    /// From a file over a socket of this machine into a file that is flushed, hashed at both ends: what is left of the
    /// others when both ends share the machine.
    pub(crate) relay: f64,
}

impl Limits {
    /// What hashing and the disk allow with both ends on this machine. Before a file is sent its digest is signed, so it was
    /// hashed once more (and encrypted beside that, in an encrypted room); on its way it is encrypted, or decrypted.
    pub(crate) fn slower(&self, room: &str, job: Job) -> f64 {
        let encrypt = if room == "plain" { 0.0 } else { 1.0 / self.encrypt };
        let before = if job == Job::Put { 1.0 / self.hash } else { 0.0 };
        1.0 / (1.0 / self.relay + before + encrypt)
    }

    /// The slower of hashing on one core and the disk, each with the machine to itself.
    pub(crate) fn alone(&self) -> f64 {
        self.hash.min(self.disk)
    }
}

pub(crate) fn measure(directory: &Path, size: u64) -> Result<Limits> {
    let block = vec![0x5A; CHUNK_BYTES];
    let count = size / CHUNK_BYTES as u64;

    let began = Instant::now();
    let mut hasher = Sha256::new();
    for _ in 0..count {
        hasher.update(&block);
    }
    std::hint::black_box(hasher.finalize());
    let hash = size as f64 / began.elapsed().as_secs_f64();

    let room: RoomId = "A".repeat(26).parse()?;
    let header = ChunkedHeader::new(1, &mut rand::rng());
    let cipher = ChunkCipher::new(&EpochKey::generate(&mut rand::rng()), &room, &header);
    let began = Instant::now();
    for number in 0..count {
        std::hint::black_box(cipher.encrypt(number, ChunkPlace::Inner, &block)?);
    }
    let encrypt = size as f64 / began.elapsed().as_secs_f64();

    let path = directory.join("probe");
    let began = Instant::now();
    let mut file = File::create(&path)?;
    for _ in 0..count {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let disk = size as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(&path)?;

    let began = Instant::now();
    relay(&directory.join(client::ORIGINAL), &path)?;
    let relay = size as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(Limits { hash, encrypt, disk, relay })
}

/// Nothing but what has to be done: no HTTP, no signatures, no checksums of blocks, no rights.
fn relay(from: &Path, to: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sending = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiving, _) = listener.accept()?;
    let mut source = File::open(from)?;
    let sender = std::thread::spawn(move || -> Result<_> {
        let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
        loop {
            let read = source.read(&mut piece)?;
            if read == 0 {
                return Ok(hasher.finalize());
            }
            hasher.update(&piece[..read]);
            sending.write_all(&piece[..read])?;
        }
    });
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
    let mut file = File::create(to)?;
    loop {
        let read = receiving.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        file.write_all(&piece[..read])?;
    }
    file.sync_all()?;
    let sent = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    ensure!(sent == hasher.finalize(), "what came is not what was sent");
    Ok(())
}

/// Whether two files have the same content.
pub(crate) fn same(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

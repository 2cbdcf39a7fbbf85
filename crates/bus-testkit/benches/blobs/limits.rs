//! What one core and the disk could do, measured in the same minute.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use room_protocol::chunked::{CHUNK_BYTES, ChunkCipher, ChunkPlace, ChunkedHeader};
use room_protocol::{EpochKey, RoomId};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::client::Job;

/// Rates in bytes per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limits {
    /// SHA-256 on one core.
    pub(crate) hash: f64,
    /// Encrypting in chunks on one core.
    pub(crate) encrypt: f64,
    /// Writing a file of this size, flushed to the disk.
    pub(crate) disk: f64,
}

impl Limits {
    /// What one core can do that hashes every byte, and encrypts it in an encrypted room. On the way there a byte is
    /// hashed twice, one after the other: by the client, which signs the digest before the first byte goes out, and by
    /// the bus, which checks it.
    pub(crate) fn processor(&self, room: &str, job: Job) -> f64 {
        let hashes = if job == Job::Put { 2.0 } else { 1.0 };
        let encrypts = if room == "plain" { 0.0 } else { 1.0 };
        1.0 / (hashes / self.hash + encrypts / self.encrypt)
    }

    /// The slower of processor and disk.
    pub(crate) fn slower(&self, room: &str, job: Job) -> f64 {
        self.processor(room, job).min(self.disk)
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
    fs::remove_file(path)?;
    Ok(Limits { hash, encrypt, disk })
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

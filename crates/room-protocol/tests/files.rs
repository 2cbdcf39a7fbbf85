//! An encrypted file is read whole and in order, or not at all.

use room_protocol::RoomId;
use room_protocol::chunked::{
    CHUNK_BYTES, CHUNK_OVERHEAD, ChunkCipher, ChunkError, ChunkPlace, ChunkedHeader, HEADER_BYTES,
    chunk_count, encrypted_length,
};

use crate::support::{PRIVATE, Repeating, Room, key};

fn room() -> RoomId {
    Room::new(PRIVATE).id()
}

fn header() -> ChunkedHeader {
    ChunkedHeader::new(3, &mut Repeating::new(11))
}

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&key(3), &room(), &header())
}

pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn place(number: usize, count: usize) -> ChunkPlace {
    if number + 1 == count { ChunkPlace::Last } else { ChunkPlace::Inner }
}

pub(crate) fn encrypt(cipher: &ChunkCipher, content: &[u8]) -> Vec<Vec<u8>> {
    let count = usize::try_from(chunk_count(content.len() as u64)).unwrap();
    (0..count)
        .map(|number| {
            let end = content.len().min((number + 1) * CHUNK_BYTES);
            cipher.encrypt(number as u64, place(number, count), &content[number * CHUNK_BYTES..end]).unwrap()
        })
        .collect()
}

fn decrypt(cipher: &ChunkCipher, chunks: &[Vec<u8>]) -> Result<Vec<u8>, ChunkError> {
    let decrypt = |(number, chunk): (usize, &Vec<u8>)| {
        cipher.decrypt(number as u64, place(number, chunks.len()), chunk)
    };
    Ok(chunks.iter().enumerate().map(decrypt).collect::<Result<Vec<_>, _>>()?.concat())
}

#[test]
fn files_of_all_lengths_are_read_back() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
        let chunks = encrypt(&cipher(), &content(length));
        assert_eq!(decrypt(&cipher(), &chunks).unwrap(), content(length));
        let stored = HEADER_BYTES + chunks.iter().map(Vec::len).sum::<usize>();
        assert_eq!(encrypted_length(length as u64), Some(stored as u64));
    }
    assert_eq!(encrypted_length(u64::MAX), None);
}

#[test]
fn a_range_is_read_alone() {
    let chunks = encrypt(&cipher(), &content(3 * CHUNK_BYTES));
    let second = cipher().decrypt(1, ChunkPlace::Inner, &chunks[1]).unwrap();
    assert_eq!(second, content(3 * CHUNK_BYTES)[CHUNK_BYTES..2 * CHUNK_BYTES]);
}

#[test]
fn chunks_cannot_be_swapped_dropped_cut_or_altered() {
    let chunks = encrypt(&cipher(), &content(4 * CHUNK_BYTES));
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    assert_eq!(decrypt(&cipher(), &swapped), Err(ChunkError::NotGenuine(0)));
    let mut dropped = chunks.clone();
    dropped.remove(1);
    assert_eq!(decrypt(&cipher(), &dropped), Err(ChunkError::NotGenuine(1)));
    assert_eq!(decrypt(&cipher(), &chunks[..3]), Err(ChunkError::NotGenuine(2)));
    let mut longer = chunks.clone();
    longer.push(chunks[3].clone());
    assert_eq!(decrypt(&cipher(), &longer), Err(ChunkError::NotGenuine(3)));
    let mut altered = chunks.clone();
    altered[2][100] ^= 1;
    assert_eq!(decrypt(&cipher(), &altered), Err(ChunkError::NotGenuine(2)));
    let mut cut = chunks;
    cut[1].pop();
    assert_eq!(decrypt(&cipher(), &cut), Err(ChunkError::WrongLength));
}

#[test]
fn a_file_belongs_to_its_room_epoch_and_header() {
    let chunks = encrypt(&cipher(), &content(10));
    let other_room = "A".repeat(26).parse().unwrap();
    let other_header = ChunkedHeader::new(3, &mut Repeating::new(12));
    let other_epoch = ChunkedHeader::new(4, &mut Repeating::new(11));
    for other in [
        ChunkCipher::new(&key(3), &other_room, &header()),
        ChunkCipher::new(&key(4), &room(), &header()),
        ChunkCipher::new(&key(3), &room(), &other_header),
        ChunkCipher::new(&key(3), &room(), &other_epoch),
    ] {
        assert_eq!(decrypt(&other, &chunks), Err(ChunkError::NotGenuine(0)));
    }
}

#[test]
fn chunk_lengths_have_one_form() {
    let cipher = cipher();
    let encrypt =
        |number, place, length| cipher.encrypt(number, place, &content(length)).map(|chunk| chunk.len());
    assert_eq!(encrypt(0, ChunkPlace::Inner, CHUNK_BYTES), Ok(CHUNK_BYTES + CHUNK_OVERHEAD));
    assert_eq!(encrypt(0, ChunkPlace::Inner, CHUNK_BYTES - 1), Err(ChunkError::WrongLength));
    assert_eq!(encrypt(0, ChunkPlace::Last, CHUNK_BYTES + 1), Err(ChunkError::WrongLength));
    assert_eq!(encrypt(1, ChunkPlace::Last, 0), Err(ChunkError::WrongLength));
    assert_eq!(encrypt(1 << 32, ChunkPlace::Last, 1), Err(ChunkError::TooLong));
    assert_eq!(cipher.decrypt(0, ChunkPlace::Last, &[0; 15]), Err(ChunkError::WrongLength));
}

#[test]
fn headers_are_read_back() {
    let bytes = header().to_bytes();
    assert_eq!(ChunkedHeader::from_bytes(&bytes), Ok(header()));
    assert_eq!(header().epoch(), 3);
    assert_eq!(ChunkedHeader::from_bytes(&bytes[1..]), Err(ChunkError::ShortHeader));
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(ChunkedHeader::from_bytes(&newer), Err(ChunkError::UnknownVersion(2)));
}

#[test]
fn in_place_is_the_same_as_beside() {
    let cipher = cipher();
    for length in [1, 100, CHUNK_BYTES] {
        let (place, content) = (ChunkPlace::Last, content(length));
        let sealed = cipher.encrypt(3, place, &content).unwrap();
        let mut chunk = [content.as_slice(), &[0xAA; CHUNK_OVERHEAD]].concat();
        cipher.encrypt_in_place(3, place, &mut chunk).unwrap();
        assert_eq!(chunk, sealed);
        assert_eq!(cipher.decrypt_in_place(3, place, &mut chunk), Ok(content.as_slice()));

        let mut damaged = sealed.clone();
        damaged[length / 2] ^= 1;
        assert_eq!(cipher.decrypt_in_place(3, place, &mut damaged), Err(ChunkError::NotGenuine(3)));
        assert_eq!(cipher.decrypt_in_place(2, place, &mut sealed.clone()), Err(ChunkError::NotGenuine(2)));
    }
    assert_eq!(cipher.encrypt_in_place(0, ChunkPlace::Last, &mut [0; 15]), Err(ChunkError::WrongLength));
    assert_eq!(cipher.decrypt_in_place(0, ChunkPlace::Inner, &mut [0; 99]), Err(ChunkError::WrongLength));
}

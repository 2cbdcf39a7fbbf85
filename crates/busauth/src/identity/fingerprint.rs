//! A user's id as a few words that two people can read to each other.

use bip39::Language;
use sha2::{Digest as _, Sha256};

use crate::length_prefixed::length_prefixed;
use crate::nkey::UserId;

const TAG: &[u8] = b"unibus-fingerprint-v1";
/// Six words of eleven bits are 66 bits: finding a second key with the same words takes about
/// 2^66 attempts. Fewer words would put that within reach.
const WORDS: usize = 6;
const BITS_PER_WORD: u32 = 11;

impl UserId {
    /// Six English words, joined by hyphens, that two people compare to know that they mean the
    /// same key.
    ///
    /// They are the first 66 bits of SHA-256 over `lp("unibus-fingerprint-v1") || lp(key)`, eleven
    /// bits a word, most significant first, from the BIP-39 English word list.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(length_prefixed(&[TAG, self.as_bytes()]));
        let words = Language::English.word_list();
        let mut bits =
            u128::from_be_bytes(hash[..16].try_into().expect("a SHA-256 hash has more than 16 bytes"));
        let mut fingerprint = Vec::with_capacity(WORDS);
        for _ in 0..WORDS {
            bits = bits.rotate_left(BITS_PER_WORD);
            fingerprint.push(words[(bits & 0x7ff) as usize]);
        }
        fingerprint.join("-")
    }
}

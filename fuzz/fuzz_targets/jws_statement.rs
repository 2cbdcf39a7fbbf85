//! Entries of a membership log, as a server or a member may send them.
//!
//! The input is read twice: as a whole entry, and as the payload of an entry that is properly signed, since no fuzzer finds a
//! signature. What is accepted has one meaning: written out and read again it says the same, and the state machine does not panic.
#![no_main]

use busauth::Identity;
use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use room_protocol::{RoomState, SignedStatement};

fuzz_target!(|text: &str| {
    let author = Identity::from_seeds([1; 32], [2; 32], [3; 32]);
    let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, author.id());
    let signed =
        format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(text.as_bytes()));
    let jws = format!("{signed}.{}", author.sign(signed.as_bytes()));

    for entry in [text, &jws] {
        let Ok(read) = entry.parse::<SignedStatement>() else {
            continue;
        };
        assert_eq!(read.as_str(), entry);
        let again = read.statement().clone().sign(&author);
        assert_eq!(again.as_str().parse::<SignedStatement>().as_ref(), Ok(&again));
        assert_eq!(again.statement(), read.statement());
        if let Ok(state) = RoomState::open(&read) {
            assert_eq!(state.id(), read.room());
            assert!(state.apply(&read).is_err(), "an entry does not follow itself");
        }
    }
});

//! Identity cards as people paste them. What is accepted has one meaning: written out and read
//! again it is the same card, and its certificates hold.
#![no_main]

use busauth::IdentityCard;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(card) = text.parse::<IdentityCard>() else {
        return;
    };
    card.certificates
        .verify(&card.id, &card.login, &card.exchange)
        .expect("a card that was read is certified");
    let again: IdentityCard = card.to_string().parse().expect("a card that was read can be written");
    assert_eq!(again, card);
});

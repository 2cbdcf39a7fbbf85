//! Reads an identity card from where the command line says it is.

use std::fs::File;
use std::io::{self, Read};

use busauth::IdentityCard;

use crate::failure::Failure;

/// An identity card is a few hundred bytes; more than this is another file.
const MAX_CARD_BYTES: u64 = 16 * 1024;

/// The card itself (`unibus1:…`), `-` for standard input, or a file.
pub(super) fn read(source: &str) -> Result<IdentityCard, Failure> {
    if source.starts_with("unibus1:") {
        return parse(source, "the card");
    }
    let (text, name) = if source == "-" {
        (read_all(io::stdin().lock()), "standard input")
    } else {
        (File::open(source).and_then(read_all), source)
    };
    let text = text.map_err(|error| Failure::usage(format!("--card: {name} cannot be read: {error}")))?;
    parse(text.trim(), name)
}

fn read_all(input: impl Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(MAX_CARD_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str, name: &str) -> Result<IdentityCard, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format!(
            "--card: {name} is not an identity card: {error} (`unibus id show` prints one)"
        ))
    })
}

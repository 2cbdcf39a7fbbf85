//! The JSON that statements are made of: objects, strings and non-negative integers, each member once.
//!
//! Two parsers that disagree about a document would let one log have two meanings. Where parsers differ
//! (repeated members, `null`, fractions, large numbers, arrays in place of objects) this form has nothing to
//! differ about.

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::head::MAX_NUMBER;

/// A statement nests five deep; nothing valid comes near this.
const MAX_DEPTH: u8 = 8;

/// Checks that `bytes` is one JSON document of this form and nothing else.
pub(crate) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Value { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

#[derive(Clone, Copy)]
struct Value {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, a string or a non-negative integer")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if number > MAX_NUMBER { Err(E::custom("a number above 2^53 - 1")) } else { Ok(()) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth == MAX_DEPTH {
            return Err(A::Error::custom("objects nested too deep"));
        }
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Self { depth: self.depth + 1 })?;
            if !seen.insert(name) {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(())
    }
}

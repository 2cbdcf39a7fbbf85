//! A pinned authority in `context.json`: the fingerprint's text.

use busauth::CaFingerprint;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

pub(super) fn serialize<S: Serializer>(fingerprint: &CaFingerprint, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(fingerprint)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<CaFingerprint, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

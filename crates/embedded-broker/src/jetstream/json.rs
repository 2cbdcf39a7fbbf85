//! JSON as nats-server reads and writes it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::api_error::ApiError;

/// Appends a value.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        // Only maps with keys that are no text fail, and there are none.
        tracing::error!(%error, "a value could not be written as JSON");
    }
}

/// Appends a string with its quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write(out, &text);
    }
}

/// Reads a request in nats-server's strict mode: `null` members count as absent, unknown ones are an error.
///
/// The type must refuse unknown members (`deny_unknown_fields`).
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid_json(format!("invalid character: {error}")))?;
    if value.is_null() {
        // It says nothing, as in Go.
        value = Value::Object(serde_json::Map::new());
    }
    // A list would be read as the members in their order.
    if !value.is_object() {
        return Err(ApiError::invalid_json("json: cannot unmarshal: not an object"));
    }
    strip_nulls(&mut value);
    serde_json::from_value(value).map_err(|error| ApiError::invalid_json(in_words_of_go(&error.to_string())))
}

/// Reads the body of a request that may also have none. What is neither an object nor a list counts as none, as it does
/// for nats-server.
pub(crate) fn read_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    match body.trim_ascii().first() {
        Some(b'{' | b'[') => read(body),
        _ => Ok(T::default()),
    }
}

/// Members whose words `null` is none of.
const WORDS: [&str; 7] =
    ["retention", "storage", "discard", "deliver_policy", "ack_policy", "replay_policy", "action"];

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| !member.is_null() || WORDS.contains(&name.as_str()));
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// Clients show this text to people who look it up.
fn in_words_of_go(error: &str) -> String {
    let unknown = error.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    match unknown {
        Some((field, _)) => format!("json: unknown field \"{field}\""),
        None if error.starts_with("invalid type") || error.starts_with("invalid value") => {
            format!("json: cannot unmarshal: {error}")
        }
        None => error.to_owned(),
    }
}

/// Reads enums whose variants are words. Another word is refused as nats-server refuses it.
macro_rules! words {
    ($($name:ident { $($word:literal => $variant:ident),* })*) => {
        $(impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                match value.as_str() {
                    $(Some($word) => Ok(Self::$variant),)*
                    _ => Err(serde::de::Error::custom(format!("can not unmarshal {:?}", value.to_string()))),
                }
            }
        })*
    };
}

pub(crate) use words;

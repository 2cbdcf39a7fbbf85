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
    let mut value: Value =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid_json(&error.to_string()))?;
    strip_nulls(&mut value);
    serde_json::from_value(value).map_err(|error| ApiError::invalid_json(&in_words_of_go(&error.to_string())))
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
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
        None => error.to_owned(),
    }
}

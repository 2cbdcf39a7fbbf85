//! The JSON of CONNECT. Every field may be missing or `null`; unknown ones are ignored.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// What a CONNECT said. `Debug` leaves the secrets out.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConnectRequest {
    /// Whether each operation is answered with `+OK`.
    pub verbose: Option<bool>,
    /// Whether subjects are checked more strictly.
    pub pedantic: Option<bool>,
    /// Whether the client receives what it publishes itself.
    pub echo: Option<bool>,
    /// Whether the client understands message headers.
    pub headers: Option<bool>,
    /// Whether it wants to hear that a request reached nobody. Needs `headers`.
    pub no_responders: Option<bool>,
    /// 0, or 1 for a client that understands INFO at any time.
    pub protocol: Option<i64>,
    /// What the client calls itself.
    pub name: Option<String>,
    /// Its language.
    pub lang: Option<String>,
    /// The version of its library.
    pub version: Option<String>,
    /// Public key in nkey text form.
    pub nkey: Option<String>,
    /// Signature over the nonce of INFO.
    pub sig: Option<String>,
    /// JSON web token.
    pub jwt: Option<String>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub pass: Option<String>,
    /// Token.
    pub auth_token: Option<String>,
    /// Account to join; there are none here.
    pub account: Option<String>,
}

/// Why a CONNECT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The argument is not a JSON object of the known shape. The connection ends without an answer.
    #[error("CONNECT carries no valid JSON")]
    Malformed,
    /// A protocol version other than 0 and 1.
    #[error("invalid client protocol")]
    Protocol,
    /// `no_responders` without `headers`: there would be no way to tell.
    #[error("no responders requires headers support")]
    NoRespondersNeedsHeaders,
}

impl ConnectRequest {
    /// Parses the argument of CONNECT.
    pub fn parse(json: &[u8]) -> Result<Self, ConnectError> {
        // Read like Go's decoder, on which clients rely: bytes that are no UTF-8 are replaced, names are
        // matched in any case, of equal names the last one counts, and `null` stands for an empty object.
        let text = String::from_utf8_lossy(json);
        let fields: Option<Fields> = serde_json::from_str(&text).map_err(|_| ConnectError::Malformed)?;
        let fields = Value::Object(fields.unwrap_or_default().0);
        serde_json::from_value(fields).map_err(|_| ConnectError::Malformed)
    }

    /// Whether it says who the client is.
    pub fn has_credentials(&self) -> bool {
        [&self.nkey, &self.sig, &self.jwt, &self.user, &self.pass, &self.auth_token]
            .iter()
            .any(|field| field.is_some())
    }
}

/// The members of an object, with names in lower case.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    fields.insert(name.to_ascii_lowercase(), value);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("protocol", &self.protocol)
            .field("nkey", &self.nkey)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

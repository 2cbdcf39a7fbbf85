//! `Signature-Input` and `Signature`: structured fields (RFC 9651) read with a narrower eye than
//! RFC 9421 asks for. What other libraries merge or ignore is refused here: repeated labels,
//! repeated or unknown parameters, components with parameters, another order.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef};

use super::{ALGORITHM, HttpNonce, LABEL, SignatureRejection, TAG};
use crate::nkey::{KeyCache, UserId};
use crate::signature::Signature;

/// Longest field that is parsed. Ours need about 350 bytes; proxies may add signatures of theirs.
pub(super) const MAX_FIELD_BYTES: usize = 8 * 1024;
/// Longest quote of a client's input in a rejection.
const MAX_QUOTED_CHARS: usize = 64;

const INPUT_FIELD: &str = "signature-input";
const SIGNATURE_FIELD: &str = "signature";

const REQUEST_COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", "@query"];
const BODY_COMPONENTS: [&str; 2] = ["content-digest", "content-type"];

/// Which of the two lists of components a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covered {
    /// A request without a body.
    Request,
    /// A request with a body.
    RequestAndBody,
}

/// The parameters, in the order in which they were sent: `@signature-params` repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignatureParams {
    covered: Covered,
    order: [Parameter; 5],
    created: u64,
    nonce: HttpNonce,
    user: UserId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Created,
    Nonce,
    KeyId,
    Alg,
    Tag,
}

impl Parameter {
    const ALL: [Self; 5] = [Self::Created, Self::Nonce, Self::KeyId, Self::Alg, Self::Tag];

    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Nonce => "nonce",
            Self::KeyId => "keyid",
            Self::Alg => "alg",
            Self::Tag => "tag",
        }
    }
}

impl SignatureParams {
    pub(super) fn new(covered: Covered, created: u64, nonce: HttpNonce, user: UserId) -> Self {
        Self { covered, order: Parameter::ALL, created, nonce, user }
    }

    pub(super) fn covered(&self) -> Covered {
        self.covered
    }

    pub(super) fn created(&self) -> u64 {
        self.created
    }

    pub(super) fn nonce(&self) -> HttpNonce {
        self.nonce
    }

    pub(super) fn user(&self) -> UserId {
        self.user
    }
}

impl SignatureParams {
    /// The strict serialisation of the inner list (RFC 9651, 4.1), as it stands in `Signature-Input`
    /// and in the signature base.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(256);
        for (index, name) in self.covered.components().enumerate() {
            text.push_str(if index == 0 { "(\"" } else { "\" \"" });
            text.push_str(name);
        }
        text.push_str("\")");
        for parameter in self.order {
            for piece in [";", parameter.name(), "="] {
                text.push_str(piece);
            }
            let quoted = match parameter {
                Parameter::Created => {
                    text.push_str(&self.created.to_string());
                    continue;
                }
                Parameter::Nonce => &self.nonce.to_string(),
                Parameter::KeyId => &self.user.to_string(),
                Parameter::Alg => ALGORITHM,
                Parameter::Tag => TAG,
            };
            for piece in ["\"", quoted, "\""] {
                text.push_str(piece);
            }
        }
        text
    }
}

impl fmt::Display for SignatureParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Covered {
    fn components(self) -> impl Iterator<Item = &'static str> {
        let body = match self {
            Self::Request => &BODY_COMPONENTS[..0],
            Self::RequestAndBody => &BODY_COMPONENTS[..],
        };
        REQUEST_COMPONENTS.iter().chain(body).copied()
    }

    fn read(components: &[Component]) -> Result<Self, SignatureRejection> {
        let known = || Self::RequestAndBody.components();
        let mut seen: Vec<&str> = Vec::with_capacity(components.len());
        for component in components {
            let name = match component {
                Component::Plain(name) if known().any(|known| known == name) => name.as_str(),
                Component::Plain(name) => {
                    return Err(SignatureRejection::UnexpectedComponent(quoted(name)));
                }
                Component::Other => {
                    return Err(SignatureRejection::UnexpectedComponent(
                        "a component with parameters".to_owned(),
                    ));
                }
            };
            if seen.contains(&name) {
                return Err(SignatureRejection::UnexpectedComponent(format!("{name:?} twice")));
            }
            seen.push(name);
        }
        let with_body = BODY_COMPONENTS.iter().any(|name| seen.contains(name));
        let covered = if with_body { Self::RequestAndBody } else { Self::Request };
        if let Some(missing) = covered.components().find(|name| !seen.contains(name)) {
            return Err(SignatureRejection::MissingComponent(missing));
        }
        if !covered.components().eq(seen) {
            return Err(SignatureRejection::ComponentOrder);
        }
        Ok(covered)
    }
}

/// Our signature as the two header fields carry it, checked for its form only.
///
/// [`read_claim`](super::read_claim) is built on it; on its own it is the entry point for fuzzing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFields {
    pub(super) params: SignatureParams,
    /// The user's key, ready to verify with.
    pub(super) key: VerifyingKey,
    pub(super) signature: Signature,
}

impl SignatureFields {
    /// Reads the values of `Signature-Input` and `Signature` (several lines joined by `, `).
    ///
    /// `None` when neither has a member of ours. Pure; the work is linear in the input, which is
    /// at most 8 KiB each.
    pub fn parse(signature_input: &[u8], signature: &[u8]) -> Result<Option<Self>, SignatureRejection> {
        Self::read(signature_input, signature, None)
    }

    /// [`SignatureFields::parse`] with the keys of users who were heard before.
    pub(super) fn read(
        signature_input: &[u8],
        signature: &[u8],
        known: Option<&KeyCache>,
    ) -> Result<Option<Self>, SignatureRejection> {
        let input = Member::<RawInput>::read(signature_input, INPUT_FIELD)?;
        let signature = Member::<RawSignature>::read(signature, SIGNATURE_FIELD)?;
        let (input, signature) = match (input, signature) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(SignatureRejection::MissingMember(INPUT_FIELD)),
            (Some(_), None) => return Err(SignatureRejection::MissingMember(SIGNATURE_FIELD)),
            (Some(input), Some(signature)) => (input, signature),
        };
        if !input.is_list {
            return Err(SignatureRejection::Malformed(INPUT_FIELD));
        }
        let (params, key) = input.check(known)?;
        let signature = signature.bytes.ok_or(SignatureRejection::Malformed(SIGNATURE_FIELD))?;
        Ok(Some(Self { params, key, signature: Signature(signature) }))
    }
}

/// The inner list under our label, before its meaning is checked.
#[derive(Default)]
struct RawInput {
    is_list: bool,
    components: Vec<Component>,
    parameters: Vec<(String, Value)>,
}

enum Component {
    /// A string without parameters.
    Plain(String),
    Other,
}

enum Value {
    Integer(i64),
    Text(String),
    Other,
}

impl RawInput {
    fn check(&self, known: Option<&KeyCache>) -> Result<(SignatureParams, VerifyingKey), SignatureRejection> {
        let covered = Covered::read(&self.components)?;
        let order = self.order()?;
        let created = match self.value(Parameter::Created)? {
            Value::Integer(created) => u64::try_from(*created).ok(),
            Value::Text(_) | Value::Other => None,
        };
        let created = created.ok_or(SignatureRejection::ParameterType("created"))?;
        if self.text(Parameter::Alg)? != ALGORITHM {
            return Err(SignatureRejection::Algorithm);
        }
        if self.text(Parameter::Tag)? != TAG {
            return Err(SignatureRejection::Tag);
        }
        let nonce = self.text(Parameter::Nonce)?.parse().map_err(SignatureRejection::Nonce)?;
        let (user, key) =
            UserId::read(self.text(Parameter::KeyId)?, known).map_err(SignatureRejection::KeyId)?;
        Ok((SignatureParams { covered, order, created, nonce, user }, key))
    }

    /// The order of the parameters; each of the five is there exactly once, and nothing else.
    fn order(&self) -> Result<[Parameter; 5], SignatureRejection> {
        let mut order = Vec::with_capacity(Parameter::ALL.len());
        for (name, _) in &self.parameters {
            let parameter = Parameter::ALL
                .into_iter()
                .find(|parameter| parameter.name() == name)
                .ok_or_else(|| SignatureRejection::UnexpectedParameter(shortened(name)))?;
            if order.contains(&parameter) {
                return Err(SignatureRejection::RepeatedParameter(parameter.name()));
            }
            order.push(parameter);
        }
        let missing = Parameter::ALL.into_iter().find(|parameter| !order.contains(parameter));
        order
            .try_into()
            .map_err(|_| SignatureRejection::MissingParameter(missing.unwrap_or(Parameter::Created).name()))
    }

    fn value(&self, parameter: Parameter) -> Result<&Value, SignatureRejection> {
        self.parameters
            .iter()
            .find(|(name, _)| name == parameter.name())
            .map(|(_, value)| value)
            .ok_or(SignatureRejection::MissingParameter(parameter.name()))
    }

    fn text(&self, parameter: Parameter) -> Result<&str, SignatureRejection> {
        match self.value(parameter)? {
            Value::Text(text) => Ok(text),
            Value::Integer(_) | Value::Other => Err(SignatureRejection::ParameterType(parameter.name())),
        }
    }
}

/// The byte sequence under our label; `None` when it is not 64 bytes without parameters.
#[derive(Default)]
struct RawSignature {
    bytes: Option<[u8; 64]>,
}

/// Collects what stands under our label, and how often; other labels are only parsed.
#[derive(Default)]
struct Member<T> {
    count: usize,
    value: T,
}

impl<T: Default> Member<T>
where
    for<'a, 'de> Entry<'a, T>: EntryVisitor<'de>,
{
    fn read(text: &[u8], field: &'static str) -> Result<Option<T>, SignatureRejection> {
        if text.len() > MAX_FIELD_BYTES {
            return Err(SignatureRejection::FieldTooLong(field));
        }
        let member = sfv::Parser::new(text)
            .parse_dictionary_with_visitor(Self::default())
            .map_err(|_| SignatureRejection::Malformed(field))?;
        match member.count {
            0 => Ok(None),
            1 => Ok(Some(member.value)),
            _ => Err(SignatureRejection::RepeatedMember(field)),
        }
    }
}

struct Entry<'a, T>(&'a mut T);

impl<'de, T> DictionaryVisitor<'de> for Member<T>
where
    for<'a> Entry<'a, T>: EntryVisitor<'de>,
{
    type Out = Self;
    type Error = std::convert::Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        if key.as_str() != LABEL {
            return Ok(None);
        }
        self.count += 1;
        Ok(Some(Entry(&mut self.value)))
    }

    fn finish(self) -> Result<Self, Self::Error> {
        Ok(self)
    }
}

impl<'de> EntryVisitor<'de> for Entry<'_, RawSignature> {
    type Error = std::convert::Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        let bytes = &mut self.0.bytes;
        Ok(move |value: BareItemFromInput<'de>| {
            *bytes = match value {
                BareItemFromInput::ByteSequence(bytes) => bytes.try_into().ok(),
                _ => None,
            };
            Ok::<_, Self::Error>(NoParameters(move || *bytes = None))
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Entry<'_, RawInput> {
    type Error = std::convert::Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        self.0.is_list = true;
        Ok(self)
    }
}

impl<'de> InnerListVisitor<'de> for Entry<'_, RawInput> {
    type Error = std::convert::Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        let components = &mut self.0.components;
        Ok(move |value: BareItemFromInput<'de>| {
            components.push(match value {
                BareItemFromInput::String(name) => Component::Plain(name.as_str().to_owned()),
                _ => Component::Other,
            });
            Ok::<_, Self::Error>(NoParameters(move || {
                components.pop();
                components.push(Component::Other);
            }))
        })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Self::Error> {
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for Entry<'_, RawInput> {
    type Out = ();
    type Error = std::convert::Infallible;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Self::Error> {
        let value = match value {
            BareItemFromInput::Integer(number) => Value::Integer(number.into()),
            BareItemFromInput::String(text) => Value::Text(text.as_str().to_owned()),
            _ => Value::Other,
        };
        self.0.parameters.push((key.as_str().to_owned(), value));
        Ok(())
    }

    fn finish(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Calls back when an item that takes no parameters has some.
struct NoParameters<F>(F);

impl<'de, F: FnMut()> ParameterVisitor<'de> for NoParameters<F> {
    type Out = ();
    type Error = std::convert::Infallible;

    fn parameter(&mut self, _key: &'de KeyRef, _value: BareItemFromInput<'de>) -> Result<(), Self::Error> {
        (self.0)();
        Ok(())
    }

    fn finish(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// Structured field strings and keys are ASCII, so any byte index is a character's.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

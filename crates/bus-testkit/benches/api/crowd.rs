//! Who asks: users of one run, enough of them that none meets its own limit.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use busauth::{HttpNonce, Identity, IdentityCard, RequestTarget, http_signature};
use http::Method;

use crate::{bare, server::Contender};

/// Users; the bus lets each have 100 requests a second.
const USERS: usize = 256;

const CARDS: &str = "cards";

/// The users with their keys.
pub(crate) struct Crowd(Vec<Identity>);

/// A request as it goes over the wire, and what its answer has to hold.
pub(crate) struct Signed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) user: String,
}

impl Crowd {
    /// Makes users and writes down who they are.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let users: Vec<Identity> = (0..USERS).map(|_| Identity::generate()).collect();
        let cards: Vec<String> = users.iter().map(|user| user.card(None).to_string()).collect();
        fs::write(directory.join(CARDS), cards.join("\n"))?;
        Ok(Self(users))
    }

    /// The request number `number`, signed now.
    pub(crate) fn request(&self, contender: Contender, address: SocketAddr, number: usize) -> Result<Signed> {
        let user = &self.0[number % self.0.len()];
        let authority = address.to_string();
        let mut head = String::new();
        match contender {
            Contender::Bus => {
                let target = RequestTarget {
                    method: &Method::GET,
                    authority: &authority,
                    path: "/v1/me",
                    query: None,
                };
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
                write!(head, "GET /v1/me HTTP/1.1\r\nhost: {authority}\r\n")?;
                for (name, value) in &http_signature::sign(user, &target, None, now, &HttpNonce::random()) {
                    write!(head, "{name}: {}\r\n", value.to_str()?)?;
                }
            }
            Contender::Bare => {
                let message = format!("{authority} {number}");
                let signature = user.sign(message.as_bytes());
                write!(head, "GET / HTTP/1.1\r\nhost: {authority}\r\n")?;
                let (key, signed, by) = (bare::KEY, bare::MESSAGE, bare::SIGNATURE);
                write!(head, "{key}: {}\r\n{signed}: {message}\r\n{by}: {signature}\r\n", user.id())?;
            }
        }
        head.push_str("\r\n");
        Ok(Signed { bytes: head.into_bytes(), user: user.id().to_string() })
    }
}

/// The cards that [`Crowd::create`] wrote.
pub(crate) fn cards(directory: &Path) -> Result<Vec<IdentityCard>> {
    let text = fs::read_to_string(directory.join(CARDS))?;
    text.lines().map(|card| card.parse().context("a card")).collect()
}

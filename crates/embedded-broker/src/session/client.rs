//! What a client said about itself and how it wants to be treated.

use crate::protocol::{ConnectError, ConnectRequest};

/// The settings of a client, from its CONNECTs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of CONNECT")]
pub(crate) struct Client {
    /// Each operation is answered with `+OK`.
    pub(crate) verbose: bool,
    /// Publish subjects are checked.
    pub(crate) pedantic: bool,
    /// It receives what it publishes itself.
    pub(crate) echo: bool,
    /// It understands headers.
    pub(crate) headers: bool,
    /// It wants to hear that a request reached nobody.
    pub(crate) no_responders: bool,
    /// It understands INFO at any time.
    pub(crate) async_info: bool,
    pub(crate) name: Option<Box<str>>,
    pub(crate) lang: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
}

/// Longest text kept of what a client says about itself; it is kept as long as the connection lasts.
const MAX_TEXT: usize = 256;

impl Default for Client {
    /// A client that has not sent CONNECT, by nats-server's defaults: those for somebody with telnet.
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            async_info: false,
            name: None,
            lang: None,
            version: None,
        }
    }
}

impl Client {
    /// These settings with a CONNECT laid over them: what it leaves out stays as it was.
    pub(crate) fn with(&self, connect: &ConnectRequest) -> Result<Self, ConnectError> {
        let text = |new: &Option<String>, old: &Option<Box<str>>| match new {
            Some(new) => Some(Box::from(&new[..new.floor_char_boundary(MAX_TEXT)])),
            None => old.clone(),
        };
        let client = Self {
            verbose: connect.verbose.unwrap_or(self.verbose),
            pedantic: connect.pedantic.unwrap_or(self.pedantic),
            echo: connect.echo.unwrap_or(self.echo),
            headers: connect.headers.unwrap_or(self.headers),
            no_responders: connect.no_responders.unwrap_or(self.no_responders),
            async_info: match connect.protocol {
                None => self.async_info,
                Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(ConnectError::Protocol),
            },
            name: text(&connect.name, &self.name),
            lang: text(&connect.lang, &self.lang),
            version: text(&connect.version, &self.version),
        };
        if client.no_responders && !client.headers {
            return Err(ConnectError::NoRespondersNeedsHeaders);
        }
        Ok(client)
    }
}

//! What a client can ask for, as parsed from its bytes.

/// One operation of a client. Slices point into the bytes it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientOp<'a> {
    /// `CONNECT`, with its JSON not yet read.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB`.
    Subscribe(Subscribe<'a>),
    /// `UNSUB`.
    Unsubscribe(Unsubscribe<'a>),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK` or `INFO`, which mean nothing from a client.
    Ignored,
}

/// A message on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The subject as sent; not checked in any way.
    pub subject: &'a [u8],
    /// The reply subject as sent.
    pub reply: Option<&'a [u8]>,
    /// Bytes of `body` that are the header block; 0 for `PUB`.
    pub header_len: usize,
    /// Header block and payload.
    pub body: &'a [u8],
}

/// A wish to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The filter as sent.
    pub filter: &'a [u8],
    /// The queue group as sent.
    pub queue: Option<&'a [u8]>,
    /// The client's name for the subscription: any token.
    pub sid: &'a [u8],
}

/// The end of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The client's name for the subscription.
    pub sid: &'a [u8],
    /// End it after so many messages since it began. 0, and anything that is no number, mean now.
    pub max: Option<u64>,
}

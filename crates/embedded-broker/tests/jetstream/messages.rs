//! Messages as they come off the wire.

/// One MSG or HMSG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) headers: Option<Headers>,
    pub(super) body: String,
}

/// What stands before the body of an HMSG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headers {
    /// What follows `NATS/1.0` on the first line.
    pub(super) status: String,
    /// `Name: value`, as they came.
    pub(super) lines: Vec<String>,
}

impl Headers {
    pub(super) fn parse(block: &str) -> Self {
        let mut lines = block.trim_end_matches("\r\n").split("\r\n").map(ToOwned::to_owned);
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("NATS/1.0").unwrap_or(&first).trim().to_owned();
        Self { status, lines: lines.collect() }
    }
}

/// The number of the subscription and the message of a frame, if it is one.
pub(super) fn parse(frame: &str) -> Option<(usize, Message)> {
    let (head, rest) = frame.split_once("\r\n")?;
    let words: Vec<_> = head.split(' ').collect();
    let (has_headers, sizes) = match words[0] {
        "MSG" => (false, 1),
        "HMSG" => (true, 2),
        _ => return None,
    };
    let reply = (words.len() == 4 + sizes).then(|| words[3].to_owned());
    let payload = &rest[..rest.len() - 2];
    let (headers, body) = if has_headers {
        let length: usize = words[words.len() - 2].parse().ok()?;
        (Some(Headers::parse(&payload[..length])), &payload[length..])
    } else {
        (None, payload)
    };
    let message = Message { subject: words[1].to_owned(), reply, headers, body: body.to_owned() };
    Some((words[2].parse().ok()?, message))
}

/// The tokens of an acknowledgement's subject.
pub(super) struct AckSubject<'a> {
    pub(super) stream: &'a str,
    pub(super) consumer: &'a str,
    pub(super) delivered: &'a str,
    pub(super) stream_sequence: &'a str,
    pub(super) consumer_sequence: &'a str,
    pub(super) pending: &'a str,
}

impl<'a> AckSubject<'a> {
    pub(super) fn parse(subject: &'a str) -> Option<Self> {
        let tokens: Vec<_> = subject.strip_prefix("$JS.ACK.")?.split('.').collect();
        let [stream, consumer, delivered, stream_sequence, consumer_sequence, timestamp, pending] =
            tokens[..]
        else {
            return None;
        };
        timestamp.parse::<u64>().ok()?;
        Some(Self { stream, consumer, delivered, stream_sequence, consumer_sequence, pending })
    }
}

//! Why a connection ended, and what the client is told about it. The only place that knows `-ERR` texts which
//! end a connection.

use std::fmt;

use crate::protocol::{ConnectError, ParseError};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client closed it.
    ClientClosed,
    /// Reading or writing failed.
    Io,
    /// What the client sent could not be parsed.
    Parse(ParseError),
    /// Its CONNECT was refused.
    Connect(ConnectError),
    /// It presented wrong credentials, or its user lost every right.
    AuthorizationViolation,
    /// It did not log in in time.
    AuthenticationTimeout,
    /// TLS was not established, or not in time.
    Tls,
    /// Its user was revoked.
    Revoked,
    /// Its login ran out.
    Expired,
    /// The host process disconnected it.
    Kicked,
    /// More connections than allowed.
    TooManyConnections,
    /// It did not answer PINGs.
    Stale,
    /// More bytes waited for it than allowed.
    SlowConsumerBytes,
    /// It took no byte for too long.
    SlowConsumerStalled,
    /// The broker stops.
    Shutdown,
}

/// Why the host process disconnects a user; it decides what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// `User Authentication Revoked`: the user may not come back.
    Revoked,
    /// `User Authentication Expired`: it has to log in again.
    Expired,
    /// Nothing: the connection just ends, and clients reconnect.
    Kicked,
}

impl CloseReason {
    /// The text of the final `-ERR`, for the reasons that have one.
    pub(crate) fn error_text(self) -> Option<&'static str> {
        Some(match self {
            Self::Parse(ParseError::UnknownOperation) => "Unknown Protocol Operation",
            Self::Parse(ParseError::ControlLineTooLong) => "maximum control line exceeded",
            Self::Parse(ParseError::PayloadTooLarge) => "Maximum Payload Violation",
            Self::Parse(ParseError::ConnectExpected) | Self::AuthorizationViolation => {
                "Authorization Violation"
            }
            Self::Connect(ConnectError::Protocol) => "invalid client protocol",
            Self::Connect(ConnectError::NoRespondersNeedsHeaders) => "no responders requires headers support",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::Revoked => "User Authentication Revoked",
            Self::Expired => "User Authentication Expired",
            Self::TooManyConnections => "maximum connections exceeded",
            Self::Stale => "Stale Connection",
            // A slow consumer could not read it, a broken one would not, and the rest are not errors.
            Self::ClientClosed
            | Self::Io
            | Self::Parse(ParseError::Malformed | ParseError::ErrorFromClient)
            | Self::Connect(ConnectError::Malformed)
            | Self::Tls
            | Self::Kicked
            | Self::SlowConsumerBytes
            | Self::SlowConsumerStalled
            | Self::Shutdown => return None,
        })
    }

    /// Whether the client was too slow.
    pub(crate) fn is_slow_consumer(self) -> bool {
        matches!(self, Self::SlowConsumerBytes | Self::SlowConsumerStalled)
    }
}

impl From<DisconnectReason> for CloseReason {
    fn from(reason: DisconnectReason) -> Self {
        match reason {
            DisconnectReason::Revoked => Self::Revoked,
            DisconnectReason::Expired => Self::Expired,
            DisconnectReason::Kicked => Self::Kicked,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientClosed => f.write_str("client closed"),
            Self::Io => f.write_str("read or write failed"),
            Self::Parse(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::AuthorizationViolation => f.write_str("authorization violation"),
            Self::AuthenticationTimeout => f.write_str("authentication timeout"),
            Self::Tls => f.write_str("TLS handshake failed"),
            Self::Revoked => f.write_str("user revoked"),
            Self::Expired => f.write_str("login expired"),
            Self::Kicked => f.write_str("disconnected by the host"),
            Self::TooManyConnections => f.write_str("too many connections"),
            Self::Stale => f.write_str("stale connection"),
            Self::SlowConsumerBytes => f.write_str("slow consumer: too many bytes pending"),
            Self::SlowConsumerStalled => f.write_str("slow consumer: write stalled"),
            Self::Shutdown => f.write_str("broker shut down"),
        }
    }
}

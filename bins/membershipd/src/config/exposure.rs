//! Who can reach the bus and what protects it. The three shapes a node may have are the three variants:
//! a public bus whose requests are not signed has none.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use busauth::AuthMode;

use super::reader::Reader;
use super::setting::Setting;

/// Who can reach the bus and what protects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Only this machine, without TLS. The one shape in which request authentication may be relaxed.
    Local {
        /// A loopback address.
        address: IpAddr,
        /// What is asked of requests.
        auth: AuthMode,
    },
    /// TLS on both planes, requests enforced.
    Tls {
        /// Any address.
        address: IpAddr,
        /// Where the certificate comes from.
        source: TlsSource,
    },
    /// Reachable from elsewhere without TLS because somebody asked for it; requests enforced.
    PublicPlaintext {
        /// A public address.
        address: IpAddr,
    },
}

/// Where the certificate of both planes comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// Two PEM files that somebody else keeps up to date.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The key of the leaf.
        key: PathBuf,
    },
    /// A certificate authority of this bus's own, made at first start.
    LocalAuthority,
}

impl Exposure {
    /// The address both planes listen on.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Local { address, .. } | Self::Tls { address, .. } | Self::PublicPlaintext { address } => {
                *address
            }
        }
    }

    /// What is asked of requests.
    pub fn auth(&self) -> AuthMode {
        match self {
            Self::Local { auth, .. } => *auth,
            Self::Tls { .. } | Self::PublicPlaintext { .. } => AuthMode::Enforce,
        }
    }

    /// Whether others than this machine can reach the bus.
    pub fn is_public(&self) -> bool {
        !self.address().is_loopback()
    }

    /// Where the certificate comes from, with TLS.
    pub fn tls(&self) -> Option<&TlsSource> {
        match self {
            Self::Tls { source, .. } => Some(source),
            Self::Local { .. } | Self::PublicPlaintext { .. } => None,
        }
    }

    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::PublicPlaintext { address } => Some(format!(
                "the bus listens on {address} without TLS: who talks to whom can be read on the network; leave \
                 --plaintext out, or set --tls-cert and --tls-key"
            )),
            Self::Local { auth: AuthMode::Soft | AuthMode::Off, .. } => Some(
                "requests need no signature: every program on this machine can name itself any user who is not \
                 an admin; set --bus-auth enforce for anything but development"
                    .to_owned(),
            ),
            Self::Local { .. } | Self::Tls { .. } => None,
        }
    }

    /// The exposure the settings ask for; `None` when they contradict each other, which is reported.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let address = reader.text(Setting::BIND, IpAddr::V4(Ipv4Addr::LOCALHOST), parse_address);
        let auth = reader.text(Setting::BUS_AUTH, AuthMode::Enforce, parse_auth);
        let plaintext = reader.text(Setting::PLAINTEXT, false, parse_flag);
        let certificate = reader.path(Setting::TLS_CERT);
        let key = reader.path(Setting::TLS_KEY);

        if plaintext && (certificate.is_some() || key.is_some()) {
            reader.refuse(
                &[Setting::PLAINTEXT, Setting::TLS_CERT, Setting::TLS_KEY],
                "no TLS and a TLS certificate were asked for at once: set one of the two".to_owned(),
            );
            return None;
        }
        let files = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsSource::Files { certificate, key }),
            (None, None) => None,
            (certificate, _) => {
                let missing = if certificate.is_some() { Setting::TLS_KEY } else { Setting::TLS_CERT };
                reader.refuse(
                    &[Setting::TLS_CERT, Setting::TLS_KEY],
                    format!("only half of the pair is there: set {} as well", missing.flag()),
                );
                return None;
            }
        };
        if auth != AuthMode::Enforce && (files.is_some() || !address.is_loopback()) {
            let because = if address.is_loopback() {
                "TLS is on".to_owned()
            } else {
                format!("{address} can be reached from elsewhere")
            };
            reader.refuse(
                &[Setting::BUS_AUTH],
                format!(
                    "{because}, so requests must be signed: set --bus-auth enforce, or serve 127.0.0.1 without TLS"
                ),
            );
            return None;
        }
        Some(match (files, address.is_loopback(), plaintext) {
            (Some(source), ..) => Self::Tls { address, source },
            (None, true, _) => Self::Local { address, auth },
            (None, false, false) => Self::Tls { address, source: TlsSource::LocalAuthority },
            (None, false, true) => Self::PublicPlaintext { address },
        })
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        format!("\"{text}\" is not an address: for instance 127.0.0.1, or 0.0.0.0 for every interface")
    })
}

fn parse_auth(text: &str) -> Result<AuthMode, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a mode: enforce, soft or off"))
}

fn parse_flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(format!("\"{other}\" is neither true nor false")),
    }
}

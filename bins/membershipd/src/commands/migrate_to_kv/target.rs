//! Where a bus is moved to, and how that is reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context};
use cluster::is_loopback_url;
use zeroize::Zeroizing;

use super::failure::MigrateFailure;
use crate::args::MigrateArgs;
use crate::failure::Failure;
use crate::guards::check_key_file;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a bus is moved to.
#[derive(Debug)]
pub(super) enum Target {
    /// The streams of this very bus.
    Own,
    /// Somebody's NATS.
    Nats {
        url: String,
        ca: Option<PathBuf>,
        /// To the account of control state.
        control: Login,
        /// To the account in which rooms are.
        bus: Login,
    },
}

/// How a connection logs in. Secrets are named by their files: what is typed can be seen by others.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Nobody,
    Nkey(PathBuf),
    Creds(PathBuf),
}

impl Login {
    fn of(nkey: Option<&PathBuf>, creds: Option<&PathBuf>) -> Option<Self> {
        nkey.cloned().map(Self::Nkey).or_else(|| creds.cloned().map(Self::Creds))
    }
}

impl Target {
    /// Reads what was typed.
    pub(super) fn read(arguments: &MigrateArgs) -> Result<Self, Failure> {
        let control = Login::of(arguments.nats_nkey_file.as_ref(), arguments.nats_creds_file.as_ref());
        let bus = Login::of(arguments.bus_nkey_file.as_ref(), arguments.bus_creds_file.as_ref());
        let Some(url) = arguments.nats_url.clone() else {
            if arguments.streams || arguments.blobs {
                return Err(Failure::usage(
                    "--blobs and --streams need --nats-url: without it, files and what rooms remember stay where they \
                     are, and the daemon finds them there",
                ));
            }
            if control.is_some() || bus.is_some() || arguments.ca.is_some() {
                return Err(Failure::usage("--ca and login files belong to --nats-url, which is missing"));
            }
            return Ok(Self::Own);
        };
        if has_password(&url) {
            return Err(Failure::usage(
                "--nats-url must not hold a password, which others can see: use --nats-nkey-file or --nats-creds-file",
            ));
        }
        if !is_loopback_url(&url) && arguments.ca.is_none() {
            return Err(Failure::usage(format!(
                "{url} is another machine, and everything about the bus would go there: pin its TLS with --ca FILE"
            )));
        }
        let control = control.unwrap_or(Login::Nobody);
        let bus = bus.unwrap_or_else(|| control.clone());
        Ok(Self::Nats { url, ca: arguments.ca.clone(), control, bus })
    }

    /// The JetStream in which users and rooms, and files, are kept.
    pub(super) async fn control(&self) -> Result<Context, Failure> {
        match self {
            Self::Nats { url, ca, control, .. } => connect(url, ca.as_deref(), control).await,
            Self::Own => Err(Failure::usage("the streams of this bus are reached from within")),
        }
    }

    /// The JetStream in which messages are kept.
    pub(super) async fn bus(&self) -> Result<Context, Failure> {
        match self {
            Self::Nats { url, ca, bus, .. } => connect(url, ca.as_deref(), bus).await,
            Self::Own => Err(Failure::usage("the streams of this bus are reached from within")),
        }
    }
}

fn has_password(urls: &str) -> bool {
    urls.split(',').any(|url| url.split("://").last().is_some_and(|rest| rest.contains('@')))
}

async fn connect(url: &str, ca: Option<&Path>, login: &Login) -> Result<Context, Failure> {
    let mut options = ConnectOptions::new().name("membershipd migrate-to-kv");
    options = match login {
        Login::Nobody => options,
        Login::Nkey(path) => {
            check_key_file(path).map_err(MigrateFailure::from)?;
            let seed = std::fs::read_to_string(path).map(Zeroizing::new);
            let seed = seed.map_err(|source| MigrateFailure::Login { path: path.clone(), source })?;
            options.nkey(seed.trim().to_owned())
        }
        Login::Creds(path) => {
            check_key_file(path).map_err(MigrateFailure::from)?;
            let loaded = options.credentials_file(path).await;
            loaded.map_err(|source| MigrateFailure::Login { path: path.clone(), source })?
        }
    };
    if let Some(ca) = ca {
        options = options.add_root_certificates(ca.to_owned()).require_tls(true);
    }
    let servers: Vec<&str> = url.split(',').map(str::trim).collect();
    let client = options.connection_timeout(CONNECT_TIMEOUT).connect(servers).await;
    let client =
        client.map_err(|error| MigrateFailure::Connect { url: url.to_owned(), reason: error.to_string() })?;
    Ok(jetstream::new(client))
}

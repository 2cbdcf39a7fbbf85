//! Where a bus is moved to, and how that is reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context};
use cluster::{EnteredNats, Replicas, ServiceAccess, is_loopback_url};
use zeroize::Zeroizing;

use super::failure::MigrateFailure;
use crate::args::{MigrateArgs, NodeFlags};
use crate::config::{Config, Environment, ExternalSettings, Plane, StoreKind};
use crate::failure::Failure;
use crate::guards::check_key_file;

/// What servers show of this command.
const NAME: &str = "membershipd migrate-to-kv";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a bus is moved to.
#[derive(Debug)]
pub(super) enum Target {
    /// The streams of this very bus.
    Own,
    /// The cluster that the settings are about, through this node.
    Cluster,
    /// The NATS that the settings are about, as its operator has set it up for a daemon.
    External(Box<ExternalSettings>),
    /// Somebody's NATS.
    Nats(Box<Nats>),
}

/// Somebody's NATS, with a login that is ours.
#[derive(Debug)]
pub(super) struct Nats {
    url: String,
    ca: Option<PathBuf>,
    /// To the account of control state.
    control: Login,
    /// To the account in which rooms are.
    bus: Login,
    /// How many servers keep what is made.
    pub(super) replicas: usize,
}

/// How a connection logs in. Secrets are named by their files: what is typed can be seen by others.
#[derive(Debug, Clone)]
enum Login {
    Nobody,
    Nkey(PathBuf),
    Creds(PathBuf),
}

impl Login {
    /// Whether any of the files is given.
    fn is_named(arguments: &MigrateArgs) -> bool {
        let MigrateArgs { nats_nkey_file, nats_creds_file, bus_nkey_file, bus_creds_file, .. } = arguments;
        [nats_nkey_file, nats_creds_file, bus_nkey_file, bus_creds_file].iter().any(|file| file.is_some())
    }

    fn of(nkey: Option<&PathBuf>, creds: Option<&PathBuf>) -> Option<Self> {
        nkey.cloned().map(Self::Nkey).or_else(|| creds.cloned().map(Self::Creds))
    }
}

impl Target {
    /// Reads what was typed, and the settings with it. What was typed is checked before anything is opened.
    pub(super) fn read(
        arguments: &MigrateArgs,
        environment: &Environment,
    ) -> Result<(Self, Config), Failure> {
        let with_secret = arguments.node.nats_secret_file.is_some();
        if with_secret && Login::is_named(arguments) {
            return Err(Failure::usage(
                "--nats-secret-file is what a daemon works with at a NATS, and the login files are for one that is not \
                 set up for it: give one of the two",
            ));
        }
        let nats = if with_secret { None } else { Nats::read(arguments)? };
        if let Some(nats) = nats {
            // To the daemon these would mean where it works, and not where its data goes.
            let flags = NodeFlags { nats_url: None, ca: None, kv_replicas: None, ..arguments.node.clone() };
            refuse_other_source(arguments)?;
            return Ok((Self::Nats(Box::new(nats)), Config::load(&flags, environment)?));
        }
        let config = Config::load(&arguments.node, environment)?;
        if matches!(config.plane, Plane::Clustered(_)) {
            return Ok((Self::Cluster, config));
        }
        if let Plane::External(settings) = &config.plane {
            let settings = settings.clone();
            check_external(arguments, &settings)?;
            return Ok((Self::External(settings), config));
        }
        if arguments.streams || arguments.blobs {
            return Err(Failure::usage(
                "--blobs and --streams need --nats-url or --cluster-name: without either, files and what rooms \
                 remember stay where they are, and the daemon finds them there",
            ));
        }
        refuse_other_source(arguments)?;
        Ok((Self::Own, config))
    }
}

/// Refuses what a daemon with these settings would not find there.
fn check_external(arguments: &MigrateArgs, settings: &ExternalSettings) -> Result<(), Failure> {
    if settings.store == StoreKind::Sqlite {
        return Err(Failure::usage(
            "with --store sqlite users and rooms stay in the database: leave it out to move them into the NATS",
        ));
    }
    if arguments.blobs {
        return Err(Failure::usage(
            "files in rooms stay beside the daemon at a NATS that somebody else runs: leave --blobs out, and give the \
             daemon the same --store-dir",
        ));
    }
    Ok(())
}

/// Connects with the keys that are made from the secret: to the account of users and rooms, and to that of messages.
pub(super) async fn enter(settings: &ExternalSettings) -> Result<(Context, Context), Failure> {
    let entered = EnteredNats::enter(&settings.nats).await.map_err(MigrateFailure::External)?;
    let (control, bus) = (entered.control_access(), entered.bus_access());
    Ok((connect_with(control).await?, connect_with(bus).await?))
}

async fn connect_with(access: &ServiceAccess) -> Result<Context, Failure> {
    let options = access.options().name(NAME);
    // In a box because it is large, and so would be every future around it.
    let client = Box::pin(options.connect(access.urls())).await;
    Ok(jetstream::new(client.map_err(|error| unreached(&access.urls().join(","), &error))?))
}

fn unreached(url: &str, error: &async_nats::ConnectError) -> MigrateFailure {
    MigrateFailure::Connect { url: url.to_owned(), reason: error.to_string() }
}

fn refuse_other_source(arguments: &MigrateArgs) -> Result<(), Failure> {
    let MigrateArgs { from, from_store_dir, from_nats_store, .. } = arguments;
    if from.is_some() || from_store_dir.is_some() || from_nats_store.is_some() {
        return Err(Failure::usage(
            "--from names the bus that is moved to where a daemon with these settings works, and there is neither \
             --cluster-name nor --nats-secret-file: name its database with --db",
        ));
    }
    Ok(())
}

impl Nats {
    fn read(arguments: &MigrateArgs) -> Result<Option<Self>, Failure> {
        let control = Login::of(arguments.nats_nkey_file.as_ref(), arguments.nats_creds_file.as_ref());
        let bus = Login::of(arguments.bus_nkey_file.as_ref(), arguments.bus_creds_file.as_ref());
        let Some(url) = arguments.node.nats_url.clone() else {
            if control.is_some() || bus.is_some() || arguments.node.ca.is_some() {
                return Err(Failure::usage("--ca and login files belong to --nats-url, which is missing"));
            }
            return Ok(None);
        };
        if arguments.node.cluster_name.is_some() {
            return Err(Failure::usage(
                "--nats-url and --cluster-name are two places to move to: give one of them",
            ));
        }
        if has_password(&url) {
            return Err(Failure::usage(
                "--nats-url must not hold a password, which others can see: use --nats-nkey-file or --nats-creds-file",
            ));
        }
        if !is_loopback_url(&url) && arguments.node.ca.is_none() {
            return Err(Failure::usage(format!(
                "{url} is another machine, and everything about the bus would go there: pin its TLS with --ca FILE"
            )));
        }
        let replicas = match &arguments.node.kv_replicas {
            None => Replicas::ONE,
            Some(text) => text
                .parse::<Replicas>()
                .map_err(|error| Failure::usage(format!("--kv-replicas {text}: {error}")))?,
        };
        let control = control.unwrap_or(Login::Nobody);
        let bus = bus.unwrap_or_else(|| control.clone());
        let ca = arguments.node.ca.as_ref().map(PathBuf::from);
        Ok(Some(Self { url, ca, control, bus, replicas: replicas.get() }))
    }

    /// The JetStream in which users and rooms, and files, are kept.
    pub(super) async fn control(&self) -> Result<Context, Failure> {
        connect(&self.url, self.ca.as_deref(), &self.control).await
    }

    /// The JetStream in which messages are kept.
    pub(super) async fn bus(&self) -> Result<Context, Failure> {
        connect(&self.url, self.ca.as_deref(), &self.bus).await
    }
}

fn has_password(urls: &str) -> bool {
    urls.split(',').any(|url| url.split("://").last().is_some_and(|rest| rest.contains('@')))
}

async fn connect(url: &str, ca: Option<&Path>, login: &Login) -> Result<Context, Failure> {
    let mut options = ConnectOptions::new().name(NAME);
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
    Ok(jetstream::new(client.map_err(|error| unreached(url, &error))?))
}

//! The command line: what can be typed. Values stay text here; `config` parses them together with the
//! other layers, so that one run reports every problem.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::DEFAULT_SECRET_FILE;

/// `membershipd`: the bus daemon and its local administration.
#[derive(Debug, Parser)]
#[command(
    name = "membershipd",
    version,
    about = "The unibus daemon: control plane and data plane in one process",
    after_help = "Settings come from, in rising order: defaults, the file given with --config, UNIBUS_* variables, flags.\n\
                  Exit codes: 0 done, 1 failed at run time, 2 the configuration or the command line is wrong.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; starting the bus when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of the bus when no subcommand is named.
    #[command(flatten)]
    pub node: NodeFlags,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the bus (what happens without a subcommand, too).
    Serve(NodeFlags),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for whatever would keep the bus from starting, or from doing what it is for. Takes the settings of `serve`,
    /// dials every other node of a cluster, and changes nothing.
    Doctor(DoctorArgs),
    /// Make what the nodes of a cluster need of each other: certificates of their own authority, the secret, settings.
    GenClusterCerts(ClusterCertsArgs),
    /// Make the certificates that the nodes of a cluster show to clients, under one authority.
    GenBusCerts(BusCertsArgs),
    /// Print what the operator of an external NATS adds to its configuration. It holds public keys and no secret.
    ExternalConfig(ExternalConfigArgs),
    /// Move users and rooms from the database into JetStream buckets, as a cluster keeps them. The daemon must be stopped.
    MigrateToKv(MigrateArgs),
    /// Look at the cluster that the daemon on this host belongs to, and have more nodes keep what it keeps.
    Cluster(ClusterArgs),
    /// Administer the users of the bus on this host, whether the daemon runs or not.
    User(UserArgs),
}

/// `membershipd config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the effective configuration and where each value comes from; fail as `serve` would.
    Check(NodeFlags),
}

/// `membershipd doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The settings that the bus is started with.
    #[command(flatten)]
    pub node: NodeFlags,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `membershipd gen-cluster-certs`.
#[derive(Debug, Args)]
pub struct ClusterCertsArgs {
    /// The list of nodes; deploy/cluster/nodes.env.example is one to start from.
    #[arg(long, value_name = "FILE", default_value = "deploy/cluster/nodes.env")]
    pub nodes: PathBuf,
    /// Where the files go; a directory that only you can read.
    #[arg(long, value_name = "DIRECTORY", default_value = "deploy/cluster/generated")]
    pub out: PathBuf,
    /// Make new certificates for nodes that have one. The authority stays.
    #[arg(long)]
    pub renew: bool,
    /// The certificate authority of clients, if there is one: it is refused as that of nodes.
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Make a new secret in place of the one that is there.
    #[arg(long)]
    pub new_secret: bool,
}

/// `membershipd gen-bus-certs`.
#[derive(Debug, Args)]
pub struct BusCertsArgs {
    /// The list of nodes; deploy/cluster/nodes.env.example is one to start from.
    #[arg(long, value_name = "FILE", default_value = "deploy/cluster/nodes.env")]
    pub nodes: PathBuf,
    /// Where the files go; a directory that only you can read.
    #[arg(long, value_name = "DIRECTORY", default_value = "deploy/tls")]
    pub out: PathBuf,
    /// Make new certificates for nodes that have one. The authority stays.
    #[arg(long)]
    pub renew: bool,
    /// The certificate authority of the routes, if there is one: it is refused as that of clients.
    #[arg(long, value_name = "FILE")]
    pub route_ca: Option<PathBuf>,
}

/// `membershipd external-config`.
#[derive(Debug, Args)]
pub struct ExternalConfigArgs {
    /// The secret that all keys there are made from. A file that is missing is made, for you only.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SECRET_FILE)]
    pub secret_file: PathBuf,
    /// What the system account of the servers is called.
    #[arg(long, value_name = "NAME", default_value = "SYS")]
    pub system_account: String,
}

/// `membershipd migrate-to-kv`. It can be run again: what is there already is left alone.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The settings that the daemon is started with, in its new place where that is another. With --cluster-name it is moved
    /// into the cluster, through the nats-server of this node; with --nats-url and --nats-secret-file to the NATS at which the
    /// daemon works, and with --nats-url alone to any servers; without either, into the streams of this bus itself, which is
    /// then started with --store kv.
    #[command(flatten)]
    pub node: NodeFlags,
    /// Into a cluster, or to where a daemon works: the database of the bus that is moved, if it is another than --db.
    #[arg(long, value_name = "FILE")]
    pub from: Option<String>,
    /// Into a cluster: where the files of that bus are [default: blobs beside its database].
    #[arg(long, value_name = "DIRECTORY")]
    pub from_store_dir: Option<String>,
    /// Into a cluster, or to where a daemon works: where the streams of that bus are [default: `jetstream` beside its database].
    #[arg(long, value_name = "DIRECTORY")]
    pub from_nats_store: Option<String>,
    /// The seed of the nkey that may enter the account of users and rooms.
    #[arg(long, value_name = "FILE", conflicts_with = "nats_creds_file")]
    pub nats_nkey_file: Option<PathBuf>,
    /// The credentials of the user who may enter it.
    #[arg(long, value_name = "FILE")]
    pub nats_creds_file: Option<PathBuf>,
    /// The same for the account in which messages are kept, where that is another.
    #[arg(long, value_name = "FILE", conflicts_with = "bus_creds_file")]
    pub bus_nkey_file: Option<PathBuf>,
    /// The credentials of the user who may enter that one.
    #[arg(long, value_name = "FILE")]
    pub bus_creds_file: Option<PathBuf>,
    /// Copy the files in rooms, too. Not to where a daemon works at another's NATS: there they stay beside it.
    #[arg(long)]
    pub blobs: bool,
    /// Move what rooms remember, too. Limits by age count from the move.
    #[arg(long)]
    pub streams: bool,
    /// Say what there is to move, and move nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `membershipd cluster …`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Where the bus keeps its data.
    #[command(flatten)]
    pub location: LocationFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What can be done with a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the nodes, and who keeps what.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have the nats-server of this node take the certificates that are in its files now. If they are others than before, its
    /// clients are disconnected and connect anew; so it is done on one node at a time, and refused while one is down.
    Reload {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have more nodes keep users, rooms, files and messages, and wait until they do. It can be done again at any time.
    RaiseReplicas {
        /// How many nodes: 3 or 5.
        replicas: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `membershipd user …`.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// Where the bus keeps its data.
    #[command(flatten)]
    pub location: LocationFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: UserCommand,
}

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Put somebody on the allowlist.
    Add {
        /// The identity card: a file, `-` for standard input, or the card itself (`unibus1:…`).
        #[arg(long, value_name = "FILE|-|CARD")]
        card: String,
        /// The handle, when the card has none or another one is wanted.
        #[arg(long)]
        handle: Option<String>,
        /// admin, member or guest.
        #[arg(long, default_value = "member")]
        role: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the allowlist, revoked users included.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one user.
    Show {
        /// Handle or id.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shut somebody out, on both planes, before this command returns. It cannot be undone.
    Revoke {
        /// Handle or id.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change what somebody may do on the bus.
    SetRole {
        /// Handle or id.
        user: String,
        /// admin, member or guest.
        role: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Settings of the bus. The names of the fields are the keys of the configuration file.
#[derive(Debug, Default, Clone, Args, Serialize)]
pub struct NodeFlags {
    /// A configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The address both planes listen on [default: 127.0.0.1].
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// The port of the control plane, 0 for any [default: 8470].
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_port: Option<String>,
    /// The port of the data plane, 0 for any [default: 4250].
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_port: Option<String>,
    /// The database; its directory is the data directory [default: `./local_files/unibus.db`].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<String>,
    /// The directory of the streams of rooms with history [default: `jetstream` in the data directory].
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_store: Option<String>,
    /// When a stored message is acknowledged: always (on disk), or synced every 10ms to 5m [default: always].
    #[arg(long, value_name = "always|INTERVAL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// Where the files in rooms are kept; a directory of its own [default: blobs beside the database].
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_dir: Option<String>,
    /// What all files of a room may take on the disk, such as 500MiB [default: 10GiB].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_blob_bytes: Option<String>,
    /// What all files of a user may take on the disk, in whichever rooms [default: 10GiB].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_blob_bytes: Option<String>,
    /// How many rooms with history there may be, closed ones included [default: 1000 in a cluster and with --nats-url, else 10000].
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_durable_rooms: Option<String>,
    /// How requests prove who sends them: enforce, soft or off [default: enforce].
    #[arg(long, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus_auth: Option<String>,
    /// The certificate chain of both planes (PEM), reloaded when it changes.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<String>,
    /// The private key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// No TLS on a public address. Rooms that are not encrypted end to end stay refused there.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
    /// A name (host or host:port) under which clients reach this bus; may be given again.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_name: Vec<String>,
    /// A data plane address to tell clients instead of those made from --public-name; may be given again.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_url: Vec<String>,
    /// The name of this server in its answers; in a cluster this node's own, which must not change [default: unibus].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Where users and rooms are kept: sqlite, or kv in the data plane's streams [default: sqlite; kv in a cluster and with --nats-url].
    #[arg(long, value_name = "STORE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// A NATS that somebody else runs, as data plane: `nats://HOST:PORT` or `tls://…`, several separated by commas.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_url: Option<String>,
    /// The authority of its servers (PEM), and no other is believed; needed unless they are on this machine.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The secret that the keys for it are made from, as external-config used it [default: `local_files/nats.secret`].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_secret_file: Option<String>,
    /// How many nodes, or servers of another's NATS, keep users and rooms when they are begun: 1, 3 or 5 [default: 1].
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_replicas: Option<String>,
    /// The cluster this node belongs to; with it the data plane is a nats-server under supervision.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The port that other nodes connect to [default: 6250].
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_port: Option<String>,
    /// Where the other nodes take routes, nats://HOST:PORT; separated by commas, or given again.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Whom nodes log in to each other as [default: route].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_user: Option<String>,
    /// The file with the secret that nodes log in to each other with, the same on every node.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_pass_file: Option<String>,
    /// That secret itself, where everybody on this machine can see it; rather use the file, or `UNIBUS_CLUSTER_PASS`.
    #[arg(long, value_name = "SECRET")]
    #[serde(skip)]
    pub cluster_pass: Option<TypedSecret>,
    /// The certificate that this node shows other nodes (PEM).
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_tls_cert: Option<String>,
    /// The private key of --route-tls-cert (PEM).
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_tls_key: Option<String>,
    /// The authority that made every node's certificate, and nothing else (PEM).
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_tls_ca: Option<String>,
    /// The nats-server to run in a cluster [default: the first one in PATH].
    #[arg(long, value_name = "PROGRAM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_server: Option<String>,
    /// How long a node of a cluster lets users in on what it knew last, 20s to 10m [default: 30s].
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness_bound: Option<String>,
    /// What to log, in the form of `RUST_LOG` (which counts as its variable) [default: `info,async_nats=warn,fjall=warn,lsm_tree=warn`].
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How to log: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
}

/// A secret that was typed. Wiped on drop, and never shown.
#[derive(Clone)]
pub struct TypedSecret(Zeroizing<String>);

impl TypedSecret {
    /// The secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypedSecret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for TypedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedSecret(…)")
    }
}

/// Where a bus keeps its data, for commands that act on it from the same host.
#[derive(Debug, Default, Clone, Args, Serialize)]
pub struct LocationFlags {
    /// The configuration file that the daemon is started with.
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The database that the daemon is started with [default: `./local_files/unibus.db`].
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<String>,
}

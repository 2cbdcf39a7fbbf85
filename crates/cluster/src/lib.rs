//! nats-servers: those of a cluster's nodes under supervision, with what a node is configured with and the certificates
//! of the routes between them, and those that somebody else runs; and who may log in to either.
//!
//! It knows nothing of rooms, stores or HTTP. Who a user is and what it may do is said by a [`busauth::Authenticator`];
//! streams and buckets are made by whoever uses the [`ServiceAccess`] of a node.
//!
//! ```text
//! nodes.env ─ Topology ─► make_certificates            the operator, once
//!
//! ClusterConfig ─ clear ─► Cleared ─► Node::start       the process, at each start
//!                  │                    │ render, launch, enter
//!        all violations at once         ▼
//!                                  nats-server ◄──── mutual TLS ────► the peers' servers
//!                                    │      ▲
//!           who may log in?, locally │      │ health, connections, kicks (account SYS)
//!                                    ▼      │
//!                       responder ─► Authenticator, Kicker
//! ```
//!
//! The server has four accounts without a way from one to another: `AUTH` (logins are asked about), `CTL` (the bus's own
//! data), `BUS` (clients) and `SYS`. The service identities of this process enter them with random keys that exist in
//! its memory only; everybody else is asked about, and enters `BUS` or nothing.
//!
//! At a NATS that somebody else runs ([`ExternalNats`]) the keys are made from a secret, since its operator has their
//! public halves in the configuration; the rest is the same.
//!
//! `examples/node.rs` is a node to try; [`launch`] is what the program that starts servers has to call.
//!
//! # Invariants
//!
//! Named with the tests that hold them (`tests/` is that of this crate):
//!
//! - **What must not be does not start.** Only a [`Cleared`] configuration can be started, and all that is wrong with
//!   one is said at once (`tests/guards.rs`).
//! - **Nodes and clients share no authority.** A certificate made for clients opens no route
//!   (`clients_and_nodes_do_not_share_an_authority`, `the_authority_of_clients_is_refused`).
//! - **Outsiders stay out, and learn why.** Another secret, another authority or another cluster's name makes no route
//!   (`another_secret_another_authority_or_another_cluster_is_turned_away`).
//! - **No secret where others see it.** Configuration, keys and certificates reach the server in memory without a name
//!   (`secrets_and_keys_are_in_no_argument_no_variable_and_no_file`).
//! - **One answer to one question.** Each node decides about its own clients, and nobody else does; more than one answer
//!   can block a nats-server for good (`each_node_answers_for_its_own_clients_and_they_meet`,
//!   `many_logins_at_once_are_each_answered_once`).
//! - **Nothing is said as nothing.** What the rights do not allow, the server does not allow: the same questions put to
//!   both have the same answers (`the_server_allows_what_the_rights_allow`).
//! - **No login slips through.** After rights were changed and the user kicked, no connection has the old ones
//!   (`a_login_that_is_being_answered_does_not_slip_through`), and logins that have ended delay nobody
//!   (`connections_that_have_ended_by_themselves_delay_no_kick`).
//! - **Only what is as it has to be.** At an external NATS nothing is kept until it was seen that logins are decided
//!   here and that nobody gets past that (`tests/external_guards.rs`).
//! - **No server is left out.** Closing connections there reaches every server, or says which it did not reach
//!   (`a_kick_reaches_every_server_and_says_which_it_did_not_reach`).
//! - **Who does not keep up does not answer.** It leaves logins to others until it does
//!   (`two_share_the_logins_and_one_that_hangs_leaves_them_to_the_other`).
//! - **Certificates are exchanged in place.** A server takes new ones while it runs, and nothing that a node may not start
//!   with (`clients_and_peers_are_shown_new_certificates_and_nobody_is_lost`,
//!   `certificates_that_do_not_fit_are_refused_and_those_in_use_stay`).
//! - **A full disk ends.** A server that met one stores again when there is room, nothing acknowledged is lost, and it is not
//!   started again for anything less or in a loop (`tests/full_disk.rs`, `src/node/supervisor/storage.rs`).
//! - **No orphans.** A server does not outlive the process that supervises it, not even when that is killed
//!   (`a_supervisor_that_is_killed_takes_its_server_with_it`), and no two servers use one directory
//!   (`what_cannot_start_says_why`).
//! - **Nothing runs on.** Every task and thread of a node has ended when [`Node::stop`] returns.
//!
//! Linux only: files in memory, death signals and process handles are the kernel's.

mod callout;
mod certificate;
mod config;
mod connections;
mod external;
#[cfg(test)]
mod fixtures;
mod guard;
mod launch;
mod loopback;
mod names;
mod nats_conf;
mod node;
mod node_files;
mod own_tls;
mod owner_only;
mod peer_health;
mod pki;
mod process;
mod route_dial;
mod route_secret;
mod route_url;
mod server;
mod server_log;
mod servers;
mod service_access;
mod service_keys;
mod shared_secret;
mod space;
mod system;
mod topology;
mod version;

pub use certificate::{CertificateError, CertificateSays, certificate_expires, read_certificate};
pub use config::{
    ClusterConfig, ExecHelper, Limits, PairFiles, PartialRouteTls, Replicas, ReplicasError, RouteTlsFiles,
    Sync,
};
pub use connections::{KickError, Kicker};
pub use external::{
    EnteredNats, ExternalConfig, ExternalKeys, ExternalNats, ExternalState, ExternalViolation,
    ExternalViolations, LoginsState, NatsUrls, NatsUrlsError, SystemAccount, SystemAccountError,
    external_config,
};
pub use guard::{Cleared, Violation, Violations, clear};
pub use launch::{LaunchError, launch};
pub use loopback::{is_loopback, is_loopback_host, is_loopback_url};
pub use names::{ClusterName, NameError, NodeName, RouteUser};
pub use node::{
    CertificatesExpire, JetStreamState, Node, NodeState, Phase, Reloader, Stop, StopReport, StorageState,
};
pub use node_files::{NodeFilesError, NodeFilesReport, make_node_files};
pub use owner_only::FileError;
pub use peer_health::{PeerHealth, PeerHealthError};
pub use pki::{
    Made, NodePair, PkiError, PkiJob, PkiReport, ServerPkiJob, make_certificates, make_server_certificates,
};
pub use route_dial::{PeerFound, PeerProblem, dial_peers};
pub use route_secret::{RouteLogin, RouteSecret, SecretError, SecretPlaces, SecretSource, SecretTextError};
pub use route_url::{DEFAULT_ROUTE_PORT, RouteUrl, RouteUrlError};
pub use server::{ReloadError, Reloaded, StartError, version_of};
pub use service_access::ServiceAccess;
pub use service_keys::Account;
pub use shared_secret::{SharedSecret, SharedSecretError, SharedSecretTextError};
pub use system::SystemError;
pub use topology::{Host, HostError, NodeAddresses, RouteNetwork, Topology, TopologyError, TopologyErrors};
pub use version::{ServerVersion, VersionError};

//! Nodes of a cluster of nats-servers: what they are configured with, what must not be, and the certificates of the
//! routes between them.

mod certificate;
mod config;
mod guard;
mod loopback;
mod names;
mod owner_only;
mod pki;
mod private_file;
mod route_secret;
mod route_url;
mod topology;

pub use certificate::CertificateError;
pub use config::{
    ClusterConfig, ExecHelper, Limits, PairFiles, PartialRouteTls, Replicas, ReplicasError, RouteTlsFiles,
    Sync,
};
pub use guard::{Cleared, Violation, Violations, clear};
pub use loopback::{is_loopback, is_loopback_host, is_loopback_url};
pub use names::{ClusterName, NameError, NodeName, RouteUser};
pub use owner_only::FileError;
pub use pki::{Made, NodePair, PkiError, PkiJob, PkiReport, make_certificates};
pub use route_secret::{RouteLogin, RouteSecret, SecretError, SecretPlaces, SecretSource, SecretTextError};
pub use route_url::{DEFAULT_ROUTE_PORT, RouteUrl, RouteUrlError};
pub use topology::{Host, HostError, NodeAddresses, RouteNetwork, Topology, TopologyError, TopologyErrors};

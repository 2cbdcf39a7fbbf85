//! JetStream for the tests of whatever is stored in it.
//!
//! [`Servers`] are the embedded broker, one nats-server, or three that form a cluster and can be killed one by one.
//! A [`Proxy`] is a line to one of them that can be cut, held or made deaf. What runs on one runs on all: a backend's
//! tests take the servers as an argument. [`free_ports`] are for servers whose ports others have to know beforehand.
//!
//! nats-server is looked for in `NATS_SERVER`, the path and `target/tools`. Where there is none, its tests say that they
//! were left out, except with `CI=true`, where that is a failure.

mod ports;
mod proxy;
mod servers;

pub use ports::free_ports;
pub use proxy::Proxy;
pub use servers::{Cluster, Node, PATIENCE, Servers, connect};

//! The backend in JetStream: in the embedded broker, in one nats-server and in three.

#[path = "kv/buckets.rs"]
mod buckets;
#[path = "kv/conformance.rs"]
pub(crate) mod conformance;
#[path = "kv/cuts.rs"]
mod cuts;
#[path = "kv/failover.rs"]
mod failover;
#[path = "kv/nonces.rs"]
mod nonces;
#[path = "kv/proxy.rs"]
mod proxy;
#[path = "kv/races.rs"]
mod races;
#[path = "kv/servers.rs"]
pub(crate) mod servers;

//! The backend in JetStream: in the embedded broker, in one nats-server and in three.

#[path = "kv/buckets.rs"]
mod buckets;
#[path = "kv/conformance.rs"]
pub(crate) mod conformance;
#[path = "kv/cuts.rs"]
mod cuts;
#[path = "kv/deleted.rs"]
mod deleted;
#[path = "kv/failover.rs"]
mod failover;
#[path = "kv/nonces.rs"]
mod nonces;
#[path = "kv/races.rs"]
mod races;
#[path = "kv/rewound.rs"]
mod rewound;

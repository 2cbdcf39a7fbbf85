//! The backend in JetStream: in the embedded broker, in one nats-server and in three.

#[path = "jetstream/conformance.rs"]
mod conformance;
#[path = "jetstream/copies.rs"]
mod copies;
#[path = "jetstream/copying.rs"]
mod copying;
#[path = "jetstream/failover.rs"]
mod failover;
#[path = "jetstream/leftovers.rs"]
mod leftovers;
#[path = "jetstream/other_clients.rs"]
mod other_clients;
#[path = "jetstream/room.rs"]
mod room;
#[path = "jetstream/world.rs"]
mod world;

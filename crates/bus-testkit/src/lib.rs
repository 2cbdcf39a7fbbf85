//! A whole bus inside a test: control plane, data plane and store, on free ports of 127.0.0.1, gone when the
//! test is over.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use bus_testkit::{BusRole, TestBus};
//!
//! let bus = TestBus::start().await?;
//! let alice = bus.admit("alice", BusRole::Member).await?;
//! let client = bus.client(&alice).await?;
//! // … whatever your program does with a bus …
//! client.shutdown().await?;
//! bus.stop().await
//! # }
//! ```
//!
//! It is the daemon that runs in production, started through the same library; nothing is replaced. What a
//! test can take hold of:
//!
//! - [`TestBus`]: the bus and its admin. [`TestBus::client`] is the SDK, [`TestBus::nats`] a stock NATS client,
//!   [`TestBus::control`] signed requests without the SDK. [`TestBus::restart`] keeps data and ports.
//! - [`PlainRoom`]: a room without encryption, for tests of stock NATS clients.
//! - [`TestBus::service`]: the data plane with all rights, to forge, replay and drop what a hostile one would.
//! - [`LyingProxy`]: a control plane that lies.
//! - [`SmallDisk`]: a disk that a test can fill.
//! - [`faults`]: lines that can be cut, plans of what goes wrong, and whether what clients saw of it can be right.
//!
//! The bus runs on threads of its own, so a test that blocks, or one with a single-threaded runtime, does not
//! stop it. Dropping a [`TestBus`] stops it, too; [`TestBus::stop`] also fails when something did not end well.

mod builder;
mod control_client;
pub mod faults;
mod lying_proxy;
mod plain_room;
mod running;
mod small_disk;
mod test_bus;

pub use control_api::BusRole;

pub use builder::TestBusBuilder;
pub use control_client::{ControlClient, ControlError};
pub use lying_proxy::{Answer, Asked, Lie, LyingProxy};
pub use plain_room::PlainRoom;
pub use small_disk::SmallDisk;
pub use test_bus::TestBus;

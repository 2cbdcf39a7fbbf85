//! The HTTP API of a bus: users, rooms, membership logs, sealed keys, files and health, over the stores.
//!
//! A request passes, in this order: `server` (connections, TLS), `request` (id, bounds, time-out),
//! `authenticate` (RFC 9421 signature, time, allowlist, nonce), `authorize` (a permit for one action), a
//! handler (one use case per function), and `problem` when something is refused. `routes` is the table of all
//! endpoints; `docs/control-plane.md` shows them with examples.
//!
//! The data plane is behind [`DataPlane`]; who may log in there and do what is answered by [`AccessTable`],
//! from the store's view in memory, with [`grants`] as the one table of rights.
//!
//! A room with history has a stream there, which [`RoomStreams`] makes, changes and removes with the room.
//!
//! Invariants:
//! - Whoever loses rights has lost them on both planes when the answer is sent: a change returns only after
//!   [`DataPlane::access_changed`] did, and runs to its end even when the client hangs up.
//! - A use case cannot run without a permit for it, and only `authorize` makes permits.
//! - A request body is handed to a handler only after it matched its signed digest. A file, which is too large for that,
//!   is staged while it streams, and becomes visible only after it matched.
//! - Every answer that is not a success is `application/problem+json` with a stable code.

mod authenticate;
mod authorize;
mod body;
mod caller;
mod clock;
mod config;
mod control_plane;
mod events;
mod files;
mod handlers;
mod own_names;
mod params;
mod problem;
mod range;
mod rate_limit;
mod request;
mod routes;
mod server;
mod settled;
mod shapes;

mod access_table;
mod data_plane;
mod grants;
mod history_access;
mod streams;

pub use access_table::{AccessOptions, AccessTable};
pub use config::{ControlConfig, Parts};
pub use control_plane::ControlPlane;
pub use data_plane::{ClusterError, DataPlane, DataPlaneError, Redundancy};
pub use grants::{PlaintextRooms, grants};
pub use history_access::HistoryRefusal;
pub use own_names::OwnNames;
pub use request::LOCAL_LIMIT;
pub use server::{BindError, Drained, Server, ServerConfig, ServerLimits};
pub use streams::{
    FoundStream, Kept, MadeConsumer, Orphans, ReconcileError, Reconciled, RoomConsumer, RoomStream,
    RoomStreams, reconcile,
};

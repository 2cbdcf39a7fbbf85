//! The control plane's JSON: shapes, problem codes, limits and subject names, shared by server and clients.
//!
//! Nothing here does I/O. A request's path and method are in `docs/control-plane.md`; this crate says what
//! its body and its answer look like. Requests refuse members they do not know; answers may grow, so readers
//! ignore what they do not know.
//!
//! - [`Info`], [`Health`], [`Ready`]: what anybody may ask.
//! - [`UserInfo`], [`NewUser`], [`Users`]: the allowlist.
//! - [`RoomInfo`], [`NewRoom`], [`Append`], [`Log`], [`Keys`]: rooms, their membership logs and sealed keys.
//! - [`BlobInfo`], [`Blobs`]: files in rooms.
//! - [`NewConsumer`], [`ConsumerInfo`]: work queues; [`history`] has the requests for stored messages.
//! - [`Settled`]: an answer to a change that not all nodes have confirmed.
//! - [`ClusterStatus`], [`RaiseReplicas`]: the nodes of a cluster, and who keeps what.
//! - [`RoomEvent`], [`UserEvent`]: hints on the data plane; [`subjects`] names where they are sent.
//! - [`Problem`] and [`ProblemCode`]: every answer that is not a success (RFC 9457).
//!
//! Ids and keys are typed and checked when they are read. A statement stays text here: what is wrong with one
//! is for the room protocol to say, not for the JSON parser.

mod blobs;
mod cluster;
mod consumers;
mod event;
mod info;
mod limits;
mod problem;
mod rooms;
mod settled;
mod timestamp;
mod users;

pub mod history;
pub mod subjects;

pub use blobs::{BlobInfo, Blobs};
pub use cluster::{
    ClusterNode, ClusterStatus, ClusterStream, Follower, NodeStanding, RaiseReplicas, RaisedReplicas,
    ReloadedCertificates,
};
pub use consumers::{
    AckWait, ConsumerInfo, ConsumerStart, Consumers, MaxDeliver, NewConsumer, NewConsumerView, OutOfBounds,
};
pub use event::{RoomEvent, UserEvent};
pub use info::{
    BlobHealth, ComponentState, DamagedStream, DataPlaneHealth, GrantsApply, Health, Info, Posture, Ready,
    SeqRange, StoreHealth, StreamsHealth,
};
pub use limits::Limits;
pub use problem::{PROBLEM_JSON, Problem, ProblemCode};
pub use rooms::{
    Append, Appended, EpochKeyCopy, Keys, Log, Me, MemberInfo, NewRoom, PutKeys, RoomInfo, RoomPatch,
    RoomSummary, Rooms,
};
pub use settled::{Done, Settled};
pub use timestamp::{Timestamp, TimestampError};
pub use users::{BusRole, NewUser, Revoked, UserInfo, UserPatch, Users};

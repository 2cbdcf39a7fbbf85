//! The data planes that membershipd can run, each as the control plane's `DataPlane`.

mod embedded;
mod room_streams;
mod streams_health;

pub(crate) use self::embedded::EmbeddedPlane;
pub use self::embedded::{EmbeddedPlaneError, ServiceAccess};
pub(crate) use self::room_streams::{JetStreamRooms, stream_name};

//! The data planes that membershipd can run, each as the control plane's `DataPlane`.

mod clustered;
mod embedded;
mod external;
mod late_authenticator;
mod lease;
mod logins;
mod moves;
mod room_streams;
mod running;
mod streams_health;

pub use self::clustered::ClusteredPlaneError;
pub(crate) use self::clustered::{ClusteredPlane, Joining};
pub(crate) use self::embedded::{EmbeddedPlane, jetstream_config};
pub use self::embedded::{EmbeddedPlaneError, ServiceAccess};
pub use self::external::{ClaimError, ExternalPlaneError};
pub(crate) use self::external::{ExternalPlane, held_by_another};
pub(crate) use self::late_authenticator::LateAuthenticator;
pub(crate) use self::moves::Moves;
pub(crate) use self::room_streams::stream_name;
pub use self::room_streams::{Acknowledge, JetStreamRooms};
pub(crate) use self::running::RunningPlane;

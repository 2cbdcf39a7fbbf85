//! The data planes that membershipd can run, each as the control plane's `DataPlane`.

mod embedded;

pub(crate) use self::embedded::EmbeddedPlane;
pub use self::embedded::{EmbeddedPlaneError, ServiceAccess};

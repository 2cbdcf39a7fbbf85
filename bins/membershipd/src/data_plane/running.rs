//! Whichever data plane runs, as the start and the end of a bus see it.

use std::net::SocketAddr;
use std::sync::Arc;

use control_plane::DataPlane;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ClusteredPlane, EmbeddedPlane, ExternalPlane, JetStreamRooms, ServiceAccess};
use crate::rpc::Gate;
use crate::shutdown::{STOP_CLUSTERED, STOP_EMBEDDED, Stop};

/// A data plane that runs.
#[derive(Clone)]
pub(crate) enum RunningPlane {
    /// In this process.
    Embedded(Arc<EmbeddedPlane>),
    /// A node of a cluster.
    Clustered(Arc<ClusteredPlane>),
    /// At a NATS that somebody else runs.
    External(Arc<ExternalPlane>),
}

impl RunningPlane {
    /// As the control plane sees it.
    pub(crate) fn for_control(&self) -> Arc<dyn DataPlane> {
        match self {
            Self::Embedded(plane) => plane.clone(),
            Self::Clustered(plane) => plane.clone(),
            Self::External(plane) => plane.clone(),
        }
    }

    /// Where it listens; `None` where somebody else does.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Embedded(plane) => Some(plane.broker().local_addr()),
            Self::Clustered(plane) => Some(plane.local_addr()),
            Self::External(_) => None,
        }
    }

    /// The streams of rooms.
    pub(crate) fn rooms(&self) -> Arc<JetStreamRooms> {
        match self {
            Self::Embedded(plane) => plane.rooms(),
            Self::Clustered(plane) => plane.rooms(),
            Self::External(plane) => plane.rooms(),
        }
    }

    /// What answers to requests are sent through.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        match self {
            Self::Embedded(plane) => plane.gate(),
            Self::Clustered(plane) => plane.gate(),
            Self::External(plane) => plane.gate(),
        }
    }

    /// How this process reaches the whole data plane, where it is in this process.
    pub(crate) fn service_access(&self) -> Option<ServiceAccess> {
        match self {
            Self::Embedded(plane) => Some(plane.service_access()),
            Self::Clustered(_) | Self::External(_) => None,
        }
    }

    /// Lets clients in.
    pub(crate) fn open(&self) {
        match self {
            Self::Embedded(plane) => plane.open(),
            // Since it has joined.
            Self::Clustered(_) | Self::External(_) => {}
        }
    }

    /// What the plane does by itself, until stopped.
    pub(crate) async fn upkeep(self, stop: CancellationToken) {
        match self {
            Self::Embedded(_) => {}
            Self::Clustered(plane) => plane.upkeep(stop).await,
            Self::External(plane) => Box::pin(plane.upkeep(stop)).await,
        }
    }

    /// Hands new certificates to a server in another process whenever a signal asks for it, until stopped.
    pub(crate) async fn reload_when_asked(self, asked: mpsc::Receiver<()>, stop: CancellationToken) {
        match self {
            // They have none of their own, or follow the files by themselves.
            Self::Embedded(_) | Self::External(_) => {}
            Self::Clustered(plane) => plane.reload_when_asked(asked, stop).await,
        }
    }

    /// Whether what is known here still holds.
    pub(crate) fn is_fresh(&self) -> bool {
        match self {
            Self::Embedded(_) | Self::External(_) => true,
            Self::Clustered(plane) => plane.is_fresh(),
        }
    }

    /// Returns when the plane is gone for good although nobody stopped it, and says what that is.
    pub(crate) async fn ended(&self) -> &'static str {
        match self {
            Self::Embedded(_) => std::future::pending().await,
            Self::Clustered(plane) => {
                plane.ended().await;
                "the nats-server of this node"
            }
            Self::External(plane) => {
                plane.ended().await;
                "the work at the external NATS"
            }
        }
    }

    /// The beginning of a stop, with as much time as clients of this plane need to go.
    pub(crate) fn begin_stop(&self) -> Stop {
        match self {
            Self::Embedded(plane) => {
                plane.broker().lame_duck();
                Stop::within(STOP_EMBEDDED)
            }
            Self::Clustered(_) => Stop::within(STOP_CLUSTERED),
            // Clients stay where they are.
            Self::External(_) => Stop::within(STOP_EMBEDDED),
        }
    }

    /// Lets clients go elsewhere, while rights still change. On one node there is no elsewhere.
    pub(crate) async fn let_clients_go(&self, stopping: &mut Stop) {
        if let Self::Clustered(plane) = self {
            stopping.step("the last events", plane.flush_events()).await;
            stopping.step("saying goodbye", plane.say_goodbye()).await;
            if stopping.step("clients of the data plane", plane.leave()).await == Some(true) {
                stopping.abort("the nats-server".to_owned());
            }
        }
    }

    /// Closes what is left.
    pub(crate) async fn close(&self, stopping: &mut Stop) {
        match self {
            Self::Embedded(plane) => {
                stopping.step("the last events", plane.flush_events()).await;
                let closed = plane.shutdown(stopping.left()).await;
                if closed.aborted > 0 {
                    stopping.abort(format!("{} connections of the data plane", closed.aborted));
                }
            }
            Self::Clustered(_) => {}
            Self::External(plane) => {
                stopping.step("the last events", plane.flush_events()).await;
                stopping.step("the work at the external NATS", plane.leave()).await;
            }
        }
    }
}

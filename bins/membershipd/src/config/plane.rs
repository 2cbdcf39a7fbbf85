//! Which data plane runs, and where users and rooms are kept.

use super::cluster_settings::{self, ClusterSettings, Surroundings};
use super::external_settings::{self, ExternalSettings};
use super::reader::Reader;
use super::setting::Setting;

/// The data plane, and where the control state is kept with it.
#[derive(Debug, Clone)]
pub enum Plane {
    /// A server in this process.
    Embedded(StoreKind),
    /// A nats-server under supervision; the control state is in its buckets.
    Clustered(Box<ClusterSettings>),
    /// A NATS that somebody else runs.
    External(Box<ExternalSettings>),
}

/// Where users, rooms and their logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In a database file.
    Sqlite,
    /// In buckets of the data plane.
    Kv,
}

impl StoreKind {
    /// Its name in the settings, and in the posture.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Kv => "kv",
        }
    }
}

impl Plane {
    /// Where the control state is kept.
    pub fn store(&self) -> StoreKind {
        match self {
            Self::Embedded(store) => *store,
            Self::Clustered(_) => StoreKind::Kv,
            Self::External(settings) => settings.store,
        }
    }

    /// Whether what is sent there leaves this machine, whatever address the planes of this process listen on.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Embedded(_) | Self::Clustered(_) => false,
            Self::External(settings) => settings.nats.urls.is_remote(),
        }
    }

    /// The node's place in a cluster.
    pub fn cluster(&self) -> Option<&ClusterSettings> {
        match self {
            Self::Embedded(_) | Self::External(_) => None,
            Self::Clustered(settings) => Some(settings),
        }
    }

    /// The plane the settings ask for; `None` when they contradict each other, which is reported.
    pub(super) fn read(reader: &mut Reader<'_>, surroundings: &Surroundings<'_>) -> Option<Self> {
        let store = reader.optional(Setting::STORE, parse_store);
        if reader.is_set(Setting::NATS_URL) {
            return ExternalSettings::read(reader, surroundings, store)
                .map(|settings| Self::External(Box::new(settings)));
        }
        external_settings::refuse_without_url(reader);
        if reader.is_set(Setting::CLUSTER_NAME) {
            if store == Some(StoreKind::Sqlite) {
                reader.refuse(
                    &[Setting::STORE, Setting::CLUSTER_NAME],
                    "the nodes of a cluster share their store: leave --store out, or set it to kv".to_owned(),
                );
            }
            return ClusterSettings::read(reader, surroundings)
                .map(|settings| Self::Clustered(Box::new(settings)));
        }
        cluster_settings::refuse_without_cluster(reader, surroundings);
        Some(Self::Embedded(store.unwrap_or(StoreKind::Sqlite)))
    }

    /// What whoever starts the bus should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.cluster().map(ClusterSettings::warnings).unwrap_or_default()
    }
}

fn parse_store(text: &str) -> Result<StoreKind, String> {
    match text {
        "sqlite" => Ok(StoreKind::Sqlite),
        "kv" => Ok(StoreKind::Kv),
        other => Err(format!("\"{other}\" is not a store: sqlite or kv")),
    }
}

/// Where the settings put the control state, for commands that run beside the daemon and do not check the rest.
pub(super) fn kind_of_store(reader: &mut Reader<'_>) -> StoreKind {
    let default = if reader.is_set(Setting::NATS_URL) { StoreKind::Kv } else { StoreKind::Sqlite };
    let store = reader.text(Setting::STORE, default, parse_store);
    if reader.is_set(Setting::CLUSTER_NAME) { StoreKind::Kv } else { store }
}

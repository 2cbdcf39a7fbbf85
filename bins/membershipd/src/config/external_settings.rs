//! A NATS that somebody else runs, as data plane: where it is, whose certificates are believed, and which secret our keys
//! there are made from.

use busauth::AuthMode;
use cluster::{ExternalConfig, ExternalKeys, ExternalViolation, NatsUrls, Replicas, SharedSecret};

use super::cluster_settings::{self, Surroundings};
use super::plane::StoreKind;
use super::problem::ConfigProblem;
use super::reader::Reader;
use super::setting::Setting;

/// The secret file unless another is named; `external-config` makes it there, too.
pub(crate) const DEFAULT_SECRET_FILE: &str = "local_files/nats.secret";

/// A NATS that somebody else runs.
#[derive(Debug, Clone)]
pub struct ExternalSettings {
    /// How it is reached, with which keys.
    pub nats: ExternalConfig,
    /// Where users and rooms are kept.
    pub store: StoreKind,
    /// How many of its servers keep what is made there.
    pub replicas: Replicas,
}

/// What means nothing without it.
const OF_EXTERNAL: [Setting; 2] = [Setting::CA, Setting::NATS_SECRET_FILE];
/// What its operator decides.
const OF_ITS_OPERATOR: [Setting; 2] = [Setting::NATS_STORE, Setting::SYNC];

/// Settings of an external NATS without its address: somebody means to use one, and would run without noticing.
pub(super) fn refuse_without_url(reader: &mut Reader<'_>) {
    let meaningless: Vec<Setting> =
        OF_EXTERNAL.into_iter().filter(|setting| reader.is_set(*setting)).collect();
    if !meaningless.is_empty() {
        reader.refuse(
            &meaningless,
            "this is for a NATS that somebody else runs: set --nats-url as well".to_owned(),
        );
    }
}

impl ExternalSettings {
    /// The settings; `None` when they cannot be used, which is reported.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        surroundings: &Surroundings<'_>,
        store: Option<StoreKind>,
    ) -> Option<Self> {
        if reader.is_set(Setting::CLUSTER_NAME) {
            reader.refuse(
                &[Setting::NATS_URL, Setting::CLUSTER_NAME],
                "a node of a cluster has its own nats-server, so it uses no other: leave one of the two out"
                    .to_owned(),
            );
        } else {
            cluster_settings::refuse_of_clusters(reader, surroundings);
        }
        let of_others: Vec<Setting> =
            OF_ITS_OPERATOR.into_iter().filter(|setting| reader.is_set(*setting)).collect();
        if !of_others.is_empty() {
            let problem = "at a NATS that somebody else runs its operator decides this: leave it out";
            reader.refuse(&of_others, problem.to_owned());
        }
        let relaxed =
            surroundings.exposure.map(super::Exposure::auth).filter(|auth| *auth != AuthMode::Enforce);
        if relaxed.is_some() {
            let problem = "others reach a NATS that somebody else runs, so requests must be signed: set --bus-auth enforce";
            reader.refuse(&[Setting::BUS_AUTH, Setting::NATS_URL], problem.to_owned());
        }
        let replicas = reader.text(Setting::KV_REPLICAS, Replicas::ONE, cluster_settings::parse_replicas);
        // What was written is not shown: it may hold a password.
        let urls: Option<NatsUrls> = reader.optional(Setting::NATS_URL, cluster_settings::parse);
        let ca = reader.path(Setting::CA);
        let secret_file =
            reader.path(Setting::NATS_SECRET_FILE).unwrap_or_else(|| DEFAULT_SECRET_FILE.into());
        let keys = match SharedSecret::read(&secret_file) {
            Ok(secret) => Some(ExternalKeys::derive(&secret)),
            Err(error) => {
                let problem = format!(
                    "{error}; `membershipd external-config --secret-file FILE` makes one, and prints what the operator \
                     of the NATS adds"
                );
                reader.refuse(&[Setting::NATS_SECRET_FILE], problem);
                None
            }
        };
        let nats = ExternalConfig { urls: urls?, ca, keys };
        for violation in nats.violations() {
            // That there are no keys has been said, with the reason.
            if !matches!(violation, ExternalViolation::WithoutCallout) {
                reader.add(problem(&violation));
            }
        }
        nats.keys.as_ref()?;
        Some(Self { nats, store: store.unwrap_or(StoreKind::Kv), replicas })
    }
}

fn problem(violation: &ExternalViolation) -> ConfigProblem {
    let settings: &[Setting] = match violation {
        ExternalViolation::RemoteWithoutAuthority(_) | ExternalViolation::TlsWithoutAuthority(_) => {
            &[Setting::NATS_URL, Setting::CA]
        }
        _ => &[Setting::NATS_URL],
    };
    ConfigProblem { settings: settings.to_vec(), problem: violation.to_string() }
}

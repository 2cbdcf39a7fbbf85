//! The claim of the one process that works at an external NATS.
//!
//! Two of them would each decide about logins by what they know, and know nothing of the other's changes. So whoever works
//! there keeps a record in the account of the bus's own data, and renews it; it may do so only as long as nobody else has
//! written in between. Whoever finds the record of another waits for as long as the other may believe itself alone. The
//! process before in the same data directory is known to have ended: its lock is ours.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use membership_store::StoreError;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config::DataPaths;
use crate::data_plane::lease::Lease;
use crate::data_plane::moves::Moves;
use busauth::private_file;

/// Where the record is.
const BUCKET: &str = "UNIBUS_claim";
const KEY: &str = "membershipd";
/// How long a claim is believed. Longer than the election of a leader among the servers takes.
const BOUND: Duration = Duration::from_secs(30);
/// Beyond it: nobody measures time exactly.
const MARGIN: Duration = Duration::from_secs(2);
/// How often the record is renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How long one renewal may take before the next is tried.
const RENEWAL: Duration = Duration::from_secs(8);
/// How often the record of another is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long letting go of it may take.
const RELEASE: Duration = Duration::from_secs(2);

/// What the record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// The data directory.
    instance: String,
    /// The process.
    session: String,
    host: String,
    pid: u32,
}

/// Why this process may not work at an external NATS.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Somebody else does.
    #[error(
        "another membershipd works at this NATS (process {pid} on {host}), and there can be one only: stop it first"
    )]
    Taken {
        /// The machine.
        host: String,
        /// The process.
        pid: u32,
    },
    /// Somebody else does since a moment ago.
    #[error("another membershipd has taken over at this NATS")]
    Lost,
    /// The record cannot be read or written.
    #[error("whether another membershipd works at this NATS cannot be found out: {0}")]
    Unknown(String),
    /// What is kept there may be newer than what is known here.
    #[error("what is kept at this NATS cannot be found out: {0}")]
    View(StoreError),
    /// What says which data directory this is.
    #[error("{}, which tells this bus from others at the same NATS, cannot be used: {source}", .path.display())]
    Instance {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The claim of this process.
pub(super) struct Claim {
    bucket: kv::Store,
    holder: Holder,
    revision: Mutex<u64>,
    lease: Arc<Lease>,
    lost: CancellationToken,
}

/// How a try to write the record went.
enum Written {
    At(u64),
    /// Somebody else wrote first.
    Conflict,
}

/// The record of another that is not renewed any more, by revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abandoned(u64);

impl Claim {
    /// Looks whether somebody else works there, without leaving anything there. Whoever did and does not any more is waited
    /// for.
    pub(super) async fn look(
        control: &async_nats::Client,
        paths: &DataPaths,
    ) -> Result<Option<Abandoned>, ClaimError> {
        let own = instance(paths)?;
        let context = async_nats::jetstream::new(control.clone());
        match context.get_key_value(BUCKET).await {
            Ok(bucket) => until_abandoned(&bucket, &own).await,
            Err(error) if error.kind() == KeyValueErrorKind::GetBucket => Ok(None),
            Err(error) => Err(unknown(error)),
        }
    }

    /// Makes it, or says who else has it. What was found to be abandoned is not waited for again.
    pub(super) async fn make(
        control: &async_nats::Client,
        replicas: usize,
        paths: &DataPaths,
        mut abandoned: Option<Abandoned>,
    ) -> Result<Self, ClaimError> {
        let holder = Holder {
            instance: instance(paths)?,
            session: random(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
        };
        let bucket = bucket(control, replicas).await?;
        let lease = Arc::new(Lease::new(BOUND));
        loop {
            let sent = Instant::now();
            let over = match record(&bucket).await? {
                None => None,
                Some((revision, other)) if other.instance == holder.instance => Some(revision),
                Some((revision, other)) if abandoned.is_some_and(|Abandoned(known)| known == revision) => {
                    tracing::warn!(
                        host = other.host,
                        pid = other.pid,
                        "took over from a process that is gone"
                    );
                    Some(revision)
                }
                Some(_) => {
                    abandoned = until_abandoned(&bucket, &holder.instance).await?;
                    continue;
                }
            };
            if let Written::At(revision) = write(&bucket, &holder, over).await? {
                lease.renew(sent);
                let revision = Mutex::new(revision);
                return Ok(Self { bucket, holder, revision, lease, lost: CancellationToken::new() });
            }
        }
    }

    /// How long what is known here may be believed.
    pub(super) fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// Returns when somebody else has taken over.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Renews it now. Where the store is kept there, too, the view of it is up to date by then: others write to it when they
    /// move a bus in.
    pub(super) async fn confirm(&self, moves: Option<&Moves>) -> Result<(), ClaimError> {
        let sent = Instant::now();
        if !self.renew().await? {
            return Err(ClaimError::Lost);
        }
        if let Some(moves) = moves {
            moves.confirm().await.map_err(ClaimError::View)?;
        }
        self.lease.renew(sent);
        Ok(())
    }

    /// Renews it until stopped.
    pub(super) async fn keep(&self, moves: Option<&Moves>, stop: CancellationToken) {
        let mut failed = false;
        loop {
            let pause = if failed { RENEW / 4 } else { RENEW };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            let renewal = tokio::time::timeout(RENEWAL, self.confirm(moves));
            let Some(renewed) = stop.run_until_cancelled(renewal).await else { return };
            let problem = match renewed {
                Ok(Ok(())) => None,
                Ok(Err(error @ ClaimError::Lost)) => {
                    tracing::error!("{error}");
                    self.lease.end();
                    self.lost.cancel();
                    return;
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("time is over".to_owned()),
            };
            match &problem {
                Some(problem) if !failed => {
                    tracing::warn!(problem, "the claim at the external NATS was not renewed");
                }
                None if failed => tracing::info!("the claim at the external NATS is renewed again"),
                _ => {}
            }
            failed = problem.is_some();
        }
    }

    /// Whether it is still ours.
    async fn renew(&self) -> Result<bool, ClaimError> {
        let revision = *self.revision.lock();
        let mut written = write(&self.bucket, &self.holder, Some(revision)).await?;
        if matches!(written, Written::Conflict) {
            // What was written before and not answered in time may have been ours.
            written = match record(&self.bucket).await? {
                Some((revision, holder)) if holder == self.holder => {
                    write(&self.bucket, &self.holder, Some(revision)).await?
                }
                Some(_) => return Ok(false),
                None => write(&self.bucket, &self.holder, None).await?,
            };
        }
        match written {
            Written::At(revision) => {
                *self.revision.lock() = revision;
                Ok(true)
            }
            // By whom is seen the next time.
            Written::Conflict => Err(ClaimError::Unknown("it was written at the same time".to_owned())),
        }
    }

    /// Lets go of it. Best effort: the next process in this data directory does not wait.
    pub(super) async fn release(&self) {
        if self.lost.is_cancelled() {
            return;
        }
        let revision = *self.revision.lock();
        let deleting = self.bucket.delete_expect_revision(KEY, Some(revision));
        match tokio::time::timeout(RELEASE, deleting).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the claim at the external NATS was not let go of"),
            Err(_) => tracing::debug!("the claim at the external NATS was not let go of in time"),
        }
    }
}

async fn bucket(control: &async_nats::Client, replicas: usize) -> Result<kv::Store, ClaimError> {
    let context = async_nats::jetstream::new(control.clone());
    match context.get_key_value(BUCKET).await {
        Ok(bucket) => return Ok(bucket),
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {}
        Err(error) => return Err(unknown(error)),
    }
    let config = kv::Config { bucket: BUCKET.to_owned(), num_replicas: replicas, ..kv::Config::default() };
    context.create_key_value(config).await.map_err(|error| {
        // What went wrong is one level down.
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        ClaimError::Unknown(format!("{error}: {cause}"))
    })
}

/// Who has the claim and is not of this data directory: the machine, and the process. Nothing is waited for, made or written.
pub(crate) async fn held_by_another(
    control: &async_nats::Client,
    paths: &DataPaths,
) -> Result<Option<(String, u32)>, ClaimError> {
    let own = std::fs::read_to_string(paths.instance()).unwrap_or_default();
    let context = async_nats::jetstream::new(control.clone());
    let bucket = match context.get_key_value(BUCKET).await {
        Ok(bucket) => bucket,
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => return Ok(None),
        Err(error) => return Err(unknown(error)),
    };
    let other = record(&bucket).await?.map(|(_, other)| other).filter(|other| other.instance != own.trim());
    Ok(other.map(|Holder { host, pid, .. }| (host, pid)))
}

/// Waits for as long as another may believe itself alone; `None` when there is no other.
async fn until_abandoned(bucket: &kv::Store, own: &str) -> Result<Option<Abandoned>, ClaimError> {
    let mut seen: Option<(u64, Instant)> = None;
    loop {
        let Some((revision, other)) = record(bucket).await?.filter(|(_, other)| other.instance != own) else {
            return Ok(None);
        };
        match seen {
            Some((before, _)) if before != revision => {
                return Err(ClaimError::Taken { host: other.host, pid: other.pid });
            }
            Some((_, since)) if since.elapsed() > BOUND + MARGIN => return Ok(Some(Abandoned(revision))),
            Some(_) => {}
            None => {
                tracing::warn!(
                    host = other.host,
                    pid = other.pid,
                    seconds = (BOUND + MARGIN).as_secs(),
                    "another membershipd has worked at this NATS: looking whether it still does"
                );
                seen = Some((revision, Instant::now()));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn record(bucket: &kv::Store) -> Result<Option<(u64, Holder)>, ClaimError> {
    let Some(entry) = bucket.entry(KEY).await.map_err(unknown)? else { return Ok(None) };
    if entry.operation != Operation::Put {
        return Ok(None);
    }
    let holder = serde_json::from_slice(&entry.value)
        .map_err(|_| ClaimError::Unknown(format!("the record in {BUCKET} is of another program")))?;
    Ok(Some((entry.revision, holder)))
}

/// Writes the record in place of the one of that revision, or of none.
async fn write(bucket: &kv::Store, holder: &Holder, over: Option<u64>) -> Result<Written, ClaimError> {
    let text = serde_json::to_vec(holder).map(Bytes::from).map_err(unknown)?;
    match over {
        Some(revision) => match bucket.update(KEY, text, revision).await {
            Ok(revision) => Ok(Written::At(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(Written::Conflict),
            Err(error) => Err(unknown(error)),
        },
        None => match bucket.create(KEY, text).await {
            Ok(revision) => Ok(Written::At(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(Written::Conflict),
            Err(error) => Err(unknown(error)),
        },
    }
}

/// What tells this data directory from others.
fn instance(paths: &DataPaths) -> Result<String, ClaimError> {
    let path = paths.instance();
    let failed = |source| ClaimError::Instance { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let made = random();
    private_file::replace(&path, format!("{made}\n").as_bytes()).map_err(failed)?;
    Ok(made)
}

fn random() -> String {
    busauth::HttpNonce::random().to_string()
}

fn unknown(error: impl std::fmt::Display) -> ClaimError {
    ClaimError::Unknown(error.to_string())
}

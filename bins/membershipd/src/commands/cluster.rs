//! `membershipd cluster …`: the nodes, who keeps what, having more of them keep it, and new certificates.

mod print;

use std::io::Write;
use std::time::{Duration, Instant};

use control_api::{ClusterStatus, ProblemCode, RaiseReplicas, RaisedReplicas, ReloadedCertificates};
use http::Method;

use crate::args::{ClusterArgs, ClusterCommand};
use crate::config::{DataPaths, Environment};
use crate::failure::Failure;
use crate::local_api::{LocalApi, LocalApiError, Missing};

/// How often is looked how far the copies are.
const LOOK: Duration = Duration::from_millis(500);
/// Without progress for so long, something is wrong that waiting does not mend.
const STALLED: Duration = Duration::from_mins(2);

/// Runs one command against the daemon whose data is here.
pub(super) async fn run(
    arguments: ClusterArgs,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let paths = DataPaths::load(&arguments.location, environment)?;
    match arguments.command {
        ClusterCommand::Status { json } => {
            let api = LocalApi::open(&paths, Missing::Refuse).await?;
            let status = api.ask::<ClusterStatus>(Method::GET, "/v1/cluster").await;
            api.close().await;
            print::status(&status?, json, out)
        }
        ClusterCommand::Reload { json } => {
            let api = LocalApi::open(&paths, Missing::Refuse).await?;
            let reloaded = reload(&api).await;
            api.close().await;
            print::reloaded(&reloaded?, json, out)
        }
        ClusterCommand::RaiseReplicas { replicas, json } => {
            let replicas = number_of_replicas(&replicas)?;
            let api = LocalApi::open(&paths, Missing::Refuse).await?;
            let raised = raise(&api, replicas, json, out).await;
            api.close().await;
            print::raised(&raised?, json, out)
        }
    }
}

/// Asks until it is this node's turn.
async fn reload(api: &LocalApi) -> Result<ReloadedCertificates, Failure> {
    let since = Instant::now();
    loop {
        match api.ask::<ReloadedCertificates>(Method::POST, "/v1/cluster/reload").await {
            Err(LocalApiError::Refused(problem))
                if problem.code == ProblemCode::ReloadElsewhere && since.elapsed() < STALLED =>
            {
                tokio::time::sleep(LOOK).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn number_of_replicas(text: &str) -> Result<u32, Failure> {
    match text.parse() {
        Ok(number @ (3 | 5)) => Ok(number),
        _ => Err(Failure::usage(format!(
            "\"{text}\" is not a number of copies that survives the loss of a node: 3 or 5"
        ))),
    }
}

/// What another try may mend.
fn is_passing(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::DataPlaneUnavailable | ProblemCode::RequestTimeout)
}

/// Asks until everything is kept as often as it is to be.
async fn raise(
    api: &LocalApi,
    replicas: u32,
    json: bool,
    out: &mut impl Write,
) -> Result<RaisedReplicas, Failure> {
    let mut moved = Instant::now();
    let mut last: Option<RaisedReplicas> = None;
    loop {
        let step = RaiseReplicas { replicas };
        match api.send::<RaisedReplicas>(Method::POST, "/v1/cluster/replicas", &step).await {
            Ok(raised) if raised.complete => return Ok(raised),
            Ok(raised) => {
                if last.as_ref() != Some(&raised) {
                    moved = Instant::now();
                    if !json {
                        print::progress(&raised, out)?;
                    }
                    last = Some(raised);
                }
            }
            // Such as between two leaders.
            Err(LocalApiError::Refused(problem)) if is_passing(problem.code) && moved.elapsed() < STALLED => {
            }
            Err(error) => return Err(error.into()),
        }
        if moved.elapsed() >= STALLED {
            let missing = last.map(|raised| raised.waiting_for.join(", ")).unwrap_or_default();
            return Err(Failure::CopiesStall { seconds: STALLED.as_secs(), missing });
        }
        tokio::time::sleep(LOOK).await;
    }
}

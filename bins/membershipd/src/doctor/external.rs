//! A NATS that somebody else runs, looked at as a start looks at it, and what is kept there.

use std::sync::Arc;

use async_nats::jetstream::{self, Context};
use cluster::{EnteredNats, ExternalViolations, ServiceAccess};
use membership_store::{KvOptions, KvStore, UnfinishedMove};

use super::Finding;
use super::directories::{LITTLE, MIB, NOTHING};
use crate::config::{DataPaths, ExternalSettings, StoreKind};
use crate::data_plane::{LateAuthenticator, held_by_another};

const CHECK: &str = "external NATS";
/// Of users, rooms and keys, of the audit, of nonces, and of the claim.
const STREAMS_OF_CTL: i64 = 5;

/// Looks at it, as the daemon of this data directory does when it starts. Nothing is made or written there.
pub(super) async fn look(settings: &ExternalSettings, paths: &DataPaths, daemon_runs: bool) -> Vec<Finding> {
    let entered = match EnteredNats::enter(&settings.nats).await {
        Ok(entered) => entered,
        Err(violations) => return failed(&violations),
    };
    let urls = settings.nats.urls.texts().join(",");
    let mut findings = vec![Finding::ok(CHECK, format!("{urls}: our users are let in"))];
    findings.extend(copies(settings, entered.servers().await));
    match connect(entered.control_access()).await {
        Ok(control) => {
            let context = jetstream::new(control.clone());
            findings.extend(jetstream_of(settings, "CTL", &context).await);
            if settings.store == StoreKind::Kv {
                findings.push(moves(context).await);
            }
            findings.extend(claim(&control, paths).await);
        }
        Err(finding) => findings.push(finding),
    }
    match connect(entered.bus_access()).await {
        Ok(bus) => findings.extend(jetstream_of(settings, "BUS", &jetstream::new(bus)).await),
        Err(finding) => findings.push(finding),
    }
    findings.extend(logins(entered, daemon_runs).await);
    findings
}

fn failed(violations: &ExternalViolations) -> Vec<Finding> {
    violations.iter().map(|violation| Finding::failed(CHECK, violation.to_string())).collect()
}

async fn connect(access: &ServiceAccess) -> Result<async_nats::Client, Finding> {
    // In a box because it is large, and so would be every future around it.
    let connecting = Box::pin(access.options().name("membershipd doctor").connect(access.urls()));
    connecting.await.map_err(|error| Finding::failed(CHECK, format!("it cannot be entered: {error}")))
}

fn copies(settings: &ExternalSettings, servers: Option<usize>) -> Option<Finding> {
    let (wanted, servers) = (settings.replicas.get(), servers?);
    (servers < wanted).then(|| {
        let text = format!("{servers} servers are there, and --kv-replicas {wanted} needs as many as that");
        Finding::failed(CHECK, text)
    })
}

/// Whether everything is as a start wants it, logins above all: they are tried. Where nobody answers them they are answered
/// here for that moment, by which nobody is let in: nobody is anyway.
async fn logins(entered: EnteredNats, daemon_runs: bool) -> Vec<Finding> {
    let (outcome, by) = if daemon_runs || entered.is_answered().await {
        (entered.check().await, "by a membershipd that works there")
    } else {
        let nobody = Arc::new(LateAuthenticator::default());
        let outcome = match entered.begin(nobody).await {
            Ok(nats) => {
                nats.stop().await;
                Ok(())
            }
            Err(violations) => Err(violations),
        };
        (outcome, "by this command, since no membershipd works there")
    };
    match outcome {
        Ok(()) => {
            let text = format!("set up as it has to be; logins were asked about, and answered {by}");
            vec![Finding::ok("callout", text)]
        }
        Err(violations) => failed(&violations),
    }
}

/// How much of what its operator allows is left. That JetStream is off is said by the check of everything.
async fn jetstream_of(settings: &ExternalSettings, account: &str, context: &Context) -> Option<Finding> {
    let check = format!("JetStream of {account}");
    let found = context.query_account().await.ok()?;
    let mut said = format!("{} streams, {} MiB", found.streams, found.storage / MIB);
    let left =
        found.limits.max_storage.map(|most| u64::try_from(most).unwrap_or(0).saturating_sub(found.storage));
    if let Some(left) = left {
        said = format!("{said}; {} MiB more are allowed (max_file)", left / MIB);
    }
    if let Some(most) = found.limits.max_streams {
        said = format!("{said}; at most {most} streams are allowed (max_streams)");
        let is_full = i64::try_from(found.streams).is_ok_and(|streams| streams >= most);
        if account == "CTL" && settings.store == StoreKind::Kv && most < STREAMS_OF_CTL {
            return Some(Finding::failed(
                check,
                format!("{said}, and {STREAMS_OF_CTL} are needed: have it raised"),
            ));
        }
        if account == "BUS" && is_full {
            let text = format!("{said}, and a new room with history needs one more: have it raised");
            return Some(Finding::warning(check, text));
        }
    }
    Some(match left {
        Some(left) if left < NOTHING => Finding::failed(check, format!("{said}: have it raised")),
        Some(left) if left < LITTLE => Finding::warning(check, format!("{said}: have it raised soon")),
        _ => Finding::ok(check, said),
    })
}

/// Whether a bus is half there.
async fn moves(control: Context) -> Finding {
    let check = "move";
    match KvStore::unfinished_move(control, &KvOptions::default().prefix).await {
        Ok(None) => Finding::ok(check, "no bus is half moved in"),
        Ok(Some(UnfinishedMove { users, rooms })) => Finding::failed(
            check,
            format!(
                "a bus is being moved in, or a move was cut off: {users} users and {rooms} rooms are there so far, and \
                 nobody is let in; run membershipd migrate-to-kv again as it was run, it goes on where it was"
            ),
        ),
        Err(error) => {
            Finding::warning(check, format!("whether a bus is half moved in is not known: {error}"))
        }
    }
}

/// Whether somebody else works there.
async fn claim(control: &async_nats::Client, paths: &DataPaths) -> Option<Finding> {
    let check = "claim";
    match held_by_another(control, paths).await {
        Ok(None) => None,
        Ok(Some((host, pid))) => Some(Finding::warning(
            check,
            format!(
                "a membershipd of another data directory works at this NATS, or did until it was killed (process {pid} on \
                 {host}): there can be one only; stop it, or wait for it for half a minute at the start"
            ),
        )),
        Err(error) => Some(Finding::warning(check, error.to_string())),
    }
}

//! What the cluster commands print: lines for people, or the control plane's JSON for scripts.

use std::io::Write;
use std::time::{Duration, SystemTime};

use control_api::{
    ClusterNode, ClusterStatus, ClusterStream, RaisedReplicas, ReloadedCertificates, Timestamp,
};

use crate::commands::json::document;
use crate::expiry;
use crate::failure::Failure;

pub(super) fn status(status: &ClusterStatus, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        return document(status, out);
    }
    nodes(&status.nodes, out)?;
    writeln!(out)?;
    writeln!(out, "seen by   {}, at revision {}", status.node, status.revision)?;
    writeln!(out, "copies    {}", status.replicas)?;
    match &status.ha_reason {
        None => writeln!(out, "the loss of any one node would go unnoticed")?,
        Some(reason) => writeln!(out, "the loss of a node would be noticed: {reason}")?,
    }
    writeln!(out)?;
    streams(status, out)
}

fn nodes(nodes: &[ClusterNode], out: &mut impl Write) -> Result<(), Failure> {
    let width = width("NODE", nodes.iter().map(|node| node.name.as_str()));
    writeln!(out, "{:width$}  {:11}  {:>8}  {:10}  REVISION", "NODE", "STATE", "HEARD", "VERSION")?;
    for node in nodes {
        let heard = format!("{}.{} s", node.silent_ms / 1_000, node.silent_ms % 1_000 / 100);
        let version = node.version.as_deref().unwrap_or("?");
        let applied = node.applied.map_or_else(|| "?".to_owned(), |applied| applied.to_string());
        let state = node.state.as_str();
        writeln!(out, "{:width$}  {state:11}  {heard:>8}  {version:10}  {applied}", node.name)?;
        if let Some(reason) = &node.falls_short {
            writeln!(out, "{:width$}  {reason}", "")?;
        }
        let expires = node.certificates_expire.map(time);
        if let Some(warning) = expires.and_then(|expires| expiry::warning("a certificate", expires)) {
            writeln!(out, "{:width$}  {warning}", "")?;
        }
    }
    Ok(())
}

fn streams(status: &ClusterStatus, out: &mut impl Write) -> Result<(), Failure> {
    let width = width("STREAM", status.streams.iter().map(|stream| stream.name.as_str()));
    writeln!(out, "{:width$}  COPIES  LEADER, FOLLOWERS", "STREAM")?;
    for stream in &status.streams {
        writeln!(out, "{:width$}  {:6}  {}", stream.name, stream.replicas, keepers(stream))?;
    }
    if status.more_streams > 0 {
        writeln!(out, "and {} more", status.more_streams)?;
    }
    Ok(())
}

fn keepers(stream: &ClusterStream) -> String {
    let leader = stream.leader.as_deref().unwrap_or("no leader").to_owned();
    let followers = stream.followers.iter().map(|follower| {
        if follower.current { follower.node.clone() } else { format!("{} (behind)", follower.node) }
    });
    std::iter::once(leader).chain(followers).collect::<Vec<_>>().join(", ")
}

/// How far the copies are.
pub(super) fn progress(raised: &RaisedReplicas, out: &mut impl Write) -> Result<(), Failure> {
    let RaisedReplicas { replicas, total, done, waiting_for, .. } = raised;
    writeln!(out, "{done} of {total} are kept by {replicas} nodes; waiting for {}", waiting_for.join(", "))?;
    out.flush()?;
    Ok(())
}

pub(super) fn raised(raised: &RaisedReplicas, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        return document(raised, out);
    }
    writeln!(out, "all {} buckets and streams are kept by {} nodes", raised.total, raised.replicas)?;
    Ok(())
}

pub(super) fn reloaded(
    reloaded: &ReloadedCertificates,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if json {
        return document(reloaded, out);
    }
    let ReloadedCertificates { node, changed, routes_expire, clients_expire } = reloaded;
    if *changed {
        writeln!(out, "{node} shows its new certificates; its clients connect anew")?;
    } else {
        writeln!(out, "{node} has the certificates that are in its files; nothing was done")?;
    }
    for (whom, expires) in [("other nodes", routes_expire), ("clients", clients_expire)] {
        if let Some(expires) = expires {
            writeln!(out, "shown to {whom}: valid until {}", expiry::day(time(*expires)))?;
        }
    }
    Ok(())
}

fn time(timestamp: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(timestamp.unix())
}

fn width<'a>(title: &str, names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).max().unwrap_or(0).max(title.len())
}

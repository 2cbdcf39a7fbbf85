//! What the user commands print: lines for people, or the control plane's JSON for scripts.

use std::io::Write;

use control_api::{Settled, UserInfo, Users};

use super::Outcome;
use crate::commands::json::document;
use crate::failure::Failure;

pub(super) fn outcome(outcome: &Outcome, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    match (outcome, json) {
        (Outcome::Added(user) | Outcome::Found(user), true) => document(user, out)?,
        (Outcome::Changed(changed), true) => document(changed, out)?,
        (Outcome::Revoked(revoked), true) => document(revoked, out)?,
        (Outcome::Listed(users), true) => document(&Users { users: users.clone(), next: None }, out)?,
        (Outcome::Added(user), false) => {
            writeln!(out, "added {} ({}) {}", user.handle, user.role, user.id)?;
            writeln!(out, "fingerprint {}: compare it with theirs", user.id.fingerprint())?;
        }
        (Outcome::Listed(users), false) => table(users, out)?,
        (Outcome::Found(user), false) => show(user, out)?,
        (Outcome::Changed(changed), false) => {
            writeln!(out, "{} is now {}", changed.answer.handle, changed.answer.role)?;
            unconfirmed(&changed.pending, out)?;
        }
        (Outcome::Revoked(revoked), false) => {
            let Settled { answer, pending } = revoked;
            writeln!(out, "revoked {} {}", answer.user.handle, answer.user.id)?;
            for room in &answer.frozen {
                writeln!(out, "room {room} has no owner left and is frozen")?;
            }
            unconfirmed(pending, out)?;
        }
    }
    Ok(())
}

/// The change stands; whoever relies on it at once should know where it is not confirmed.
fn unconfirmed(nodes: &[String], out: &mut impl Write) -> Result<(), Failure> {
    if !nodes.is_empty() {
        let nodes = nodes.join(", ");
        writeln!(
            out,
            "not confirmed by {nodes} yet: connections there may be open still; it is tried again until it is done"
        )?;
    }
    Ok(())
}

fn table(users: &[UserInfo], out: &mut impl Write) -> Result<(), Failure> {
    let width = users.iter().map(|user| user.handle.as_str().len()).max().unwrap_or(0).max("HANDLE".len());
    writeln!(out, "{:width$}  {:6}  {:7}  ID", "HANDLE", "ROLE", "STATE")?;
    for user in users {
        writeln!(out, "{:width$}  {:6}  {:7}  {}", user.handle.as_str(), user.role, state(user), user.id)?;
    }
    Ok(())
}

fn show(user: &UserInfo, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "handle       {}", user.handle)?;
    writeln!(out, "id           {}", user.id)?;
    writeln!(out, "fingerprint  {}", user.id.fingerprint())?;
    writeln!(out, "role         {}", user.role)?;
    writeln!(out, "state        {}", state(user))?;
    writeln!(out, "admitted     {}", user.created)?;
    if let Some(revoked) = &user.revoked {
        writeln!(out, "revoked      {revoked}")?;
    }
    if let Ok(card) = user.card() {
        writeln!(out, "card         {card}")?;
    }
    Ok(())
}

fn state(user: &UserInfo) -> &'static str {
    if user.is_active() { "active" } else { "revoked" }
}

//! One command for one message: the message on its standard input, what it is in its environment.

use anyhow::{Context as _, Result};
use bus_client::{Job, Message, Trust};
use std::process::{ExitStatus, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Starts the command, in the shell as it was typed.
fn start(command: &str, job: &Job, message: &Message) -> Result<Child> {
    let mut child = shell(command);
    child
        .env("UNIBUS_SEQ", job.stored.seq.to_string())
        .env("UNIBUS_DELIVERY", job.delivery.to_string())
        .env("UNIBUS_SUBJECT", &message.subject)
        .env("UNIBUS_VERIFIED", if message.trust == Trust::Verified { "true" } else { "false" });
    // What is unknown of this message must not be taken from the environment of this program.
    let known = [
        ("UNIBUS_FROM", message.from.map(|user| user.to_string())),
        ("UNIBUS_HANDLE", message.handle.as_ref().map(ToString::to_string)),
        ("UNIBUS_MESSAGE_ID", message.id.map(|id| id.to_string())),
    ];
    for (name, value) in known {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    child.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("the command cannot be started")
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

/// Runs the command for a message to its end.
pub(super) async fn run(command: &str, job: &Job, message: &Message) -> Result<ExitStatus> {
    let mut child = start(command, job, message)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input is no failure; its exit code counts.
            drop(stdin.write_all(&message.payload).await);
            drop(stdin.shutdown().await);
        }
    };
    tokio::join!(child.wait(), feed).0.context("the command cannot be waited for")
}

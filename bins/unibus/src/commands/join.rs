//! `unibus join URL`: remembers a bus for this context and says hello.

use super::words;
use crate::arguments::Global;
use crate::context::{Context, Trust};
use crate::failure::{Code, Failure};
use crate::output::{Output, Paint, Show, Style};
use crate::session;
use anyhow::{Context as _, Result};
use bus_client::ErrorKind;
use busauth::{CaFingerprint, Identity, UserId};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Which bus, as whom. The identity is the context's own unless the global `--identity` names one.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address of the bus, for example `http://127.0.0.1:8470`.
    url: String,
    /// The bus's certificate must lead to the authority in this PEM file.
    #[arg(long, value_name = "FILE", conflicts_with = "ca_fingerprint")]
    ca: Option<PathBuf>,
    /// The bus's certificate must lead to the authority with this SHA-256 fingerprint (the daemon prints it).
    #[arg(long, value_name = "FINGERPRINT")]
    ca_fingerprint: Option<CaFingerprint>,
    /// The bus of this context is at another address now: goes on with what is known of it.
    #[arg(long)]
    moved: bool,
}

#[derive(Serialize)]
struct Joined {
    bus: String,
    id: UserId,
    handle: String,
    role: &'static str,
    rooms: usize,
}

impl Show for Joined {
    fn text(&self, paint: Paint) -> String {
        let handle = paint.paint(Style::Bold, &self.handle);
        format!("Joined {} as {handle} ({}), member of {} room(s).", self.bus, self.role, self.rooms)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    let given = global.identity.clone();
    let mut context = Context::open(global.context, global.identity)?;
    let address = arguments.url.trim_end_matches('/').to_owned();
    let known_as = context.remembered.bus.replace(address.clone()).filter(|known| *known != address);
    if let Some(known) = known_as.as_ref().filter(|_| !arguments.moved) {
        let text = format!(
            "context `{name}` belongs to {known}\n  if that bus has moved here: unibus --context {name} join --moved {address}\n  \
             another bus needs another context: unibus --context NAME join {address}",
            name = context.name
        );
        return Err(Failure::new(Code::Conflict, text).into());
    }
    context.remembered.trust = trust(&arguments, context.remembered.trust)?;
    if let Some(given) = given {
        context.remembered.identity = Some(absolute(&given)?);
    }
    let identity = identity(&context, output)?;

    match session::connect(&context).await {
        Ok(bus) => {
            context.save()?;
            let me = bus.me().await;
            let ended = bus.shutdown().await;
            let me = me?;
            ended?;
            let rooms = me.rooms.len();
            let user = me.user;
            output.show(&Joined {
                bus: address,
                id: user.id,
                handle: user.handle.to_string(),
                role: words::bus_role(user.role),
                rooms,
            })
        }
        Err(error) if is_stranger(&error) && known_as.is_some() => {
            let text = format!(
                "{address} does not know you: it is not the bus that you know, and nothing was changed"
            );
            Err(Failure::new(Code::Conflict, text).into())
        }
        Err(error) if is_stranger(&error) => {
            // The bus is the right one; only the admission is missing, which nobody should have to type again for.
            context.save()?;
            let card = identity.card(context.remembered.handle.clone());
            let text = format!(
                "{address} does not know you yet. Give this card to an admin, who runs `unibus user add CARD`, \
                 then go on without joining again:\n{card}"
            );
            Err(Failure::new(Code::NotAllowed, text).into())
        }
        Err(error) => Err(error),
    }
}

fn trust(arguments: &Arguments, known: Trust) -> Result<Trust> {
    Ok(match (&arguments.ca, &arguments.ca_fingerprint) {
        (Some(file), _) => Trust::CaFile(absolute(file)?),
        (None, Some(fingerprint)) => Trust::CaFingerprint(*fingerprint),
        // It has taken its authority along, unless somebody says otherwise.
        (None, None) if arguments.moved => known,
        (None, None) => Trust::Loopback,
    })
}

/// Later commands run in other directories.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot open {}", path.display()))
}

fn identity(context: &Context, output: &Output) -> Result<Identity> {
    if context.identity_path().exists() {
        return context.identity();
    }
    let identity = Identity::generate();
    let path = context.save_identity(&identity)?;
    output.remark(&format!("Made an identity for you at {}.", path.display()));
    Ok(identity)
}

fn is_stranger(error: &anyhow::Error) -> bool {
    let error = error.chain().find_map(|cause| cause.downcast_ref::<bus_client::Error>());
    error.is_some_and(|error| error.kind() == ErrorKind::Unauthenticated)
}

//! `unibus id new|show|nkey`

use crate::arguments::Global;
use crate::context::Context;
use crate::output::{Output, Paint, Show, Style};
use crate::private_file;
use anyhow::Result;
use busauth::{Handle, Identity, UserId};
use serde::Serialize;
use std::path::PathBuf;

/// What to do with the identity.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an identity: three secret keys in one file that only you can read.
    New {
        /// The name you would like to have on the bus.
        #[arg(long)]
        handle: Option<Handle>,
    },
    /// Show your identity card (give it to an admin) and your fingerprint (read it out to people).
    Show {
        /// Print the card only.
        #[arg(long)]
        card: bool,
    },
    /// Write the login key to a file, for NATS clients that know nothing of unibus.
    ///
    /// Whoever has the file can connect as you, read and write in rooms without encryption, and nothing else.
    Nkey {
        /// The file to make; it must not exist yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What a plain NATS client needs.
#[derive(Serialize)]
struct Login {
    seed_file: PathBuf,
    /// Subscriptions for replies are allowed below this subject only.
    inbox_prefix: String,
}

impl Show for Login {
    fn text(&self, _paint: Paint) -> String {
        format!("nkey seed in {}\ninbox prefix {}", self.seed_file.display(), self.inbox_prefix)
    }
}

/// An identity as shown.
#[derive(Serialize)]
pub(crate) struct Shown {
    id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
    fingerprint: String,
    card: String,
    file: PathBuf,
}

impl Shown {
    pub(crate) fn new(context: &Context, identity: &Identity) -> Self {
        let handle = context.remembered.handle.clone();
        Self {
            id: identity.id(),
            fingerprint: identity.id().fingerprint(),
            card: identity.card(handle.clone()).to_string(),
            handle,
            file: context.identity_path(),
        }
    }
}

impl Show for Shown {
    fn text(&self, paint: Paint) -> String {
        let row = |name: &str, value: &dyn std::fmt::Display| {
            format!("{} {value}", paint.paint(Style::Dim, format_args!("{name:<12}")))
        };
        let mut rows = vec![row("id", &self.id)];
        rows.extend(self.handle.as_ref().map(|handle| row("handle", handle)));
        rows.push(row("fingerprint", &paint.paint(Style::Bold, &self.fingerprint)));
        rows.push(row("file", &self.file.display()));
        rows.push(row("card", &self.card));
        rows.join("\n")
    }
}

/// Runs the command.
pub(crate) fn run(command: Command, global: Global, output: &Output) -> Result<()> {
    let mut context = Context::open(global.context, global.identity)?;
    match command {
        Command::New { handle } => {
            let identity = Identity::generate();
            context.save_identity(&identity)?;
            if handle.is_some() {
                context.remembered.handle = handle;
                context.save()?;
            }
            output.show(&Shown::new(&context, &identity))?;
            output
                .remark("Give the card to an admin of the bus, who admits you with `unibus user add CARD`.");
            output.remark("Keep the file: whoever has it is you, and without it nobody can be you again.");
            Ok(())
        }
        Command::Show { card } => {
            let shown = Shown::new(&context, &context.identity()?);
            if card && !output.is_json() { output.line(&shown.card) } else { output.show(&shown) }
        }
        Command::Nkey { out } => {
            let identity = context.identity()?;
            private_file::create(&out, identity.login_seed().as_bytes())?;
            output.show(&Login { seed_file: out, inbox_prefix: format!("_INBOX_{}", identity.id()) })
        }
    }
}

//! `membershipd migrate-to-kv`: users and rooms from the database into JetStream buckets, and if asked, files and what
//! rooms remember with them.
//!
//! The daemon must be stopped: the data directory is locked meanwhile. Nothing is removed from where it was.

mod failure;
mod show;
mod target;

use std::io::Write;

use async_nats::jetstream::Context;
use blobstore::{BlobStore as _, FsOptions, FsStore, JetStreamOptions, JetStreamStore, copy_all};
use membership_store::{KvOptions, MembershipStore as _, Migration, SqliteStore};

use crate::args::MigrateArgs;
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::guards::DataDirectory;
use crate::migrate::history::{HistoryOptions, move_history, plan_history};
use crate::migrate::own_streams::OwnStreams;
use show::Bar;
use target::Target;

pub use failure::MigrateFailure;

/// Moves what is asked for, or says what there is to move.
pub(super) async fn run(
    arguments: &MigrateArgs,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    // What was typed is checked before anything is opened.
    let target = Target::read(arguments)?;
    let config = Config::load(&arguments.node_flags(), environment)?;
    if !config.paths.db().exists() {
        return Err(MigrateFailure::NoSource(config.paths.db().to_owned()).into());
    }
    let directory = DataDirectory::claim(&config.paths).map_err(MigrateFailure::Directory)?;
    let needs_streams = arguments.streams || matches!(target, Target::Own);
    let streams = if needs_streams {
        Some(OwnStreams::open(&config.streams).await.map_err(MigrateFailure::from)?)
    } else {
        None
    };
    let source = SqliteStore::open(directory.paths().db()).await.map_err(MigrateFailure::Source)?;
    let job = Job { arguments, config: &config, source: &source, streams: streams.as_ref() };
    let outcome = job.run(&target, out).await;
    source.close().await;
    if let Some(streams) = streams {
        streams.close().await;
    }
    outcome
}

/// What is moved, and from where.
struct Job<'a> {
    arguments: &'a MigrateArgs,
    config: &'a Config,
    source: &'a SqliteStore,
    /// The streams of this bus, where they are needed.
    streams: Option<&'a OwnStreams>,
}

impl Job<'_> {
    async fn run(&self, target: &Target, out: &mut impl Write) -> Result<(), Failure> {
        let context = match (target, self.streams) {
            (Target::Own, Some(streams)) => streams.context(),
            _ => target.control().await?,
        };
        self.store(context.clone(), out).await?;
        if self.arguments.blobs {
            self.blobs(context, out).await?;
        }
        if let (true, Some(streams)) = (self.arguments.streams, self.streams) {
            self.history(&streams.context(), target, out).await?;
        }
        if !self.arguments.dry_run {
            writeln!(out, "moved; nothing was removed here. Start the daemon with --store kv from now on")?;
        }
        Ok(())
    }

    /// Users, rooms and what belongs to them.
    async fn store(&self, context: Context, out: &mut impl Write) -> Result<(), Failure> {
        let options = KvOptions { replicas: self.arguments.kv_replicas.into(), ..KvOptions::default() };
        let migration = Migration::new(self.source, context, options);
        let plan = migration.plan().await.map_err(MigrateFailure::from)?;
        show::plan(&plan, out)?;
        if self.arguments.dry_run {
            return Ok(());
        }
        let bar = Bar::new("users and rooms");
        let moved = migration.run(|progress| bar.store(progress)).await;
        bar.finish();
        show::moved(&moved.map_err(MigrateFailure::from)?, out)?;
        Ok(())
    }

    /// The files in rooms.
    async fn blobs(&self, context: Context, out: &mut impl Write) -> Result<(), Failure> {
        let source = FsStore::open(self.config.paths.files(), FsOptions::default()).await;
        let source = source.map_err(MigrateFailure::Files)?;
        let outcome = self.blobs_from(&source, context, out).await;
        source.close().await;
        outcome
    }

    async fn blobs_from(
        &self,
        source: &FsStore,
        context: Context,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let (files, bytes) = show::size_of(source).await.map_err(MigrateFailure::FileList)?;
        writeln!(out, "{files} files of {bytes} bytes are in {}", self.config.paths.files().display())?;
        if self.arguments.dry_run {
            return Ok(());
        }
        let options =
            JetStreamOptions { replicas: self.arguments.kv_replicas.into(), ..JetStreamOptions::default() };
        let target = JetStreamStore::open(context, options).await.map_err(MigrateFailure::from)?;
        let bar = Bar::new("files");
        let copied = copy_all(source, &target, |copied| bar.files(copied, files)).await;
        bar.finish();
        target.close().await;
        let copied = copied.map_err(MigrateFailure::from)?;
        writeln!(
            out,
            "{} files were copied and {} were there; every digest matched",
            copied.written, copied.already
        )?;
        Ok(())
    }

    /// What rooms remember.
    async fn history(&self, source: &Context, target: &Target, out: &mut impl Write) -> Result<(), Failure> {
        let plan = plan_history(source).await.map_err(MigrateFailure::from)?;
        writeln!(out, "{} rooms remember {} messages", plan.rooms, plan.messages)?;
        if self.arguments.dry_run {
            return Ok(());
        }
        let context = target.bus().await?;
        let options = HistoryOptions { replicas: self.arguments.kv_replicas.into() };
        let bar = Bar::new("messages");
        let moved = move_history(source, &context, options, |progress| bar.history(progress)).await;
        bar.finish();
        show::history(&moved.map_err(MigrateFailure::from)?, out)?;
        Ok(())
    }
}

//! `membershipd migrate-to-kv`: users and rooms from the database into JetStream buckets, and if asked, files and what
//! rooms remember with them.
//!
//! The daemon must be stopped: the data directory is locked meanwhile. Nothing is removed from where it was. The target
//! is closed to every daemon from the first write until everything is there and was compared.

mod done_before;
mod failure;
mod show;
mod source;
mod target;

use std::io::Write;

use async_nats::jetstream::Context;
use blobstore::{BlobStore as _, FsOptions, FsStore, JetStreamOptions, JetStreamStore, copy_all};
use membership_store::{KvNonceOptions, KvNonceStore, KvOptions, Migration};

use crate::args::MigrateArgs;
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::first_start::unix_now;
use crate::migrate::history::{HistoryOptions, move_history, plan_history};
use crate::migrate::into_cluster::MovingNode;
use crate::store_note::StoreNote;
use crate::telemetry;
use show::Bar;
use source::{OpenSource, Source};
use target::Target;

pub use failure::MigrateFailure;

/// Moves what is asked for, or says what there is to move.
pub(super) async fn run(
    arguments: &MigrateArgs,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (target, config) = Target::read(arguments, environment)?;
    let source = Source::of(arguments, &config, &target)?;
    if matches!(target, Target::Cluster) {
        MovingNode::check(&config, source.is_in(config.paths.directory())).map_err(MigrateFailure::from)?;
    }
    let open = source.open(arguments, &target).await?;
    let job = Job { arguments, config: &config, source: &source, open: &open };
    let outcome = Box::pin(job.run(&target, out)).await;
    open.close().await;
    outcome
}

/// What is moved, and from where.
struct Job<'a> {
    arguments: &'a MigrateArgs,
    config: &'a Config,
    source: &'a Source,
    open: &'a OpenSource,
}

/// Where it is moved to, reached.
struct Reached {
    control: Context,
    /// Where messages go, if they are moved.
    bus: Option<Context>,
    /// How many servers keep what is made.
    replicas: usize,
}

/// How the daemon finds what was moved.
enum Start {
    /// As a node of the cluster.
    AsNode,
    /// At the NATS that the settings are about.
    SameSettings,
    /// In its own streams.
    WithStoreKv(StoreNote),
    /// At the NATS that was named.
    AtThatNats,
}

impl Start {
    /// What says so to whoever starts it on the database.
    fn note(&self) -> &StoreNote {
        match self {
            Self::AsNode => &StoreNote::Cluster,
            Self::SameSettings | Self::AtThatNats => &StoreNote::ExternalKv,
            Self::WithStoreKv(note) => note,
        }
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AsNode | Self::SameSettings => "with the same settings",
            Self::WithStoreKv(_) => "with --store kv",
            Self::AtThatNats => "with --nats-url and the other settings of that NATS",
        })
    }
}

impl Job<'_> {
    async fn run(&self, target: &Target, out: &mut impl Write) -> Result<(), Failure> {
        let streams = self.open.streams.as_ref();
        match target {
            Target::Cluster if self.arguments.dry_run => self.plan_for_cluster(out).await,
            Target::Cluster => self.move_into_cluster(out).await,
            Target::Own => {
                let streams =
                    streams.ok_or_else(|| Failure::usage("the streams of this bus are not open"))?;
                let reached = Reached { control: streams.context(), bus: None, replicas: 1 };
                let note = StoreNote::Kv { streams: self.config.streams.directory.clone() };
                self.move_to(&reached, Start::WithStoreKv(note), out).await
            }
            Target::External(settings) => {
                let (control, bus) = target::enter(settings).await?;
                let reached = Reached { control, bus: Some(bus), replicas: settings.replicas.get() };
                self.move_to(&reached, Start::SameSettings, out).await
            }
            Target::Nats(nats) => {
                let control = nats.control().await?;
                let bus = if self.arguments.streams { Some(nats.bus().await?) } else { None };
                let reached = Reached { control, bus, replicas: nats.replicas };
                self.move_to(&reached, Start::AtThatNats, out).await
            }
        }
    }

    /// Says what there is, and starts no server: that would leave traces.
    async fn plan_for_cluster(&self, out: &mut impl Write) -> Result<(), Failure> {
        let counts = self.open.store.counts().await.map_err(MigrateFailure::Read)?;
        show::counts(&counts, out)?;
        self.plan_the_rest(out).await?;
        writeln!(
            out,
            "what the cluster holds is looked at when it is moved: no server was started for this"
        )?;
        Ok(())
    }

    /// Starts the server of this node for nothing but the move.
    async fn move_into_cluster(&self, out: &mut impl Write) -> Result<(), Failure> {
        // What the server says is how an operator sees why there is no majority.
        let _log = telemetry::start(&self.config.logging)?;
        let is_source = self.source.is_in(self.config.paths.directory());
        let node = MovingNode::start(self.config, is_source).await.map_err(MigrateFailure::from)?;
        let outcome = self.move_through(&node, out).await;
        node.stop().await;
        outcome
    }

    async fn move_through(&self, node: &MovingNode, out: &mut impl Write) -> Result<(), Failure> {
        let settings = self.config.plane.cluster();
        let settings = settings.ok_or_else(|| Failure::usage("a cluster needs --cluster-name"))?;
        if settings.node.has_peers() {
            writeln!(
                out,
                "waiting for a majority of the nodes: start others as usual, they wait for the end of the move"
            )?;
        }
        node.majority().await;
        let replicas = node.copies(settings).await.map_err(MigrateFailure::from)?;
        if replicas < settings.node.replicas.get() {
            writeln!(
                out,
                "one node keeps what is moved: when three are there, membershipd cluster raise-replicas {}",
                settings.node.replicas
            )?;
        }
        let reached = Reached { control: node.control(), bus: Some(node.bus()), replicas };
        self.move_to(&reached, Start::AsNode, out).await
    }

    /// Everything that is asked for, in its order; only then the target may be used.
    async fn move_to(&self, reached: &Reached, start: Start, out: &mut impl Write) -> Result<(), Failure> {
        let options = KvOptions { replicas: reached.replicas, ..KvOptions::default() };
        let migration = Migration::new(&self.open.store, reached.control.clone(), options);
        show::plan(&migration.plan().await.map_err(MigrateFailure::from)?, out)?;
        if self.arguments.dry_run {
            return self.plan_the_rest(out).await;
        }
        if self.is_done(&migration, reached, out).await? {
            self.note(&start)?;
            writeln!(
                out,
                "it was moved before: nothing was written, and nobody was kept out. Start the daemon {start} from now on"
            )?;
            return Ok(());
        }
        self.store(&migration, out).await?;
        if self.arguments.blobs {
            self.blobs(reached, out).await?;
        }
        self.history(reached, out).await?;
        // Requests that the bus accepted where it was are not accepted again where it is now.
        let nonces = KvNonceOptions { replicas: reached.replicas, ..KvNonceOptions::default() };
        KvNonceStore::begin_anew(&reached.control, &nonces, unix_now())
            .await
            .map_err(MigrateFailure::Nonces)?;
        self.note(&start)?;
        migration.finish().await.map_err(MigrateFailure::from)?;
        writeln!(out, "moved; nothing was removed here. Start the daemon {start} from now on")?;
        Ok(())
    }

    /// Says where users and rooms are from now on.
    fn note(&self, start: &Start) -> Result<(), MigrateFailure> {
        start.note().write(&self.config.paths.store_note()).map_err(MigrateFailure::from)
    }

    /// Of the files and of what rooms remember, how much there is.
    async fn plan_the_rest(&self, out: &mut impl Write) -> Result<(), Failure> {
        if self.arguments.blobs {
            let files = self.files().await?;
            let sized = self.size_of(&files, out).await;
            files.close().await;
            sized?;
        }
        self.plan_history(out).await
    }

    /// Users, rooms and what belongs to them.
    async fn store(&self, migration: &Migration<'_>, out: &mut impl Write) -> Result<(), Failure> {
        let bar = Bar::new("users and rooms");
        let moved = migration.run(|progress| bar.store(progress)).await;
        bar.finish();
        show::moved(&moved.map_err(MigrateFailure::from)?, out)?;
        Ok(())
    }

    async fn files(&self) -> Result<FsStore, MigrateFailure> {
        FsStore::open(self.source.paths.files(), FsOptions::default()).await.map_err(MigrateFailure::Files)
    }

    /// How many files there are to move.
    async fn size_of(&self, files: &FsStore, out: &mut impl Write) -> Result<u64, Failure> {
        let (count, bytes) = show::size_of(files).await.map_err(MigrateFailure::FileList)?;
        writeln!(out, "{count} files of {bytes} bytes are in {}", self.source.paths.files().display())?;
        Ok(count)
    }

    /// The files in rooms.
    async fn blobs(&self, reached: &Reached, out: &mut impl Write) -> Result<(), Failure> {
        let source = self.files().await?;
        let outcome = self.blobs_from(&source, reached, out).await;
        source.close().await;
        outcome
    }

    async fn blobs_from(
        &self,
        source: &FsStore,
        reached: &Reached,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let files = self.size_of(source, out).await?;
        let options = JetStreamOptions { replicas: reached.replicas, ..JetStreamOptions::default() };
        let target =
            JetStreamStore::open(reached.control.clone(), options).await.map_err(MigrateFailure::from)?;
        let bar = Bar::new("files");
        let copied = copy_all(source, &target, |copied| bar.files(copied, files)).await;
        bar.finish();
        target.close().await;
        let copied = copied.map_err(MigrateFailure::from)?;
        show::files(copied, out)?;
        Ok(())
    }

    async fn plan_history(&self, out: &mut impl Write) -> Result<(), Failure> {
        if let (true, Some(streams)) = (self.arguments.streams, &self.open.streams) {
            let plan = plan_history(&streams.context()).await.map_err(MigrateFailure::from)?;
            writeln!(out, "{} rooms remember {} messages", plan.rooms, plan.messages)?;
        }
        Ok(())
    }

    /// What rooms remember.
    async fn history(&self, reached: &Reached, out: &mut impl Write) -> Result<(), Failure> {
        self.plan_history(out).await?;
        let (true, Some(streams), Some(bus)) = (self.arguments.streams, &self.open.streams, &reached.bus)
        else {
            return Ok(());
        };
        let options = HistoryOptions { replicas: reached.replicas };
        let bar = Bar::new("messages");
        let moved = move_history(&streams.context(), bus, options, |progress| bar.history(progress)).await;
        bar.finish();
        show::history(&moved.map_err(MigrateFailure::from)?, out)?;
        Ok(())
    }
}

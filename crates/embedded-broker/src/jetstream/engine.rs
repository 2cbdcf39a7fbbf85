//! The engine: all streams of a broker, and the threads that work for them.

mod recover;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use busauth::SubjectFilter;
use parking_lot::{Mutex, RwLock};

use super::{
    api::{ApiQueue, ApiSink},
    commit::{CommitQueue, Committer, Done, Failure, Operation},
    config::{JetStreamConfig, JetStreamLimits, Store, SyncPolicy},
    publish::StreamSink,
    scheduler::{Scheduler, Worker},
    sender::Sender,
    store::{
        StoreHealth, StreamId, StreamStore,
        fjall::{FjallStore, SpaceLimits},
        memory::MemoryStore,
    },
    stream::{Stream, StreamParts},
    stream_config::{Existing, Storage},
    usage::Usage,
};
use crate::{
    Authentication, ReplyPolicy,
    monitoring::JetStreamStats,
    routing::{Index, Sink},
};

/// Worker threads: one can wait for the disk while another delivers.
const WORKERS: usize = 2;

/// All streams of a broker.
pub(crate) struct Engine {
    pub(crate) index: Arc<Index>,
    pub(crate) commit: Arc<CommitQueue>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) limits: JetStreamLimits,
    pub(crate) sync: SyncPolicy,
    /// Where streams are kept, if they are.
    pub(crate) directory: Option<PathBuf>,
    /// Name of the server, for answers that tell who leads.
    pub(crate) server_name: Box<str>,
    /// Held for reading from the check of a delivery's rights to its append. A change of access takes it for writing
    /// once, after the rights were swapped: then every delivery that was allowed before is appended.
    pub(crate) deliveries: RwLock<()>,
    pub(crate) clients: Clients,
    pub(crate) api: Arc<ApiQueue>,
    pub(crate) counters: ApiCounters,
    files: Arc<dyn StreamStore>,
    memory: Arc<dyn StreamStore>,
    streams: RwLock<BTreeMap<Arc<str>, Entry>>,
    next_stream: AtomicU32,
    /// What could not be read at the start, a sentence each.
    problems: Mutex<Vec<String>>,
    /// Names of streams that could not be read at the start. Nobody gets one of them: of two streams with one name the later
    /// stays.
    unread: Mutex<BTreeSet<String>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What is known of clients before they come.
pub(crate) struct Clients {
    /// How they log in, for consumers that outlive the connection that made them.
    pub(crate) authentication: Authentication,
    /// Where they may have something sent to.
    pub(crate) reply_policy: ReplyPolicy,
}

/// A stream and its receiving end in the index.
struct Entry {
    stream: Arc<Stream>,
    sink: Arc<dyn Sink>,
    /// What the sink is in the index under.
    filters: Vec<SubjectFilter>,
}

/// API requests so far.
#[derive(Debug, Default)]
pub(crate) struct ApiCounters {
    pub(crate) total: AtomicU64,
    pub(crate) errors: AtomicU64,
}

impl ApiCounters {
    /// All requests, and those that were answered with an error.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        (self.total.load(Relaxed), self.errors.load(Relaxed))
    }
}

/// Why JetStream could not be started. The text has the whole chain of causes, so there is no source besides.
#[derive(Debug, thiserror::Error)]
pub enum JetStreamError {
    /// The directory cannot be used; the text says why and what to do.
    #[error("the store of JetStream in {} cannot be opened: {why}", directory.display())]
    Open {
        /// The directory.
        directory: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// What is stored cannot be read.
    #[error("the store of JetStream cannot be read: {0}")]
    Read(String),
    /// The system has no thread to give.
    #[error("a thread of JetStream cannot be started: {0}")]
    Thread(std::io::Error),
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Some say theirs themselves.
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

impl Engine {
    /// Opens the store, reads the streams back, and begins to work. Blocks on the disk.
    pub(crate) fn start(
        config: &JetStreamConfig,
        index: Arc<Index>,
        server_name: &str,
        clients: Clients,
    ) -> Result<Arc<Self>, JetStreamError> {
        let memory: Arc<dyn StreamStore> = Arc::new(MemoryStore::new());
        let files: Arc<dyn StreamStore> = match &config.store {
            Store::Memory => Arc::new(MemoryStore::new()),
            Store::Directory(directory) => {
                let opened = FjallStore::open(directory, SpaceLimits::default());
                Arc::new(opened.map_err(|error| JetStreamError::Open {
                    directory: directory.clone(),
                    why: chain(&error),
                })?)
            }
        };
        Self::with_stores(config, files, memory, index, server_name, clients)
    }

    /// Begins to work on these stores.
    pub(super) fn with_stores(
        config: &JetStreamConfig,
        files: Arc<dyn StreamStore>,
        memory: Arc<dyn StreamStore>,
        index: Arc<Index>,
        server_name: &str,
        clients: Clients,
    ) -> Result<Arc<Self>, JetStreamError> {
        let scheduler = Arc::new(Scheduler::default());
        let engine = Arc::new(Self {
            commit: Arc::new(CommitQueue::new(config.limits.max_uncommitted)),
            usage: Arc::new(Usage::new(&config.limits)),
            limits: config.limits.clone(),
            sync: config.sync,
            directory: match &config.store {
                Store::Memory => None,
                Store::Directory(directory) => Some(directory.clone()),
            },
            server_name: server_name.into(),
            deliveries: RwLock::new(()),
            clients,
            api: Arc::new(ApiQueue::new(Arc::clone(&scheduler))),
            counters: ApiCounters::default(),
            files,
            memory,
            streams: RwLock::default(),
            next_stream: AtomicU32::new(1),
            problems: Mutex::default(),
            unread: Mutex::default(),
            threads: Mutex::default(),
            index,
            scheduler,
        });
        engine.recover()?;
        engine.start_threads(config.sync)?;
        ApiSink::install(&engine);
        Ok(engine)
    }

    fn start_threads(self: &Arc<Self>, sync: SyncPolicy) -> Result<(), JetStreamError> {
        let committer = Committer::new(
            Arc::clone(&self.commit),
            Arc::clone(&self.files),
            Arc::clone(&self.memory),
            sync,
            Sender::new(Arc::clone(&self.index)),
        );
        self.start_thread("jetstream-commit", move || committer.run())?;
        for _ in 0..WORKERS {
            let sender = Sender::new(Arc::clone(&self.index));
            let worker = Worker { engine: Arc::clone(self), sender };
            let scheduler = Arc::clone(&self.scheduler);
            self.start_thread("jetstream-work", move || scheduler.work(worker))?;
        }
        Ok(())
    }

    fn start_thread(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), JetStreamError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.lock().push(thread.map_err(JetStreamError::Thread)?);
        Ok(())
    }

    /// Tells the threads to end. What is queued is still written.
    pub(crate) fn stop(&self) {
        self.scheduler.stop();
        for stream in self.streams() {
            for consumer in stream.consumers.all() {
                consumer.save_now();
            }
        }
        self.commit.stop();
    }

    /// Waits until the threads have ended and everything is on disk. Blocks.
    pub(crate) fn join(&self) {
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of JetStream has panicked");
            }
        }
        // Consumers and streams hold one another, and the store's lock with it.
        for (_, Entry { stream, sink, filters }) in std::mem::take(&mut *self.streams.write()) {
            for filter in &filters {
                self.index.remove_sink(filter, &sink);
            }
            stream.close();
            stream.consumers.clear();
            stream.forget_followers();
        }
        self.files.close();
    }

    /// What a stream of this kind works with.
    pub(crate) fn parts(&self, storage: Storage) -> StreamParts {
        StreamParts {
            store: Arc::clone(match storage {
                Storage::File => &self.files,
                Storage::Memory => &self.memory,
            }),
            commit: Arc::clone(&self.commit),
            scheduler: Arc::clone(&self.scheduler),
            usage: Arc::clone(&self.usage),
        }
    }

    /// A number for a new stream.
    pub(crate) fn new_stream_id(&self) -> StreamId {
        StreamId(self.next_stream.fetch_add(1, Relaxed))
    }

    /// Whether a stream of this name is stored and could not be read.
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        self.unread.lock().contains(name)
    }

    pub(crate) fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams.read().get(name).map(|entry| Arc::clone(&entry.stream))
    }

    /// All streams, by name.
    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.read().values().map(|entry| Arc::clone(&entry.stream)).collect()
    }

    pub(crate) fn num_streams(&self) -> usize {
        self.streams.read().len()
    }

    /// Makes a new stream. It takes messages once it is written, and before anybody is told.
    pub(crate) fn create(
        self: &Arc<Self>,
        stream: Stream,
        then: impl FnOnce(&Arc<Stream>, Result<Done, Failure>, &mut Sender) + Send + 'static,
    ) {
        let (engine, stream) = (Arc::clone(self), self.register(stream));
        let made = Arc::clone(&stream);
        self.commit.operate(&stream, Operation::Create(stream.creation()), move |result, sender| {
            match result {
                Ok(_) => engine.subscribe(&made),
                Err(_) => drop(engine.remove(&made.name)),
            }
            then(&made, result, sender);
        });
    }

    /// Lets a stream be found.
    fn register(&self, stream: Stream) -> Arc<Stream> {
        let stream = Arc::new(stream);
        let sink: Arc<dyn Sink> = Arc::new(StreamSink(Arc::clone(&stream)));
        let entry = Entry { stream: Arc::clone(&stream), sink, filters: Vec::new() };
        self.streams.write().insert(Arc::clone(&stream.name), entry);
        stream
    }

    /// Puts the subjects of a stream in force, as they are configured now.
    pub(crate) fn subscribe(&self, stream: &Arc<Stream>) {
        let filters = stream.config().filters();
        let (sink, before) = {
            let mut streams = self.streams.write();
            let Some(entry) = streams.get_mut(&stream.name) else { return };
            if !Arc::ptr_eq(&entry.stream, stream) {
                return;
            }
            (Arc::clone(&entry.sink), std::mem::replace(&mut entry.filters, filters.clone()))
        };
        // Without the lock, which connections take as well.
        for filter in filters.iter().filter(|filter| !before.contains(filter)) {
            self.index.insert_sink(filter, &sink);
        }
        for filter in before.iter().filter(|filter| !filters.contains(filter)) {
            self.index.remove_sink(filter, &sink);
        }
    }

    /// Takes a stream out: it takes nothing any more, and nobody finds it.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Stream>> {
        let Entry { stream, sink, filters } = self.streams.write().remove(name)?;
        stream.close();
        for filter in &filters {
            self.index.remove_sink(filter, &sink);
        }
        Some(stream)
    }

    /// What the streams other than this one take.
    pub(crate) fn others<'a>(&'a self, name: &'a str) -> impl Existing + 'a {
        Others { engine: self, name }
    }

    /// To be called after the rights of somebody were changed: when it returns, nothing is delivered under old ones.
    pub(crate) fn access_changed(&self) {
        drop(self.deliveries.write());
    }

    /// Whether the stores are whole, and everybody who works for them is there.
    pub(super) fn store_health(&self) -> StoreHealth {
        let mut health = self.files.health();
        health.problems.extend(self.problems.lock().iter().cloned());
        for stream in self.streams().iter().filter(|stream| stream.is_unread()) {
            health.problems.push(format!(
                "stream {:?} could not be read back after a failure, and takes nothing: it is tried again each second; \
                 look at the disk and the log",
                &*stream.name
            ));
        }
        if self.threads.lock().iter().any(JoinHandle::is_finished) {
            health.problems.push("a thread of JetStream has ended: restart the broker".to_owned());
            health.writable = false;
        }
        health
    }

    /// Bytes that streams of this kind keep for themselves by their limits.
    pub(crate) fn reserved(&self, storage: Storage) -> u64 {
        let streams = self.streams.read();
        let of_kind = streams.values().filter(|entry| entry.stream.storage == storage);
        of_kind.filter_map(|entry| entry.stream.config().max_bytes()).fold(0, u64::saturating_add)
    }

    /// Counters.
    pub(crate) fn stats(&self) -> JetStreamStats {
        let (requests, errors) = self.counters.numbers();
        let stats = JetStreamStats { streams: 0, consumers: 0, messages: 0, bytes: 0, requests, errors };
        self.streams().iter().fold(stats, |stats, stream| {
            let totals = stream.totals();
            JetStreamStats {
                streams: stats.streams + 1,
                consumers: stats.consumers + stream.consumers.len(),
                messages: stats.messages + totals.messages,
                bytes: stats.bytes + totals.bytes,
                ..stats
            }
        })
    }

    /// A page of streams by name, from `offset` on, and how many there are: those that take something `filter`
    /// matches.
    pub(crate) fn page(
        &self,
        filter: Option<&SubjectFilter>,
        offset: usize,
        limit: usize,
    ) -> (Vec<Arc<Stream>>, usize) {
        let streams = self.streams.read();
        let all = (Bound::Unbounded::<&str>, Bound::Unbounded);
        let matching: Vec<_> = streams
            .range::<str, _>(all)
            .map(|(_, entry)| entry)
            .filter(|entry| {
                filter.is_none_or(|filter| entry.filters.iter().any(|taken| taken.overlaps(filter)))
            })
            .collect();
        let page = matching.iter().skip(offset).take(limit).map(|entry| Arc::clone(&entry.stream)).collect();
        (page, matching.len())
    }
}

struct Others<'a> {
    engine: &'a Engine,
    name: &'a str,
}

impl Existing for Others<'_> {
    fn overlaps(&self, filter: &SubjectFilter) -> bool {
        let streams = self.engine.streams.read();
        let mut others = streams.iter().filter(|(name, _)| &***name != self.name);
        others.any(|(_, entry)| entry.filters.iter().any(|taken| taken.overlaps(filter)))
    }
}

//! One run of a nats-server: started, listened to, entered by our service identities, asked about logins, stopped.

mod reload;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use busauth::Authenticator;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use busauth::private_file;

use crate::{
    callout::{Askers, Responder},
    config::ClusterConfig,
    connections::RecentLogins,
    guard::Cleared,
    launch::{STORE_IN_USE, Slot},
    nats_conf::{self, Places},
    own_tls::Accepted,
    process::{self, Ended, Process},
    server_log::{self, LastWords},
    service_access::{ServiceAccess, dialled},
    service_keys::{Account, ServiceKeys},
    system::System,
    version::ServerVersion,
};

/// It listens within some ten milliseconds; a busy machine gets more.
const LISTENING: Duration = Duration::from_secs(15);
const CONNECTING: Duration = Duration::from_secs(10);
/// How often it is looked whether the server has said where it listens.
const LOOK: Duration = Duration::from_millis(10);
/// How often it is looked whether a server that was left behind is gone.
const LOOK_AT_STORE: Duration = Duration::from_millis(100);
/// What a stopped process may take to end before it is killed.
const ENDING: Duration = Duration::from_secs(5);
/// Longer than a check takes that does not hang.
const CHECKING: Duration = Duration::from_secs(30);

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program is not there, or does not run.
    #[error("cannot run {}: {source}; name the nats-server with --nats-server", .program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program does not say what it is.
    #[error("{} does not say its version: is it a nats-server?", .0.display())]
    NoVersion(PathBuf),
    /// Too old.
    #[error("nats-server {found} is too old: a cluster needs {} or newer", ServerVersion::OLDEST)]
    TooOld {
        /// What it is.
        found: ServerVersion,
    },
    /// The directory of the server cannot be used.
    #[error("{}: {source}", .path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server has it.
    #[error("{} is in use by another nats-server: one that was left behind and does not end, or a second node with the same directory", .0.display())]
    StoreInUse(PathBuf),
    /// The server does not take its configuration.
    #[error("nats-server refuses its configuration: {0}")]
    Refused(String),
    /// It ended before it could be used.
    #[error("nats-server ended: {0}")]
    Ended(String),
    /// It does not listen.
    #[error("nats-server runs and does not listen")]
    NotListening,
    /// It does not let us in.
    #[error("nats-server cannot be entered: {0}")]
    NoEntry(String),
    /// Something else listens there.
    #[error("{address} is answered by another server ({found}): choose another port")]
    OtherServer {
        /// Where.
        address: SocketAddr,
        /// What it calls itself.
        found: String,
    },
    /// Our own TLS.
    #[error("TLS of our own connections: {0}")]
    Tls(#[from] rustls::Error),
}

pub use self::reload::{ReloadError, Reloaded};

/// What every run of the server has in common.
pub(crate) struct Blueprint<A: ?Sized> {
    pub(crate) cleared: Cleared,
    /// What it may show us; `None` without TLS.
    pub(crate) accepted: Option<Accepted>,
    pub(crate) keys: Arc<ServiceKeys>,
    pub(crate) recent: Arc<RecentLogins>,
    pub(crate) authenticator: Arc<A>,
    /// Everything that is spawned for any of the servers.
    pub(crate) tasks: TaskTracker,
}

/// A server that runs and asks us about logins.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// Where clients connect.
    pub(crate) listens: SocketAddr,
    pub(crate) system: System,
    /// Ends when nobody answers questions about logins any more, whatever the reason.
    pub(crate) answering: CancellationToken,
    last_words: LastWords,
    stop_answering: DropGuard,
    tasks: TaskTracker,
}

impl<A: Authenticator + ?Sized> Blueprint<A> {
    pub(crate) fn config(&self) -> &ClusterConfig {
        self.cleared.config()
    }

    /// Whether the program is there and new enough.
    pub(crate) async fn check_program(&self) -> Result<(), StartError> {
        version_of(&self.config().nats_server).await.map(drop)
    }

    /// How the service identity of an account enters a server that listens there.
    pub(crate) fn access(&self, account: Account, listens: SocketAddr) -> Result<ServiceAccess, StartError> {
        let tls = self.accepted.as_ref().map(Accepted::config).transpose()?;
        Ok(ServiceAccess::new(listens, self.keys.seed(account), tls))
    }

    /// Starts a server. What was started is gone again when that fails.
    pub(crate) async fn start(&self, listen: SocketAddr) -> Result<Server, StartError> {
        let run_directory = self.prepare_store()?;
        self.check_when_store_is_free(listen, &run_directory).await?;
        let (process, stderr) = self.launch(listen, &run_directory, &["-c", &Slot::Config.path()]).await?;
        let tasks = TaskTracker::new();
        let last_words = LastWords::default();
        let log = server_log::forward(stderr, self.config().node.to_string(), last_words.clone());
        self.tasks.spawn(tasks.track_future(log));
        let starting = Starting { process, last_words, tasks };
        match self.enter(&starting, &run_directory).await {
            Ok(Entered { listens, system, answering, stop_answering }) => {
                let Starting { process, last_words, tasks } = starting;
                Ok(Server { process, listens, system, answering, last_words, stop_answering, tasks })
            }
            Err(error) => {
                starting.process.signal(Signal::KILL);
                starting.process.ended().await;
                starting.tasks.close();
                starting.tasks.wait().await;
                Err(error)
            }
        }
    }

    /// Makes what has to be there, and removes what an earlier run has left behind.
    fn prepare_store(&self) -> Result<PathBuf, StartError> {
        let store = &self.config().store;
        let run_directory = store.join("run");
        for directory in [store, &run_directory] {
            private_file::make_directory(directory)
                .map_err(|source| StartError::Store { path: directory.clone(), source })?;
        }
        let unreadable = |source| StartError::Store { path: run_directory.clone(), source };
        for entry in fs::read_dir(&run_directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if is_ports_file(&path) {
                fs::remove_file(&path).map_err(unreadable)?;
            }
        }
        Ok(run_directory)
    }

    /// Checks the configuration, with the lock of the store taken for that moment. A server that was left behind by a
    /// supervisor that was killed has been told to end, and gets time to do so.
    async fn check_when_store_is_free(
        &self,
        listen: SocketAddr,
        run_directory: &Path,
    ) -> Result<(), StartError> {
        let patience = self.config().limits.store_patience;
        let since = Instant::now();
        let mut said = false;
        loop {
            match self.check_configuration(listen, run_directory).await {
                Err(StartError::StoreInUse(store)) if since.elapsed() < patience => {
                    if !said {
                        said = true;
                        tracing::warn!(
                            store = %store.display(),
                            "another nats-server is in the directory: waiting up to {} s for it to end",
                            patience.as_secs()
                        );
                    }
                    sleep(LOOK_AT_STORE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn check_configuration(&self, listen: SocketAddr, run_directory: &Path) -> Result<(), StartError> {
        let arguments = ["-t", "-c", &Slot::Config.path()];
        let (process, stderr) = self.launch(listen, run_directory, &arguments).await?;
        let last_words = LastWords::default();
        let reading = server_log::forward(stderr, self.config().node.to_string(), last_words.clone());
        let ended = timeout(CHECKING, async { tokio::join!(reading, process.ended()).1 }).await;
        match ended {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(ended) => Err(match self.ended(ended, &last_words) {
                StartError::Ended(reason) => StartError::Refused(reason),
                other => other,
            }),
            Err(_) => Err(StartError::Refused("it does not finish reading it".to_owned())),
        }
    }

    async fn launch(
        &self,
        listen: SocketAddr,
        run_directory: &Path,
        arguments: &[&str],
    ) -> Result<(Process, tokio::process::ChildStderr), StartError> {
        let paths = Slot::ALL.map(Slot::path);
        let [_, route_certificate, route_key, route_authority, client_certificate, client_key] = &paths;
        let places = Places {
            client_listen: listen,
            run_directory,
            route_certificate,
            route_key,
            route_authority,
            client_certificate,
            client_key,
        };
        let text = nats_conf::render(&self.cleared, &self.keys, &places);
        let mut files: Vec<(Slot, &[u8])> = vec![(Slot::Config, &text)];
        files.extend(certificates(&self.cleared));
        let config = self.config();
        let lock = config.store.join("nats-server.lock");
        Process::start(&config.exec_helper, &lock, &config.nats_server, arguments, &files)
            .await
            .map_err(|source| StartError::Program { program: config.exec_helper.program.clone(), source })
    }

    /// Waits until it listens, connects, and begins to answer.
    async fn enter(&self, starting: &Starting, run_directory: &Path) -> Result<Entered, StartError> {
        let listens = tokio::select! {
            listens = timeout(LISTENING, ports(run_directory, starting.process.id())) => {
                listens.map_err(|_| StartError::NotListening)?
            }
            ended = starting.process.ended() => {
                starting.tasks.close();
                starting.tasks.wait().await;
                return Err(self.ended(ended, &starting.last_words));
            }
        };
        let system = self.connect(Account::Sys, listens).await?;
        let info = system.server_info();
        if info.server_name != self.config().node.as_str() {
            let found = info.server_name.clone();
            return Err(StartError::OtherServer { address: dialled(listens), found });
        }
        let version = info.version.parse();
        check_version(version.map_err(|_| StartError::NoVersion(self.config().nats_server.clone()))?)?;
        let responder = Arc::new(Responder {
            client: self.connect(Account::Auth, listens).await?,
            keys: Arc::clone(&self.keys),
            askers: Askers::Own(info.server_id.clone()),
            recent: Arc::clone(&self.recent),
            authenticator: Arc::clone(&self.authenticator),
        });
        let questions = responder.subscribe(None).await.map_err(StartError::NoEntry)?;
        let (stop, answering) = (CancellationToken::new(), CancellationToken::new());
        let ended = answering.clone().drop_guard();
        let told = stop.clone();
        self.tasks.spawn(starting.tasks.track_future(async move {
            responder.run(questions, told).await;
            drop(ended);
        }));
        let system = System::new(system, info.server_id.clone());
        Ok(Entered { listens, system, answering, stop_answering: stop.drop_guard() })
    }

    async fn connect(&self, account: Account, listens: SocketAddr) -> Result<async_nats::Client, StartError> {
        let access = self.access(account, listens)?;
        let options = access.options().name(format!("membershipd {}", account.name()));
        // A connection of this run of the server ends with it.
        // In a box because it is large, and so would be every future around it.
        let connecting = Box::pin(options.max_reconnects(20).connect(access.url()));
        let refused = |error: String| StartError::NoEntry(format!("{}: {error}", account.name()));
        timeout(CONNECTING, connecting)
            .await
            .map_err(|_| refused("time is over".to_owned()))?
            .map_err(|error| refused(error.to_string()))
    }

    fn ended(&self, ended: Ended, last_words: &LastWords) -> StartError {
        if ended.and_then(|status| status.code()) == Some(STORE_IN_USE.into()) {
            return StartError::StoreInUse(self.config().store.clone());
        }
        StartError::Ended(reason(ended, last_words))
    }
}

/// What there is before it can be used.
struct Starting {
    process: Process,
    last_words: LastWords,
    tasks: TaskTracker,
}

/// What there is when it can be used.
struct Entered {
    listens: SocketAddr,
    system: System,
    answering: CancellationToken,
    stop_answering: DropGuard,
}

impl Server {
    /// What it has said about a route lately that was not taken.
    pub(crate) fn route_problem(&self) -> Option<String> {
        self.last_words.about_routes(std::time::Instant::now())
    }

    /// What it has said of something that it could not write, for the disk was full.
    pub(crate) fn full_disk(&self) -> Option<String> {
        self.last_words.about_a_full_disk()
    }

    /// Why it has ended, for the log and the operator.
    pub(crate) fn reason(&self, ended: Ended) -> String {
        reason(ended, &self.last_words)
    }

    /// Lets it end: by itself if it does, else by force. `true` when that was needed.
    pub(crate) async fn terminate(&self) -> bool {
        self.process.signal(Signal::TERM);
        if self.process.ended_within(ENDING).await.is_some() {
            return false;
        }
        self.process.signal(Signal::KILL);
        self.process.ended().await;
        true
    }

    /// What has to be done when it has ended: nothing of it is left when this returns.
    pub(crate) async fn close(self) -> Ended {
        let ended = self.process.ended().await;
        drop(self.stop_answering);
        self.tasks.close();
        self.tasks.wait().await;
        ended
    }
}

/// The certificates and keys that a server is handed.
fn certificates(cleared: &Cleared) -> Vec<(Slot, &[u8])> {
    let mut files: Vec<(Slot, &[u8])> = Vec::new();
    if let Some(route) = cleared.route() {
        files.push((Slot::RouteCertificate, route.pair.certificates.pem().as_bytes()));
        files.push((Slot::RouteKey, route.pair.key_pem().as_bytes()));
        files.push((Slot::RouteAuthority, route.authority.pem().as_bytes()));
    }
    if let Some(client) = cleared.client() {
        files.push((Slot::ClientCertificate, client.certificates.pem().as_bytes()));
        files.push((Slot::ClientKey, client.key_pem().as_bytes()));
    }
    files
}

/// Which nats-server a program is, if it is one that a node could run.
pub async fn version_of(program: &Path) -> Result<ServerVersion, StartError> {
    let said = process::says(program, "--version")
        .await
        .map_err(|source| StartError::Program { program: program.to_owned(), source })?;
    let version = said.parse().map_err(|_| StartError::NoVersion(program.to_owned()))?;
    check_version(version)?;
    Ok(version)
}

fn check_version(found: ServerVersion) -> Result<(), StartError> {
    if found.is_supported() { Ok(()) } else { Err(StartError::TooOld { found }) }
}

fn reason(ended: Ended, last_words: &LastWords) -> String {
    match (last_words.get(), ended) {
        (Some(words), _) => words,
        (None, Some(status)) => status.to_string(),
        (None, None) => "nobody knows how".to_owned(),
    }
}

/// Where this process says that it listens for clients, as soon as it does.
async fn ports(run_directory: &Path, process: u32) -> SocketAddr {
    let file = run_directory.join(format!("nats-server_{process}.ports"));
    loop {
        // Written by the server in one go, but not at once.
        if let Some(address) = tokio::fs::read(&file).await.ok().and_then(|text| client_address(&text)) {
            return address;
        }
        sleep(LOOK).await;
    }
}

fn is_ports_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ports")
}

fn client_address(text: &[u8]) -> Option<SocketAddr> {
    #[derive(serde::Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }

    let ports: Ports = serde_json::from_slice(text).ok()?;
    // `nats://` or, with a certificate, `tls://`; one for each address when it listens on all of them.
    ports.nats.first()?.split_once("://")?.1.parse().ok()
}

//! A line between a store and its server that can be cut, held or made deaf.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to what the server sends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answers {
    Pass,
    /// They wait.
    Wait,
    /// They are lost.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    answers: Answers,
    /// Connections of earlier generations are cut.
    generation: u64,
}

#[derive(Debug)]
struct Shared {
    line: watch::Sender<Line>,
    /// The line is cut once so many more pieces went to the server; negative is never.
    cut_after: AtomicI64,
}

/// A port that leads to a server.
#[derive(Debug)]
pub struct Proxy {
    /// Where the line begins.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A line to this server.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let line = watch::Sender::new(Line { answers: Answers::Pass, generation: 0 });
        let shared = Arc::new(Shared { line, cut_after: AtomicI64::new(-1) });
        let mut tasks = JoinSet::new();
        let accepting = shared.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(connection(client, server, accepting.clone()));
            }
        });
        Self { address, shared, _tasks: tasks }
    }

    /// Cuts all connections; new ones go through.
    pub fn cut(&self) {
        self.shared.line.send_modify(|line| line.generation += 1);
    }

    /// Cuts all connections once so many more pieces went to the server, the last of them included.
    pub fn cut_after(&self, pieces: i64) {
        self.shared.cut_after.store(pieces, Ordering::SeqCst);
    }

    /// Whether a cut that was asked for has not happened.
    pub fn is_cut_pending(&self) -> bool {
        self.shared.cut_after.load(Ordering::SeqCst) >= 0
    }

    /// Lets nothing of what the server says through until it is cut; what the client says goes through.
    pub fn lose_answers(&self) {
        self.shared.line.send_modify(|line| line.answers = Answers::Lost);
    }

    /// Holds what the server says.
    pub fn hold_answers(&self) {
        self.shared.line.send_modify(|line| line.answers = Answers::Wait);
    }

    /// Everything goes through again.
    pub fn pass(&self) {
        self.shared.line.send_modify(|line| line.answers = Answers::Pass);
    }
}

async fn connection(client: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let generation = shared.line.borrow().generation;
    let mut line = shared.line.subscribe();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = ask(from_client, to_server, &shared) => {}
        () = answer(from_server, to_client, &shared) => {}
        _ = line.wait_for(|line| line.generation != generation) => {}
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) if to.write_all(&buffer[..bytes]).await.is_err() => return,
            Ok(_) => {}
        }
        let is_counting = |left: i64| (left >= 0).then_some(left - 1);
        if shared.cut_after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_counting) == Ok(0) {
            shared.line.send_modify(|line| line.generation += 1);
        }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    let mut line = shared.line.subscribe();
    loop {
        if line.wait_for(|line| line.answers != Answers::Wait).await.is_err() {
            return;
        }
        let Ok(bytes @ 1..) = from.read(&mut buffer).await else { return };
        let answers = shared.line.borrow().answers;
        if answers == Answers::Wait && line.wait_for(|line| line.answers != Answers::Wait).await.is_err() {
            return;
        }
        if answers != Answers::Lost && to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

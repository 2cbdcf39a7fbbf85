//! A line between two programs that can be cut, slowed down, or made lossy, each way on its own.
//!
//! It is a port that leads to another. What is between them behaves as a network does to those who speak TCP over it: what
//! is held arrives later if the line is whole again in time, what is lost arrives late, and an end that is closed while the
//! line is cut is not heard of on the other side.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dice::Dice;

/// Pieces on their way in one direction of a connection; then whoever sends has to wait.
const PIECES: usize = 64;
/// The most bytes of a piece.
const PIECE: usize = 16 << 10;
/// How long after a loss TCP sends again at first; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// So often in a row a piece may be lost.
const MOST_RETRIES: u32 = 4;
/// When nothing can be accepted, such as for want of open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// What happens to what is sent one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It arrives.
    Pass,
    /// It does not arrive as long as this lasts.
    Hold,
    /// It arrives so much later.
    Slow(Duration),
    /// So many of 1000 pieces are lost and have to be sent again.
    Lossy(u16),
}

/// One of the two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From those who connect to where the line leads.
    There,
    /// From where the line leads to those who connect.
    Back,
}

/// A port that leads to a server.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Aborted with the value.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    dice: Mutex<Dice>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    there: Flow,
    back: Flow,
    /// Connections of earlier generations are closed.
    generation: u64,
}

/// Something on its way.
struct Piece {
    bytes: Vec<u8>,
    sent: Instant,
}

impl Line {
    /// A line to this server, which need not be there yet, on a port of its own.
    pub async fn to(server: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State { there: Flow::Pass, back: Flow::Pass, generation: 0 });
        let shared = Arc::new(Shared { state, dice: Mutex::new(Dice::new(seed)) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, shared.clone()));
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on to what is sent this way, and to what is on its way.
    pub fn set(&self, direction: Direction, flow: Flow) {
        self.shared.state.send_modify(|state| match direction {
            Direction::There => state.there = flow,
            Direction::Back => state.back = flow,
        });
    }

    /// The same both ways.
    pub fn set_both(&self, flow: Flow) {
        self.set(Direction::There, flow);
        self.set(Direction::Back, flow);
    }

    /// Closes all connections; new ones are accepted.
    pub fn reset(&self) {
        self.shared.state.send_modify(|state| state.generation += 1);
    }
}

impl State {
    fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::There => self.there,
            Direction::Back => self.back,
        }
    }

    fn is_open(&self) -> bool {
        self.there != Flow::Hold && self.back != Flow::Hold
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(connection(client, server, shared.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

async fn connection(client: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    let generation = state.borrow().generation;
    let carried = async {
        let mut open = shared.state.subscribe();
        // Nobody hears of a connection that does not get through.
        open.wait_for(|state| state.there != Flow::Hold).await.ok();
        let Ok(server) = TcpStream::connect(server).await else { return };
        // As quick as without a line in between; without it is only slower.
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let ended = tokio::try_join!(
            carry(from_client, to_server, Direction::There, &shared),
            carry(from_server, to_client, Direction::Back, &shared),
        );
        if ended.is_err() {
            open.wait_for(State::is_open).await.ok();
        }
    };
    tokio::select! {
        () = carried => {}
        _ = state.wait_for(|state| state.generation != generation) => {}
    }
}

/// Carries one way until the sender has no more to say; an error when one of the ends is gone.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    shared: &Shared,
) -> io::Result<()> {
    let (pieces, mut on_their_way) = mpsc::channel::<Piece>(PIECES);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = from.read(&mut buffer).await?;
            let piece = Piece { bytes: buffer[..length].to_vec(), sent: Instant::now() };
            if length == 0 || pieces.send(piece).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some(piece) = on_their_way.recv().await {
            shared.arrival(&piece, direction).await;
            to.write_all(&piece.bytes).await?;
        }
        // The end of what is said travels like everything else.
        shared.arrival(&Piece { bytes: Vec::new(), sent: Instant::now() }, direction).await;
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

impl Shared {
    /// Returns when a piece arrives, as the line is then.
    async fn arrival(&self, piece: &Piece, direction: Direction) {
        let mut state = self.state.subscribe();
        // Lost once is lost: what was thrown for a piece stays, whatever happens to the line meanwhile.
        let mut resent = None;
        loop {
            let flow = state.borrow_and_update().flow(direction);
            let due = match flow {
                Flow::Pass => return,
                Flow::Hold => None,
                Flow::Slow(delay) => Some(piece.sent + delay),
                Flow::Lossy(losses) => {
                    let delay = *resent.get_or_insert_with(|| self.delay_of_losses(losses));
                    // After the pieces before it, which may have been late.
                    Some(Instant::now() + delay)
                }
            };
            let Some(due) = due else {
                if state.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    fn delay_of_losses(&self, losses: u16) -> Duration {
        let mut dice = self.dice.lock();
        let lost = (0..MOST_RETRIES).take_while(|_| dice.below(1000) < u64::from(losses)).count();
        (0..u32::try_from(lost).unwrap_or_default()).map(|retry| FIRST_RETRY * 2_u32.pow(retry)).sum()
    }
}

#[cfg(test)]
mod tests;

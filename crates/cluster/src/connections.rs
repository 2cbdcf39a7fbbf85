//! Whose connections are where, and closing all of one user's.
//!
//! Rights are fixed when a connection is made, so whoever loses some is disconnected and comes back with what is left.
//! No connection may slip through: one that is being let in while its user's rights change is on no list yet. So the
//! responder writes down each login *before* it reads the rights it will answer with, and a kick looks at the server's
//! list and at what was written down lately:
//!
//! - rights change before they are read: the login gets the new ones;
//! - rights change after: the login has been written down, and whoever changed them kicks it.
//!
//! Most of what was written down has been let in long since, and is on the list, or has ended by itself. Which of the
//! latter it is only the server knows, so all that is not on the list is kicked as well, many at a time. What the server
//! does not know then never comes back, since it gives no number twice: it is forgotten.

mod closing;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use busauth::Principal;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    names::NodeName,
    system::{Found, Listing, System, SystemError},
};
use closing::Closing;

/// How long a login is remembered: many times what the server waits for an answer, after which the connection is
/// either on its list or closed.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How often is looked for connections that were passed over.
const LISTINGS: usize = 4;
/// A pause after each connection that is closed, so that those who come back do not come all at once.
const PACE: Duration = Duration::from_millis(5);

/// Logins of the last seconds.
#[derive(Default)]
pub(crate) struct RecentLogins(Mutex<VecDeque<Login>>);

struct Login {
    at: Instant,
    principal: Principal,
    connection: Connection,
}

/// A connection on some server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    pub(crate) server_id: String,
    pub(crate) cid: u64,
}

impl RecentLogins {
    /// Writes down that a connection is about to be let in.
    pub(crate) fn remember(&self, principal: &Principal, connection: Connection) {
        let now = Instant::now();
        let mut logins = self.0.lock();
        while logins.front().is_some_and(|oldest| now.duration_since(oldest.at) > REMEMBERED) {
            logins.pop_front();
        }
        logins.push_back(Login { at: now, principal: principal.clone(), connection });
    }

    fn of(&self, principal: &Principal) -> Vec<Connection> {
        let logins = self.0.lock();
        let of_principal = logins.iter().filter(|login| login.principal == *principal);
        of_principal.map(|login| login.connection.clone()).collect()
    }

    /// Forgets connections that are gone.
    fn forget_those(&self, gone: &HashSet<Connection>) {
        self.0.lock().retain(|login| !gone.contains(&login.connection));
    }

    /// Forgets all: the server whose connections they were has ended.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// Why connections were not closed.
#[derive(Debug, thiserror::Error)]
pub enum KickError {
    /// No server runs now. One that is being started knows no connection from before, but asks about new ones.
    #[error("the server is not running")]
    NotRunning,
    /// The server is being started and asks about logins already: try again.
    #[error("the server is being started: try again")]
    Starting,
    /// There are more connections than are listed.
    #[error(
        "there are more connections than can be listed: {closed} are closed, others may be open still; try again"
    )]
    TooMany {
        /// How many were closed.
        closed: usize,
    },
    /// The server did not do it.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Servers that were there lately did not answer: connections there may be left. Those on all others are closed.
    #[error("{} of the servers did not answer ({}): connections there may be open still; try again", .servers.len(), .servers.join(", "))]
    Unreached {
        /// How many were closed elsewhere.
        closed: usize,
        /// The servers, by id.
        servers: Vec<String>,
    },
}

/// Closes connections. Cheap to clone; stays good when the server is started again.
#[derive(Clone)]
pub struct Kicker {
    system: watch::Receiver<Option<System>>,
    recent: Arc<RecentLogins>,
    next: Arc<Mutex<Option<Instant>>>,
}

impl Kicker {
    pub(crate) fn new(system: watch::Receiver<Option<System>>, recent: Arc<RecentLogins>) -> Self {
        Self { system, recent, next: Arc::default() }
    }

    /// Closes every connection of a principal on this node's server, or on every server of an external NATS, and returns
    /// how many there were. Change its rights first: whoever was let in under the old ones is then closed, and whoever
    /// comes later has the new ones.
    pub async fn kick(&self, principal: &Principal) -> Result<usize, KickError> {
        self.kick_where(principal, |_| true).await
    }

    /// Tries again to close what [`Kicker::kick`] did not reach: only connections on these servers, so that whoever has
    /// come back elsewhere, with the rights that hold now, is left alone.
    pub async fn kick_again(&self, principal: &Principal, servers: &[String]) -> Result<usize, KickError> {
        self.kick_where(principal, |server| servers.iter().any(|unreached| unreached == server)).await
    }

    async fn kick_where(
        &self,
        principal: &Principal,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<usize, KickError> {
        let system = match self.running() {
            // Logins are answered already, a moment before.
            Err(KickError::NotRunning) if !self.recent.of(principal).is_empty() => {
                return Err(KickError::Starting);
            }
            system => system?,
        };
        // In this order: what is not on the list yet has been written down before.
        let written_down = self.recent.of(principal);
        let Found { connections: mut listed, silent, listing } =
            system.connections_of(principal.as_str()).await?;
        listed.retain(|connection| is_meant(&connection.server_id));
        let on_list: HashSet<&Connection> = listed.iter().collect();
        let unlisted: Vec<Connection> = written_down
            .into_iter()
            .filter(|connection| is_meant(&connection.server_id) && !on_list.contains(connection))
            .collect();
        let mut closing = Closing::new(self, &system, silent.into_iter().filter(|server| is_meant(server)));
        closing.unlisted(&unlisted).await?;
        closing.listed(&listed).await?;
        match listing {
            Listing::AtOnce => {}
            Listing::InPages => self.close_passed_over(&mut closing, principal, &listed).await?,
            Listing::Cut => closing.too_many(),
        }
        closing.end()
    }

    /// Closes what ended connections have moved from one page to another while these were asked for. Whoever has come
    /// back meanwhile is left alone: a server gives its numbers in their order.
    async fn close_passed_over(
        &self,
        closing: &mut Closing<'_>,
        principal: &Principal,
        listed: &[Connection],
    ) -> Result<(), KickError> {
        let mut upto: HashMap<&str, u64> = HashMap::new();
        for Connection { server_id, cid } in listed {
            let highest = upto.entry(server_id).or_default();
            *highest = (*highest).max(*cid);
        }
        for _ in 0..LISTINGS {
            let mut left = closing.system.connections_of(principal.as_str()).await?.connections;
            left.retain(|one| upto.get(one.server_id.as_str()).is_some_and(|highest| one.cid <= *highest));
            if left.is_empty() {
                return Ok(());
            }
            closing.listed(&left).await?;
        }
        closing.too_many();
        Ok(())
    }

    /// Closes every connection of clients on every server of an external NATS but those of `own`.
    pub(crate) async fn kick_everybody_but(&self, own: &str) -> Result<usize, KickError> {
        let system = self.running()?;
        let Found { connections, silent, listing } = system.clients_but(own).await?;
        let mut closing = Closing::new(self, &system, silent.into_iter());
        closing.listed(&connections).await?;
        if listing == Listing::Cut {
            closing.too_many();
        }
        closing.end()
    }

    /// Closes every connection of a principal on the servers of other nodes, over the routes, whether or not the
    /// processes beside them are well. Returns how many were closed on each node that answered in time; the others may
    /// still have some.
    ///
    /// A login that is just being answered there is on no list. Nodes that work see to their own; this is for those
    /// that hang, and where nobody answers logins.
    pub async fn kick_on_peers(
        &self,
        principal: &Principal,
        nodes: &[NodeName],
        patience: Duration,
    ) -> Result<BTreeMap<NodeName, usize>, KickError> {
        let system = self.running()?;
        let expected: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let found = system.connections_everywhere(principal.as_str(), &expected, patience).await?;
        let mut closed = BTreeMap::new();
        for node in nodes {
            let Some(connections) = found.get(node.as_str()) else { continue };
            let mut count = 0;
            for connection in connections {
                self.pace().await;
                count += usize::from(system.kick(&connection.server_id, connection.cid).await?);
            }
            closed.insert(node.clone(), count);
        }
        Ok(closed)
    }

    fn running(&self) -> Result<System, KickError> {
        self.system.borrow().clone().ok_or(KickError::NotRunning)
    }

    /// Waits for its turn.
    async fn pace(&self) {
        let turn = {
            let mut next = self.next.lock();
            let turn = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(turn + PACE);
            turn
        };
        sleep_until(turn).await;
    }

    /// Waits for whoever had a turn before.
    async fn wait(&self) {
        let next = *self.next.lock();
        if let Some(next) = next {
            sleep_until(next).await;
        }
    }

    /// So many were closed without a turn: whoever comes next waits for them.
    fn owe(&self, closed: usize) {
        let pause = PACE.saturating_mul(u32::try_from(closed).unwrap_or(u32::MAX));
        let mut next = self.next.lock();
        *next = Some(next.unwrap_or_else(Instant::now).max(Instant::now()) + pause);
    }
}

//! The system account: how a server is, who is connected to it, and closing connections.

mod jetstream;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio_util::bytes::Bytes;

use crate::{connections::Connection, servers::Servers, service_keys::Account, version::ServerVersion};

/// A server that is well answers within a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections asked for at a time: more than a user ordinarily has.
const PAGE: usize = 128;
/// The same where there is only one answer from each server.
const ONE_ANSWER: usize = 1024;
/// Pages of one user's connections that are looked at; beyond, somebody opens them faster than they can be listed.
const MAX_PAGES: usize = 64;

/// Why a server did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// No answer.
    #[error("the server did not answer: {0}")]
    NoAnswer(String),
    /// An answer that is not understood.
    #[error("the server's answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
    /// It refused.
    #[error("the server refused: {0}")]
    Refused(String),
}

/// Our connection to the system account.
#[derive(Clone)]
pub(crate) struct System {
    client: async_nats::Client,
    reach: Reach,
}

/// Whose connections are ours to close.
#[derive(Clone)]
enum Reach {
    /// Those on the server of this node. Other nodes see to theirs.
    Own(String),
    /// Those on every server of an external NATS.
    Cluster(Arc<Servers>),
}

/// Whose connections are looked for.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Of(&'a str),
    AllBut(&'a str),
}

/// Connections that were looked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) connections: Vec<Connection>,
    /// Servers that were there lately and did not answer.
    pub(crate) silent: Vec<String>,
    pub(crate) listing: Listing,
}

/// How connections were listed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listing {
    /// All of a server by one answer.
    #[default]
    AtOnce,
    /// By several answers: some may have been passed over, when others ended between these.
    InPages,
    /// Not to the end.
    Cut,
}

/// Whose a connection is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Owner {
    /// What it logged in as: a key, a user, or the name it got from a callout.
    #[serde(default, rename = "authorized_user")]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) account: String,
}

/// An account as a server has it.
#[derive(Debug, Deserialize)]
pub(crate) struct AccountDetail {
    #[serde(default)]
    imports: Vec<Import>,
    #[serde(default)]
    exports: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Import {
    #[serde(default)]
    account: String,
}

#[derive(Deserialize)]
struct AccountAnswer {
    #[serde(default)]
    system_account: String,
    account_detail: AccountDetail,
}

/// What a server says of an account, and of itself.
#[derive(Debug)]
pub(crate) struct AccountOn {
    pub(crate) server: String,
    pub(crate) version: Option<ServerVersion>,
    /// `None` when it does not know the account.
    pub(crate) ties: Option<bool>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    server: Server,
    data: Option<T>,
    error: Option<ApiError>,
}

#[derive(Default, Deserialize)]
struct Server {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    ver: String,
}

#[derive(Deserialize)]
struct ApiError {
    description: String,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Routes {
    num_routes: usize,
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    remote_id: String,
}

#[derive(Deserialize)]
struct Page<T> {
    total: usize,
    // Not `default`, which would ask it of `T`.
    connections: Vec<T>,
}

type Connections = Page<Listed>;

#[derive(Deserialize)]
struct Listed {
    cid: u64,
    #[serde(default)]
    authorized_user: Option<String>,
}

#[derive(Deserialize)]
struct Nothing {}

impl System {
    /// For the server of this node.
    pub(crate) fn new(client: async_nats::Client, server_id: String) -> Self {
        Self { client, reach: Reach::Own(server_id) }
    }

    /// For an external NATS.
    pub(crate) fn of_cluster(client: async_nats::Client, servers: Arc<Servers>) -> Self {
        Self { client, reach: Reach::Cluster(servers) }
    }

    /// The server that we are connected to.
    pub(crate) fn server_id(&self) -> String {
        match &self.reach {
            Reach::Own(server_id) => server_id.clone(),
            Reach::Cluster(_) => self.client.server_info().server_id,
        }
    }

    /// Whether one server is all there is to look after.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.reach, Reach::Own(_))
    }

    /// Whether a server has to be there.
    pub(crate) fn is_expected(&self, server_id: &str) -> bool {
        match &self.reach {
            Reach::Own(_) => true,
            Reach::Cluster(servers) => servers.contains(server_id),
        }
    }

    /// Whether a server answers.
    pub(crate) async fn is_there(&self, server_id: &str) -> Result<(), SystemError> {
        // Its answer has a form of its own; that there is one is all.
        self.exchange(format!("$SYS.REQ.SERVER.{server_id}.IDZ"), &json!({})).await.map(drop)
    }

    /// Looks which servers there are, as the one that we are connected to sees them.
    pub(crate) async fn look_around(&self) -> Result<(), SystemError> {
        let Reach::Cluster(servers) = &self.reach else { return Ok(()) };
        let own = self.server_id();
        let routes: Routes = self.ask("ROUTEZ", &json!({})).await?;
        servers.saw(&own);
        routes.routes.iter().for_each(|route| servers.saw(&route.remote_id));
        Ok(())
    }

    /// Whose a connection is; `None` when there is none.
    pub(crate) async fn owner(&self, server_id: &str, cid: u64) -> Result<Option<Owner>, SystemError> {
        let page: Page<Owner> =
            self.ask_server(server_id, "CONNZ", &json!({ "auth": true, "cid": cid })).await?;
        Ok(page.connections.into_iter().next())
    }

    /// Whose the connections are that are in an account of a server.
    pub(crate) async fn inside(&self, server_id: &str, account: Account) -> Result<Vec<Owner>, SystemError> {
        let options = json!({ "auth": true, "acc": account.name(), "limit": ONE_ANSWER });
        let page: Page<Owner> = self.ask_server(server_id, "CONNZ", &options).await?;
        Ok(page.connections)
    }

    /// What a server says of an account: whether it has ties with others than the system account.
    pub(crate) async fn account(&self, server_id: &str, account: Account) -> Result<AccountOn, SystemError> {
        let subject = format!("$SYS.REQ.SERVER.{server_id}.ACCOUNTZ");
        let answer = self.exchange(subject, &json!({ "account": account.name() })).await?;
        let answer: Envelope<AccountAnswer> = serde_json::from_slice(&answer)?;
        let ties = answer.data.map(|AccountAnswer { system_account, account_detail: detail }| {
            // Every account imports from the system account what it may ask about itself.
            !detail.exports.is_empty() || detail.imports.iter().any(|import| import.account != system_account)
        });
        Ok(AccountOn { server: answer.server.name, version: answer.server.ver.parse().ok(), ties })
    }

    /// Whether JetStream has a leader, as far as the server that we are connected to knows.
    pub(crate) async fn jetstream_leader_problem(&self) -> Result<Option<String>, SystemError> {
        self.health(&json!({ "js-meta-only": true })).await
    }

    /// Whether the server itself works, whatever its peers do.
    pub(crate) async fn is_alive(&self) -> Result<(), SystemError> {
        self.health(&json!({ "js-server-only": true })).await.map(drop)
    }

    /// Why JetStream cannot be used; `None` when it can.
    pub(crate) async fn jetstream_problem(&self) -> Result<Option<String>, SystemError> {
        self.health(&json!({})).await
    }

    async fn health(&self, of: &serde_json::Value) -> Result<Option<String>, SystemError> {
        let health: Health = self.ask("HEALTHZ", of).await?;
        Ok((health.status != "ok").then(|| health.error.unwrap_or(health.status)))
    }

    /// How many routes there are.
    pub(crate) async fn routes(&self) -> Result<usize, SystemError> {
        let routes: Routes = self.ask("ROUTEZ", &json!({})).await?;
        Ok(routes.num_routes)
    }

    /// The connections of a user, on all servers that are ours to look after.
    pub(crate) async fn connections_of(&self, user: &str) -> Result<Found, SystemError> {
        let servers = match &self.reach {
            Reach::Own(server_id) => {
                let (connections, listing) = self.connections_on(server_id, Whose::Of(user)).await?;
                return Ok(Found { connections, silent: Vec::new(), listing });
            }
            Reach::Cluster(servers) => servers,
        };
        self.everywhere(servers, Whose::Of(user)).await
    }

    /// All connections of clients on every server of an external NATS but those of `own`.
    pub(crate) async fn clients_but(&self, own: &str) -> Result<Found, SystemError> {
        let Reach::Cluster(servers) = &self.reach else { return Ok(Found::default()) };
        self.everywhere(servers, Whose::AllBut(own)).await
    }

    async fn everywhere(&self, servers: &Servers, whose: Whose<'_>) -> Result<Found, SystemError> {
        // So that one that has come since is not left out.
        self.look_around().await?;
        let expected = servers.lately();
        let lists = expected.iter().map(|server_id| self.connections_on(server_id, whose));
        let mut found = Found::default();
        for (server_id, list) in expected.iter().zip(future::join_all(lists).await) {
            match list {
                Ok((connections, listing)) => {
                    found.connections.extend(connections);
                    found.listing = found.listing.max(listing);
                }
                Err(error) => {
                    tracing::warn!(%error, server = server_id, "a server did not say who is connected");
                    found.silent.push(server_id.clone());
                }
            }
        }
        Ok(found)
    }

    async fn connections_on(
        &self,
        server_id: &str,
        whose: Whose<'_>,
    ) -> Result<(Vec<Connection>, Listing), SystemError> {
        let (mut options, not_of) = match whose {
            Whose::Of(user) => (connections_of(user, PAGE), None),
            Whose::AllBut(own) => (clients(PAGE), Some(own)),
        };
        let (mut found, mut seen) = (Vec::new(), 0);
        for page in 0..MAX_PAGES {
            let listing = if page == 0 { Listing::AtOnce } else { Listing::InPages };
            options["offset"] = seen.into();
            let page: Connections = self.ask_server(server_id, "CONNZ", &options).await?;
            // `total` counts other users, too; what a page is cut from does not.
            let last = page.connections.len() < PAGE;
            seen += page.connections.len();
            let meant = page
                .connections
                .into_iter()
                .filter(|one| not_of.is_none() || one.authorized_user.as_deref() != not_of);
            found.extend(meant.map(|one| Connection { server_id: server_id.to_owned(), cid: one.cid }));
            if last {
                return Ok((found, listing));
            }
        }
        Ok((found, Listing::Cut))
    }

    /// How many clients are connected that are not this process's own.
    pub(crate) async fn clients_besides(&self, own: &str) -> Result<usize, SystemError> {
        self.clients_of(&self.server_id(), own).await
    }

    /// The same of one server.
    pub(crate) async fn clients_of(&self, server_id: &str, own: &str) -> Result<usize, SystemError> {
        let page: Connections = self.ask_server(server_id, "CONNZ", &clients(PAGE)).await?;
        let own = page.connections.iter().filter(|one| one.authorized_user.as_deref() == Some(own)).count();
        Ok(page.total.saturating_sub(own))
    }

    /// The connections of a user on every server that answers, by server name, until all of `expected` have or the time
    /// is over.
    pub(crate) async fn connections_everywhere(
        &self,
        user: &str,
        expected: &[String],
        patience: Duration,
    ) -> Result<BTreeMap<String, Vec<Connection>>, SystemError> {
        let mut found = BTreeMap::new();
        let take = |server: Server, page: Connections| {
            let on = |one: Listed| Connection { server_id: server.id.clone(), cid: one.cid };
            // Of more than that the rest stays, so the server does not count as having been asked.
            if page.connections.len() < ONE_ANSWER {
                found.insert(server.name.clone(), page.connections.into_iter().map(on).collect());
            }
            !expected.is_empty() && expected.iter().all(|name| found.contains_key(name))
        };
        self.ask_everywhere("CONNZ", &connections_of(user, ONE_ANSWER), patience, take).await?;
        Ok(found)
    }

    /// Why a server does not have everything that it is to keep, by server name: of all that answer, until all of
    /// `expected` have or the time is over.
    pub(crate) async fn health_everywhere(
        &self,
        expected: &[String],
        patience: Duration,
    ) -> Result<BTreeMap<String, Option<String>>, SystemError> {
        let mut found = BTreeMap::new();
        let take = |server: Server, health: Health| {
            let problem = (health.status != "ok").then(|| health.error.unwrap_or(health.status));
            found.insert(server.name, problem);
            expected.iter().all(|name| found.contains_key(name))
        };
        self.ask_everywhere("HEALTHZ", &json!({}), patience, take).await?;
        Ok(found)
    }

    /// Asks all servers, and takes their answers until `take` says that these are enough or the time is over: who has
    /// not answered by then is missing.
    async fn ask_everywhere<T: DeserializeOwned>(
        &self,
        what: &str,
        options: &serde_json::Value,
        patience: Duration,
        mut take: impl FnMut(Server, T) -> bool,
    ) -> Result<(), SystemError> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(no_answer)?;
        let question = serde_json::to_vec(options)?;
        self.client
            .publish_with_reply(format!("$SYS.REQ.SERVER.PING.{what}"), inbox, question.into())
            .await
            .map_err(no_answer)?;
        let collect = async {
            while let Some(answer) = answers.next().await {
                let Ok(answer) = serde_json::from_slice::<Envelope<T>>(&answer.payload) else { continue };
                let (server, Some(data)) = (answer.server, answer.data) else { continue };
                if take(server, data) {
                    break;
                }
            }
        };
        drop(tokio::time::timeout(patience, collect).await);
        Ok(())
    }

    /// Closes a connection; `false` when there was none.
    pub(crate) async fn kick(&self, server_id: &str, cid: u64) -> Result<bool, SystemError> {
        let subject = format!("$SYS.REQ.SERVER.{server_id}.KICK");
        // As a request: without a reply subject it would be ignored.
        match self.request::<Option<Nothing>>(subject, &json!({ "cid": cid })).await {
            Ok(_) => Ok(true),
            Err(SystemError::Refused(reason)) if reason.contains("no such client") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the server of this node read its configuration and certificates again, and says when it has. Everybody whom
    /// a callout has let in is disconnected.
    pub(crate) async fn reload(&self) -> Result<(), SystemError> {
        let subject = format!("$SYS.REQ.SERVER.{}.RELOAD", self.server_id());
        self.request::<serde::de::IgnoredAny>(subject, &json!({})).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        options: &serde_json::Value,
    ) -> Result<T, SystemError> {
        self.ask_server(&self.server_id(), what, options).await
    }

    async fn ask_server<T: DeserializeOwned>(
        &self,
        server_id: &str,
        what: &str,
        options: &serde_json::Value,
    ) -> Result<T, SystemError> {
        let subject = format!("$SYS.REQ.SERVER.{server_id}.{what}");
        self.request::<T>(subject, options)
            .await?
            .ok_or_else(|| SystemError::NoAnswer("it is empty".to_owned()))
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        options: &serde_json::Value,
    ) -> Result<Option<T>, SystemError> {
        let answer: Envelope<T> = serde_json::from_slice(&self.exchange(subject, options).await?)?;
        match answer.error {
            Some(error) => Err(SystemError::Refused(error.description)),
            None => Ok(answer.data),
        }
    }

    async fn exchange(&self, subject: String, options: &serde_json::Value) -> Result<Bytes, SystemError> {
        let question = serde_json::to_vec(options)?;
        let asked = self.client.request(subject, question.into());
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| SystemError::NoAnswer("time is over".to_owned()))?
            .map_err(no_answer)?;
        Ok(answer.payload)
    }
}

/// All connections of clients.
fn clients(limit: usize) -> serde_json::Value {
    json!({ "auth": true, "acc": Account::Bus.name(), "limit": limit })
}

fn connections_of(user: &str, limit: usize) -> serde_json::Value {
    json!({ "auth": true, "user": user, "acc": Account::Bus.name(), "limit": limit })
}

fn no_answer(error: impl std::fmt::Display) -> SystemError {
    SystemError::NoAnswer(error.to_string())
}

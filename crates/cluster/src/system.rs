//! The system account: how a server is, who is connected to it, and closing connections.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::service_keys::Account;

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

/// Our connection to the system account of our server.
#[derive(Clone)]
pub(crate) struct System {
    client: async_nats::Client,
    server_id: String,
}

/// A connection on some server of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) server_id: String,
    pub(crate) cid: u64,
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
}

#[derive(Deserialize)]
struct Connections {
    total: usize,
    #[serde(default)]
    connections: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    cid: u64,
    #[serde(default)]
    authorized_user: Option<String>,
}

#[derive(Deserialize)]
struct Nothing {}

impl System {
    pub(crate) fn new(client: async_nats::Client, server_id: String) -> Self {
        Self { client, server_id }
    }

    pub(crate) fn server_id(&self) -> &str {
        &self.server_id
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

    /// The connections of a user on our server.
    pub(crate) async fn connections_of(&self, user: &str) -> Result<Vec<u64>, SystemError> {
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut options = connections_of(user, PAGE);
            options["offset"] = found.len().into();
            let page: Connections = self.ask("CONNZ", &options).await?;
            // `total` counts other users, too; what a page is cut from does not.
            let last = page.connections.len() < PAGE;
            found.extend(page.connections.into_iter().map(|connection| connection.cid));
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// How many clients are connected that are not this process's own.
    pub(crate) async fn clients_besides(&self, own: &str) -> Result<usize, SystemError> {
        let options = json!({ "auth": true, "acc": Account::Bus.name(), "limit": PAGE });
        let page: Connections = self.ask("CONNZ", &options).await?;
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
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(no_answer)?;
        let question = serde_json::to_vec(&connections_of(user, ONE_ANSWER))?;
        self.client
            .publish_with_reply("$SYS.REQ.SERVER.PING.CONNZ", inbox, question.into())
            .await
            .map_err(no_answer)?;
        let mut found = BTreeMap::new();
        let collect = async {
            while let Some(answer) = answers.next().await {
                let Ok(answer) = serde_json::from_slice::<Envelope<Connections>>(&answer.payload) else {
                    continue;
                };
                let (server, Some(page)) = (answer.server, answer.data) else { continue };
                let on = |one: Listed| Connection { server_id: server.id.clone(), cid: one.cid };
                // Of more than that the rest stays, so the server does not count as having been asked.
                if page.connections.len() < ONE_ANSWER {
                    found.insert(server.name, page.connections.into_iter().map(on).collect());
                }
                if !expected.is_empty() && expected.iter().all(|name| found.contains_key(name)) {
                    break;
                }
            }
        };
        // Who has not answered by then is missing in what is returned.
        drop(tokio::time::timeout(patience, collect).await);
        Ok(found)
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

    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        options: &serde_json::Value,
    ) -> Result<T, SystemError> {
        let subject = format!("$SYS.REQ.SERVER.{}.{what}", self.server_id);
        self.request::<T>(subject, options)
            .await?
            .ok_or_else(|| SystemError::NoAnswer("it is empty".to_owned()))
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        options: &serde_json::Value,
    ) -> Result<Option<T>, SystemError> {
        let question = serde_json::to_vec(options)?;
        let asked = self.client.request(subject, question.into());
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| SystemError::NoAnswer("time is over".to_owned()))?
            .map_err(no_answer)?;
        let answer: Envelope<T> = serde_json::from_slice(&answer.payload)?;
        match answer.error {
            Some(error) => Err(SystemError::Refused(error.description)),
            None => Ok(answer.data),
        }
    }
}

fn connections_of(user: &str, limit: usize) -> serde_json::Value {
    json!({ "auth": true, "user": user, "acc": Account::Bus.name(), "limit": limit })
}

fn no_answer(error: impl std::fmt::Display) -> SystemError {
    SystemError::NoAnswer(error.to_string())
}

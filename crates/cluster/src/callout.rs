//! Answers the server's question who may log in, with an [`Authenticator`].
//!
//! ```text
//! nats-server ── $SYS.REQ.USER.AUTH ──► responder ── authenticate ──► who it is
//!     ▲                                     │ ── remember the login (see connections.rs)
//!     └───────── signed user JWT ◄──────────┘ ── rights ──► what it may do
//! ```
//!
//! Exactly one responder answers each question, since more can block the server for good. At a node the question does
//! not leave it (routes do not carry it), and one connection subscribes to it. At an external NATS the processes that
//! answer are one queue group, and questions and answers are sealed (see `callout/sealed.rs`).

pub(crate) mod jwt;
mod permissions;
mod request;
mod sealed;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_nats::{Client, Message, Subscriber};
use busauth::{AuthFailure, Authenticator, LoginKey, Presented};
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connections::{Connection, RecentLogins},
    nats_conf::AUTH_REQUESTS,
    servers::Servers,
    service_keys::{Account, ServiceKeys},
    system::System,
};
use jwt::{UserClaims, unix_seconds};
use request::{Asker, Request, RequestError};
use sealed::{Opened, SealError};

/// The server waits this long. Later an answer is of no use, and work for it would delay others.
const BUDGET: Duration = Duration::from_millis(1500);
/// What sealing adds to an answer: the version, a nonce and a tag.
const SEAL: usize = 4 + 24 + 16;
/// Questions worked on at a time; further ones wait in the subscription.
const CONCURRENT: usize = 256;
/// What a server says to a client is the same in every case; this goes to the server's log.
const TOO_LARGE: &str = "the user has more rights than fit into one answer";

/// Who may ask.
pub(crate) enum Askers {
    /// The server of this node.
    Own(String),
    /// Whoever belongs to the NATS that we are connected to. What was wrong with the last question that was not answered
    /// is noted, for whoever wonders why nobody can log in.
    Cluster { system: System, servers: Arc<Servers>, problem: Arc<Mutex<Option<String>>> },
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("{0} is no server of ours")]
    Stranger(String),
    #[error("it came too late")]
    Late,
}

/// A question as it can be answered.
struct Question {
    request: Request,
    /// What it came in, if it was sealed.
    sealed: Option<Opened>,
}

/// Answers questions until it is told to stop.
pub(crate) struct Responder<A: ?Sized> {
    pub(crate) client: Client,
    pub(crate) keys: Arc<ServiceKeys>,
    pub(crate) askers: Askers,
    pub(crate) recent: Arc<RecentLogins>,
    pub(crate) authenticator: Arc<A>,
}

impl<A: Authenticator + ?Sized> Responder<A> {
    /// Subscribes; when this returns, the server asks us: us alone, or one of a group.
    pub(crate) async fn subscribe(&self, group: Option<&str>) -> Result<Subscriber, String> {
        let questions = match group {
            Some(group) => self.client.queue_subscribe(AUTH_REQUESTS, group.to_owned()).await,
            None => self.client.subscribe(AUTH_REQUESTS).await,
        };
        let questions = questions.map_err(|error| error.to_string())?;
        self.client.flush().await.map_err(|error| error.to_string())?;
        Ok(questions)
    }

    /// Answers until told to stop or the connection is gone; returns when every question taken has been answered.
    pub(crate) async fn run(self: &Arc<Self>, mut questions: Subscriber, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        let answering = TaskTracker::new();
        while let Some(question) = stop.run_until_cancelled(questions.next()).await.flatten() {
            // Never closed, so there is always a permit in the end.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
            let responder = Arc::clone(self);
            answering.spawn(async move {
                if timeout(BUDGET, responder.answer(&question)).await.is_err() {
                    tracing::warn!("a login was not decided in time");
                }
                drop(permit);
            });
        }
        if let Err(error) = questions.unsubscribe().await {
            tracing::debug!(%error, "the connection that answers logins is gone");
        }
        answering.close();
        answering.wait().await;
    }

    async fn answer(&self, message: &Message) {
        let Some(reply) = message.reply.clone() else { return };
        let question = match self.read(message).await {
            Ok(question) => question,
            Err(problem) => {
                tracing::warn!(%problem, "a question about a login is not answered");
                self.askers.note(&problem);
                return;
            }
        };
        let request = &question.request;
        let decided = self.decide(request).await;
        if let Err(failure) = &decided {
            // What is no key may be anything, such as a seed in its place.
            let nkey = request.nkey().filter(|nkey| nkey.parse::<LoginKey>().is_ok());
            tracing::info!(%failure, remote = request.host(), nkey, "a login was refused");
        }
        let answer = self.sign(request, decided.map_err(|failure| failure.to_string()));
        let answer = match (&question.sealed, self.keys.exchange()) {
            (Some(sealed), Some(exchange)) => match sealed.seal(exchange, &answer) {
                Ok(sealed) => sealed,
                Err(problem) => {
                    tracing::warn!(%problem, "an answer about a login cannot be sealed");
                    return;
                }
            },
            _ => answer.into_bytes(),
        };
        if let Err(error) = self.client.publish(reply, answer.into()).await {
            tracing::debug!(%error, "a login was not answered");
        }
    }

    /// Reads a question, and checks that whoever asks it may.
    async fn read(&self, message: &Message) -> Result<Question, Unanswered> {
        let sealed = self.keys.exchange().map(|exchange| sealed::open(exchange, message)).transpose()?;
        match (&self.askers, sealed) {
            (Askers::Own(server_id), None) => {
                let request = Request::read(&message.payload, Asker::Server(server_id))?;
                if request.is_over(unix_seconds()) {
                    return Err(Unanswered::Late);
                }
                Ok(Question { request, sealed: None })
            }
            (Askers::Own(server_id), Some(opened)) => {
                let request = Request::read(&opened.question, Asker::Server(server_id))?;
                Ok(Question { request, sealed: Some(opened) })
            }
            (Askers::Cluster { .. }, None) => Err(SealError::NotSealed.into()),
            (Askers::Cluster { system, servers, .. }, Some(opened)) => {
                let (key, issuer) = (opened.server.public_key(), self.keys.issuer().public_key());
                let asker = Asker::Sealed { key: &key, issuer: &issuer };
                // That it is too late is not looked at: its clock need not be ours.
                let request = Request::read(&opened.question, asker)?;
                let asked_by = request.server_id();
                if !servers.contains(asked_by) {
                    // One that has come since we last looked answers for itself.
                    system.is_there(asked_by).await.map_err(|_| Unanswered::Stranger(asked_by.to_owned()))?;
                    servers.saw(asked_by);
                }
                Ok(Question { request, sealed: Some(opened) })
            }
        }
    }

    /// What the connection gets, as the server's claims.
    async fn decide<'a>(&self, request: &'a Request) -> Result<UserClaims<'a>, AuthFailure> {
        let presented = Presented {
            nonce: request.nonce(),
            nkey: request.nkey(),
            signature: request.signature(),
            user: request.connect_opts().user.as_deref(),
            pass: request.connect_opts().pass.as_deref(),
            token: request.connect_opts().auth_token.as_deref(),
            jwt: request.connect_opts().jwt.as_deref(),
            tls_peer: None,
            // The port is not said.
            remote: SocketAddr::new(request.ip(), 0),
            client_name: request.connect_opts().name.as_deref(),
        };
        let authenticated = self.authenticator.authenticate(&presented).await?;
        let connection = Connection { server_id: request.server_id().to_owned(), cid: request.cid() };
        self.recent.remember(&authenticated.principal, connection);
        // Again, now that the login is written down: see connections.rs.
        let rights = self.authenticator.rights(&authenticated.principal).ok_or(AuthFailure::Revoked)?;
        Ok(UserClaims {
            subject: request.user_nkey(),
            name: authenticated.principal,
            account: Account::Bus.name(),
            permissions: permissions::render(&rights.permissions()),
        })
    }

    fn sign(&self, request: &Request, decided: Result<UserClaims<'_>, String>) -> String {
        let issuer: &KeyPair = self.keys.issuer();
        let respond = |outcome: Result<&str, &str>| {
            jwt::response(issuer, request.server_id(), request.user_nkey(), outcome)
        };
        let answer = match decided.map(|claims| jwt::user(issuer, &claims)) {
            Ok(user) => respond(Ok(&user)),
            Err(failure) => return respond(Err(&failure)),
        };
        let limit = self.client.server_info().max_payload.saturating_sub(SEAL);
        if answer.len() > limit {
            tracing::error!(bytes = answer.len(), limit, "a login was refused: {TOO_LARGE}");
            return respond(Err(TOO_LARGE));
        }
        answer
    }
}

impl Askers {
    fn note(&self, problem: &Unanswered) {
        if let Self::Cluster { problem: noted, .. } = self {
            *noted.lock() = Some(problem.to_string());
        }
    }
}

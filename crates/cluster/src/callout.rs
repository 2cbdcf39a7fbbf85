//! Answers the server's question who may log in, with an [`Authenticator`].
//!
//! ```text
//! nats-server ── $SYS.REQ.USER.AUTH ──► responder ── authenticate ──► who it is
//!     ▲                                     │ ── remember the login (see connections.rs)
//!     └───────── signed user JWT ◄──────────┘ ── rights ──► what it may do
//! ```
//!
//! Exactly one responder answers each question, since more can block the server for good: the question does not leave
//! the node (routes do not carry it), and one connection subscribes to it.

pub(crate) mod jwt;
mod permissions;
mod request;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_nats::{Client, Message, Subscriber};
use busauth::{AuthFailure, Authenticator, Presented};
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connections::RecentLogins,
    nats_conf::AUTH_REQUESTS,
    service_keys::{Account, ServiceKeys},
};
use jwt::{UserClaims, unix_seconds};
use request::Request;

/// The server waits this long. Later an answer is of no use, and work for it would delay others.
const BUDGET: Duration = Duration::from_millis(1500);
/// Questions worked on at a time; further ones wait in the subscription.
const CONCURRENT: usize = 256;
/// What a server says to a client is the same in every case; this goes to the server's log.
const TOO_LARGE: &str = "the user has more rights than fit into one answer";

/// Answers questions until it is told to stop.
pub(crate) struct Responder<A: ?Sized> {
    pub(crate) client: Client,
    pub(crate) keys: Arc<ServiceKeys>,
    /// The server that may ask.
    pub(crate) server_id: String,
    pub(crate) recent: Arc<RecentLogins>,
    pub(crate) authenticator: Arc<A>,
}

impl<A: Authenticator + ?Sized> Responder<A> {
    /// Subscribes; when this returns, the server asks us.
    pub(crate) async fn subscribe(&self) -> Result<Subscriber, String> {
        let questions = self.client.subscribe(AUTH_REQUESTS).await.map_err(|error| error.to_string())?;
        self.client.flush().await.map_err(|error| error.to_string())?;
        Ok(questions)
    }

    /// Answers until told to stop or the connection is gone; returns when every question taken has been answered.
    pub(crate) async fn run(self, mut questions: Subscriber, stop: CancellationToken) {
        let responder = Arc::new(self);
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        let answering = TaskTracker::new();
        while let Some(question) = stop.run_until_cancelled(questions.next()).await.flatten() {
            // Never closed, so there is always a permit in the end.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
            let responder = Arc::clone(&responder);
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

    async fn answer(&self, question: &Message) {
        let Some(reply) = question.reply.clone() else { return };
        let request = match Request::read(&question.payload, &self.server_id) {
            Ok(request) => request,
            Err(problem) => {
                tracing::warn!(%problem, "a question about a login is not the server's");
                return;
            }
        };
        if request.is_over(unix_seconds()) {
            tracing::warn!("a question about a login came too late");
            return;
        }
        let decided = self.decide(&request).await;
        if let Err(failure) = &decided {
            tracing::info!(%failure, remote = request.host(), nkey = request.nkey(), "a login was refused");
        }
        let answer = self.sign(&request, decided.map_err(|failure| failure.to_string()));
        if let Err(error) = self.client.publish(reply, answer.into()).await {
            tracing::debug!(%error, "a login was not answered");
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
        self.recent.remember(&authenticated.principal, request.cid());
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
        let limit = self.client.server_info().max_payload;
        if answer.len() > limit {
            tracing::error!(bytes = answer.len(), limit, "a login was refused: {TOO_LARGE}");
            return respond(Err(TOO_LARGE));
        }
        answer
    }
}

//! Answers logins as one of a group, and leaves them to the others while this process does not keep up.

use std::sync::Arc;

use async_nats::Subscriber;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ExternalState, LoginsState, probe::WithProbe, watchdog};
use crate::callout::Responder;

/// All that share the secret answer as one: each question reaches one of them. Two answers to one question can block a
/// server for good.
const GROUP: &str = "membershipd";

pub(super) struct Answering {
    pub(super) responder: Arc<Responder<WithProbe>>,
    pub(super) state: Arc<watch::Sender<ExternalState>>,
}

impl Answering {
    /// Subscribes; when this returns, the servers ask us, too.
    pub(super) async fn begin(&self) -> Result<Subscriber, String> {
        self.responder.subscribe(Some(GROUP)).await
    }

    /// Answers until told to stop.
    pub(super) async fn run(self, questions: Subscriber, stop: CancellationToken) {
        let mut subscribed = Some(questions);
        while let Some(questions) = subscribed.take() {
            let pause = stop.child_token();
            let lagging = async {
                watchdog::until_it_lags().await;
                tracing::warn!("this process does not keep up: logins are left to others until it does");
                self.state.send_modify(|state| state.pauses += 1);
                self.set(LoginsState::Lagging);
                pause.cancel();
            };
            let (answering, done) = (self.responder.run(questions, pause.clone()), stop.child_token());
            tokio::join!(
                async {
                    answering.await;
                    done.cancel();
                },
                done.run_until_cancelled(lagging),
            );
            if stop.run_until_cancelled(watchdog::until_it_keeps_up()).await.is_some() {
                subscribed = stop.run_until_cancelled(self.subscribe_again()).await;
            }
        }
        self.set(LoginsState::Stopped);
    }

    async fn subscribe_again(&self) -> Subscriber {
        loop {
            match self.begin().await {
                Ok(questions) => {
                    tracing::info!("logins are answered again");
                    self.set(LoginsState::Answering);
                    return questions;
                }
                Err(error) => {
                    tracing::warn!(%error, "logins cannot be answered");
                    watchdog::until_it_keeps_up().await;
                }
            }
        }
    }

    fn set(&self, logins: LoginsState) {
        self.state.send_modify(|state| state.logins = logins);
    }
}

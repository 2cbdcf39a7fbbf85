//! Looks whether an external NATS is as it has to be. What can be found out by trying is tried: what its configuration
//! says cannot be read from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use nkeys::KeyPair;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::timeout;

use super::{OwnKeys, links::Links, probe::PROBE, violation::ExternalViolation};
use crate::{
    servers::Servers,
    service_keys::Account,
    system::{Owner, System},
};

/// What JetStream may take to say how it is, and after how long it is asked again.
const JETSTREAM_PATIENCE: Duration = Duration::from_secs(20);
const ASKED_AGAIN: Duration = Duration::from_secs(2);
/// Accounts that clients must not leave or be reached in past their rights.
const OURS: [Account; 3] = [Account::Auth, Account::Ctl, Account::Bus];

pub(super) struct Check<'a> {
    pub(super) links: &'a Links,
    pub(super) system: &'a System,
    pub(super) servers: &'a Arc<Servers>,
    /// Why the last question that was not answered was not.
    pub(super) problem: &'a Mutex<Option<String>>,
}

impl Check<'_> {
    pub(super) async fn run(&self) -> Result<(), Vec<ExternalViolation>> {
        let info = self.links.sys.server_info();
        // The first is what everything else is found out with.
        if self.system.look_around().await.is_err() {
            return Err(vec![ExternalViolation::NoSystemAccount]);
        }
        let mut violations = self.own_accounts().await;
        violations.extend(self.accounts_everywhere().await);
        for (account, client) in [(Account::Ctl, &self.links.ctl), (Account::Bus, &self.links.bus)] {
            if let Err(reason) = jetstream(client).await {
                violations.push(ExternalViolation::NoJetStream { account, reason });
            }
        }
        for url in &self.links.urls {
            if self.links.is_up(url).await {
                violations.extend(self.logins_at(url).await);
            } else {
                // We are connected to another. That one of several is down must not keep the bus down.
                tracing::warn!(url, "a server of the external NATS is down and was not checked");
            }
        }
        violations.extend(intruders(self.links, self.system, self.servers).await);
        tracing::debug!(server = info.server_name, violations = violations.len(), "external NATS checked");
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    /// Whether our users are where they belong.
    async fn own_accounts(&self) -> Vec<ExternalViolation> {
        let mut violations = Vec::new();
        // That the fourth is in the system account has been seen by what it may ask.
        for (account, client) in self.links.all().into_iter().filter(|(account, _)| *account != Account::Sys)
        {
            match self.owner(client).await {
                Ok(owner) if owner.account == account.name() => {}
                Ok(owner) => {
                    violations.push(ExternalViolation::WrongAccount { account, found: owner.account });
                }
                Err(violation) => violations.push(violation),
            }
        }
        violations
    }

    /// Whether every server is new enough and has our accounts, which have no ties with others.
    async fn accounts_everywhere(&self) -> Vec<ExternalViolation> {
        let mut violations = Vec::new();
        for server_id in self.servers.lately() {
            for account in OURS {
                let on = match self.system.account(&server_id, account).await {
                    Ok(on) => on,
                    Err(error) => {
                        violations.push(ExternalViolation::Unknown(error.to_string()));
                        break;
                    }
                };
                let server = on.server;
                if let Some(found) = on.version.filter(|found| account == OURS[0] && !found.is_supported()) {
                    violations.push(ExternalViolation::TooOld { server: server.clone(), found });
                }
                match on.ties {
                    None => violations.push(ExternalViolation::NoAccount { account, server }),
                    Some(true) => violations.push(ExternalViolation::Ties { account, server }),
                    Some(false) => {}
                }
            }
        }
        violations
    }

    /// Whether we are asked about logins at a server, and nobody gets in past us.
    async fn logins_at(&self, url: &str) -> Vec<ExternalViolation> {
        let mut violations = Vec::new();
        *self.problem.lock() = None;
        let not_asked = |reason| ExternalViolation::NotAsked { url: url.to_owned(), reason };
        match self.links.try_as(&self.links.keys.probe, url).await {
            Ok(client) => match self.owner(&client).await {
                Ok(owner) if owner.user == PROBE && owner.account == Account::Bus.name() => {}
                Ok(owner) => {
                    let reason = format!("a user that it should ask about is let in as {:?}", owner.user);
                    violations.push(not_asked(reason));
                }
                Err(violation) => violations.push(violation),
            },
            Err(refused) => {
                let problem = self.problem.lock().take();
                violations.push(not_asked(problem.unwrap_or(refused)));
            }
        }
        for (account, canary) in self.links.keys.canaries() {
            if self.links.try_as(canary, url).await.is_ok() {
                violations.push(ExternalViolation::OpenToItsOwn { account, url: url.to_owned() });
            }
        }
        let strangers = [
            ("a key that nobody knows", self.links.try_as(&KeyPair::new_user(), url).await),
            ("clients without a login", self.links.try_without_login(url).await),
        ];
        for (who, outcome) in strangers {
            let Ok(client) = outcome else { continue };
            match self.owner(&client).await {
                Ok(Owner { account, .. }) if self.is_ours(&account).await => {
                    violations.push(ExternalViolation::OpenToAnybody { who, account, url: url.to_owned() });
                }
                Ok(_) => {}
                Err(violation) => violations.push(violation),
            }
        }
        violations
    }

    async fn is_ours(&self, account: &str) -> bool {
        let system = self.owner(&self.links.sys).await.map(|owner| owner.account);
        OURS.iter().any(|ours| ours.name() == account) || system.is_ok_and(|system| system == account)
    }

    async fn owner(&self, client: &Client) -> Result<Owner, ExternalViolation> {
        let info = client.server_info();
        let found = self.system.owner(&info.server_id, info.client_id).await;
        let unknown = |reason: String| ExternalViolation::Unknown(reason);
        found
            .map_err(|error| unknown(error.to_string()))?
            .ok_or_else(|| unknown("a connection of ours is on no list".to_owned()))
    }
}

/// Who is in the accounts that only we may be in.
pub(super) async fn intruders(links: &Links, system: &System, servers: &Servers) -> Vec<ExternalViolation> {
    let own: OwnKeys = [Account::Auth, Account::Ctl].map(|account| links.keys.service.public(account)).into();
    let mut violations = Vec::new();
    for server_id in servers.lately() {
        for account in [Account::Auth, Account::Ctl] {
            // One that does not answer is noticed elsewhere.
            let Ok(inside) = system.inside(&server_id, account).await else { continue };
            let others = inside.into_iter().map(|owner| owner.user).filter(|user| !own.contains(user));
            violations.extend(others.map(|user| {
                let user = if user.is_empty() { "somebody".to_owned() } else { user };
                ExternalViolation::Occupied { account, user, server: server_id.clone() }
            }));
        }
    }
    violations
}

/// Whether JetStream can be used by a client.
async fn jetstream(client: &Client) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Problem>,
    }

    #[derive(Deserialize)]
    struct Problem {
        description: String,
    }

    // Servers that have no leader yet do not answer, and those that were just started look for one for some seconds. What
    // they were asked meanwhile they have forgotten.
    let until = Instant::now() + JETSTREAM_PATIENCE;
    let answer = loop {
        match timeout(ASKED_AGAIN, client.request("$JS.API.INFO", "".into())).await {
            Ok(answer) => break answer,
            Err(_) if Instant::now() < until => {}
            Err(_) => return Err("it does not answer".to_owned()),
        }
    };
    let answer = answer.map_err(|error| error.to_string())?;
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
    answer.error.map_or(Ok(()), |problem| Err(problem.description))
}

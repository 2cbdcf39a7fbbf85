//! A NATS server as a program of its own, for people with nkeys, until Ctrl-C.
//!
//! ```sh
//! cargo run -p embedded-broker --example standalone -- people.txt 127.0.0.1:4222
//! ```
//!
//! `people.txt` has a line for each: a name and a public nkey (`U…`; a tool such as `nk -gen user -pubout` makes pairs).
//! Everybody hears everything under `news.>`, publishes there under their own name only (`news.ann.>`), and has an
//! inbox of their own (`_INBOX.ann.>`) for answers.

use std::{
    collections::HashMap, error::Error, io::Write, net::SocketAddr, path::Path, sync::Arc, time::Duration,
};

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Permissions, Presented, Principal,
    PublishRules, Signature, SubjectError, SubscribeRules,
};
use embedded_broker::{Authentication, Broker, BrokerConfig};

/// Who may connect: all that the broker knows about people.
struct People {
    names: HashMap<LoginKey, Principal>,
    rights: HashMap<Principal, Arc<Acl>>,
}

impl People {
    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut people = Self { names: HashMap::new(), rights: HashMap::new() };
        for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.trim().is_empty()) {
            let (name, nkey) = line.split_once(' ').ok_or("a line is a name, a space and an nkey")?;
            let principal = Principal::new(name);
            people.names.insert(nkey.trim().parse()?, principal.clone());
            people.rights.insert(principal, Arc::new(Acl::compile(&permissions(name)?)));
        }
        Ok(people)
    }
}

fn permissions(name: &str) -> Result<Permissions, SubjectError> {
    let inbox = format!("_INBOX.{name}.>");
    Ok(Permissions {
        publish: PublishRules { allow: vec![format!("news.{name}.>").parse()?], ..PublishRules::default() },
        subscribe: SubscribeRules {
            allow: vec!["news.>".parse()?, inbox.parse()?],
            ..SubscribeRules::default()
        },
        // Whoever is asked may answer, wherever the one who asked listens.
        responses: Some(busauth::ResponsePolicy { max: Some(1), ttl: Some(Duration::from_mins(1)) }),
    })
}

#[async_trait]
impl Authenticator for People {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return Err(AuthFailure::NoCredentials);
        };
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        // The signature first, so that a stranger's login takes as long as anybody's.
        let key = LoginKey::log_in(nkey, presented.nonce, &signature)?;
        let principal = self.names.get(&key).cloned().ok_or(AuthFailure::Unknown)?;
        let acl = self.rights(&principal).ok_or(AuthFailure::Revoked)?;
        Ok(Authenticated { principal, acl })
    }

    // Asked again when the program calls `Broker::access_changed`; `None` ends the connection.
    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.rights.get(principal).cloned()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let people = arguments.next().ok_or("name the file with the people: see the example's first lines")?;
    let listen: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:4222").parse()?;

    let authentication = Authentication::By(Arc::new(People::read(Path::new(&people))?));
    let broker = Broker::bind(BrokerConfig { listen, authentication, ..BrokerConfig::default() }).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}; Ctrl-C stops", broker.client_url())?;

    tokio::signal::ctrl_c().await?;
    let stats = broker.stats();
    let shutdown = broker.shutdown(Duration::from_secs(5)).await;
    writeln!(out, "{} messages in, {} out; {shutdown:?}", stats.received_messages, stats.sent_messages)?;
    Ok(())
}

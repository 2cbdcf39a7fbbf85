//! Users with a password and permissions, for a broker and for nats-server alike.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, Authenticated, Authenticator, Permissions, Presented, Principal, PublishRules,
    ResponsePolicy, SubscribeRule, SubscribeRules,
};
use parking_lot::Mutex;

/// A user in the words of nats-server's configuration. `None` for an allow list allows everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) publish: Option<Vec<&'static str>>,
    pub(crate) publish_deny: Vec<&'static str>,
    pub(crate) subscribe: Option<Vec<&'static str>>,
    pub(crate) subscribe_deny: Vec<&'static str>,
    /// Number of responses allowed, with no end in time.
    pub(crate) responses: Option<u32>,
}

/// Users that can be changed while the broker runs. Every password is `pw`.
pub(crate) struct Users(Mutex<HashMap<String, Arc<Acl>>>);

impl User {
    pub(crate) fn permissions(&self) -> Permissions {
        let everything = || vec![">"];
        let filters = |list: &[&str]| list.iter().map(|filter| filter.parse().unwrap()).collect();
        let rules = |list: &[&str]| list.iter().map(|rule| subscribe_rule(rule)).collect();
        // nats-server: with `allow_responses` and no allow list, nothing else may be published.
        let publish = self
            .publish
            .clone()
            .unwrap_or_else(|| if self.responses.is_some() { Vec::new() } else { everything() });
        Permissions {
            publish: PublishRules {
                allow: filters(&publish),
                deny: filters(&self.publish_deny),
                ..PublishRules::default()
            },
            subscribe: SubscribeRules {
                allow: rules(&self.subscribe.clone().unwrap_or_else(everything)),
                deny: rules(&self.subscribe_deny),
                ..SubscribeRules::default()
            },
            responses: self.responses.map(|max| ResponsePolicy { max: Some(max), ttl: None }),
        }
    }

    /// The user as an entry of nats-server's `users`.
    pub(crate) fn nats_conf(&self, name: &str) -> String {
        let list = |list: &[&str]| {
            let quoted: Vec<_> = list.iter().map(|entry| format!("\"{entry}\"")).collect();
            format!("[{}]", quoted.join(", "))
        };
        let rules = |allow: &Option<Vec<&'static str>>, deny: &[&'static str]| {
            let mut text = String::new();
            if let Some(allow) = allow {
                writeln!(text, "allow: {}", list(allow)).unwrap();
            }
            if !deny.is_empty() {
                writeln!(text, "deny: {}", list(deny)).unwrap();
            }
            text
        };
        let mut permissions = String::new();
        let publish = rules(&self.publish, &self.publish_deny);
        if !publish.is_empty() {
            writeln!(permissions, "publish: {{ {publish} }}").unwrap();
        }
        let subscribe = rules(&self.subscribe, &self.subscribe_deny);
        if !subscribe.is_empty() {
            writeln!(permissions, "subscribe: {{ {subscribe} }}").unwrap();
        }
        if let Some(max) = self.responses {
            writeln!(permissions, "allow_responses: {{ max: {max}, expires: \"1h\" }}").unwrap();
        }
        format!("{{ user: {name}, password: pw, permissions: {{ {permissions} }} }}\n")
    }
}

/// `"subject"` or `"subject queue"`.
fn subscribe_rule(text: &str) -> SubscribeRule {
    let (filter, queue) = match text.split_once(' ') {
        None => (text, None),
        Some((filter, queue)) => (filter, Some(queue.parse().unwrap())),
    };
    SubscribeRule { filter: filter.parse().unwrap(), queue }
}

impl Users {
    pub(crate) fn new<'a>(users: impl IntoIterator<Item = (&'a str, User)>) -> Arc<Self> {
        let users = users.into_iter().map(|(name, user)| (name.to_owned(), compile(&user)));
        Arc::new(Self(Mutex::new(users.collect())))
    }

    pub(crate) fn set(&self, name: &str, user: &User) {
        self.0.lock().insert(name.to_owned(), compile(user));
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().remove(name);
    }
}

fn compile(user: &User) -> Arc<Acl> {
    Arc::new(Acl::compile(&user.permissions()))
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let name = presented.user.ok_or(AuthFailure::NoCredentials)?;
        let acl = self.0.lock().get(name).cloned().ok_or(AuthFailure::Unknown)?;
        if presented.pass != Some("pw") {
            return Err(AuthFailure::WrongCredentials);
        }
        Ok(Authenticated { principal: Principal::new(name), acl })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.0.lock().get(principal.as_str()).cloned()
    }
}

//! `/jsz`: streams and consumers, as nats-server shows them.

use std::time::SystemTime;

use serde::Serialize;

use super::report::{Monitor, PageError, time};
use crate::jetstream::{
    API_LEVEL, ConsumerInfo, Engine, StateInfo, Storage, Stream, StreamConfig, StreamInfo, SyncPolicy,
};

/// Accounts on a page unless asked for otherwise, as on nats-server. Here there is one.
const PAGE: usize = 1024;

/// The account everybody is in, as nats-server calls it.
const ACCOUNT: &str = "$G";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the page")]
pub(super) struct Jsz {
    account: Option<String>,
    accounts: bool,
    streams: bool,
    consumers: bool,
    config: bool,
    offset: usize,
    limit: usize,
}

impl Default for Jsz {
    fn default() -> Self {
        Self {
            account: None,
            accounts: false,
            streams: false,
            consumers: false,
            config: false,
            offset: 0,
            limit: PAGE,
        }
    }
}

impl Jsz {
    /// Reads one parameter.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: &str,
        error: impl Fn() -> PageError,
    ) -> Result<(), PageError> {
        let flag = || match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(error()),
        };
        let number = || value.parse().map_err(|_| error());
        match name {
            "acc" => self.account = Some(value.replace("%24", "$")),
            "accounts" => self.accounts = flag()?,
            "streams" => self.streams = flag()?,
            "consumers" => self.consumers = flag()?,
            "config" => self.config = flag()?,
            "offset" => self.offset = number()?,
            "limit" => self.limit = number()?,
            // There is nobody else to lead.
            "leader-only" | "stream-leader-only" => drop(flag()?),
            _ => return Err(error()),
        }
        Ok(())
    }

    fn wants_account(&self) -> bool {
        let all = self.accounts || self.streams || self.consumers;
        match &self.account {
            Some(account) => account == ACCOUNT,
            None => all && self.offset == 0 && self.limit > 0,
        }
    }
}

/// What all streams hold together.
#[derive(Serialize)]
pub(super) struct Held {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    /// What is replicated.
    ha_assets: usize,
    api: Api,
}

#[derive(Serialize)]
struct Api {
    level: u64,
    total: u64,
    errors: u64,
}

/// How JetStream is configured. -1 is no limit.
#[derive(Serialize)]
pub(super) struct Config {
    max_memory: i64,
    max_storage: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_dir: Option<String>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_interval: Option<u64>,
    /// What is acknowledged is on disk.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sync_always: bool,
    strict: bool,
}

#[derive(Serialize)]
struct Nothing {}

/// The page.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    #[serde(flatten)]
    held: Held,
    server_id: &'a str,
    now: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Config>,
    limits: Nothing,
    streams: usize,
    consumers: usize,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<Account>,
    /// Accounts.
    total: usize,
}

#[derive(Serialize)]
struct Account {
    name: &'static str,
    id: &'static str,
    #[serde(flatten)]
    held: Held,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<StreamDetail>,
}

#[derive(Serialize)]
struct StreamDetail {
    name: String,
    created: String,
    cluster: Cluster,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<StreamConfig>,
    state: StateInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<ConsumerInfo>,
}

#[derive(Serialize)]
struct Cluster {
    leader: String,
}

impl Held {
    /// By the server, or by its only account, which has no bounds of its own.
    pub(super) fn of(engine: &Engine) -> Self {
        let (total, errors) = engine.counters.numbers();
        Self {
            memory: engine.usage.held(Storage::Memory),
            storage: engine.usage.held(Storage::File),
            reserved_memory: engine.reserved(Storage::Memory),
            reserved_storage: engine.reserved(Storage::File),
            accounts: 1,
            ha_assets: 0,
            api: Api { level: API_LEVEL, total, errors },
        }
    }

    fn by_account(engine: &Engine) -> Self {
        let held = Self::of(engine);
        let api = Api { level: 0, ..held.api };
        Self { reserved_memory: u64::MAX, reserved_storage: u64::MAX, accounts: 0, api, ..held }
    }

    fn nothing() -> Self {
        let api = Api { level: 0, total: 0, errors: 0 };
        Self {
            memory: 0,
            storage: 0,
            reserved_memory: 0,
            reserved_storage: 0,
            accounts: 0,
            ha_assets: 0,
            api,
        }
    }
}

impl Config {
    pub(super) fn of(engine: &Engine) -> Self {
        let number = |limit: Option<u64>| limit.and_then(|limit| limit.try_into().ok()).unwrap_or(-1);
        let sync_interval = match engine.sync {
            SyncPolicy::Always => None,
            SyncPolicy::Every(interval) => Some(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)),
        };
        Self {
            max_memory: number(engine.limits.max_memory),
            max_storage: number(engine.limits.max_storage),
            store_dir: engine.directory.as_ref().map(|directory| directory.display().to_string()),
            sync_interval,
            sync_always: engine.sync == SyncPolicy::Always,
            strict: true,
        }
    }
}

impl Monitor {
    /// Reads the first message of each stream: blocks on the disk.
    pub(super) fn jsz(&self, asked: &Jsz) -> Page<'_> {
        let (server_id, now) = (self.shared.server_id(), time(SystemTime::now()));
        let Some(engine) = &self.shared.jetstream else {
            return Page {
                held: Held::nothing(),
                server_id,
                now,
                disabled: true,
                config: None,
                limits: Nothing {},
                streams: 0,
                consumers: 0,
                messages: 0,
                bytes: 0,
                account_details: Vec::new(),
                total: 0,
            };
        };
        let stats = engine.stats();
        let account = asked.wants_account().then(|| Account {
            name: ACCOUNT,
            id: ACCOUNT,
            held: Held::by_account(engine),
            stream_detail: if asked.streams || asked.consumers {
                engine
                    .streams()
                    .iter()
                    .map(|stream| StreamDetail::of(stream, asked, self.shared.server_name()))
                    .collect()
            } else {
                Vec::new()
            },
        });
        Page {
            held: Held::of(engine),
            server_id,
            now,
            disabled: false,
            config: Some(Config::of(engine)),
            limits: Nothing {},
            streams: stats.streams,
            consumers: stats.consumers,
            messages: stats.messages,
            bytes: stats.bytes,
            account_details: account.into_iter().collect(),
            total: 1,
        }
    }
}

impl StreamDetail {
    fn of(stream: &Stream, asked: &Jsz, server: &str) -> Self {
        let StreamInfo { config, created, state, .. } = StreamInfo::listed(stream);
        let consumers = if asked.consumers { stream.consumers.all() } else { Vec::new() };
        Self {
            name: stream.name.to_string(),
            created,
            cluster: Cluster { leader: server.to_owned() },
            config: asked.config.then_some(config),
            state,
            consumer_detail: consumers.iter().map(|consumer| consumer.listed()).collect(),
        }
    }
}

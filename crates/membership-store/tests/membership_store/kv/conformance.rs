//! The backend in JetStream keeps the rules of every backend, wherever its buckets are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::jetstream::{self, Context};
use async_trait::async_trait;
use membership_store::conformance::{Backend, run_all};
use membership_store::{BusRole, KvOpenError, KvOptions, KvStore, MembershipStore, ViewLimits};
use nats_testkit::{Proxy, Servers, connect};
use room_protocol::RoomState;

use crate::people::{NOW, Person};

/// Buckets of their own on servers that others use, too. A second handle talks to another server.
pub(crate) struct KvBackend {
    servers: Arc<Servers>,
    pub(crate) prefix: String,
}

impl KvBackend {
    /// Buckets that nobody used before. Those of the number before are removed: their case is over.
    pub(crate) async fn fresh(servers: &Arc<Servers>, number: &AtomicUsize) -> Self {
        let number = number.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = number.checked_sub(1) {
            let context = servers.connect(0).await;
            for stream in
                [format!("KV_T{before}_ctl"), format!("KV_T{before}_keys"), format!("T{before}_audit")]
            {
                context.delete_stream(stream).await.expect("the buckets of the case before are removed");
            }
        }
        Self { servers: servers.clone(), prefix: format!("T{number}") }
    }

    pub(crate) async fn open_through(&self, proxy: &Proxy) -> KvStore {
        let context = jetstream::new(connect(&[proxy.address]).await);
        self.open_with(context).await
    }

    pub(crate) async fn open_at(&self, server: usize) -> KvStore {
        self.open_with(self.servers.connect(server).await).await
    }

    /// A store with an admin and a room of hers.
    pub(crate) async fn store_with_room(&self) -> (KvStore, Person, Arc<RoomState>) {
        let store = self.open_at(0).await;
        let ann = Person::number(1);
        store.add_user(ann.new_user(BusRole::Admin)).await.expect("a new user");
        let room = ann.new_room("room", NOW);
        let state = room.state().clone();
        store.create_room(room).await.expect("a room");
        (store, ann, state)
    }

    /// The stream that decides access.
    pub(crate) fn ctl_stream(&self) -> String {
        format!("KV_{}_ctl", self.prefix)
    }

    /// The bucket that decides access.
    pub(crate) fn ctl_bucket(&self) -> String {
        format!("{}_ctl", self.prefix)
    }

    async fn open_with(&self, context: Context) -> KvStore {
        self.try_open_with(context).await.expect("the store opens")
    }

    pub(crate) async fn try_open(&self, server: usize) -> Result<KvStore, KvOpenError> {
        self.try_open_with(self.servers.connect(server).await).await
    }

    async fn try_open_with(&self, context: Context) -> Result<KvStore, KvOpenError> {
        self.try_open_within(context, ViewLimits::default()).await
    }

    async fn try_open_within(&self, context: Context, limits: ViewLimits) -> Result<KvStore, KvOpenError> {
        let options = KvOptions {
            prefix: self.prefix.clone(),
            replicas: self.servers.replicas(),
            limits,
            ..KvOptions::default()
        };
        KvStore::open(context, options).await
    }

    async fn open_within(&self, server: usize, limits: ViewLimits) -> Arc<dyn MembershipStore> {
        let context = self.servers.connect(server).await;
        Arc::new(self.try_open_within(context, limits).await.expect("the store opens"))
    }
}

#[async_trait]
impl Backend for KvBackend {
    async fn open(&self, limits: ViewLimits) -> Arc<dyn MembershipStore> {
        self.open_within(0, limits).await
    }

    async fn open_second(
        &self,
        _: &Arc<dyn MembershipStore>,
        limits: ViewLimits,
    ) -> Arc<dyn MembershipStore> {
        self.open_within(1, limits).await
    }
}

async fn conforms(servers: Servers) {
    let (servers, number) = (Arc::new(servers), AtomicUsize::new(0));
    run_all(async || KvBackend::fresh(&servers, &number).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kv_backend_conforms_in_the_embedded_broker() {
    conforms(Servers::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kv_backend_conforms_in_a_nats_server() {
    let Some(servers) = Servers::nats(1).await else { return };
    conforms(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kv_backend_conforms_in_three_nats_servers() {
    let Some(servers) = Servers::nats(3).await else { return };
    conforms(servers).await;
}

//! Buckets on servers that others use, too.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use blobstore::{JetStreamOptions, JetStreamStore};
use futures_util::TryStreamExt as _;
use nats_testkit::Servers;

/// A bucket, and the servers that keep it.
pub(crate) struct Bucket {
    pub(crate) servers: Arc<Servers>,
    pub(crate) options: JetStreamOptions,
}

impl Bucket {
    pub(crate) fn new(servers: &Arc<Servers>, name: &str) -> Self {
        let options = JetStreamOptions {
            bucket: name.to_owned(),
            replicas: servers.replicas(),
            ..JetStreamOptions::default()
        };
        Self { servers: servers.clone(), options }
    }

    /// Uploads are given up soon, so that what they left can be swept soon.
    pub(crate) fn impatient(mut self) -> Self {
        self.options.upload_idle = Duration::from_millis(200);
        self.options.patience = Duration::from_millis(400);
        self
    }

    /// The store, through the server of this number.
    pub(crate) async fn open(&self, server: usize) -> JetStreamStore {
        self.open_with(self.servers.connect(server).await).await
    }

    pub(crate) async fn open_with(&self, context: Context) -> JetStreamStore {
        JetStreamStore::open(context, self.options.clone()).await.expect("the store opens")
    }

    pub(crate) fn stream(&self) -> String {
        format!("OBJ_{}", self.options.bucket)
    }

    pub(crate) async fn delete(&self) {
        self.servers.connect(0).await.delete_stream(self.stream()).await.expect("the bucket is removed");
    }

    /// The subjects of the bucket that match, without what all have in front.
    pub(crate) async fn subjects(&self, filter: &str) -> Vec<String> {
        let context = self.servers.connect(0).await;
        let stream = context.get_stream_no_info(self.stream()).await.expect("the stream");
        let prefix = format!("$O.{}.", self.options.bucket);
        let listing = stream.info_with_subjects(format!("{prefix}{filter}")).await.expect("subjects");
        let subjects: Vec<(String, usize)> = listing.try_collect().await.expect("subjects");
        let short = |(subject, _): (String, usize)| subject.strip_prefix(&prefix).expect("ours").to_owned();
        subjects.into_iter().map(short).collect()
    }

    /// Pieces of copies that are no blobs: notes, and chunks that no blob names.
    pub(crate) async fn staged(&self) -> usize {
        let context = self.servers.connect(0).await;
        let stream = context.get_stream_no_info(self.stream()).await.expect("the stream");
        let mut named = Vec::new();
        for object in self.subjects("M.>").await {
            let subject = format!("$O.{}.{object}", self.options.bucket);
            let message = stream.get_last_raw_message_by_subject(&subject).await.expect("an object");
            let described: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
            named.push(described["nuid"].as_str().expect("a text").trim_end_matches(".*").to_owned());
        }
        let is_lost = |chunk: &&String| !named.iter().any(|copy| chunk.contains(copy.as_str()));
        self.subjects("C.>").await.iter().filter(is_lost).count() + self.subjects("U.>").await.len()
    }
}

pub(crate) async fn embedded() -> Arc<Servers> {
    Arc::new(Servers::embedded().await)
}

pub(crate) async fn nats(nodes: usize) -> Option<Arc<Servers>> {
    Some(Arc::new(Servers::nats(nodes).await?))
}

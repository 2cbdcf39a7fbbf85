//! An engine at work, asked as a client asks it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender as Channel, channel},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

use super::store::{Mood, MoodyStore};
use crate::{
    Authentication, ReplyPolicy,
    jetstream::{
        JetStreamConfig,
        engine::{Clients, Engine},
        sender::Sender,
        stream::Stream,
    },
    protocol::MessageFrame,
    routing::{Inbound, Index, Sink, Taken},
};

/// No answer takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where it is said that requests were dropped.
pub(super) const LIMIT_REACHED: &str = "$JS.EVENT.ADVISORY.API.LIMIT_REACHED";

/// Takes the answers.
struct Inbox(Mutex<Channel<(String, Vec<u8>)>>);

impl Sink for Inbox {
    fn offer(&self, message: &Inbound<'_>) -> Taken {
        let body = message.body[message.header_len..].to_vec();
        match self.0.lock().send((message.subject.to_owned(), body)) {
            Ok(()) => Taken::Yes,
            Err(_) => Taken::No,
        }
    }

    fn batch_ends(&self) {}
}

/// An engine at work.
pub(super) struct Running {
    pub(super) engine: Arc<Engine>,
    pub(super) files: Arc<MoodyStore>,
    sender: Sender,
    answers: Receiver<(String, Vec<u8>)>,
    asked: usize,
}

impl Running {
    pub(super) fn new() -> Self {
        Self::on(MoodyStore::new())
    }

    /// With what another one has left.
    pub(super) fn on(files: Arc<MoodyStore>) -> Self {
        Self::configured(files, &JetStreamConfig::in_memory())
    }

    pub(super) fn configured(files: Arc<MoodyStore>, config: &JetStreamConfig) -> Self {
        let index = Arc::new(Index::new());
        let (inbox, answers) = channel();
        let inbox: Arc<dyn Sink> = Arc::new(Inbox(Mutex::new(inbox)));
        for subject in ["inbox.*", LIMIT_REACHED] {
            index.insert_sink(&subject.parse().unwrap(), &inbox);
        }
        let memory = MoodyStore::new();
        let clients =
            Clients { authentication: Authentication::Open, reply_policy: ReplyPolicy::AsNatsServer };
        let engine =
            Engine::with_stores(config, Arc::clone(&files) as _, memory, Arc::clone(&index), "test", clients)
                .unwrap();
        Self { engine, files, sender: Sender::new(index), answers, asked: 0 }
    }

    /// Publishes with a reply subject; answers the reply subject.
    pub(super) fn send(&mut self, subject: &str, headers: &[(&str, &str)], body: &str) -> String {
        self.asked += 1;
        let inbox = format!("inbox.{}", self.asked);
        let mut data = Vec::new();
        if !headers.is_empty() {
            data.extend_from_slice(b"NATS/1.0\r\n");
            for (name, value) in headers {
                data.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            data.extend_from_slice(b"\r\n");
        }
        let header_len = data.len();
        data.extend_from_slice(body.as_bytes());
        let frame = MessageFrame {
            subject: subject.as_bytes(),
            reply: Some(inbox.as_bytes()),
            header_len,
            body: &data,
        };
        assert!(self.sender.send(subject, &frame) > 0, "somebody takes {subject}");
        self.sender.flush();
        inbox
    }

    /// The answer to what was sent. Others that come before it are not wanted.
    pub(super) fn answer(&mut self, inbox: &str) -> Value {
        loop {
            let (to, body) = self.answers.recv_timeout(PATIENCE).expect("an answer");
            if to == inbox {
                return serde_json::from_slice(&body).expect("JSON");
            }
        }
    }

    /// Answers that have come, without waiting, in their order: the reply subjects.
    pub(super) fn answered(&mut self, count: usize) -> Vec<(String, Value)> {
        let next = || {
            let (to, body) = self.answers.recv_timeout(PATIENCE).expect("an answer");
            (to, serde_json::from_slice(&body).expect("JSON"))
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    pub(super) fn ask(&mut self, subject: &str, body: &str) -> Value {
        let inbox = self.send(subject, &[], body);
        self.answer(&inbox)
    }

    pub(super) fn api(&mut self, call: &str, body: &str) -> Value {
        self.ask(&format!("$JS.API.{call}"), body)
    }

    /// Asks the API, and does not wait for the answer.
    pub(super) fn api_later(&mut self, call: &str, body: &str) -> String {
        self.send(&format!("$JS.API.{call}"), &[], body)
    }

    /// The reply subject of the next answer, which need not be JSON.
    pub(super) fn next_answer(&mut self) -> String {
        self.answers.recv_timeout(PATIENCE).expect("an answer").0
    }

    /// The same, if there is one already.
    pub(super) fn early_answer(&mut self) -> Option<String> {
        self.answers.try_recv().ok().map(|(to, _)| to)
    }

    /// Makes a stream called `S`, whose configuration has these members too.
    pub(super) fn stream(&mut self, members: &str) -> Arc<Stream> {
        let comma = if members.is_empty() { "" } else { "," };
        let answer =
            self.api("STREAM.CREATE.S", &format!(r#"{{"name":"S","subjects":["s.>"]{comma}{members}}}"#));
        assert_eq!(answer["error"], Value::Null, "{answer}");
        self.engine.stream("S").expect("the stream")
    }

    pub(super) fn state(&mut self) -> Value {
        self.api("STREAM.INFO.S", "")["state"].clone()
    }

    pub(super) fn set(&self, mood: Mood) {
        self.files.set(mood);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.files.set(Mood::Well);
        self.files.release();
        self.engine.stop();
        self.engine.join();
    }
}

/// The number an answer refuses with; 0 when it does not.
pub(super) fn refusal(answer: &Value) -> u64 {
    answer["error"]["err_code"].as_u64().unwrap_or(0)
}

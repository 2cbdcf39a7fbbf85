//! What is tried.

use busauth::{Identity, UserId};
use control_api::subjects;

use super::{Scene, Who};

pub(super) struct Attempts {
    user: UserId,
    other: UserId,
    room: String,
    subject: String,
    foreign: String,
    foreign_subject: String,
    consumer: String,
    /// Reply subjects that would do harm, if a server published there.
    pub(super) hostile: Vec<String>,
}

impl Attempts {
    pub(super) fn new(scene: &Scene, user: UserId) -> Self {
        let (room, foreign) = (format!("ROOM_{}", scene.room), format!("ROOM_{}", scene.foreign));
        let other = Identity::generate().id();
        let hostile = vec![
            "$JS.API.STREAM.CREATE.x".to_owned(),
            "$JS.API.STREAM.DELETE.x".to_owned(),
            format!("$JS.API.STREAM.DELETE.{foreign}"),
            format!("$JS.API.STREAM.PURGE.{foreign}"),
            "$JS.API.STREAM.PURGE.KV_bucket".to_owned(),
            "$JS.API.STREAM.MSG.DELETE.KV_bucket".to_owned(),
            format!("$JS.API.CONSUMER.CREATE.{foreign}"),
            format!("$JS.API.CONSUMER.CREATE.{foreign}.tap.board"),
            format!("$JS.API.CONSUMER.DURABLE.CREATE.{foreign}.tap"),
            format!("$JS.API.CONSUMER.DELETE.{room}.{}", scene.consumer),
            "$KV.bucket.key".to_owned(),
            scene.foreign_subject.to_owned(),
            format!("{}.below", scene.foreign_subject),
            format!("_INBOX_{other}.x"),
            format!("unibus.rpc.{other}.history.{}", scene.foreign),
        ];
        Self {
            user,
            other,
            room,
            subject: scene.subject.to_owned(),
            foreign,
            foreign_subject: scene.foreign_subject.to_owned(),
            consumer: scene.consumer.clone(),
            hostile,
        }
    }

    pub(super) fn own_inbox(&self) -> String {
        format!("_INBOX_{}.answers", self.user)
    }

    /// Reply subjects that its sender may subscribe to, so that nobody refuses them: what arrives there is no request
    /// and no hint that anybody believes.
    pub(super) fn harmless(&self) -> [String; 2] {
        let room = self.room.trim_start_matches("ROOM_");
        [subjects::user_event(&self.user).to_string(), format!("unibus.event.room.{room}")]
    }

    /// Filters that are granted to nobody, or not to this one.
    pub(super) fn filters(&self, who: Who) -> Vec<String> {
        let mut filters: Vec<String> = [
            ">",
            "*",
            "*.>",
            "$JS.>",
            "$JS.API.>",
            "$JS.API.STREAM.INFO.*",
            "$JS.ACK.>",
            "$JS.FC.>",
            "$JS.EVENT.>",
            "$JS.EVENT.ADVISORY.>",
            "$JS.EVENT.METRIC.>",
            "$KV.>",
            "$KV.bucket.key",
            "$O.>",
            "$SYS.>",
            "$SRV.>",
            "_INBOX.>",
            "_INBOX.*",
            "unibus.>",
            "unibus.rpc.>",
            "unibus.event.>",
            "unibus.reply.>",
        ]
        .map(str::to_owned)
        .into();
        filters.extend([
            format!("$JS.ACK.{}.>", self.room),
            format!("_INBOX_{}.>", self.other),
            format!("unibus.rpc.{}.>", self.user),
            format!("unibus.event.user.{}", self.other),
            self.foreign_subject.clone(),
            format!("{}.>", self.foreign_subject),
        ]);
        if who == Who::Stranger {
            filters.extend([self.subject.clone(), format!("{}.>", self.subject)]);
        }
        filters
    }

    /// Subjects that are granted to nobody, or not to this one, with bodies that would do something there.
    pub(super) fn subjects(&self, who: Who) -> Vec<(String, String)> {
        let (room, foreign, consumer) = (&self.room, &self.foreign, &self.consumer);
        let own_stream = r#"{"name":"x","subjects":["x.>"],"storage":"memory"}"#;
        let tap =
            format!(r#"{{"stream_name":"{foreign}","config":{{"deliver_subject":"{}"}}}}"#, self.own_inbox());
        let mut tried: Vec<(String, String)> = Vec::new();
        let mut add = |subject: String, body: &str| tried.push((subject, body.to_owned()));
        add("$JS.API.INFO".to_owned(), "");
        add("$JS.API.STREAM.NAMES".to_owned(), "");
        add("$JS.API.STREAM.LIST".to_owned(), "");
        add("$JS.API.STREAM.CREATE.x".to_owned(), own_stream);
        add("$JS.API.STREAM.UPDATE.acks".to_owned(), r#"{"name":"acks","subjects":["mine"]}"#);
        add("$JS.API.CONSUMER.MSG.NEXT.acks.any".to_owned(), "1");
        for stream in [room, foreign, &"KV_bucket".to_owned()] {
            for (call, body) in [
                ("STREAM.INFO", ""),
                ("STREAM.DELETE", ""),
                ("STREAM.PURGE", ""),
                ("STREAM.MSG.GET", r#"{"seq":1}"#),
                ("STREAM.MSG.DELETE", r#"{"seq":1}"#),
                ("STREAM.SNAPSHOT", r#"{"deliver_subject":"x"}"#),
                ("STREAM.RESTORE", "{}"),
                ("STREAM.LEADER.STEPDOWN", ""),
                ("STREAM.PEER.REMOVE", r#"{"peer":"x"}"#),
                ("CONSUMER.NAMES", ""),
                ("CONSUMER.LIST", ""),
                ("CONSUMER.CREATE", &tap),
                ("DIRECT.GET", r#"{"seq":1}"#),
            ] {
                add(format!("$JS.API.{call}.{stream}"), body);
            }
            add(format!("$JS.API.CONSUMER.CREATE.{stream}.tap.board"), &tap);
            add(format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.tap"), &tap);
            for call in ["INFO", "DELETE", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN", "MSG.NEXT"] {
                add(format!("$JS.API.CONSUMER.{call}.{stream}.{consumer}"), "");
            }
            add(format!("$JS.API.DIRECT.GET.{stream}.{}", self.foreign_subject), "");
            add(format!("$JS.ACK.{stream}.{consumer}.1.1.1.1700000000000000000.0"), "+ACK");
            add(format!("$JS.ACK.{stream}.{consumer}.1.1.1.1700000000000000000.0"), "+NXT 5");
            add(format!("$JS.FC.{stream}.{consumer}.abcd"), "");
        }
        for subject in ["$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$JS.API.ACCOUNT.PURGE.$G"] {
            add(subject.to_owned(), "");
        }
        add("$JS.EVENT.ADVISORY.API".to_owned(), "{}");
        add("$KV.bucket.key".to_owned(), "forged");
        add("$O.files.M.x".to_owned(), "forged");
        add("$SYS.REQ.SERVER.PING".to_owned(), "");
        add("acknowledged".to_owned(), "forged");
        add(self.foreign_subject.clone(), "forged");
        add(format!("{}.below", self.foreign_subject), "forged");
        add(format!("_INBOX_{}.x", self.other), "forged");
        add(self.own_inbox(), "forged");
        add(format!("unibus.rpc.{}.history.x", self.other), "{}");
        add(format!("unibus.rpc.{}.publish.x", self.other), "forged");
        add(subjects::user_event(&self.user).to_string(), "{}");
        if !who.may_write() {
            add(self.subject.clone(), "forged");
            add(format!("{}.below", self.subject), "forged");
        }
        tried
    }

    /// Subjects that are granted, with bodies that are answered.
    pub(super) fn granted(&self, who: Who) -> Vec<(String, String)> {
        let id = self.room.trim_start_matches("ROOM_");
        let requests = subjects::user_requests(&self.user);
        let history = r#"{"from":{"seq":1},"max":10}"#.to_owned();
        let token = r#"{"ack":"1.1.1.1700000000000000000.0"}"#.to_owned();
        let work = format!("{requests}.consumer.{id}.{}", self.consumer);
        let mut granted = vec![
            (format!("{requests}.history.{id}"), history.clone()),
            (format!("{requests}.history.{}", self.foreign.trim_start_matches("ROOM_")), history),
            (format!("{work}.fetch"), r#"{"max":1}"#.to_owned()),
            (format!("{work}.ack"), token.clone()),
            (format!("{work}.nak"), token.clone()),
            (format!("{work}.term"), token.clone()),
            (format!("{work}.progress"), token),
            (format!("{requests}.anything"), String::new()),
        ];
        if who.may_write() {
            granted.extend([
                (self.subject.clone(), "said".to_owned()),
                (format!("{}.below", self.subject), "said".to_owned()),
                (format!("unibus.reply.{id}.x"), "said".to_owned()),
            ]);
        }
        granted
    }
}

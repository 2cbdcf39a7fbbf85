//! Every way of reading, or of making the server write, for every role and for a stranger: what is not granted is
//! refused, and nothing that is granted has an effect beyond its room, whatever reply subject it names. On the embedded
//! broker as it runs in production, and on nats-server with the same grants.

mod attempts;
mod grants_conf;
mod raw;
mod servers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::Client;
use bus_testkit::{BusRole, TestBus};
use busauth::Identity;
use control_api::{ConsumerInfo, NewConsumer};
use data_encoding::BASE64;
use room_protocol::{RoomId, RoomRole};
use serde_json::{Value, json};

use super::history::{ask, history_of, value, work_of};
use super::support::within;
use attempts::Attempts;
use raw::RawClient;

/// Who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    Writer,
    Reader,
    Stranger,
}

const EVERYBODY: [Who; 4] = [Who::Owner, Who::Writer, Who::Reader, Who::Stranger];

impl Who {
    fn may_write(self) -> bool {
        matches!(self, Self::Owner | Self::Writer)
    }

    fn room_role(self) -> Option<RoomRole> {
        match self {
            Self::Owner => Some(RoomRole::Owner),
            Self::Writer => Some(RoomRole::Writer),
            Self::Reader => Some(RoomRole::Reader),
            Self::Stranger => None,
        }
    }
}

/// What a server does with a message whose reply subject its sender has no right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    Refused,
    Routed,
}

/// A server with a room, a foreign room and a bucket, as somebody with all rights sees it.
struct Scene {
    address: std::net::SocketAddr,
    service: Client,
    replies: Replies,
    room: RoomId,
    subject: &'static str,
    foreign: RoomId,
    foreign_subject: &'static str,
    /// A durable consumer on the room's stream.
    consumer: String,
}

/// What a stream holds.
type Streams = BTreeMap<String, Value>;

async fn api(service: &Client, subject: &str, body: &Value) -> Value {
    let answer = service.request(format!("$JS.API.{subject}"), body.to_string().into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

impl Scene {
    /// Everything that a write by the server would change: streams, what is in them, how they are made, and consumers.
    async fn streams(&self) -> Streams {
        let listed = api(&self.service, "STREAM.LIST", &json!({})).await;
        let mut streams = Streams::new();
        for stream in listed["streams"].as_array().cloned().unwrap_or_default() {
            let name = stream["config"]["name"].as_str().unwrap().to_owned();
            let consumers = api(&self.service, &format!("CONSUMER.LIST.{name}"), &json!({})).await;
            let consumers: Vec<Value> = consumers["consumers"]
                .as_array()
                .cloned()
                .unwrap_or_default()
                .iter()
                .map(|c| json!([c["name"], c["config"], c["delivered"]["stream_seq"], c["num_ack_pending"]]))
                .collect();
            let state = &stream["state"];
            let held = json!([state["messages"], state["first_seq"], state["last_seq"]]);
            streams.insert(name, json!({ "config": stream["config"], "held": held, "consumers": consumers }));
        }
        streams
    }

    /// What has to stay as it is, whoever tries whatever: everything but the messages of the room itself.
    async fn beyond_the_room(&self) -> Streams {
        let mut streams = self.streams().await;
        if let Some(own) = streams.get_mut(&format!("ROOM_{}", self.room)) {
            own["held"] = Value::Null;
        }
        streams
    }

    /// Nothing beyond the room has changed.
    async fn is_still(&self, before: &Streams, who: Who) {
        let after = self.beyond_the_room().await;
        assert!(after.keys().eq(before.keys()), "{who:?} made or removed streams: {:?}", after.keys());
        for (name, stream) in &after {
            assert_eq!(stream, &before[name], "{who:?} has made the server write to {name}");
        }
    }

    /// Publishes with all rights, and returns when it is stored, and with it everything that came before.
    async fn store(&self, room: RoomId, subject: &str) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let marker = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let stored = BASE64.encode(marker.as_bytes());
        self.service.publish(subject.to_owned(), marker.into()).await.unwrap();
        let last = json!({ "last_by_subj": subject });
        let found = async {
            while api(&self.service, &format!("STREAM.MSG.GET.ROOM_{room}"), &last).await["message"]["data"]
                != stored
            {
                tokio::task::yield_now().await;
            }
        };
        within("stored message", found).await;
    }

    /// How many messages the room keeps, one more for this question.
    async fn messages_in_room(&self) -> u64 {
        self.store(self.room, &format!("{}.marker", self.subject)).await;
        let streams = self.streams().await;
        streams[&format!("ROOM_{}", self.room)]["held"][0].as_u64().unwrap()
    }
}

/// One after the other, everybody tries everything.
async fn everything_is_tried(scene: &Scene, people: &[(Who, &Identity)]) {
    for (who, identity) in people {
        let attempts = Attempts::new(scene, identity.id());
        let mut client = RawClient::connect(scene.address, identity).await;
        ungranted_subscriptions(scene, &attempts, &mut client, *who).await;
        let before = scene.beyond_the_room().await;
        ungranted_messages(&attempts, &mut client, *who).await;
        scene.is_still(&before, *who).await;
        granted_messages(scene, &attempts, &mut client, *who).await;
        scene.is_still(&before, *who).await;
        // What a server does on its own account, it may do a moment later.
        drop(RawClient::connect(scene.address, identity).await.settled().await);
        scene.is_still(&before, *who).await;
    }
}

/// Subscriptions to what is not granted are refused, and hear nothing of what the server says to others.
async fn ungranted_subscriptions(scene: &Scene, attempts: &Attempts, client: &mut RawClient, who: Who) {
    for (number, filter) in attempts.filters(who).iter().enumerate() {
        for queue in ["", "group "] {
            client.send(&format!("SUB {filter} {queue}s{number}\r\n")).await;
            let heard = client.settled().await;
            assert_eq!(heard.refusals, 1, "{who:?} subscribed to {filter} {queue}: {heard:?}");
        }
    }
    // Requests, answers, acknowledgements and advisories of somebody else pass by.
    scene.store(scene.foreign, scene.foreign_subject).await;
    let name = format!("STREAM.INFO.ROOM_{}", scene.foreign);
    assert!(api(&scene.service, &name, &json!({})).await["state"].is_object());
    let heard = client.settled().await;
    assert!(heard.messages.is_empty(), "{who:?} heard {heard:?}");
}

/// Messages to what is not granted are refused, with and without a reply subject, whatever is in them.
async fn ungranted_messages(attempts: &Attempts, client: &mut RawClient, who: Who) {
    let own = attempts.own_inbox();
    client.send(&format!("SUB {own} answers\r\n")).await;
    for (subject, body) in attempts.subjects(who) {
        for reply in ["", own.as_str()].into_iter().chain(attempts.hostile.iter().map(String::as_str)) {
            client.publish(&subject, reply, &body).await;
            let heard = client.settled().await;
            assert_eq!(heard.refusals, 1, "{who:?} published {subject} with reply {reply}: {heard:?}");
            assert!(heard.messages.is_empty(), "{who:?} was answered on {subject}: {heard:?}");
        }
    }
    client.send("UNSUB answers\r\n").await;
}

/// Messages to what is granted reach nothing but their room, whatever reply subject they name.
async fn granted_messages(scene: &Scene, attempts: &Attempts, client: &mut RawClient, who: Who) {
    for (subject, body) in attempts.granted(who) {
        for reply in &attempts.hostile {
            client.publish(&subject, reply, &body).await;
            let heard = client.settled().await;
            match scene.replies {
                Replies::Refused => {
                    assert_eq!(heard.refusals, 1, "{who:?} sent {subject} with reply {reply}: {heard:?}");
                }
                // Routed, except where nats-server refuses by itself.
                Replies::Routed => assert!(heard.refusals <= 1, "{heard:?}"),
            }
        }
    }
    for (subject, body) in attempts.granted(who) {
        for reply in attempts.harmless() {
            client.publish(&subject, &reply, &body).await;
        }
    }
    client.settled().await;
    let before = scene.messages_in_room().await;
    for subject in [scene.subject.to_owned(), format!("{}.below", scene.subject)] {
        client.publish(&subject, "", "said").await;
        let heard = client.settled().await;
        assert_eq!(heard.refusals, usize::from(!who.may_write()), "{who:?} on {subject}: {heard:?}");
    }
    let stored = if who.may_write() { 2 } else { 0 };
    assert_eq!(scene.messages_in_room().await, before + stored + 1, "{who:?}");
}

#[tokio::test]
async fn nothing_is_read_or_written_beyond_the_grants_here() {
    let bus = TestBus::start().await.unwrap();
    let owner = bus.admit("owner", BusRole::Member).await.unwrap();
    let writer = bus.admit("writer", BusRole::Member).await.unwrap();
    let reader = bus.admit("reader", BusRole::Member).await.unwrap();
    let stranger = bus.admit("stranger", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&owner, "lab").await.unwrap();
    room.add(&writer, RoomRole::Writer).await.unwrap();
    room.add(&reader, RoomRole::Reader).await.unwrap();
    let foreign = bus.plain_room_with_history(bus.admin(), "board").await.unwrap();
    let path = format!("/v1/rooms/{}/consumers", room.id());
    let asked = NewConsumer { shared: true, ..NewConsumer::default() };
    let consumer: ConsumerInfo = bus.control(&owner).post(&path, &asked).await.unwrap();
    let service = bus.service().await.unwrap();
    servers::furnish(&service).await;
    service.request("board", "foreign".into()).await.unwrap();
    let scene = Scene {
        address: bus.nats_addr(),
        service,
        replies: Replies::Refused,
        room: room.id(),
        subject: "lab",
        foreign: foreign.id(),
        foreign_subject: "board",
        consumer: consumer.name,
    };
    let people: Vec<(Who, &Identity)> =
        EVERYBODY.into_iter().zip([&*owner, &*writer, &*reader, &*stranger]).collect();
    everything_is_tried(&scene, &people).await;
    the_bus_answers_by_role(&bus, &scene, &people).await;
    bus.stop().await.unwrap();
}

/// What the bus itself answers: history for members, work for writers, nothing for strangers, nothing foreign.
async fn the_bus_answers_by_role(bus: &TestBus, scene: &Scene, people: &[(Who, &Identity)]) {
    let before = scene.beyond_the_room().await;
    for (who, identity) in people {
        let client = bus.nats(identity).await.unwrap();
        let read = json!({ "from": { "seq": 1 }, "max": 1 });
        let own = ask(&client, &history_of(identity.id(), scene.room), &read).await;
        let expected = if who.room_role().is_some() { None } else { Some("not_a_member") };
        assert_eq!(value(&own.last, "Unibus-Stored-Error"), expected, "{who:?}");
        assert_eq!(own.messages.len(), usize::from(expected.is_none()), "{who:?}");
        let foreign = ask(&client, &history_of(identity.id(), scene.foreign), &read).await;
        assert_eq!(value(&foreign.last, "Unibus-Stored-Error"), Some("not_a_member"), "{who:?}");

        let token = json!({ "ack": "1.1.1.1700000000000000000.0" });
        for (work, body) in [("fetch", json!({ "max": 1 })), ("ack", token.clone()), ("nak", token)] {
            let refused = match who {
                Who::Owner | Who::Writer => continue,
                Who::Reader => "not_a_writer",
                Who::Stranger => "not_a_member",
            };
            let subject = work_of(identity.id(), scene.room, &scene.consumer, work);
            let answer = ask(&client, &subject, &body).await;
            assert_eq!(value(&answer.last, "Unibus-Stored-Error"), Some(refused), "{who:?} {work}");
        }
    }
    assert_eq!(scene.beyond_the_room().await, before);
}

#[tokio::test]
async fn nothing_is_read_or_written_beyond_the_grants_on_nats_server() {
    let [service, owner, writer, reader, stranger] = std::array::from_fn(|_| Identity::generate());
    let people: Vec<(Who, &Identity)> =
        EVERYBODY.into_iter().zip([&owner, &writer, &reader, &stranger]).collect();
    let (room, foreign) = (room_id("lab", &owner), room_id("board", &service));
    let conf = grants_conf::render(&service, &people, room, "lab");
    let Some(server) = servers::NatsServer::start(&conf).await else { return };
    let client = async_nats::ConnectOptions::with_nkey(service.login_seed().as_str().to_owned())
        .connect(format!("nats://{}", server.address))
        .await
        .unwrap();
    servers::furnish(&client).await;
    let consumer = "c_0123456789abcdef".to_owned();
    servers::room_stream(&client, room, "lab", &consumer).await;
    servers::room_stream(&client, foreign, "board", &consumer).await;
    let scene = Scene {
        address: server.address,
        service: client,
        replies: Replies::Routed,
        room,
        subject: "lab",
        foreign,
        foreign_subject: "board",
        consumer,
    };
    everything_is_tried(&scene, &people).await;

    // And the same reply subjects do have an effect where a stream acknowledges: what was watched would have shown it.
    let before = scene.beyond_the_room().await;
    scene.service.publish_with_reply("acknowledged", "$KV.bucket.key", "one".into()).await.unwrap();
    let written = async {
        while scene.beyond_the_room().await["KV_bucket"] == before["KV_bucket"] {
            tokio::task::yield_now().await;
        }
    };
    within("effect of an acknowledgement", written).await;
}

/// The id of a room made by this owner.
fn room_id(subject: &str, owner: &Identity) -> RoomId {
    use room_protocol::{Encryption, FirstOwner, History, Op, RoomLimits, RoomState, Statement};
    let create = Op::Create {
        subject: subject.parse().unwrap(),
        name: subject.parse().unwrap(),
        encryption: Encryption::None,
        history: History::Shared,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(owner, subject.parse().unwrap()),
        epoch: None,
    };
    RoomState::open(&Statement::first(create, 1).sign(owner)).unwrap().id()
}

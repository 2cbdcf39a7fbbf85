//! The bus goes away and comes back; subscriptions live on and say that something may be missing.

use std::sync::Arc;
use std::time::Duration;

use bus_client::{Bus, ErrorKind, Event, MessageErrorKind, Tuning};
use bus_testkit::TestBus;
use bus_testkit::faults::{Flow, Line};
use serde_json::json;
use tokio::sync::Semaphore;

use super::support::{Lab, SUBJECT, config, event, item, lied_to, text, tuning, within};

#[tokio::test]
async fn after_a_restart_of_the_bus_the_conversation_goes_on() {
    let mut lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let (mut alices, mut bobs) = (lab.alice.bus.events(), lab.bob.bus.events());
    lab.bus.restart().await.unwrap();
    event(&mut alices, "reconnection of alice", |event| *event == Event::Reconnected).await;
    event(&mut bobs, "reconnection of bob", |event| *event == Event::Reconnected).await;
    let gap = item(&mut bob).await.unwrap_err();
    assert!(matches!(gap.kind(), MessageErrorKind::Gap(_)), "{gap}");
    lab.at_alice.publish("still there?").await.unwrap();
    assert_eq!(text(&item(&mut bob).await.unwrap()), "still there?");
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_client_stops_also_when_the_bus_is_gone() {
    let Lab { bus, alice, bob, at_alice, at_bob } = Lab::open().await;
    let messages = at_bob.subscribe().await.unwrap();
    let mut events = bob.bus.events();
    bus.stop().await.unwrap();
    event(&mut events, "loss of the connection", |event| *event == Event::Disconnected).await;
    drop((messages, at_alice, at_bob));
    bob.bus.shutdown().await.unwrap();
    drop(alice);
}

#[tokio::test]
async fn nothing_runs_on_after_a_shutdown() {
    let lab = Lab::open().await;
    let other = Bus::connect(config(&lab.bus, &lab.bob.identity)).await.unwrap();
    let room = other.room(SUBJECT).await.unwrap();
    let mut messages = room.subscribe().await.unwrap();
    let mut events = other.events();
    other.shutdown().await.unwrap();
    assert!(within("end of the subscription", messages.next()).await.is_none());
    assert_eq!(room.publish("anybody?").await.unwrap_err().kind(), ErrorKind::Closed);
    drop((messages, room));
    // The last of it is gone, so nothing will ever be told again.
    within("end of the events", async { while events.next().await.is_some() {} }).await;
    lab.stop().await;
}

/// A bus whose data plane is reached over a line, of which bob is told; then over another one.
struct Moved {
    lab: Lab,
    bob: Bus,
    before: Option<Line>,
    _now: Line,
    /// Counts how often bob was told of the second.
    told: Arc<Semaphore>,
}

impl Moved {
    async fn open(tuning: Tuning) -> Self {
        let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
        let before = Line::to(lab.bus.nats_addr(), 1).await.unwrap();
        let now = Line::to(lab.bus.nats_addr(), 2).await.unwrap();
        let told = Arc::new(Semaphore::new(0));
        say_where(&lab, &before, None);
        let bob = Bus::connect(lied_to(&lab.bus, &lab.bob.identity).with_tuning(tuning)).await.unwrap();
        say_where(&lab, &now, Some(told.clone()));
        Self { lab, bob, before: Some(before), _now: now, told }
    }

    /// The first line ends, and bob hears what alice says all the same.
    async fn bob_hears_over_the_other_line(&mut self) {
        let mut events = self.bob.events();
        let room = self.bob.room(SUBJECT).await.unwrap();
        let mut messages = room.subscribe().await.unwrap();
        drop(self.before.take());
        event(&mut events, "loss of the line", |event| *event == Event::Disconnected).await;
        event(&mut events, "another line", |event| *event == Event::Reconnected).await;
        // Subscribed to again before this comes back.
        room.publish("here I am").await.unwrap();
        room.flush().await.unwrap();
        self.lab.at_alice.publish("there you are").await.unwrap();
        let heard = async {
            loop {
                match messages.next().await.unwrap() {
                    Ok(message) if text(&message) == "there you are" => return,
                    Ok(_) => {}
                    Err(error) => assert!(matches!(error.kind(), MessageErrorKind::Gap(_)), "{error}"),
                }
            }
        };
        within("message over the other line", heard).await;
    }

    async fn stop(self) {
        self.bob.shutdown().await.unwrap();
        self.lab.stop().await;
    }
}

/// From now on the bus says that its data plane is there.
fn say_where(lab: &Lab, line: &Line, told: Option<Arc<Semaphore>>) {
    let url = format!("nats://{}", line.address());
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path() != "/v1/info" {
            return answer;
        }
        if let Some(told) = &told {
            told.add_permits(1);
        }
        answer.map_json(|info| info["data_urls"] = json!([url]))
    });
}

#[tokio::test]
async fn a_node_that_came_later_is_known_when_the_first_is_lost() {
    let often = Tuning { refresh_interval: Duration::from_millis(20), ..tuning() };
    let mut moved = Moved::open(often).await;
    // Who asks a second time has taken in the first answer.
    within("questions where the nodes are", moved.told.acquire_many(2)).await.unwrap().forget();
    moved.bob_hears_over_the_other_line().await;
    moved.stop().await;
}

#[tokio::test]
async fn where_the_bus_has_moved_to_is_asked_when_the_connection_is_lost() {
    let mut moved = Moved::open(tuning()).await;
    moved.bob_hears_over_the_other_line().await;
    moved.stop().await;
}

/// A node that hangs takes nothing more, and says nothing: whoever publishes learns it, and does not wait for ever.
#[tokio::test]
async fn a_publish_to_a_node_that_hangs_ends_with_an_error() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let line = Line::to(lab.bus.nats_addr(), 1).await.unwrap();
    say_where(&lab, &line, None);
    let impatient = Tuning { request_timeout: Duration::from_secs(1), ..tuning() };
    let bob = Bus::connect(lied_to(&lab.bus, &lab.bob.identity).with_tuning(impatient)).await.unwrap();
    let room = bob.room(SUBJECT).await.unwrap();
    room.publish("still there").await.unwrap();
    line.set_both(Flow::Hold);
    // Large ones fill what is between the two, small ones the queue of the client.
    let mut messages = std::iter::repeat_n(900 * 1024, 16).chain(std::iter::repeat(1));
    let refused = loop {
        let payload = vec![0; messages.next().unwrap()];
        if let Err(error) = within("answer to a publish", room.publish(payload)).await {
            break error;
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Unreachable, "{refused}");
    line.set_both(Flow::Pass);
    drop(room);
    bob.shutdown().await.unwrap();
    lab.stop().await;
}

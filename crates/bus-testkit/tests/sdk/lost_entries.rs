//! A server that lost the end of a log, as after a restored backup, gets it back from the members.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus_client::{Bus, Event, LogTrust};
use bus_testkit::TestBus;
use serde_json::json;

use super::support::{Lab, SUBJECT, event, lied_to};

#[tokio::test]
async fn members_give_a_server_back_the_entries_it_lost() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let bob = Bus::connect(lied_to(&lab.bus, &lab.bob.identity)).await.unwrap();
    let room = bob.room(SUBJECT).await.unwrap();
    let mut events = bob.events();

    // Until somebody offers an entry, the server has only the first.
    let first = room.log()[0].clone();
    let offered = Arc::new(AtomicBool::new(false));
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.method() == http::Method::POST && asked.path().ends_with("/log") {
            offered.store(true, Ordering::SeqCst);
        }
        if !asked.reads_log() || offered.load(Ordering::SeqCst) {
            return answer;
        }
        let (entry, head) = (first.as_str().to_owned(), first.head());
        answer.map_json(move |log| *log = json!({ "entries": [entry], "head": head }))
    });
    // Something happens in the room, so everybody looks.
    lab.at_alice.rekey().await.unwrap();
    event(&mut events, "rollback", |event| matches!(event, Event::RolledBack { .. })).await;
    event(&mut events, "restored log", |event| matches!(event, Event::LogRestored { .. })).await;
    assert_eq!(room.trust(), LogTrust::Intact);
    room.publish("nothing is lost").await.unwrap();
    drop(room);
    bob.shutdown().await.unwrap();
    lab.stop().await;
}

//! Two people talk; the server and the data plane carry what they cannot read.

use std::time::Duration;

use bus_client::{ErrorKind, OwnMessages, SubscribeOptions, Trust};
use futures_util::StreamExt as _;

use super::support::{Lab, NOBODY, SUBJECT, message, tap, text, within};

#[tokio::test]
async fn two_people_exchange_messages_that_the_data_plane_cannot_read() {
    let lab = Lab::open().await;
    let service = lab.bus.service().await.unwrap();
    let mut wire = tap(&service, SUBJECT, NOBODY).await;
    let mut alice = lab.at_alice.subscribe().await.unwrap();
    let mut bob = lab.at_bob.subscribe().await.unwrap();

    let sent = lab.at_alice.publish("the door code is 4711").await.unwrap();
    let heard = message(&mut bob).await;
    assert_eq!(text(&heard), "the door code is 4711");
    assert_eq!((heard.from, heard.id), (Some(lab.alice.identity.id()), Some(sent)));
    assert_eq!((heard.handle.unwrap().to_string(), heard.trust), ("alice".to_owned(), Trust::Verified));
    assert_eq!(text(&message(&mut alice).await), "the door code is 4711");

    let carried = within("message on the wire", wire.next()).await.unwrap();
    assert!(!carried.payload.windows(4).any(|bytes| bytes == b"4711"));

    lab.at_bob.publish_on("alerts", "thanks").await.unwrap();
    let heard = message(&mut alice).await;
    assert_eq!((text(&heard), heard.subject.as_str()), ("thanks", "lab.sensors.alerts"));
    drop((alice, bob));
    lab.stop().await;
}

#[tokio::test]
async fn a_request_is_answered_inside_the_room() {
    let lab = Lab::open().await;
    let mut requests = lab.at_bob.subscribe().await.unwrap();
    let answering = async {
        let request = message(&mut requests).await;
        assert!(request.wants_reply());
        request.reply(format!("{} back", text(&request))).await.unwrap();
    };
    let asking = lab.at_alice.request("ping", Duration::from_secs(20));
    let (answer, ()) = tokio::join!(asking, answering);
    let answer = answer.unwrap();
    assert_eq!((text(&answer), answer.from), ("ping back", Some(lab.bob.identity.id())));
    // What was not asked for cannot be answered.
    lab.at_alice.publish("no question").await.unwrap();
    let statement = message(&mut requests).await;
    assert_eq!(statement.reply("?").await.unwrap_err().kind(), ErrorKind::NoReply);
    drop(requests);
    lab.stop().await;
}

#[tokio::test]
async fn a_reply_subject_outside_the_room_is_ignored() {
    let lab = Lab::open().await;
    let service = lab.bus.service().await.unwrap();
    let mut wire = tap(&service, SUBJECT, NOBODY).await;
    lab.at_alice.publish("hello").await.unwrap();
    let carried = within("message on the wire", wire.next()).await.unwrap();

    // Bob was not there yet, so for him it is fresh; a hostile server adds where it would like the answer.
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let headers = carried.headers.unwrap();
    service
        .publish_with_reply_and_headers("lab.sensors", "unibus.control.everything", headers, carried.payload)
        .await
        .unwrap();
    let heard = message(&mut bob).await;
    assert!(!heard.wants_reply());
    assert_eq!(heard.reply("secret").await.unwrap_err().kind(), ErrorKind::NoReply);
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn own_messages_are_left_out_where_that_is_asked_for() {
    let lab = Lab::open().await;
    let options = SubscribeOptions { own: OwnMessages::Skip, ..SubscribeOptions::default() };
    let mut alice = lab.at_alice.subscribe_with(options).await.unwrap();
    lab.at_alice.publish("mine").await.unwrap();
    lab.at_alice.flush().await.unwrap();
    lab.at_bob.publish("yours").await.unwrap();
    assert_eq!(text(&message(&mut alice).await), "yours");
    drop(alice);
    lab.stop().await;
}

/// The room's own subject and those below it are two subscriptions on the wire, with no order between them.
#[tokio::test]
async fn a_busy_reader_loses_nothing_across_a_log_entry_and_two_subjects() {
    const MANY: usize = 600;
    let lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    for n in 0..MANY {
        lab.at_alice.publish(n.to_string()).await.unwrap();
    }
    lab.at_alice.rekey().await.unwrap();
    lab.at_alice.publish_on("alerts", "below").await.unwrap();
    lab.at_alice.flush().await.unwrap();

    let (mut own, mut below) = (0, 0);
    while own < MANY || below < 1 {
        let heard = message(&mut bob).await;
        if heard.subject == SUBJECT {
            assert_eq!(text(&heard), own.to_string());
            own += 1;
        } else {
            below += 1;
        }
    }
    drop(bob);
    lab.stop().await;
}

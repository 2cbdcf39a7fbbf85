//! A live message is taken once, also across restarts.

use room_protocol::message::{Arrival, FRESH_FOR_MS, Freshness, MessageDraft, SealedMessage, seal_message};
use room_protocol::{MessageHeaders, MessageId, MessageRejection, Op, RoomLimits};

use crate::support::{PLAIN, Repeating, Room, START, person};

const NOW: u64 = START + 3_600_000;
const SUBJECT: &str = "lab.sensors";

fn send(room: &Room, author: u16, time: u64, n: u8) -> SealedMessage {
    let draft = MessageDraft { subject: SUBJECT, id: MessageId::new(time, [n; 10]), payload: b"x" };
    seal_message(room.state(), &person(author), None, draft, &mut Repeating::new(1)).unwrap()
}

fn receive(
    room: &Room,
    message: &SealedMessage,
    now: u64,
    freshness: &mut Freshness,
) -> Result<(), MessageRejection> {
    let headers = message.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let signed = MessageHeaders::parse(headers)?
        .unwrap()
        .verify_signature(&room.id(), SUBJECT, &message.payload)
        .unwrap();
    signed.check(&room.log, Arrival::Live { now, freshness }).map(drop)
}

#[test]
fn a_message_is_taken_once() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    let message = send(&room, 1, NOW, 1);
    assert_eq!(receive(&room, &message, NOW, &mut freshness), Ok(()));
    for later in [0, 1, FRESH_FOR_MS] {
        assert_eq!(receive(&room, &message, NOW + later, &mut freshness), Err(MessageRejection::Replayed));
    }
    let outside = MessageRejection::OutsideWindow(FRESH_FOR_MS + 1);
    assert_eq!(receive(&room, &message, NOW + FRESH_FOR_MS + 1, &mut freshness), Err(outside));
}

#[test]
fn two_senders_may_use_the_same_id() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    assert_eq!(receive(&room, &send(&room, 0, NOW, 1), NOW, &mut freshness), Ok(()));
    assert_eq!(receive(&room, &send(&room, 1, NOW, 1), NOW, &mut freshness), Ok(()));
    assert_eq!(freshness.remembered(), 2);
}

#[test]
fn the_window_is_five_minutes_either_way() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    for (n, time) in [(1, NOW - FRESH_FOR_MS), (2, NOW + FRESH_FOR_MS), (3, NOW)] {
        assert_eq!(receive(&room, &send(&room, 1, time, n), NOW, &mut freshness), Ok(()), "{n}");
    }
    for time in [NOW - FRESH_FOR_MS - 1, NOW + FRESH_FOR_MS + 1] {
        let outside = MessageRejection::OutsideWindow(FRESH_FOR_MS + 1);
        assert_eq!(receive(&room, &send(&room, 1, time, 9), NOW, &mut freshness), Err(outside));
    }
}

#[test]
fn the_window_survives_a_restart() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    let message = send(&room, 1, NOW, 1);
    receive(&room, &message, NOW, &mut freshness).unwrap();
    let stored = serde_json::to_string(&freshness).unwrap();
    let mut read: Freshness = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, freshness);
    assert_eq!(receive(&room, &message, NOW + 1, &mut read), Err(MessageRejection::Replayed));
    assert_eq!(receive(&room, &send(&room, 1, NOW, 2), NOW + 1, &mut read), Ok(()));
}

#[test]
fn a_process_that_forgot_takes_nothing_from_before_its_start() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::starting_at(NOW);
    assert_eq!(
        receive(&room, &send(&room, 1, NOW, 1), NOW + 1, &mut freshness),
        Err(MessageRejection::Replayed)
    );
    assert_eq!(receive(&room, &send(&room, 1, NOW + 1, 2), NOW + 1, &mut freshness), Ok(()));
}

#[test]
fn a_clock_set_back_lets_no_message_in_again() {
    let room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    let message = send(&room, 1, NOW, 1);
    receive(&room, &message, NOW, &mut freshness).unwrap();
    freshness.forget_old(NOW + 86_400_000);
    assert_eq!(freshness.remembered(), 0);
    assert_eq!(receive(&room, &message, NOW, &mut freshness), Err(MessageRejection::Replayed));
    // Nor does it keep out the messages that come now.
    assert_eq!(receive(&room, &send(&room, 1, NOW + 1, 2), NOW, &mut freshness), Ok(()));
}

#[test]
fn a_sender_does_not_go_back_in_the_log() {
    let mut room = Room::of_three(PLAIN);
    let mut freshness = Freshness::new();
    let earlier = send(&room, 1, NOW, 1);
    room.say(0, Op::Update { name: "New".parse().unwrap(), limits: RoomLimits::default() });
    assert_eq!(receive(&room, &send(&room, 1, NOW, 2), NOW, &mut freshness), Ok(()));
    let back = MessageRejection::HeadWentBack { highest: 4, found: 3 };
    assert_eq!(receive(&room, &earlier, NOW, &mut freshness), Err(back));
    // Another sender may be behind.
    let behind =
        Room { log: room_protocol::RoomLog::verify(room.log.entries()[..3].iter().cloned()).unwrap() };
    assert_eq!(receive(&room, &send(&behind, 0, NOW, 3), NOW, &mut freshness), Ok(()));
}

#[test]
fn two_processes_of_one_person_share_what_they_received() {
    let mut room = Room::of_three(PLAIN);
    let (mut one, mut other) = (Freshness::new(), Freshness::new());
    let first = send(&room, 1, NOW, 1);
    receive(&room, &first, NOW, &mut one).unwrap();
    room.say(0, Op::Update { name: "New".parse().unwrap(), limits: RoomLimits::default() });
    let second = send(&room, 1, NOW, 2);
    receive(&room, &second, NOW, &mut other).unwrap();
    one.merge(&other);
    for message in [first, second] {
        assert_eq!(receive(&room, &message, NOW, &mut one), Err(MessageRejection::Replayed));
    }
    assert_eq!(one.remembered(), 2);
    let before = one.clone();
    one.merge(&other);
    one.merge(&Freshness::new());
    assert_eq!(one, before);
}

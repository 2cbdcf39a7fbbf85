//! The bound, the order, and what closing does to what waits.

use std::collections::VecDeque;

use super::*;

fn outbound(max_pending: usize) -> Outbound {
    Outbound::new(1, max_pending, 16, Arc::new(Acl::allow_all()))
}

fn subscription(outbound: &Arc<Outbound>) -> Arc<Subscription> {
    Arc::new(Subscription::new("a".parse().unwrap(), None, b"1", false, Arc::clone(outbound)))
}

fn frame(body: &[u8]) -> MessageFrame<'_> {
    MessageFrame { subject: b"a", reply: None, header_len: 0, body }
}

#[test]
fn wakes_an_idle_writer_once() {
    let outbound = Arc::new(outbound(1000));
    let subscription = subscription(&outbound);
    let mut batch = VecDeque::new();
    assert_eq!(outbound.next(&mut batch), Next::Wait);
    let Delivery::Accepted(first) = outbound.deliver(&subscription, "a", &frame(b"x")) else {
        panic!("refused")
    };
    let Delivery::Accepted(second) = outbound.deliver(&subscription, "a", &frame(b"y")) else {
        panic!("refused")
    };
    assert_eq!((first.wake, second.wake), (true, false));
    assert_eq!(outbound.next(&mut batch), Next::Write);
    assert_eq!(batch, [b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n".to_vec()]);
}

#[test]
fn too_much_drops_the_client_and_what_waits() {
    let outbound = Arc::new(outbound(1000));
    let subscription = subscription(&outbound);
    let body = [b'x'; 400];
    assert!(matches!(outbound.deliver(&subscription, "a", &frame(&body)), Delivery::Accepted(_)));
    // What the writer has taken still counts until it is written.
    let mut batch = VecDeque::new();
    assert_eq!(outbound.next(&mut batch), Next::Write);
    assert!(matches!(outbound.deliver(&subscription, "a", &frame(&body)), Delivery::Accepted(_)));
    assert_eq!(outbound.deliver(&subscription, "a", &frame(&body)), Delivery::Overflow);
    assert_eq!(outbound.closing(), Some(CloseReason::SlowConsumerBytes));
    assert!(outbound.queued_bytes().is_empty());
    assert_eq!(outbound.deliver(&subscription, "a", &frame(b"x")), Delivery::Skipped);
    assert!(outbound.written(1).is_err(), "the writer stops");
}

#[test]
fn finishing_keeps_what_waits_and_discarding_does_not() {
    let finishing = outbound(1000);
    finishing.send(b"PONG\r\n");
    finishing.finish(CloseReason::Stale);
    assert_eq!(finishing.queued_bytes(), b"PONG\r\n-ERR 'Stale Connection'\r\n");
    assert!(!finishing.append(1, |out| out.push(b'x')), "closed");
    finishing.discard(CloseReason::Revoked);
    assert_eq!(finishing.closing(), Some(CloseReason::Stale), "the first reason stays");
    assert!(finishing.queued_bytes().is_empty());
}

#[test]
fn chunks_keep_the_order_over_their_borders() {
    let outbound = Arc::new(outbound(usize::MAX / 2));
    let mut expected = Vec::new();
    for n in 0..40_u8 {
        let piece = vec![n; 9_000 + usize::from(n) * 700];
        expected.extend_from_slice(&piece);
        outbound.send(&piece);
    }
    assert_eq!(outbound.pending(), expected.len());
    let mut batch = VecDeque::new();
    assert_eq!(outbound.next(&mut batch), Next::Write);
    assert!(batch.len() > 3);
    assert_eq!(batch.into_iter().flatten().collect::<Vec<_>>(), expected);
}

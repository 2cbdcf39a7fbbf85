//! The bound, the order, and what closing does to what waits.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
};

use super::*;
use crate::session::write_loop::write_loop;

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
    assert_eq!(outbound.next(&mut batch), Next::Write { within_frame: false });
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
    assert_eq!(outbound.next(&mut batch), Next::Write { within_frame: false });
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
    assert_eq!(outbound.next(&mut batch), Next::Write { within_frame: false });
    assert!(batch.len() > 3);
    assert_eq!(batch.into_iter().flatten().collect::<Vec<_>>(), expected);
}

/// Both ends of a connection: what a client reads from, and what is written to.
async fn sockets() -> (TcpStream, OwnedWriteHalf) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_reader, writer) = listener.accept().await.unwrap().0.into_split();
    writer.writable().await.unwrap();
    (client, writer)
}

#[tokio::test]
async fn little_is_written_at_once_while_the_writer_waits() {
    let (mut client, writer) = sockets().await;
    let outbound = outbound(1000);
    outbound.share(Some(PlainWriter::new(writer)));
    assert_eq!(outbound.next(&mut VecDeque::new()), Next::Wait);
    assert!(outbound.append(6, |out| out.extend_from_slice(b"PONG\r\n")));
    outbound.write_or_wake();
    assert_eq!(outbound.pending(), 0);
    let mut read = [0; 6];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"PONG\r\n");
    assert!(outbound.append(1, |out| out.push(b'x')), "the writer waits again, and would have to be woken");
}

/// A client that reads slowly lets the socket fill up: then what is left is the writer's, and everything is there once and
/// in order.
#[tokio::test]
async fn what_others_write_and_what_the_writer_writes_is_in_order() {
    const NUMBERS: u32 = 300_000;
    let (mut client, writer) = sockets().await;
    let outbound = Arc::new(outbound(usize::MAX / 2));
    let mut writer = PlainWriter::new(writer);
    outbound.share(Some(writer.clone()));
    let publisher = {
        let outbound = Arc::clone(&outbound);
        std::thread::spawn(move || {
            for number in 0..NUMBERS {
                // Many sizes, so that writes end anywhere.
                let piece = number.to_be_bytes().repeat(1 + number as usize % 7);
                if outbound.append(piece.len(), |out| out.extend_from_slice(&piece)) {
                    outbound.write_or_wake();
                }
            }
            outbound.finish(CloseReason::ClientClosed);
        })
    };
    let read = async {
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        read
    };
    let write = write_loop(&mut writer, &outbound, Duration::from_secs(10));
    let (read, ()) = tokio::join!(read, write);
    publisher.join().unwrap();
    let mut rest = read.as_slice();
    for number in 0..NUMBERS {
        let piece = number.to_be_bytes().repeat(1 + number as usize % 7);
        rest = rest
            .strip_prefix(piece.as_slice())
            .unwrap_or_else(|| panic!("{number} is not where it should be"));
    }
    assert!(rest.is_empty());
}

#[tokio::test]
async fn nothing_is_said_after_half_a_frame() {
    let (_client, writer) = sockets().await;
    let outbound = outbound(usize::MAX / 2);
    let writer = PlainWriter::new(writer);
    outbound.share(Some(writer.clone()));
    let frame = vec![b'x'; MAX_DIRECT];
    // Until the socket takes no more.
    let mut batch = VecDeque::new();
    loop {
        assert_eq!(outbound.next(&mut batch), Next::Wait);
        assert!(outbound.append(frame.len(), |out| out.extend_from_slice(&frame)));
        outbound.write_or_wake();
        if outbound.pending() > 0 {
            break;
        }
    }
    let began = outbound.pending() < frame.len();
    outbound.discard(CloseReason::Revoked);
    let next = outbound.next(&mut batch);
    assert_eq!(next, if began { Next::Cut } else { Next::Discarded(CloseReason::Revoked) });
}

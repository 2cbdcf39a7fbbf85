//! What two ends of a line notice of what happens to it.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Direction, Flow, Line};

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is looked whether something arrives that must not.
const LOOK: Duration = Duration::from_millis(100);

struct Ends {
    line: Line,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

async fn ends() -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Line::to(listener.local_addr().unwrap(), 1).await.unwrap();
    let client = TcpStream::connect(line.address()).await.unwrap();
    let (server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    Ends { line, listener, client, server }
}

async fn said(stream: &mut TcpStream) -> u8 {
    timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(LOOK, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn what_is_said_arrives_both_ways_and_the_end_too() {
    let Ends { line: _line, mut client, mut server, .. } = ends().await;
    client.write_u8(1).await.unwrap();
    assert_eq!(said(&mut server).await, 1);
    server.write_u8(2).await.unwrap();
    assert_eq!(said(&mut client).await, 2);
    client.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, server.read(&mut [0])).await.unwrap().unwrap(), 0);
    server.write_u8(3).await.unwrap();
    assert_eq!(said(&mut client).await, 3, "one way may be over before the other");
}

#[tokio::test]
async fn one_way_can_be_held_and_nothing_is_lost() {
    let Ends { line, mut client, mut server, .. } = ends().await;
    line.set(Direction::There, Flow::Hold);
    client.write_u8(1).await.unwrap();
    server.write_u8(2).await.unwrap();
    assert_eq!(said(&mut client).await, 2, "the other way is open");
    assert!(is_silent(&mut server).await);
    line.set_both(Flow::Pass);
    assert_eq!(said(&mut server).await, 1);
}

#[tokio::test]
async fn an_end_that_goes_while_the_line_is_cut_is_heard_of_when_it_is_whole() {
    let Ends { line, listener, client, mut server } = ends().await;
    line.set_both(Flow::Hold);
    drop(client);
    assert!(is_silent(&mut server).await);
    let _unheard = TcpStream::connect(line.address()).await.unwrap();
    assert!(timeout(LOOK, listener.accept()).await.is_err(), "a new connection does not get through");
    line.set_both(Flow::Pass);
    assert!(timeout(PATIENCE, server.read_u8()).await.unwrap().is_err());
    timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_line_delays_and_a_lossy_one_sends_again() {
    let Ends { line, mut client, mut server, .. } = ends().await;
    for flow in [Flow::Slow(Duration::from_millis(150)), Flow::Lossy(1000)] {
        line.set(Direction::There, flow);
        let before = Instant::now();
        client.write_u8(1).await.unwrap();
        assert_eq!(said(&mut server).await, 1);
        assert!(before.elapsed() >= Duration::from_millis(150), "{flow:?}");
    }
    line.set(Direction::There, Flow::Lossy(0));
    client.write_u8(2).await.unwrap();
    assert_eq!(said(&mut server).await, 2);
}

#[tokio::test]
async fn a_reset_closes_what_is_there_and_lets_new_connections_through() {
    let Ends { line, listener, mut client, mut server } = ends().await;
    line.reset();
    assert!(timeout(PATIENCE, client.read_u8()).await.unwrap().is_err());
    assert!(timeout(PATIENCE, server.read_u8()).await.unwrap().is_err());
    let mut again = TcpStream::connect(line.address()).await.unwrap();
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    again.write_u8(7).await.unwrap();
    assert_eq!(said(&mut server).await, 7);
}

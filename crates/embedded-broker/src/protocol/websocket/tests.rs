//! Frames of a client, whole and in pieces, and what must not be taken for one.

use proptest::prelude::*;
use tungstenite::protocol::frame::{
    Frame,
    coding::{Control, Data, OpCode},
};

use super::{WebSocketDecoder, WebSocketError, WebSocketFrame, WebSocketInput};

/// A frame as a client sends it.
fn client(kind: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![kind | if is_final { 0x80 } else { 0 }];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65_536 => {
            frame.push(0xfe);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0xff);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Decodes input in pieces of `size` bytes: the data, the last ping, and the close.
fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, WebSocketInput), WebSocketError> {
    let mut decoder = WebSocketDecoder::new();
    let (mut data, mut all) = (Vec::new(), WebSocketInput::default());
    for piece in input.chunks(size) {
        let mut piece = piece.to_vec();
        let input = decoder.decode(&mut piece)?;
        data.extend_from_slice(&piece[..input.data]);
        all.ping = input.ping.or(all.ping);
        all.close = input.close.or(all.close);
    }
    Ok((data, all))
}

#[test]
fn data_ping_and_close() {
    let input = [
        client(2, true, b"PING\r\n"),
        client(9, true, b"are you there"),
        client(1, true, b"text"),
        client(8, true, &[3, 232]),
    ]
    .concat();
    let (data, rest) = decode(&input, input.len()).unwrap();
    assert_eq!(data, b"PING\r\ntext");
    assert_eq!(rest.ping.as_deref(), Some(&b"are you there"[..]));
    assert_eq!(rest.close, Some(Some(1000)));
}

#[test]
fn nothing_is_read_after_a_close() {
    let input = [client(8, true, b""), client(2, true, b"more")].concat();
    let (data, rest) = decode(&input, input.len()).unwrap();
    assert!(data.is_empty());
    assert_eq!(rest.close, Some(None));
    assert_eq!(decode(&input, 1).unwrap().0, b"");
}

#[test]
fn fragments_with_a_ping_between_them() {
    let input = [
        client(2, false, b"one "),
        client(9, true, b"!"),
        client(0, false, b""),
        client(0, true, b"message"),
    ]
    .concat();
    let (data, rest) = decode(&input, input.len()).unwrap();
    assert_eq!(data, b"one message");
    assert_eq!(rest.ping.as_deref(), Some(&b"!"[..]));
}

#[test]
fn frames_that_end_the_connection() {
    let unmasked = [0x82, 1, b'x'].to_vec();
    let compressed = {
        let mut frame = client(2, true, b"x");
        frame[0] |= 0x40;
        frame
    };
    let cases = [
        (unmasked, WebSocketError::Unmasked),
        (compressed, WebSocketError::Reserved),
        (client(3, true, b""), WebSocketError::Reserved),
        (client(11, true, b""), WebSocketError::Reserved),
        ([&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat(), WebSocketError::Reserved),
        (client(0, true, b"x"), WebSocketError::Fragments),
        ([client(2, false, b"x"), client(2, true, b"y")].concat(), WebSocketError::Fragments),
        (client(9, false, b"x"), WebSocketError::Control),
        (client(9, true, &[0; 126]), WebSocketError::Control),
    ];
    for (input, error) in cases {
        assert_eq!(decode(&input, input.len()), Err(error), "{input:x?}");
        assert_eq!(decode(&input, 1), Err(error), "{input:x?}");
    }
}

#[test]
fn a_frame_larger_than_any_memory_is_a_stream_like_any_other() {
    let mut decoder = WebSocketDecoder::new();
    let mut header = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(decoder.decode(&mut header).unwrap().data, 0);
    assert_eq!(decoder.decode(&mut [7; 100]).unwrap().data, 100);
}

#[test]
fn what_the_server_sends_is_what_others_read() {
    let large = vec![1; 70_000];
    for (frame, opcode, payload) in [
        (WebSocketFrame::Data(b"hello"), OpCode::Data(Data::Binary), &b"hello"[..]),
        (WebSocketFrame::Data(&large), OpCode::Data(Data::Binary), &large),
        (WebSocketFrame::Pong(b"x"), OpCode::Control(Control::Pong), b"x"),
        (WebSocketFrame::Close(Some(1002)), OpCode::Control(Control::Close), &[3, 234]),
        (WebSocketFrame::Close(None), OpCode::Control(Control::Close), b""),
    ] {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let mut other = tungstenite::protocol::frame::FrameSocket::new(std::io::Cursor::new(bytes));
        let read: Frame = other.read(None).unwrap().unwrap();
        assert_eq!((read.header().opcode, read.payload()), (opcode, payload));
        assert!(read.header().is_final && read.header().mask.is_none());
    }
}

proptest! {
    #[test]
    fn however_it_is_cut_the_stream_is_the_same(
        frames in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        size in 1..40_usize,
    ) {
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for (kind, payload) in &frames {
            match kind {
                0 => input.extend(client(9, true, &payload[..payload.len().min(125)])),
                1 => {
                    let (begin, end) = payload.split_at(payload.len() / 2);
                    input.extend([client(1, false, begin), client(10, true, b""), client(0, true, end)].concat());
                    expected.extend_from_slice(payload);
                }
                _ => {
                    input.extend(client(2, true, payload));
                    expected.extend_from_slice(payload);
                }
            }
        }
        let whole = decode(&input, input.len().max(1)).unwrap();
        prop_assert_eq!(&whole.0, &expected);
        prop_assert_eq!(decode(&input, size).unwrap(), whole);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(input in prop::collection::vec(any::<u8>(), 0..200), size in 1..40_usize) {
        prop_assert_eq!(decode(&input, size), decode(&input, input.len().max(1)));
    }
}

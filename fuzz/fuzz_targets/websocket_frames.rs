//! What a browser sends to the embedded broker. However the bytes arrive, they carry the same stream, and no more
//! than was sent.
#![no_main]

use embedded_broker::protocol::{WebSocketDecoder, WebSocketError, WebSocketInput};
use libfuzzer_sys::fuzz_target;

/// The stream inside `input`, the last ping and the close, when it comes in pieces of `size` bytes.
fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, WebSocketInput), WebSocketError> {
    let mut decoder = WebSocketDecoder::new();
    let (mut stream, mut rest) = (Vec::new(), WebSocketInput::default());
    for piece in input.chunks(size) {
        let mut piece = piece.to_vec();
        let input = decoder.decode(&mut piece)?;
        assert!(rest.close.is_none() || input == WebSocketInput::default(), "something after a close");
        stream.extend_from_slice(&piece[..input.data]);
        assert!(input.ping.as_ref().is_none_or(|ping| ping.len() <= 125));
        rest.ping = input.ping.or(rest.ping);
        rest.close = input.close.or(rest.close);
    }
    assert!(stream.len() <= input.len());
    Ok((stream, rest))
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else {
        return;
    };
    let whole = decode(input, input.len().max(1));
    assert_eq!(decode(input, usize::from(*cut) + 1), whole);
    assert_eq!(decode(input, 1), whole);
});

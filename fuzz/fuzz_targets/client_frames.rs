//! What a client sends to the embedded broker. However the bytes arrive, they mean the same, and what is accepted
//! is within the bounds.
#![no_main]

use embedded_broker::protocol::{ClientOp, ConnectRequest, ParseError, Parser, ParserLimits, Step};
use libfuzzer_sys::fuzz_target;

const LIMITS: ParserLimits = ParserLimits { max_control_line: 128, max_payload: 256 };

/// The operations in `input` when it comes in pieces of `size` bytes, and how it ended.
fn parse(input: &[u8], size: usize) -> (Vec<String>, Option<ParseError>) {
    let mut parser = Parser::new(LIMITS);
    parser.allow_headers(true);
    let (mut pending, mut operations) = (Vec::new(), Vec::new());
    for piece in input.chunks(size) {
        pending.extend_from_slice(piece);
        loop {
            match parser.step(&pending) {
                Ok(Step::Op(operation, used)) => {
                    check(&operation);
                    operations.push(format!("{operation:?}"));
                    pending.drain(..used);
                }
                Ok(Step::Incomplete(needed)) => {
                    assert!(needed > pending.len());
                    break;
                }
                Err(error) => return (operations, Some(error)),
            }
        }
    }
    (operations, None)
}

fn check(operation: &ClientOp<'_>) {
    match operation {
        ClientOp::Publish(publish) => {
            assert!(publish.header_len <= publish.body.len());
            assert!(publish.body.len() <= LIMITS.max_payload);
            assert!(!publish.subject.is_empty() && publish.subject.len() <= LIMITS.max_control_line);
        }
        ClientOp::Connect(json) => drop(ConnectRequest::parse(json)),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else {
        return;
    };
    let whole = parse(input, input.len().max(1));
    assert_eq!(parse(input, usize::from(*cut) + 1), whole);
    assert_eq!(parse(input, 1), whole);
});

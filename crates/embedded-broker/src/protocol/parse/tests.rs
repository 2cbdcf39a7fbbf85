//! The parser's outcomes, and that they do not depend on how the bytes arrive.

use proptest::prelude::*;

use super::*;

const LIMITS: ParserLimits = ParserLimits { max_control_line: 64, max_payload: 32 };

/// What a stream of bytes comes to, with everything borrowed made owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Op(String),
    Failed(ParseError),
}

fn parser() -> Parser {
    let mut parser = Parser::new(LIMITS);
    parser.allow_headers(true);
    parser
}

/// Feeds the pieces one after the other, as a socket would.
fn parse(pieces: &[&[u8]]) -> Vec<Outcome> {
    let mut parser = parser();
    let (mut pending, mut outcomes) = (Vec::new(), Vec::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        loop {
            match parser.step(&pending) {
                Ok(Step::Op(op, used)) => {
                    outcomes.push(Outcome::Op(format!("{op:?}")));
                    pending.drain(..used);
                }
                Ok(Step::Incomplete(needed)) => {
                    assert!(needed > pending.len(), "asks for more than is there");
                    break;
                }
                Err(error) => {
                    outcomes.push(Outcome::Failed(error));
                    return outcomes;
                }
            }
        }
    }
    outcomes
}

fn first(input: &[u8]) -> Result<Step<'_>, ParseError> {
    parser().step(input)
}

fn publish<'a>(
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header_len: usize,
    body: &'a [u8],
) -> ClientOp<'a> {
    ClientOp::Publish(Publish { subject, reply, header_len, body })
}

#[test]
fn reads_every_operation() {
    let sub = Subscribe { filter: b"a.*", queue: None, sid: b"1" };
    let cases: [(&[u8], ClientOp<'_>); 14] = [
        (b"CONNECT {\"a\":1}\r\n", ClientOp::Connect(b"{\"a\":1}")),
        (b"CONNECT{}\r\n", ClientOp::Connect(b"{}")),
        (b"PUB a 2\r\nhi\r\n", publish(b"a", None, 0, b"hi")),
        (b"pub\ta \t b  2\nhi\r\n", publish(b"a", Some(b"b"), 0, b"hi")),
        (b"PUB a  0\r\n\r\n", publish(b"a", None, 0, b"")),
        (b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", publish(b"a", None, 12, b"NATS/1.0\r\n\r\nhi")),
        (b"HPUB a b 0 2\r\nhi\r\n", publish(b"a", Some(b"b"), 0, b"hi")),
        (b"SUB a.*  1\r\n", ClientOp::Subscribe(sub)),
        (b"sUb a.* q 1\r\n", ClientOp::Subscribe(Subscribe { queue: Some(b"q"), ..sub })),
        (b"UNSUB 1 \r\n", ClientOp::Unsubscribe(Unsubscribe { sid: b"1", max: None })),
        (b"UNSUB 1 5\r\n", ClientOp::Unsubscribe(Unsubscribe { sid: b"1", max: Some(5) })),
        (b"PINGabc def\r\n", ClientOp::Ping),
        (b"pong\n", ClientOp::Pong),
        (b"+OK\r\n", ClientOp::Ignored),
    ];
    for (input, expected) in cases {
        assert_eq!(first(input), Ok(Step::Op(expected, input.len())), "{}", input.escape_ascii());
    }
}

#[test]
fn refuses_what_nats_server_refuses() {
    use ParseError::{ControlLineTooLong, ErrorFromClient, Malformed, PayloadTooLarge, UnknownOperation};
    let long = [b"SUB ".as_slice(), &[b'a'; 64], b" 1\r\n"].concat();
    let long_without_end = [b"SUB ".as_slice(), &[b'a'; 70]].concat();
    let cases: [(&[u8], ParseError); 20] = [
        (b"X", UnknownOperation),
        (b"PIX", UnknownOperation),
        (b"\r\n", UnknownOperation),
        (b"MSG a 1 0\r\n\r\n", UnknownOperation),
        (b"PUB\r\n", UnknownOperation),
        (b"SUBfoo 1\r\n", UnknownOperation),
        (b"PUB a 2\r\nhix", UnknownOperation),
        (b"PUB a 2\r\nhi\n", UnknownOperation),
        (b"PUB a 2\r\nhi\rx", UnknownOperation),
        (b"PUB a\r\n", Malformed),
        (b"PUB a -1\r\n", Malformed),
        (b"PUB a 1x\r\n", Malformed),
        (b"PUB a 0000000001\r\n", Malformed),
        (b"PUB a b c 1\r\n", Malformed),
        (b"SUB a\r\n", Malformed),
        (b"SUB a b c d\r\n", Malformed),
        (b"HPUB a 3 2\r\n", Malformed),
        (b"UNSUB 1 2 3\r\n", Malformed),
        (b"-ERR 'no'\r\n", ErrorFromClient),
        (b"PUB a 33\r\n", PayloadTooLarge),
    ];
    for (input, expected) in cases {
        assert_eq!(first(input), Err(expected), "{}", input.escape_ascii());
    }
    assert_eq!(first(&long), Err(ControlLineTooLong));
    assert_eq!(first(&long_without_end), Err(ControlLineTooLong));
    let spaces = [b"SUB".as_slice(), &[b' '; 70]].concat();
    assert_eq!(first(&spaces), Err(ControlLineTooLong), "spaces are bounded too");
    assert_eq!(first(&[&spaces, b"a 1\r\n".as_slice()].concat()), Err(ControlLineTooLong));
}

#[test]
fn headers_have_to_be_agreed_on() {
    let mut parser = Parser::new(LIMITS);
    assert_eq!(parser.step(b"HPUB a 0 0\r\n\r\n"), Err(ParseError::Malformed));
}

#[test]
fn connect_comes_first_where_a_login_is_required() {
    let mut parser = Parser::new(LIMITS);
    parser.require_connect(true);
    assert_eq!(parser.step(b"P"), Err(ParseError::ConnectExpected));
    assert!(matches!(parser.step(b"connect {}\r\n"), Ok(Step::Op(ClientOp::Connect(b"{}"), 12))));
}

#[test]
fn says_how_much_a_frame_needs_once_it_knows() {
    assert_eq!(first(b"PUB a 20\r\nhi"), Ok(Step::Incomplete(32)));
    assert_eq!(first(b""), Ok(Step::Incomplete(1)));
    assert_eq!(first(b"PU"), Ok(Step::Incomplete(3)));
}

#[test]
fn a_payload_without_its_crlf_is_refused_at_the_first_wrong_byte() {
    let input = b"HPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi";
    for (more, refused) in [(b"N".as_slice(), true), (b"\rN", true), (b"\n", true), (b"\r", false)] {
        let whole = [input, more].concat();
        let expected = if refused { vec![Outcome::Failed(ParseError::UnknownOperation)] } else { Vec::new() };
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(parse(&[&whole]), expected, "{}", more.escape_ascii());
        assert_eq!(parse(&single), expected, "{}", more.escape_ascii());
        assert_eq!(parse(&[input, more]), expected, "{}", more.escape_ascii());
    }
    // Found by the fuzz target `client_frames`: one byte more than the payload, and the byte is wrong.
    let found = b"HPUB a.b 12 14\r\n84\r\nNATS/1\x07CONN.";
    assert_eq!(parse(&found.chunks(4).collect::<Vec<_>>()), parse(&[found]));
}

/// Bytes that are often nearly a protocol: whole operations, halves of them, and noise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = "[a-z.*>$_ \t]{0,6}";
    let piece = prop_oneof![
        4 => (token, proptest::collection::vec(any::<u8>(), 0..34)).prop_map(|(subject, body)| {
            [format!("PUB s{subject} {}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat()
        }),
        3 => (0..20_usize, proptest::collection::vec(any::<u8>(), 0..30)).prop_map(|(header, body)| {
            [format!("HPUB s r {header} {}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat()
        }),
        3 => token.prop_map(|rest| format!("SUB a{rest} 1\r\n").into_bytes()),
        2 => token.prop_map(|rest| format!("UNSUB 1{rest}\n").into_bytes()),
        2 => Just(b"PING\r\n".to_vec()),
        1 => Just(b"CONNECT {\"verbose\":false}\r\n".to_vec()),
        1 => Just(b"INFO {}\r\n+OK\r\n".to_vec()),
        1 => (55..80_usize, 55..80_usize).prop_map(|(spaces, args)| {
            format!("SUB{}{}\r\n", " ".repeat(spaces), "a".repeat(args)).into_bytes()
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..80),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_operations(
        input in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
        let single: Vec<&[u8]> = input.chunks(1).collect();
        let whole = parse(&[&input]);
        prop_assert_eq!(&parse(&pieces), &whole);
        prop_assert_eq!(&parse(&single), &whole);
    }

    #[test]
    fn no_input_makes_it_panic_or_run_past_the_end(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Step::Op(_, used)) = first(&input) {
            prop_assert!(used <= input.len());
        }
    }
}

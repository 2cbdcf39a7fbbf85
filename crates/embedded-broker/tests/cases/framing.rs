//! How operations are cut out of bytes, and what ends a connection.

use super::{
    Case,
    Step::{Bytes, Closed, Fill, From, Modern, Open, Quiet, Sync, To},
};

const UNKNOWN: &str = "-ERR 'Unknown Protocol Operation'\r\n";

pub(crate) const FRAMING: &[Case] = &[
    Case {
        name: "verbs in any case, bare line feeds, runs of spaces",
        steps: &[
            Quiet("a"),
            To("a", "sub \t f.one   1\npub f.one  2\nhi\r\nUnSub 1 \npInG\n"),
            From("a", "MSG f.one 1 2\r\nhi\r\nPONG\r\n"),
        ],
    },
    Case {
        name: "what follows PING is ignored",
        steps: &[Quiet("a"), To("a", "PINGabc def\r\n"), From("a", "PONG\r\n")],
    },
    Case {
        name: "a carriage return within a line separates",
        steps: &[
            Quiet("a"),
            To("a", "SUB f.cr\r1\r\n"),
            Sync("a"),
            To("a", "PUB f.cr 0\r\n\r\n"),
            From("a", "MSG f.cr 1 0\r\n\r\n"),
        ],
    },
    Case {
        name: "+OK and INFO from a client are ignored",
        steps: &[Quiet("a"), To("a", "+OK\r\nINFO {}\r\n"), Sync("a")],
    },
    Case {
        name: "-ERR from a client ends it",
        steps: &[Quiet("a"), To("a", "-ERR 'x'\r\nPING\r\n"), Closed("a")],
    },
    Case {
        name: "an unknown verb is noticed at its first byte",
        steps: &[Quiet("a"), To("a", "X"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a verb that goes wrong",
        steps: &[Quiet("a"), To("a", "PIX"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "an empty line", steps: &[Quiet("a"), To("a", "\r\n"), From("a", UNKNOWN), Closed("a")] },
    Case {
        name: "MSG is not for clients",
        steps: &[Quiet("a"), To("a", "MSG a 1 0\r\n\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "PUB without anything",
        steps: &[Quiet("a"), To("a", "PUB\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "PUB with a space only", steps: &[Quiet("a"), To("a", "PUB \r\nPING\r\n"), Closed("a")] },
    Case { name: "PUB without a size", steps: &[Quiet("a"), To("a", "PUB foo\r\nPING\r\n"), Closed("a")] },
    Case {
        name: "PUB with a negative size",
        steps: &[Quiet("a"), To("a", "PUB foo -1\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "PUB with a size that is no number",
        steps: &[Quiet("a"), To("a", "PUB foo two\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "PUB with a size of many digits",
        steps: &[Quiet("a"), To("a", "PUB foo 00000000002\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "PUB with four arguments",
        steps: &[Quiet("a"), To("a", "PUB foo bar baz 2\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "a payload that is longer than announced",
        steps: &[Quiet("a"), To("a", "PUB foo 2\r\nhix"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a payload ended by a line feed alone",
        steps: &[Quiet("a"), To("a", "PUB foo 2\r\nhi\nPING\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "SUB with one argument", steps: &[Quiet("a"), To("a", "SUB foo\r\nPING\r\n"), Closed("a")] },
    Case {
        name: "SUB with four arguments",
        steps: &[Quiet("a"), To("a", "SUB foo bar baz 1\r\nPING\r\n"), Closed("a")],
    },
    Case {
        name: "UNSUB without arguments",
        steps: &[Quiet("a"), To("a", "UNSUB \r\nPING\r\n"), Closed("a")],
    },
    Case {
        name: "UNSUB with three arguments",
        steps: &[Quiet("a"), To("a", "UNSUB 1 2 3\r\nPING\r\n"), Closed("a")],
    },
    Case {
        name: "a control line within the bound",
        steps: &[Quiet("a"), To("a", "SUB "), Fill("a", 4092), To("a", " 1\r\n"), Sync("a")],
    },
    Case {
        name: "a control line over the bound",
        steps: &[
            Quiet("a"),
            To("a", "SUB "),
            Fill("a", 4095),
            To("a", " 1\r\n"),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a control line that does not end",
        steps: &[
            Quiet("a"),
            To("a", "SUB "),
            Fill("a", 5000),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a payload over the bound is refused before it is sent",
        steps: &[
            Quiet("a"),
            To("a", "PUB foo 1048577\r\nhi"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "headers count for the bound",
        steps: &[
            Modern("a"),
            To("a", "HPUB foo 12 1048577\r\nNATS/1.0\r\n\r\n"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a message in pieces",
        steps: &[
            Quiet("a"),
            To("a", "SUB f1 1\r\nP"),
            To("a", "U"),
            To("a", "B"),
            To("a", " "),
            To("a", "f1 "),
            To("a", "2"),
            To("a", "\r"),
            To("a", "\n"),
            To("a", "h"),
            To("a", "i"),
            To("a", "\r"),
            To("a", "\n"),
            From("a", "MSG f1 1 2\r\nhi\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "many operations in one piece",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB f2 1\r\nPUB f2 1\r\na\r\nPUB f2 1\r\nb\r\nUNSUB 1\r\nPUB f2 1\r\nc\r\nPING\r\nPING\r\n",
            ),
            From("a", "MSG f2 1 1\r\na\r\nMSG f2 1 1\r\nb\r\nPONG\r\nPONG\r\n"),
        ],
    },
    Case {
        name: "a payload of nothing",
        steps: &[
            Quiet("a"),
            To("a", "SUB f3 1\r\nPUB f3 0\r\n\r\n"),
            From("a", "MSG f3 1 0\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a payload that looks like the protocol",
        steps: &[
            Quiet("a"),
            To("a", "SUB f4 1\r\nPUB f4 20\r\nPUB f4 1\r\nx\r\n\r\nPING\r\n"),
            From("a", UNKNOWN),
            Closed("a"),
        ],
    },
    Case {
        name: "a payload with a zero byte",
        steps: &[
            Quiet("a"),
            To("a", "SUB f5 1\r\nPUB f5 3\r\na\u{0}b\r\n"),
            From("a", "MSG f5 1 3\r\na\u{0}b\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "tabs between arguments",
        steps: &[
            Quiet("a"),
            To("a", "SUB\tf6\t1\r\nPUB\tf6\t\t1\r\nx\r\n"),
            From("a", "MSG f6 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "spaces behind the size",
        steps: &[
            Quiet("a"),
            To("a", "SUB f7 1  \r\nPUB f7 1 \t \r\nx\r\n"),
            From("a", "MSG f7 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an empty reply between two spaces",
        steps: &[
            Quiet("a"),
            To("a", "SUB f8  1\r\nPUB f8  1\r\nx\r\n"),
            From("a", "MSG f8 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbs in mixed case with payload and headers",
        steps: &[
            Modern("a"),
            To("a", "sUb f9 1\r\nhPuB f9 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            From("a", "HMSG f9 1 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "PING and PONG with bare line feeds",
        steps: &[Quiet("a"), To("a", "PONG\nping\n"), From("a", "PONG\r\n")],
    },
    Case {
        name: "what follows PONG and +OK is ignored",
        steps: &[Quiet("a"), To("a", "PONGabc\r\n+OK then\r\n+ok\r\n"), Sync("a")],
    },
    Case {
        name: "a space before the verb",
        steps: &[Quiet("a"), To("a", " PING\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a plus that does not become OK",
        steps: &[Quiet("a"), To("a", "+NO\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a minus that does not become ERR",
        steps: &[Quiet("a"), To("a", "-OOPS\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "-err in small letters", steps: &[Quiet("a"), To("a", "-err 'x'\r\n"), Closed("a")] },
    Case {
        name: "-ERR without a text",
        steps: &[Quiet("a"), To("a", "-ERR\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "INFO without anything", steps: &[Quiet("a"), To("a", "INFO\r\n"), Closed("a")] },
    Case {
        name: "INFO with something that is no JSON",
        steps: &[Quiet("a"), To("a", "INFO x\r\n"), Closed("a")],
    },
    Case {
        name: "SUB without anything",
        steps: &[Quiet("a"), To("a", "SUB\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "UNSUB without anything",
        steps: &[Quiet("a"), To("a", "UNSUB\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "UNSUB without a space",
        steps: &[Quiet("a"), To("a", "UNSUB1\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "HPUB without anything",
        steps: &[Modern("a"), To("a", "HPUB\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a verb that goes on",
        steps: &[Quiet("a"), To("a", "PUBX f 1\r\nx\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "SUBSCRIBE is not SUB",
        steps: &[Quiet("a"), To("a", "SUBSCRIBE f 1\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "HELLO is no verb",
        steps: &[Quiet("a"), To("a", "HELLO\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "HMSG is not for clients",
        steps: &[
            Modern("a"),
            To("a", "HMSG f 1 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            From("a", UNKNOWN),
            Closed("a"),
        ],
    },
    Case {
        name: "a web browser",
        steps: &[Open("a"), To("a", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "TLS where there is none",
        steps: &[
            Open("a"),
            Bytes("a", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            From("a", UNKNOWN),
            Closed("a"),
        ],
    },
    Case { name: "a zero byte", steps: &[Open("a"), To("a", "\u{0}"), From("a", UNKNOWN), Closed("a")] },
    Case {
        name: "RS+ is not for clients",
        steps: &[Quiet("a"), To("a", "RS+ $G f\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "A+ is not for clients",
        steps: &[Quiet("a"), To("a", "A+ x\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case { name: "a size with a plus", steps: &[Quiet("a"), To("a", "PUB f +2\r\nhi\r\n"), Closed("a")] },
    Case { name: "a size in hexadecimal", steps: &[Quiet("a"), To("a", "PUB f 0x2\r\nhi\r\n"), Closed("a")] },
    Case {
        name: "a size with a fraction",
        steps: &[Quiet("a"), To("a", "PUB f 2.0\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "PUB with a reply and no size",
        steps: &[Quiet("a"), To("a", "PUB f reply\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "a payload of nothing with something in it",
        steps: &[Quiet("a"), To("a", "PUB f 0\r\nx\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a payload that is shorter than announced",
        steps: &[Quiet("a"), To("a", "PUB f 5\r\nhi\r\nPING\r\n"), From("a", UNKNOWN), Closed("a")],
    },
    Case {
        name: "a control line exactly at the bound",
        steps: &[Quiet("a"), To("a", "SUB "), Fill("a", 4094), To("a", " 1\r\n"), Sync("a")],
    },
    Case {
        name: "a PUB line over the bound",
        steps: &[
            Quiet("a"),
            To("a", "PUB "),
            Fill("a", 4100),
            To("a", " 1\r\nx\r\n"),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an UNSUB line over the bound",
        steps: &[
            Quiet("a"),
            To("a", "UNSUB "),
            Fill("a", 4100),
            To("a", "\r\n"),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a line feed within a subscription id ends it",
        steps: &[Quiet("a"), To("a", "SUB f10 1\n2\r\n"), From("a", UNKNOWN), Closed("a")],
    },
];

//! CONNECT and the greeting, on a server without login.

use super::{
    Case,
    Step::{Bytes, Closed, Fill, From, Greets, Info, Modern, Open, Quiet, Sync, To},
};

pub(crate) const CONNECT: &[Case] = &[
    Case {
        name: "connect is optional, and a client that does not send it is verbose",
        steps: &[
            Open("a"),
            To("a", "PING\r\nSUB no.connect 1\r\nPUB no.connect 2\r\nhi\r\n"),
            From("a", "PONG\r\n+OK\r\n+OK\r\nMSG no.connect 1 2\r\nhi\r\n"),
        ],
    },
    Case {
        name: "verbose answers every operation but PING",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {}\r\nSUB v.foo 1\r\nSUB v.bar 1\r\nPUB v.foo 2\r\nhi\r\nUNSUB 1 5\r\nUNSUB 9\r\nPING\r\n",
            ),
            From("a", "+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG v.foo 1 2\r\nhi\r\n+OK\r\n+OK\r\nPONG\r\n"),
        ],
    },
    Case {
        name: "a second INFO follows the first PONG, once",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\nPING\r\n"),
            From("a", "PONG\r\n"),
            Info("a", "\"connect_info\":true,\"remote_account\":\"$G\""),
            From("a", "PONG\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a PING before CONNECT does not use up the second INFO",
        steps: &[
            Open("a"),
            To("a", "PING\r\n"),
            From("a", "PONG\r\n"),
            To("a", "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n"),
            From("a", "PONG\r\n"),
            Info("a", "connect_info"),
        ],
    },
    Case {
        name: "protocol 0 gets no second INFO",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false,\"protocol\":0}\r\n"), Sync("a"), Sync("a")],
    },
    Case {
        name: "an unknown protocol version is refused",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"protocol\":2}\r\nPING\r\n"),
            From("a", "-ERR 'invalid client protocol'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "no responders needs headers",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"no_responders\":true}\r\nPING\r\n"),
            From("a", "-ERR 'no responders requires headers support'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "there are no accounts to choose from",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"account\":\"x\"}\r\nPING\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "credentials nobody asked for are ignored",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"user\":\"x\",\"pass\":\"y\",\"jwt\":\"z\",\"nkey\":null}\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a second CONNECT is laid over the first and drops the subscriptions",
        steps: &[
            Modern("a"),
            To("a", "SUB again.foo 1\r\n"),
            Sync("a"),
            To("a", "CONNECT {\"verbose\":true}\r\n"),
            From("a", "+OK\r\n"),
            To("a", "PUB again.foo 2\r\nhi\r\nHPUB again.foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n"),
            From("a", "+OK\r\n+OK\r\nPONG\r\n"),
        ],
    },
    Case {
        name: "CONNECT needs no space",
        steps: &[Open("a"), To("a", "CONNECT{}\r\nPING\r\n"), From("a", "+OK\r\nPONG\r\n")],
    },
    Case {
        name: "CONNECT null is an empty CONNECT",
        steps: &[Open("a"), To("a", "CONNECT null\r\nPING\r\n"), From("a", "+OK\r\nPONG\r\n")],
    },
    Case {
        name: "names in CONNECT are matched in any case, and the last one counts",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":true,\"VERBOSE\":true,\"Verbose\":false}\r\nPING\r\n"),
            From("a", "PONG\r\n"),
        ],
    },
    Case {
        name: "CONNECT with bytes that are no UTF-8",
        steps: &[Open("a"), Bytes("a", b"CONNECT {\"verbose\":false,\"name\":\"\xff\"}\r\n"), Sync("a")],
    },
    Case {
        name: "CONNECT with broken JSON",
        steps: &[Open("a"), To("a", "CONNECT {bad\r\nPING\r\n"), Closed("a")],
    },
    Case { name: "CONNECT with nothing", steps: &[Open("a"), To("a", "CONNECT \r\nPING\r\n"), Closed("a")] },
    Case { name: "CONNECT with a list", steps: &[Open("a"), To("a", "CONNECT []\r\nPING\r\n"), Closed("a")] },
    Case {
        name: "CONNECT with a wrong type",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":\"yes\"}\r\nPING\r\n"), Closed("a")],
    },
    Case {
        name: "null leaves a default as it is",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":null,\"pedantic\":null,\"echo\":null,\"headers\":null,\"no_responders\":null,\"protocol\":null}\r\nSUB c1.a 1\r\nPUB c1.a 1\r\nx\r\n",
            ),
            From("a", "+OK\r\n+OK\r\n+OK\r\nMSG c1.a 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "everything a client library sends, most of it null",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"user_jwt\":null,\"jwt\":null,\"nkey\":null,\"sig\":null,\"name\":null,\"lang\":\"rust\",\"version\":\"0.51.0\",\"protocol\":1,\"tls_required\":false,\"user\":null,\"pass\":null,\"auth_token\":null,\"headers\":true,\"no_responders\":true,\"echo\":true}\r\nPING\r\n",
            ),
            From("a", "PONG\r\n"),
            Info("a", "connect_info"),
        ],
    },
    Case {
        name: "unknown fields in CONNECT are ignored",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"what\":[1,{\"a\":null}],\"\":7}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a negative protocol version",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"protocol\":-1}\r\n"),
            From("a", "-ERR 'invalid client protocol'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a protocol version that is no whole number",
        steps: &[Open("a"), To("a", "CONNECT {\"protocol\":1.5}\r\n"), Closed("a")],
    },
    Case {
        name: "a protocol version as a text",
        steps: &[Open("a"), To("a", "CONNECT {\"protocol\":\"1\"}\r\n"), Closed("a")],
    },
    Case {
        name: "a flag that is a number",
        steps: &[Open("a"), To("a", "CONNECT {\"echo\":1}\r\n"), Closed("a")],
    },
    Case {
        name: "a name that is a number",
        steps: &[Open("a"), To("a", "CONNECT {\"name\":7}\r\n"), Closed("a")],
    },
    Case {
        name: "a name of any text",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"name\":\"a \\\"b\\\" \\u0000 é\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "text behind the JSON of CONNECT",
        steps: &[Open("a"), To("a", "CONNECT {} x\r\n"), Closed("a")],
    },
    Case {
        name: "spaces and tabs around the JSON of CONNECT",
        steps: &[Open("a"), To("a", "connect \t {\"verbose\":false} \t \r\n"), Sync("a")],
    },
    Case {
        name: "CONNECT in pieces",
        steps: &[
            Open("a"),
            To("a", "CONN"),
            To("a", "ECT {\"verb"),
            To("a", "ose\":false}"),
            To("a", "\r"),
            To("a", "\n"),
            Sync("a"),
        ],
    },
    Case { name: "CONNECT with a text", steps: &[Open("a"), To("a", "CONNECT \"x\"\r\n"), Closed("a")] },
    Case { name: "CONNECT with a number", steps: &[Open("a"), To("a", "CONNECT 1\r\n"), Closed("a")] },
    Case {
        name: "CONNECT without an end",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false\r\n"), Closed("a")],
    },
    Case {
        name: "CONNECT that asks for TLS where there is none",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false,\"tls_required\":true}\r\n"), Sync("a")],
    },
    Case {
        name: "an empty account is no account",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false,\"account\":\"\"}\r\n"), Sync("a")],
    },
    Case {
        name: "a signature nobody asked for",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"nkey\":\"bad\",\"sig\":\"bad\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a token nobody asked for",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false,\"auth_token\":\"bad\"}\r\n"), Sync("a")],
    },
    Case {
        name: "CONNECT longer than a control line",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"name\":\""),
            Fill("a", 4200),
            To("a", "\"}\r\n"),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "CONNECT of nearly a control line",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"name\":\""),
            Fill("a", 4000),
            To("a", "\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT ends verbose",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "CONNECT {\"verbose\":true}\r\nSUB c2.a 1\r\nCONNECT {\"verbose\":false}\r\nSUB c2.a 1\r\n",
            ),
            From("a", "+OK\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT keeps what it does not name",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"echo\":false}\r\nCONNECT {\"pedantic\":false}\r\nSUB c3.a 1\r\nPUB c3.a 1\r\nx\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT may ask for no responders when an earlier one had headers",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"headers\":true}\r\nCONNECT {\"no_responders\":true}\r\nSUB c4.in 1\r\nPUB c4.a c4.in 1\r\nx\r\n",
            ),
            From("a", "HMSG c4.in 1 36 36\r\nNATS/1.0 503\r\nNats-Subject: c4.a\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT may give up headers",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"headers\":true}\r\nCONNECT {\"headers\":false}\r\nHPUB c5 12 12\r\nNATS/1.0\r\n\r\n\r\n",
            ),
            Closed("a"),
        ],
    },
    Case {
        name: "a later CONNECT cannot give up headers alone",
        steps: &[
            Modern("a"),
            To("a", "CONNECT {\"headers\":false}\r\n"),
            From("a", "-ERR 'no responders requires headers support'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a later CONNECT with broken JSON",
        steps: &[Quiet("a"), To("a", "CONNECT {\r\n"), Closed("a")],
    },
    Case {
        name: "a later CONNECT with an unknown protocol version",
        steps: &[
            Quiet("a"),
            To("a", "CONNECT {\"protocol\":9}\r\n"),
            From("a", "-ERR 'invalid client protocol'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "the subscriptions of an earlier CONNECT can be made again",
        steps: &[
            Quiet("a"),
            To("a", "SUB c6.a 1\r\nCONNECT {}\r\nSUB c6.b 1\r\nPUB c6.a 1\r\nx\r\nPUB c6.b 1\r\ny\r\n"),
            From("a", "MSG c6.b 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose answers HPUB",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"headers\":true}\r\nHPUB c7 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            From("a", "+OK\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose and an invalid filter",
        steps: &[
            Open("a"),
            To("a", "CONNECT {}\r\nSUB c8..x 1\r\nSUB c8.y 2\r\n"),
            From("a", "+OK\r\n-ERR 'Invalid Subject'\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose does not answer PONG",
        steps: &[Open("a"), To("a", "CONNECT {}\r\nPONG\r\nPONG\r\n"), From("a", "+OK\r\n"), Sync("a")],
    },
    Case {
        name: "verbose and no responders",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":true,\"headers\":true,\"no_responders\":true}\r\nSUB c9.in 1\r\nPUB c9.a c9.in 0\r\n\r\n",
            ),
            From(
                "a",
                "+OK\r\n+OK\r\n+OK\r\nHMSG c9.in 1 36 36\r\nNATS/1.0 503\r\nNats-Subject: c9.a\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic is the default",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false}\r\nPUB c10..a 1\r\nx\r\nPUB c10.* 1\r\nx\r\n"),
            From("a", "-ERR 'Invalid Publish Subject'\r\n-ERR 'Invalid Publish Subject'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose and an invalid subject",
        steps: &[
            Open("a"),
            To("a", "PUB c11..a 1\r\nx\r\nPUB c11 1\r\nx\r\n"),
            From("a", "-ERR 'Invalid Publish Subject'\r\n+OK\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "the greeting of a server without login",
        steps: &[
            Open("a"),
            Greets("a", "\"proto\":1"),
            Greets("a", "\"headers\":true"),
            Greets("a", "\"max_payload\":1048576"),
            Greets("a", "\"version\":\"2.15.1\""),
            Sync("a"),
        ],
    },
];

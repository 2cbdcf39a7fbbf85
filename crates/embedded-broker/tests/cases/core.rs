//! The protocol itself, on a server with default settings and without login.

use super::{
    Case,
    Step::{Bytes, Closed, Fill, From, Info, Modern, Open, Quiet, Sync, To},
};

const UNKNOWN: &str = "-ERR 'Unknown Protocol Operation'\r\n";

pub(crate) const CORE: &[Case] = &[
    // Connecting.
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
    // Framing.
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
    // Headers.
    Case {
        name: "headers arrive",
        steps: &[
            Modern("a"),
            To("a", "SUB h.one 1\r\nHPUB h.one in 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
            From("a", "HMSG h.one 1 in 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
        ],
    },
    Case {
        name: "headers are not checked",
        steps: &[
            Modern("a"),
            To("a", "SUB h.two 1\r\nHPUB h.two 3 5\r\nxyzhi\r\n"),
            From("a", "HMSG h.two 1 3 5\r\nxyzhi\r\n"),
        ],
    },
    Case {
        name: "an empty header block makes a plain message",
        steps: &[
            Modern("a"),
            To("a", "SUB h.three 1\r\nHPUB h.three 0 2\r\nhi\r\n"),
            From("a", "MSG h.three 1 2\r\nhi\r\n"),
        ],
    },
    Case {
        name: "a client without headers gets the payload alone",
        steps: &[
            Quiet("a"),
            Modern("b"),
            To("a", "SUB h.four 1\r\n"),
            Sync("a"),
            To("b", "HPUB h.four 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
            From("a", "MSG h.four 1 2\r\nhi\r\n"),
        ],
    },
    Case {
        name: "HPUB without headers in CONNECT",
        steps: &[Quiet("a"), To("a", "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with a header longer than everything",
        steps: &[Modern("a"), To("a", "HPUB foo 3 2\r\nhi\r\n"), Closed("a")],
    },
    // Subjects.
    Case {
        name: "one token",
        steps: &[
            Quiet("a"),
            To("a", "SUB w1.*.c 1\r\nPUB w1.b.c 1\r\nx\r\nPUB w1.b 1\r\ny\r\nPUB w1.b.c.d 1\r\nz\r\n"),
            From("a", "MSG w1.b.c 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "one or more tokens",
        steps: &[
            Quiet("a"),
            To("a", "SUB w2.> 1\r\nPUB w2.b.c 1\r\nx\r\nPUB w2 1\r\ny\r\nPUB w2.b 1\r\nz\r\n"),
            From("a", "MSG w2.b.c 1 1\r\nx\r\nMSG w2.b 1 1\r\nz\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a wildcard is a whole token",
        steps: &[
            Quiet("a"),
            To("a", "SUB lit*eral 1\r\nPUB lit*eral 1\r\nx\r\nPUB litteral 1\r\ny\r\n"),
            From("a", "MSG lit*eral 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "invalid filters",
        steps: &[
            Quiet("a"),
            To("a", "SUB inv..x 1\r\nSUB .inv 2\r\nSUB inv. 3\r\nSUB >.inv 4\r\n"),
            From(
                "a",
                "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "publishing to nowhere",
        steps: &[
            Quiet("a"),
            To("a", "SUB > 1\r\nPUB now..here 1\r\nx\r\nPUB . 1\r\ny\r\nPUB .foo 1\r\nz\r\nUNSUB 1\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "wildcards in a published subject are literal",
        steps: &[
            Quiet("a"),
            To("a", "SUB lw.* 1\r\nSUB lw.one 2\r\nPUB lw.* 1\r\nx\r\n"),
            From("a", "MSG lw.* 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic complains and delivers",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"pedantic\":true}\r\nSUB ped.> 1\r\nPUB ped.* 1\r\nx\r\nPUB ped..x 1\r\ny\r\n",
            ),
            From(
                "a",
                "-ERR 'Invalid Publish Subject'\r\nMSG ped.* 1 1\r\nx\r\n-ERR 'Invalid Publish Subject'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved subjects",
        steps: &[
            Quiet("a"),
            To("a", "PUB _GR_.x 1\r\nx\r\nPUB $NRG.x 1\r\ny\r\nPUB _GR_ 1\r\nz\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n-ERR 'Permissions Violation for Publish to \"$NRG.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved replies",
        steps: &[
            Quiet("a"),
            To("a", "PUB rr $JS.ACK.x 1\r\nx\r\nPUB rr _R_.x 1\r\ny\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish with Reply of \"$JS.ACK.x\"'\r\n-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a reserved queue",
        steps: &[
            Quiet("a"),
            To("a", "SUB rq _sys_ 1\r\n"),
            From("a", "-ERR 'Permissions Violation for Subscription to \"rq\" using queue \"_sys_\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "other people's prefixes are plain subjects",
        steps: &[
            Quiet("a"),
            To("a", "SUB $JS.x 1\r\nSUB _INBOX.x 2\r\nPUB $JS.x 1\r\nx\r\nPUB _INBOX.x 1\r\ny\r\n"),
            From("a", "MSG $JS.x 1 1\r\nx\r\nMSG _INBOX.x 2 1\r\ny\r\n"),
        ],
    },
    // Subscriptions.
    Case {
        name: "a subscription id used twice: the first stays",
        steps: &[
            Quiet("a"),
            To("a", "SUB twice.a 1\r\nSUB twice.b 1\r\nPUB twice.b 1\r\nx\r\nPUB twice.a 1\r\ny\r\n"),
            From("a", "MSG twice.a 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a subscription id is any word",
        steps: &[
            Quiet("a"),
            To("a", "SUB sid.x a-b.c\r\nPUB sid.x 1\r\nx\r\n"),
            From("a", "MSG sid.x a-b.c 1\r\nx\r\n"),
        ],
    },
    Case {
        name: "UNSUB after so many",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB max.a 1\r\nUNSUB 1 2\r\nPUB max.a 1\r\nx\r\nPUB max.a 1\r\ny\r\nPUB max.a 1\r\nz\r\n",
            ),
            From("a", "MSG max.a 1 1\r\nx\r\nMSG max.a 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB after so many counts from SUB on",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.b 1\r\nPUB max.b 1\r\nx\r\nUNSUB 1 1\r\nPUB max.b 1\r\ny\r\n"),
            From("a", "MSG max.b 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB with what is no number is UNSUB now",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.c 1\r\nUNSUB 1 x\r\nSUB max.c 2\r\nUNSUB 2 0\r\nPUB max.c 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an id can be used again after its maximum",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.d 1\r\nUNSUB 1 1\r\nPUB max.d 1\r\nx\r\n"),
            From("a", "MSG max.d 1 1\r\nx\r\n"),
            Sync("a"),
            To("a", "SUB max.e 1\r\nPUB max.e 1\r\ny\r\n"),
            From("a", "MSG max.e 1 1\r\ny\r\n"),
        ],
    },
    Case {
        name: "a maximum reached by the messages of somebody else",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB max.f 1\r\nUNSUB 1 1\r\n"),
            Sync("a"),
            To("b", "PUB max.f 1\r\nx\r\nPUB max.f 1\r\ny\r\n"),
            Sync("b"),
            From("a", "MSG max.f 1 1\r\nx\r\n"),
            To("a", "SUB max.g 1\r\n"),
            Sync("a"),
            To("b", "PUB max.g 1\r\nz\r\n"),
            From("a", "MSG max.g 1 1\r\nz\r\n"),
        ],
    },
    Case {
        name: "UNSUB of what is not there",
        steps: &[Quiet("a"), To("a", "UNSUB 7\r\nUNSUB 7 3\r\n"), Sync("a")],
    },
    Case {
        name: "no echo",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB echo.x 1\r\nSUB echo.x q 2\r\n"),
            Sync("a"),
            Quiet("b"),
            To("a", "PUB echo.x 1\r\nx\r\n"),
            Sync("a"),
            To("b", "SUB echo.x 3\r\nPUB echo.x 1\r\ny\r\n"),
            From("b", "MSG echo.x 3 1\r\ny\r\n"),
        ],
    },
    // Queue groups.
    Case {
        name: "a queue group gets one, plain subscriptions each get one",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB queue.x g 1\r\n"),
            Sync("a"),
            To("b", "SUB queue.x 2\r\nPUB queue.x 1\r\nx\r\n"),
            From("b", "MSG queue.x 2 1\r\nx\r\n"),
            From("a", "MSG queue.x 1 1\r\nx\r\n"),
            Sync("a"),
            Sync("b"),
        ],
    },
    // Requests.
    Case {
        name: "request and reply",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("b", "SUB svc.add 9\r\n"),
            Sync("b"),
            To("a", "SUB in.a 1\r\nPUB svc.add in.a 3\r\n1+1\r\n"),
            From("b", "MSG svc.add 9 in.a 3\r\n1+1\r\n"),
            To("b", "PUB in.a 1\r\n2\r\n"),
            From("a", "MSG in.a 1 1\r\n2\r\n"),
        ],
    },
    Case {
        name: "nobody answers",
        steps: &[
            Modern("a"),
            To("a", "SUB nr.in.* 1\r\nPUB nr.foo nr.in.x 2\r\nhi\r\n"),
            From("a", "HMSG nr.in.x 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nr.foo\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nobody answers, and nobody listens for that",
        steps: &[
            Modern("a"),
            To("a", "SUB nr2.in q 1\r\nPUB nr2.foo nr2.in 2\r\nhi\r\nPUB nr2.foo nr2.other 2\r\nhi\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nobody answers a client that did not ask to know",
        steps: &[Quiet("a"), To("a", "SUB nr3.in 1\r\nPUB nr3.foo nr3.in 2\r\nhi\r\n"), Sync("a")],
    },
    Case {
        name: "no responders does not count for a maximum",
        steps: &[
            Modern("a"),
            To("a", "SUB nr4.in 1\r\nUNSUB 1 1\r\nPUB nr4.foo nr4.in 0\r\n\r\nPUB nr4.foo nr4.in 0\r\n\r\n"),
            From(
                "a",
                "HMSG nr4.in 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: nr4.foo\r\n\r\n\r\nHMSG nr4.in 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: nr4.foo\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "one's own subscription without echo is nobody",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"echo\":false,\"headers\":true,\"no_responders\":true}\r\nSUB nr5.foo 1\r\nSUB nr5.in 2\r\nPUB nr5.foo nr5.in 2\r\nhi\r\n",
            ),
            From("a", "HMSG nr5.in 2 39 39\r\nNATS/1.0 503\r\nNats-Subject: nr5.foo\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
];

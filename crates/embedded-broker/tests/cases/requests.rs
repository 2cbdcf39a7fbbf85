//! Requests, answers and 503.

use super::{
    Case,
    Step::{From, Modern, Open, Quiet, Sync, To},
};

pub(crate) const REQUESTS: &[Case] = &[
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
    Case {
        name: "nobody answers a request with headers",
        steps: &[
            Modern("a"),
            To("a", "SUB r1.in 1\r\nHPUB r1 r1.in 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            From("a", "HMSG r1.in 1 34 34\r\nNATS/1.0 503\r\nNats-Subject: r1\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a member of a group answers",
        steps: &[
            Modern("a"),
            Quiet("b"),
            To("b", "SUB r2 g 1\r\n"),
            Sync("b"),
            To("a", "SUB r2.in 1\r\nPUB r2 r2.in 1\r\nx\r\n"),
            Sync("a"),
            From("b", "MSG r2 1 r2.in 1\r\nx\r\n"),
            Sync("b"),
        ],
    },
    Case {
        name: "no responders needs a reply",
        steps: &[Modern("a"), To("a", "SUB r3.> 1\r\nPUB other.r3 1\r\nx\r\n"), Sync("a")],
    },
    Case {
        name: "no responders for a client with headers that did not ask to know",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB r4.in 1\r\nPUB r4 r4.in 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nobody answers any more",
        steps: &[
            Modern("a"),
            To("a", "SUB r5 1\r\nSUB r5.in 2\r\nPUB r5 r5.in 1\r\nx\r\nUNSUB 1\r\nPUB r5 r5.in 1\r\ny\r\n"),
            From(
                "a",
                "MSG r5 1 r5.in 1\r\nx\r\nHMSG r5.in 2 34 34\r\nNATS/1.0 503\r\nNats-Subject: r5\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "nobody answers after a maximum",
        steps: &[
            Modern("a"),
            To("a", "SUB r6 1\r\nUNSUB 1 1\r\nSUB r6.in 2\r\nPUB r6 r6.in 1\r\nx\r\nPUB r6 r6.in 1\r\ny\r\n"),
            From(
                "a",
                "MSG r6 1 r6.in 1\r\nx\r\nHMSG r6.in 2 34 34\r\nNATS/1.0 503\r\nNats-Subject: r6\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "nobody listens for somebody else's requests",
        steps: &[
            Modern("a"),
            Modern("b"),
            To("b", "SUB r7.in 1\r\n"),
            Sync("b"),
            To("a", "PUB r7 r7.in 1\r\nx\r\n"),
            Sync("a"),
            Sync("b"),
        ],
    },
    Case {
        name: "a subscription to everything hears of it",
        steps: &[
            Modern("a"),
            To("a", "SUB _INBOX.r8.> 1\r\nPUB r8.a _INBOX.r8.x.y 1\r\nx\r\n"),
            From("a", "HMSG _INBOX.r8.x.y 1 36 36\r\nNATS/1.0 503\r\nNats-Subject: r8.a\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a request to an invalid subject",
        steps: &[
            Modern("a"),
            To("a", "SUB r9.in 1\r\nPUB r9..x r9.in 1\r\nx\r\n"),
            From("a", "HMSG r9.in 1 37 37\r\nNATS/1.0 503\r\nNats-Subject: r9..x\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a request to a subject with wildcards",
        steps: &[
            Modern("a"),
            To("a", "SUB r10.in 1\r\nPUB r10.*.x r10.in 1\r\nx\r\n"),
            From("a", "HMSG r10.in 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: r10.*.x\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a request to a reserved subject",
        steps: &[
            Modern("a"),
            To("a", "SUB r11.in 1\r\nPUB _GR_.r11 r11.in 1\r\nx\r\n"),
            From("a", "-ERR 'Permissions Violation for Publish to \"_GR_.r11\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "JetStream that is not there",
        steps: &[
            Modern("a"),
            To(
                "a",
                "SUB r12.in 1\r\nPUB $JS.API.INFO r12.in 0\r\n\r\nPUB $JS.API.CONSUMER.MSG.NEXT.S.C r12.in 0\r\n\r\n",
            ),
            From(
                "a",
                "HMSG r12.in 1 44 44\r\nNATS/1.0 503\r\nNats-Subject: $JS.API.INFO\r\n\r\n\r\nHMSG r12.in 1 61 61\r\nNATS/1.0 503\r\nNats-Subject: $JS.API.CONSUMER.MSG.NEXT.S.C\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a request for the state of the server",
        steps: &[
            Modern("a"),
            To("a", "SUB r13.in 1\r\nPUB $SYS.REQ.SERVER.PING r13.in 0\r\n\r\n"),
            From(
                "a",
                "HMSG r13.in 1 52 52\r\nNATS/1.0 503\r\nNats-Subject: $SYS.REQ.SERVER.PING\r\n\r\n\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "an answer with headers",
        steps: &[
            Modern("a"),
            Modern("b"),
            To("b", "SUB r14 1\r\n"),
            Sync("b"),
            To("a", "SUB r14.in.* 1\r\nPUB r14 r14.in.7 1\r\n?\r\n"),
            From("b", "MSG r14 1 r14.in.7 1\r\n?\r\n"),
            To("b", "HPUB r14.in.7 17 18\r\nNATS/1.0\r\nA:b\r\n\r\n!\r\n"),
            Sync("b"),
            From("a", "HMSG r14.in.7 1 17 18\r\nNATS/1.0\r\nA:b\r\n\r\n!\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "the first answer of several ends a request with a maximum",
        steps: &[
            Modern("a"),
            Quiet("b"),
            Quiet("d"),
            To("b", "SUB r15 1\r\n"),
            Sync("b"),
            To("a", "SUB r15.in 1\r\nUNSUB 1 1\r\nPUB r15 r15.in 1\r\n?\r\n"),
            From("b", "MSG r15 1 r15.in 1\r\n?\r\n"),
            Sync("b"),
            To("b", "PUB r15.in 1\r\nb\r\n"),
            Sync("b"),
            To("d", "PUB r15.in 1\r\nd\r\n"),
            Sync("d"),
            From("a", "MSG r15.in 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "no responders and the reply's own queue and plain subscription",
        steps: &[
            Modern("a"),
            To("a", "SUB r16.in g 1\r\nSUB r16.in 2\r\nPUB r16 r16.in 1\r\nx\r\n"),
            From("a", "HMSG r16.in 2 35 35\r\nNATS/1.0 503\r\nNats-Subject: r16\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
];

//! Bounds that are set: payload 64, control line 128, 2 subscriptions of 4 tokens, 3 connections.

use super::{
    Case,
    Step::{Closed, Fill, From, Greets, Modern, Open, Quiet, Sync, To},
};

pub(crate) const LIMITS: &[Case] = &[
    Case {
        name: "payload at the bound and over it",
        steps: &[
            Quiet("a"),
            To("a", "SUB l 1\r\nPUB l 64\r\n"),
            Fill("a", 64),
            To("a", "\r\n"),
            From("a", "MSG l 1 64\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
            To("a", "PUB l 65\r\n"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "subscriptions over the bound are refused one by one",
        steps: &[
            Quiet("a"),
            To("a", "SUB l.a 1\r\nSUB l.b 2\r\nSUB l.c 3\r\n"),
            From("a", "-ERR 'maximum subscriptions exceeded'\r\n"),
            Sync("a"),
            To("a", "UNSUB 1\r\nSUB l.c 3\r\nPUB l.c 1\r\nx\r\n"),
            From("a", "MSG l.c 3 1\r\nx\r\n"),
        ],
    },
    Case {
        name: "filters with too many tokens",
        steps: &[
            Quiet("a"),
            To("a", "SUB a.b.c.d 1\r\nSUB a.b.c.d.e 2\r\nSUB a.*.c.d.> 3\r\nSUB a.b.c.d.e q 4\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"a.b.c.d.e\", too many tokens'\r\n-ERR 'Permissions Violation for Subscription to \"a.*.c.d.>\", too many tokens'\r\n-ERR 'Permissions Violation for Subscription to \"a.b.c.d.e\", too many tokens'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a control line over the bound",
        steps: &[
            Quiet("a"),
            To("a", "SUB "),
            Fill("a", 200),
            From("a", "-ERR 'maximum control line exceeded'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "connections over the bound are told so",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            Quiet("c"),
            Open("d"),
            From("d", "-ERR 'maximum connections exceeded'\r\n"),
            Closed("d"),
            Sync("a"),
        ],
    },
    Case {
        name: "a message with headers at the bound",
        steps: &[
            Modern("a"),
            To("a", "SUB lh 1\r\nHPUB lh 12 64\r\nNATS/1.0\r\n\r\n"),
            Fill("a", 52),
            To("a", "\r\n"),
            From(
                "a",
                "HMSG lh 1 12 64\r\nNATS/1.0\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a message with headers over the bound",
        steps: &[
            Modern("a"),
            To("a", "HPUB lh 12 65\r\nNATS/1.0\r\n\r\n"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a payload over the bound with a reply",
        steps: &[
            Quiet("a"),
            To("a", "PUB lp in 65\r\n"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a size far over the bound",
        steps: &[
            Quiet("a"),
            To("a", "PUB lp 999999999\r\n"),
            From("a", "-ERR 'Maximum Payload Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a subscription id used twice takes one place",
        steps: &[Quiet("a"), To("a", "SUB ld.a 1\r\nSUB ld.b 1\r\nSUB ld.c 2\r\n"), Sync("a")],
    },
    Case {
        name: "members of a group take places too",
        steps: &[
            Quiet("a"),
            To("a", "SUB lq g 1\r\nSUB lq g 2\r\nSUB lq g 3\r\n"),
            From("a", "-ERR 'maximum subscriptions exceeded'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a place is free again after a maximum",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB lm.a 1\r\nSUB lm.b 2\r\nUNSUB 1 1\r\nPUB lm.a 1\r\nx\r\nSUB lm.c 3\r\nPUB lm.c 1\r\ny\r\n",
            ),
            From("a", "MSG lm.a 1 1\r\nx\r\nMSG lm.c 3 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "places are per connection",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB lo.a 1\r\nSUB lo.b 2\r\n"),
            Sync("a"),
            To("b", "SUB lo.a 1\r\nSUB lo.b 2\r\n"),
            Sync("b"),
        ],
    },
    Case {
        name: "a later CONNECT gives the places back",
        steps: &[Quiet("a"), To("a", "SUB lc.a 1\r\nSUB lc.b 2\r\nCONNECT {}\r\nSUB lc.c 3\r\n"), Sync("a")],
    },
    Case {
        name: "verbose and a subscription over the bound",
        steps: &[
            Open("a"),
            To("a", "SUB le.a 1\r\nSUB le.b 2\r\nSUB le.c 3\r\n"),
            From("a", "+OK\r\n+OK\r\n-ERR 'maximum subscriptions exceeded'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "subjects may have more tokens than filters",
        steps: &[
            Quiet("a"),
            To("a", "SUB lt.> 1\r\nPUB lt.b.c.d.e.f 1\r\nx\r\n"),
            From("a", "MSG lt.b.c.d.e.f 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "the greeting tells the bound",
        steps: &[Open("a"), Greets("a", "\"max_payload\":64"), Sync("a")],
    },
];

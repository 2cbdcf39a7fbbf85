//! Bounds that are set. `differential.rs` starts both servers with: payload 64, control line 128, 2 subscriptions
//! of 4 tokens, 3 connections.

use super::{
    Case,
    Step::{Closed, Fill, From, Open, Quiet, Sync, To},
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
];

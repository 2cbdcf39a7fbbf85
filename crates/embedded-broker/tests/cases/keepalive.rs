//! PINGs of the server, every 200 ms, of which one may stay unanswered.

use super::{
    Case,
    Step::{Closed, From, Info, Open, Quiet, ShowPings, Sync, To},
};

pub(crate) const KEEPALIVE: &[Case] = &[
    Case {
        name: "a client that does not answer is told that it is stale",
        steps: &[Quiet("a"), ShowPings("a"), From("a", "PING\r\n-ERR 'Stale Connection'\r\n"), Closed("a")],
    },
    Case {
        name: "an answer is enough",
        steps: &[
            Quiet("a"),
            ShowPings("a"),
            From("a", "PING\r\n"),
            To("a", "PONG\r\n"),
            From("a", "PING\r\n"),
            To("a", "PONG\r\n"),
            From("a", "PING\r\n-ERR 'Stale Connection'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a client that never sent CONNECT is asked too",
        steps: &[Open("a"), ShowPings("a"), From("a", "PING\r\n-ERR 'Stale Connection'\r\n"), Closed("a")],
    },
    Case {
        name: "the first PONG of a client brings no INFO",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"protocol\":1}\r\n"),
            ShowPings("a"),
            From("a", "PING\r\n"),
            To("a", "PONG\r\nPING\r\n"),
            From("a", "PONG\r\n"),
            Info("a", "connect_info"),
        ],
    },
    Case { name: "somebody who answers in passing stays", steps: &[Quiet("a"), Sync("a"), Sync("a")] },
];

//! Permissions, with users that both servers know.

use super::{
    Case,
    Step::{Closed, From, Open, Sync, To, User as As},
};
use crate::support::users::User;

/// The users of [`PERMISSIONS`].
pub(crate) fn users() -> Vec<(&'static str, User)> {
    vec![
        ("root", User::default()),
        (
            "alice",
            User {
                publish: Some(vec!["foo.>", "bar"]),
                publish_deny: vec!["foo.secret"],
                subscribe: Some(vec!["foo.>", "_INBOX.alice.>"]),
                subscribe_deny: vec!["foo.secret"],
                ..User::default()
            },
        ),
        ("worker", User { subscribe: Some(vec!["jobs v1", "logs", "multi *.prod"]), ..User::default() }),
        (
            "denied",
            User { subscribe_deny: vec!["no.>", "work bad"], publish_deny: vec!["no.*"], ..User::default() },
        ),
        ("service", User { subscribe: Some(vec!["svc"]), responses: Some(1), ..User::default() }),
        (
            "mute",
            User { publish: Some(vec!["nowhere"]), subscribe: Some(vec!["nowhere"]), ..User::default() },
        ),
    ]
}

pub(crate) const PERMISSIONS: &[Case] = &[
    Case {
        name: "publish within and outside the allow list",
        steps: &[
            As("r", "root"),
            To("r", "SUB > 1\r\n"),
            Sync("r"),
            As("a", "alice"),
            To(
                "a",
                "PUB foo.x 1\r\nx\r\nPUB other 1\r\ny\r\nPUB foo.secret 1\r\nz\r\nPUB foo 1\r\nz\r\nPUB bar 1\r\nw\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"other\"'\r\n-ERR 'Permissions Violation for Publish to \"foo.secret\"'\r\n-ERR 'Permissions Violation for Publish to \"foo\"'\r\n",
            ),
            Sync("a"),
            From("r", "MSG foo.x 1 1\r\nx\r\nMSG bar 1 1\r\nw\r\n"),
            Sync("r"),
        ],
    },
    Case {
        name: "a refused request gets no 503",
        steps: &[
            As("a", "alice"),
            To("a", "SUB _INBOX.alice.1 1\r\nPUB other _INBOX.alice.1 1\r\nx\r\n"),
            From("a", "-ERR 'Permissions Violation for Publish to \"other\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an allowed request to nobody gets 503",
        steps: &[
            As("a", "alice"),
            To("a", "SUB _INBOX.alice.1 1\r\nPUB foo.x _INBOX.alice.1 1\r\nx\r\n"),
            From("a", "HMSG _INBOX.alice.1 1 37 37\r\nNATS/1.0 503\r\nNats-Subject: foo.x\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "subscribe wider than what is allowed, and to what is denied",
        steps: &[
            As("a", "alice"),
            To("a", "SUB > 1\r\nSUB bar 2\r\nSUB foo.secret 3\r\nSUB bar q 4\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \">\"'\r\n-ERR 'Permissions Violation for Subscription to \"bar\"'\r\n-ERR 'Permissions Violation for Subscription to \"foo.secret\"'\r\n-ERR 'Permissions Violation for Subscription to \"bar\" using queue \"q\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a subscription wider than a deny is filtered at delivery",
        steps: &[
            As("a", "alice"),
            To("a", "SUB foo.> 1\r\n"),
            Sync("a"),
            As("r", "root"),
            To("r", "PUB foo.secret 1\r\nx\r\nPUB foo.open 1\r\ny\r\n"),
            Sync("r"),
            From("a", "MSG foo.open 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a filtered message was received by nobody",
        steps: &[
            As("a", "alice"),
            To("a", "SUB foo.> 1\r\n"),
            Sync("a"),
            As("r", "root"),
            To("r", "SUB rin 9\r\nPUB foo.secret rin 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a queue in an allow rule means this queue only",
        steps: &[
            As("w", "worker"),
            To(
                "w",
                "SUB jobs v1 1\r\nSUB jobs 2\r\nSUB jobs v2 3\r\nSUB logs 4\r\nSUB logs any 5\r\nSUB multi eu.prod 6\r\nSUB multi eu.test 7\r\n",
            ),
            From(
                "w",
                "-ERR 'Permissions Violation for Subscription to \"jobs\"'\r\n-ERR 'Permissions Violation for Subscription to \"jobs\" using queue \"v2\"'\r\n-ERR 'Permissions Violation for Subscription to \"multi\" using queue \"eu.test\"'\r\n",
            ),
            Sync("w"),
        ],
    },
    Case {
        name: "deny alone leaves everything else",
        steps: &[
            As("d", "denied"),
            To(
                "d",
                "SUB no.x 1\r\nSUB work bad 2\r\nSUB work good 3\r\nPUB no.x 1\r\nx\r\nPUB no.x.y 1\r\ny\r\nPUB yes 1\r\nz\r\n",
            ),
            From(
                "d",
                "-ERR 'Permissions Violation for Subscription to \"no.x\"'\r\n-ERR 'Permissions Violation for Subscription to \"work\" using queue \"bad\"'\r\n-ERR 'Permissions Violation for Publish to \"no.x\"'\r\n",
            ),
            Sync("d"),
        ],
    },
    Case {
        name: "one response to a request that was received",
        steps: &[
            As("s", "service"),
            To("s", "SUB svc 1\r\nPUB rin 1\r\nx\r\n"),
            From("s", "-ERR 'Permissions Violation for Publish to \"rin\"'\r\n"),
            Sync("s"),
            As("r", "root"),
            To("r", "SUB rin 1\r\nPUB svc rin 1\r\n?\r\n"),
            From("s", "MSG svc 1 rin 1\r\n?\r\n"),
            To("s", "PUB rin 1\r\n!\r\n"),
            Sync("s"),
            From("r", "MSG rin 1 1\r\n!\r\n"),
            To("s", "PUB rin 1\r\n!\r\n"),
            From("s", "-ERR 'Permissions Violation for Publish to \"rin\"'\r\n"),
            Sync("s"),
        ],
    },
    Case {
        name: "what is not allowed is refused",
        steps: &[
            As("m", "mute"),
            To("m", "SUB foo 1\r\nPUB foo 1\r\nx\r\n"),
            From(
                "m",
                "-ERR 'Permissions Violation for Subscription to \"foo\"'\r\n-ERR 'Permissions Violation for Publish to \"foo\"'\r\n",
            ),
            Sync("m"),
        ],
    },
    Case {
        name: "wrong password",
        steps: &[
            Open("x"),
            To("x", "CONNECT {\"user\":\"root\",\"pass\":\"no\"}\r\n"),
            From("x", "-ERR 'Authorization Violation'\r\n"),
            Closed("x"),
        ],
    },
    Case {
        name: "unknown user",
        steps: &[
            Open("x"),
            To("x", "CONNECT {\"user\":\"who\",\"pass\":\"pw\"}\r\n"),
            From("x", "-ERR 'Authorization Violation'\r\n"),
            Closed("x"),
        ],
    },
    Case {
        name: "no credentials",
        steps: &[
            Open("x"),
            To("x", "CONNECT {}\r\n"),
            From("x", "-ERR 'Authorization Violation'\r\n"),
            Closed("x"),
        ],
    },
    Case {
        name: "something else before CONNECT",
        steps: &[
            Open("x"),
            To("x", "PING\r\n"),
            From("x", "-ERR 'Authorization Violation'\r\n"),
            Closed("x"),
        ],
    },
    Case {
        name: "nothing at all",
        steps: &[Open("x"), From("x", "-ERR 'Authentication Timeout'\r\n"), Closed("x")],
    },
];

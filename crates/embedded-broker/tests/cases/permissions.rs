//! Permissions, with users that both servers know.

use super::{
    Case,
    Step::{Closed, From, Sync, To, User as As},
};
use crate::support::users::User;

/// The users of [`PERMISSIONS`], of the cases about responses and of the cases about logins.
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
        (
            "middle",
            User {
                publish: Some(vec!["m.*.end", "m.all.>"]),
                subscribe: Some(vec!["m.*.end", "m.all.>", "m.q.> g.>"]),
                ..User::default()
            },
        ),
        (
            "holes",
            User {
                publish_deny: vec!["*.private", "hole.>"],
                subscribe_deny: vec!["*.private", "hole.deep.> bad.*"],
                ..User::default()
            },
        ),
        (
            "star",
            User {
                subscribe: Some(vec!["d8.yes.*", "d8.no.>"]),
                subscribe_deny: vec!["d8.no.*"],
                ..User::default()
            },
        ),
        (
            "twice",
            User {
                publish: Some(vec!["t.own"]),
                subscribe: Some(vec!["t.>"]),
                responses: Some(2),
                ..User::default()
            },
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
        name: "a wildcard in the middle of what may be published",
        steps: &[
            As("r", "root"),
            To("r", "SUB m.> 1\r\n"),
            Sync("r"),
            As("a", "middle"),
            To(
                "a",
                "PUB m.x.end 1\r\na\r\nPUB m.x.y.end 1\r\nb\r\nPUB m.end 1\r\nc\r\nPUB m.x.other 1\r\nd\r\nPUB m.all.a.b 1\r\ne\r\nPUB m.all 1\r\nf\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"m.x.y.end\"'\r\n-ERR 'Permissions Violation for Publish to \"m.end\"'\r\n-ERR 'Permissions Violation for Publish to \"m.x.other\"'\r\n-ERR 'Permissions Violation for Publish to \"m.all\"'\r\n",
            ),
            Sync("a"),
            From("r", "MSG m.x.end 1 1\r\na\r\nMSG m.all.a.b 1 1\r\ne\r\n"),
            Sync("r"),
        ],
    },
    Case {
        name: "a filter as wide as a rule, narrower and wider",
        steps: &[
            As("a", "middle"),
            To(
                "a",
                "SUB m.*.end 1\r\nSUB m.x.end 2\r\nSUB m.*.* 3\r\nSUB m.> 4\r\nSUB m.all.> 5\r\nSUB m.all.*.> 6\r\nSUB m.all 7\r\nSUB *.x.end 8\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"m.*.*\"'\r\n-ERR 'Permissions Violation for Subscription to \"m.>\"'\r\n-ERR 'Permissions Violation for Subscription to \"m.all\"'\r\n-ERR 'Permissions Violation for Subscription to \"*.x.end\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "publishing a wildcard within and outside the allow list",
        steps: &[
            As("r", "root"),
            To("r", "SUB m.> 1\r\n"),
            Sync("r"),
            As("a", "middle"),
            To("a", "PUB m.*.end 1\r\na\r\nPUB m.all.> 1\r\nb\r\nPUB m.> 1\r\nc\r\nPUB *.x.end 1\r\nd\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"m.>\"'\r\n-ERR 'Permissions Violation for Publish to \"*.x.end\"'\r\n",
            ),
            Sync("a"),
            From("r", "MSG m.*.end 1 1\r\na\r\nMSG m.all.> 1 1\r\nb\r\n"),
            Sync("r"),
        ],
    },
    Case {
        name: "a rule for groups with wildcards on both sides",
        steps: &[
            As("a", "middle"),
            To(
                "a",
                "SUB m.q.a g.x 1\r\nSUB m.q.a g.x.y 2\r\nSUB m.q.> g.x 3\r\nSUB m.q.a g 4\r\nSUB m.q.a h.x 5\r\nSUB m.q.a 6\r\nSUB m.q g.x 7\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"m.q.a\" using queue \"g\"'\r\n-ERR 'Permissions Violation for Subscription to \"m.q.a\" using queue \"h.x\"'\r\n-ERR 'Permissions Violation for Subscription to \"m.q.a\"'\r\n-ERR 'Permissions Violation for Subscription to \"m.q\" using queue \"g.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a rule without a group allows every group",
        steps: &[
            As("a", "middle"),
            To("a", "SUB m.x.end any 1\r\nSUB m.all.> any 2\r\nSUB m.> any 3\r\n"),
            From("a", "-ERR 'Permissions Violation for Subscription to \"m.>\" using queue \"any\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "denied for publishing, wildcards included",
        steps: &[
            As("r", "root"),
            To("r", "SUB *.private 1\r\nSUB hole.> 2\r\n"),
            Sync("r"),
            As("a", "holes"),
            To(
                "a",
                "PUB x.private 1\r\na\r\nPUB hole.x 1\r\nb\r\nPUB hole 1\r\nc\r\nPUB x.private.y 1\r\nd\r\nPUB *.private 1\r\ne\r\nPUB hole.> 1\r\nf\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"x.private\"'\r\n-ERR 'Permissions Violation for Publish to \"hole.x\"'\r\n-ERR 'Permissions Violation for Publish to \"*.private\"'\r\n-ERR 'Permissions Violation for Publish to \"hole.>\"'\r\n",
            ),
            Sync("a"),
            Sync("r"),
        ],
    },
    Case {
        name: "denied for subscribing and wider than that",
        steps: &[
            As("a", "holes"),
            To("a", "SUB x.private 1\r\nSUB *.private 2\r\nSUB x.* 3\r\nSUB > 4\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"x.private\"'\r\n-ERR 'Permissions Violation for Subscription to \"*.private\"'\r\n",
            ),
            Sync("a"),
            As("r", "root"),
            To("r", "PUB x.private 1\r\na\r\nUNSUB 9\r\n"),
            Sync("r"),
            To("a", "UNSUB 4\r\n"),
            Sync("a"),
            To("r", "PUB x.private 1\r\nb\r\nPUB x.public 1\r\nc\r\n"),
            Sync("r"),
            From("a", "MSG x.public 3 1\r\nc\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a denied group, and others beside it",
        steps: &[
            As("a", "holes"),
            To(
                "a",
                "SUB hole.deep.x bad.one 1\r\nSUB hole.deep.x good.one 2\r\nSUB hole.deep.x 3\r\nSUB hole.deep bad.one 4\r\nSUB hole.deep.> bad.two 5\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"hole.deep.x\" using queue \"bad.one\"'\r\n-ERR 'Permissions Violation for Subscription to \"hole.deep.>\" using queue \"bad.two\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a group wider than a denied group is filtered",
        steps: &[
            As("a", "holes"),
            To("a", "SUB hole.> bad.one 1\r\n"),
            Sync("a"),
            As("r", "root"),
            To("r", "PUB hole.deep.x 1\r\na\r\nPUB hole.flat 1\r\nb\r\n"),
            Sync("r"),
            From("a", "MSG hole.flat 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a denied group leaves a plain filter alone",
        steps: &[
            As("a", "holes"),
            To("a", "SUB hole.> 1\r\n"),
            Sync("a"),
            As("r", "root"),
            To("r", "PUB hole.deep.x 1\r\na\r\n"),
            Sync("r"),
            From("a", "MSG hole.deep.x 1 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a filtered member of a group does not use up the message",
        steps: &[
            As("a", "alice"),
            As("r", "root"),
            To("a", "SUB foo.> crew 1\r\n"),
            Sync("a"),
            To("r", "SUB foo.* crew 1\r\n"),
            Sync("r"),
            To(
                "r",
                "PUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\nPUB foo.secret 1\r\nx\r\n",
            ),
            From(
                "r",
                "MSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\nMSG foo.secret 1 1\r\nx\r\n",
            ),
            Sync("r"),
            Sync("a"),
        ],
    },
    Case {
        name: "a filter of one token that meets a denied subject",
        steps: &[
            As("a", "alice"),
            To("a", "SUB foo.* 1\r\n"),
            Sync("a"),
            As("r", "root"),
            To("r", "PUB foo.secret 1\r\nx\r\nPUB foo.open 1\r\ny\r\n"),
            Sync("r"),
            From("a", "MSG foo.open 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "the reply of an allowed message is not looked at",
        steps: &[
            As("r", "root"),
            To("r", "SUB foo.r 1\r\n"),
            Sync("r"),
            As("a", "alice"),
            To("a", "PUB foo.r other.reply 1\r\nx\r\nPUB foo.r foo.secret 1\r\ny\r\n"),
            Sync("a"),
            From("r", "MSG foo.r 1 other.reply 1\r\nx\r\nMSG foo.r 1 foo.secret 1\r\ny\r\n"),
            Sync("r"),
        ],
    },
    Case {
        name: "a refused publish with headers",
        steps: &[
            As("a", "alice"),
            To("a", "HPUB other 12 12\r\nNATS/1.0\r\n\r\n\r\nHPUB other in 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"other\"'\r\n-ERR 'Permissions Violation for Publish to \"other\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose and a refused publish",
        steps: &[
            As("a", "alice"),
            To("a", "CONNECT {\"verbose\":true,\"user\":\"alice\",\"pass\":\"pw\"}\r\n"),
            To("a", "PUB other 1\r\nx\r\nPUB foo.a 1\r\ny\r\n"),
            From("a", "+OK\r\n-ERR 'Permissions Violation for Publish to \"other\"'\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose and a refused subscription",
        steps: &[
            As("a", "alice"),
            To("a", "CONNECT {\"verbose\":true,\"user\":\"alice\",\"pass\":\"pw\"}\r\n"),
            To("a", "SUB other 1\r\nSUB foo.a 2\r\n"),
            From("a", "+OK\r\n-ERR 'Permissions Violation for Subscription to \"other\"'\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic and a refused publish",
        steps: &[
            As("a", "alice"),
            To("a", "CONNECT {\"pedantic\":true,\"user\":\"alice\",\"pass\":\"pw\"}\r\n"),
            To("a", "PUB other..x 1\r\nx\r\nPUB foo..x 1\r\ny\r\nPUB other.* 1\r\nz\r\n"),
            From(
                "a",
                "-ERR 'Invalid Publish Subject'\r\n-ERR 'Permissions Violation for Publish to \"other..x\"'\r\n-ERR 'Invalid Publish Subject'\r\n-ERR 'Permissions Violation for Publish to \"foo..x\"'\r\n-ERR 'Invalid Publish Subject'\r\n-ERR 'Permissions Violation for Publish to \"other.*\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a refused subscription does not take its id",
        steps: &[
            As("a", "alice"),
            To("a", "SUB other 1\r\nSUB foo.id 1\r\nUNSUB 1 1\r\nPUB foo.id 1\r\nx\r\nPUB foo.id 1\r\ny\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Subscription to \"other\"'\r\nMSG foo.id 1 1\r\nx\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB of a refused subscription",
        steps: &[
            As("a", "alice"),
            To("a", "SUB other 1\r\nUNSUB 1\r\nUNSUB 1 3\r\n"),
            From("a", "-ERR 'Permissions Violation for Subscription to \"other\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved subjects are refused to everybody",
        steps: &[
            As("a", "root"),
            To("a", "PUB _GR_.p 1\r\nx\r\nPUB root.p $JS.ACK.p 1\r\nx\r\nSUB root.p _sys_ 1\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"_GR_.p\"'\r\n-ERR 'Permissions Violation for Publish with Reply of \"$JS.ACK.p\"'\r\n-ERR 'Permissions Violation for Subscription to \"root.p\" using queue \"_sys_\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT as somebody else",
        steps: &[
            As("a", "root"),
            To("a", "SUB sw.a 1\r\n"),
            To("a", "CONNECT {\"verbose\":false,\"user\":\"mute\",\"pass\":\"pw\"}\r\n"),
            To("a", "PUB sw.a 1\r\nx\r\nSUB sw.a 1\r\nSUB nowhere 2\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"sw.a\"'\r\n-ERR 'Permissions Violation for Subscription to \"sw.a\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT with a wrong password",
        steps: &[
            As("a", "root"),
            To("a", "CONNECT {\"verbose\":false,\"user\":\"mute\",\"pass\":\"no\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
];

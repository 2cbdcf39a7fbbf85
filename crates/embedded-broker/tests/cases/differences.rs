//! Where this broker may answer differently from nats-server, and why: the one list of it. The table in
//! `docs/embedded-broker.md` is this list; a test compares them. Whatever shows on the wire has a case here, which
//! also makes sure that the difference still exists.

use super::{
    Setup,
    Step::{self, Begins, Bytes, Closed, Fill, From, Modern, Quiet, Sync, To, User as As},
};

/// One row of the table.
pub(crate) struct Difference {
    pub(crate) what: &'static str,
    pub(crate) here: &'static str,
    pub(crate) there: &'static str,
    pub(crate) why: &'static str,
    pub(crate) cases: &'static [Different],
}

/// A case with two answers.
pub(crate) struct Different {
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    pub(crate) here: &'static [Step],
    pub(crate) there: &'static [Step],
}

/// Members of nats-server's INFO that are not sent here. No client library decides anything by them.
pub(crate) const INFO_NOT_SENT: &[&str] = &["git_commit", "xkey", "tls_verify", "api_lvl"];

const INVALID: &str = "-ERR 'Invalid Subject'\r\n";

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "subject that is no UTF-8",
        here: "refused: `Invalid Subject`, `Invalid Publish Subject`",
        there: "passed on as bytes",
        why: "every client library wants text, and permissions are decided on text",
        cases: &[
            Different {
                name: "a filter that is no UTF-8",
                setup: Setup::Open,
                here: &[Quiet("a"), Bytes("a", b"SUB d1.\xff 1\r\n"), From("a", INVALID), Sync("a")],
                there: &[Quiet("a"), Bytes("a", b"SUB d1.\xff 1\r\n"), Sync("a")],
            },
            Different {
                name: "a published subject that is no UTF-8",
                setup: Setup::Open,
                here: &[
                    Quiet("a"),
                    Bytes("a", b"PUB d1.\xff 1\r\nx\r\n"),
                    From("a", "-ERR 'Invalid Publish Subject'\r\n"),
                    Sync("a"),
                ],
                there: &[Quiet("a"), Bytes("a", b"PUB d1.\xff 1\r\nx\r\n"), Sync("a")],
            },
        ],
    },
    Difference {
        what: "subject with a control character or Unicode white space in a SUB",
        here: "`Invalid Subject`",
        there: "accepted",
        why: "cannot be told apart when shown",
        cases: &[
            Different {
                name: "a control character in a filter",
                setup: Setup::Open,
                here: &[Quiet("a"), To("a", "SUB d2.\u{1} 1\r\n"), From("a", INVALID), Sync("a")],
                there: &[Quiet("a"), To("a", "SUB d2.\u{1} 1\r\n"), Sync("a")],
            },
            Different {
                name: "a no-break space in a filter",
                setup: Setup::Open,
                here: &[Quiet("a"), To("a", "SUB d2.\u{a0} 1\r\n"), From("a", INVALID), Sync("a")],
                there: &[Quiet("a"), To("a", "SUB d2.\u{a0} 1\r\n"), Sync("a")],
            },
        ],
    },
    Difference {
        what: "invalid filter of a client that may not, or may no longer, subscribe",
        here: "`Invalid Subject`",
        there: "permissions violation, or `maximum subscriptions exceeded`",
        why: "what is no filter is refused before rights and bounds are looked at; either way it is refused",
        cases: &[
            Different {
                name: "an invalid filter outside the allow list",
                setup: Setup::Users,
                here: &[As("a", "alice"), To("a", "SUB other..x 1\r\n"), From("a", INVALID), Sync("a")],
                there: &[
                    As("a", "alice"),
                    To("a", "SUB other..x 1\r\n"),
                    From("a", "-ERR 'Permissions Violation for Subscription to \"other..x\"'\r\n"),
                    Sync("a"),
                ],
            },
            Different {
                name: "an invalid filter over the bound",
                setup: Setup::Limits,
                here: &[
                    Quiet("a"),
                    To("a", "SUB d3.a 1\r\nSUB d3.b 2\r\nSUB d3..c 3\r\n"),
                    From("a", INVALID),
                    Sync("a"),
                ],
                there: &[
                    Quiet("a"),
                    To("a", "SUB d3.a 1\r\nSUB d3.b 2\r\nSUB d3..c 3\r\n"),
                    From("a", "-ERR 'maximum subscriptions exceeded'\r\n"),
                    Sync("a"),
                ],
            },
        ],
    },
    Difference {
        what: "subscribing to `a.>` by a user with a rule about `a.*`",
        here: "refused where `a.*` is allowed, since it is wider; filtered where it is denied",
        there: "accepted where `a.*` is allowed, and receives `a.b.c`; refused where it is denied",
        why: "a rule must not let more through than it says",
        cases: &[
            Different {
                name: "wider than an allowed star",
                setup: Setup::Users,
                here: &[
                    As("a", "star"),
                    To("a", "SUB d8.yes.> 1\r\n"),
                    From("a", "-ERR 'Permissions Violation for Subscription to \"d8.yes.>\"'\r\n"),
                    Sync("a"),
                ],
                there: &[
                    As("a", "star"),
                    To("a", "SUB d8.yes.> 1\r\n"),
                    Sync("a"),
                    As("r", "root"),
                    To("r", "PUB d8.yes.b.c 1\r\nx\r\n"),
                    Sync("r"),
                    From("a", "MSG d8.yes.b.c 1 1\r\nx\r\n"),
                ],
            },
            Different {
                name: "wider than a denied star",
                setup: Setup::Users,
                here: &[
                    As("a", "star"),
                    To("a", "SUB d8.no.> 1\r\n"),
                    Sync("a"),
                    As("r", "root"),
                    To("r", "PUB d8.no.b 1\r\nx\r\nPUB d8.no.b.c 1\r\ny\r\n"),
                    Sync("r"),
                    From("a", "MSG d8.no.b.c 1 1\r\ny\r\n"),
                    Sync("a"),
                ],
                there: &[
                    As("a", "star"),
                    To("a", "SUB d8.no.> 1\r\n"),
                    From("a", "-ERR 'Permissions Violation for Subscription to \"d8.no.>\"'\r\n"),
                    Sync("a"),
                ],
            },
        ],
    },
    Difference {
        what: "subject with an empty token, published by a user with a deny list and no allow list, or one that allows `>`",
        here: "permissions violation with a deny list; accepted where everything is allowed",
        there: "accepted with a deny list; permissions violation with an allow list",
        why: "what is not everything is a list of rules, and none matches it; it reaches nobody either way",
        cases: &[Different {
            name: "an empty token and a deny list",
            setup: Setup::Users,
            here: &[
                As("a", "denied"),
                To("a", "PUB d7..x 1\r\nx\r\n"),
                From("a", "-ERR 'Permissions Violation for Publish to \"d7..x\"'\r\n"),
                Sync("a"),
            ],
            there: &[As("a", "denied"), To("a", "PUB d7..x 1\r\nx\r\n"), Sync("a")],
        }],
    },
    Difference {
        what: "size with leading zeros",
        here: "delivered as the number it is",
        there: "delivered as it was typed",
        why: "no client writes it, and every client reads a number",
        cases: &[Different {
            name: "a size with leading zeros",
            setup: Setup::Open,
            here: &[
                Quiet("a"),
                To("a", "SUB d4 1\r\nPUB d4 0002\r\nhi\r\n"),
                From("a", "MSG d4 1 2\r\nhi\r\n"),
                Sync("a"),
            ],
            there: &[
                Quiet("a"),
                To("a", "SUB d4 1\r\nPUB d4 0002\r\nhi\r\n"),
                From("a", "MSG d4 1 0002\r\nhi\r\n"),
                Sync("a"),
            ],
        }],
    },
    Difference {
        what: "text after PING, PONG, +OK",
        here: "bounded like any control line",
        there: "unbounded",
        why: "everything a client sends has a bound",
        cases: &[Different {
            name: "a long PING",
            setup: Setup::Open,
            here: &[
                Quiet("a"),
                To("a", "PING "),
                Fill("a", 5000),
                From("a", "-ERR 'maximum control line exceeded'\r\n"),
                Closed("a"),
            ],
            there: &[
                Quiet("a"),
                To("a", "PING "),
                Fill("a", 5000),
                To("a", "\r\n"),
                From("a", "PONG\r\n"),
                Sync("a"),
            ],
        }],
    },
    Difference {
        what: "`allow_responses`, a second request with the same reply subject",
        here: "may be answered like the first",
        there: "uses up one of the answers, so that with one allowed none is left",
        why: "there it is a by-product of how answers are counted; a service must be able to answer each request",
        cases: &[Different {
            name: "two requests with one reply subject",
            setup: Setup::Users,
            here: &[
                As("s", "service"),
                To("s", "SUB svc 1\r\n"),
                Sync("s"),
                As("r", "root"),
                To("r", "SUB d5 1\r\nPUB svc d5 1\r\n?\r\nPUB svc d5 1\r\n?\r\n"),
                Sync("r"),
                From("s", "MSG svc 1 d5 1\r\n?\r\nMSG svc 1 d5 1\r\n?\r\n"),
                To("s", "PUB d5 1\r\n!\r\n"),
                Sync("s"),
                From("r", "MSG d5 1 1\r\n!\r\n"),
            ],
            there: &[
                As("s", "service"),
                To("s", "SUB svc 1\r\n"),
                Sync("s"),
                As("r", "root"),
                To("r", "SUB d5 1\r\nPUB svc d5 1\r\n?\r\nPUB svc d5 1\r\n?\r\n"),
                Sync("r"),
                From("s", "MSG svc 1 d5 1\r\n?\r\nMSG svc 1 d5 1\r\n?\r\n"),
                To("s", "PUB d5 1\r\n!\r\n"),
                From("s", "-ERR 'Permissions Violation for Publish to \"d5\"'\r\n"),
                Sync("r"),
            ],
        }],
    },
    Difference {
        what: "requests to `$SYS.REQ.USER.INFO` and the other account services",
        here: "503, as for any subject nobody listens to",
        there: "answered",
        why: "the host process knows its users, and tells what it likes by its own means",
        cases: &[Different {
            name: "who am I",
            setup: Setup::Open,
            here: &[
                Modern("a"),
                To("a", "SUB d6 1\r\nPUB $SYS.REQ.USER.INFO d6 0\r\n\r\n"),
                Begins("a", "HMSG d6 1 50 50\r\nNATS/1.0 503\r\n"),
                Sync("a"),
            ],
            there: &[
                Modern("a"),
                To("a", "SUB d6 1\r\nPUB $SYS.REQ.USER.INFO d6 0\r\n\r\n"),
                Begins("a", "MSG d6 1 "),
                Sync("a"),
            ],
        }],
    },
    Difference {
        what: "INFO",
        here: "without `git_commit`, `xkey`, `api_lvl`, `tls_verify`; with a `nonce` wherever there is a login",
        there: "with them; a `nonce` only where an nkey is known",
        why: "they describe that program, and no client decides anything by them; only the `Authenticator` knows what logins there are",
        // `differential.rs` compares the members of INFO one by one.
        cases: &[],
    },
    Difference {
        what: "connections over the limit, with TLS or WebSocket",
        here: "closed",
        there: "told so after INFO",
        why: "it would cost a handshake each",
        cases: &[],
    },
    Difference {
        what: "change of permissions",
        here: "in force on open connections when the call returns; lost subscriptions get the `-ERR` that nats-server sends after a reload",
        there: "reload, or reconnect",
        why: "see below",
        cases: &[],
    },
    Difference {
        what: "reply subjects",
        here: "with `ReplyPolicy::Checked`, a message whose reply subject the client could neither receive on nor publish to is refused",
        there: "any reply passes",
        why: "who answers may have more rights than who asks",
        cases: &[],
    },
    Difference {
        what: "login",
        here: "one `Authenticator` decides from everything CONNECT and TLS presented; where there is one, CONNECT comes first",
        there: "configuration, callout, operator JWT; with `no_auth_user` also without CONNECT",
        why: "the host process knows its users",
        cases: &[],
    },
    Difference {
        what: "write deadline",
        here: "no byte taken for that long",
        there: "one flush not finished",
        why: "a slow but steady reader is bounded by the bytes that wait for it",
        cases: &[],
    },
    Difference {
        what: "input of a client that was refused",
        here: "read for up to half a second before closing",
        there: "closed at once",
        why: "a reset could overtake the `-ERR`",
        cases: &[],
    },
    Difference {
        what: "web pages",
        here: "those of the same origin, unless `OriginPolicy` says otherwise",
        there: "all, unless `same_origin` or `allowed_origins` is set",
        why: "a page that somebody visits is not asked to be a client",
        // `websocket.rs` has what is here.
        cases: &[],
    },
    Difference {
        what: "closing a WebSocket",
        here: "status 1000, or the client's own; 1002 after a bad frame",
        there: "a status for each kind of ending",
        why: "the `-ERR` before it says more",
        cases: &[],
    },
    Difference {
        what: "accounts",
        here: "one",
        there: "many",
        why: "several buses are several brokers",
        cases: &[],
    },
];

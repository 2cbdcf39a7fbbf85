//! User and password: who gets in, and what the others are told. The users are those of `permissions.rs`.

use super::{
    Case,
    Step::{Closed, From, Greets, Info, Open, Sync, To},
};

pub(crate) const LOGINS: &[Case] = &[
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
    Case {
        name: "the greeting of a server with a login",
        steps: &[
            Open("a"),
            Greets("a", "\"auth_required\":true"),
            To("a", "PING\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a user without a password",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a password without a user",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"pass\":\"pw\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "names of users are matched by case",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"Root\",\"pass\":\"pw\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an empty user",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"\",\"pass\":\"\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a user name as a token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"auth_token\":\"root\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a password that is a number",
        steps: &[Open("a"), To("a", "CONNECT {\"user\":\"root\",\"pass\":7}\r\n"), Closed("a")],
    },
    Case {
        name: "broken JSON where a login is required",
        steps: &[Open("a"), To("a", "CONNECT {\r\n"), Closed("a")],
    },
    Case {
        name: "an unknown protocol version of a user who may log in",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"pw\",\"protocol\":5}\r\n"),
            From("a", "-ERR 'invalid client protocol'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an unknown protocol version of a user who may not",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"no\",\"protocol\":5}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "no responders without headers of a user who may log in",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"pw\",\"no_responders\":true}\r\n"),
            From("a", "-ERR 'no responders requires headers support'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "no responders without headers of a user who may not",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"no\",\"no_responders\":true}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an account where a login is required",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"pw\",\"account\":\"x\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an empty line before CONNECT",
        steps: &[Open("a"), To("a", "\r\n"), From("a", "-ERR 'Authorization Violation'\r\n"), Closed("a")],
    },
    Case {
        name: "+OK before CONNECT",
        steps: &[Open("a"), To("a", "+OK\r\n"), From("a", "-ERR 'Authorization Violation'\r\n"), Closed("a")],
    },
    Case {
        name: "another verb that begins like CONNECT",
        steps: &[
            Open("a"),
            To("a", "CHAT\r\n"),
            From("a", "-ERR 'Unknown Protocol Operation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a jwt beside a user is ignored",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"user\":\"root\",\"pass\":\"pw\",\"jwt\":\"x\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a second INFO for a user",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"user\":\"root\",\"pass\":\"pw\",\"protocol\":1}\r\nPING\r\n",
            ),
            From("a", "PONG\r\n"),
            Info("a", "connect_info"),
            Sync("a"),
        ],
    },
    Case {
        name: "a login in verbose",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"root\",\"pass\":\"pw\"}\r\n"),
            From("a", "+OK\r\n"),
            Sync("a"),
        ],
    },
];

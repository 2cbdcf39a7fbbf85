//! Logging in with the token `s3cret`.

use super::{
    Case,
    Step::{Closed, From, Greets, Open, Sync, To},
};

pub(crate) const TOKEN: &[Case] = &[
    Case {
        name: "the right token",
        steps: &[
            Open("a"),
            Greets("a", "\"auth_required\":true"),
            To("a", "CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n"),
            To("a", "SUB t 1\r\nPUB t 1\r\nx\r\n"),
            From("a", "MSG t 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a wrong token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"auth_token\":\"S3cret\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a token cut short",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"auth_token\":\"s3cre\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "no token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "an empty token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"auth_token\":\"\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "null for a token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"auth_token\":null}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "the token as a user",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"s3cret\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "the token as a password",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"user\":\"x\",\"pass\":\"s3cret\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a token and a user",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\",\"user\":\"x\",\"pass\":\"y\"}\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "something else before the token",
        steps: &[
            Open("a"),
            To("a", "SUB t 1\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a later CONNECT with a wrong token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n"),
            Sync("a"),
            To("a", "CONNECT {\"auth_token\":\"no\"}\r\n"),
            From("a", "-ERR 'Authorization Violation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a later CONNECT without the token",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n"),
            Sync("a"),
            To("a", "CONNECT {\"echo\":false}\r\n"),
            To("a", "SUB t 1\r\nPUB t 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
];

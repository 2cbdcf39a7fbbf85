//! Logging in with an nkey: a signature of the nonce in INFO.

use super::{
    Case,
    Step::{Closed, From, Greets, Open, Signed, Sync, To},
};

const VIOLATION: &str = "-ERR 'Authorization Violation'\r\n";

pub(crate) const NKEYS: &[Case] = &[
    Case {
        name: "the right key",
        steps: &[
            Open("a"),
            Greets("a", "\"auth_required\":true"),
            Greets("a", "\"nonce\":\""),
            Signed("a", "CONNECT {\"verbose\":false,\"nkey\":\"{key}\",\"sig\":\"{sig}\"}\r\n"),
            To("a", "SUB n1 1\r\nPUB n1 1\r\nx\r\n"),
            From("a", "MSG n1 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a signature in standard base64",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"verbose\":false,\"nkey\":\"{key}\",\"sig\":\"{standard}\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a signature of the decoded nonce",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\",\"sig\":\"{decoded}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a signature of another nonce",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\",\"sig\":\"{other}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a key nobody knows",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{stranger}\",\"sig\":\"{stranger_sig}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "somebody else's signature",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\",\"sig\":\"{stranger_sig}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a key without a signature",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a signature without a key",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"sig\":\"{sig}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a signature that is none",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\",\"sig\":\"!\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a jwt beside the key is ignored",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"verbose\":false,\"jwt\":\"x\",\"nkey\":\"{key}\",\"sig\":\"{sig}\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "no credentials where a key is asked for",
        steps: &[Open("a"), To("a", "CONNECT {}\r\n"), From("a", VIOLATION), Closed("a")],
    },
    Case {
        name: "the key as a user",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"user\":\"{key}\",\"pass\":\"{sig}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
    Case {
        name: "a later CONNECT with the same signature",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"verbose\":false,\"nkey\":\"{key}\",\"sig\":\"{sig}\"}\r\n"),
            Signed("a", "CONNECT {\"nkey\":\"{key}\",\"sig\":\"{sig}\"}\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later CONNECT with a wrong signature",
        steps: &[
            Open("a"),
            Signed("a", "CONNECT {\"verbose\":false,\"nkey\":\"{key}\",\"sig\":\"{sig}\"}\r\n"),
            Signed("a", "CONNECT {\"sig\":\"{other}\"}\r\n"),
            From("a", VIOLATION),
            Closed("a"),
        ],
    },
];

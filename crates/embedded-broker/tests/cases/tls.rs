//! TLS after INFO, at once, and with certificates of clients.

use super::{
    Case,
    Certificate::{None, Own},
    Step::{Closed, From, Greets, Info, Open, Silent, Sync, Tls, To},
};

pub(crate) const AFTER_INFO: &[Case] = &[
    Case {
        name: "TLS after INFO",
        steps: &[
            Open("a"),
            Greets("a", "\"tls_required\":true"),
            Tls("a", None),
            To("a", "CONNECT {\"verbose\":false,\"tls_required\":true}\r\nSUB t1 1\r\nPUB t1 1\r\nx\r\n"),
            From("a", "MSG t1 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "the second INFO comes within TLS",
        steps: &[
            Open("a"),
            Tls("a", None),
            To("a", "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n"),
            From("a", "PONG\r\n"),
            Info("a", "\"connect_info\":true"),
        ],
    },
    Case {
        name: "an unknown verb within TLS",
        steps: &[
            Open("a"),
            Tls("a", None),
            To("a", "HELLO\r\n"),
            From("a", "-ERR 'Unknown Protocol Operation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "CONNECT in clear",
        steps: &[Open("a"), To("a", "CONNECT {\"verbose\":false}\r\nPING\r\n"), Closed("a")],
    },
    Case { name: "an unknown verb in clear", steps: &[Open("a"), To("a", "HELLO\r\n"), Closed("a")] },
    Case {
        name: "a certificate nobody asked for",
        steps: &[Open("a"), Tls("a", Own), To("a", "CONNECT {\"verbose\":false}\r\n"), Sync("a")],
    },
];

pub(crate) const FIRST: &[Case] = &[
    Case {
        name: "INFO comes within TLS",
        steps: &[
            Silent("a"),
            Tls("a", None),
            Info("a", "\"tls_required\":true"),
            To("a", "CONNECT {\"verbose\":false}\r\nSUB t1 1\r\nPUB t1 1\r\nx\r\n"),
            From("a", "MSG t1 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "clear text where TLS comes first",
        steps: &[Silent("a"), To("a", "CONNECT {\"verbose\":false}\r\nPING\r\n"), Closed("a")],
    },
];

pub(crate) const VERIFIED: &[Case] = &[
    Case {
        name: "a certificate that was asked for",
        steps: &[
            Open("a"),
            Greets("a", "\"tls_required\":true"),
            Tls("a", Own),
            To("a", "CONNECT {\"verbose\":false}\r\nSUB t1 1\r\nPUB t1 1\r\nx\r\n"),
            From("a", "MSG t1 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "no certificate where one is asked for",
        steps: &[Open("a"), Tls("a", None), To("a", "CONNECT {\"verbose\":false}\r\nPING\r\n"), Closed("a")],
    },
];

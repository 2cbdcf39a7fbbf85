//! HPUB and HMSG.

use super::{
    Case,
    Step::{Closed, From, Modern, Open, Quiet, Sync, To},
};

pub(crate) const HEADERS: &[Case] = &[
    Case {
        name: "headers arrive",
        steps: &[
            Modern("a"),
            To("a", "SUB h.one 1\r\nHPUB h.one in 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
            From("a", "HMSG h.one 1 in 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
        ],
    },
    Case {
        name: "headers are not checked",
        steps: &[
            Modern("a"),
            To("a", "SUB h.two 1\r\nHPUB h.two 3 5\r\nxyzhi\r\n"),
            From("a", "HMSG h.two 1 3 5\r\nxyzhi\r\n"),
        ],
    },
    Case {
        name: "an empty header block makes a plain message",
        steps: &[
            Modern("a"),
            To("a", "SUB h.three 1\r\nHPUB h.three 0 2\r\nhi\r\n"),
            From("a", "MSG h.three 1 2\r\nhi\r\n"),
        ],
    },
    Case {
        name: "a client without headers gets the payload alone",
        steps: &[
            Quiet("a"),
            Modern("b"),
            To("a", "SUB h.four 1\r\n"),
            Sync("a"),
            To("b", "HPUB h.four 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
            From("a", "MSG h.four 1 2\r\nhi\r\n"),
        ],
    },
    Case {
        name: "HPUB without headers in CONNECT",
        steps: &[Quiet("a"), To("a", "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with a header longer than everything",
        steps: &[Modern("a"), To("a", "HPUB foo 3 2\r\nhi\r\n"), Closed("a")],
    },
    Case {
        name: "headers without a body",
        steps: &[
            Modern("a"),
            To("a", "SUB h5 1\r\nHPUB h5 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            From("a", "HMSG h5 1 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a headers-only message for a client without headers",
        steps: &[
            Quiet("a"),
            Modern("b"),
            To("a", "SUB h6 1\r\n"),
            Sync("a"),
            To("b", "HPUB h6 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            Sync("b"),
            From("a", "MSG h6 1 0\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a reply for a client without headers",
        steps: &[
            Quiet("a"),
            Modern("b"),
            To("a", "SUB h7 1\r\n"),
            Sync("a"),
            To("b", "HPUB h7 h7.in 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            Sync("b"),
            From("a", "MSG h7 1 h7.in 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a status line passes",
        steps: &[
            Modern("a"),
            To("a", "SUB h8 1\r\nHPUB h8 30 30\r\nNATS/1.0 503 No Responders\r\n\r\n\r\n"),
            From("a", "HMSG h8 1 30 30\r\nNATS/1.0 503 No Responders\r\n\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "names keep their case and values their spaces",
        steps: &[
            Modern("a"),
            To("a", "SUB h9 1\r\nHPUB h9 32 33\r\nNATS/1.0\r\naB-c:  x y \r\nAb-C:\r\n\r\nz\r\n"),
            From("a", "HMSG h9 1 32 33\r\nNATS/1.0\r\naB-c:  x y \r\nAb-C:\r\n\r\nz\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nothing at all as headers and body",
        steps: &[
            Modern("a"),
            To("a", "SUB h10 1\r\nHPUB h10 0 0\r\n\r\n"),
            From("a", "MSG h10 1 0\r\n\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an empty header block with a reply",
        steps: &[
            Modern("a"),
            To("a", "SUB h11 1\r\nHPUB h11 h11.in 0 1\r\nx\r\n"),
            From("a", "MSG h11 1 h11.in 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "HPUB with two arguments",
        steps: &[Modern("a"), To("a", "HPUB h12 12\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with five arguments",
        steps: &[Modern("a"), To("a", "HPUB h13 a b 12 12\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with a header length that is no number",
        steps: &[Modern("a"), To("a", "HPUB h14 x 12\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with a negative header length",
        steps: &[Modern("a"), To("a", "HPUB h15 -1 12\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB with a size that is no number",
        steps: &[Modern("a"), To("a", "HPUB h16 12 x\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB before CONNECT",
        steps: &[Open("a"), To("a", "HPUB h17 12 12\r\nNATS/1.0\r\n\r\n\r\n"), Closed("a")],
    },
    Case {
        name: "HPUB that is longer than announced",
        steps: &[
            Modern("a"),
            To("a", "HPUB h18 12 12\r\nNATS/1.0\r\n\r\nx\r\n"),
            From("a", "-ERR 'Unknown Protocol Operation'\r\n"),
            Closed("a"),
        ],
    },
    Case {
        name: "a PUB for a client with headers is a MSG",
        steps: &[
            Modern("a"),
            To("a", "SUB h19 1\r\nPUB h19 1\r\nx\r\n"),
            From("a", "MSG h19 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a header block in pieces",
        steps: &[
            Modern("a"),
            To("a", "SUB h20 1\r\nHPUB h20 12 13\r\nNATS"),
            To("a", "/1.0\r\n\r"),
            To("a", "\nx\r"),
            To("a", "\n"),
            From("a", "HMSG h20 1 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            Sync("a"),
        ],
    },
];

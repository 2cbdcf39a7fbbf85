//! SUB, UNSUB and maxima.

use super::{
    Case,
    Step::{Closed, From, Open, Quiet, Sync, To},
};

pub(crate) const SUBSCRIPTIONS: &[Case] = &[
    Case {
        name: "a subscription id used twice: the first stays",
        steps: &[
            Quiet("a"),
            To("a", "SUB twice.a 1\r\nSUB twice.b 1\r\nPUB twice.b 1\r\nx\r\nPUB twice.a 1\r\ny\r\n"),
            From("a", "MSG twice.a 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a subscription id is any word",
        steps: &[
            Quiet("a"),
            To("a", "SUB sid.x a-b.c\r\nPUB sid.x 1\r\nx\r\n"),
            From("a", "MSG sid.x a-b.c 1\r\nx\r\n"),
        ],
    },
    Case {
        name: "UNSUB after so many",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB max.a 1\r\nUNSUB 1 2\r\nPUB max.a 1\r\nx\r\nPUB max.a 1\r\ny\r\nPUB max.a 1\r\nz\r\n",
            ),
            From("a", "MSG max.a 1 1\r\nx\r\nMSG max.a 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB after so many counts from SUB on",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.b 1\r\nPUB max.b 1\r\nx\r\nUNSUB 1 1\r\nPUB max.b 1\r\ny\r\n"),
            From("a", "MSG max.b 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB with what is no number is UNSUB now",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.c 1\r\nUNSUB 1 x\r\nSUB max.c 2\r\nUNSUB 2 0\r\nPUB max.c 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an id can be used again after its maximum",
        steps: &[
            Quiet("a"),
            To("a", "SUB max.d 1\r\nUNSUB 1 1\r\nPUB max.d 1\r\nx\r\n"),
            From("a", "MSG max.d 1 1\r\nx\r\n"),
            Sync("a"),
            To("a", "SUB max.e 1\r\nPUB max.e 1\r\ny\r\n"),
            From("a", "MSG max.e 1 1\r\ny\r\n"),
        ],
    },
    Case {
        name: "a maximum reached by the messages of somebody else",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB max.f 1\r\nUNSUB 1 1\r\n"),
            Sync("a"),
            To("b", "PUB max.f 1\r\nx\r\nPUB max.f 1\r\ny\r\n"),
            Sync("b"),
            From("a", "MSG max.f 1 1\r\nx\r\n"),
            To("a", "SUB max.g 1\r\n"),
            Sync("a"),
            To("b", "PUB max.g 1\r\nz\r\n"),
            From("a", "MSG max.g 1 1\r\nz\r\n"),
        ],
    },
    Case {
        name: "UNSUB of what is not there",
        steps: &[Quiet("a"), To("a", "UNSUB 7\r\nUNSUB 7 3\r\n"), Sync("a")],
    },
    Case {
        name: "no echo",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB echo.x 1\r\nSUB echo.x q 2\r\n"),
            Sync("a"),
            Quiet("b"),
            To("a", "PUB echo.x 1\r\nx\r\n"),
            Sync("a"),
            To("b", "SUB echo.x 3\r\nPUB echo.x 1\r\ny\r\n"),
            From("b", "MSG echo.x 3 1\r\ny\r\n"),
        ],
    },
    Case {
        name: "a subscription id belongs to its connection",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB u1.a 1\r\n"),
            Sync("a"),
            To("b", "SUB u1.b 1\r\nUNSUB 1\r\nPUB u1.a 1\r\nx\r\n"),
            Sync("b"),
            From("a", "MSG u1.a 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an id can be used again after UNSUB",
        steps: &[
            Quiet("a"),
            To("a", "SUB u2.a 1\r\nUNSUB 1\r\nSUB u2.b 1\r\nPUB u2.a 1\r\nx\r\nPUB u2.b 1\r\ny\r\n"),
            From("a", "MSG u2.b 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later maximum replaces the earlier",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB u3 1\r\nUNSUB 1 1\r\nUNSUB 1 2\r\nPUB u3 1\r\na\r\nPUB u3 1\r\nb\r\nPUB u3 1\r\nc\r\n",
            ),
            From("a", "MSG u3 1 1\r\na\r\nMSG u3 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a later maximum may be lower than what came already",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB u4 1\r\nUNSUB 1 5\r\nPUB u4 1\r\na\r\nPUB u4 1\r\nb\r\nUNSUB 1 1\r\nPUB u4 1\r\nc\r\n",
            ),
            From("a", "MSG u4 1 1\r\na\r\nMSG u4 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "UNSUB now overrides a maximum",
        steps: &[Quiet("a"), To("a", "SUB u5 1\r\nUNSUB 1 5\r\nUNSUB 1\r\nPUB u5 1\r\na\r\n"), Sync("a")],
    },
    Case {
        name: "a maximum of many digits",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB u6 1\r\nUNSUB 1 999999999\r\nPUB u6 1\r\na\r\nUNSUB 1 9999999999\r\nPUB u6 1\r\nb\r\n",
            ),
            From("a", "MSG u6 1 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a negative maximum",
        steps: &[Quiet("a"), To("a", "SUB u7 1\r\nUNSUB 1 -3\r\nPUB u7 1\r\na\r\n"), Sync("a")],
    },
    Case {
        name: "a maximum with leading zeros",
        steps: &[
            Quiet("a"),
            To("a", "SUB u8 1\r\nUNSUB 1 002\r\nPUB u8 1\r\na\r\nPUB u8 1\r\nb\r\nPUB u8 1\r\nc\r\n"),
            From("a", "MSG u8 1 1\r\na\r\nMSG u8 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a maximum in a queue group of one",
        steps: &[
            Quiet("a"),
            To("a", "SUB u9 g 1\r\nUNSUB 1 2\r\nPUB u9 1\r\na\r\nPUB u9 1\r\nb\r\nPUB u9 1\r\nc\r\n"),
            From("a", "MSG u9 1 1\r\na\r\nMSG u9 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a second SUB with the same id does not join its group",
        steps: &[
            Quiet("a"),
            To("a", "SUB u10 1\r\nSUB u10 g 1\r\nPUB u10 1\r\na\r\n"),
            From("a", "MSG u10 1 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a second SUB with the same id keeps the maximum",
        steps: &[
            Quiet("a"),
            To("a", "SUB u11 1\r\nUNSUB 1 1\r\nSUB u11 1\r\nPUB u11 1\r\na\r\nPUB u11 1\r\nb\r\n"),
            From("a", "MSG u11 1 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "ids of signs",
        steps: &[
            Quiet("a"),
            To("a", "SUB u12 {-.*>}\r\nPUB u12 1\r\na\r\nUNSUB {-.*>}\r\nPUB u12 1\r\nb\r\n"),
            From("a", "MSG u12 {-.*>} 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "ids differ by leading zeros",
        steps: &[
            Quiet("a"),
            To("a", "SUB u13.a 1\r\nSUB u13.b 01\r\nPUB u13.b 1\r\nx\r\nUNSUB 01\r\nPUB u13.a 1\r\ny\r\n"),
            From("a", "MSG u13.b 01 1\r\nx\r\nMSG u13.a 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "several filters of one connection that match each get it",
        steps: &[
            Quiet("a"),
            To("a", "SUB u14.a 1\r\nPUB u14.a 1\r\nx\r\nUNSUB 1\r\nSUB u14.* 2\r\nPUB u14.a 1\r\ny\r\n"),
            From("a", "MSG u14.a 1 1\r\nx\r\nMSG u14.a 2 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "verbose answers each UNSUB with a maximum",
        steps: &[
            Open("a"),
            To("a", "SUB u15 1\r\nUNSUB 1 1\r\nPUB u15 1\r\nx\r\nPUB u15 1\r\ny\r\n"),
            From("a", "+OK\r\n+OK\r\n+OK\r\nMSG u15 1 1\r\nx\r\n+OK\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a client that left gets nothing and a new one starts anew",
        steps: &[
            Quiet("a"),
            To("a", "SUB u16 1\r\nUNSUB 1 1\r\n"),
            Sync("a"),
            To("a", "-ERR 'bye'\r\n"),
            Closed("a"),
            Quiet("b"),
            To("b", "SUB u16 1\r\nPUB u16 1\r\nx\r\nPUB u16 1\r\ny\r\n"),
            From("b", "MSG u16 1 1\r\nx\r\nMSG u16 1 1\r\ny\r\n"),
            Sync("b"),
        ],
    },
];

//! Queue groups, where chance decides nothing.

use super::{
    Case,
    Step::{From, Modern, Open, Quiet, Sync, To},
};

pub(crate) const QUEUE_GROUPS: &[Case] = &[
    Case {
        name: "a queue group gets one, plain subscriptions each get one",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB queue.x g 1\r\n"),
            Sync("a"),
            To("b", "SUB queue.x 2\r\nPUB queue.x 1\r\nx\r\n"),
            From("b", "MSG queue.x 2 1\r\nx\r\n"),
            From("a", "MSG queue.x 1 1\r\nx\r\n"),
            Sync("a"),
            Sync("b"),
        ],
    },
    Case {
        name: "the only member gets everything",
        steps: &[
            Quiet("a"),
            To("a", "SUB q1 g 1\r\nPUB q1 1\r\na\r\nPUB q1 1\r\nb\r\nPUB q1 1\r\nc\r\n"),
            From("a", "MSG q1 1 1\r\na\r\nMSG q1 1 1\r\nb\r\nMSG q1 1 1\r\nc\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "each group gets one",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB q2 g 1\r\n"),
            Sync("a"),
            To("b", "SUB q2 h 1\r\nPUB q2 1\r\nx\r\n"),
            From("b", "MSG q2 1 1\r\nx\r\n"),
            Sync("b"),
            From("a", "MSG q2 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a member with a wildcard",
        steps: &[
            Quiet("a"),
            To("a", "SUB q3.* g 1\r\nPUB q3.a 1\r\nx\r\nPUB q3 1\r\ny\r\n"),
            From("a", "MSG q3.a 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "names of groups are matched by case",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB q4 G 1\r\n"),
            Sync("a"),
            To("b", "SUB q4 g 1\r\nPUB q4 1\r\nx\r\n"),
            From("b", "MSG q4 1 1\r\nx\r\n"),
            Sync("b"),
            From("a", "MSG q4 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "wildcards in the name of a group are letters",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB q5 a.* 1\r\n"),
            Sync("a"),
            To("b", "SUB q5 a.b 1\r\nPUB q5 1\r\nx\r\n"),
            From("b", "MSG q5 1 1\r\nx\r\n"),
            Sync("b"),
            From("a", "MSG q5 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a plain subscription before a queue of the same connection",
        steps: &[
            Quiet("a"),
            To("a", "SUB q6 1\r\nSUB q6 g 2\r\nPUB q6 1\r\nx\r\n"),
            From("a", "MSG q6 1 1\r\nx\r\nMSG q6 2 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a member gets reply and headers",
        steps: &[
            Modern("a"),
            To("a", "SUB q7 g 1\r\nHPUB q7 q7.in 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            From("a", "HMSG q7 1 q7.in 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a group without the member that published",
        steps: &[
            Open("a"),
            Quiet("b"),
            To("a", "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB q8 g 1\r\n"),
            Sync("a"),
            To("b", "SUB q8 g 1\r\n"),
            Sync("b"),
            To(
                "a",
                "PUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\nPUB q8 1\r\nx\r\n",
            ),
            Sync("a"),
            From(
                "b",
                "MSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\nMSG q8 1 1\r\nx\r\n",
            ),
            Sync("b"),
        ],
    },
    Case {
        name: "a group whose only member published",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB q9 g 1\r\nPUB q9 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a group whose members left",
        steps: &[
            Quiet("a"),
            Quiet("b"),
            To("a", "SUB q10 g 1\r\nUNSUB 1\r\n"),
            Sync("a"),
            To("b", "SUB q10 g 1\r\n"),
            Sync("b"),
            To(
                "a",
                "PUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\nPUB q10 1\r\nx\r\n",
            ),
            Sync("a"),
            From(
                "b",
                "MSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\nMSG q10 1 1\r\nx\r\n",
            ),
            Sync("b"),
        ],
    },
    Case {
        name: "a group's name with empty tokens",
        steps: &[Quiet("a"), To("a", "SUB q11 a..b 1\r\nSUB q11 . 2\r\n"), Sync("a")],
    },
    Case {
        name: "nearly a reserved group",
        steps: &[
            Quiet("a"),
            To("a", "SUB q12 _sys 1\r\nPUB q12 1\r\nx\r\n"),
            From("a", "MSG q12 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "an invalid filter in a group",
        steps: &[
            Quiet("a"),
            To("a", "SUB q13..x g 1\r\n"),
            From("a", "-ERR 'Invalid Subject'\r\n"),
            Sync("a"),
        ],
    },
];

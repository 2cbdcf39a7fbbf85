//! Subjects, wildcards and what is reserved.

use super::{
    Case,
    Step::{From, Modern, Open, Quiet, Sync, To},
};

pub(crate) const SUBJECTS: &[Case] = &[
    Case {
        name: "one token",
        steps: &[
            Quiet("a"),
            To("a", "SUB w1.*.c 1\r\nPUB w1.b.c 1\r\nx\r\nPUB w1.b 1\r\ny\r\nPUB w1.b.c.d 1\r\nz\r\n"),
            From("a", "MSG w1.b.c 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "one or more tokens",
        steps: &[
            Quiet("a"),
            To("a", "SUB w2.> 1\r\nPUB w2.b.c 1\r\nx\r\nPUB w2 1\r\ny\r\nPUB w2.b 1\r\nz\r\n"),
            From("a", "MSG w2.b.c 1 1\r\nx\r\nMSG w2.b 1 1\r\nz\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a wildcard is a whole token",
        steps: &[
            Quiet("a"),
            To("a", "SUB lit*eral 1\r\nPUB lit*eral 1\r\nx\r\nPUB litteral 1\r\ny\r\n"),
            From("a", "MSG lit*eral 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "invalid filters",
        steps: &[
            Quiet("a"),
            To("a", "SUB inv..x 1\r\nSUB .inv 2\r\nSUB inv. 3\r\nSUB >.inv 4\r\n"),
            From(
                "a",
                "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "publishing to nowhere",
        steps: &[
            Quiet("a"),
            To("a", "SUB > 1\r\nPUB now..here 1\r\nx\r\nPUB . 1\r\ny\r\nPUB .foo 1\r\nz\r\nUNSUB 1\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "wildcards in a published subject are literal",
        steps: &[
            Quiet("a"),
            To("a", "SUB lw.* 1\r\nSUB lw.one 2\r\nPUB lw.* 1\r\nx\r\n"),
            From("a", "MSG lw.* 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic complains and delivers",
        steps: &[
            Open("a"),
            To(
                "a",
                "CONNECT {\"verbose\":false,\"pedantic\":true}\r\nSUB ped.> 1\r\nPUB ped.* 1\r\nx\r\nPUB ped..x 1\r\ny\r\n",
            ),
            From(
                "a",
                "-ERR 'Invalid Publish Subject'\r\nMSG ped.* 1 1\r\nx\r\n-ERR 'Invalid Publish Subject'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved subjects",
        steps: &[
            Quiet("a"),
            To("a", "PUB _GR_.x 1\r\nx\r\nPUB $NRG.x 1\r\ny\r\nPUB _GR_ 1\r\nz\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n-ERR 'Permissions Violation for Publish to \"$NRG.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved replies",
        steps: &[
            Quiet("a"),
            To("a", "PUB rr $JS.ACK.x 1\r\nx\r\nPUB rr _R_.x 1\r\ny\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish with Reply of \"$JS.ACK.x\"'\r\n-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a reserved queue",
        steps: &[
            Quiet("a"),
            To("a", "SUB rq _sys_ 1\r\n"),
            From("a", "-ERR 'Permissions Violation for Subscription to \"rq\" using queue \"_sys_\"'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "other people's prefixes are plain subjects",
        steps: &[
            Quiet("a"),
            To("a", "SUB $JS.x 1\r\nSUB _INBOX.x 2\r\nPUB $JS.x 1\r\nx\r\nPUB _INBOX.x 1\r\ny\r\n"),
            From("a", "MSG $JS.x 1 1\r\nx\r\nMSG _INBOX.x 2 1\r\ny\r\n"),
        ],
    },
    Case {
        name: "everything",
        steps: &[
            Quiet("a"),
            To("a", "SUB > 1\r\nPUB s1 1\r\na\r\nPUB s1.b.c 1\r\nb\r\nUNSUB 1\r\n"),
            From("a", "MSG s1 1 1\r\na\r\nMSG s1.b.c 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a single token",
        steps: &[
            Quiet("a"),
            To("a", "SUB * 1\r\nPUB s2 1\r\na\r\nPUB s2.b 1\r\nb\r\nUNSUB 1\r\n"),
            From("a", "MSG s2 1 1\r\na\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "one token and then one or more",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB *.s3.> 1\r\nPUB a.s3 1\r\na\r\nPUB a.s3.b 1\r\nb\r\nPUB a.s3.b.c 1\r\nc\r\nPUB s3.a.b 1\r\nd\r\n",
            ),
            From("a", "MSG a.s3.b 1 1\r\nb\r\nMSG a.s3.b.c 1 1\r\nc\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "wildcards in every place",
        steps: &[
            Quiet("a"),
            To("a", "SUB s4.*.* 1\r\nPUB s4.a 1\r\na\r\nPUB s4.a.b 1\r\nb\r\nPUB s4.a.b.c 1\r\nc\r\n"),
            From("a", "MSG s4.a.b 1 1\r\nb\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a greater-than sign within a token",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB s5.a> 1\r\nSUB s5.>b 2\r\nPUB s5.a> 1\r\nx\r\nPUB s5.>b 1\r\ny\r\nPUB s5.ab 1\r\nz\r\n",
            ),
            From("a", "MSG s5.a> 1 1\r\nx\r\nMSG s5.>b 2 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a greater-than sign before the end",
        steps: &[
            Quiet("a"),
            To("a", "SUB s6.>.b 1\r\nSUB >.> 2\r\nSUB >. 3\r\n"),
            From("a", "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nothing but dots",
        steps: &[
            Quiet("a"),
            To("a", "SUB . 1\r\nSUB .. 2\r\nSUB ... 3\r\n"),
            From("a", "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "subjects are matched by case",
        steps: &[
            Quiet("a"),
            To("a", "SUB s7.A 1\r\nPUB s7.a 1\r\nx\r\nPUB s7.A 1\r\ny\r\n"),
            From("a", "MSG s7.A 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "subjects beyond ASCII",
        steps: &[
            Quiet("a"),
            To("a", "SUB s8.é.* 1\r\nPUB s8.é.名 1\r\nx\r\nPUB s8.e.x 1\r\ny\r\n"),
            From("a", "MSG s8.é.名 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "forty tokens",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB s9.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.* 1\r\nPUB s9.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t 1\r\nx\r\nPUB s9.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t 1\r\ny\r\n",
            ),
            From(
                "a",
                "MSG s9.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t 1 1\r\nx\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "tokens of signs",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB s10.-_=/\\:;,!?#%&'\"()[]{}|~@$ 1\r\nPUB s10.-_=/\\:;,!?#%&'\"()[]{}|~@$ 1\r\nx\r\n",
            ),
            From("a", "MSG s10.-_=/\\:;,!?#%&'\"()[]{}|~@$ 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "$SYS is a plain subject for what clients publish",
        steps: &[
            Quiet("a"),
            To("a", "SUB $SYS.s11 1\r\nPUB $SYS.s11 1\r\nx\r\n"),
            From("a", "MSG $SYS.s11 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a published wildcard reaches a filter that is wider",
        steps: &[
            Quiet("a"),
            To("a", "SUB s12.> 1\r\nPUB s12.> 1\r\nx\r\nPUB s12.*.b 1\r\ny\r\n"),
            From("a", "MSG s12.> 1 1\r\nx\r\nMSG s12.*.b 1 1\r\ny\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a reply with wildcards passes",
        steps: &[
            Quiet("a"),
            To("a", "SUB s13 1\r\nPUB s13 s13.*.> 1\r\nx\r\n"),
            From("a", "MSG s13 1 s13.*.> 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a reply with empty tokens passes",
        steps: &[
            Quiet("a"),
            To("a", "SUB s14 1\r\nPUB s14 s14..x 1\r\nx\r\n"),
            From("a", "MSG s14 1 s14..x 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic does not look at the reply",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false}\r\nSUB s15 1\r\nPUB s15 s15..* 1\r\nx\r\n"),
            From("a", "MSG s15 1 s15..* 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "pedantic and an invalid filter",
        steps: &[
            Open("a"),
            To("a", "CONNECT {\"verbose\":false}\r\nSUB s16..x 1\r\n"),
            From("a", "-ERR 'Invalid Subject'\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "nearly a reserved reply",
        steps: &[
            Quiet("a"),
            To(
                "a",
                "SUB s17 1\r\nPUB s17 $JS.ACK 1\r\nx\r\nPUB s17 _R_ 1\r\ny\r\nPUB s17 _R_x.y 1\r\nz\r\nPUB s17 $JS.ACKS.x 1\r\nw\r\n",
            ),
            From(
                "a",
                "MSG s17 1 $JS.ACK 1\r\nx\r\nMSG s17 1 _R_ 1\r\ny\r\nMSG s17 1 _R_x.y 1\r\nz\r\nMSG s17 1 $JS.ACKS.x 1\r\nw\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "a reply to a reserved subject",
        steps: &[
            Quiet("a"),
            To("a", "SUB s18 1\r\nPUB s18 _GR_.x 1\r\nx\r\nPUB s18 $NRG.x 1\r\ny\r\n"),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish with Reply of \"_GR_.x\"'\r\nMSG s18 1 $NRG.x 1\r\ny\r\n",
            ),
            Sync("a"),
        ],
    },
    Case {
        name: "reserved subjects can be subscribed to",
        steps: &[Quiet("a"), To("a", "SUB _GR_.x 1\r\nSUB $NRG.x 2\r\nSUB _R_.x 3\r\n"), Sync("a")],
    },
    Case {
        name: "reserved replies are plain subjects otherwise",
        steps: &[
            Quiet("a"),
            To("a", "SUB _R_.x 1\r\nPUB _R_.x 1\r\nx\r\n"),
            From("a", "MSG _R_.x 1 1\r\nx\r\n"),
            Sync("a"),
        ],
    },
    Case {
        name: "a reserved subject with headers",
        steps: &[
            Modern("a"),
            To(
                "a",
                "HPUB _GR_.x 12 12\r\nNATS/1.0\r\n\r\n\r\nHPUB s19 $JS.ACK.x 12 12\r\nNATS/1.0\r\n\r\n\r\n",
            ),
            From(
                "a",
                "-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n-ERR 'Permissions Violation for Publish with Reply of \"$JS.ACK.x\"'\r\n",
            ),
            Sync("a"),
        ],
    },
];

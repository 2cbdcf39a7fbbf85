//! Where this broker's JetStream answers differently from nats-server's on purpose. Cases name an entry in `only here`
//! and `only there`, which stand for the two answers.
//!
//! Besides these, what nats-server's JSON parser says about a document that is none is not compared, only that it is
//! refused (`render` masks it): the text names types of that program. Which member is unknown is compared.

/// One difference that is kept.
pub(super) struct Difference {
    /// What cases call it.
    pub(super) name: &'static str,
    pub(super) here: &'static str,
    pub(super) there: &'static str,
    pub(super) why: &'static str,
}

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "offered",
        here: "refused with an error",
        there: "done",
        why: "not built, and better refused than accepted in silence",
    },
    Difference {
        name: "deleted",
        here: "a message that is deleted while it waits for its acknowledgement is done, and only that one",
        there: "it counts as acknowledged, and so do all before it where an acknowledgement counts for them",
        why: "nobody has acknowledged those before it: they are to come again",
    },
    Difference {
        name: "unfiltered",
        here: "a consumer whose filter is taken away gets everything",
        there: "it is not told of new messages any more, until it is loaded anew",
        why: "whoever takes the filter away wants all messages",
    },
    Difference {
        name: "last",
        here: "the last message of `>` is the last one that is there",
        there: "it is none when the last one is deleted",
        why: "of every other filter it is the last one that is there, on both",
    },
];

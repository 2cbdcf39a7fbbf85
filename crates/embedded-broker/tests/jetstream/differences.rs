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

pub(super) const DIFFERENCES: &[Difference] = &[Difference {
    name: "offered",
    here: "refused with an error",
    there: "done",
    why: "not built, and better refused than accepted in silence",
}];

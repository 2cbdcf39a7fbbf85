//! Where this broker's JetStream answers differently from nats-server's on purpose. Cases name an entry in `only here`
//! and `only there`.

/// One difference that is kept.
pub(super) struct Difference {
    /// What cases call it.
    pub(super) name: &'static str,
}

pub(super) const DIFFERENCES: &[Difference] = &[];

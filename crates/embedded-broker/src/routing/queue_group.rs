//! Queue groups: one member receives each message.

use std::sync::Arc;

use super::subscription::Subscription;

/// The members of one queue group that match one subject.
pub(crate) struct QueueGroupRoute {
    members: Vec<Arc<Subscription>>,
}

/// A small random number generator for choosing members. Fair, fast, and not for secrets.
pub(crate) struct Dice(u64);

impl QueueGroupRoute {
    /// A group of these members, of which there is at least one.
    pub(super) fn new(members: Vec<Arc<Subscription>>) -> Self {
        Self { members }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// All members, beginning with a random one: the first that accepts the message has it.
    pub(crate) fn in_random_order(&self, dice: &mut Dice) -> impl Iterator<Item = &Arc<Subscription>> {
        let (before, after) = self.members.split_at(dice.roll(self.members.len()));
        after.iter().chain(before)
    }
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`, which is not 0.
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014), then a multiplication instead of a division.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * sides as u128) >> 64) as usize
    }
}

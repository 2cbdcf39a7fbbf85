//! A nonce is accepted once, by whichever node.

use std::collections::BTreeMap;

use super::Violation;
use crate::faults::record::{Nonce, Record, User, Write};

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let mut accepted: BTreeMap<(User, Nonce), usize> = BTreeMap::new();
    for operation in record.operations.iter().filter(|operation| operation.outcome.is_done()) {
        if let Write::Spend { nonce } = operation.write {
            *accepted.entry((operation.by, nonce)).or_default() += 1;
        }
    }
    let twice = accepted.into_iter().filter(|(_, times)| *times > 1);
    twice.map(|((user, nonce), _)| Violation::NonceTwice { user, nonce }).collect()
}

//! The subject index against its definition, and the memory of a full view.

use proptest::prelude::*;

use super::subjects::SubjectIndex;

fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase() + ".", other.to_ascii_lowercase() + ".");
    one.starts_with(&other) || other.starts_with(&one)
}

fn covers(room: &str, subject: &str) -> bool {
    (subject.to_ascii_lowercase() + ".").starts_with(&(room.to_ascii_lowercase() + "."))
}

/// Few tokens, so that overlaps are common; `-` sorts before `.`, letters after it.
fn subject() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec!["a", "A", "b", "a-", "ab", "a_"]);
    prop::collection::vec(token, 1..4).prop_map(|tokens| tokens.join("."))
}

proptest! {
    #[test]
    fn the_subject_index_finds_every_overlap(
        subjects in prop::collection::vec(subject(), 0..12),
        asked in subject(),
    ) {
        let mut index = SubjectIndex::default();
        let mut taken: Vec<String> = Vec::new();
        for (n, subject) in subjects.iter().enumerate() {
            let conflict = taken.iter().any(|other| overlaps(other, subject));
            prop_assert_eq!(index.overlapping(subject).is_some(), conflict);
            if !conflict {
                index.insert(subject, n as u32);
                taken.push(subject.clone());
            }
        }
        let covering = taken.iter().find(|room| covers(room, &asked));
        let number = covering.and_then(|room| subjects.iter().position(|subject| subject == room));
        prop_assert_eq!(index.covering(&asked), number.map(|n| n as u32));
        for room in &taken {
            index.remove(room);
        }
        prop_assert_eq!(index.overlapping(&asked), None);
    }
}

//! What is a name and what is not.

use super::*;

#[test]
fn names_are_made_of_few_characters() {
    for good in ["a", "node-1", "N_2", &"x".repeat(63)] {
        assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
    }
    for bad in ["", "-a", "a.b", "a b", "ä", "a>", "a:b", "a@b", &"x".repeat(64)] {
        assert_eq!(bad.parse::<NodeName>(), Err(NameError), "{bad:?}");
    }
}

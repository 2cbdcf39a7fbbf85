//! References in documents.

use super::*;

#[test]
fn code_is_found_in_prose_but_not_in_blocks() {
    let text = "See `crates/a` and\n`crates/b`.\n\n```\n`crates/c`\n```\n\nThen `crates/d`.";
    assert_eq!(in_code(text).collect::<Vec<_>>(), ["crates/a", "crates/b", "crates/d"]);
}

#[test]
fn references_are_followed_to_the_function() {
    assert_eq!(broken("xtask/src/tidy.rs"), None);
    assert_eq!(broken("xtask/src/tidy/documents/tests.rs::references_are_followed_to_the_function"), None);
    assert!(broken("xtask/src/gone.rs").is_some());
    assert!(broken("xtask/src/tidy.rs::gone").is_some());
    assert_eq!(broken("not a path"), None);
}

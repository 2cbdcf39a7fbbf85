//! The file rules, tried on small files.

use super::*;
use std::path::PathBuf;

fn problems(name: &str, text: &str) -> Vec<String> {
    let source = Source { path: PathBuf::from(name), name: name.to_owned(), text: text.to_owned() };
    check(&[source]).into_iter().map(|problem| problem.text).collect()
}

#[test]
fn a_good_file_passes() {
    assert_eq!(problems("crates/a/src/b.rs", "//! Words.\nfn f() {}\n"), Vec::<String>::new());
}

#[test]
fn each_rule_is_noticed() {
    assert!(problems("crates/a/src/b.rs", "fn f() {}\n")[0].contains("//!"));
    assert!(problems("crates/a/src/b/mod.rs", "//! Words.\n")[0].contains("mod.rs"));
    let unfinished = format!("//! Words.\nfn f() {{ {}) }}\n", UNFINISHED[0]);
    assert!(problems("crates/a/src/b.rs", &unfinished)[0].contains("line 2"));
    let long = format!("//! Words.\n{}", "fn f() {}\n".repeat(MAX_LINES));
    assert!(problems("crates/a/src/b.rs", &long)[0].contains("601 lines"));
}

#[test]
fn comments_may_name_what_code_may_not() {
    let text = format!("//! Words.\n// never {})\n", UNFINISHED[0]);
    assert_eq!(problems("crates/a/src/b.rs", &text), Vec::<String>::new());
}

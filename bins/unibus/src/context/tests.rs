//! Contexts are kept apart, private and never mixed up.

use super::*;

fn open(root: &Path, name: &str) -> Context {
    let name = name.parse().unwrap();
    Context::open_in(&root.join("config"), &root.join("state"), name, None).unwrap()
}

#[test]
fn what_is_saved_comes_back_for_this_context_only() {
    let root = tempfile::tempdir().unwrap();
    let mut context = open(root.path(), "work");
    context.remembered.bus = Some("http://127.0.0.1:8470".to_owned());
    context.remembered.trust = Trust::CaFingerprint("ab".repeat(32).parse().unwrap());
    context.save().unwrap();

    assert_eq!(open(root.path(), "work").remembered, context.remembered);
    assert_eq!(open(root.path(), "home").remembered, Remembered::default());
    assert!(open(root.path(), "home").bus().unwrap_err().to_string().contains("unibus join"));
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_what_is_saved() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let context = open(root.path(), "work");
    context.save().unwrap();
    let path = context.save_identity(&Identity::generate()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&context.config), 0o700);
    assert_eq!(mode(&context.config.join("context.json")), 0o600);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn an_identity_is_never_replaced() {
    let root = tempfile::tempdir().unwrap();
    let context = open(root.path(), "work");
    assert!(context.identity().unwrap_err().to_string().contains("unibus id new"));
    let first = Identity::generate();
    context.save_identity(&first).unwrap();
    assert!(context.save_identity(&Identity::generate()).is_err());
    assert_eq!(context.identity().unwrap().id(), first.id());
}

#[test]
fn names_cannot_lead_out_of_the_directory() {
    for bad in ["", "..", "a/b", "a b", &"x".repeat(33)] {
        assert!(bad.parse::<ContextName>().is_err(), "{bad:?}");
    }
}

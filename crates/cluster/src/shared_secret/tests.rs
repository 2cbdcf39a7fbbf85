//! Secrets that are taken, and those that are not.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

#[test]
fn a_secret_that_is_not_there_is_made_once_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared.secret");
    let (made, new) = SharedSecret::read_or_make(&path).unwrap();
    assert!(new && made.expose().len() == 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (again, new) = SharedSecret::read_or_make(&path).unwrap();
    assert!(!new && again == made);
    assert!(SharedSecret::read(&path).unwrap() == made);
    assert_eq!(format!("{made:?}"), "SharedSecret(…)");

    let (other, _) = SharedSecret::read_or_make(&directory.path().join("further/down/other")).unwrap();
    assert!(other != made);
}

#[test]
fn what_others_can_read_or_guess_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared.secret");
    fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = SharedSecret::read_or_make(&path).unwrap_err();
    assert!(matches!(open, SharedSecretError::File(FileError::OpenToOthers { .. })), "{open}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SharedSecret::read(&path).unwrap();
    for text in ["", "short", "two words and more, long enough though", &"x".repeat(513)] {
        fs::write(&path, text).unwrap();
        let error = SharedSecret::read(&path).unwrap_err();
        assert!(matches!(error, SharedSecretError::Text { .. }), "{error}");
    }
}

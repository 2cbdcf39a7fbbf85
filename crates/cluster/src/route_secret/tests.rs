//! Which place wins, and what is refused.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use tempfile::TempDir;

use super::*;

const IN_FILE: &str = "file-0123456789abcdef";
const IN_ENVIRONMENT: &str = "environment-0123456789";
const ON_COMMAND_LINE: &str = "flag-0123456789abcdef";

fn file(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn found(places: SecretPlaces<'_>) -> (String, SecretSource) {
    let (secret, origin) = RouteSecret::resolve(places).unwrap().expect("a secret");
    (secret.expose().to_owned(), origin)
}

#[test]
fn a_file_goes_before_the_environment_and_that_before_a_flag() {
    let (_directory, path) = file(&format!("{IN_FILE}\n"), 0o600);
    let all =
        SecretPlaces { file: Some(&path), environment: Some(IN_ENVIRONMENT), flag: Some(ON_COMMAND_LINE) };
    assert_eq!(found(all), (IN_FILE.to_owned(), SecretSource::File));
    let without_file = SecretPlaces { file: None, ..all };
    assert_eq!(found(without_file), (IN_ENVIRONMENT.to_owned(), SecretSource::Environment));
    for nothing in [None, Some("")] {
        let only_flag = SecretPlaces { environment: nothing, ..without_file };
        assert_eq!(found(only_flag), (ON_COMMAND_LINE.to_owned(), SecretSource::Flag));
    }
    assert!(RouteSecret::resolve(SecretPlaces::default()).unwrap().is_none());
}

#[test]
fn a_file_that_was_named_is_used_or_it_is_an_error() {
    let (directory, path) = file(IN_FILE, 0o640);
    let places = |path| SecretPlaces { file: Some(path), environment: Some(IN_ENVIRONMENT), flag: None };
    let refused = RouteSecret::resolve(places(&path));
    assert!(matches!(refused, Err(SecretError::File(FileError::OpenToOthers { mode: 0o640, .. }))));
    let missing = directory.path().join("missing");
    let refused = RouteSecret::resolve(places(&missing));
    assert!(matches!(refused, Err(SecretError::File(FileError::Read { .. }))));
}

#[test]
fn neither_errors_nor_debug_texts_show_a_secret() {
    let wrong = "not a secret: has spaces";
    let refused =
        RouteSecret::resolve(SecretPlaces { flag: Some(wrong), ..SecretPlaces::default() }).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("spaces"));
    let secret: RouteSecret = IN_FILE.parse().unwrap();
    let login = RouteLogin { user: RouteUser::default(), secret };
    assert!(!format!("{login:?}").contains(IN_FILE));
    let places = SecretPlaces { flag: Some(ON_COMMAND_LINE), ..SecretPlaces::default() };
    assert!(!format!("{places:?}").contains(ON_COMMAND_LINE));
}

#[test]
fn what_would_need_quoting_somewhere_is_no_secret() {
    for bad in
        ["short", "$2a$0123456789abcdef", "with space 0123456789", "p@ss:0123456789abc", "ü-0123456789abcdef"]
    {
        assert_eq!(bad.parse::<RouteSecret>().unwrap_err(), SecretTextError, "{bad}");
    }
}

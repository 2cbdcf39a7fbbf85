//! The rules of the key file: private, whole, never overwritten.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use busauth::Identity;
use busauth::identity::file::{Damage, IdentityFileError, load, save_new};
use tempfile::TempDir;

use crate::request::alice;

fn directory() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("alice.identity");
    (directory, path)
}

fn saved() -> (TempDir, PathBuf, String) {
    let (directory, path) = directory();
    save_new(&path, &alice()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    (directory, path, text)
}

/// Writes `content` with the right permissions, so that only the content can be wrong.
fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn damage(path: &Path) -> Damage {
    match load(path) {
        Err(IdentityFileError::Damaged { reason, .. }) => reason,
        other => panic!("expected a damaged file, got {other:?}"),
    }
}

#[test]
fn an_identity_survives_its_file() {
    let (_directory, path, text) = saved();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.id(), alice().id());
    assert_eq!(loaded.login_key(), alice().login_key());
    assert_eq!(loaded.exchange_key(), alice().exchange_key());
    assert_eq!(loaded.certificates(), alice().certificates());
    assert_eq!(loaded.exchange_secret().as_bytes(), alice().exchange_secret().as_bytes());
    assert!(text.contains(&alice().id().to_string()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_others_may_touch_is_refused() {
    let (_directory, path, _) = saved();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o666, 0o610, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = load(&path);
        assert!(
            matches!(&refused, Err(IdentityFileError::OpenToOthers { mode: found, .. }) if *found == mode),
            "{mode:o}: {refused:?}"
        );
        assert!(refused.unwrap_err().to_string().contains("chmod 600"));
    }
    for mode in [0o600, 0o400, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load(&path).unwrap();
    }
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (directory, path, text) = saved();
    let other = Identity::from_seeds([4; 32], [5; 32], [6; 32]);
    assert!(matches!(save_new(&path, &other), Err(IdentityFileError::Exists { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    for content in ["", "something else"] {
        let path = directory.path().join("other");
        fs::write(&path, content).unwrap();
        assert!(matches!(save_new(&path, &other), Err(IdentityFileError::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }

    // Not through a link either, even one that leads nowhere.
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nowhere"), &dangling).unwrap();
    assert!(matches!(save_new(&dangling, &other), Err(IdentityFileError::Exists { .. })));
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let (directory, path, _) = saved();
    let before: Vec<_> = names(directory.path());
    assert!(save_new(&path, &alice()).is_err());
    assert_eq!(names(directory.path()), before);

    let nowhere = directory.path().join("missing/alice.identity");
    assert!(matches!(save_new(&nowhere, &alice()), Err(IdentityFileError::Unwritable { .. })));
    assert_eq!(names(directory.path()), before);
}

fn names(directory: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn of_racing_writers_one_wins() {
    let (directory, path) = directory();
    let winners = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| save_new(&path, &Identity::generate()).is_ok())).collect();
        writers.into_iter().filter_map(|writer| writer.join().unwrap().then_some(())).count()
    });
    assert_eq!(winners, 1);
    load(&path).unwrap();
    assert_eq!(names(directory.path()).len(), 1);
}

#[test]
fn a_missing_unreadable_or_strange_file() {
    let (directory, path) = directory();
    assert!(matches!(load(&path), Err(IdentityFileError::NotFound { .. })));
    assert!(matches!(load(directory.path()), Err(IdentityFileError::NotAFile { .. })));
    assert!(matches!(load(Path::new("/dev/null")), Err(IdentityFileError::NotAFile { .. })));
    // A path below a file can be read by nobody, not even by root, who may read mode 000.
    fs::write(&path, "").unwrap();
    let below = path.join("identity");
    assert!(matches!(load(&below), Err(IdentityFileError::Unreadable { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    assert!(load(&path).is_err());
}

#[test]
fn a_link_to_a_private_file_is_followed() {
    let (directory, path, _) = saved();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(load(&link).unwrap().id(), alice().id());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load(&link), Err(IdentityFileError::OpenToOthers { .. })));
}

#[test]
fn a_truncated_file() {
    let (_directory, path, text) = saved();
    write(&path, "");
    assert_eq!(damage(&path), Damage::Empty);
    for length in 1..text.trim_end().len() {
        write(&path, &text[..length]);
        assert_eq!(damage(&path), Damage::CutOff, "{length}");
    }
}

#[test]
fn garbage() {
    let (_directory, path, text) = saved();
    for garbage in
        ["garbage", "{}", "[]", "null", "-----BEGIN PRIVATE KEY-----", "\0\0\0", &format!("{text}{text}")]
    {
        write(&path, garbage);
        assert!(matches!(damage(&path), Damage::Json { .. }), "{garbage:?}");
    }
    write(&path, [0xff, 0xfe, 0x00]);
    assert!(matches!(damage(&path), Damage::Json { .. }));
    write(&path, vec![b' '; 5000]);
    assert_eq!(damage(&path), Damage::TooLarge);
    write(&path, text.replace("\"login\"", "\"extra\": \"\", \"login\""));
    assert!(matches!(damage(&path), Damage::Json { .. }));
    write(&path, text.replace("\"unibus_identity\": 1", "\"unibus_identity\": 2"));
    assert_eq!(damage(&path), Damage::Version(2));
}

#[test]
fn keys_that_do_not_belong_together() {
    let (_directory, path, text) = saved();
    let bob = Identity::from_seeds([4; 32], [5; 32], [6; 32]);
    write(&path, text.replace(&alice().id().to_string(), &bob.id().to_string()));
    assert_eq!(damage(&path), Damage::IdMismatch);

    let shared = Identity::from_seeds([1; 32], [1; 32], [3; 32]).login_seed();
    write(&path, text.replace(alice().login_seed().as_str(), &shared));
    assert_eq!(damage(&path), Damage::SharedKey);

    let login_seed = alice().login_seed();
    let mistyped = format!("{}A", &login_seed[..57]);
    write(&path, text.replace(login_seed.as_str(), &mistyped));
    assert!(matches!(damage(&path), Damage::Key { member: "login", .. }));
    // An exchange seed where a login seed belongs: swapped lines.
    let swapped = text
        .replace("\"login\"", "\"?\"")
        .replace("\"exchange\"", "\"login\"")
        .replace("\"?\"", "\"exchange\"");
    write(&path, swapped);
    assert!(matches!(damage(&path), Damage::Key { member: "login", .. }));
}

#[test]
fn no_error_repeats_a_secret() {
    let (_directory, path, text) = saved();
    let seed = alice().login_seed();
    for damaged in [
        text.replace("\"login\": \"", "\"login\": "),
        text.replace("\"login\"", &format!("\"{}\"", seed.as_str())),
        text.replace("\"unibus_identity\": 1", &format!("\"unibus_identity\": \"{}\"", seed.as_str())),
        text.replace(seed.as_str(), &seed.to_lowercase()),
    ] {
        write(&path, damaged);
        let error = load(&path).unwrap_err();
        let shown = format!("{error} {error:?}").to_uppercase();
        assert!(!shown.contains(&seed[8..20]), "{shown}");
        assert!(shown.contains("ALICE.IDENTITY"));
    }
}

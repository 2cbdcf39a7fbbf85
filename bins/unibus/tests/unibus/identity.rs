//! `unibus id`

use crate::person::Person;
use busauth::IdentityCard;

#[test]
fn a_new_identity_has_a_card_and_is_kept() {
    let person = Person::new();
    let made = person.run(&["id", "new", "--handle", "bob", "--json"]).ok().json();
    let shown = person.run(&["id", "show", "--json"]).ok().json();
    assert_eq!(made, shown);

    let card = person.run(&["id", "show", "--card"]).ok().stdout;
    let card: IdentityCard = card.trim().parse().unwrap();
    assert_eq!(card.id.to_string(), shown["id"]);
    assert_eq!(card.handle.unwrap().to_string(), "bob");
    assert_eq!(card.id.fingerprint(), shown["fingerprint"]);
}

#[test]
fn a_second_identity_does_not_replace_the_first() {
    let person = Person::new();
    let first = person.run(&["id", "new", "--json"]).ok().json();
    person.run(&["id", "new"]).fails(1);
    assert_eq!(person.run(&["id", "show", "--json"]).ok().json()["id"], first["id"]);
    // Another context is another identity.
    let other = person.run(&["--context", "other", "id", "new", "--json"]).ok().json();
    assert_ne!(other["id"], first["id"]);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_an_identity() {
    use std::os::unix::fs::PermissionsExt as _;
    let person = Person::new();
    let made = person.run(&["id", "new", "--json"]).ok().json();
    let file = std::path::PathBuf::from(made["file"].as_str().unwrap());
    assert!(file.starts_with(person.home()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = person.run(&["id", "show"]).fails(1);
    assert!(outcome.stderr.contains("600"), "says what to do: {outcome:?}");
}

#[cfg(unix)]
#[test]
fn the_login_key_is_written_once_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let person = Person::new();
    let made = person.run(&["id", "new", "--json"]).ok().json();
    let file = person.path("login.nk");
    let login = person.run(&["id", "nkey", "--out", file.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(login["inbox_prefix"], format!("_INBOX_{}", made["id"].as_str().unwrap()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("SU"));
    person.run(&["id", "nkey", "--out", file.to_str().unwrap()]).fails(1);
}

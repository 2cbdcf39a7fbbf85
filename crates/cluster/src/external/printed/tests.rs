//! What is printed: on a real server in `tests/external*.rs`, in the manual here.

use super::*;

fn keys() -> ExternalKeys {
    ExternalKeys::derive(&"cluster-shared-secret-for-tests-0123456789".parse().unwrap())
}

#[test]
fn the_manual_shows_what_is_printed() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/external-nats.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let (_, shown) = manual.split_once("```text\n# For membershipd").expect("the manual shows it");
    let (shown, _) = shown.split_once("```").expect("and ends");
    let printed = external_config(&keys(), &SystemAccount::default());
    assert_eq!(format!("# For membershipd{shown}"), printed);
}

#[test]
fn no_secret_is_printed() {
    let keys = keys();
    let printed = external_config(&keys, &SystemAccount::default());
    assert!(!printed.contains("cluster-shared-secret"));
    for seed in
        [Account::Auth, Account::Ctl, Account::Bus, Account::Sys].map(|account| keys.service.seed(account))
    {
        assert!(!printed.contains(&*seed));
    }
    let mut words = printed.split(|c: char| !c.is_ascii_alphanumeric());
    // A seed is longer than a public key of the same kind, by the letter that it begins with.
    assert!(words.all(|word| word.len() <= 56));
}

#[test]
fn nats_server_takes_it() {
    let Some(server) = crate::fixtures::nats_server() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unibus.conf");
    for name in ["SYS", "$SYS", "admin-1", "1k"] {
        std::fs::write(&path, external_config(&keys(), &name.parse().unwrap())).unwrap();
        let (taken, said) = crate::fixtures::check(&server, &path);
        assert!(taken, "{name}: {said}");
    }
}

#[test]
fn the_system_account_is_one_of_its_own() {
    for text in ["SYS", "$SYS", "admin-1"] {
        let printed = external_config(&keys(), &text.parse().unwrap());
        assert!(printed.contains(&format!("\nsystem_account: \"{text}\"\n")));
    }
    for text in ["", "AUTH", "CTL", "BUS", "two words", "a\"b", &"x".repeat(64)] {
        assert_eq!(text.parse::<SystemAccount>(), Err(SystemAccountError), "{text}");
    }
}

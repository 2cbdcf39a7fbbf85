//! Licence expressions, and the second copy of the lists in `deny.toml`.

use super::*;

#[test]
fn one_good_alternative_is_enough_and_every_required_one_must_be_good() {
    for good in ["MIT", "MIT OR GPL-3.0-only", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(good).unwrap(), "{good}");
    }
    for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH Classpath-exception-2.0"] {
        assert!(!is_allowed(bad).unwrap(), "{bad}");
    }
    assert!(is_allowed("something else").is_err());
}

#[test]
fn deny_toml_says_the_same() {
    let deny = std::fs::read_to_string(crate::workspace::root().join("deny.toml")).unwrap();
    let quoted = |section: &str, key: &str| -> Vec<String> {
        let section = deny.split(&format!("[{section}]")).nth(1).unwrap();
        let list = section.split(&format!("{key} = [")).nth(1).unwrap().split("\n]").next().unwrap();
        let first_string = |line: &str| line.split('"').nth(1).map(str::to_owned);
        list.lines().filter_map(first_string).collect()
    };
    assert_eq!(quoted("licenses", "allow"), LICENCES);
    let listed: Vec<&str> = BANNED.iter().map(|(name, _)| *name).chain(ONCE.iter().copied()).collect();
    assert_eq!(quoted("bans", "deny"), listed);
}

//! The keys are the same everywhere and in every version: operators have them in their configuration.

use super::*;

fn keys() -> ExternalKeys {
    ExternalKeys::derive(&"cluster-shared-secret-for-tests-0123456789".parse().unwrap())
}

#[test]
fn the_published_vectors_are_what_is_derived() {
    let keys = keys();
    let issuer = keys.service.issuer();
    assert_eq!(issuer.public_key(), "AA3P3LW52DVWIHC6IAFZ5FTLQUAPHVVCSSTKRWC3VQSEXT6JQGTLVNQU");
    assert_eq!(issuer.seed().unwrap(), "SAANUQOP4OISKHB2P5YGVCNDSAFKDIR5ZPMIWYO6JED4CR3RYVVZIHJPNY");
    let auth = keys.service.seed(Account::Auth);
    assert_eq!(*auth, "SUABAUJWHHN6NAM5LKDLRRF2NV2IINTHOTZQIEVGN4R7WRV6IHSIS2CXGA");
    assert_eq!(keys.public().auth, "UACIWYCHLWRDUVMDTH37FJBU5C5PO7WBHBFC4AAXQWOQCVZGVF7QMEJG");
    let exchange = keys.service.exchange().unwrap();
    assert_eq!(exchange.seed().unwrap(), "SXAELR3FQWLPDJKQHCD5XBAUXXQP6JDMMPNBMT7NDW6PPHBRJMNGIZFACA");
    assert_eq!(exchange.public_key(), "XAEUYFRUY7DRLPTBJNKBAOOOQXGMXHVLH7I3Q774ASOJKNK77XICQY5D");
}

#[test]
fn no_two_keys_are_alike_and_another_secret_gives_others() {
    let all = |keys: &ExternalKeys| {
        let PublicKeys { issuer, exchange, auth, ctl, bus, sys, ctl_canary, bus_canary } = keys.public();
        [issuer, exchange, auth, ctl, bus, sys, ctl_canary, bus_canary, keys.probe.public_key()]
    };
    let other = ExternalKeys::derive(&"cluster-shared-secret-for-tests-0123456780".parse().unwrap());
    // Without the letter that says what kind of key it is.
    let bodies = [all(&keys()), all(&other)].concat();
    let different: std::collections::BTreeSet<&str> = bodies.iter().map(|key| &key[1..50]).collect();
    assert_eq!(different.len(), 18);
    assert!(!format!("{other:?}").contains("SA"));
}

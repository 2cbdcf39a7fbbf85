//! Users as people write them.

use busauth::Identity;

use super::{Confirm, UserRef};
use crate::error::ErrorKind;

#[test]
fn people_may_write_a_handle_an_id_or_a_card() {
    let identity = Identity::generate();
    let card = identity.card(Some("bob".parse().unwrap()));
    assert!(matches!("bob".parse(), Ok(UserRef::Handle(handle)) if handle.to_string() == "bob"));
    assert!(matches!("@bob".parse(), Ok(UserRef::Handle(_))));
    assert!(matches!(identity.id().to_string().parse(), Ok(UserRef::Id(id)) if id == identity.id()));
    assert!(matches!(format!(" {card}\n").parse(), Ok(UserRef::Card(read)) if read.id == identity.id()));
    for wrong in ["", "Bob", "U", "unibus1:", "bob smith", identity.login_key().to_string()[..55].trim()] {
        assert_eq!(wrong.parse::<UserRef>().unwrap_err().kind(), ErrorKind::Invalid, "{wrong:?}");
    }
}

#[test]
fn a_fingerprint_is_compared_by_its_words() {
    let (bob, mallory) = (Identity::generate().id(), Identity::generate().id());
    let spoken = bob.fingerprint().replace('-', "  ").to_uppercase();
    assert!(Confirm::Fingerprint(spoken.clone()).accepts(bob));
    assert!(!Confirm::Fingerprint(spoken).accepts(mallory));
    assert!(!Confirm::Fingerprint(String::new()).accepts(bob));
    assert!(!Confirm::Pinned.accepts(bob));
}

//! `membershipd external-config`, as the operator of a bus uses it.

use std::fs;

use super::harness::{Failed, Place, mode};

#[tokio::test]
async fn the_configuration_is_printed_and_its_secret_is_made_once() {
    let place = Place::new();
    let print = async |more: &[&str]| {
        let arguments = [&["external-config", "--secret-file", "kept/nats.secret"], more].concat();
        place.command(&arguments).output().await.unwrap()
    };
    let first = print(&[]).await;
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(said.contains("made a new secret: kept/nats.secret"), "{said}");
    let file = place.path("kept/nats.secret");
    assert_eq!(mode(&file), 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    let printed = String::from_utf8(first.stdout).unwrap();
    for part in ["auth_callout {", "issuer: \"A", "xkey: \"X", "system_account: \"SYS\""] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(!printed.contains(secret.trim()));

    let again = print(&[]).await;
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed);
    assert!(again.stderr.is_empty());
    let other = String::from_utf8(print(&["--system-account", "$SYS"]).await.stdout).unwrap();
    assert!(other.contains("system_account: \"$SYS\""), "{other}");

    Failed::of(&print(&["--system-account", "CTL"]).await)
        .says(2, &["--system-account", "not AUTH, CTL or BUS"]);
    fs::write(&file, "short\n").unwrap();
    Failed::of(&print(&[]).await).says(2, &["kept/nats.secret", "openssl rand -hex 32"]);
}

//! Versions as nats-server writes them.

use super::*;

#[test]
fn old_servers_are_told_from_new_ones() {
    for good in [
        "2.11.1",
        "v2.12.0",
        "nats-server: v2.15.1\n",
        "2.11.2-RC.1",
        "2.12.0-beta.1",
        "3.0.0",
        "2.11.1+build",
    ] {
        assert!(good.parse::<ServerVersion>().unwrap().is_supported(), "{good}");
    }
    for old in ["2.10.27", "2.11.0", "2.11.1-RC.1", "1.99.99"] {
        assert!(!old.parse::<ServerVersion>().unwrap().is_supported(), "{old}");
    }
    for nothing in ["", "2", "2.11", "v2.x.1", "2.11.1x", "nats-server"] {
        assert_eq!(nothing.parse::<ServerVersion>(), Err(VersionError), "{nothing}");
    }
}

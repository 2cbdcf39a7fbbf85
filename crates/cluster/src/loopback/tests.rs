//! Here, elsewhere, and unreadable.

use super::*;

#[test]
fn urls_of_this_machine_are_told_from_all_others() {
    for here in [
        "nats://127.0.0.1:4222",
        "nats://127.8.9.10",
        "tls://localhost:4222",
        "nats://user:pass@LOCALHOST:1",
        "nats://[::1]:4222",
        "nats://[::ffff:127.0.0.1]:4222",
        "nats://127.0.0.1:4222,nats://[::1]:4223",
    ] {
        assert!(is_loopback_url(here), "{here}");
    }
    for elsewhere in [
        "nats://192.0.2.1:4222",
        "nats://0.0.0.0:4222",
        "nats://[::]:4222",
        "nats://127.0.0.1.example.com",
        "nats://localhost.example.com",
        "nats://localhost@192.0.2.1:4222",
        "nats://127.0.0.1:4222,nats://192.0.2.1:4222",
        "nats://127.0.0.1:4222,",
        "127.0.0.1:4222",
        "localhost:4222",
        "nats://",
        "://",
        "",
    ] {
        assert!(!is_loopback_url(elsewhere), "{elsewhere}");
    }
}

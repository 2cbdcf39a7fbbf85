//! Which control URLs are taken, and where plaintext is.

use super::{Endpoint, Scheme};
use crate::config::ClientTls;
use crate::error::ErrorKind;
use crate::tls::check_endpoint;

#[test]
fn only_scheme_host_and_port_make_a_control_url() {
    for (text, authority, scheme) in [
        ("http://127.0.0.1:8470", "127.0.0.1:8470", Scheme::Http),
        ("http://[::1]:8470/", "[::1]:8470", Scheme::Http),
        ("https://Bus.Example.org", "bus.example.org", Scheme::Https),
        ("https://bus.example.org:443", "bus.example.org", Scheme::Https),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!((endpoint.authority(), endpoint.scheme()), (authority, scheme));
    }
    for wrong in [
        "",
        "bus.example.org",
        "nats://127.0.0.1:4250",
        "http://user@127.0.0.1:8470",
        "http://127.0.0.1:8470/v1",
        "http://127.0.0.1:8470/?a=b",
        "http://127.0.0.1:8470/#a",
    ] {
        assert_eq!(Endpoint::parse(wrong).unwrap_err().kind(), ErrorKind::Config, "{wrong:?}");
    }
}

#[test]
fn plaintext_stays_on_this_computer() {
    let check = |url: &str, tls: &ClientTls| check_endpoint(&Endpoint::parse(url).unwrap(), tls).is_ok();
    let ca = ClientTls::CaPem(Vec::new());
    for local in ["http://127.0.0.1:1", "http://127.9.9.9:1", "http://[::1]:1", "http://localhost:1"] {
        assert!(check(local, &ClientTls::LoopbackPlaintext), "{local}");
        assert!(!check(local, &ca), "{local}: a CA was configured, so somebody expects TLS");
    }
    for remote in ["http://192.0.2.1:1", "http://bus.example.org:1", "http://localhost.example.org:1"] {
        assert!(!check(remote, &ClientTls::LoopbackPlaintext), "{remote}");
    }
    assert!(check("https://bus.example.org", &ca));
    assert!(!check("https://127.0.0.1:1", &ClientTls::LoopbackPlaintext));
}

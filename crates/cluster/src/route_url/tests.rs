//! Routes with and without a login of their own.

use super::*;

const SECRET: &str = "0123456789abcdef";

fn login() -> RouteLogin {
    RouteLogin { user: "nodes".parse().unwrap(), secret: "shared-0123456789".parse().unwrap() }
}

#[test]
fn a_login_is_added_only_where_there_is_none() {
    let bare: RouteUrl = "nats://192.0.2.1".parse().unwrap();
    assert_eq!(
        *bare.clone().or_login(&login()).render(),
        "nats-route://nodes:shared-0123456789@192.0.2.1:6250"
    );
    assert_eq!(*bare.render(), "nats-route://192.0.2.1:6250");

    let own: RouteUrl = format!("tls://other:{SECRET}@[2001:db8::1]:7000").parse().unwrap();
    assert!(own.carries_login());
    let expected = format!("nats-route://other:{SECRET}@[2001:db8::1]:7000");
    assert_eq!(*own.or_login(&login()).render(), expected);
}

#[test]
fn a_secret_in_a_route_is_not_shown() {
    let url: RouteUrl = format!("nats://other:{SECRET}@node2.example:6250").parse().unwrap();
    assert_eq!(url.to_string(), "nats-route://node2.example:6250");
    assert!(!format!("{url:?}").contains(SECRET));
}

#[test]
fn what_is_not_one_peer_is_refused() {
    let cases = [
        ("192.0.2.1:6250", RouteUrlError::Syntax),
        ("nats://192.0.2.1:0", RouteUrlError::Syntax),
        ("http://192.0.2.1", RouteUrlError::Scheme),
        ("nats://", RouteUrlError::Host),
        ("nats://a_b:1", RouteUrlError::Host),
        ("nats://node2,node3:6250", RouteUrlError::Host),
        ("nats://user@node2", RouteUrlError::Login),
        ("nats://user:short@node2", RouteUrlError::Login),
        ("nats://:0123456789abcdef@node2", RouteUrlError::Login),
        ("nats://node2/path", RouteUrlError::Trailing),
        ("nats://node2?tls=1", RouteUrlError::Trailing),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<RouteUrl>(), Err(expected), "{text}");
    }
}

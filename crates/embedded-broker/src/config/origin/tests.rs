//! What is an origin, and when it is the server's own.

use super::Origin;

fn origin(text: &str) -> Origin {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn one_origin_has_one_meaning() {
    assert_eq!(origin("https://App.Example"), origin("https://app.example:443"));
    assert_eq!(origin("http://localhost:8080").to_string(), "http://localhost:8080");
    assert_eq!(origin("http://[::1]:80").to_string(), "http://[::1]");
    assert_ne!(origin("http://app.example"), origin("https://app.example"));
}

#[test]
fn what_is_no_origin() {
    for text in [
        "",
        "null",
        "app.example",
        "//app.example",
        "ftp://app.example",
        "https://",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?x",
        "https://user@app.example",
        "https://app.example:",
        "https://app.example:99999",
        "https://a b",
    ] {
        assert!(text.parse::<Origin>().is_err(), "{text}");
    }
}

#[test]
fn same_origin_compares_scheme_host_and_port() {
    let page = origin("https://app.example");
    assert!(page.is_of("app.example", true) && page.is_of("APP.example:443", true));
    assert!(!page.is_of("app.example:8443", true) && !page.is_of("other.example", true));
    // Behind something that adds TLS.
    assert!(page.is_of("app.example", false));
    // A page that anybody on the network could have changed, and a server with TLS.
    assert!(!origin("http://app.example").is_of("app.example", true));
    assert!(!origin("http://app.example").is_of("app.example:443", true));
    assert!(origin("http://localhost:8080").is_of("localhost:8080", false));
    for host in ["", "app.example/", "user@app.example", "app.example#"] {
        assert!(!page.is_of(host, true), "{host}");
    }
}

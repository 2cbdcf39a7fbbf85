//! Lines as nats-server writes them.

use super::*;

fn forwarder() -> (Forwarder, LastWords) {
    let last_words = LastWords::default();
    (Forwarder::new("node-1".to_owned(), last_words.clone()), last_words)
}

#[test]
fn lines_are_told_apart_by_their_level() {
    let line = |level| format!("[4711] 2026/11/21 20:51:22.278708 [{level}] JetStream [x] is [y] here");
    for (written, level) in [
        ("INF", Level::Info),
        ("WRN", Level::Warning),
        ("ERR", Level::Error),
        ("FTL", Level::Fatal),
        ("DBG", Level::Debug),
    ] {
        assert_eq!(parse(&line(written)), Some((level, "JetStream [x] is [y] here")));
    }
    for other in ["nats-server: file:7:1: unknown field", "  goroutine 1 [running]:", "[x] [INF] y", ""] {
        assert_eq!(parse(other), None, "{other}");
    }
}

#[test]
fn the_last_words_about_a_failure_are_kept() {
    let (mut forwarder, last_words) = forwarder();
    let now = Instant::now();
    forwarder.line("[1] 2026/11/21 20:51:22.278708 [FTL] Error listening on port: in use", now);
    forwarder.line("[1] 2026/11/21 20:51:22.278709 [INF] Server Exiting..", now);
    assert_eq!(last_words.get().unwrap(), "Error listening on port: in use");
    forwarder.line("nats-server: /proc/self/fd/40:7:1: unknown field \"foo\"", now);
    assert!(last_words.get().unwrap().contains("unknown field"));
}

#[test]
fn a_configuration_that_is_valid_is_no_failure() {
    let (mut forwarder, last_words) = forwarder();
    let line = "nats-server: configuration file /proc/self/fd/40 is valid (sha256:0123)";
    forwarder.line(line, Instant::now());
    assert_eq!((forwarder.level, last_words.get()), (Level::Info, None));
}

#[test]
fn trouble_with_routes_is_kept_for_a_while() {
    let (mut forwarder, last_words) = forwarder();
    let now = Instant::now();
    let line = |text: &str| format!("[1] 2026/11/21 20:51:22.278708 [ERR] {text}");
    forwarder.line(&line("127.0.0.1:4250 - cid:7 - authentication error"), now);
    assert_eq!(last_words.about_routes(now), None);
    forwarder.line(&line("127.0.0.1:6250 - rid:7 - authentication error"), now);
    assert!(last_words.about_routes(now).unwrap().ends_with("authentication error"));
    assert_eq!(last_words.about_routes(now + TROUBLE), None);
    assert_eq!(last_words.get(), None, "nothing that ends a server");
}

#[test]
fn a_flood_is_counted_and_not_forwarded() {
    let (mut forwarder, _) = forwarder();
    let now = Instant::now();
    for number in 0..1000 {
        forwarder.line(&format!("[1] 2026/11/21 20:51:22.278708 [ERR] route {number}"), now);
    }
    assert_eq!((forwarder.forwarded, forwarder.left_out), (LINES, 1000 - LINES));
    forwarder.line("[1] 2026/11/21 20:51:22.278708 [ERR] later", now + PERIOD * 2);
    assert_eq!((forwarder.forwarded, forwarder.left_out), (1, 0));
    for _ in 0..9 {
        forwarder.line("[1] 2026/11/21 20:51:22.278708 [ERR] later", now + PERIOD * 2);
    }
    assert_eq!((forwarder.forwarded, forwarder.repeated), (1, 9));
}

#[tokio::test]
async fn nothing_that_clients_put_into_a_line_ends_the_log() {
    let mut said = b"[1] 2026/11/21 20:51:22.278708 [ERR] Subscription Violation - SID \xff\n".to_vec();
    said.extend([b'x'].repeat(3 * MAX_LINE));
    said.extend(b"\n[1] 2026/11/21 20:51:22.278708 [FTL] the end");
    let last_words = LastWords::default();
    forward(&said[..], "node-1".to_owned(), last_words.clone()).await;
    assert_eq!(last_words.get().unwrap(), "the end");
}

#[test]
fn what_it_says_of_a_full_disk_is_kept() {
    let (mut forwarder, last_words) = forwarder();
    let now = Instant::now();
    let mut hear = |level: &str, text: &str| {
        forwarder.line(&format!("[1] 2026/11/21 20:51:22.278708 [{level}] {text}"), now);
    };
    let critical = "Critical write error: write /js/1.blk: no space left on device";
    hear("ERR", &format!("127.0.0.1:1 - cid:5 - \"Filestore [x] {critical}\" - Filestore [x] {critical}"));
    hear("WRN", &format!("Filestore [S] {critical}"));
    hear("ERR", "Filestore [S] Critical write error: write /js/1.blk: input/output error");
    hear("ERR", "Filestore [S] Error compacting: write /js/1.blk: no space left on device");
    assert_eq!(last_words.about_a_full_disk(), None);
    for text in [
        format!("Filestore [S] {critical}"),
        format!("RAFT [BXScrY9i - S-R3F-0iE10bqD] {critical}"),
        "JetStream stream 'BUS > S' critical write error: write /js/1.blk: no space left on device"
            .to_owned(),
    ] {
        hear("ERR", &text);
        assert_eq!(last_words.about_a_full_disk(), Some(text));
    }
}

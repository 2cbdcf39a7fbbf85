//! Reading and changing header blocks.

use super::Headers;

const BLOCK: &[u8] = b"NATS/1.0 100 Idle\r\nA: 1\r\na:2\r\nA: 3\r\nB :x\r\n\r\n";

fn block() -> Headers<'static> {
    Headers::new(BLOCK.len(), BLOCK)
}

#[test]
fn the_first_value_of_a_name_as_it_is_written() {
    assert_eq!(block().get("A"), Some("1"));
    assert_eq!(block().get("a"), Some("2"));
    assert_eq!(block().get("B"), None);
    assert_eq!(Headers::new(0, BLOCK).get("A"), None);
    assert_eq!(Headers::new(BLOCK.len() + 1, BLOCK).get("A"), None, "more than there is");
    assert!(block().any_begins_with("B"));
    assert!(!block().any_begins_with("NATS"), "the first line is no header");
}

#[test]
fn what_is_no_text_counts_as_absent() {
    let block = b"NATS/1.0\r\nA: \xff\r\n\r\n";
    assert_eq!(Headers::new(block.len(), block).get("A"), None);
}

#[test]
fn the_lines_without_the_first_and_the_last() {
    assert_eq!(block().body(), b"A: 1\r\na:2\r\nA: 3\r\nB :x\r\n");
    assert_eq!(Headers::new(0, b"").body(), b"");
}

#[test]
fn another_value_takes_the_place_of_the_first() {
    let changed = block().with("A", "9");
    assert_eq!(changed, b"NATS/1.0 100 Idle\r\nA: 9\r\na:2\r\nA: 3\r\nB :x\r\n\r\n");
    assert_eq!(block().with("C", "9"), BLOCK);
}

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
}

#[test]
fn what_is_no_text_counts_as_absent() {
    let block = b"NATS/1.0\r\nA: \xff\r\nA: 1\r\n\r\n";
    assert_eq!(Headers::new(block.len(), block).get_all("A", &["A"]), [None], "the first one counts");
    let block = b"NATS/1.0\r\nA: \xff\r\n\r\n";
    assert_eq!(Headers::new(block.len(), block).get("A"), None);
}

#[test]
fn many_names_are_found_as_each_for_itself_is() {
    let block = b"NATS/1.0\r\nN-A: 1\r\nN-a:2\r\nM: 4\r\nN-A: 3\r\nN-B :x\r\nN-AB:  y:z \r\nN-C\r\n\r\n";
    let headers = Headers::new(block.len(), block);
    let names = ["N-A", "N-a", "N-B", "N-AB", "N-C", "N-"];
    assert_eq!(headers.get_all("N-", &names), [Some("1"), Some("2"), None, Some("y:z"), None, None]);
    assert_eq!(headers.get_all("N-", &names), names.map(|name| headers.get(name)));
    assert_eq!(Headers::new(0, b"").get_all("N-", &names), [None; 6]);
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

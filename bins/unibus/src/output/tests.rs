//! What comes from others cannot take over the terminal.

use super::*;

#[test]
fn control_characters_are_made_visible() {
    assert_eq!(printable("a\x1b[2Jb\rc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    assert_eq!(printable("grüße,\n\t世界"), "grüße,\n\t世界");
}

#[test]
fn further_lines_of_others_are_indented() {
    assert_eq!(block("fine\nerror: not\r\n\n", "  "), "fine\n  error: not\u{fffd}\n  \n  ");
}

#[test]
fn nothing_is_painted_where_colour_is_off() {
    assert_eq!(Paint { on: false }.paint(Style::Bold, "x"), "x");
    assert_eq!(Paint { on: true }.paint(Style::Bold, "x"), "\x1b[1mx\x1b[0m");
}

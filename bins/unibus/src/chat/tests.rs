//! What typed lines mean.

use super::*;

#[test]
fn lines_are_said_and_slashes_are_for_us() {
    let said = |text: &str| Meaning::Typed(Typed::Say(text.to_owned()));
    assert_eq!(understand("hello there \n"), said("hello there"));
    assert_eq!(understand("//who"), said("/who"));
    assert_eq!(understand("  "), Meaning::Nothing);
    assert_eq!(understand("/who"), Meaning::Typed(Typed::Who));
    assert_eq!(understand("/quit"), Meaning::Quit);
    assert_eq!(understand("/wave"), Meaning::Typed(Typed::Unknown("wave".to_owned())));
}

//! The subject algebra against a naive matcher that expands everything.

use proptest::prelude::*;

use super::*;

/// Tokens that real and generated subjects are made of; small, so that collisions are common.
const ALPHABET: [&str; 3] = ["a", "b", "a*b"];

/// Every subject of up to four tokens over the alphabet: filters of up to three tokens cannot tell longer
/// ones apart, so this set decides cover and overlap.
fn universe() -> Vec<Subject> {
    let mut all: Vec<Vec<&str>> = ALPHABET.iter().map(|token| vec![*token]).collect();
    let mut longest = all.clone();
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|head| ALPHABET.iter().map(move |token| [head.as_slice(), &[*token]].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all.iter().map(|tokens| tokens.join(".").parse().unwrap()).collect()
}

/// Matching written down again, by recursion over token lists.
fn naive_match(filter: &[&str], subject: &[&str]) -> bool {
    match (filter, subject) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", filter @ ..], [_, subject @ ..]) => naive_match(filter, subject),
        ([own, filter @ ..], [token, subject @ ..]) => own == token && naive_match(filter, subject),
        _ => false,
    }
}

fn naive(filter: &SubjectFilter, subject: &Subject) -> bool {
    naive_match(&filter.tokens().collect::<Vec<_>>(), &subject.tokens().collect::<Vec<_>>())
}

pub(crate) fn any_filter() -> impl Strategy<Value = SubjectFilter> {
    let token = prop_oneof![3 => prop::sample::select(&ALPHABET[..]), 2 => Just("*")];
    (prop::collection::vec(token, 0..=3), any::<bool>()).prop_filter_map("empty", |(mut tokens, tail)| {
        if tail {
            tokens.truncate(2);
            tokens.push(">");
        }
        tokens.join(".").parse().ok()
    })
}

pub(crate) fn any_subject() -> impl Strategy<Value = Subject> {
    prop::collection::vec(prop::sample::select(&ALPHABET[..]), 1..=4)
        .prop_map(|tokens| tokens.join(".").parse().unwrap())
}

proptest! {
    #[test]
    fn matching_agrees_with_the_naive_matcher(filter in any_filter(), subject in any_subject()) {
        prop_assert_eq!(filter.matches(&subject), naive(&filter, &subject));
        prop_assert_eq!(filter.matches_str(subject.as_str()), naive(&filter, &subject));
    }

    #[test]
    fn covering_and_overlapping_agree_with_every_subject(a in any_filter(), b in any_filter()) {
        let all = universe();
        prop_assert_eq!(a.covers(&b), all.iter().all(|s| !naive(&b, s) || naive(&a, s)));
        prop_assert_eq!(a.overlaps(&b), all.iter().any(|s| naive(&a, s) && naive(&b, s)));
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
    }

    #[test]
    fn parsing_never_panics_and_keeps_the_text(text in ".{0,40}") {
        if let Ok(subject) = text.parse::<Subject>() {
            prop_assert_eq!(subject.as_str(), &text);
            prop_assert!(text.parse::<SubjectFilter>().unwrap().matches(&subject));
        }
    }
}

#[test]
fn malformed_subjects_are_refused_with_their_reason() {
    for (text, reason) in [
        ("", SubjectError::EmptyToken),
        (".", SubjectError::EmptyToken),
        (".a", SubjectError::EmptyToken),
        ("a.", SubjectError::EmptyToken),
        ("a..b", SubjectError::EmptyToken),
        ("a b", SubjectError::ForbiddenCharacter),
        ("a\r\nPUB x", SubjectError::ForbiddenCharacter),
        ("a\0", SubjectError::ForbiddenCharacter),
        ("a.*", SubjectError::Wildcard),
        (">", SubjectError::Wildcard),
    ] {
        assert_eq!(text.parse::<Subject>(), Err(reason), "{text:?}");
    }
    assert_eq!("a.>.b".parse::<SubjectFilter>(), Err(SubjectError::TailNotLast));
    assert_eq!("a".repeat(MAX_SUBJECT_BYTES + 1).parse::<Subject>(), Err(SubjectError::TooLong));
}

#[test]
fn wildcard_characters_inside_a_token_are_literal() {
    let filter: SubjectFilter = "foo*bar.>x".parse().unwrap();
    assert!(!filter.has_wildcard());
    assert!(filter.matches_str("foo*bar.>x"));
    assert!(!filter.matches_str("fooXbar.>x"));
}

#[test]
fn a_subject_with_empty_tokens_matches_nothing() {
    for subject in ["", ".", "a..b", ".a", "a."] {
        assert!(!SubjectFilter::everything().matches_str(subject), "{subject:?}");
    }
}

#[test]
fn within_is_a_matter_of_whole_tokens() {
    let subject = |text: &str| text.parse::<Subject>().unwrap();
    assert!(subject("lab").is_within(&subject("lab")));
    assert!(subject("lab.sensors").is_within(&subject("lab")));
    assert!(!subject("laboratory").is_within(&subject("lab")));
    assert!(!subject("lab").is_within(&subject("lab.sensors")));
}

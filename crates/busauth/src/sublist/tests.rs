//! The index against a plain list of filters.

use proptest::prelude::*;

use super::*;
use crate::subject::{
    Subject,
    tests::{any_filter, any_subject},
};

fn filter(text: &str) -> SubjectFilter {
    text.parse().unwrap()
}

fn sorted(mut values: Vec<u32>) -> Vec<u32> {
    values.sort_unstable();
    values
}

fn matched(index: &Sublist<u32>, subject: &str) -> Vec<u32> {
    let mut found = Vec::new();
    index.matches(subject, &mut |value| found.push(*value));
    sorted(found)
}

fn covering(index: &Sublist<u32>, filter: &SubjectFilter) -> Vec<u32> {
    let mut found = Vec::new();
    index.covering(filter, &mut |value| found.push(*value));
    sorted(found)
}

fn overlapping(index: &Sublist<u32>, filter: &SubjectFilter) -> Vec<u32> {
    let mut found = Vec::new();
    index.overlapping(filter, &mut |value| found.push(*value));
    sorted(found)
}

/// The same answers by asking every filter.
fn listed(list: &[(SubjectFilter, u32)], wanted: impl Fn(&SubjectFilter) -> bool) -> Vec<u32> {
    sorted(list.iter().filter(|(filter, _)| wanted(filter)).map(|(_, value)| *value).collect())
}

#[derive(Debug, Clone)]
enum Step {
    Insert(SubjectFilter, u32),
    Remove(usize),
    RemoveAbsent(SubjectFilter),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any_filter(), 0..5u32).prop_map(|(filter, value)| Step::Insert(filter, value)),
        2 => any::<prop::sample::Index>().prop_map(|index| Step::Remove(index.index(1 << 20))),
        1 => any_filter().prop_map(Step::RemoveAbsent),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn agrees_with_a_list_through_inserts_and_removes(
        steps in any_steps(), subject in any_subject(), other in any_filter(),
    ) {
        let mut index = Sublist::new();
        let mut list: Vec<(SubjectFilter, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(filter, value) => {
                    index.insert(&filter, value);
                    list.push((filter, value));
                }
                Step::Remove(at) if !list.is_empty() => {
                    let (filter, value) = list.swap_remove(at % list.len());
                    prop_assert!(index.remove(&filter, &value));
                }
                Step::Remove(_) => {}
                Step::RemoveAbsent(filter) => prop_assert!(!index.remove(&filter, &99)),
            }
            prop_assert_eq!(index.len(), list.len());
        }
        prop_assert_eq!(matched(&index, subject.as_str()), listed(&list, |f| f.matches(&subject)));
        prop_assert_eq!(index.has_match(subject.as_str()), list.iter().any(|(f, _)| f.matches(&subject)));
        prop_assert_eq!(covering(&index, &other), listed(&list, |f| f.covers(&other)));
        prop_assert_eq!(overlapping(&index, &other), listed(&list, |f| f.overlaps(&other)));
        prop_assert_eq!(index.overlaps(&other), list.iter().any(|(f, _)| f.overlaps(&other)));
    }
}

#[test]
fn removing_everything_frees_every_node() {
    let mut index = Sublist::new();
    let filters: Vec<_> = ["a.b.c", "a.*.c", "a.>", "a", ">", "*.b.>"].map(filter).into();
    for round in 0..3 {
        for filter in &filters {
            index.insert(filter, 1u32);
        }
        let nodes = index.nodes.len();
        for filter in &filters {
            assert!(index.remove(filter, &1));
        }
        assert!(index.is_empty());
        assert_eq!(index.free.len(), nodes - 1, "round {round}: all but the root are free again");
    }
}

#[test]
fn retain_takes_out_of_one_filter_only() {
    let mut index = Sublist::new();
    for text in ["a.b", "a.>", "a.*"] {
        for value in 0..10u32 {
            index.insert(&filter(text), value);
        }
    }
    assert_eq!(index.retain(&filter("a.b"), |value| value % 2 == 0), 5);
    assert_eq!(index.retain(&filter("a.>"), |_| false), 10);
    assert_eq!(index.retain(&filter("a.c"), |_| false), 0);
    assert_eq!(index.len(), 15);
    assert_eq!(matched(&index, "a.b").len(), 15);
    assert_eq!(matched(&index, "a.c"), (0..10).collect::<Vec<_>>());
    assert_eq!(index.retain(&filter("a.b"), |_| false) + index.retain(&filter("a.*"), |_| false), 15);
    assert_eq!(index.free.len(), index.nodes.len() - 1, "all but the root are free again");
}

#[test]
fn a_subject_of_thousands_of_tokens_costs_no_stack() {
    let literal = vec!["t"; 4000].join(".");
    let stars = vec!["*"; 4000].join(".");
    let mut index = Sublist::new();
    index.insert(&filter(&literal), 1u32);
    index.insert(&filter(&stars), 2);
    index.insert(&filter(&format!("{}.>", &literal[..literal.len() - 2])), 3);
    assert_eq!(matched(&index, &literal), [1, 2, 3]);
    assert_eq!(covering(&index, &filter(&stars)), [2]);
    assert_eq!(overlapping(&index, &filter(">")), [1, 2, 3]);
    assert!(index.remove(&filter(&literal), &1));
    assert_eq!(matched(&index, &literal), [2, 3]);
    drop(index);
}

#[test]
fn wildcards_in_a_published_subject_are_literal() {
    let mut index = Sublist::new();
    for (value, text) in ["foo.*", "foo.bar", "foo.>"].into_iter().enumerate() {
        index.insert(&filter(text), value as u32);
    }
    assert_eq!(matched(&index, "foo.*"), [0, 2]);
    assert_eq!(matched(&index, "foo.>"), [0, 2]);
    assert_eq!(matched(&index, "foo..bar"), Vec::<u32>::new());
    assert!("foo.bar".parse::<Subject>().is_ok());
}

//! Wrong command lines, help, completions: nothing that needs a bus.

use crate::person::Person;

#[test]
fn a_wrong_command_line_is_a_usage_failure() {
    let person = Person::new();
    person.run(&["rooom"]).fails(2);
    person.run(&["room", "create", "not a subject"]).fails(2);
    person.run(&["--context", "../x", "status"]).fails(2);
}

#[test]
fn help_and_documentation_list_the_same_exit_codes() {
    let help = Person::new().run(&["--help"]).ok().stdout;
    let documented = include_str!("../../../../docs/unibus.md");
    let codes = help.split("Exit codes:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(codes.lines().count() > 8, "{help}");
    assert!(documented.contains(codes), "docs/unibus.md has other exit codes than --help");
    assert!(help.contains("completions"), "{help}");
}

#[test]
fn completions_name_the_verbs() {
    let script = Person::new().run(&["completions", "bash"]).ok().stdout;
    assert!(script.contains("chat") && script.contains("room"), "no verbs in the script");
}

#[test]
fn without_a_bus_the_next_step_is_named() {
    let person = Person::new();
    let outcome = person.run(&["status"]).fails(1);
    assert!(outcome.stderr.contains("unibus join URL"), "{outcome:?}");
    let outcome = person.run(&["id", "show"]).fails(1);
    assert!(outcome.stderr.contains("unibus id new"), "{outcome:?}");
}

#[test]
fn failures_are_json_where_json_was_asked_for() {
    let outcome = Person::new().run(&["--json", "status"]).fails(1);
    let failure: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(failure["error"]["code"], 1);
}

//! Reading the runner's report.

use super::*;

#[test]
fn suites_are_added_up_and_sorted() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="run" tests="3" failures="1" errors="0" skipped="4" time="2.5">
          <testsuite name="a" tests="1"><testcase name="x" time="0.25"/></testsuite>
          <testsuite name="b" tests="2">
            <testcase name="y" time="1.0"/>
            <testcase name="z" time="1.5"><failure/></testcase>
          </testsuite>
        </testsuites>"#;
    let report = Report::parse(text).unwrap();
    assert_eq!((report.tests, report.failed, report.skipped), (3, 1, 4));
    assert!((report.seconds - 2.5).abs() < 1e-9);
    let shown: Vec<_> = report.suites.iter().map(|s| (s.name.as_str(), s.tests, s.seconds)).collect();
    assert_eq!(shown, [("b", 2, 2.5), ("a", 1, 0.25)]);
}

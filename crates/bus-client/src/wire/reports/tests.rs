//! A flood of reports loses some, and says so.

use super::*;

#[tokio::test]
async fn what_is_lost_is_reported() {
    let (reporter, mut reports) = channel();
    let refused = |n: u64| Report::Refused(n.to_string());
    let many = REPORTS as u64;
    for n in 0..many + 3 {
        reporter.report(refused(n));
    }
    assert_eq!(reports.recv().await, Some(Report::Lost(3)));
    assert_eq!(reports.recv().await, Some(refused(0)));
    // There is room for one, and none for the other.
    reporter.report(refused(many + 3));
    reporter.report(refused(many + 4));
    assert_eq!(reports.recv().await, Some(Report::Lost(1)));
    for n in (1..many).chain([many + 3]) {
        assert_eq!(reports.recv().await, Some(refused(n)));
    }
    drop(reporter);
    assert_eq!(reports.recv().await, None);
}

//! One deadline for all steps, and nothing that was cut off goes unmentioned.

use std::future::pending;
use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn steps_share_one_deadline_and_what_hangs_is_named() {
    let mut stop = Stop::within(Duration::from_secs(10));
    assert_eq!(stop.step("quick", async { 1 }).await, Some(1));
    assert_eq!(stop.step("slow", tokio::time::sleep(Duration::from_secs(4))).await, Some(()));
    assert_eq!(stop.left(), Duration::from_secs(6));
    assert_eq!(stop.step("hanging", pending::<()>()).await, None);
    // The time is used up: what is done already still counts, what would need time does not.
    assert_eq!(stop.step("done already", async { 2 }).await, Some(2));
    assert_eq!(stop.step("too late", tokio::time::sleep(Duration::from_secs(1))).await, None);
    let report = stop.report();
    assert!(!report.is_clean());
    assert_eq!(report.aborted, ["hanging", "too late"]);
}

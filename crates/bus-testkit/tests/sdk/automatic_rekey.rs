//! Owners' SDKs replace the key unasked when somebody left or was revoked.

use bus_client::{ErrorKind, Event};

use super::support::{Lab, event, message, text};

#[tokio::test]
async fn a_revoked_member_is_removed_with_a_new_epoch() {
    let lab = Lab::open().await;
    let mut alice = lab.alice.bus.events();
    let mut bob = lab.bob.bus.events();
    let before = lab.at_alice.state().epoch().unwrap().n;
    lab.bus.revoke(&lab.bob.identity).await.unwrap();
    event(&mut bob, "revocation", |event| *event == Event::Revoked).await;
    event(&mut alice, "rekey", |event| matches!(event, Event::Rekeyed { .. })).await;
    let state = lab.at_alice.state();
    assert!(state.member(&lab.bob.identity.id()).is_none());
    assert_eq!(state.epoch().unwrap().n, before + 1);
    assert_eq!(lab.bob.bus.me().await.unwrap_err().kind(), ErrorKind::Revoked);
    lab.stop().await;
}

#[tokio::test]
async fn a_leave_is_followed_by_a_new_epoch() {
    let lab = Lab::open().await;
    let mut alice = lab.alice.bus.events();
    let before = lab.at_alice.state().epoch().unwrap().n;
    lab.at_bob.leave().await.unwrap();
    event(&mut alice, "rekey", |event| matches!(event, Event::Rekeyed { .. })).await;
    let state = lab.at_alice.state();
    assert_eq!((state.member_count(), state.epoch().unwrap().n, state.rekey_due()), (1, before + 1, false));
    let mut own = lab.at_alice.subscribe().await.unwrap();
    lab.at_alice.publish("alone").await.unwrap();
    assert_eq!(text(&message(&mut own).await), "alone");
    drop(own);
    lab.stop().await;
}

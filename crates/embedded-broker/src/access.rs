//! Live changes of access: what is in force when the call returns.
//!
//! *Accepted* means appended to every subscriber's outbound buffer. After [`change`] has returned, nothing is accepted
//! from a user, or appended for it, under old rights. For each connection of the user:
//!
//! 1. the rights are swapped: every batch that begins from now on uses the new ones;
//! 2. `dispatch` is taken: a batch that was approved before is fully appended by then;
//! 3. under the outbound mutex the subscriptions that are lost end, so that a publisher which already looked them up
//!    finds them dead, and the delivery rights are replaced; the `-ERR`s are queued behind the last message;
//! 4. the lost subscriptions leave the index;
//! 5. deliveries of JetStream that were allowed before are waited for: a delivery holds `Engine::deliveries` for reading
//!    from the check of the rights that it was asked for under to its append.
//!
//! Bytes that were in the buffer before were accepted and may still be sent, unless the user lost everything: then
//! the buffer is thrown away.
//!
//! Lock order: access → dispatch → index → outbound.

use std::sync::Arc;

use busauth::{Acl, Principal, SubscribeDecision};

use crate::{
    Authentication,
    broker::Shared,
    routing::Subscription,
    session::{CloseReason, Connection, violation},
};

/// Puts the current rights of a principal in force on all its connections.
pub(crate) fn change(shared: &Shared, principal: &Principal) {
    shared.registry.begin_access_change();
    for connection in shared.registry.of(principal) {
        let Authentication::By(authenticator) = &connection.door.authentication else {
            continue;
        };
        let _access = connection.access.lock();
        match authenticator.rights(principal) {
            Some(acl) => change_rights(shared, &connection, &acl),
            None => disconnect(shared, &connection, CloseReason::AuthorizationViolation),
        }
    }
    shared.settle_deliveries();
}

/// Ends a connection at once: nothing is accepted from it any more, and what waits for it is thrown away.
pub(crate) fn disconnect(shared: &Shared, connection: &Connection, reason: CloseReason) {
    connection.rights.store(Arc::clone(&shared.no_rights));
    let ended = {
        let mut dispatch = connection.dispatch.lock();
        let ended = dispatch.close();
        connection.outbound.discard(reason);
        ended
    };
    shared.index.remove(&ended);
}

fn change_rights(shared: &Shared, connection: &Connection, acl: &Arc<Acl>) {
    connection.rights.store(Arc::clone(acl));
    let mut dispatch = connection.dispatch.lock();
    let decide =
        |subscription: &Subscription| acl.may_subscribe(subscription.filter().as_str(), subscription.queue());
    let lost: Vec<_> = dispatch
        .subscriptions
        .values()
        .filter(|subscription| decide(subscription) == SubscribeDecision::Refused)
        .cloned()
        .collect();
    for subscription in &lost {
        dispatch.subscriptions.remove(subscription.sid());
    }
    connection.outbound.change(Arc::clone(acl), || {
        for subscription in &lost {
            subscription.end();
        }
        for subscription in dispatch.subscriptions.values() {
            subscription.set_filtered(decide(subscription) == SubscribeDecision::AllowedFiltered);
        }
    });
    shared.index.remove(&lost);
    for subscription in &lost {
        let sid = String::from_utf8_lossy(subscription.sid());
        let text = format!("{} (sid \"{sid}\")", violation(subscription.filter(), subscription.queue()));
        if connection.outbound.error(&text) {
            connection.outbound.wake();
        }
    }
}

#[cfg(test)]
mod tests;

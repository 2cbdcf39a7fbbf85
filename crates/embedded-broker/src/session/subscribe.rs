//! SUB and UNSUB.

use std::sync::Arc;

use busauth::{QueueGroup, SubjectFilter, SubscribeDecision};

use super::batch::Batch;
use crate::{
    protocol::{Subscribe, Unsubscribe},
    routing::Subscription,
};

/// Queue group of nats-server's own services.
const RESERVED_QUEUE: &str = "_sys_";

impl Batch<'_> {
    pub(super) fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        let Some((filter, queue)) = parse(subscribe) else {
            return self.error("Invalid Subject");
        };
        let queue_name = queue.as_ref().map(QueueGroup::as_str);
        let decision = match queue_name {
            Some(RESERVED_QUEUE) => SubscribeDecision::Refused,
            queue => self.acl.may_subscribe(filter.as_str(), queue),
        };
        let filtered = match decision {
            SubscribeDecision::Refused => return self.error(&violation(&filter, queue_name)),
            SubscribeDecision::Allowed => false,
            SubscribeDecision::AllowedFiltered => true,
        };
        let limit = self.shared.limits.max_subscription_tokens;
        if limit.is_some_and(|limit| filter.tokens().count() > limit) {
            return self.error(&format!("{}, too many tokens", violation(&filter, None)));
        }
        let limit = self.shared.limits.max_subscriptions;
        if limit.is_some_and(|limit| self.dispatch.subscriptions.len() >= limit) {
            // Those that just reached their maximum take no place.
            self.forget_spent();
            if limit.is_some_and(|limit| self.dispatch.subscriptions.len() >= limit) {
                return self.error("maximum subscriptions exceeded");
            }
        }
        // A second subscription of the same name is ignored, unless the first one just ended by itself.
        let known = self.dispatch.subscriptions.get(subscribe.sid);
        if known.is_none_or(|known| !known.is_live()) {
            let outbound = Arc::clone(&self.connection.outbound);
            let subscription = Arc::new(Subscription::new(filter, queue, subscribe.sid, filtered, outbound));
            self.shared.index.insert(&subscription);
            self.dispatch.subscriptions.insert(subscribe.sid.into(), subscription);
        }
        self.ok();
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        if let Some(subscription) = self.dispatch.subscriptions.get(unsubscribe.sid) {
            let subscription = Arc::clone(subscription);
            let ended = subscription.outbound().while_quiet(|| subscription.end_after(unsubscribe.max));
            if ended {
                self.forget(&subscription);
                self.shared.index.remove([&subscription]);
            }
        }
        self.ok();
    }

    /// Takes a subscription out of the table, if it is still the one of its name.
    pub(super) fn forget(&mut self, subscription: &Arc<Subscription>) {
        let table = &mut self.dispatch.subscriptions;
        if table.get(subscription.sid()).is_some_and(|known| Arc::ptr_eq(known, subscription)) {
            table.remove(subscription.sid());
        }
    }
}

fn parse(subscribe: &Subscribe<'_>) -> Option<(SubjectFilter, Option<QueueGroup>)> {
    let filter = std::str::from_utf8(subscribe.filter).ok()?.parse().ok()?;
    let queue = match subscribe.queue {
        None => None,
        Some(queue) => Some(std::str::from_utf8(queue).ok()?.parse().ok()?),
    };
    Some((filter, queue))
}

/// What a client is told about a subscription it may not have. Clients match this text.
pub(crate) fn violation(filter: &SubjectFilter, queue: Option<&str>) -> String {
    match queue {
        None => format!("Permissions Violation for Subscription to \"{filter}\""),
        Some(queue) => {
            format!("Permissions Violation for Subscription to \"{filter}\" using queue \"{queue}\"")
        }
    }
}

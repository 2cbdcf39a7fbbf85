//! One message on its way to everybody on its route.

use std::sync::Arc;

use super::{
    cache::Route,
    queue_group::Dice,
    sink::{Inbound, Sink, Taken},
    subscription::Subscription,
};
use crate::{
    pressure::Pressure,
    protocol::MessageFrame,
    session::{After, Delivery, Outbound},
};

/// What a run of deliveries leaves to do, when its batch is over.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// Connections whose writers have to be woken.
    pub(crate) to_wake: Vec<Arc<Outbound>>,
    /// Connections whose buffers are nearly full.
    pub(crate) full: Vec<Arc<Outbound>>,
    /// Queues inside the broker that are full.
    pub(crate) pressed: Vec<Arc<Pressure>>,
    /// Receivers inside the broker that took something.
    took: Vec<Arc<dyn Sink>>,
}

/// What became of one message.
pub(crate) struct Delivered {
    /// How many received it.
    pub(crate) accepted: usize,
    /// Subscriptions that reached their maximum with it: they have to leave the index.
    pub(crate) spent: Vec<Arc<Subscription>>,
}

/// One message on its way to its subscribers.
pub(crate) struct FanOut<'a> {
    /// What subscriptions and delivery rights are asked about.
    pub(crate) subject: &'a str,
    /// What subscribers receive.
    pub(crate) frame: &'a MessageFrame<'a>,
    /// The connection that does not want its own messages back.
    pub(crate) skip: Option<u64>,
    pub(crate) aftermath: &'a mut Aftermath,
}

impl Aftermath {
    /// Writes what is little at once and wakes the writers for the rest, and wakes whoever works for the receivers inside
    /// the broker. For threads that are none of the runtime's.
    pub(crate) fn write(&mut self) {
        self.end_batches();
        for outbound in self.to_wake.drain(..) {
            outbound.write_or_wake();
        }
    }

    /// Wakes the writers, and whoever works for the receivers inside the broker. Answers whether there was a writer.
    pub(crate) fn wake(&mut self) -> bool {
        self.end_batches();
        let any = !self.to_wake.is_empty();
        for outbound in self.to_wake.drain(..) {
            outbound.wake();
        }
        any
    }

    fn end_batches(&mut self) {
        for sink in self.took.drain(..) {
            sink.batch_ends();
        }
    }
}

impl FanOut<'_> {
    /// Appends the message for everybody who is to have it, receivers inside the broker last.
    pub(crate) fn run(mut self, route: &Route, dice: &mut Dice, inbound: &Inbound<'_>) -> Delivered {
        let mut delivered = Delivered { accepted: 0, spent: Vec::new() };
        for subscription in &route.plain {
            self.append(subscription, &mut delivered);
        }
        for group in &route.groups {
            // The first member that takes it has it.
            let _taken = group.in_random_order(dice).any(|member| self.append(member, &mut delivered));
        }
        for sink in &route.sinks {
            match sink.offer(inbound) {
                Taken::No => continue,
                Taken::Yes => {}
                Taken::Pressed(pressure) => {
                    if !self.aftermath.pressed.iter().any(|known| Arc::ptr_eq(known, &pressure)) {
                        self.aftermath.pressed.push(pressure);
                    }
                }
            }
            if !self.aftermath.took.iter().any(|known| Arc::ptr_eq(known, sink)) {
                self.aftermath.took.push(Arc::clone(sink));
            }
            delivered.accepted += 1;
        }
        delivered
    }

    /// Appends the message for one subscription. Answers whether it was accepted there.
    fn append(&mut self, subscription: &Arc<Subscription>, delivered: &mut Delivered) -> bool {
        let outbound = subscription.outbound();
        if self.skip == Some(outbound.connection()) {
            return false;
        }
        let Delivery::Accepted(After { wake, stall, spent }) =
            outbound.deliver(subscription, self.subject, self.frame)
        else {
            return false;
        };
        let Aftermath { to_wake, full, .. } = self.aftermath;
        if wake {
            to_wake.push(Arc::clone(outbound));
        }
        if stall && !full.iter().any(|known| Arc::ptr_eq(known, outbound)) {
            full.push(Arc::clone(outbound));
        }
        if spent {
            delivered.spent.push(Arc::clone(subscription));
        }
        delivered.accepted += 1;
        true
    }
}

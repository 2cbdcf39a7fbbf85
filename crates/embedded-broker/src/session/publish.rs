//! PUB and HPUB: may it, who receives it, append it to each of them.

use busauth::Acl;

use super::{Dispatch, batch::Batch};
use crate::{
    ReplyPolicy,
    protocol::{self, MessageFrame, Publish},
    routing::{FanOut, Inbound, RouteId},
};

/// Reply subjects nats-server keeps for itself: nobody may pretend that a reply goes there.
const RESERVED_REPLIES: [&str; 3] = ["$JS.ACK.", "_R_.", "_GR_."];

/// Subjects nats-server keeps for traffic between servers.
const RESERVED_SUBJECTS: [&str; 2] = ["_GR_.", "$NRG."];

impl Batch<'_> {
    pub(super) fn publish(&mut self, publish: &Publish<'_>) {
        self.received.messages += 1;
        self.received.bytes += publish.body.len() as u64;
        let Ok(subject) = std::str::from_utf8(publish.subject) else {
            return self.error("Invalid Publish Subject");
        };
        if self.client.pedantic && !is_literal(subject) {
            // The message still goes its way, as on nats-server.
            self.error("Invalid Publish Subject");
        }
        let route = self.dispatch.routes.locate(subject, &self.shared.index);
        if !self.may_publish(subject, route) {
            return self.error(&format!("Permissions Violation for Publish to \"{subject}\""));
        }
        if let Some(reply) = publish.reply
            && !may_reply_to(reply, &self.acl, self.shared.reply_policy)
        {
            let reply = String::from_utf8_lossy(reply);
            return self.error(&format!("Permissions Violation for Publish with Reply of \"{reply}\""));
        }
        self.ok();
        let frame = MessageFrame {
            subject: publish.subject,
            reply: publish.reply,
            header_len: publish.header_len,
            body: publish.body,
        };
        let accepted = self.deliver(subject, route, &frame);
        self.work += accepted;
        if accepted == 0 && self.client.no_responders {
            self.no_responders(&frame);
        }
    }

    fn may_publish(&mut self, subject: &str, route: RouteId) -> bool {
        if RESERVED_SUBJECTS.iter().any(|reserved| subject.starts_with(reserved)) {
            return false;
        }
        self.dispatch.routes[route].may_publish || self.connection.outbound.take_reply_permission(subject)
    }

    /// Appends the frame for everybody who is to have it. Answers how many they are.
    fn deliver(&mut self, subject: &str, route: RouteId, frame: &MessageFrame<'_>) -> usize {
        let skip = (!self.client.echo).then_some(self.connection.id);
        let Dispatch { routes, dice, aftermath, .. } = &mut *self.dispatch;
        let inbound = Inbound {
            subject,
            reply: frame.reply,
            header_len: frame.header_len,
            body: frame.body,
            from: Some(self.connection),
        };
        let fan_out = FanOut { subject, frame, skip, aftermath };
        let delivered = fan_out.run(&routes[route], dice, &inbound);
        self.shared.index.remove(&delivered.spent);
        delivered.accepted
    }

    /// Tells the requester that nobody received its request, if it listens for the reply.
    fn no_responders(&mut self, request: &MessageFrame<'_>) {
        let Some(reply) = request.reply.and_then(|reply| std::str::from_utf8(reply).ok()) else {
            return;
        };
        let Some(subscription) = self.shared.index.plain_of(self.connection.id, reply) else {
            return;
        };
        let status = protocol::no_responders(request.subject);
        let frame =
            MessageFrame { subject: reply.as_bytes(), reply: None, header_len: status.len(), body: &status };
        // Not a delivery: it does not count for the subscription's maximum. The subscription lives, since whoever
        // ends it needs `dispatch`.
        let sid = subscription.sid();
        let wake = self
            .connection
            .outbound
            .append(frame.encoded_len(sid.len()), |out| protocol::write_message(out, &frame, sid));
        self.wake_self(wake);
    }
}

fn may_reply_to(reply: &[u8], acl: &Acl, policy: ReplyPolicy) -> bool {
    if RESERVED_REPLIES.iter().any(|reserved| reply.starts_with(reserved.as_bytes())) {
        return false;
    }
    match policy {
        ReplyPolicy::AsNatsServer => true,
        // Whoever answers may have more rights than the client; it must not lend them.
        ReplyPolicy::Checked => std::str::from_utf8(reply)
            .is_ok_and(|reply| acl.may_receive(reply, None) || acl.may_publish(reply)),
    }
}

fn is_literal(subject: &str) -> bool {
    subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
}

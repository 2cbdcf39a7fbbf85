//! Identities, signed requests, subjects and permissions of the bus

mod acl;
mod authenticator;
mod permissions;
mod subject;
mod sublist;

pub use acl::{Acl, SubscribeDecision};
pub use authenticator::{AuthFailure, Authenticated, Authenticator, Presented, Principal};
pub use permissions::{
    Permissions, PublishRules, QueueFilter, QueueUse, ResponsePolicy, Space, SubscribeRule, SubscribeRules,
};
pub use subject::{MAX_SUBJECT_BYTES, QueueGroup, Subject, SubjectError, SubjectFilter};
pub use sublist::Sublist;

//! What is needed to break a cluster on purpose and to find out whether it kept its promises.
//!
//! ```text
//! clients ──► Recorder ──► Record ─┐
//!   │                              ├──► check ──► Violations
//!   └─► Line ──► node ──► Snapshot ┘     pauses
//!        ▲
//!  Plan ─┘ (kill, stop, cut, slow down, …)
//! ```
//!
//! Clients note what they ask for and what they are answered in a [`Recorder`]; meanwhile a [`Plan`] says what goes wrong
//! when, with [`Line`]s in place of the network. When everything is whole again a [`Snapshot`] of each node is compared
//! with the [`Record`]: [`check`] is a pure function, and its own tests show that it finds what it is there to find.

mod check;
mod dice;
mod line;
mod pauses;
mod plan;
mod record;
mod recorder;

pub use check::{Bounds, Violation, check};
pub use line::{Direction, Flow, Line};
pub use pauses::{Pauses, pause_after, pauses};
pub use plan::{Cut, Fault, Form, Onset, Plan, Renewal, Step, Who};
pub use record::{
    Entry, Message, Moment, Node, Nonce, Operation, Outcome, Received, Record, Room, SeenLog, Snapshot,
    Trouble, User, Write,
};
pub use recorder::{Attempt, Recorder};

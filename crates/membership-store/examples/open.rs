//! Opens a store, admits a user, creates a room and reads both back from the view.
//!
//! `cargo run -p membership-store --example open`

use std::time::{SystemTime, UNIX_EPOCH};

use busauth::Identity;
use membership_store::{BusRole, MembershipStore as _, NewRoom, NewUser, SqliteStore};
use room_protocol::{Encryption, FirstOwner, History, Op, RoomLimits, Statement};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(directory.path().join("unibus.db")).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();

    let ann = Identity::generate();
    let handle: busauth::Handle = "ann".parse()?;
    let card = ann.card(Some(handle.clone()));
    store.add_user(NewUser { card, handle: handle.clone(), role: BusRole::Admin, at: now }).await?;

    // A room is whatever the first statement of its log says, signed by its owner.
    let create = Op::Create {
        subject: "lab.sensors".parse()?,
        name: "Sensors".parse()?,
        encryption: Encryption::None,
        history: History::Shared,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(&ann, handle),
        epoch: None,
    };
    let first = Statement::first(create, now * 1000).sign(&ann);
    store.create_room(NewRoom::new(first, Vec::new(), now)?).await?;

    // Permissions are answered from memory, by the same store, without waiting for the disk.
    let view = store.view();
    for (room, role) in view.memberships(&ann.id()) {
        println!("{} is {role:?} of {} on {}", ann.id(), room.name, room.subject);
    }
    assert!(view.room_of_subject("lab.sensors.kitchen").is_some());

    store.close().await;
    Ok(())
}

//! A stored state is the state.

use room_protocol::{Op, RoomRole, RoomState};
use serde_json::{Value, json};

use crate::support::{PLAIN, PRIVATE, Room, SHARED};

#[test]
fn a_stored_state_is_read_back_and_goes_on() {
    for kind in [PRIVATE, SHARED, PLAIN] {
        let mut room = Room::of_three(kind);
        room.say(1, Room::leave(1));
        let stored = serde_json::to_string(room.state()).unwrap();
        let read: RoomState = serde_json::from_str(&stored).unwrap();
        assert_eq!(&read, room.state());
        let next = room.entry(0, room.add(5, RoomRole::Writer));
        assert_eq!(read.apply(&next), room.state().apply(&next));
        let refused = room.entry(0, Room::leave(0));
        assert_eq!(read.apply(&refused), room.state().apply(&refused));
        room.say(0, Op::Close {});
        let stored = serde_json::to_string(room.state()).unwrap();
        assert!(serde_json::from_str::<RoomState>(&stored).unwrap().is_closed());
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let stored = serde_json::to_value(Room::of_three(PRIVATE).state()).unwrap();
    let damaged = |change: fn(&mut Value)| {
        let mut stored = stored.clone();
        change(&mut stored);
        serde_json::from_value::<RoomState>(stored)
    };
    assert!(damaged(|_| ()).is_ok());
    assert!(damaged(|stored| stored["epoch"] = Value::Null).is_err());
    assert!(damaged(|stored| stored["members"] = json!([])).is_err());
    assert!(damaged(|stored| stored["members"][1] = stored["members"][0].clone()).is_err());
    assert!(
        damaged(|stored| stored["members"][1]["handle"] = stored["members"][0]["handle"].clone()).is_err()
    );
    assert!(damaged(|stored| stored["more"] = json!(1)).is_err());
    assert!(damaged(|stored| stored["subject"] = json!("unibus.x")).is_err());
}

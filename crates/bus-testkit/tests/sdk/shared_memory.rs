//! Two programs of one person share a memory, as two terminals do, and do not get in each other's way.

use std::fs;

use bus_client::{Bus, ErrorKind, LogTrust};

use super::support::{Lab, SUBJECT, config, message, remembering, text};

#[tokio::test]
async fn two_programs_with_one_memory_both_hear_everything_once() {
    let lab = Lab::open().await;
    let directory = lab.bus.scratch().join("bob");
    let connect = || Bus::connect(remembering(config(&lab.bus, &lab.bob.identity), &directory));
    let (first, second) = (connect().await.unwrap(), connect().await.unwrap());
    let (first_room, second_room) = (first.room(SUBJECT).await.unwrap(), second.room(SUBJECT).await.unwrap());
    let mut first_heard = first_room.subscribe().await.unwrap();
    let mut second_heard = second_room.subscribe().await.unwrap();
    for round in ["one", "two", "three"] {
        lab.at_alice.publish(round).await.unwrap();
        assert_eq!(text(&message(&mut first_heard).await), round);
        assert_eq!(text(&message(&mut second_heard).await), round);
        // Both follow the log and write it down; whoever is slower finds it there.
        lab.at_alice.rekey().await.unwrap();
    }
    drop((first_heard, first_room));
    first.shutdown().await.unwrap();

    let third = connect().await.unwrap();
    let third_room = third.room(SUBJECT).await.unwrap();
    let mut third_heard = third_room.subscribe().await.unwrap();
    lab.at_alice.publish("four").await.unwrap();
    assert_eq!(text(&message(&mut second_heard).await), "four");
    assert_eq!(text(&message(&mut third_heard).await), "four");
    assert_eq!((second_room.trust(), third_room.trust()), (LogTrust::Intact, LogTrust::Intact));
    drop((second_heard, second_room, third_heard, third_room));
    second.shutdown().await.unwrap();
    third.shutdown().await.unwrap();
    lab.stop().await;
}

/// A damaged memory is nobody's lie: the error names the file, and what to do about it helps.
#[tokio::test]
async fn a_damaged_log_file_is_named_and_moving_it_away_helps() {
    let lab = Lab::open().await;
    let directory = lab.bus.scratch().join("bob");
    let connect = || Bus::connect(remembering(config(&lab.bus, &lab.bob.identity), &directory));
    let bus = connect().await.unwrap();
    drop(bus.room(SUBJECT).await.unwrap());
    bus.shutdown().await.unwrap();
    let file = directory.join(format!("rooms/{}.log", lab.at_bob.id()));
    let mut log = fs::read(&file).unwrap();
    log[0] ^= 1;
    fs::write(&file, &log).unwrap();

    let bus = connect().await.unwrap();
    let refused = bus.room(SUBJECT).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::State);
    assert!(refused.to_string().contains(&format!("move {} away", file.display())), "{refused}");
    fs::rename(&file, file.with_extension("damaged")).unwrap();
    let room = bus.room(SUBJECT).await.unwrap();
    assert_eq!(room.trust(), LogTrust::Intact);
    drop(room);
    bus.shutdown().await.unwrap();
    assert!(fs::read(&file).unwrap().len() == log.len(), "it is written anew");
    lab.stop().await;
}

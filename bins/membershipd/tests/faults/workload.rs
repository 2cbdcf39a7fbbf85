//! What clients do in a run, each over and over until it is over.

use std::sync::Arc;
use std::time::Duration;

use bus_testkit::faults::{Node, Outcome, User, Write};
use busauth::http_signature::sign;
use busauth::{HttpNonce, RequestTarget};
use control_api::{Me, Problem, ProblemCode, Timestamp};
use futures_util::future::join_all;
use http::{Method, header};
use room_protocol::{History, RoomRole};

use super::clocks::now;
use super::cluster::{AGAIN, NAME};
use super::held::Held;
use super::listener::{Reader, connect_anywhere, hear, say};
use super::requests::{self, Request};
use super::sdk;
use super::world::World;

/// Who does something; everybody else is there to be added to rooms.
pub(crate) const PEOPLE: usize = 11;
/// Messages of each speaker while both are members.
const MESSAGES: usize = 12;
/// How long a speaker tries, much shorter than the time for which a message is known when it is sent again.
const SAY: Duration = Duration::from_secs(15);
/// How long somebody tries who has no right to.
const SAY_IN_VAIN: Duration = Duration::from_millis(700);
/// Between two writes of the same client: there are two processors for all of this in some places.
const CALM: Duration = Duration::from_millis(200);
pub(crate) const CLIENT_PATIENCE: Duration = Duration::from_secs(3);

/// An owner makes rooms, takes a guest in, talks, takes the guest out again, and goes on talking.
pub(crate) async fn talk(world: &World, owner: User, guest: User) {
    while !world.is_over() {
        if one_talk(world, owner, guest).await.is_none() {
            return;
        }
    }
}

/// `None` when the run is over.
async fn one_talk(world: &World, owner: User, guest: User) -> Option<()> {
    let mut held = Held::create(world, owner, History::Shared).await?;
    let room = held.room.clone();
    held.add(guest, RoomRole::Writer).await?;
    world.look_at_log(&room, world.next_node()).await;
    // Stock clients have what they were given from their next connection on.
    let owners = connect_anywhere(world, owner).await?;
    let guests = connect_anywhere(world, guest).await?;
    let heard = guests.subscribe(room.subject.to_string()).await.ok()?;
    let mut reader = Reader::new(owners.clone(), world.identity(owner), &room);
    let talking = async {
        for _ in 0..MESSAGES {
            say(world, (owner, &owners), &mut reader, SAY).await;
            say(world, (guest, &guests), &mut reader, SAY).await;
            world.pause(CALM).await;
        }
        world.look_at_log(&room, world.next_node()).await;
        held.remove(guest).await?;
        for _ in 0..3 {
            say(world, (owner, &owners), &mut reader, SAY).await;
            say(world, (guest, &guests), &mut reader, SAY_IN_VAIN).await;
        }
        world.look_at_log(&room, world.next_node()).await;
        Some(())
    };
    tokio::select! {
        talked = talking => talked,
        () = hear(world, guest, &room, heard) => Some(()),
    }
}

/// An owner takes one visitor after the other in and talks with it, until the visitor is shut out of the bus.
pub(crate) async fn host(world: &World, owner: User, visitors: &[User]) {
    for visitor in visitors {
        if one_visit(world, owner, *visitor).await.is_none() {
            return;
        }
    }
}

/// `None` when the run is over.
async fn one_visit(world: &World, owner: User, visitor: User) -> Option<()> {
    let mut held = Held::create(world, owner, History::Shared).await?;
    let room = held.room.clone();
    held.add(visitor, RoomRole::Writer).await?;
    let owners = connect_anywhere(world, owner).await?;
    let visitors = connect_anywhere(world, visitor).await?;
    let heard = visitors.subscribe(room.subject.to_string()).await.ok()?;
    let mut reader = Reader::new(owners.clone(), world.identity(owner), &room);
    let visiting = async {
        for _ in 0..3 {
            say(world, (owner, &owners), &mut reader, SAY).await;
            say(world, (visitor, &visitors), &mut reader, SAY).await;
        }
        let path = format!("/v1/users/{}", world.identity(visitor).id());
        world.until_done(world.admin(), Write::Revoke { user: visitor }, &path, &()).await?;
        for _ in 0..3 {
            say(world, (owner, &owners), &mut reader, SAY).await;
            say(world, (visitor, &visitors), &mut reader, SAY_IN_VAIN).await;
            ask(world, visitor).await;
        }
        Some(())
    };
    tokio::select! {
        visited = visiting => visited,
        // The server has closed the connection for good; whoever is shut out tries again all the same.
        () = async { hear(world, visitor, &room, heard).await; std::future::pending().await } => None,
    }
}

/// Sends a request to each node, each with a signature of its own.
async fn ask(world: &World, user: User) {
    let asking = (0..3).map(|node| async move {
        let nonce = world.next_nonce();
        let attempt = world.recorder.attempt(user, Node(node), Write::Spend { nonce });
        let control = world.cluster.control(node, world.identity(user));
        match tokio::time::timeout(CLIENT_PATIENCE, control.get::<Me>("/v1/me")).await {
            Ok(Ok(_)) => attempt.ended(Outcome::Acknowledged),
            Ok(Err(error)) if error.problem().is_some_and(|problem| problem.status == 401) => {
                attempt.ended(Outcome::Refused);
            }
            Ok(Err(_)) | Err(_) => {}
        }
    });
    world.over.run_until_cancelled(join_all(asking)).await;
}

/// Small changes, one soon after the other, so that it can be seen for how long none is possible.
pub(crate) async fn administer(world: &World, clerk: User, crowd: &[User]) {
    while !world.is_over() {
        let Some(mut held) = Held::create(world, clerk, History::None).await else { return };
        for user in crowd {
            if held.add(*user, RoomRole::Reader).await.is_none() {
                return;
            }
            world.pause(CALM).await;
        }
        world.look_at_log(&held.room, world.next_node()).await;
    }
}

/// Signs requests and sends each to all nodes at once: one of them may accept it. When a node says that its clock is another
/// one, the next is signed by that clock, as the SDK does.
pub(crate) async fn spend(world: &World, user: User) {
    let client = world.cluster.http(CLIENT_PATIENCE);
    let target = RequestTarget { method: &Method::GET, authority: NAME, path: "/v1/me", query: None };
    let mut told: Option<u64> = None;
    while !world.is_over() {
        let created = told.unwrap_or_else(now);
        let signature = sign(world.identity(user), &target, None, created, &HttpNonce::random());
        let nonce = world.next_nonce();
        let sending = (0..3).map(|node| {
            let url = format!("{}/v1/me", world.cluster.control_url(node));
            let request = client.get(url).header(header::HOST, NAME).headers(signature.clone());
            async move {
                let attempt = world.recorder.attempt(user, Node(node), Write::Spend { nonce });
                let answer = spent(request.send().await.ok()?).await;
                attempt.ended(answer.outcome);
                answer.clock
            }
        });
        let answers = world.over.run_until_cancelled(join_all(sending)).await.unwrap_or_default();
        told = answers.into_iter().flatten().last();
        world.requests.note(Request { by: user, nonce, created, signature });
        world.pause(AGAIN * 3).await;
    }
}

/// What a node said to a request that is for nothing but its nonce.
pub(crate) struct Spent {
    pub(crate) outcome: Outcome,
    /// What the node's clock says, where the request's time was no good.
    clock: Option<u64>,
}

pub(crate) async fn spent(answer: reqwest::Response) -> Spent {
    let status = answer.status();
    if status.is_success() {
        return Spent { outcome: Outcome::Acknowledged, clock: None };
    }
    let problem: Option<Problem> = answer.text().await.ok().and_then(|text| serde_json::from_str(&text).ok());
    match problem {
        // It was not let in.
        Some(problem) if problem.status == 401 => {
            let clock = problem.time.filter(|_| problem.code == ProblemCode::ClockSkew);
            Spent { outcome: Outcome::Refused, clock: clock.map(Timestamp::unix) }
        }
        _ => Spent { outcome: Outcome::Unknown, clock: None },
    }
}

/// Control writes and nonces alone. Rooms that keep messages have leaders of their own, which say so in the logs of nodes
/// until nothing else is found there.
pub(crate) async fn control_plane(world: Arc<World>, crowd: usize) {
    let crowd: Vec<User> = (PEOPLE..PEOPLE + crowd).map(User).collect();
    tokio::join!(
        administer(&world, User(4), &crowd),
        administer(&world, User(5), &crowd),
        administer(&world, User(6), &crowd),
        spend(&world, User(7)),
    );
}

/// All of it. Returns when the run is over and everybody has stopped.
pub(crate) async fn everybody(world: Arc<World>, crowd: usize) {
    let crowd: Vec<User> = (PEOPLE..PEOPLE + crowd).map(User).collect();
    let visitors: Vec<User> = (PEOPLE + crowd.len()..world.admin().0).map(User).collect();
    tokio::join!(
        talk(&world, User(0), User(1)),
        talk(&world, User(2), User(3)),
        // Of several, at least one does not wait for a node that does not answer.
        administer(&world, User(4), &crowd),
        administer(&world, User(5), &crowd),
        administer(&world, User(6), &crowd),
        spend(&world, User(7)),
        requests::replay(&world),
        sdk::talk(&world, User(8), User(9)),
        host(&world, User(10), &visitors),
    );
}

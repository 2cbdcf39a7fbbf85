//! Users of a bus, each with a room of its own.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bus_testkit::{BusRole, ControlClient, PlainRoom};
use busauth::Identity;
use control_api::{Log, Me, NewUser, UserInfo};
use room_protocol::History;
use tokio::time::{Instant, sleep};

use crate::nodes::Cluster;

/// After a start requests are not accepted for a moment, and a node learns of users from another one.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// The users.
pub(crate) struct Crowd(Vec<Member>);

/// A user with a room.
pub(crate) struct Member {
    pub(crate) identity: Arc<Identity>,
    pub(crate) user: UserInfo,
    pub(crate) room: PlainRoom,
}

impl Crowd {
    /// Admits so many, spread over the nodes, and has each make a room.
    pub(crate) async fn create(cluster: &Cluster, users: usize) -> Result<Self> {
        let admin = cluster.admin();
        accepted(&admin).await?;
        let mut members = Vec::new();
        for number in 0..users {
            let identity = Arc::new(Identity::generate());
            let handle = Some(format!("user-{number}").parse()?);
            let new = NewUser { card: identity.card(None), handle, role: BusRole::Member };
            let user: UserInfo = admin.post("/v1/users", &new).await?;
            let control = cluster.control(number, &identity);
            accepted(&control).await?;
            let room = PlainRoom::create(control, &format!("room{number}"), History::None).await?;
            members.push(Member { identity, user, room });
        }
        Ok(Self(members))
    }

    /// A user by number, the numbers beginning again after the last.
    pub(crate) fn member(&self, number: usize) -> &Member {
        &self.0[number % self.0.len()]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    /// Makes sure that every node has everything that was written to the rooms' logs.
    pub(crate) async fn check_logs(&self, cluster: &Cluster) -> Result<()> {
        for member in self.iter() {
            let (path, written) = (format!("/v1/rooms/{}/log", member.room.id()), member.room.state().head());
            for node in 0..cluster.nodes.len() {
                let control = cluster.control(node, &member.identity);
                let began = Instant::now();
                loop {
                    let head = control.get::<Log>(&path).await?.head;
                    if head == written {
                        break;
                    }
                    ensure!(began.elapsed() < PATIENCE, "a node has {head} where {written} was written");
                    sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }
}

/// Waits until a user's requests are accepted.
pub(crate) async fn accepted(control: &ControlClient) -> Result<()> {
    let began = Instant::now();
    while let Err(error) = control.get::<Me>("/v1/me").await {
        if began.elapsed() > PATIENCE {
            return Err(error).context("a node does not accept requests");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

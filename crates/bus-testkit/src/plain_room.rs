//! A room without encryption, made without the SDK: for tests of stock NATS clients, which read and write
//! such rooms as they are.

use std::time::{SystemTime, UNIX_EPOCH};

use busauth::{Identity, UserId};
use control_api::{Append, Appended, Me, NewRoom, RoomInfo, UserInfo};
use parking_lot::Mutex;
use room_protocol::{
    Encryption, FirstOwner, History, Op, RoomId, RoomLimits, RoomName, RoomRole, RoomState, Statement,
};

use crate::control_client::ControlClient;

/// The room, in its owner's hands.
#[derive(Debug)]
pub struct PlainRoom {
    owner: ControlClient,
    state: Mutex<RoomState>,
}

impl PlainRoom {
    /// Makes a room on this subject, owned by whoever signs.
    pub async fn create(owner: ControlClient, subject: &str, history: History) -> anyhow::Result<Self> {
        let me: Me = owner.get("/v1/me").await?;
        let name: RoomName = subject.parse()?;
        let create = Op::Create {
            subject: subject.parse()?,
            name,
            encryption: Encryption::None,
            history,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(owner.identity(), me.user.handle),
            epoch: None,
        };
        let first = Statement::first(create, now_ms()).sign(owner.identity());
        let _room: RoomInfo = owner.post("/v1/rooms", &NewRoom::new(&first, Vec::new())).await?;
        let state = Mutex::new(RoomState::open(&first)?);
        Ok(Self { owner, state })
    }

    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.state.lock().id()
    }

    /// The room as its log says, as far as this owner has written it.
    pub fn state(&self) -> RoomState {
        self.state.lock().clone()
    }

    /// The room's subject; the room covers it and everything below.
    pub fn subject(&self) -> String {
        self.state.lock().subject().to_string()
    }

    /// Adds a user of the bus. What it may do now is in force when this returns.
    pub async fn add(&self, user: &Identity, role: RoomRole) -> anyhow::Result<()> {
        let user: UserInfo = self.owner.get(&format!("/v1/users/{}", user.id())).await?;
        let card = user.card()?;
        self.append(Op::add(&card, user.handle, role, None)).await
    }

    /// Changes what a member may do, in force when this returns.
    pub async fn set_role(&self, user: UserId, role: RoomRole) -> anyhow::Result<()> {
        self.append(Op::SetRole { user, role }).await
    }

    /// Removes a member; it can neither send nor receive here any more when this returns.
    pub async fn remove(&self, user: UserId) -> anyhow::Result<()> {
        self.append(Op::Remove { user, epoch: None }).await
    }

    /// Changes what is kept of the room's messages.
    pub async fn set_limits(&self, limits: RoomLimits) -> anyhow::Result<()> {
        let name = self.state.lock().name().clone();
        self.append(Op::Update { name, limits }).await
    }

    /// Ends the room's traffic.
    pub async fn close(&self) -> anyhow::Result<()> {
        self.append(Op::Close {}).await
    }

    /// Puts any statement of the owner on the room's log, in force when this returns.
    pub async fn append(&self, op: Op) -> anyhow::Result<()> {
        let (entry, next) = {
            let state = self.state.lock();
            let entry = state.next_statement(op, now_ms()).sign(self.owner.identity());
            let next = state.apply(&entry)?;
            (entry, next)
        };
        let path = format!("/v1/rooms/{}/log", self.id());
        let _appended: Appended = self.owner.post(&path, &Append::new(&entry, Vec::new())).await?;
        *self.state.lock() = next;
        Ok(())
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

//! Protocol cases as data: what is sent on which connection, and exactly what comes back. `differential.rs` runs all
//! of them against this broker and against nats-server.

mod core;
mod limits;
mod permissions;

use std::{collections::HashMap, net::SocketAddr};

use crate::support::RawClient;

pub(crate) use self::{
    core::CORE,
    limits::LIMITS,
    permissions::{PERMISSIONS, users},
};

/// One case. Subjects are its own, so that cases can run one after the other on one server.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
}

/// One step; the first text names the connection.
pub(crate) enum Step {
    /// Connects and reads INFO.
    Open(&'static str),
    /// Connects with everything off, and waits for PONG.
    Quiet(&'static str),
    /// Connects with headers and no responders, and waits for PONG and the second INFO.
    Modern(&'static str),
    /// Connects as a user.
    User(&'static str, &'static str),
    /// Sends.
    To(&'static str, &'static str),
    /// Sends bytes that are no text.
    Bytes(&'static str, &'static [u8]),
    /// Sends so many bytes of `a`.
    Fill(&'static str, usize),
    /// Expects exactly this to come next.
    From(&'static str, &'static str),
    /// PING, and nothing but PONG comes.
    Sync(&'static str),
    /// The next frame is INFO and holds this text.
    Info(&'static str, &'static str),
    /// The connection is closed and nothing came before.
    Closed(&'static str),
}

impl Case {
    pub(crate) async fn run(&self, address: SocketAddr) {
        let mut clients: HashMap<&str, RawClient> = HashMap::new();
        for step in self.steps {
            match *step {
                Step::Open(name) => drop(clients.insert(name, RawClient::open(address).await)),
                Step::Quiet(name) => drop(clients.insert(name, RawClient::quiet(address).await)),
                Step::Modern(name) => drop(clients.insert(name, RawClient::modern(address).await)),
                Step::User(name, user) => drop(clients.insert(name, RawClient::user(address, user).await)),
                Step::To(name, text) => client(&mut clients, name).send_regardless(text.as_bytes()).await,
                Step::Bytes(name, bytes) => client(&mut clients, name).send_regardless(bytes).await,
                Step::Fill(name, count) => {
                    client(&mut clients, name).send_regardless(&vec![b'a'; count]).await;
                }
                Step::From(name, text) => client(&mut clients, name).expect(text).await,
                Step::Sync(name) => client(&mut clients, name).sync().await,
                Step::Info(name, part) => {
                    let info = client(&mut clients, name).expect_info().await;
                    assert!(info.contains(part), "{info} holds {part}");
                }
                Step::Closed(name) => client(&mut clients, name).expect_closed().await,
            }
        }
    }
}

fn client<'a>(clients: &'a mut HashMap<&str, RawClient>, name: &str) -> &'a mut RawClient {
    clients.get_mut(name).expect("the connection is open")
}

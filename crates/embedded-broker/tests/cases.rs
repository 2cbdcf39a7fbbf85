//! Protocol cases as data: what is sent on which connection, and exactly what comes back. `differential.rs` runs all
//! of them against this broker and against nats-server, set up alike (`setup.rs`). Where the two may answer
//! differently is in `differences.rs`, with the reason, and nowhere else.

mod connect;
pub(crate) mod differences;
mod framing;
mod headers;
mod keepalive;
mod limits;
mod logins;
mod nkeys;
mod permissions;
mod queue_groups;
mod requests;
mod responses;
mod setup;
mod subjects;
mod subscriptions;
mod tls;
mod token;

use std::collections::HashMap;

use crate::support::{RawClient, logins::signed};

pub(crate) use self::{
    permissions::users,
    setup::{Setup, Site},
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
    /// Connects and reads nothing.
    Silent(&'static str),
    /// Connects with everything off, and waits for PONG.
    Quiet(&'static str),
    /// Connects with headers and no responders, and waits for PONG and the second INFO.
    Modern(&'static str),
    /// Connects as a user.
    User(&'static str, &'static str),
    /// Starts TLS on the connection, with the client's certificate or without one.
    Tls(&'static str, Certificate),
    /// Sends.
    To(&'static str, &'static str),
    /// Sends, with `{key}`, `{sig}` and the like replaced by what belongs to the connection's nonce; see
    /// [`signed`].
    Signed(&'static str, &'static str),
    /// Sends bytes that are no text.
    Bytes(&'static str, &'static [u8]),
    /// Sends so many bytes of `a`.
    Fill(&'static str, usize),
    /// Expects exactly this to come next.
    From(&'static str, &'static str),
    /// Expects a frame that begins so.
    Begins(&'static str, &'static str),
    /// PING, and nothing but PONG comes.
    Sync(&'static str),
    /// The INFO that greeted the connection holds this text.
    Greets(&'static str, &'static str),
    /// The next frame is INFO and holds this text.
    Info(&'static str, &'static str),
    /// From now on PINGs of the server are not answered but expected.
    ShowPings(&'static str),
    /// The connection is closed and nothing came before.
    Closed(&'static str),
}

/// What a client shows in TLS.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
    None,
    Own,
}

/// Every case, by what the server is set up with.
pub(crate) fn all(setup: Setup) -> Vec<&'static Case> {
    let groups: &[&'static [Case]] = match setup {
        Setup::Open => &[
            connect::CONNECT,
            framing::FRAMING,
            headers::HEADERS,
            subjects::SUBJECTS,
            subscriptions::SUBSCRIPTIONS,
            queue_groups::QUEUE_GROUPS,
            requests::REQUESTS,
        ],
        Setup::Users => &[permissions::PERMISSIONS, responses::RESPONSES, logins::LOGINS],
        Setup::Token => &[token::TOKEN],
        Setup::Nkey => &[nkeys::NKEYS],
        Setup::Limits => &[limits::LIMITS],
        Setup::Keepalive => &[keepalive::KEEPALIVE],
        Setup::TlsAfterInfo => &[tls::AFTER_INFO],
        Setup::TlsFirst => &[tls::FIRST],
        Setup::TlsVerified => &[tls::VERIFIED],
    };
    groups.iter().copied().flatten().collect()
}

/// Runs steps with connections of their own.
pub(crate) async fn run(steps: &[Step], site: &Site) {
    let address = site.address;
    let mut clients: HashMap<&str, RawClient> = HashMap::new();
    for step in steps {
        match *step {
            Step::Open(name) => drop(clients.insert(name, RawClient::open(address).await)),
            Step::Silent(name) => drop(clients.insert(name, RawClient::silent(address).await)),
            Step::Quiet(name) => drop(clients.insert(name, RawClient::quiet(address).await)),
            Step::Modern(name) => drop(clients.insert(name, RawClient::modern(address).await)),
            Step::User(name, user) => drop(clients.insert(name, RawClient::user(address, user).await)),
            Step::Tls(name, certificate) => {
                let stream = clients.remove(name).expect("the connection is open").into_stream();
                let tls = site.pki().connect(stream, matches!(certificate, Certificate::Own)).await;
                clients.insert(name, RawClient::on(tls.expect("a TLS handshake")));
            }
            Step::To(name, text) => client(&mut clients, name).send_regardless(text.as_bytes()).await,
            Step::Signed(name, text) => {
                let client = client(&mut clients, name);
                let text = signed(text, &client.info);
                client.send_regardless(text.as_bytes()).await;
            }
            Step::Bytes(name, bytes) => client(&mut clients, name).send_regardless(bytes).await,
            Step::Fill(name, count) => {
                client(&mut clients, name).send_regardless(&vec![b'a'; count]).await;
            }
            Step::From(name, text) => client(&mut clients, name).expect(text).await,
            Step::Begins(name, text) => {
                let frame = client(&mut clients, name).frame().await.expect("a frame");
                assert!(frame.starts_with(text), "{frame} begins with {text}");
            }
            Step::Sync(name) => client(&mut clients, name).sync().await,
            Step::Greets(name, part) => {
                let info = &client(&mut clients, name).info;
                assert!(info.contains(part), "{info} holds {part}");
            }
            Step::Info(name, part) => {
                let info = client(&mut clients, name).expect_info().await;
                assert!(info.contains(part), "{info} holds {part}");
            }
            Step::ShowPings(name) => client(&mut clients, name).show_pings = true,
            Step::Closed(name) => client(&mut clients, name).expect_closed().await,
        }
    }
}

fn client<'a>(clients: &'a mut HashMap<&str, RawClient>, name: &str) -> &'a mut RawClient {
    clients.get_mut(name).expect("the connection is open")
}

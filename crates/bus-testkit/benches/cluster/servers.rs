//! What nodes are compared with: a plain nats-server with static users, and one whose logins are answered by the least that
//! can answer them.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::{
    acl,
    child::Owned,
    cpu,
    crowd::{Crowd, Member},
    nodes::Cluster,
    programs::{self, Part},
    responder,
};

/// A server with its configuration listens within a moment.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// Where clients connect, and whose processor time it is.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    processes: Vec<u32>,
    /// Gone with this.
    _children: Vec<Owned>,
}

impl Server {
    /// The first node.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let node = cluster.nodes.first().context("a cluster without nodes")?;
        Ok(Self { address: node.data, processes: node.processes(), _children: Vec::new() })
    }

    /// A nats-server that knows these users, with the rights that they have on a node.
    pub(crate) fn plain(program: &Path, place: &Path, crowd: &Crowd) -> Result<Self> {
        let user = |member: &Member| json!({ "nkey": member.identity.login_key().to_string(), "permissions": acl::of(member) });
        let users: Vec<Value> = crowd.iter().map(user).collect();
        let (child, address) = start(program, place, json!({ "authorization": { "users": users } }))?;
        Ok(Self { address, processes: vec![child.id()], _children: vec![child] })
    }

    /// A nats-server that asks about each login, and who says yes to all.
    pub(crate) fn bare(program: &Path, place: &Path) -> Result<Self> {
        let (issuer, service) = (KeyPair::new_account(), KeyPair::new_user());
        let configuration = json!({
            "accounts": { "AUTH": { "users": [{ "nkey": service.public_key() }] }, "BUS": {} },
            "authorization": { "timeout": 1.5, "auth_callout": {
                "issuer": issuer.public_key(), "account": "AUTH", "auth_users": [service.public_key()],
            } },
        });
        let (server, address) = start(program, place, configuration)?;
        let responder = responder::start(address, &issuer, &service, place)?;
        let processes = vec![server.id(), responder.id()];
        Ok(Self { address, processes, _children: vec![responder, server] })
    }

    /// Processor time of all its processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.processes.iter().map(|process| cpu::of(*process)).sum()
    }
}

/// Starts a nats-server on the core of servers and returns when it listens.
fn start(program: &Path, place: &Path, mut configuration: Value) -> Result<(Owned, SocketAddr)> {
    fs::create_dir_all(place)?;
    configuration["listen"] = json!("127.0.0.1:-1");
    // It writes its address into a file there.
    configuration["ports_file_dir"] = json!(place);
    let file = place.join("nats.conf");
    fs::write(&file, configuration.to_string())?;
    let mut command = programs::start(Part::Server, true)?;
    command.arg(program).arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Owned::spawn(&mut command)?;
    let began = Instant::now();
    loop {
        if let Some(address) = address(place)? {
            return Ok((child, address));
        }
        ensure!(began.elapsed() < PATIENCE, "{} does not listen", program.display());
        std::thread::sleep(LOOK);
    }
}

/// The address from the file of ports, `{"nats":["nats://127.0.0.1:40123"], …}`, once it is there.
fn address(place: &Path) -> Result<Option<SocketAddr>> {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ports") {
            let Ok(ports) = serde_json::from_slice::<Value>(&fs::read(&path)?) else {
                return Ok(None); // not written to its end yet
            };
            let Some((_, address)) = ports["nats"][0].as_str().and_then(|url| url.split_once("://")) else {
                bail!("the file of ports names no client port");
            };
            return Ok(Some(address.parse()?));
        }
    }
    Ok(None)
}

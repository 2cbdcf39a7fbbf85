//! nats-servers with JetStream, as nodes run them, but open to whoever asks: one, or three that know each other.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, ConnectOptions, ServerAddr, jetstream};
use serde_json::{Value, json};

use crate::{
    child::Owned,
    nodes::free_ports,
    programs::{self, Part},
};

/// Servers find each other within a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// The servers; gone when dropped.
pub(super) struct Trio {
    program: PathBuf,
    place: PathBuf,
    pub(super) servers: Vec<Server>,
}

/// One of them.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) client: SocketAddr,
    route: SocketAddr,
    monitor: SocketAddr,
    process: Option<Owned>,
}

impl Trio {
    /// Starts so many, and waits until they keep what they are told.
    pub(super) async fn start(program: &Path, place: &Path, count: usize) -> Result<Self> {
        let ports = free_ports(count * 3)?;
        let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let servers = ports.chunks(3).enumerate().map(|(number, ports)| Server {
            name: format!("server-{number}"),
            client: local(&ports[0]),
            route: local(&ports[1]),
            monitor: local(&ports[2]),
            process: None,
        });
        let (program, place) = (program.to_owned(), place.to_owned());
        let mut trio = Self { program, place, servers: servers.collect() };
        for number in 0..count {
            trio.spawn(number)?;
        }
        trio.keeps_streams().await?;
        Ok(trio)
    }

    /// Starts the server of this number, with what it stored before.
    pub(super) fn spawn(&mut self, number: usize) -> Result<()> {
        let place = self.place.join(&self.servers[number].name);
        fs::create_dir_all(&place)?;
        let file = place.join("nats.conf");
        fs::write(&file, self.configuration(number, &place).to_string())?;
        let mut command = programs::start(Part::Server, false)?;
        command.arg(&self.program).arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers[number].process = Some(Owned::spawn(&mut command)?);
        Ok(())
    }

    /// Kills it.
    pub(super) fn kill(&mut self, number: usize) {
        self.servers[number].process = None;
    }

    fn configuration(&self, number: usize, place: &Path) -> Value {
        let server = &self.servers[number];
        let mut configuration = json!({
            "server_name": server.name,
            "listen": server.client.to_string(),
            "http": server.monitor.to_string(),
            "jetstream": { "store_dir": place.join("streams"), "sync_interval": "always" },
        });
        if self.servers.len() > 1 {
            let others = self.servers.iter().filter(|other| other.name != server.name);
            let routes: Vec<String> = others.map(|other| format!("nats-route://{}", other.route)).collect();
            configuration["cluster"] = json!({
                "name": "members", "listen": server.route.to_string(), "routes": routes,
                "no_advertise": true, "pool_size": 1, "ping_interval": "2s", "ping_max": 2,
            });
        }
        configuration
    }

    /// A connection to the server of this number, or to another when that one is gone.
    pub(super) async fn connect(&self, first: usize) -> Result<Client> {
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        servers.rotate_left(first);
        let urls: Vec<ServerAddr> = servers
            .iter()
            .map(|server| format!("nats://{}", server.client).parse())
            .collect::<Result<_, _>>()?;
        let options = ConnectOptions::new()
            .retain_servers_order()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(20));
        let client = options.connect(urls).await?;
        client.flush().await?;
        Ok(client)
    }

    async fn keeps_streams(&self) -> Result<()> {
        let context = jetstream::new(self.connect(0).await?);
        let began = Instant::now();
        let config = jetstream::stream::Config {
            name: "first".to_owned(),
            subjects: vec!["first".to_owned()],
            num_replicas: self.servers.len(),
            ..jetstream::stream::Config::default()
        };
        while let Err(error) = context.create_stream(config.clone()).await {
            ensure!(began.elapsed() < PATIENCE, "the servers keep nothing: {error}");
            tokio::time::sleep(PAUSE).await;
        }
        context.delete_stream("first").await?;
        Ok(())
    }

    /// The number of the server that decides where streams are kept.
    pub(super) fn leader(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(self.servers[0].monitor)?;
        stream.write_all(b"GET /jsz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        let answer: Value = serde_json::from_str(body)?;
        let leader = answer["meta_cluster"]["leader"].as_str().context("no leader")?;
        self.servers.iter().position(|server| server.name == leader).context("a leader of others")
    }

    /// The processes of those that run.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.servers.iter().filter_map(|server| server.process.as_ref().map(Owned::id)).collect()
    }
}

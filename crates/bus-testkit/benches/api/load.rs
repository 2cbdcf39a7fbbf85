//! Connections that ask again and again, each waiting for its answer.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    sync::Barrier,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::net::{AddressFamily, SocketType};

use crate::{
    cpu,
    crowd::{Crowd, Signed},
    server::Server,
};

/// Connections at once.
const CONNECTIONS: usize = 16;

/// Longest time without an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer.
const ANSWER: usize = 16 * 1024;

/// The figures of one run.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// Of all the server's threads, microseconds.
    pub(crate) server_cpu_per_request: f64,
}

/// Sends so many requests and checks each answer.
pub(crate) fn run(server: &Server, crowd: &Crowd, requests: usize) -> Result<Sample> {
    let each = requests.div_ceil(CONNECTIONS);
    // Everything is signed and connected before the clock runs.
    let ready = Barrier::new(CONNECTIONS + 1);
    std::thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let ready = &ready;
                scope.spawn(move || {
                    let prepared = prepare(server, crowd, connection, each);
                    ready.wait();
                    let (mut stream, requests) = prepared?;
                    requests.iter().try_for_each(|request| ask(&mut stream, request))
                })
            })
            .collect();
        ready.wait();
        let (cpu, began) = (cpu::of(server.child.id()), Instant::now());
        for connection in connections {
            match connection.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a connection's thread panicked"),
            }
        }
        let wall = began.elapsed().as_secs_f64();
        let cpu = cpu::of(server.child.id())?.saturating_sub(cpu?).as_secs_f64();
        let requests = (each * CONNECTIONS) as f64;
        Ok(Sample { requests_per_second: requests / wall, server_cpu_per_request: cpu * 1e6 / requests })
    })
}

fn prepare(
    server: &Server,
    crowd: &Crowd,
    connection: usize,
    requests: usize,
) -> Result<(TcpStream, Vec<Signed>)> {
    let stream = connect(server.address, connection)?;
    let request = |number| crowd.request(server.contender, server.address, connection + number * CONNECTIONS);
    Ok((stream, (0..requests).map(request).collect::<Result<_>>()?))
}

/// Connects from an address of its own: what one address may ask is limited, too.
fn connect(server: SocketAddr, connection: usize) -> Result<TcpStream> {
    let own = Ipv4Addr::new(127, 0, 1, u8::try_from(connection + 1)?);
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(own, 0))?;
    rustix::net::connect(&socket, &server).context("cannot connect")?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request, one answer: 200, and for the right user.
fn ask(stream: &mut TcpStream, request: &Signed) -> Result<()> {
    stream.write_all(&request.bytes)?;
    let mut answer = [0; ANSWER];
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..]).context("no answer")?;
        if read == 0 {
            bail!("the connection ended before the answer, or the answer is longer than {ANSWER} bytes");
        }
        length += read;
        if let Some(whole) = whole(&answer[..length])? {
            let text = String::from_utf8_lossy(&answer[..whole]);
            if !text.starts_with("HTTP/1.1 200 ") || !text.contains(&request.user) {
                bail!("not the answer that was due: {text}");
            }
            return Ok(());
        }
    }
}

/// Length of the answer, once it is there to its end.
fn whole(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head])?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = length.context("an answer without a length")?.trim().parse()?;
    Ok((bytes.len() >= head + 4 + body).then_some(head + 4 + body))
}

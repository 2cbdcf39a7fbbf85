//! One client connection, and requests to the API of streams through it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::PATIENCE;
use crate::servers::Server;

/// What is read at once; the longest frame fits.
const INPUT: usize = 512 * 1024;

/// What all answers are sent below.
pub(super) const INBOX: &str = "_B.";

/// A connected client, subscribed to all answers.
pub(super) struct Client {
    socket: TcpStream,
    input: Vec<u8>,
    start: usize,
    end: usize,
    requests: u64,
}

/// A message from the server.
pub(super) struct Message<'a> {
    pub(super) subject: &'a str,
    pub(super) reply: Option<&'a str>,
    /// Header block; empty when there is none.
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Client {
    pub(super) fn connect(server: &Server) -> Result<Self> {
        let socket = TcpStream::connect(server.address()?).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { socket, input: vec![0; INPUT], start: 0, end: 0, requests: 0 };
        client.send(
            format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
                 \"protocol\":1,\"lang\":\"bench\"}}\r\nSUB {INBOX}> 1\r\n"
            )
            .as_bytes(),
        )?;
        Ok(client)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).context("the server does not take what is sent")
    }

    /// Waits for something and hands over every whole message that is there.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Message<'_>) -> Result<()>) -> Result<()> {
        self.fill()?;
        let mut pings = 0;
        loop {
            let unused = &self.input[self.start..self.end];
            let Some(length) = memchr(unused) else { break };
            let line = std::str::from_utf8(&unused[..length]).context("a line that is no text")?.trim_end();
            let (operation, arguments) = line.split_once(' ').unwrap_or((line, ""));
            let mut used = length + 1;
            match operation {
                "MSG" | "HMSG" => {
                    let frame = Frame::parse(operation == "HMSG", arguments)?;
                    let Some(data) = unused.get(used..used + frame.size + 2) else { break };
                    used += data.len();
                    let (headers, body) = data[..frame.size].split_at(frame.header_len);
                    take(Message { subject: frame.subject, reply: frame.reply, headers, body })?;
                }
                "PING" => pings += 1,
                "PONG" | "INFO" | "+OK" => {}
                _ => bail!("unexpected from the server: {line}"),
            }
            self.start += used;
        }
        for _ in 0..pings {
            self.send(b"PONG\r\n")?;
        }
        Ok(())
    }

    /// Asks the API; an error it answers is an error.
    pub(super) fn ask(&mut self, subject: &str, body: &str) -> Result<Value> {
        self.requests += 1;
        let inbox = format!("{INBOX}api.{}", self.requests);
        self.send(format!("PUB $JS.API.{subject} {inbox} {}\r\n{body}\r\n", body.len()).as_bytes())?;
        let mut answer = None;
        while answer.is_none() {
            self.receive(|message| {
                if message.subject == inbox {
                    answer = Some(serde_json::from_slice::<Value>(message.body)?);
                }
                Ok(())
            })?;
        }
        let answer = answer.unwrap_or_default();
        match answer.get("error") {
            Some(error) => bail!("{subject}: {error}"),
            None => Ok(answer),
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.socket.read(&mut self.input[self.end..]).context("what the server owes does not come")? {
            0 => bail!("the server closed the connection"),
            read => self.end += read,
        }
        Ok(())
    }
}

/// The control line of a message.
struct Frame<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    header_len: usize,
    size: usize,
}

impl<'a> Frame<'a> {
    fn parse(has_headers: bool, arguments: &'a str) -> Result<Self> {
        let mut fields = [""; 5];
        let mut count = 0;
        for field in arguments.split(' ') {
            *fields.get_mut(count).context("too many fields in a message")? = field;
            count += 1;
        }
        let sizes = if has_headers { 2 } else { 1 };
        if count < 2 + sizes {
            bail!("too few fields in a message: {arguments}");
        }
        Ok(Self {
            subject: fields[0],
            reply: (count > 2 + sizes).then_some(fields[2]),
            header_len: if has_headers { fields[count - 2].parse()? } else { 0 },
            size: fields[count - 1].parse()?,
        })
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    // Control lines are short.
    bytes.iter().position(|&byte| byte == b'\n')
}

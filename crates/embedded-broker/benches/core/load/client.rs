//! One client connection: what came in and is not used yet, and the lines that are not messages.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context as _, Result, bail};

use super::{
    checker::{Checker, Next},
    stream::Stream,
};

/// Enough to log in; receivers ask for more.
const SMALL: usize = 2 * 1024;

/// A logged-in client.
pub(super) struct Client {
    stream: Stream,
    input: Vec<u8>,
    start: usize,
    end: usize,
}

/// A line from the server.
#[derive(PartialEq, Eq)]
enum Line {
    Pong,
    /// Dealt with, or of no interest.
    Passing,
}

/// Whether a read that found nothing is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    Something,
    /// Only on a socket that does not block.
    Nothing,
}

impl Client {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, input: vec![0; SMALL], start: 0, end: 0 }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the server does not take what is sent")?;
        self.stream.flush()?;
        Ok(())
    }

    /// Subscribes with sid 1 and waits until that is done.
    pub(super) fn subscribe(&mut self, subject: &str, read_size: usize) -> Result<()> {
        self.input.resize(read_size.max(self.input.len()), 0);
        self.send(format!("SUB {subject} 1\r\nPING\r\n").as_bytes())?;
        self.expect_pong()
    }

    /// Reads until PONG, over nothing but lines in passing.
    pub(super) fn expect_pong(&mut self) -> Result<()> {
        loop {
            match self.line()? {
                Some(Line::Pong) => return Ok(()),
                Some(Line::Passing) => {}
                None => drop(self.fill()?),
            }
        }
    }

    /// Sends PING and reads until PONG.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.send(b"PING\r\n")?;
        self.expect_pong()
    }

    /// Answers what the server asked in the meantime, without waiting for it.
    pub(super) fn answer_pings(&mut self) -> Result<()> {
        self.set_blocking(false)?;
        while self.fill()? == Filled::Something {}
        self.set_blocking(true)?;
        while self.line()?.is_some() {}
        Ok(())
    }

    /// Whether reads wait.
    pub(super) fn set_blocking(&self, blocking: bool) -> Result<()> {
        Ok(self.stream.socket().set_nonblocking(!blocking)?)
    }

    /// Reads once and checks every whole message that is there.
    pub(super) fn receive(&mut self, checker: &mut Checker) -> Result<()> {
        if self.fill()? == Filled::Nothing {
            return Ok(());
        }
        loop {
            let (used, next) = checker.check(&self.input[self.start..self.end])?;
            self.start += used;
            if next == Next::Incomplete || self.line()?.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads once. Everything unused is kept.
    fn fill(&mut self) -> Result<Filled> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.input.len() {
            bail!("the server sends a frame of more than {} bytes", self.end);
        }
        match self.stream.read(&mut self.input[self.end..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => {
                self.end += read;
                Ok(Filled::Something)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && !self.waits()? => Ok(Filled::Nothing),
            Err(error) => Err(error).context("what the server owes does not come"),
        }
    }

    /// Whether a read that has nothing to give waits for a while first.
    fn waits(&self) -> Result<bool> {
        let flags = rustix::fs::fcntl_getfl(self.stream.socket())?;
        Ok(!flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// The next line, if it is whole.
    fn line(&mut self) -> Result<Option<Line>> {
        let unused = &self.input[self.start..self.end];
        let Some(length) = unused.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&unused[..length]).trim_end().to_owned();
        self.start += length + 1;
        match line.split(' ').next() {
            Some("PONG") => return Ok(Some(Line::Pong)),
            Some("PING") => self.send(b"PONG\r\n")?,
            Some("INFO" | "+OK") => {}
            _ => bail!("unexpected from the server: {line}"),
        }
        Ok(Some(Line::Passing))
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

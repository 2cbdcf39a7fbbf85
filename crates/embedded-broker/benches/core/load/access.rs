//! How clients get into a server: connect, TLS, answer the nonce, wait for the PONG.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use serde::Deserialize;

use super::{PATIENCE, client::Client, stream::Stream};
use crate::{
    credentials::Credentials,
    procfs::Process,
    servers::{Security, Server},
};

/// Longest INFO that is believed.
const MAX_INFO: usize = 8 * 1024;

/// A server, and who may come in how.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(super) process: Process,
    address: SocketAddr,
    credentials: &'a Credentials,
    security: Security,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    tls_required: bool,
}

impl<'a> Access<'a> {
    pub(crate) fn new(server: &Server, credentials: &'a Credentials, security: Security) -> Self {
        Self { process: server.process(), address: server.address, credentials, security }
    }

    /// Connects, and says nothing.
    pub(super) fn connect(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect(self.address).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Connects as this user, if users have to log in, and waits until it is in.
    pub(super) fn client(&self, user: usize) -> Result<Client> {
        let socket = self.connect()?;
        let info = read_info(&socket)?;
        let stream = match self.security {
            Security::Open | Security::Login => Stream::Plain(socket),
            Security::Tls if info.tls_required => start_tls(socket, &self.credentials.tls)?,
            Security::Tls => bail!("the server does not ask for TLS"),
        };
        let login = match self.security {
            Security::Open => String::new(),
            Security::Login | Security::Tls => answer(self.credentials.user(user), &info.nonce)?,
        };
        let mut client = Client::new(stream);
        client.send(
            format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
                 \"protocol\":1,\"lang\":\"bench\"{login}}}\r\nPING\r\n"
            )
            .as_bytes(),
        )?;
        client.expect_pong()?;
        Ok(client)
    }
}

/// Reads the line in clear and no byte more: TLS may come next.
fn read_info(mut socket: &TcpStream) -> Result<Info> {
    let mut line = vec![0; MAX_INFO];
    let mut length = 0;
    while !line[..length].ends_with(b"\n") {
        // The server says nothing after INFO until it is answered.
        let read = socket.read(&mut line[length..]).context("no INFO")?;
        if read == 0 {
            bail!("the server closed before a whole INFO");
        }
        length += read;
    }
    let json = line[..length].strip_prefix(b"INFO ").context("the server does not begin with INFO")?;
    Ok(serde_json::from_slice(json)?)
}

fn start_tls(socket: TcpStream, config: &Arc<ClientConfig>) -> Result<Stream> {
    let name = ServerName::try_from("localhost")?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, socket);
    stream.conn.complete_io(&mut stream.sock).context("TLS handshake")?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Members of CONNECT that answer a nonce.
fn answer(user: &KeyPair, nonce: &str) -> Result<String> {
    let signature = URL_SAFE_NO_PAD.encode(user.sign(nonce.as_bytes())?);
    Ok(format!(",\"nkey\":\"{}\",\"sig\":\"{signature}\"", user.public_key()))
}

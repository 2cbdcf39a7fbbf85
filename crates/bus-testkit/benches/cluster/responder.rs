//! The least that can answer a server's question who may log in: it lets everybody in, looks at nothing, and signs what has
//! to be signed. What our responder needs more time for than this is what it does.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    child::Owned,
    programs::{self, Part},
};

const QUESTIONS: &str = "$SYS.REQ.USER.AUTH";
const READY: &str = "ready";
/// Where it is said what to do.
const TASK: &str = "responder.json";

#[derive(Serialize, Deserialize)]
struct Task {
    address: SocketAddr,
    issuer: String,
    service: String,
}

/// What an answer repeats of its question.
#[derive(Deserialize)]
struct Question {
    nats: Asked,
}

#[derive(Deserialize)]
struct Asked {
    server_id: ServerId,
    user_nkey: String,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
}

/// Starts it in a process of its own, on the core of servers; returns when it is asked.
pub(crate) fn start(address: SocketAddr, issuer: &KeyPair, service: &KeyPair, place: &Path) -> Result<Owned> {
    let task = Task { address, issuer: issuer.seed()?, service: service.seed()? };
    fs::write(place.join(TASK), serde_json::to_vec(&task)?)?;
    let arguments = programs::arguments(Part::Responder, true);
    let arguments = arguments.each_ref().map(String::as_str);
    let (child, said) = Owned::start(&arguments, place)?;
    ensure!(said == READY, "the responder does not answer: {said}");
    Ok(child)
}

/// Is the responder, until it is ended.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let place = arguments.nth(1).map(PathBuf::from).context("--directory is missing")?;
    let task: Task = serde_json::from_slice(&fs::read(place.join(TASK))?)?;
    let issuer = KeyPair::from_seed(&task.issuer)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client =
            async_nats::ConnectOptions::with_nkey(task.service).connect(task.address.to_string()).await?;
        let mut questions = client.subscribe(QUESTIONS).await?;
        client.flush().await?;
        println!("{READY}");
        while let Some(question) = questions.next().await {
            let reply = question.reply.context("a question without a place for the answer")?;
            client.publish(reply, answer(&issuer, &question.payload)?.into()).await?;
        }
        Ok(())
    })
}

/// Whoever asks is let in, and may do everything.
fn answer(issuer: &KeyPair, question: &[u8]) -> Result<String> {
    let claims = question.split(|&byte| byte == b'.').nth(1).context("a question is a JWT")?;
    let Question { nats: asked } = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims)?)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (by, key) = (issuer.public_key(), asked.user_nkey);
    let user = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let user = sign(issuer, &json!({ "iss": by, "iat": now, "aud": "BUS", "sub": key, "nats": user }))?;
    let response = json!({ "type": "authorization_response", "version": 2, "jwt": user });
    sign(issuer, &json!({ "iss": by, "iat": now, "aud": asked.server_id.id, "sub": key, "nats": response }))
}

fn sign(issuer: &KeyPair, claims: &Value) -> Result<String> {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(text.as_bytes())?;
    Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
}

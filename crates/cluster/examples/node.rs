//! A node of its own: starts a nats-server, lets one user in, closes its connections on Enter, stops.
//!
//! ```sh
//! cargo run -p cluster --example node -- /path/to/nats-server
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to a terminal")]

use std::{env, error::Error, io::stdin, path::PathBuf, process::ExitCode, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, AuthMode, Authenticated, Authenticator, LoginKey, Presented, Principal, Signature,
};
use cluster::{ClusterConfig, ExecHelper, Limits, Node, Replicas, Stop, Sync, clear, launch};
use nkeys::KeyPair;

/// What makes this program the one that turns into the server.
const LAUNCH: &str = "launch-nats-server";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next().unwrap_or_else(|| "nats-server".into());
    if first == LAUNCH {
        let error = launch(arguments);
        println!("{error}");
        return Ok(ExitCode::from(error.exit_code()));
    }
    tokio::runtime::Runtime::new()?.block_on(run(first.into()))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(nats_server: PathBuf) -> Result<(), Box<dyn Error>> {
    let store = tempfile::tempdir()?;
    let config = ClusterConfig {
        cluster: "example".parse()?,
        node: "node-1".parse()?,
        client_listen: ([127, 0, 0, 1], 0).into(),
        client_tls: None,
        client_ca: None,
        route_listen: ([127, 0, 0, 1], 6250).into(),
        routes: Vec::new(),
        route_login: None,
        route_tls: None,
        auth: AuthMode::Enforce,
        replicas: Replicas::ONE,
        store: store.path().to_owned(),
        sync: Sync::Always,
        limits: Limits::default(),
        nats_server,
        exec_helper: ExecHelper { program: env::current_exe()?, arguments: vec![LAUNCH.to_owned()] },
    };
    let alice = KeyPair::new_user();
    let only_alice = OneUser { login: alice.public_key().parse()?, principal: Principal::new("alice") };
    let principal = only_alice.principal.clone();

    let node = Node::start(clear(config, SystemTime::now())?, Arc::new(only_alice)).await?;
    println!("clients connect to nats://{} as {}", node.client_address(), alice.public_key());
    let client = async_nats::ConnectOptions::with_nkey(alice.seed()?)
        .connect(node.client_address().to_string())
        .await?;
    println!("one is connected: {}", client.connection_state());
    println!("Enter closes its connections and stops");
    tokio::task::spawn_blocking(|| stdin().read_line(&mut String::new())).await??;
    println!("closed: {}", node.kick(&principal).await?);
    let report = node.stop(Stop::Now).await;
    println!("stopped{}", if report.killed { " by force" } else { "" });
    Ok(())
}

/// Lets one key in, with all rights.
struct OneUser {
    login: LoginKey,
    principal: Principal,
}

#[async_trait]
impl Authenticator for OneUser {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return Err(AuthFailure::NoCredentials);
        };
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        if LoginKey::log_in(nkey, presented.nonce, &signature)? != self.login {
            return Err(AuthFailure::Unknown);
        }
        Ok(Authenticated { principal: self.principal.clone(), acl: Arc::new(Acl::allow_all()) })
    }

    fn rights(&self, _: &Principal) -> Option<Arc<Acl>> {
        Some(Arc::new(Acl::allow_all()))
    }
}

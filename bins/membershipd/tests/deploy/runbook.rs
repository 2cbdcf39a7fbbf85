//! The commands of deploy/cluster/README.md, executed in their order on three nodes.
//!
//! The machines are directories, each with a loopback address of its own, so that nodes have their usual ports; stubs stand
//! in for ssh and for the service manager. Everything else is what an operator has: the script, the units, certificates, the
//! daemon and a real nats-server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use busauth::Identity;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::daemon::nodes::nats_server;

/// A step waits for a node for two minutes at most, and some steps wait for three of them.
const PATIENCE: Duration = Duration::from_mins(4);
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// The page's addresses, which nobody has.
const EXAMPLE: &str = "203.0.113.";

/// A piece of the page that is to be typed.
#[derive(Debug)]
struct Block {
    heading: String,
    on: String,
    text: String,
}

/// Where the page is followed.
struct Operator {
    directory: TempDir,
    nats_server: PathBuf,
    /// What stands in place of [`EXAMPLE`].
    network: String,
    card: String,
}

impl Operator {
    fn new() -> Option<Self> {
        for tool in ["curl", "setsid"] {
            super::tool(tool)?;
        }
        let nats_server = nats_server()?;
        let [.., high, low] = std::process::id().to_be_bytes();
        let network = format!("127.{}.{low}.", 128 | high >> 1);
        let identity = Identity::generate();
        let card = identity.card(Some("alice".parse().unwrap())).to_string();
        let operator =
            Self { directory: TempDir::with_prefix("unibus-runbook-").unwrap(), nats_server, network, card };
        let deploy = operator.path("checkout/deploy/cluster");
        fs::create_dir_all(&deploy).unwrap();
        for file in ["install-node.sh", "nodes.env.example", "unibus-membershipd.service"] {
            fs::copy(super::deploy_directory().join("cluster").join(file), deploy.join(file)).unwrap();
        }
        let built = operator.path("checkout/target/release");
        fs::create_dir_all(&built).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_membershipd"), built.join("membershipd")).unwrap();
        symlink(stubs().join("unibus"), built.join("unibus")).unwrap();
        for number in 1..=NODES.len() {
            let machine = operator.machine(number);
            for directory in ["etc/systemd/system", "etc/unibus", "usr/local/bin", "var/lib", "root"] {
                fs::create_dir_all(machine.join(directory)).unwrap();
            }
            // This machine has no network of its own.
            let settings = format!("UNIBUS_BIND={}1{number}\n", operator.network);
            fs::write(machine.join("etc/unibus/membershipd.env"), settings).unwrap();
        }
        Some(operator)
    }

    /// A bus on a single machine, with one user besides its admin, that is to move into the cluster.
    async fn make_old_bus(&self) {
        let db = self.path("checkout/local_files/unibus.db").display().to_string();
        let program = env!("CARGO_BIN_EXE_membershipd");
        let mut command = Command::new(program);
        command.args(["serve", "--db", &db, "--http-port", "0", "--nats-port", "0"]).env_clear();
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut daemon = command.spawn().unwrap();
        let mut said = BufReader::new(daemon.stderr.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = said.next_line().await.unwrap() {
                if line.contains("membershipd is ready") {
                    return;
                }
            }
            panic!("the old bus starts");
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        kill_process(Pid::from_raw(daemon.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        while said.next_line().await.unwrap().is_some() {}
        assert!(tokio::time::timeout(PATIENCE, daemon.wait()).await.unwrap().unwrap().success());
        let card = Identity::generate().card(Some("bob".parse().unwrap())).to_string();
        let added =
            Command::new(program).args(["user", "add", "--db", &db, "--card", &card]).env_clear().output();
        assert!(added.await.unwrap().status.success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn machine(&self, number: usize) -> PathBuf {
        self.path(&format!("machines/{}1{number}", self.network))
    }

    /// Types a block where it says, as it is written.
    async fn types(&self, block: &Block) {
        println!("{}, on {}", block.heading, block.on);
        let text = block.text.replace(EXAMPLE, &self.network);
        let node = NODES.iter().position(|node| *node == block.on);
        let mut command = if let Some(node) = node {
            let mut command = Command::new(stubs().join("ssh"));
            command.arg(format!("root@{}1{}", self.network, node + 1)).arg(text);
            command
        } else {
            assert_eq!(block.on, "operator");
            let mut command = Command::new("sh");
            command.args(["-e", "-c", &text]);
            command
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([stubs()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        command.current_dir(self.path("checkout")).env_clear().kill_on_drop(true).env("PATH", path);
        command.env("MACHINES", self.path("machines")).env("NETWORK", &self.network).env("CARD", &self.card);
        command.env("NATS_SERVER", &self.nats_server).env("EDITOR", stubs().join("edit"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Output { status, stdout, stderr } =
            tokio::time::timeout(PATIENCE, command.output()).await.expect("the step ends").unwrap();
        let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{block:#?}\n{said}\n{complained}\n{}", self.journals());
    }

    /// By the signal or by the command, whichever was first.
    fn has_new_certificates(&self) {
        for number in 1..=NODES.len() {
            let journal = fs::read_to_string(self.machine(number).join("journal")).unwrap();
            let took = journal.contains("has new certificates") || journal.contains("cluster.reload");
            assert!(took, "node-{number} has the old certificates\n{}", self.journals());
        }
    }

    fn journals(&self) -> String {
        let mut ends = Vec::new();
        for number in 1..=NODES.len() {
            let journal = fs::read_to_string(self.machine(number).join("journal")).unwrap_or_default();
            let lines: Vec<&str> = journal.lines().collect();
            ends.push(format!("node-{number}:\n{}", lines[lines.len().saturating_sub(12)..].join("\n")));
        }
        ends.join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        for number in 1..=NODES.len() {
            let pid = fs::read_to_string(self.machine(number).join("pid")).unwrap_or_default();
            if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
                kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

fn stubs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/nodes_stub")
}

/// What is to be typed, in its order.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut heading): (Vec<Block>, String) = (Vec::new(), String::new());
    let mut inside = false;
    for line in page.lines() {
        if let Some(on) = line.strip_prefix("```sh on=") {
            blocks.push(Block { heading: heading.clone(), on: on.to_owned(), text: String::new() });
            inside = true;
        } else if line == "```" {
            inside = false;
        } else if inside {
            let block = blocks.last_mut().unwrap();
            block.text.push_str(line);
            block.text.push('\n');
        } else if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        }
    }
    blocks
}

#[tokio::test]
async fn the_page_is_followed_from_the_first_node_to_the_last() {
    let Some(operator) = Operator::new() else { return };
    operator.make_old_bus().await;
    let page = fs::read_to_string(super::deploy_directory().join("cluster/README.md")).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() > 15, "{blocks:#?}");
    for block in blocks.iter().take_while(|block| !block.heading.starts_with("Back out")) {
        operator.types(block).await;
        if block.heading.starts_with("Renew certificates") {
            operator.has_new_certificates();
        }
    }
    for number in 1..=NODES.len() {
        let url = format!("https://{}1{number}:8470/readyz", operator.network);
        let text = format!("curl --silent --fail --cacert deploy/tls/ca/bus-ca.crt {url}");
        operator.types(&Block { heading: "the end".to_owned(), on: "operator".to_owned(), text }).await;
    }
    // Whoever was admitted here, and whoever has moved in.
    for user in ["alice", "bob"] {
        let list = "membershipd user list --db /var/lib/unibus/local_files/unibus.db";
        let (on, text) = ("node-3".to_owned(), format!("{list} | grep {user}"));
        operator.types(&Block { heading: "the end".to_owned(), on, text }).await;
    }
    for block in blocks.iter().filter(|block| block.heading.starts_with("Back out")) {
        operator.types(block).await;
    }
}

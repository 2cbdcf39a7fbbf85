//! People who talk while the nodes of their bus are lost one after the other: `unibus chat` itself, as it is installed.

use std::path::PathBuf;
use std::process::Stdio;

use busauth::{Identity, identity::file as identity_file};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::harness::within;
use super::nodes::Nodes;

/// Somebody with a home directory and the program.
struct Person {
    home: TempDir,
    program: PathBuf,
}

/// A chat that is open.
struct Chat {
    /// Killed with the value.
    child: Child,
    typing: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl Person {
    async fn joined(program: PathBuf, bus: &str, identity: &Identity) -> Self {
        let person = Self { home: TempDir::with_prefix("unibus-home-").unwrap(), program };
        let file = person.home.path().join("given.identity");
        identity_file::save_new(&file, identity).unwrap();
        person.types(&["join", bus, "--identity", file.to_str().unwrap()]).await;
        person
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("HOME", self.home.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn types(&self, arguments: &[&str]) {
        let output = within("end of a command", self.command(arguments).output()).await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Opens a chat, and returns when it is ready.
    async fn chats(&self, room: &str) -> Chat {
        let mut command = self.command(&["chat", room]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let typing = child.stdin.take().unwrap();
        let screen = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut chat = Chat { child, typing, screen };
        chat.sees("Members:").await;
        chat
    }
}

impl Chat {
    async fn says(&mut self, text: &str) {
        self.typing.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    /// Reads on until this is there. Nothing that was typed may have been lost.
    async fn sees(&mut self, text: &str) {
        let there = async {
            loop {
                let line = self.screen.next_line().await.unwrap().expect("the chat goes on");
                assert!(!line.contains("not sent"), "{line}");
                if line.contains(text) {
                    return;
                }
            }
        };
        within(text, there).await;
    }

    async fn quits(mut self) {
        self.says("/quit").await;
        let ended = async {
            while self.screen.next_line().await.unwrap().is_some() {}
            self.child.wait().await.unwrap()
        };
        assert!(within("end of the chat", ended).await.success());
    }
}

/// The program that was built beside the daemon: the tests of the whole project build both.
fn program() -> Option<PathBuf> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_membershipd")).with_file_name("unibus");
    if program.is_file() {
        return Some(program);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "CI needs the program unibus beside membershipd"
    );
    println!("skipped: unibus has not been built (cargo build -p unibus)");
    None
}

#[tokio::test]
async fn a_chat_goes_on_while_one_node_after_the_other_is_killed() {
    let Some(program) = program() else { return };
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    nodes.start().await;
    nodes.until_ha(0, true).await;
    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    let (at_one, at_two) = (nodes.daemon(0).control(), nodes.daemon(1).control());
    let fingerprint = bob.id().fingerprint();
    let alice = Person::joined(program.clone(), &at_one, &alice).await;
    let bob = Person::joined(program, &at_two, &bob).await;
    alice.types(&["room", "create", "lab", "--history"]).await;
    alice.types(&["room", "add", "lab", "bob", "--fingerprint", &fingerprint]).await;

    let (mut alices, mut bobs) = (alice.chats("lab").await, bob.chats("lab").await);
    // Whichever node leads a stream: its turn comes.
    for node in 0..3 {
        alices.says(&format!("before {node}")).await;
        bobs.sees(&format!("before {node}")).await;
        nodes.kill(node).await;
        alices.says(&format!("are you there without {node}?")).await;
        bobs.sees(&format!("are you there without {node}?")).await;
        bobs.says(&format!("I am here without {node}")).await;
        alices.sees(&format!("I am here without {node}")).await;
        nodes.spawn(node);
        nodes.ready(node).await;
        nodes.until_ha(node, true).await;
    }
    alices.quits().await;
    bobs.quits().await;
    for node in 0..3 {
        nodes.stop_cleanly(node).await;
    }
}

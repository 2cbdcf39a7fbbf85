//! What is wrong with a NATS that somebody else runs is said before anything is kept there.

use std::sync::Arc;

use cluster::{ExternalConfig, ExternalKeys, ExternalNats};

use crate::support::{
    foreign_nats::{self, ForeignNats, Setup},
    users::Users,
    within,
};

async fn refused(config: &ExternalConfig) -> String {
    let started = within("the check", ExternalNats::start(config, Users::new() as Arc<_>)).await;
    started.err().expect("it is refused").to_string()
}

/// Starts one with something wrong, and looks for what is said about it.
async fn refuses(said: &[&str], edit: &(dyn Fn(String) -> String + Send + Sync)) {
    let Some(nats) = foreign_nats::start(Setup { edit, ..Setup::default() }).await else { return };
    expect(&nats, said).await;
    nats.stop().await;
}

async fn expect(nats: &ForeignNats, said: &[&str]) {
    let refused = refused(&nats.config()).await;
    for part in said {
        assert!(refused.contains(part), "{part:?} is not in: {refused}");
    }
}

fn replacing(from: &'static str, to: &'static str) -> impl Fn(String) -> String + Send + Sync {
    move |printed| {
        assert!(printed.contains(from), "{from:?} is not printed");
        printed.replace(from, to)
    }
}

#[tokio::test]
async fn a_server_without_our_part() {
    refuses(&["the account AUTH is not let in"], &|_| {
        "accounts { APP { users: [ {user: a, password: b} ] } }\n".to_owned()
    })
    .await;
    // Open to everybody: our keys are not even looked at.
    refuses(&["cannot ask the servers anything"], &|_| String::new()).await;
}

#[tokio::test]
async fn no_secret_at_all() {
    let config = ExternalConfig { urls: "nats://192.0.2.1".parse().unwrap(), ca: None, keys: None };
    let refused = refused(&config).await;
    assert!(refused.contains("--ca") && refused.contains("have to be decided here"), "{refused}");
    assert_eq!(refused.lines().count(), 3, "each once: {refused}");
}

#[tokio::test]
async fn another_secret() {
    let Some(nats) = foreign_nats::start(Setup::default()).await else { return };
    let other = ExternalKeys::derive(&"another-secret-that-nobody-guesses-987".parse().unwrap());
    let config = ExternalConfig { keys: Some(other), ..nats.config() };
    let refused = refused(&config).await;
    for account in ["AUTH", "CTL", "BUS", "SYS"] {
        assert!(refused.contains(&format!("our user of the account {account} is not let in")), "{refused}");
    }
    nats.stop().await;
}

#[tokio::test]
async fn no_system_account() {
    refuses(
        &["cannot ask the servers anything", "system_account"],
        &replacing("system_account: \"SYS\"\n", ""),
    )
    .await;
}

#[tokio::test]
async fn logins_that_are_not_asked_about_or_not_sealed() {
    let other_issuer = |printed: String| {
        let (before, rest) = printed.split_once("issuer: ").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        format!("{before}issuer: \"{}\"\n{after}", nkeys::KeyPair::new_account().public_key())
    };
    refuses(&["does not have logins decided here", "another issuer"], &other_issuer).await;
    let no_seal = |printed: String| without_line(&printed, "xkey:");
    refuses(&["does not have logins decided here", "not sealed"], &no_seal).await;
    let other_seal = |printed: String| {
        let (before, rest) = printed.split_once("xkey: ").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        format!("{before}xkey: \"{}\"\n{after}", nkeys::XKey::new().public_key())
    };
    refuses(&["does not have logins decided here", "another xkey"], &other_seal).await;
    let no_callout = |printed: String| printed.split_once("authorization {").unwrap().0.to_owned();
    refuses(&["does not have logins decided here", "into the account CTL"], &no_callout).await;
}

#[tokio::test]
async fn accounts_that_its_own_users_can_enter() {
    let only_auth = replacing("allowed_accounts: [ AUTH, CTL, BUS ]", "allowed_accounts: [ AUTH ]");
    refuses(
        &["into the account CTL: name that account", "into the account BUS: name that account"],
        &only_auth,
    )
    .await;
    let no_bus = replacing("allowed_accounts: [ AUTH, CTL, BUS ]", "allowed_accounts: [ AUTH, CTL ]");
    refuses(&["into the account BUS: name that account"], &no_bus).await;
}

#[tokio::test]
async fn accounts_that_anybody_can_enter() {
    let anybody = |printed: String| {
        let guest = "users: [\n      { user: guest, password: x }\n      { nkey";
        let printed = printed.replacen("users: [\n      { nkey", guest, 1);
        let printed = printed.replace("auth_users: [", "auth_users: [\n \"guest\"");
        format!("{printed}no_auth_user: guest\n")
    };
    refuses(&["clients without a login into the account CTL"], &anybody).await;
}

#[tokio::test]
async fn accounts_with_ties_to_others() {
    let exporting = replacing(
        "BUS {\n    jetstream: enabled",
        "BUS {\n    exports: [ { stream: \">\" } ]\n    jetstream: enabled",
    );
    refuses(&["BUS exports to other accounts or imports from them"], &exporting).await;
    let importing = |printed: String| {
        printed
            .replace("CTL {\n", "CTL {\n    imports: [ { stream: { account: APP, subject: \">\" } } ]\n")
            .replacen("accounts {", "accounts {\n  APP { exports: [ { stream: \">\" } ] }", 1)
    };
    refuses(&["CTL exports to other accounts or imports from them"], &importing).await;
}

#[tokio::test]
async fn no_jetstream() {
    refuses(
        &["JetStream cannot be used in the account CTL", "account BUS"],
        &replacing("jetstream: enabled\n", ""),
    )
    .await;
    let none = Setup { base: "", edit: &replacing("jetstream: enabled\n", ""), ..Setup::default() };
    let Some(nats) = foreign_nats::start(none).await else { return };
    expect(&nats, &["JetStream cannot be used in the account CTL"]).await;
    nats.stop().await;
}

#[tokio::test]
async fn our_users_in_wrong_accounts() {
    // CTL and BUS changed places.
    let swapped = |printed: String| {
        printed.replace("CTL {", "TMP {").replace("BUS {", "CTL {").replace("TMP {", "BUS {")
    };
    refuses(
        &["our user of the account CTL is in \"BUS\"", "our user of the account BUS is in \"CTL\""],
        &swapped,
    )
    .await;
}

#[tokio::test]
async fn nobody_there() {
    let [port] = nats_testkit::free_ports();
    let config = ExternalConfig {
        urls: format!("nats://127.0.0.1:{port}").parse().unwrap(),
        ca: None,
        keys: Some(foreign_nats::keys()),
    };
    let refused = refused(&config).await;
    assert!(refused.contains(&format!("none of nats://127.0.0.1:{port} can be connected to")), "{refused}");
}

fn without_line(text: &str, beginning: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with(beginning)).collect();
    lines.join("\n") + "\n"
}

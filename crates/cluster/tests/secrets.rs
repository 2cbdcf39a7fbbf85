//! No secret is where others could find it.

use std::{fs, path::Path};

use cluster::{ClusterConfig, Reloaded, Stop};

use crate::support::{
    certificates::Certificates,
    config::{SECRET, alone, login},
    nodes::{runnable, try_start},
    users::Users,
};

/// Every file below a directory, with its content.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(content) = fs::read(&path) {
            found.push((path.display().to_string(), content));
        }
    }
    found
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn secrets_and_keys_are_in_no_argument_no_variable_and_no_file() {
    let certificates = Certificates::new();
    let store = tempfile::tempdir().unwrap();
    let [route, nobody] = nats_testkit::free_ports();
    let with_routes = ClusterConfig {
        route_listen: ([127, 0, 0, 1], route).into(),
        routes: vec![format!("nats://127.0.0.1:{nobody}").parse().unwrap()],
        route_login: Some(login()),
        route_tls: Some(certificates.of("node-1")),
        ..alone("node-1", store.path())
    };
    let Some(config) = runnable(with_routes) else { return };
    let node = try_start(config, &Users::new()).await.unwrap();
    // What a server gets while it runs is as hidden as what it was started with.
    let old_key = fs::read_to_string(certificates.of("node-1").pair.key).unwrap();
    let old_key = old_key.lines().nth(1).unwrap();
    certificates.renew();
    assert_eq!(node.reloader().reload().await.unwrap(), Reloaded::Changed);

    let key = fs::read_to_string(certificates.of("node-1").pair.key).unwrap();
    let key = key.lines().nth(1).unwrap();
    let ports = fs::read_dir(store.path().join("run")).unwrap().next().unwrap().unwrap();
    let process: String = ports.file_name().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let process = Path::new("/proc").join(process);
    let seen = [
        ("arguments".to_owned(), fs::read(process.join("cmdline")).unwrap()),
        ("environment".to_owned(), fs::read(process.join("environ")).unwrap()),
    ];
    assert!(contains(&seen[0].1, "/proc/self/fd/40"), "it is the server");
    assert!(seen[1].1.is_empty(), "it has no environment at all");
    for (place, content) in seen.into_iter().chain(files(store.path())) {
        for secret in [SECRET, old_key, key, "BEGIN"] {
            assert!(!contains(&content, secret), "{secret} in {place}");
        }
    }
    node.stop(Stop::Now).await;
}

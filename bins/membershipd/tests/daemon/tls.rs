//! TLS: the bus's own authority in public, files of one's own, and both renewed while the daemon runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use busauth::{CaFingerprint, client_config_from_ca_file, client_config_pinned};
use rustix::process::Signal;

use super::harness::{Daemon, Place, mode};

/// A self-signed certificate for localhost and its key, as files.
pub(crate) fn pair(place: &Place, name: &str) -> (PathBuf, PathBuf) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (place.path(&format!("{name}.crt")), place.path(&format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (certificate, key)
}

async fn health(daemon: &Daemon, trust: rustls::ClientConfig) -> reqwest::Result<u16> {
    health_at(&daemon.control(), trust).await
}

async fn health_at(control: &str, trust: rustls::ClientConfig) -> reqwest::Result<u16> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(trust).build().unwrap();
    Ok(client.get(format!("{control}/healthz")).send().await?.status().as_u16())
}

async fn nats_lets_in(daemon: &Daemon, trust: rustls::ClientConfig, place: &Place) -> bool {
    let admin = busauth::identity::file::load(&place.data().join("admin.identity")).unwrap();
    let options = async_nats::ConnectOptions::with_nkey(admin.login_seed().as_str().to_owned());
    options.tls_client_config(trust).require_tls(true).connect(daemon.data()).await.is_ok()
}

#[tokio::test]
async fn a_public_bus_has_tls_from_its_own_authority_which_clients_pin() {
    let place = Place::new();
    let daemon = place.start(&["--bind", "0.0.0.0", "--public-name", "bus.example.org"]).await;
    let said = daemon.said.iter().find_map(|line| line["ca_fingerprint"].as_str()).unwrap().to_owned();
    let fingerprint: CaFingerprint = said.parse().unwrap();
    assert_eq!(health(&daemon, client_config_pinned(fingerprint).unwrap()).await.unwrap(), 200);
    let other: CaFingerprint = "00".repeat(32).parse().unwrap();
    assert!(health(&daemon, client_config_pinned(other).unwrap()).await.is_err());
    let tls = place.data().join("tls");
    assert_eq!((mode(&tls), mode(&tls.join("ca.key")), mode(&tls.join("server.key"))), (0o700, 0o600, 0o600));
    daemon.stop_cleanly().await;

    // The authority stays the same over restarts; the server's certificate need not.
    let daemon = place.start(&["--bind", "0.0.0.0"]).await;
    let again = daemon.said.iter().find_map(|line| line["ca_fingerprint"].as_str()).unwrap();
    assert_eq!(again, said);
    assert_eq!(health(&daemon, client_config_pinned(fingerprint).unwrap()).await.unwrap(), 200);
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn half_an_authority_is_an_error_and_not_a_new_one() {
    let place = Place::new();
    place.start(&["--bind", "0.0.0.0"]).await.stop_cleanly().await;
    let tls = place.data().join("tls");
    for (lost, left) in [("ca.key", "ca.crt"), ("ca.crt", "ca.key")] {
        let aside = tls.join("aside");
        fs::rename(tls.join(lost), &aside).unwrap();
        let missing = format!("{lost} is missing beside {left}");
        place.fail(&["--bind", "0.0.0.0"]).await.says(2, &[&missing, "restore it from a backup"]);
        fs::rename(&aside, tls.join(lost)).unwrap();
    }
    place.start(&["--bind", "0.0.0.0"]).await.stop_cleanly().await;
}

#[tokio::test]
async fn plaintext_in_public_works_and_warns() {
    let place = Place::new();
    let daemon = place.start(&["--bind", "0.0.0.0", "--plaintext"]).await;
    assert!(daemon.control().starts_with("http://"));
    assert!(
        daemon.said.iter().any(|line| line["level"] == "WARN" && line.to_string().contains("without TLS"))
    );
    assert!(!place.data().join("tls").exists());
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_on_both_planes_and_renewed_on_sighup() {
    let place = Place::new();
    let (certificate, key) = pair(&place, "server");
    let trust_in = |path: &PathBuf| client_config_from_ca_file(path).unwrap();
    let first = place.path("first.crt");
    fs::copy(&certificate, &first).unwrap();
    let arguments = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut daemon = place.start(&arguments).await;
    assert_eq!(health(&daemon, trust_in(&first)).await.unwrap(), 200);
    assert!(nats_lets_in(&daemon, trust_in(&first), &place).await);
    let plain = daemon.control().replace("https", "http");
    assert!(health_at(&plain, trust_in(&first)).await.is_err());

    // A broken pair changes nothing.
    let whole = fs::read(&key).unwrap();
    fs::write(&key, "broken").unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("the one before stays in use").await;
    assert_eq!(health(&daemon, trust_in(&first)).await.unwrap(), 200);

    fs::write(&key, whole).unwrap();
    let (second, second_key) = pair(&place, "second");
    fs::copy(&second, &certificate).unwrap();
    fs::copy(&second_key, &key).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("the TLS certificate was renewed").await;
    assert_eq!(health(&daemon, trust_in(&second)).await.unwrap(), 200);
    assert!(nats_lets_in(&daemon, trust_in(&second), &place).await);
    assert!(health(&daemon, trust_in(&first)).await.is_err());
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_warned_of() {
    let place = Place::new();
    let (certificate, key) = pair(&place, "server");
    let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + Duration::from_hours(10 * 24)).into();
    let made = rcgen::KeyPair::generate().unwrap();
    fs::write(&certificate, params.self_signed(&made).unwrap().pem()).unwrap();
    fs::write(&key, made.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let mut daemon = place.start(&["--tls-cert", &certificate, "--tls-key", &key]).await;
    daemon.wait_for("expires on").await;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config_from_ca_file(certificate.as_ref()).unwrap())
        .build()
        .unwrap();
    let text =
        client.get(format!("{}/healthz", daemon.control())).send().await.unwrap().text().await.unwrap();
    let health: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["data_plane"]["detail"].as_str().unwrap().contains("renew it"), "{health}");
    daemon.stop_cleanly().await;
}

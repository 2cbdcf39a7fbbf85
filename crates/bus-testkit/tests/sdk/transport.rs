//! TLS on both planes, and what is refused without it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus_client::{
    Bus, BusConfig, CaFingerprint, ClientTls, Confirm, ErrorKind, Event, GetFile, Phase, Progress, PutFile,
    RoomDraft, RoomRole,
};
use bus_testkit::{Answer, BusRole, TestBus};
use busauth::Identity;
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use serde_json::json;
use tokio::sync::Notify;

use super::support::{Lab, SUBJECT, lied_to, message, text, tuning, within};

/// A CA of the test's own and a certificate of it for 127.0.0.1, as files.
struct Certificates {
    ca: String,
    chain: String,
    key: String,
}

impl Certificates {
    fn make(directory: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
        let key = KeyPair::generate().unwrap();
        let server = params.signed_by(&key, &ca).unwrap();
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            path.display().to_string()
        };
        Self {
            ca: write("ca.pem", ca.pem()),
            chain: write("server.pem", server.pem() + &ca.pem()),
            key: write("server.key", key.serialize_pem()),
        }
    }
}

fn config(bus: &TestBus, identity: &std::sync::Arc<Identity>, tls: ClientTls) -> BusConfig {
    let url = format!("https://{}", bus.control_addr());
    BusConfig::new(url, identity.clone()).with_tls(tls).with_tuning(tuning())
}

async fn with_tls(made: &Certificates) -> TestBus {
    let (chain, key) = (made.chain.clone(), made.key.clone());
    let change = move |flags: &mut membershipd::NodeFlags| {
        flags.tls_cert = Some(chain);
        flags.tls_key = Some(key);
    };
    TestBus::builder().flags(change).start().await.unwrap()
}

#[tokio::test]
async fn a_ca_file_or_its_fingerprint_opens_both_planes() {
    let directory = tempfile::tempdir().unwrap();
    let made = Certificates::make(directory.path());
    let bus = with_tls(&made).await;
    let ca = std::fs::read(&made.ca).unwrap();
    let by_file = ClientTls::CaFile(made.ca.clone().into());
    let pinned = ClientTls::CaFingerprint(CaFingerprint::of_pem(&ca).unwrap());

    let admin = Bus::connect(config(&bus, bus.admin(), by_file.clone())).await.unwrap();
    let bob = std::sync::Arc::new(Identity::generate());
    admin.admit(bob.card(None), Some("bob".parse().unwrap()), BusRole::Member).await.unwrap();
    let at_admin = admin.create_room(RoomDraft::new(SUBJECT.parse().unwrap())).await.unwrap();
    at_admin.add(&"bob".parse().unwrap(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let bob_bus = Bus::connect(config(&bus, &bob, pinned)).await.unwrap();
    let at_bob = bob_bus.room(SUBJECT).await.unwrap();
    let mut heard = at_bob.subscribe().await.unwrap();
    at_admin.publish("over TLS").await.unwrap();
    assert_eq!(text(&message(&mut heard).await), "over TLS");

    // Another authority's word counts for nothing, and plaintext is not tried.
    let other = tempfile::tempdir().unwrap();
    let stranger = ClientTls::CaFile(Certificates::make(other.path()).ca.into());
    let refused = Bus::connect(config(&bus, &bob, stranger)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    let refused = Bus::connect(config(&bus, &bob, ClientTls::LoopbackPlaintext)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);

    drop((heard, at_bob, at_admin));
    bob_bus.shutdown().await.unwrap();
    admin.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn files_go_over_tls_and_a_download_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let made = Certificates::make(directory.path());
    let bus = with_tls(&made).await;
    let alice = Bus::connect(config(&bus, bus.admin(), ClientTls::CaFile(made.ca.into()))).await.unwrap();
    let room = alice.create_room(RoomDraft::new(SUBJECT.parse().unwrap())).await.unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let sent = directory.path().join("sent");
    std::fs::write(&sent, &content).unwrap();
    let stored = room.put_file(&sent, PutFile::default()).await.unwrap();

    let got = directory.path().join("got");
    room.get_file(&stored.digest, &got, GetFile::default()).await.unwrap();
    assert!(std::fs::read(&got).unwrap() == content);

    // As a download leaves it that was broken off: then only the rest is asked for.
    let again = directory.path().join("again");
    let part = directory.path().join(format!(".again.{}.part", &stored.digest.to_string()[..16]));
    std::fs::write(&part, &content[..2_000_000]).unwrap();
    let first = Arc::new(AtomicU64::new(u64::MAX));
    let seen = first.clone();
    let mut options = GetFile::default();
    options.progress = Some(Arc::new(move |progress: Progress| {
        if progress.phase == Phase::Receiving {
            seen.fetch_min(progress.done, Ordering::Relaxed);
        }
    }));
    room.get_file(&stored.digest, &again, options).await.unwrap();
    assert!(std::fs::read(&again).unwrap() == content);
    assert!(!part.exists());
    let first = first.load(Ordering::Relaxed);
    assert!((1_900_000..u64::MAX).contains(&first), "it began at {first}");

    drop(room);
    alice.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_not_on_the_allowlist_is_told_so() {
    let bus = TestBus::start().await.unwrap();
    let stranger = std::sync::Arc::new(Identity::generate());
    let refused = Bus::connect(super::support::config(&bus, &stranger)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    bus.stop().await.unwrap();
}

/// A refused question about oneself is no news about oneself, unless it says so.
#[tokio::test]
async fn only_a_revocation_is_called_one() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let bus = Bus::connect(lied_to(&lab.bus, &lab.bob.identity)).await.unwrap();
    let mut events = bus.events();
    let asked = Arc::new(Notify::new());
    let told = asked.clone();
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path() != "/v1/me" {
            return answer;
        }
        told.notify_one();
        let problem = json!({ "type": "about:blank", "title": "refused", "status": 401, "code": "signature_invalid",
                              "detail": "refused", "request_id": "0" });
        Answer::made_up(StatusCode::UNAUTHORIZED, &problem)
    });
    let first = lab.alice.creates("lab.first").await;
    first.add(&lab.bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    within("question", asked.notified()).await;

    lab.bus.proxy().unwrap().tell_the_truth();
    let second = lab.alice.creates("lab.second").await;
    second.add(&lab.bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    within("second room", async {
        loop {
            match events.next().await.expect("the bus is connected") {
                Event::RoomAdded { room } if room == second.id() => break,
                Event::Revoked => panic!("nobody was revoked"),
                _ => {}
            }
        }
    })
    .await;
    drop((first, second));
    bus.shutdown().await.unwrap();
    lab.stop().await;
}

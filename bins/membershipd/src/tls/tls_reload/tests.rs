//! Certificates are renewed without anybody asking: when their files change, and before they run out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use busauth::ServerTls;
use tempfile::TempDir;

use super::*;

fn write_pair(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("server.crt"), made.cert.pem()).unwrap();
    fs::write(directory.join("server.key"), made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(directory.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs the task under a paused clock until the pair in use is another one.
async fn changes(tls: NodeTls, within: Duration) -> bool {
    let pair = tls.pair.clone();
    let before = fs::read(pair.certificate_path()).ok();
    let shown = pair.chain_end_fingerprint();
    let (_hangups, asked) = mpsc::channel(1);
    let (then, _told) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let running = TlsReload::new(tls).run(asked, then, stop.clone());
    let looking = async {
        tokio::time::sleep(within).await;
        stop.cancel();
    };
    tokio::join!(running, looking);
    pair.chain_end_fingerprint() != shown || fs::read(pair.certificate_path()).ok() != before
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_in_use_soon_after() {
    let directory = TempDir::new().unwrap();
    write_pair(directory.path());
    let open = || {
        let (certificate, key) = (directory.path().join("server.crt"), directory.path().join("server.key"));
        NodeTls { pair: ServerTls::load(certificate, key).unwrap(), renewal: Renewal::ByOthers }
    };
    assert!(!changes(open(), LOOK_EVERY * 2).await);
    let tls = open();
    write_pair(directory.path());
    assert!(changes(tls, LOOK_EVERY * 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_the_own_authority_is_replaced_before_it_runs_out() {
    let directory = TempDir::new().unwrap();
    let open = || {
        let authority = LocalAuthority::open(directory.path()).unwrap();
        let names = vec!["localhost".to_owned()];
        authority.issue(&names).unwrap();
        let (certificate, key) = authority.server_pair();
        let pair = ServerTls::load(certificate, key).unwrap();
        NodeTls { pair, renewal: Renewal::ByAuthority { authority: Box::new(authority), names } }
    };
    assert!(!changes(open(), LOOK_EVERY * 2).await);
    let mut due = TlsReload::new(open());
    let before = fs::read(due.tls.pair.certificate_path()).unwrap();
    tokio::time::advance(LocalAuthority::REISSUE_AFTER).await;
    due.renew(Wanted::WhenDue);
    assert_ne!(fs::read(due.tls.pair.certificate_path()).unwrap(), before);
}

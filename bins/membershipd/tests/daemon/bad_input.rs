//! What cannot work ends with a clear text and the right exit code, and loses nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::harness::Place;

fn private_data(place: &Place) {
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_port_in_use_names_the_plane_and_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = Place::new();
    place
        .fail(&["--http-port", &port])
        .await
        .says(1, &["the control plane cannot listen", &port, "--http-port"]);
    place
        .fail(&["--nats-port", &port])
        .await
        .says(1, &["the data plane cannot listen", &port, "--nats-port"]);
    // Nothing is left half made: the next start works.
    place.start(&[]).await.stop_cleanly().await;
}

#[tokio::test]
async fn a_corrupt_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    private_data(&place);
    let garbage = "this is no database, however long one looks at it. ".repeat(200);
    fs::write(place.db(), &garbage).unwrap();
    place.fail(&[]).await.says(1, &["unibus.db", "damaged or not a database", "restore a backup"]);
    assert_eq!(fs::read_to_string(place.db()).unwrap(), garbage);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let place = Place::new();
    place.start(&[]).await.stop_cleanly().await;
    let options = SqliteConnectOptions::new().filename(place.db());
    let mut database = options.connect().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    let before = fs::read(place.db()).unwrap();
    place.fail(&[]).await.says(1, &["schema version 9999", "use a newer version"]);
    assert_eq!(fs::read(place.db()).unwrap(), before);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(place.path("file"), "in the way").unwrap();
    let db = place.path("file").join("data/unibus.db").display().to_string();
    place.fail(&["--db", &db]).await.says(2, &["the data directory", "cannot be created", "--db"]);
}

#[tokio::test]
async fn a_directory_that_others_can_read_is_refused() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o755)).unwrap();
    place.fail(&[]).await.says(2, &["open to other users", "mode 755", "chmod 700"]);
}

#[tokio::test]
async fn a_data_directory_in_use_names_who_has_it() {
    let place = Place::new();
    let daemon = place.start(&[]).await;
    place.fail(&[]).await.says(1, &["is in use by another process (pid ", "stop it first"]);
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn key_files_must_be_readable_and_private() {
    let place = Place::new();
    let (certificate, key) = super::tls::pair(&place, "server");
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    place.fail(&["--tls-cert", certificate, "--tls-key", key]).await.says(2, &[key, "chmod 600"]);
    let missing = place.path("missing.key").display().to_string();
    place.fail(&["--tls-cert", certificate, "--tls-key", &missing]).await.says(2, &["cannot read", &missing]);
    fs::write(key, "not a key").unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    place.fail(&["--tls-cert", certificate, "--tls-key", key]).await.says(2, &[key]);
}

#[tokio::test]
async fn an_admin_identity_that_others_can_read_is_not_used() {
    let place = Place::new();
    private_data(&place);
    let identity = place.data().join("admin.identity");
    busauth::identity::file::save_new(&identity, &busauth::Identity::generate()).unwrap();
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o640)).unwrap();
    place.fail(&[]).await.says(1, &["admin.identity", "open to others"]);
}

#[tokio::test]
async fn a_directory_for_files_has_to_be_the_daemons_alone() {
    let place = Place::new();
    let files = place.path("files");
    let named = files.display().to_string();
    fs::create_dir(&files).unwrap();
    fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).unwrap();
    place.fail(&["--store-dir", &named]).await.says(2, &["open to other users", "chmod 700", "--store-dir"]);
    fs::set_permissions(&files, fs::Permissions::from_mode(0o700)).unwrap();
    let first = place.start(&["--store-dir", &named]).await;
    let other = place.path("other").join("unibus.db").display().to_string();
    place.fail(&["--db", &other, "--store-dir", &named]).await.says(1, &["in use by another process"]);
    first.stop_cleanly().await;
}

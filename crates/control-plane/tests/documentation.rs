//! `docs/control-plane.md` names what there is.

use control_api::{Limits, ProblemCode};
use http::{Method, StatusCode};

use crate::support::Bus;

const PAGE: &str = include_str!("../../../docs/control-plane.md");

#[test]
fn every_problem_code_is_documented_with_its_status() {
    for code in ProblemCode::ALL {
        let row = PAGE.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{code}`")));
        let row = row.unwrap_or_else(|| panic!("{code} is missing"));
        assert!(row.starts_with(&format!("| {} |", code.status().as_u16())), "{row}");
    }
}

#[tokio::test]
async fn every_documented_endpoint_exists() {
    let bus = Bus::start().await;
    let rows =
        PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(cell, _)| cell);
    let endpoints: Vec<(Method, String)> = rows
        .filter_map(|cell| cell.split_once(" /"))
        .map(|(method, path)| (method.parse().unwrap(), format!("/{path}")))
        .collect();
    assert_eq!(endpoints.len(), 26);
    for (method, path) in endpoints {
        let id = if path.starts_with("/v1/users") {
            bus.admin.id().to_string()
        } else {
            "AAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()
        };
        let path =
            path.replace("{id}", &id).replace("{digest}", &"0".repeat(64)).replace("{name}", "c_nobody");
        let call = bus.send(method.clone(), &bus.admin, &path, &());
        // Whatever the answer to so poor a request is: path and method are known.
        let answer = call.send().await;
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        let unknown = answer.body.windows(11).any(|part| part == b"\"not_found\"");
        assert!(!unknown, "{method} {path}");
    }
}

#[test]
fn the_documented_limits_are_the_defaults() {
    let limits = Limits::default();
    let expected = format!(
        "{} requests per second and user ({} at\nonce), 1,000 per second and address (4,000 at once)",
        limits.user_requests_per_second, limits.user_burst
    );
    assert!(PAGE.contains(&expected), "{expected}");
    assert_eq!((limits.address_requests_per_second, limits.address_burst), (1_000, 4_000));
    assert_eq!(
        (limits.header_bytes, limits.body_bytes, limits.keys_body_bytes),
        (16 << 10, 256 << 10, 1 << 20)
    );
    assert_eq!((limits.statement_bytes, limits.page, limits.connections), (64 << 10, 500, 4_096));
    assert_eq!(
        (limits.blob_bytes, limits.user_blob_uploads, limits.blob_stall_seconds),
        ((1 << 30) + (1 << 20), 4, 30)
    );
    assert_eq!((limits.room_blob_bytes, limits.user_blob_bytes), (10 << 30, 10 << 30));
}

//! Calls to a scripted control plane: retries, clocks, fail-over, refusals.

use std::sync::Arc;
use std::time::Duration;

use busauth::Identity;
use control_api::{Problem, ProblemCode, Timestamp};
use http::Method;
use parking_lot::Mutex;
use room_protocol::BlobDigest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

use super::{Control, Endpoint, Repeat, unix_now};
use crate::error::ErrorKind;
use crate::tls;

/// A control plane that gives prepared answers, one a connection, and keeps the requests.
struct Scripted {
    endpoint: Endpoint,
    requests: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

/// A prepared answer.
enum Say {
    Json(u16, Value),
    /// Reads the request and hangs up.
    Nothing,
    /// Says that more follows than does, and does not hang up.
    HeadOnly(u16),
}

impl Scripted {
    async fn new(script: impl IntoIterator<Item = Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (requests.clone(), script.into_iter().collect::<Vec<_>>());
        let server = TaskTracker::new().spawn(async move {
            let mut unfinished = Vec::new();
            for say in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                kept.lock().push(request);
                let (status, length, body) = match say {
                    Say::Json(status, body) => (status, body.to_string().len(), body.to_string()),
                    Say::HeadOnly(status) => (status, 100, String::new()),
                    Say::Nothing => continue,
                };
                let answer = format!(
                    "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                if body.is_empty() {
                    unfinished.push(stream);
                }
            }
            std::future::pending::<()>().await;
        });
        Self { endpoint, requests, _server: AbortOnDropHandle::new(server) }
    }

    fn control(&self) -> Control {
        control(self.endpoint.clone())
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

fn control(endpoint: Endpoint) -> Control {
    control_within(Duration::from_secs(5), endpoint)
}

/// One that waits no longer for an answer.
fn control_within(timeout: Duration, endpoint: Endpoint) -> Control {
    let identity = Arc::new(Identity::generate());
    Control::new(identity, endpoint, tls::trust_nobody().unwrap(), timeout, timeout).unwrap()
}

/// An address at which nobody listens any more.
async fn away() -> Endpoint {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint::parse(&format!("http://{}", nobody.local_addr().unwrap())).unwrap()
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).await.unwrap();
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
        if read == 0 || body.len() >= length {
            return text;
        }
    }
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn created(request: &str) -> u64 {
    let input = header(request, "signature-input").unwrap();
    let (_, rest) = input.split_once("created=").unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn problem(code: ProblemCode, change: impl FnOnce(&mut Problem)) -> Say {
    let mut problem = Problem::new(code, "a sentence", "r-1");
    change(&mut problem);
    Say::Json(code.status().as_u16(), serde_json::to_value(problem).unwrap())
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_servers() {
    let server_time = unix_now() + 3600;
    let server = Scripted::new([
        problem(ProblemCode::ClockSkew, |problem| problem.time = Some(Timestamp::from_unix(server_time))),
        Say::Json(200, json!({ "ok": true })),
        Say::Json(200, json!({ "ok": true })),
    ])
    .await;
    let control = server.control();
    control.get::<Value>("/v1/me").await.unwrap();
    control.get::<Value>("/v1/me").await.unwrap();
    let requests = server.requests();
    assert!(created(&requests[0]) < server_time - 3000);
    for request in &requests[1..] {
        assert!(created(request).abs_diff(server_time) < 60);
    }
}

#[tokio::test]
async fn calls_that_meet_the_same_correction_at_once_all_go_on() {
    let time = Timestamp::from_unix(unix_now() + 3);
    let restarted = || problem(ProblemCode::Retry, |problem| problem.time = Some(time));
    let fine = || Say::Json(200, json!({}));
    let server = Scripted::new([restarted(), restarted(), fine(), fine()]).await;
    let control = server.control();
    let (first, second) = tokio::join!(control.get::<Value>("/v1/a"), control.get::<Value>("/v1/b"));
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_server_that_never_likes_the_time_is_given_up() {
    let skew = || problem(ProblemCode::ClockSkew, |problem| problem.time = Some(Timestamp::from_unix(1)));
    let server = Scripted::new([skew(), skew(), skew(), skew()]).await;
    let refused = server.control().get::<Value>("/v1/me").await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unauthenticated, Some(ProblemCode::ClockSkew)));
}

#[tokio::test]
async fn a_server_that_dates_requests_far_ahead_is_not_followed() {
    let in_years = unix_now() + 5 * 365 * 86_400;
    let skew =
        || problem(ProblemCode::ClockSkew, |problem| problem.time = Some(Timestamp::from_unix(in_years)));
    let server = Scripted::new([skew(), skew(), skew(), skew()]).await;
    let refused = server.control().get::<Value>("/v1/me").await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::ClockSkew));
    for request in &server.requests() {
        assert!(created(request).abs_diff(unix_now()) < 60, "dated by this computer's clock");
    }
}

#[tokio::test]
async fn what_may_have_happened_is_repeated_only_when_twice_is_once() {
    let server = Scripted::new([Say::Nothing, Say::Json(200, json!({}))]).await;
    server.control().send::<_, Value>(Method::POST, "/v1/a", &json!({}), Repeat::Harmless).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(header(&requests[0], "signature"), header(&requests[1], "signature"), "a nonce serves once");

    let server = Scripted::new([Say::Nothing, Say::Json(200, json!({}))]).await;
    let outcome =
        server.control().send::<_, Value>(Method::POST, "/v1/a", &json!({}), Repeat::OnlyUnsent).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn another_node_serves_when_the_first_is_away() {
    let server = Scripted::new([Say::Json(200, json!({ "node": 2 }))]).await;
    let control = control(away().await);
    control.learn_endpoints([server.endpoint.clone()]);
    assert_eq!(control.get::<Value>("/v1/me").await.unwrap()["node"], 2);
}

#[tokio::test]
async fn a_node_that_comes_after_many_others_have_gone_is_known() {
    let server = Scripted::new([Say::Json(200, json!({ "node": 99 }))]).await;
    let control = control(away().await);
    for port in 1..=99 {
        control.learn_endpoints([Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap()]);
    }
    control.learn_endpoints([server.endpoint.clone()]);
    assert_eq!(control.get::<Value>("/v1/me").await.unwrap()["node"], 99);
}

#[tokio::test]
async fn a_refusal_that_never_ends_is_given_up() {
    let server = Scripted::new([404, 404, 404, 404].map(Say::HeadOnly)).await;
    let control = control_within(Duration::from_millis(200), server.endpoint.clone());
    let digest = BlobDigest::from_bytes([7; 32]);
    let asked = control.file_length("/v1/rooms/R/blobs/D", &digest);
    let refused = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it hangs").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn refusals_keep_their_code_and_become_a_kind() {
    for (code, kind) in [
        (ProblemCode::UserUnknown, ErrorKind::Unauthenticated),
        (ProblemCode::UserRevoked, ErrorKind::Revoked),
        (ProblemCode::AdminRequired, ErrorKind::Forbidden),
        (ProblemCode::NotAMember, ErrorKind::NotAMember),
        (ProblemCode::RoomNotFound, ErrorKind::NotFound),
        (ProblemCode::HandleTaken, ErrorKind::Conflict),
        (ProblemCode::WrongAuthority, ErrorKind::Config),
        (ProblemCode::StatementRefused, ErrorKind::Invalid),
    ] {
        let server = Scripted::new([problem(code, |_| ())]).await;
        let refused = server.control().get::<Value>("/v1/me").await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (kind, Some(code)));
        assert_eq!(refused.request_id(), Some("r-1"));
        assert_eq!(refused.to_string(), "a sentence");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_named_as_such() {
    let server = Scripted::new([Say::Json(200, json!("hello"))]).await;
    let refused = server.control().get::<control_api::Me>("/v1/me").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Protocol);
    let server = Scripted::new([Say::Json(404, json!("nothing here"))]).await;
    let refused = server.control().get::<Value>("/v1/me").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("control plane"), "{refused}");
}

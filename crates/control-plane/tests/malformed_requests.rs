//! Requests that cannot be read: each gets a problem that says what to do.

use control_api::{Info, Limits, ProblemCode, Ready};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::support::{Bus, Settings};

#[tokio::test]
async fn the_open_paths_need_no_signature() {
    let bus = Bus::start().await;
    let info: Info = bus.get(&bus.admin, "/v1/info").unsigned().ok(StatusCode::OK).await;
    assert_eq!((info.api, info.name.as_str(), info.data_tls), (1, "test", false));
    assert_eq!(info.control_urls, [format!("http://{}", bus.address)]);
    assert_eq!(info.limits, Limits::default());
    let health: control_api::Health = bus.get(&bus.admin, "/healthz").unsigned().ok(StatusCode::OK).await;
    assert_eq!(health.store.users, 1);
    assert!(!health.ha);
    let ready: Ready =
        bus.get(&bus.admin, "/readyz").unsigned().addressed_to("10.0.0.1").ok(StatusCode::OK).await;
    assert!(ready.ready);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let bus = Bus::start().await;
    bus.get(&bus.admin, "/v1/nothing").problem(ProblemCode::NotFound).await;
    bus.get(&bus.admin, "/").unsigned().problem(ProblemCode::NotFound).await;
    let answer = bus.send(Method::PUT, &bus.admin, "/v1/users", &()).send().await;
    answer.problem(ProblemCode::MethodNotAllowed);
    assert_eq!(answer.header(&header::ALLOW), "GET,HEAD,POST");
}

#[tokio::test]
async fn bodies_that_are_not_the_expected_json_are_refused() {
    let bus = Bus::start().await;
    let post = |body: &[u8]| bus.post(&bus.admin, "/v1/users", &()).raw_body(body);
    post(b"{").problem(ProblemCode::BadJson).await;
    post(b"[]").problem(ProblemCode::BadJson).await;
    post(b"{\"card\":\"\xff\xfe\",\"role\":\"guest\"}").problem(ProblemCode::BadJson).await;
    post(br#"{"card":"unibus1:AAAA","role":"guest"}"#).problem(ProblemCode::BadJson).await;
    let card = busauth::Identity::generate().card(None);
    let unknown_member = format!(r#"{{"card":"{card}","role":"guest","admin":true}}"#);
    post(unknown_member.as_bytes()).problem(ProblemCode::BadJson).await;
    let no_handle = format!(r#"{{"card":"{card}","role":"guest"}}"#);
    post(no_handle.as_bytes()).problem(ProblemCode::BadParameter).await;
    post(b"").problem(ProblemCode::SignatureInvalid).await;
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let bus = Bus::start().await;
    let mut request = bus.post(&bus.admin, "/v1/users", &()).unsigned().request();
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    // Unsigned requests are refused before anything is said about their body.
    let stream = tokio::net::TcpStream::connect(bus.address).await.unwrap();
    crate::support::exchange(stream, request).await.problem(ProblemCode::SignatureMissing);

    let bodiless = bus.send(Method::POST, &bus.admin, "/v1/users", &()).without_body();
    bodiless.problem(ProblemCode::UnsupportedMediaType).await;
}

#[tokio::test]
async fn bodies_have_a_bound_announced_or_not() {
    let limits = Limits { body_bytes: 1_000, keys_body_bytes: 2_000, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let large = vec![b' '; 1_001];
    bus.post(&bus.admin, "/v1/users", &()).raw_body(large.clone()).problem(ProblemCode::BodyTooLarge).await;
    bus.post(&bus.admin, "/v1/users", &())
        .raw_body(large.clone())
        .chunked()
        .problem(ProblemCode::BodyTooLarge)
        .await;
    bus.post(&bus.admin, "/v1/rooms", &()).raw_body(large).problem(ProblemCode::BadJson).await;
    bus.post(&bus.admin, "/v1/rooms", &())
        .raw_body(vec![b' '; 2_001])
        .problem(ProblemCode::BodyTooLarge)
        .await;
}

#[tokio::test]
async fn headers_have_a_bound() {
    let bus = Bus::start().await;
    let name = HeaderName::from_static("x-padding");
    let fitting = HeaderValue::from_str(&"a".repeat(8 * 1024)).unwrap();
    let answer = bus.get(&bus.admin, "/v1/me").header(name.clone(), fitting.clone()).send().await;
    assert_eq!(answer.status, StatusCode::OK);
    let call =
        bus.get(&bus.admin, "/v1/me").header(name.clone(), fitting.clone()).header(name.clone(), fitting);
    call.problem(ProblemCode::HeadersTooLarge).await;
    let enormous = HeaderValue::from_str(&"a".repeat(100 * 1024)).unwrap();
    let answer = bus.get(&bus.admin, "/v1/me").header(name, enormous).send().await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn ids_and_parameters_are_checked() {
    let bus = Bus::start().await;
    for path in [
        "/v1/users/alice",
        "/v1/users/%ff",
        "/v1/rooms/ABC",
        "/v1/users?limit=many",
        "/v1/users?after=me",
        "/v1/users?surprise=1",
        "/v1/rooms?all=perhaps",
    ] {
        bus.get(&bus.admin, path).problem(ProblemCode::BadParameter).await;
    }
}

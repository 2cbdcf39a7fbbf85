//! What happens to every request before and after its handler: id, bounds, time-out, problem bodies, one line
//! in the log.

use std::{net::SocketAddr, sync::Arc, time::Duration, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use control_api::ProblemCode;
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_body::Body as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    ControlPlane,
    authenticate::{HasBody, check_forwarding, own_authority},
    problem::{Refusal, Result},
    rate_limit::address_key,
    routes::{OPEN, is_upload},
};

/// The request's id, also in problem bodies and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a request of the local control socket may take. Among them are those that work on a nats-server: certificates
/// are looked at and exchanged for up to 80 seconds.
pub const LOCAL_LIMIT: Duration = Duration::from_secs(100);

/// Where a connection comes from; put on each of its requests by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// Around every request of the public API.
pub(crate) async fn outermost(
    State(control): State<Arc<ControlPlane>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let admitted = admit(&control, &head);
    let limit = Duration::from_secs(control.config.limits.request_seconds);
    run(Request::from_parts(head, body), next, admitted, limit).await
}

/// Around every request of the local control socket: its callers need neither limits nor names.
pub(crate) async fn outermost_local(request: Request, next: Next) -> Response {
    run(request, next, Ok(()), LOCAL_LIMIT).await
}

async fn run(mut request: Request, next: Next, admitted: Result<()>, limit: Duration) -> Response {
    let id = Uuid::now_v7().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", %id, %method, path);
    let open = OPEN.contains(&path.as_str());
    let has_body = HasBody(!request.body().is_end_stream());
    request.extensions_mut().insert(has_body);
    async {
        let started = Instant::now();
        let response = match admitted {
            Err(refusal) => refusal.into_response(),
            Ok(()) if is_upload(&method, &path) => next.run(request).await,
            Ok(()) => tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
                let detail = "the request was not served in time; a change may still happen: look before you repeat it";
                Refusal::new(ProblemCode::RequestTimeout, detail).into_response()
            }),
        };
        let response = finish(response, &id, open);
        tracing::debug!(status = response.status().as_u16(), elapsed = ?started.elapsed(), "answered");
        response
    }
    .instrument(span)
    .await
}

/// The checks that need nothing but the headers, cheapest first.
fn admit(control: &ControlPlane, head: &Parts) -> Result<()> {
    if let Some(RemoteAddress(remote)) = head.extensions.get() {
        control
            .address_rate
            .admit(address_key(remote.ip()), Instant::now())
            .map_err(Refusal::rate_limited)?;
    }
    check_header_size(head, control.config.limits.header_bytes)?;
    check_forwarding(control.config.mode, &head.headers)?;
    // The open paths are asked by load balancers, too, which know addresses and not names.
    if !OPEN.contains(&head.uri.path()) {
        own_authority(control, head)?;
    }
    Ok(())
}

fn check_header_size(head: &Parts, limit: u64) -> Result<()> {
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if (fields + target + head.method.as_str().len()) as u64 > limit {
        let detail = format!("request line and headers have at most {limit} bytes");
        return Err(Refusal::new(ProblemCode::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Refusals become problem bodies; every answer gets its id and may be cached only when it is open.
fn finish(response: Response, id: &str, open: bool) -> Response {
    let mut response = problem_document(response, id);
    let status = response.status();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    if !(open && status == StatusCode::OK) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The body of a refusal, with what the router said about it.
fn problem_document(response: Response, id: &str) -> Response {
    let Some(refusal) = response.extensions().get::<Refusal>() else { return response };
    let (code, detail) = (refusal.code(), refusal.detail());
    if let Some(cause) = refusal.cause() {
        tracing::error!(%code, detail, cause, "refused");
    } else {
        tracing::info!(%code, detail, "refused");
    }
    let mut document = refusal.answer(id);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        document.headers_mut().insert(header::ALLOW, allow.clone());
    }
    document
}

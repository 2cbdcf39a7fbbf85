//! The monitoring port: `/varz`, `/connz`, `/subsz`, `/jsz` and `/healthz` as nats-server answers them, for tools that read
//! its format. One request per connection, few connections, on a loopback address only.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST},
    uri::Authority,
};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::report::{Monitor, Page};

/// Requests answered at once; more wait.
const MAX_REQUESTS: usize = 8;

/// Time for a request and its answer.
const REQUEST: Duration = Duration::from_secs(10);

/// Most bytes and fields of a request.
const MAX_REQUEST: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests until told to stop.
pub(crate) async fn serve(monitor: Arc<Monitor>, listener: TcpListener, stop: CancellationToken) {
    let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
    let next = async || {
        let place = Arc::clone(&requests).acquire_owned().await;
        (listener.accept().await, place)
    };
    while let Some((accepted, place)) = stop.run_until_cancelled(next()).await {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (answering, stop) = (Arc::clone(&monitor), stop.clone());
        monitor.tasks().spawn(async move {
            let answer = tokio::time::timeout(REQUEST, answer(&answering, stream));
            // Answered, out of time or stopped: the connection is over.
            let _ended = stop.run_until_cancelled(answer).await;
            drop(place);
        });
    }
}

async fn answer(monitor: &Arc<Monitor>, stream: TcpStream) {
    let service = service_fn(async |request| Ok::<_, Infallible>(respond(monitor, &request).await));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_REQUEST)
        .max_headers(MAX_FIELDS)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "monitoring request failed");
    }
}

async fn respond<B>(monitor: &Arc<Monitor>, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD");
    }
    if !is_for_this_machine(request) {
        return refusal(StatusCode::MISDIRECTED_REQUEST, "not a name of this machine");
    }
    let page = match Page::parse(request.uri().path(), request.uri().query().unwrap_or_default()) {
        Ok(Some(page)) => page,
        Ok(None) => return refusal(StatusCode::NOT_FOUND, "page not found"),
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let monitor = Arc::clone(monitor);
    let Ok((status, body)) = tokio::task::spawn_blocking(move || monitor.report(&page)).await else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made");
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the request names this machine as its host. A web page that points its own name at 127.0.0.1 does not.
fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let address = name.parse::<std::net::IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}

fn refusal(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

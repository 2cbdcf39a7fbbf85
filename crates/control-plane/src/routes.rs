//! Every endpoint in one table.

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    routing::{delete, get, patch, post},
};
use control_api::ProblemCode;
use http::Method;

use crate::{
    ControlPlane,
    authenticate::LocalOperator,
    handlers::{blobs, cluster, consumers, health, info, keys, log, me, rooms, users},
    problem::Refusal,
    request,
};

/// Paths that anybody may ask without a signature.
pub(crate) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/v1/info"];

/// Whether a request brings a file, however long that takes; its handler sees to it that it goes on.
pub(crate) fn is_upload(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with("/v1/rooms/") && path.ends_with("/blobs")
}

/// The API for users: everything but the open paths has to be signed.
pub(crate) fn signed(control: &Arc<ControlPlane>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/info", get(info::info))
        .route("/v1/me", get(me::me))
        .route("/v1/cluster", get(cluster::status))
        .merge(user_routes())
        .route("/v1/rooms", get(rooms::list).post(rooms::create))
        .route("/v1/rooms/{id}", get(rooms::get).patch(rooms::freeze).delete(rooms::delete))
        .route("/v1/rooms/{id}/log", get(log::read).post(log::append))
        .route("/v1/rooms/{id}/consumers", get(consumers::list).post(consumers::make))
        .route("/v1/rooms/{id}/consumers/{name}", delete(consumers::delete))
        .route("/v1/rooms/{id}/keys", get(keys::read).put(keys::share))
        .route("/v1/rooms/{id}/blobs", get(blobs::list).post(blobs::put))
        .route("/v1/rooms/{id}/blobs/{digest}", get(blobs::get).delete(blobs::delete));
    finish(routes, control).layer(middleware::from_fn_with_state(control.clone(), request::outermost))
}

/// The API for whoever has a shell on the bus host. The socket it is served on has to check its peer.
pub(crate) fn local(control: &Arc<ControlPlane>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/v1/cluster", get(cluster::status))
        .route("/v1/cluster/replicas", post(cluster::raise_replicas))
        .route("/v1/cluster/reload", post(cluster::reload_certificates))
        .merge(user_routes())
        .route("/v1/rooms", get(rooms::list))
        .route("/v1/rooms/{id}", get(rooms::get).merge(patch(rooms::freeze)).delete(rooms::delete));
    finish(routes, control)
        .layer(middleware::from_fn(request::outermost_local))
        .layer(Extension(LocalOperator))
}

fn user_routes() -> Router<Arc<ControlPlane>> {
    Router::new()
        .route("/v1/users", get(users::list).merge(post(users::add)))
        .route("/v1/users/{id}", get(users::get).patch(users::set_role).delete(users::revoke))
}

fn finish(routes: Router<Arc<ControlPlane>>, control: &Arc<ControlPlane>) -> Router {
    routes
        .fallback(async || {
            Refusal::new(ProblemCode::NotFound, "there is nothing at this path; see docs/control-plane.md")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(ProblemCode::MethodNotAllowed, "this path does not take that method")
        })
        .with_state(control.clone())
}

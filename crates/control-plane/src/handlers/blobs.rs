//! Files in rooms: `/v1/rooms/{id}/blobs`, `/v1/rooms/{id}/blobs/{digest}`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use blobstore::{BlobError, BlobId, Expected, ReadRange, Upload};
use busauth::ContentDigest;
use control_api::{Blobs, Limits, ProblemCode};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use membership_store::{BlobPut, BlobQuota, BlobRecord, Page, StoreError};
use room_protocol::{BlobDigest, Encryption, RoomId};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    ControlPlane,
    authenticate::{HasBody, SignedDigest, check_freshness},
    authorize::{DeleteBlob, Permit, ReadBlobs, WriteBlob, authorize, no_such_room},
    caller::Caller,
    clock,
    files::{UploadPlace, blob_id},
    handlers::rooms::room_error,
    params::{BlobPath, Id, Params, page_size, parsed},
    problem::{Refusal, Result},
    range::{self, Wanted},
    shapes,
};

/// The media type of a file: the bus knows nothing of what is in it.
const OCTETS: &str = "application/octet-stream";
/// An upload that brings fewer bytes than this within the time of `blob_stall_seconds` makes no progress.
const PROGRESS: usize = 64 * 1024;

/// `?limit=&after=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBlobs {
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "parsed")]
    after: Option<BlobDigest>,
}

/// The files of a room, by digest.
pub(crate) async fn list(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    Params(params): Params<ListBlobs>,
) -> Result<Json<Blobs>> {
    let permit = authorize(control.store().view(), caller, ReadBlobs(id))?;
    control.files()?;
    let page = Page { after: params.after, limit: page_size(params.limit, &control.config.limits) };
    let listing = control.store().blobs(&permit.0, page).await.map_err(room_error)?;
    let blobs = listing.items.iter().map(shapes::blob_info).collect();
    Ok(Json(Blobs { blobs, next: listing.next }))
}

/// Takes in a file. The same file sent again is answered with its record.
pub(crate) async fn put(
    State(control): State<Arc<ControlPlane>>,
    Id(id): Id<RoomId>,
    caller: Caller,
    request: Request,
) -> Result<Response> {
    let permit = authorize(control.store().view(), caller, WriteBlob(id))?;
    let files = control.files()?.clone();
    let limits = &control.config.limits;
    let (parts, body) = request.into_parts();
    check_plaintext(&control, &id)?;
    check_media_type(&parts.headers)?;
    let size = announced_length(&parts.headers, limits)?;
    let blob = blob_id(&id, &announced_digest(&control, &parts)?);
    let place = files.place(permit.user()?, limits.user_blob_uploads)?;
    check_quota(&control, &permit, &blob, size).await?;
    let mut upload = files.store().begin(&blob, Expected { length: size }).await?;
    receive(body, &mut *upload, limits).await?;
    let arrived = Arrived { permit, blob, size, upload, _place: place };
    let put = control.clone().to_the_end(keep(control, arrived)).await?;
    let info = shapes::blob_info(put.record());
    let location = format!("/v1/rooms/{id}/blobs/{}", info.digest);
    let status = if matches!(put, BlobPut::Now(_)) { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, location)], Json(info)).into_response())
}

/// A file whose last byte has come.
struct Arrived {
    permit: Permit<WriteBlob>,
    blob: BlobId,
    size: u64,
    upload: Box<dyn Upload>,
    _place: UploadPlace,
}

/// Makes the file visible: first its bytes, then its record.
async fn keep(control: Arc<ControlPlane>, arrived: Arrived) -> Result<BlobPut> {
    let Arrived { permit, blob, size, upload, _place } = arrived;
    let files = control.files()?;
    let WriteBlob(room) = *permit;
    let lock = files.lock(&blob).await;
    upload.commit().await?;
    let recorded = async {
        let _standing = control.still(&permit).await?;
        let record = BlobRecord {
            digest: BlobDigest::from_bytes(*blob.digest.as_bytes()),
            size,
            uploader: permit.user()?,
            at: clock::now(),
        };
        control.store().put_blob(&room, record, quota(&control.config.limits)).await.map_err(room_error)
    };
    match recorded.await {
        Ok(put) => Ok(put),
        Err(refusal) => {
            let digest = BlobDigest::from_bytes(*blob.digest.as_bytes());
            // Unless the same file was there before.
            if control.store().blob(&room, &digest).await == Err(StoreError::NotFound) {
                files.remove(&blob, &lock).await;
            }
            Err(refusal)
        }
    }
}

/// Streams the body into the upload, for as long as it makes progress.
async fn receive(mut body: Body, upload: &mut dyn Upload, limits: &Limits) -> Result<()> {
    let patience = Duration::from_secs(limits.blob_stall_seconds);
    let mut deadline = Instant::now() + patience;
    let mut progress = 0;
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            Refusal::new(
                ProblemCode::RequestTimeout,
                "the file came too slowly, or not at all: send it again",
            )
        })?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|_| Refusal::new(ProblemCode::BadRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        progress += data.len();
        let began = Instant::now();
        upload.write(data).await?;
        // A slow disk is not the client's fault.
        deadline += began.elapsed();
        if progress >= PROGRESS {
            progress = 0;
            deadline = Instant::now() + patience;
        }
    }
}

/// What the room and the user may still store. Asked again, and then for good, when the file is there.
async fn check_quota(
    control: &ControlPlane,
    permit: &Permit<WriteBlob>,
    blob: &BlobId,
    size: u64,
) -> Result<()> {
    let WriteBlob(room) = **permit;
    let digest = BlobDigest::from_bytes(*blob.digest.as_bytes());
    if control.store().blob(&room, &digest).await.is_ok() {
        return Ok(());
    }
    let usage = control.store().blob_usage(&room, &permit.user()?).await?;
    usage.check(size, &quota(&control.config.limits)).map_err(Refusal::from)
}

fn quota(limits: &Limits) -> BlobQuota {
    BlobQuota { room_bytes: limits.room_blob_bytes, user_bytes: limits.user_blob_bytes }
}

/// On a bus that others can reach, nothing is added to rooms that are not encrypted.
fn check_plaintext(control: &ControlPlane, room: &RoomId) -> Result<()> {
    let room = control.store().view().room(room).ok_or_else(no_such_room)?;
    if control.config.encryption_required && room.encryption == Encryption::None {
        let detail = "on this bus files are put into encrypted rooms only";
        return Err(Refusal::new(ProblemCode::EncryptionRequired, detail));
    }
    Ok(())
}

fn check_media_type(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if value.is_some_and(|value| value.trim().eq_ignore_ascii_case(OCTETS)) {
        return Ok(());
    }
    let detail = format!("send the file with Content-Type: {OCTETS}");
    Err(Refusal::new(ProblemCode::UnsupportedMediaType, detail))
}

fn announced_length(headers: &HeaderMap, limits: &Limits) -> Result<u64> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length
        .ok_or_else(|| Refusal::new(ProblemCode::LengthRequired, "send the file with its Content-Length"))?;
    if length > limits.blob_bytes {
        let detail = format!("a file has at most {} bytes on this bus", limits.blob_bytes);
        return Err(Refusal::new(ProblemCode::BodyTooLarge, detail));
    }
    Ok(length)
}

/// What the file has to hash to. Where requests need not be signed, the header alone says so.
fn announced_digest(control: &ControlPlane, parts: &Parts) -> Result<BlobDigest> {
    let signed = parts.extensions.get().map(|SignedDigest(digest)| *digest);
    let digest = match (signed, parts.extensions.get()) {
        (Some(digest), _) => digest,
        (None, Some(HasBody(false))) => ContentDigest::of([]),
        (None, _) if !control.config.mode.requires_signature() => ContentDigest::declared(&parts.headers)?,
        // The signature of a request with a body covers its digest; without a signature nobody gets here.
        (None, _) => return Err(Refusal::internal("a body without a signed digest")),
    };
    Ok(BlobDigest::from_bytes(*digest.as_bytes()))
}

/// A file or a part of it; for `HEAD`, what there is to know about it.
pub(crate) async fn get(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    BlobPath(id, digest): BlobPath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let permit = authorize(control.store().view(), caller, ReadBlobs(id))?;
    let files = control.files()?;
    let record =
        control.store().blob(&id, &digest).await.map_err(|error| blob_error(error, &control, &id))?;
    let blob = blob_id(&id, &digest);
    let etag = format!("\"{digest}\"");
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &digest, &etag)?;
    if is_known(&headers, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let (start, end) = match range::wanted(&headers, &etag, record.size) {
        Wanted::Outside => return Err(Refusal::out_of_range(record.size)),
        Wanted::Whole => (0, record.size),
        Wanted::Part { start, end } => {
            let value = format!("bytes {start}-{}/{}", end - 1, record.size);
            response.headers_mut().insert(header::CONTENT_RANGE, value_of(&value)?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (start, end)
        }
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, (end - start).into());
    if method == Method::HEAD {
        let stored = files.store().stat(&blob).await.map_err(|error| missing(error, &blob))?;
        if stored.length != record.size {
            return Err(BlobError::Damaged.into());
        }
        return Ok(response);
    }
    let download =
        files.store().read(&blob, ReadRange { start, end }).await.map_err(|error| missing(error, &blob))?;
    if download.blob_length() != record.size {
        return Err(BlobError::Damaged.into());
    }
    let parts = futures_util::stream::try_unfold(download, move |mut download| {
        // Who is removed while a download runs reads no further, nor does anybody where that may not be known.
        let standing = check_freshness(&control)
            .and_then(|()| permit.renew(control.store().view()))
            .map_err(|refusal| std::io::Error::other(refusal.detail().to_owned()));
        async move {
            standing?;
            let part = download.next().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(part.map(|part| (part, download)))
        }
    });
    *response.body_mut() = Body::from_stream(parts);
    Ok(response)
}

fn describe(headers: &mut HeaderMap, digest: &BlobDigest, etag: &str) -> Result<()> {
    let repr = ContentDigest::from_sha256(*digest.as_bytes()).to_string();
    headers.insert(header::ETAG, value_of(etag)?);
    headers.insert("repr-digest", value_of(&repr)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    // Whatever somebody put into a room, no browser shows it as a page of this server.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(())
}

fn value_of(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(Refusal::internal)
}

/// Whether the client says that it has the file.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

/// The record says that the file is there.
fn missing(error: BlobError, blob: &BlobId) -> Refusal {
    if error == BlobError::NotFound {
        tracing::error!(%blob, "a file has a record but no bytes");
        return BlobError::Damaged.into();
    }
    error.into()
}

fn blob_error(error: StoreError, control: &ControlPlane, room: &RoomId) -> Refusal {
    match error {
        StoreError::NotFound if control.store().view().room(room).is_none() => no_such_room(),
        StoreError::NotFound => BlobError::NotFound.into(),
        other => other.into(),
    }
}

/// Deletes a file.
pub(crate) async fn delete(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    BlobPath(id, digest): BlobPath,
) -> Result<StatusCode> {
    let permit = authorize(control.store().view(), caller, ReadBlobs(id))?;
    let record =
        control.store().blob(&id, &digest).await.map_err(|error| blob_error(error, &control, &id))?;
    let wish = DeleteBlob(id, record.uploader);
    let permit = authorize(control.store().view(), permit.caller().clone(), wish)?;
    control.clone().to_the_end(remove(control, permit, digest)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(control: Arc<ControlPlane>, permit: Permit<DeleteBlob>, digest: BlobDigest) -> Result<()> {
    let DeleteBlob(room, uploader) = *permit;
    let files = control.files()?;
    let blob = blob_id(&room, &digest);
    let lock = files.lock(&blob).await;
    let standing = control.still(&permit).await?;
    let record = control.store().blob(&room, &digest).await;
    let record = record.map_err(|error| blob_error(error, &control, &room))?;
    if record.uploader != uploader {
        // Deleted and sent again by somebody else meanwhile.
        return Err(BlobError::NotFound.into());
    }
    control.store().remove_blob(&room, &digest).await.map_err(room_error)?;
    drop(standing);
    files.remove(&blob, &lock).await;
    control.record(permit.caller(), "blob.delete", room, Some(digest.to_string())).await;
    Ok(())
}

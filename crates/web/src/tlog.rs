//! The transparency log: its signed checkpoint, and the tiles and bundles below it (C2SP tlog-tiles). Read from the site,
//! through the cache, as any static server could. And the one thing that is asked of a witness (C2SP tlog-witness).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::blobs::{Key, layout};
use index::ops::log::witness::{self, REQUEST_BYTES_MAX, Refusal};

use crate::app::App;
use crate::error::Failure;
use crate::routes::Site;
use crate::simple::{self, not_found};
use crate::tuf::IMMUTABLE;

/// `GET /tlog/checkpoint`
pub(crate) async fn checkpoint(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    app.installation().until_founded().await;
    send(&app, &layout::log_checkpoint(&site.index), kind, request.headers(), false).await
}

/// `GET /tlog/witnessed`: the last checkpoint that witnesses cosigned. It changes without a publication, so it is read each time.
pub(crate) async fn witnessed(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (blobs, key) = (Arc::clone(&app.installation().blobs), layout::log_witnessed(&site.index));
    let read = tokio::task::spawn_blocking(move || blobs.get(&key)).await;
    match read.map_err(std::io::Error::other).and_then(|read| read) {
        Ok(Some(note)) => {
            let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (headers, note).into_response()
        }
        Ok(None) => not_found(request.headers()),
        Err(error) => Failure::from(error).answer(request.headers()),
    }
}

/// `POST /tlog/add-checkpoint`: whoever speaks for a log that this index was told to witness gets its signature, if the log
/// only grew.
pub(crate) async fn add_checkpoint(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let patience = Duration::from_secs(app.settings().read_timeout_seconds);
    let read = tokio::time::timeout(patience, axum::body::to_bytes(body, REQUEST_BYTES_MAX)).await;
    let Ok(Ok(body)) = read else {
        return Failure::new(StatusCode::BAD_REQUEST, "An add-checkpoint request is shorter, and comes at once.")
            .answer(&parts.headers);
    };
    let plain = |status: StatusCode, kind: &'static str, text: String| {
        (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response()
    };
    match witness::add_checkpoint(app.installation(), &site.index, &body).await {
        Ok(Ok(line)) => plain(StatusCode::OK, "text/plain; charset=utf-8", line),
        Ok(Err(refusal @ Refusal::Conflict { size, .. })) => {
            plain(status(&refusal), "text/x.tlog.size", format!("{size}\n"))
        }
        Ok(Err(refusal)) => plain(status(&refusal), "text/plain; charset=utf-8", format!("{refusal}\n")),
        Err(error) => Failure::from(error).answer(&parts.headers),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

/// `GET /tlog/tile/{tile}`: a name says how much is in it, so what stands under it never changes.
pub(crate) async fn tile(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let path = format!("tile/{}", site.param("tile").unwrap_or_default());
    match layout::log_path(&site.index, &path) {
        Some(key) => {
            send(&app, &key, HeaderValue::from_static("application/octet-stream"), request.headers(), true).await
        }
        None => not_found(request.headers()),
    }
}

async fn send(app: &App, key: &Key, kind: HeaderValue, request: &HeaderMap, immutable: bool) -> Response {
    let page = match app.cache().get(key).await {
        Ok(Some(page)) => page,
        Ok(None) => return not_found(request),
        Err(error) => return Failure::from(error).answer(request),
    };
    let mut response = simple::page_response(app, &page, None, request);
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if immutable {
        headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    }
    response
}

//! The transparency log: its signed checkpoint, and the tiles and bundles below it (C2SP tlog-tiles). Read from the site,
//! through the cache, as any static server could.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::Response;
use index::blobs::{Key, layout};

use crate::app::App;
use crate::error::Failure;
use crate::routes::Site;
use crate::simple::{self, not_found};
use crate::tuf::IMMUTABLE;

/// `GET /tlog/checkpoint`
pub(crate) async fn checkpoint(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    send(&app, &layout::log_checkpoint(&site.index), kind, request.headers(), false).await
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

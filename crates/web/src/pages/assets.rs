//! Files that never change under their address: the address holds a hash of the content.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const STYLE: Asset =
    Asset { name: "style.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../static/style.css") };
const MARK: Asset = Asset { name: "mark.svg", kind: "image/svg+xml", bytes: include_bytes!("../../static/mark.svg") };

/// Where the stylesheet and the mark are.
pub(super) static STYLE_URL: LazyLock<String> = LazyLock::new(|| url(&STYLE));
pub(super) static MARK_URL: LazyLock<String> = LazyLock::new(|| url(&MARK));

fn url(asset: &Asset) -> String {
    let digest = packaging::hash::hex(&Sha256::digest(asset.bytes));
    format!("/static/{}/{}", &digest[..16], asset.name)
}

/// `GET /static/{hash}/{name}`
pub(crate) async fn asset(Path((hash, name)): Path<(String, String)>) -> Response {
    let asked = format!("/static/{hash}/{name}");
    let found = [(&STYLE, &*STYLE_URL), (&MARK, &*MARK_URL)].into_iter().find(|(_, url)| **url == asked);
    let Some((asset, _)) = found else { return (StatusCode::NOT_FOUND, "Not Found\n").into_response() };
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

//! `/integrity/`: the provenance of a file (PEP 740), one read from cache or site.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::blobs::{Key, layout};
use packaging::{DistFilename, ProjectName, Version};
use serde_json::json;

use crate::app::App;
use crate::error::Failure;
use crate::negotiate;
use crate::routes::Site;
use crate::simple;

/// What it is offered as; the first, where a client likes both as well.
const OFFERS: [&str; 2] = ["application/vnd.pypi.integrity.v1+json", "application/json"];

/// `GET /integrity/{project}/{version}/{filename}/provenance`
pub(crate) async fn provenance(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let headers = request.headers();
    let Some(offer) = negotiate::best(headers, &OFFERS) else {
        return said(StatusCode::NOT_ACCEPTABLE, "Request not acceptable");
    };
    let none = || said(StatusCode::NOT_FOUND, "No provenance available");
    let Some(key) = named(&site) else { return none() };
    match app.cache().get(&key).await {
        Ok(Some(page)) => {
            let mut response = simple::page_response(&app, &page, None, headers);
            let headers = response.headers_mut();
            headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
            if headers.contains_key(header::CONTENT_TYPE) {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(offer));
            }
            response
        }
        Ok(None) => none(),
        Err(error) => Failure::from(error).answer(headers),
    }
}

/// What the path names, however project and version are spelt.
fn named(site: &Site) -> Option<Key> {
    let project: ProjectName = site.param("project")?.parse().ok()?;
    let version: Version = site.param("version")?.parse().ok()?;
    let filename = site.param("filename")?;
    let file: DistFilename = filename.parse().ok()?;
    let fits = file.project() == project.normalized() && *file.version() == version;
    layout::provenance(&site.index, &filename).filter(|_| fits)
}

fn said(status: StatusCode, message: &str) -> Response {
    let headers: HeaderMap = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Accept")),
    ]
    .into_iter()
    .collect();
    (status, headers, json!({ "message": message }).to_string()).into_response()
}

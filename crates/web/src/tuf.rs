//! The signed repository: role files, targets, and the convenience that names a project's targets. All read from the
//! site, through the cache, as any static server could.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::Response;
use index::blobs::{Key, layout};
use packaging::{DistFilename, NormalizedName, Sha256};
use tuf::layout::Target;

use crate::app::App;
use crate::error::Failure;
use crate::files;
use crate::routes::Site;
use crate::simple::{self, not_found};

pub(crate) const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /tuf/{role}`: `timestamp.json`, or a role whose name holds its version and which never changes.
pub(crate) async fn role(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let name = site.param("role").unwrap_or_default();
    app.installation().until_founded().await;
    match layout::role_file(&site.index, &name) {
        Some(key) if name == "timestamp.json" => send(&app, &key, request.headers(), false).await,
        Some(key) => send(&app, &key, request.headers(), true).await,
        None => not_found(request.headers()),
    }
}

/// `GET /tuf/paths/{project}`: `<project>.json`.
pub(crate) async fn paths(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let name = site.param("project").unwrap_or_default();
    match name.strip_suffix(".json").and_then(normal) {
        Some(project) => send(&app, &layout::target_paths(&site.index, &project), request.headers(), false).await,
        None => not_found(request.headers()),
    }
}

/// `GET /tuf/targets/simple/{hh}/{project}/{page}`: `<sha256>.index.json`, or `index.json` for the page of the moment.
pub(crate) async fn page(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let page = site.param("page").unwrap_or_default();
    let Some(project) = project(&site) else { return not_found(request.headers()) };
    if page == "index.json" {
        return send(&app, &layout::page(&site.index, &project, "json"), request.headers(), false).await;
    }
    match page.strip_suffix(".index.json").and_then(digest) {
        Some(sha256) => send(&app, &layout::page_target(&site.index, &project, &sha256), request.headers(), true).await,
        None => not_found(request.headers()),
    }
}

/// `GET /tuf/targets/p/{hh}/{project}/{file}`: `<sha256>.<filename>`, the same object as the file's plain URL.
pub(crate) async fn file(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let name = site.param("file").unwrap_or_default();
    let parts = name.split_once('.').and_then(|(hex, filename)| Some((digest(hex)?, filename)));
    let (Some(project), Some((sha256, filename))) = (project(&site), parts) else {
        return not_found(request.headers());
    };
    match filename.parse::<DistFilename>() {
        Ok(parsed) if parsed.project() == project => {
            files::of_site(&app, &site.index, &sha256, filename, request.headers()).await
        }
        Ok(_) | Err(_) => not_found(request.headers()),
    }
}

/// The project of a path, if it stands in the folder of its hash: one spelling of each URL.
fn project(site: &Site) -> Option<NormalizedName> {
    let (hh, name) = (site.param("hh")?, site.param("project")?);
    let project = normal(&name)?;
    let path = Target::Page { project: project.as_str() }.path();
    path.starts_with(&format!("simple/{hh}/{project}/")).then_some(project)
}

fn normal(text: &str) -> Option<NormalizedName> {
    text.parse::<NormalizedName>().ok().filter(|name| name.as_str() == text)
}

fn digest(hex: &str) -> Option<Sha256> {
    hex.parse::<Sha256>().ok().filter(|sha256| sha256.to_string() == hex)
}

async fn send(app: &App, key: &Key, headers: &HeaderMap, immutable: bool) -> Response {
    match app.cache().get(key).await {
        Ok(Some(page)) => {
            let mut response = simple::page_response(app, &page, None, headers);
            if immutable {
                response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
            }
            response
        }
        Ok(None) => not_found(headers),
        Err(error) => Failure::from(error).answer(headers),
    }
}

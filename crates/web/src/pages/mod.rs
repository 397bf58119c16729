//! Pages for people. They may use SQL through the domain's queries, and show no state beyond the published one.
//!
//! `views` turns what the domain says into what a template prints; `templates/components.html` has each component
//! once; `static/style.css` has colour and type as custom properties.

mod address;
mod assets;
mod views;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::Error;
use index::blobs::{Key, layout};
use index::ops::browse;
use index::render::GZIP_OVER_BYTES;
use packaging::{NormalizedName, ProjectName, Version};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::cache::surrogate;
use crate::error::Failure;
use crate::negotiate;
use crate::routes::Site;
use crate::server::Encrypted;
use crate::simple::{SURROGATE, matches, moved};
use address::Commands;
pub(crate) use assets::asset;
use views::{Frame, Home, List, Missing, Project, Rules, Upload};

/// Longest text to search for, in characters.
const QUERY_CHARS_MAX: usize = 128;

/// What the address of a page may say behind its `?`.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    images: String,
}

impl Asked {
    /// Leniently: what cannot be read was not asked.
    fn of(request: &Parts) -> Self {
        let mut asked = Query::<Self>::try_from_uri(&request.uri).map(|Query(asked)| asked).unwrap_or_default();
        asked.q = asked.q.trim().chars().filter(|c| !c.is_control()).take(QUERY_CHARS_MAX).collect();
        asked
    }
}

/// The one place that makes the answer of a page. `images`: whether the reader asked for pictures of other hosts. A page
/// that the reader has already is not sent again.
fn page(status: StatusCode, template: &impl Template, images: bool, asked: &HeaderMap) -> Response {
    let body = match template.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a template failed");
            return (StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n").into_response();
        }
    };
    let policy = if images {
        "default-src 'none'; style-src 'self'; img-src 'self' https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    } else {
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    };
    let tag = packaging::hash::hex(&Sha256::digest(body.as_bytes())[..16]);
    let packed = negotiate::takes_gzip(asked) && body.len() > GZIP_OVER_BYTES;
    let tag = HeaderValue::try_from(format!("\"{tag}{}\"", if packed { "-gzip" } else { "" }));
    let tag = tag.expect("hex is header text");
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &tag));
    let mut response = match (status == StatusCode::OK && known, packed) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, true) => ([(header::CONTENT_ENCODING, "gzip")], index::render::gzip(body.as_bytes())).into_response(),
        (false, false) => body.into_response(),
    };
    if response.status() != StatusCode::NOT_MODIFIED {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Host, Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"),
    );
    headers.insert(header::ETAG, tag);
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

/// What caches are told to drop when a page of the site changes, as it shows the same.
fn keyed(mut response: Response, key: &Key) -> Response {
    response.headers_mut().insert(SURROGATE, surrogate(key));
    response
}

/// Says that there is no such page; for other errors, what [`Failure`] says.
fn failed(error: Error, site: &Site, request: &Parts) -> Response {
    if let Error::NotFound(message) = &error {
        return missing(site, message);
    }
    Failure::from(error).answer(&request.headers)
}

fn missing(site: &Site, message: &str) -> Response {
    let frame = Frame { search: false, ..Frame::new(&site.index) };
    page(StatusCode::NOT_FOUND, &Missing { frame, message: message.to_owned() }, false, &HeaderMap::new())
}

fn commands(app: &App, site: &Site, request: &Parts) -> Commands {
    let public_url = app.installation().settings.public_url.as_deref();
    Commands::new(public_url, &request.headers, request.extensions.get::<Encrypted>(), &site.index)
}

/// `GET /`
pub(crate) async fn home(State(app): State<App>, site: Site, request: Parts) -> Response {
    let index = match app.index(&site.index).await {
        Ok(index) => index,
        Err(_) => return missing(&site, "There is no such index."),
    };
    let counts = match browse::counts(app.installation(), &index).await {
        Ok(counts) => counts,
        Err(error) => return failed(error, &site, &request),
    };
    let view = Home {
        frame: Frame { search: false, ..Frame::new(&site.index) },
        profile: index.profile().as_str(),
        projects: counts.projects,
        files: counts.files,
        closed: app.installation().uploads_refused(),
        commands: commands(&app, &site, &request),
    };
    keyed(page(StatusCode::OK, &view, false, &request.headers), &layout::list(&site.index, "html"))
}

/// `GET /projects/`
pub(crate) async fn list(State(app): State<App>, site: Site, request: Parts) -> Response {
    let Ok(index) = app.index(&site.index).await else { return missing(&site, "There is no such index.") };
    let Asked { q, from, images: _ } = Asked::of(&request);
    let from = from.parse::<NormalizedName>().map(String::from).unwrap_or_default();
    match browse::list(app.installation(), &index, &q, &from).await {
        Ok(listing) => {
            let view = List::new(&site.index, q, !from.is_empty(), listing);
            keyed(page(StatusCode::OK, &view, false, &request.headers), &layout::list(&site.index, "html"))
        }
        Err(error) => failed(error, &site, &request),
    }
}

/// `GET /project/{project}/`
pub(crate) async fn project(State(app): State<App>, site: Site, request: Parts) -> Response {
    shown(&app, &site, &request, None).await
}

/// `GET /project/{project}/{version}/`
pub(crate) async fn release(State(app): State<App>, site: Site, request: Parts) -> Response {
    let version = site.param("version").unwrap_or_default();
    match version.parse::<Version>() {
        Ok(version) => shown(&app, &site, &request, Some(&version)).await,
        Err(_) => missing(&site, "That is no version."),
    }
}

async fn shown(app: &App, site: &Site, request: &Parts, version: Option<&Version>) -> Response {
    let Ok(index) = app.index(&site.index).await else { return missing(site, "There is no such index.") };
    let Some(name) = site.param("project").and_then(|text| text.parse::<ProjectName>().ok()) else {
        return missing(site, "That is no project name.");
    };
    let normal = name.normalized();
    if normal.as_str() != name.as_str() {
        let release = version.map(|version| format!("{version}/")).unwrap_or_default();
        return moved(&format!("{}/project/{normal}/{release}", site.index.url_prefix()));
    }
    let found = match browse::project(app.installation(), &index, &normal, version).await {
        Ok(found) => found,
        Err(error) => return failed(error, site, request),
    };
    let images = Asked::of(request).images == "1";
    let description = match &found.shown {
        None => None,
        Some(shown) => {
            let text = shown.metadata.get(packaging::Field::Description).unwrap_or_default();
            let kind = shown.metadata.get(packaging::Field::DescriptionContentType);
            Some(app.descriptions().render(text, kind).await)
        }
    };
    let commands = commands(app, site, request);
    let view = Project::new(&site.index, &found, version.is_some(), description.as_deref(), images, &commands);
    keyed(page(StatusCode::OK, &view, images, &request.headers), &layout::page(&site.index, &normal, "html"))
}

/// `GET /legacy/`
pub(crate) async fn upload_help(State(app): State<App>, site: Site, request: Parts) -> Response {
    if app.index(&site.index).await.is_err() {
        return missing(&site, "There is no such index.");
    }
    let view = Upload {
        frame: Frame::new(&site.index),
        closed: app.installation().uploads_refused(),
        commands: commands(&app, &site, &request),
    };
    page(StatusCode::OK, &view, false, &request.headers)
}

/// `GET /rules/`
pub(crate) async fn rules(headers: HeaderMap) -> Response {
    page(StatusCode::OK, &Rules::new(), false, &headers)
}

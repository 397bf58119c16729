//! The Simple API and the older JSON API: one read from cache or site, no SQL, no template.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::blobs::{Key, layout};
use packaging::{NormalizedName, ProjectName, Version};

use crate::app::App;
use crate::cache::Page;
use crate::error::Failure;
use crate::negotiate::{self, Form};
use crate::routes::Site;

const SERIAL: header::HeaderName = header::HeaderName::from_static("x-pypi-last-serial");
pub(crate) const SURROGATE: header::HeaderName = header::HeaderName::from_static("surrogate-key");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CSP: HeaderValue = HeaderValue::from_static("sandbox allow-top-navigation; default-src 'none'");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// `GET /simple/`
pub(crate) async fn list(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let form = negotiate::form(request.headers());
    send(&app, &layout::list(&site.index, form.suffix()), Some(form), request.headers()).await
}

/// `GET /simple/{project}/`
pub(crate) async fn project(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let Some(name) = site.param("project").and_then(|text| text.parse::<ProjectName>().ok()) else {
        return not_found(request.headers());
    };
    let normal = name.normalized();
    if normal.as_str() != name.as_str() {
        return moved(&format!("{}/simple/{normal}/", site.index.url_prefix()));
    }
    let form = negotiate::form(request.headers());
    send(&app, &layout::page(&site.index, &normal, form.suffix()), Some(form), request.headers()).await
}

/// `GET /simple/{project}` and other paths that lack their slash.
pub(crate) async fn add_slash(request: Request<Body>) -> Response {
    moved(&format!("{}/", request.uri().path()))
}

/// `GET /pypi/{project}/json`
pub(crate) async fn legacy_project(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    match named(&site) {
        Named::Normal(name) => send(&app, &layout::legacy_project(&site.index, &name), None, request.headers()).await,
        Named::Other(name) => moved(&format!("{}/pypi/{name}/json", site.index.url_prefix())),
        Named::Nothing => json_not_found(),
    }
}

/// `GET /pypi/{project}/{version}/json`
pub(crate) async fn legacy_release(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let Some(version) = site.param("version").and_then(|text| text.parse::<Version>().ok()) else {
        return json_not_found();
    };
    match named(&site) {
        Named::Normal(name) => {
            let key = layout::legacy_release(&site.index, &name, &version.to_string());
            send(&app, &key, None, request.headers()).await
        }
        Named::Other(name) => moved(&format!("{}/pypi/{name}/{version}/json", site.index.url_prefix())),
        Named::Nothing => json_not_found(),
    }
}

enum Named {
    Normal(NormalizedName),
    Other(NormalizedName),
    Nothing,
}

fn named(site: &Site) -> Named {
    match site.param("project").and_then(|text| text.parse::<ProjectName>().ok()) {
        None => Named::Nothing,
        Some(name) if name.normalized().as_str() == name.as_str() => Named::Normal(name.normalized()),
        Some(name) => Named::Other(name.normalized()),
    }
}

/// Sends an object of the site. `form` absent: the older JSON API.
async fn send(app: &App, key: &Key, form: Option<Form>, headers: &HeaderMap) -> Response {
    match app.cache().get(key).await {
        Ok(Some(page)) => page_response(app, &page, form, headers),
        Ok(None) if form.is_none() => json_not_found(),
        Ok(None) => not_found(headers),
        Err(error) => Failure::from(error).answer(headers),
    }
}

pub(crate) fn page_response(app: &App, page: &Page, form: Option<Form>, request: &HeaderMap) -> Response {
    let gzip = page.gzip.as_ref().filter(|_| negotiate::takes_gzip(request));
    let (body, etag) = match gzip {
        Some(gzip) => (gzip, &page.gzip_etag),
        None => (&page.body, &page.etag),
    };
    let unchanged = request.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, etag));
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { Response::new(Body::from(body.clone())) };
    let headers = response.headers_mut();
    headers.reserve(13);
    headers.insert(header::ETAG, etag.clone());
    headers.insert(header::CACHE_CONTROL, cache_control(app));
    headers.insert(SURROGATE, page.surrogate.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(
        header::VARY,
        HeaderValue::from_static(if form.is_some() { "Accept, Accept-Encoding" } else { "Accept-Encoding" }),
    );
    if let Some(serial) = &page.serial {
        headers.insert(SERIAL, serial.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("X-PyPI-Last-Serial"));
    }
    if !unchanged {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(form.map_or("application/json", Form::content_type)),
        );
        if gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    if matches!(form, Some(Form::Html | Form::HtmlV1)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, CSP);
    }
    response
}

/// Pages have plain names, so nobody may use one without asking whether it still stands; a shared cache may be
/// given a short time of its own.
fn cache_control(app: &App) -> HeaderValue {
    match app.settings().page_shared_seconds {
        0 => HeaderValue::from_static("no-cache"),
        seconds => HeaderValue::try_from(format!("max-age=0, must-revalidate, s-maxage={seconds}"))
            .unwrap_or(HeaderValue::from_static("no-cache")),
    }
}

/// RFC 9110 §13.1.2: a list of tags, weak comparison, or `*`.
pub(crate) fn matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

pub(crate) fn moved(to: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(to) else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response
}

/// `OPTIONS` of what scripts in browsers may read: the fetch standard's preflight, as the public index answers it.
pub(crate) async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since",
        ),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "X-PyPI-Last-Serial"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (header::ALLOW, "GET, HEAD, OPTIONS"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(crate) fn not_found(headers: &HeaderMap) -> Response {
    let mut response = Failure::not_found("Not Found").answer(headers);
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response
}

fn json_not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (StatusCode::NOT_FOUND, headers, "{\"message\": \"Not Found\"}").into_response()
}

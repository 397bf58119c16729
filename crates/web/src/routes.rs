//! The URL map of the whole product, and who may use each line of it.
//!
//! A route cannot be added without a [`Policy`]: the router is built from this table alone. The policy is what is meant;
//! handlers hold it (`auth::actor`), and `tests/test_authorisation.py`, which reads this table, asks every line of
//! [`Policy::Token`] as nobody, as a stranger and as each role. A `get` beside a `post` that takes a token may be
//! anybody's: a page that says how.

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use index::model::IndexName;

use crate::app::App;
use crate::error::Failure;
use crate::{api, files, inspection, integrity, metrics, pages, simple, tlog, tuf, upload};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Anybody who can reach the server.
    Anybody,
    /// Anybody; with a token, more is said.
    AnybodyOrToken,
    /// A token of the index; what it may do to the object is asked in the domain (`policy::authz`).
    Token,
}

/// A line of the map: path below an index, policy, handlers.
type Line = (&'static str, Policy, MethodRouter<App>);

/// What stands below every index: at the root for `main`, below `/i/<index>` for the others.
fn index_routes() -> Vec<Line> {
    use Policy::{Anybody, AnybodyOrToken, Token};
    vec![
        ("/", Anybody, get(pages::home)),
        ("/projects/", Anybody, get(pages::list)),
        ("/project/{project}/", Anybody, get(pages::project)),
        ("/project/{project}/{version}/", Anybody, get(pages::release)),
        ("/project/{project}", Anybody, get(simple::add_slash)),
        ("/project/{project}/{version}", Anybody, get(simple::add_slash)),
        ("/simple/", Anybody, get(simple::list).options(simple::preflight)),
        ("/simple", Anybody, get(simple::add_slash)),
        ("/simple/{project}/", Anybody, get(simple::project).options(simple::preflight)),
        ("/simple/{project}", Anybody, get(simple::add_slash)),
        ("/pypi/{project}/json", Anybody, get(simple::legacy_project).options(simple::preflight)),
        ("/pypi/{project}/json/", Anybody, get(simple::legacy_project).options(simple::preflight)),
        ("/pypi/{project}/{version}/json", Anybody, get(simple::legacy_release).options(simple::preflight)),
        ("/pypi/{project}/{version}/json/", Anybody, get(simple::legacy_release).options(simple::preflight)),
        ("/files/{aa}/{sha256}/{filename}", Anybody, get(files::file)),
        ("/integrity/{project}/{version}/{filename}/provenance", Anybody, get(integrity::provenance)),
        ("/tuf/{role}", Anybody, get(tuf::role)),
        ("/tuf/paths/{project}", Anybody, get(tuf::paths)),
        ("/tuf/targets/simple/{hh}/{project}/{page}", Anybody, get(tuf::page)),
        ("/tuf/targets/p/{hh}/{project}/{file}", Anybody, get(tuf::file)),
        ("/tlog/checkpoint", Anybody, get(tlog::checkpoint)),
        ("/tlog/witnessed", Anybody, get(tlog::witnessed)),
        ("/tlog/add-checkpoint", Anybody, post(tlog::add_checkpoint)),
        ("/tlog/tile/{*tile}", Anybody, get(tlog::tile)),
        ("/legacy/", Token, post(upload::legacy).get(pages::upload_help)),
        ("/legacy", Anybody, post(upload::add_slash).get(simple::add_slash)),
        ("/pypi", Anybody, post(upload::gone)),
        ("/pypi/", Anybody, post(upload::gone)),
        ("/api/v1/check", AnybodyOrToken, post(upload::check)),
        ("/api/v1/projects/{project}/yank", Token, post(api::yank)),
        ("/api/v1/projects/{project}/unyank", Token, post(api::unyank)),
        ("/api/v1/projects/{project}/remove", Token, post(api::remove)),
        ("/api/v1/projects/{project}/status", Token, post(api::status)),
        ("/api/v1/projects/{project}/roles", Token, post(api::roles)),
        ("/api/v1/projects/{project}/publishers", Token, post(api::set_publisher).get(api::publishers)),
        ("/api/v1/tokens/{token}/revoke", Token, post(api::revoke)),
        ("/api/v1/uploads/{upload}", Token, get(inspection::upload)),
        ("/api/v1/notices", Token, get(inspection::notices)),
        ("/api/v1/notices/{notice}/read", Token, post(inspection::read_notice)),
        ("/api/v1/verdicts", Token, get(inspection::verdicts)),
        ("/api/v1/verdicts/{verdict}", Token, get(inspection::verdict)),
        ("/api/v1/verdicts/{verdict}/decide", Token, post(inspection::decide)),
        ("/api/v1/reinspect", Token, post(inspection::reinspect)),
        ("/api/v1/checks", Token, get(inspection::checks)),
        ("/api/v1/checks/{check}", Token, post(inspection::set_check)),
        ("/api/v1/jobs", Token, get(inspection::jobs)),
        ("/api/v1/jobs/{job}/retry", Token, post(inspection::retry)),
    ]
}

/// What stands once, at the root.
fn root_routes() -> Vec<Line> {
    vec![
        ("/healthz", Policy::Anybody, get(metrics::healthz)),
        ("/readyz", Policy::Anybody, get(metrics::readyz)),
        ("/metrics", Policy::Anybody, get(metrics::metrics)),
        ("/static/{hash}/{name}", Policy::Anybody, get(pages::asset)),
        ("/rules/", Policy::Anybody, get(pages::rules)),
        ("/i/{index}", Policy::Anybody, get(simple::add_slash)),
    ]
}

/// The router.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    for (path, _, handlers) in root_routes() {
        router = router.route(path, handlers);
    }
    for (path, _, handlers) in index_routes() {
        router = router.route(path, handlers.clone()).route(&format!("/i/{{index}}{path}"), handlers);
    }
    let router = router.fallback(not_found).method_not_allowed_fallback(not_allowed);
    router.layer(map_response(kept)).with_state(app)
}

/// What says nothing to caches is kept by none: without a word they may keep a 301 or a 404 for as long as they like
/// (RFC 9111 §4.2.2), and nothing could purge it.
async fn kept(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn not_found(headers: HeaderMap) -> Response {
    Failure::not_found("Not Found").answer(&headers)
}

async fn not_allowed(headers: HeaderMap) -> Response {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").answer(&headers)
}

/// The index that a request is about, and the other segments of its path.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) index: IndexName,
    params: Vec<(String, String)>,
}

impl Site {
    /// A segment of the path, decoded.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

impl FromRequestParts<App> for Site {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let refuse = |parts: &Parts| simple::not_found(&parts.headers);
        let Ok(raw) = RawPathParams::from_request_parts(parts, app).await else { return Err(refuse(parts)) };
        let mut index = IndexName::main();
        let mut params = Vec::new();
        for (name, value) in &raw {
            if name == "index" {
                index = value.parse().map_err(|_| refuse(parts))?;
            } else {
                params.push((name.to_owned(), value.to_owned()));
            }
        }
        // `/i/main/` would be a second address of everything in `main`.
        if raw.iter().any(|(name, _)| name == "index") && index.is_main() {
            return Err(refuse(parts));
        }
        Ok(Self { index, params })
    }
}

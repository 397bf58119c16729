//! `/api/v1/`: the verbs on a project and on tokens, as JSON. What the token's holder may do is asked in the domain.

use attest::Publisher;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::model::{Actor, ProjectRole};
use index::ops::{accounts, projects};
use packaging::simple::time_text;
use packaging::{NormalizedName, ProjectStatus, Version};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::app::App;
use crate::auth;
use crate::error::Failure;
use crate::routes::Site;

/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Call<T> {
    pub(crate) app: App,
    pub(crate) site: Site,
    headers: HeaderMap,
    pub(crate) actor: index::model::TokenActor,
    pub(crate) body: T,
    query: Vec<(String, String)>,
}

impl<T: DeserializeOwned> Call<T> {
    pub(crate) async fn read(app: App, site: Site, request: Request<Body>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        // Numbers and words only: nothing here needs decoding.
        let query = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // JSON in, JSON out, also where it fails.
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        let answer = |failure: Failure| failure.answer(&headers);
        app.index(&site.index).await.map_err(answer)?;
        let actor = auth::actor(app.installation(), &site.index, &headers).map_err(answer)?;
        let late = || answer(Failure::new(StatusCode::REQUEST_TIMEOUT, "The request body did not come in time."));
        let pause = std::time::Duration::from_secs(app.settings().read_timeout_seconds);
        let read = tokio::time::timeout(pause, axum::body::to_bytes(body, BODY_BYTES_MAX)).await.map_err(|_| late())?;
        let bytes = read.map_err(|_| {
            answer(Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("A request body has at most {BODY_BYTES_MAX} bytes."),
            ))
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let body = serde_json::from_slice(text).map_err(|error| {
            answer(Failure::new(
                StatusCode::BAD_REQUEST,
                format!("The request body is not the JSON expected here: {error}."),
            ))
        })?;
        Ok(Self { app, site, headers, actor, body, query })
    }

    fn project(&self) -> Result<NormalizedName, Failure> {
        self.site
            .param("project")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Failure::not_found("There is no such project."))
    }

    /// A segment of the path as a number.
    pub(crate) fn number(&self, name: &str) -> Result<i64, Failure> {
        let text = self.site.param(name).unwrap_or_default();
        text.parse().map_err(|_| Failure::not_found("There is no such thing."))
    }

    /// A parameter of the query, when it is there.
    pub(crate) fn asked<V: std::str::FromStr>(&self, name: &str) -> Result<Option<V>, Failure> {
        let Some((_, text)) = self.query.iter().find(|(known, _)| known == name) else { return Ok(None) };
        let bad = || Failure::new(StatusCode::BAD_REQUEST, format!("'{name}' does not have a value of its kind."));
        text.parse().map(Some).map_err(|_| bad())
    }

    pub(crate) fn answer(&self, outcome: Result<serde_json::Value, Failure>) -> Response {
        match outcome {
            Ok(value) => ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response(),
            Err(failure) => failure.answer(&self.headers),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    version: Option<String>,
    file: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Which {
    fn target(&self) -> Result<projects::Target, Failure> {
        let bad = |text: &str| Failure::new(StatusCode::BAD_REQUEST, text);
        match (&self.version, &self.file) {
            (_, Some(file)) => Ok(projects::Target::File(file.clone())),
            (Some(version), None) => {
                Ok(projects::Target::Release(version.parse::<Version>().map_err(|_| bad("'version' is no version."))?))
            }
            (None, None) => Ok(projects::Target::Project),
        }
    }
}

/// `POST /api/v1/projects/{project}/yank` `{"version" | "file", "reason"}`
pub(crate) async fn yank(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    set_yank(app, site, request, true).await
}

/// `POST /api/v1/projects/{project}/unyank` `{"version" | "file"}`
pub(crate) async fn unyank(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    set_yank(app, site, request, false).await
}

async fn set_yank(app: App, site: Site, request: Request<Body>, on: bool) -> Response {
    let call = match Call::<Which>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let reason = on.then(|| call.body.reason.clone().unwrap_or_default());
        let actor = Actor::Token(call.actor.clone());
        let (project, target) = (call.project()?, call.body.target()?);
        projects::yank(call.app.installation(), &call.site.index, &project, &target, reason.as_deref(), &actor).await?;
        Ok(json!({ "yanked": on }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

/// `POST /api/v1/projects/{project}/remove` `{"version" | "file" | nothing, "reason"}`
pub(crate) async fn remove(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<Which>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let actor = Actor::Token(call.actor.clone());
        let (project, target) = (call.project()?, call.body.target()?);
        let reason = call.body.reason.as_deref();
        let count =
            projects::remove(call.app.installation(), &call.site.index, &project, &target, reason, &actor).await?;
        Ok(json!({ "removed": count }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: ProjectStatus,
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /api/v1/projects/{project}/status` `{"status", "reason"}`
pub(crate) async fn status(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<NewStatus>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let actor = Actor::Token(call.actor.clone());
        let NewStatus { status, reason } = &call.body;
        let project = call.project()?;
        let (installation, index) = (call.app.installation(), &call.site.index);
        projects::set_status(installation, index, &project, *status, reason.as_deref(), &actor).await?;
        Ok(json!({ "status": status }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    user: String,
    /// Absent or null takes the role away.
    #[serde(default)]
    role: Option<ProjectRole>,
}

/// `POST /api/v1/projects/{project}/roles` `{"user", "role"}`
pub(crate) async fn roles(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<NewRole>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let actor = Actor::Token(call.actor.clone());
        let NewRole { user, role } = &call.body;
        let project = call.project()?;
        projects::set_role(call.app.installation(), &call.site.index, &project, user, *role, &actor).await?;
        Ok(json!({ "user": user, "role": role }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPublisher {
    publisher: Publisher,
    /// Whether it is bound from now on, or no longer.
    bound: bool,
}

/// `POST /api/v1/projects/{project}/publishers` `{"publisher": {"kind", …}, "bound"}`
pub(crate) async fn set_publisher(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<NewPublisher>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let actor = Actor::Token(call.actor.clone());
        let NewPublisher { publisher, bound } = &call.body;
        let (installation, project) = (call.app.installation(), call.project()?);
        projects::set_publisher(installation, &call.site.index, &project, publisher.clone(), *bound, &actor).await?;
        Ok(json!({ "publisher": publisher, "bound": bound }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

/// `GET /api/v1/projects/{project}/publishers`
pub(crate) async fn publishers(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<Nothing>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let actor = Actor::Token(call.actor.clone());
        let bound = projects::publishers(call.app.installation(), &call.site.index, &call.project()?, &actor).await?;
        let rows = bound.into_iter().map(|row| {
            json!({ "publisher": row.publisher, "bound_at": time_text(row.created_us), "bound_by": row.created_by })
        });
        Ok(json!({ "publishers": rows.collect::<Vec<_>>() }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /api/v1/tokens/{token}/revoke`: the holder's own tokens, by id.
pub(crate) async fn revoke(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let call = match Call::<Nothing>::read(app, site, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let outcome = async {
        let id = call.site.param("token").unwrap_or_default();
        accounts::revoke_token_as(call.app.installation(), &call.site.index, &id, &call.actor).await?;
        Ok(json!({ "revoked": id }))
    };
    let outcome = outcome.await;
    call.answer(outcome)
}

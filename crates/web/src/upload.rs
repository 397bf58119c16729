//! `POST /legacy/`, the upload, and `POST /api/v1/check`, its dry run: one way through, two ends.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use index::model::FileState;
use index::ops::notices;
use index::ops::upload::{self as verbs, Accepted};
use packaging::{Rejection, Rule};
use serde_json::json;

use crate::app::App;
use crate::auth;
use crate::error::Failure;
use crate::form::{self, Draining, Read};
use crate::negotiate;
use crate::routes::Site;

/// `POST /legacy/`
pub(crate) async fn legacy(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = Draining::new(body, &app);
    let query_action = action_of(parts.uri.query());
    let outcome = take(&app, &site, &parts.headers, query_action, body.clone()).await;
    if outcome.is_err() {
        drain(&app, &parts.headers, body).await;
    }
    app.metrics().upload(outcome.is_ok());
    let mut response = match outcome {
        Ok((accepted, told)) => said(&accepted, told.as_ref(), &site, &parts.headers),
        Err(failure) => failure.answer(&parts.headers),
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Authorization, Accept"));
    response
}

/// `POST /legacy`: the method and body must survive the redirection.
pub(crate) async fn add_slash(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    drain(&app, &parts.headers, Draining::new(body, &app)).await;
    let (from, to) = (parts.uri.path(), format!("{}/", parts.uri.path()));
    let text =
        format!("An upload was attempted to {from} but the expected upload URL is {to} (with a trailing slash)\n");
    let mut response = (StatusCode::PERMANENT_REDIRECT, text).into_response();
    if let Ok(location) = HeaderValue::try_from(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `POST /pypi`, where clients uploaded to before there was `/legacy/`.
pub(crate) async fn gone(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    drain(&app, &parts.headers, Draining::new(body, &app)).await;
    let to = format!("{}/legacy/", site.index.url_prefix());
    Failure::new(StatusCode::GONE, format!("Uploads are no longer taken at {}; use {to}", parts.uri.path()))
        .answer(&parts.headers)
}

/// Reads on to the end, bounded, so that a client that sends first and reads later is shown the answer.
async fn drain(app: &App, headers: &HeaderMap, body: Draining) {
    // A client that waits for `100 Continue` has sent nothing yet and need not.
    if !headers.contains_key(header::EXPECT) {
        body.drain(app.settings().drain_bytes_max).await;
    }
}

/// Where the uploader learns what becomes of a file.
struct Told {
    id: String,
    is_held: bool,
    /// How it stands, in words.
    message: String,
    reasons: Vec<String>,
}

async fn take(
    app: &App,
    site: &Site,
    headers: &HeaderMap,
    query_action: Option<String>,
    body: Draining,
) -> Result<(Accepted, Option<Told>), Failure> {
    let index = app.index(&site.index).await?;
    if let Some(reason) = app.installation().uploads_refused() {
        return Err(Failure::rejected(vec![Rejection::new(Rule::UploadsOff, reason)]));
    }
    let actor = auth::actor(app.installation(), &site.index, headers)?;
    // Before the body is read: what cannot be inspected soon is not taken.
    app.installation().room_for_inspection().await?;
    let Read { action, upload, too_large } = form::read(app, &index, headers, body).await?;
    check_action(query_action.or(action).as_deref())?;
    if let Some(too_large) = too_large {
        return Err(Failure::rejected(vec![too_large]));
    }
    if upload.body.is_none() {
        let rejections = missing_content(app, site, upload, Some(&actor)).await?;
        return Err(Failure::rejected(rejections));
    }
    let filename = upload.filename.clone();
    let accepted = verbs::upload(app.installation(), &index, &actor, upload).await?;
    let told = match &accepted {
        Accepted::Staged { status_id, state, .. } if *state != FileState::Held => {
            Some(Told { id: status_id.clone(), is_held: false, message: String::new(), reasons: Vec::new() })
        }
        Accepted::Staged { .. } | Accepted::AlreadyHere => {
            let status = notices::status_of(app.installation(), index.id, &filename, &actor).await;
            // It was accepted: whatever cannot be read now, the answer stays 200.
            let status = status.unwrap_or_else(|error| {
                tracing::warn!(%error, "the status of an upload cannot be read");
                None
            });
            status.map(|status| Told {
                id: status.id,
                is_held: status.state == "held",
                message: status.message,
                reasons: status.reasons,
            })
        }
    };
    Ok((accepted, told))
}

/// The other rules are asked too, so that a form without its file learns of everything at once.
async fn missing_content(
    app: &App,
    site: &Site,
    upload: verbs::Upload,
    actor: Option<&index::model::TokenActor>,
) -> Result<Vec<Rejection>, Failure> {
    let index = app.index(&site.index).await?;
    let mut rejections = verbs::check(app.installation(), &index, actor, upload).await?;
    rejections.retain(|rejection| !matches!(rejection.rule, Rule::FilenameCharacters | Rule::FilenameExtension));
    rejections.push(Rejection::new(Rule::FormContent, "Upload payload does not have a file."));
    Ok(index::policy::upload::in_order(rejections))
}

fn check_action(action: Option<&str>) -> Result<(), Failure> {
    match action {
        Some("file_upload") => Ok(()),
        Some("submit" | "submit_pkg_info") => Err(Failure::new(
            StatusCode::GONE,
            "Project pre-registration is no longer required or supported, upload your files instead.",
        )),
        Some("doc_upload") => Err(Failure::new(StatusCode::GONE, "Uploading documentation is not supported.")),
        Some(_) | None => Err(Failure::new(StatusCode::NOT_FOUND, "Unknown or missing ':action': use 'file_upload'.")),
    }
}

fn action_of(query: Option<&str>) -> Option<String> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| matches!(key, ":action" | "%3Aaction" | "%3aaction").then(|| value.to_owned()))
}

/// The answer to an accepted upload. Clients print nothing of it; people with curl do. `Location` and `status_url`
/// name the place that tells what becomes of it.
fn said(accepted: &Accepted, told: Option<&Told>, site: &Site, headers: &HeaderMap) -> Response {
    let held = told.is_some_and(|told| told.is_held);
    let (state, text) = match accepted {
        Accepted::AlreadyHere if !held => {
            ("unchanged", "The same file is here already. Nothing was changed.".to_owned())
        }
        Accepted::Staged { filename, published: true, .. } => ("published", format!("'{filename}' is published.")),
        Accepted::Staged { filename, state: FileState::Held, .. } => {
            let stands = told.filter(|told| told.is_held).map(|told| format!(" {}", told.message));
            ("held", format!("'{filename}' was accepted and is not published.{}", stands.unwrap_or_default()))
        }
        Accepted::Staged { filename, state: FileState::Refused | FileState::Removed, .. } => (
            "refused",
            format!("'{filename}' was accepted, and then refused or removed by a person. It is not published."),
        ),
        Accepted::AlreadyHere => {
            let stands = told.map(|told| told.message.as_str()).unwrap_or_default();
            ("held", format!("The same file is here already. {stands}"))
        }
        Accepted::Staged { filename, .. } => (
            "inspecting",
            format!("'{filename}' was accepted and is still being inspected. It will appear without further action."),
        ),
    };
    let url = told.map(|told| format!("{}/api/v1/uploads/{}", site.index.url_prefix(), told.id));
    let mut response = if negotiate::prefers_json(headers) {
        let reasons = told.map(|told| &told.reasons);
        let body = json!({ "state": state, "message": text, "status_url": url, "reasons": reasons });
        ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
    } else {
        let more = url.as_ref().map(|url| format!("Its status: {url}\n")).unwrap_or_default();
        ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], format!("{text}\n{more}")).into_response()
    };
    if let Some(location) = url.and_then(|url| HeaderValue::try_from(url).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `POST /api/v1/check`: what an upload of this form would be told. Always JSON: `{"accepted", "rejections"}`.
/// With a token, also whether its holder may upload; without one, everything else.
pub(crate) async fn check(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = Draining::new(body, &app);
    let outcome = dry_run(&app, &site, &parts.headers, body.clone()).await;
    body.drain(app.settings().drain_bytes_max).await;
    match outcome {
        Err(failure) => failure.answer(&parts.headers),
        Ok(rejections) => {
            let list: Vec<_> = rejections
                .iter()
                .map(|r| json!({ "rule": r.rule.id(), "message": r.message, "help": r.rule.row().help }))
                .collect();
            let status = rejections.first().map_or(200, |first| first.rule.row().status);
            let body = json!({ "accepted": rejections.is_empty(), "status": status, "rejections": list });
            ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
        }
    }
}

async fn dry_run(app: &App, site: &Site, headers: &HeaderMap, body: Draining) -> Result<Vec<Rejection>, Failure> {
    let index = app.index(&site.index).await?;
    if let Some(reason) = app.installation().uploads_refused() {
        return Ok(vec![Rejection::new(Rule::UploadsOff, reason)]);
    }
    let actor = match headers.get(header::AUTHORIZATION) {
        None => None,
        Some(_) => Some(auth::actor(app.installation(), &site.index, headers)?),
    };
    let _place = if actor.is_none() { Some(app.anonymous_check()?) } else { None };
    let Read { upload, too_large, .. } = form::read(app, &index, headers, body).await?;
    if let Some(too_large) = too_large {
        return Ok(vec![too_large]);
    }
    if upload.body.is_none() {
        return missing_content(app, site, upload, actor.as_ref()).await;
    }
    Ok(verbs::check(app.installation(), &index, actor.as_ref(), upload).await?)
}

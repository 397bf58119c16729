//! Pages for people. They may use SQL through the domain's queries, and show no serial beyond the head.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::routes::Site;

pub(crate) async fn home(State(_app): State<App>, _site: Site) -> Response {
    "tidewaiter\n".into_response()
}
pub(crate) async fn list(State(_app): State<App>, _site: Site) -> Response {
    "projects\n".into_response()
}
pub(crate) async fn project(State(_app): State<App>, _site: Site) -> Response {
    "project\n".into_response()
}
pub(crate) async fn release(State(_app): State<App>, _site: Site) -> Response {
    "release\n".into_response()
}
pub(crate) async fn upload_help(State(_app): State<App>, _site: Site) -> Response {
    "POST\n".into_response()
}
pub(crate) async fn rules(State(_app): State<App>) -> Response {
    "rules\n".into_response()
}
pub(crate) async fn asset(State(_app): State<App>, _request: Request<Body>) -> Response {
    "asset\n".into_response()
}

//! What a machine asks about the server: alive, ready, and numbers for Prometheus.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::app::{App, RoleState};

type Labels = Vec<(&'static str, String)>;

/// The numbers that this process counts.
pub(crate) struct Metrics {
    registry: Registry,
    uploads: Family<Labels, Counter>,
    jobs: Family<Labels, Gauge>,
    behind: Family<Labels, Gauge>,
    open: Gauge<i64, std::sync::atomic::AtomicI64>,
    sandbox: Gauge<i64, std::sync::atomic::AtomicI64>,
    expires: Family<Labels, Gauge>,
    alarm: Family<Labels, Gauge>,
    silent: Family<Labels, Gauge>,
    /// Of what is signed.
    needs: Gauge,
    requests: Counter<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tidewaiter");
        let (uploads, jobs) = (Family::default(), Family::default());
        let (expires, alarm, behind) = (Family::default(), Family::default(), Family::default());
        let (silent, needs) = (Family::default(), Gauge::default());
        registry.register(
            "tuf_warnings",
            "What needs a person of all that is signed: sentences under `warnings` of /readyz",
            Gauge::clone(&needs),
        );
        registry.register(
            "witnesses_silent",
            "Witnesses that do not cosign an index's log at the moment",
            Family::clone(&silent),
        );
        registry.register(
            "pages_behind",
            "Projects whose pages another version of this program made, or that name another address, not yet rendered again",
            Family::clone(&behind),
        );
        registry.register(
            "tuf_expires_timestamp_seconds",
            "When a signed role expires, in seconds since the Unix epoch; of the bins, the first",
            Family::clone(&expires),
        );
        registry.register(
            "tuf_alarm",
            "How urgently a signed role must be renewed: 0 not at all; 1 to 4 within 30, 14, 7 days and 1; 5 expired",
            Family::clone(&alarm),
        );
        let (open, sandbox, requests) = (Gauge::default(), Gauge::default(), Counter::default());
        registry.register("verdicts_open", "Verdicts that wait for a person", Gauge::clone(&open));
        registry.register("uploads", "Uploads by outcome", Family::clone(&uploads));
        registry.register("jobs", "Background jobs by kind and state", Family::clone(&jobs));
        registry.register(
            "sandbox_strong",
            "1 when files, network, processes and programs are out of reach of the sandbox",
            Gauge::clone(&sandbox),
        );
        registry.register("requests", "Requests answered", Counter::clone(&requests));
        Self { registry, uploads, jobs, behind, open, sandbox, expires, alarm, silent, needs, requests }
    }

    pub(crate) fn upload(&self, accepted: bool) {
        let outcome = if accepted { "accepted" } else { "refused" };
        self.uploads.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn request(&self) {
        self.requests.inc();
    }
}

/// `GET /healthz`: the process serves. It is bound only after recovery, so an answer says that too, and that what is
/// signed can be had.
pub(crate) async fn healthz(State(app): State<App>) -> &'static str {
    app.installation().until_founded().await;
    "ok\n"
}

/// `GET /readyz`: 200 while reads can be answered; the body says what else holds.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let installation = app.installation();
    installation.until_founded().await;
    let confinement = installation.confinement();
    let body = json!({
        "ready": true,
        "warnings": app.signing().await.1,
        "uploads": installation.uploads_refused().map_or("on", |why| why),
        "sandbox": {
            "strong": confinement.is_strong(),
            "files_denied": confinement.files_denied,
            "network_denied": confinement.network_denied,
            "signals_denied": confinement.signals_denied,
            "exec_denied": confinement.exec_denied,
            "layers": confinement.layers,
        },
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let metrics = app.metrics();
    metrics.sandbox.set(i64::from(app.installation().confinement().is_strong()));
    match index::ops::workers::queue(app.installation()).await {
        Ok(rows) => {
            // A kind that is done is not among the rows, and must not keep its last number.
            metrics.jobs.clear();
            for (kind, state, count) in rows {
                metrics.jobs.get_or_create(&vec![("kind", kind), ("state", state.to_owned())]).set(count);
            }
        }
        Err(error) => tracing::error!(%error, "cannot count the jobs"),
    }
    match index::ops::workers::behind(app.installation()).await {
        Ok(rows) => {
            metrics.behind.clear();
            for left in rows {
                for (of, count) in [("version", left.version), ("address", left.address)] {
                    let labels = vec![("index", left.index.to_string()), ("of", of.to_owned())];
                    metrics.behind.get_or_create(&labels).set(count);
                }
            }
        }
        Err(error) => tracing::error!(%error, "cannot count the pages"),
    }
    match index::ops::verdicts::open_count(app.installation()).await {
        Ok(count) => {
            metrics.open.set(count);
        }
        Err(error) => tracing::error!(%error, "cannot count the verdicts"),
    }
    metrics.silent.clear();
    for (index, ..) in index::ops::log::witness::silent(app.installation()) {
        metrics.silent.get_or_create(&vec![("index", index.to_string())]).inc();
    }
    metrics.expires.clear();
    metrics.alarm.clear();
    let (roles, warnings) = app.signing().await;
    metrics.needs.set(i64::try_from(warnings.len()).unwrap_or(i64::MAX));
    for RoleState { index, role, expires, alarm } in roles {
        let labels = vec![("index", index), ("role", role)];
        metrics.expires.get_or_create(&labels).set(expires);
        metrics.alarm.get_or_create(&labels).set(i64::from(alarm));
    }
    let mut text = String::new();
    if encode(&mut text, &metrics.registry).is_err() {
        text.clear();
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

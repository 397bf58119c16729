//! From errors to answers: the only place where a status is chosen.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use index::Error;
use packaging::{Rejection, Rule};
use serde_json::json;

use crate::negotiate;

/// Longest reason phrase, in bytes; clients read status lines of limited length.
const REASON_BYTES_MAX: usize = 1000;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    rejections: Vec<Rejection>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), rejections: Vec::new() }
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn rejected(rejections: Vec<Rejection>) -> Self {
        Error::Rejected(rejections).into()
    }

    /// As the client likes it. The first line is the reason phrase too, as twine prints that and HTTP/2 has none.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = if negotiate::prefers_json(headers) {
            let rejections: Vec<_> = self
                .rejections
                .iter()
                .map(|r| json!({ "rule": r.rule.id(), "message": r.message, "help": r.rule.row().help }))
                .collect();
            let body = json!({
                "title": self.status.canonical_reason(),
                "status": self.status.as_u16(),
                "detail": self.text(),
                "message": self.text(),
                // uv prints this key of an `application/json` answer, and the whole body without it.
                "code": format!("{} {}", self.status.as_u16(), self.text()),
                "rejections": rejections,
            });
            ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
        } else {
            let text = format!("{} {}\n\n{}\n", self.status.as_u16(), self.message, self.details());
            ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], text).into_response()
        };
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if let Ok(reason) = ReasonPhrase::try_from(reason_phrase(&self.message)) {
            response.extensions_mut().insert(reason);
        }
        response
    }

    /// All rejections in one text, for clients that show one message.
    fn text(&self) -> String {
        if self.rejections.len() < 2 { self.message.clone() } else { self.details().trim_end().to_owned() }
    }

    fn details(&self) -> String {
        self.rejections.iter().map(|rejection| format!("- {rejection}\n")).collect()
    }
}

/// A sentence as a reason phrase: one line of Latin-1.
fn reason_phrase(message: &str) -> Vec<u8> {
    let mut out: Vec<u8> = message
        .chars()
        .map(|c| match u32::from(c) {
            0x20..=0x7e | 0xa0..=0xff => u32::from(c) as u8,
            0x09 | 0x0a | 0x0d => b' ',
            _ => b'?',
        })
        .collect();
    out.truncate(REASON_BYTES_MAX);
    out
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(rejections) => {
                let status = rejections.first().map_or(400, |first| first.rule.row().status);
                let message = rejections.first().map(|first| first.message.clone()).unwrap_or_default();
                Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), message, rejections }
            }
            Error::NotFound(message) => Self::new(StatusCode::NOT_FOUND, message),
            Error::Forbidden(message) => Self::new(StatusCode::FORBIDDEN, message),
            Error::Conflict(message) => Self::new(StatusCode::CONFLICT, message),
            Error::Invalid(message) => Self::new(StatusCode::BAD_REQUEST, message),
            Error::Overtaken => Self::new(StatusCode::CONFLICT, error.to_string()),
            Error::Unavailable(message) => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
            Error::Ledger(error) => {
                tracing::error!(%error, "the ledger failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The ledger is not available. Nothing was changed; try again.",
                )
            }
            Error::Blobs(error) => {
                tracing::error!(%error, "the blob store failed");
                let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
                let status = if full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::SERVICE_UNAVAILABLE };
                Self::new(status, "The store is full or not available. Nothing was changed; try again later.")
            }
            Error::Internal(what) => {
                tracing::error!(what, "internal error");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error. Nothing was changed.")
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Error::Blobs(error).into()
    }
}

/// The refusal of credentials, worded as clients know it: 403, never 401.
pub(crate) fn bad_credentials(why: &str) -> Failure {
    let message = if why.is_empty() {
        "Invalid or non-existent authentication information.".to_owned()
    } else {
        format!("Invalid or non-existent authentication information. {why}")
    };
    Failure::rejected(vec![Rejection::new(Rule::Credentials, message)])
}

//! The upload form: a multipart body to a [`Form`] and a file on its way into the vault, in one pass.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use index::ops::upload::{Receiving, Upload, receive};
use index::policy::upload::{Form, too_large};
use index::store::indexes::IndexRow;
use packaging::metadata::Field;
use packaging::{Rejection, Rule};

use crate::app::App;
use crate::error::Failure;

/// Most parts of a form, repeated fields counted one by one.
pub(crate) const PARTS_MAX: usize = 12_000;
/// Most bytes of all text fields together.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of a body that the parser may hold without giving anything back: the headers of a part, and what is
/// read at once. It would hold any amount.
const UNPARSED_BYTES_MAX: usize = 512 << 10;
/// Most bytes that the parser is handed before it must give back what it can. It takes what there is, and HTTP/2 may have
/// a whole window there.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;
/// Longest field of the form that is no metadata, in bytes.
const FIELD_BYTES_MAX: usize = 1024;
/// Written and hashed at once.
const WRITE_BYTES: usize = 256 << 10;

/// A body that came slower than this on average, in bytes a second, after it had [`SLOW_AFTER`] to show more: a client
/// that sends a byte now and then would keep its place for ever.
const RATE_MIN: u64 = 1 << 10;
const SLOW_AFTER: Duration = Duration::from_secs(60);

/// Longest that a refused body is read on.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);

/// A body that can be drained after its parser gave up, and that ends when its client falls silent.
#[derive(Clone)]
pub(crate) struct Draining(Arc<Mutex<Silence>>);

struct Silence {
    stream: BodyDataStream,
    /// Bytes handed to the parser since it last gave something back.
    unparsed: usize,
    /// Bytes handed to it since it last had to wait.
    at_once: usize,
    pause: Duration,
    since: Pin<Box<tokio::time::Sleep>>,
    began: tokio::time::Instant,
    bytes: u64,
}

impl Draining {
    pub(crate) fn new(body: Body, app: &App) -> Self {
        let pause = Duration::from_secs(app.settings().read_timeout_seconds);
        let since = Box::pin(tokio::time::sleep(pause));
        let began = tokio::time::Instant::now();
        Self(Arc::new(Mutex::new(Silence {
            stream: body.into_data_stream(),
            unparsed: 0,
            at_once: 0,
            pause,
            since,
            began,
            bytes: 0,
        })))
    }

    /// The parser gave something back: what it holds is bounded again.
    fn parsed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unparsed = 0;
    }

    /// Reads and throws away what is left, within bounds, so that a client that writes its whole body before it
    /// reads the answer sees the answer instead of a broken pipe.
    pub(crate) async fn drain(mut self, bytes_max: u64) {
        let mut left = bytes_max;
        let reading = async {
            while left > 0 {
                self.parsed();
                match self.next().await {
                    Some(Ok(bytes)) => left = left.saturating_sub(bytes.len() as u64),
                    Some(Err(_)) | None => return,
                }
            }
        };
        // A client that is too slow even for this loses the connection, as it would have anyway.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
    }
}

impl Stream for Draining {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if body.at_once >= AT_ONCE_BYTES_MAX {
            body.at_once = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = body.stream.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            body.unparsed += bytes.len();
            body.at_once += bytes.len();
            body.bytes += bytes.len() as u64;
            if is_too_slow(body.bytes, body.began.elapsed()) {
                return Poll::Ready(Some(Err(axum::Error::new("the client sends too slowly"))));
            }
            if body.unparsed > UNPARSED_BYTES_MAX {
                return Poll::Ready(Some(Err(axum::Error::new(
                    "a part's headers, or what stands before the parts, are too long",
                ))));
            }
        }
        if polled.is_pending() {
            body.at_once = 0;
        }
        if polled.is_ready() {
            let next = tokio::time::Instant::now() + body.pause;
            body.since.as_mut().reset(next);
        } else if body.since.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new("the client sent nothing for too long"))));
        }
        polled
    }
}

fn is_too_slow(bytes: u64, within: Duration) -> bool {
    within > SLOW_AFTER && bytes < RATE_MIN.saturating_mul(within.as_secs())
}

/// What came of a body.
pub(crate) struct Read {
    pub(crate) action: Option<String>,
    pub(crate) upload: Upload,
    /// The body exceeded the limit for a file; the rest of it was not kept.
    pub(crate) too_large: Option<Rejection>,
}

/// Reads a form. Text fields are held in memory within limits; the file goes to the vault as it comes.
pub(crate) async fn read(app: &App, index: &IndexRow, headers: &HeaderMap, body: Draining) -> Result<Read, Failure> {
    let bad = |why: &str| {
        Failure::rejected(vec![Rejection::new(Rule::FormRequest, format!("The upload form cannot be read: {why}."))])
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary =
        multer::parse_boundary(kind).map_err(|_| bad("the content type is no multipart/form-data with a boundary"))?;
    let mut parts = multer::Multipart::new(body.clone(), boundary);
    let mut fields = Fields::default();
    let (mut count, mut text_bytes) = (0, 0);
    let mut oversized = false;
    while let Some(mut part) = parts.next_field().await.map_err(|error| bad(&error.to_string()))? {
        body.parsed();
        count += 1;
        if count > PARTS_MAX {
            return Err(bad(&format!("more than {PARTS_MAX} fields")));
        }
        let name = part.name().unwrap_or_default().to_owned();
        if name == "content" {
            if fields.body.is_some() || oversized {
                return Err(bad("more than one 'content'"));
            }
            fields.filename = part.file_name().unwrap_or_default().to_owned();
            fields.content_type = part.content_type().map(ToString::to_string);
            match receive_file(app, index, &mut part, &body).await? {
                Some(receiving) => fields.body = Some(receiving),
                None => oversized = true,
            }
            continue;
        }
        let is_file = part.file_name().is_some();
        let mut text = BytesMut::new();
        while let Some(chunk) = part.chunk().await.map_err(|error| bad(&error.to_string()))? {
            body.parsed();
            text_bytes += chunk.len();
            if text_bytes > TEXT_BYTES_MAX {
                return Err(bad(&format!("more than {TEXT_BYTES_MAX} bytes of text")));
            }
            text.extend_from_slice(&chunk);
        }
        let Ok(text) = String::from_utf8(text.to_vec()) else { return Err(bad(&format!("'{name}' is not UTF-8"))) };
        fields.take(&name, text, is_file);
    }
    let too_large = oversized.then(|| too_large(fields.form.metadata.get(Field::Name), &app.installation().settings));
    let Fields { action, form, filename, content_type, body } = fields;
    Ok(Read { action, upload: Upload { form, filename, content_type, body }, too_large })
}

/// Writes the file part; `None` when it exceeds the limit. What exceeds it is read on, bounded, and dropped.
async fn receive_file(
    app: &App,
    index: &IndexRow,
    part: &mut multer::Field<'_>,
    body: &Draining,
) -> Result<Option<Receiving>, Failure> {
    let bad = |error: multer::Error| {
        Failure::rejected(vec![Rejection::new(Rule::FormRequest, format!("The upload form cannot be read: {error}."))])
    };
    let limit = app.installation().settings.file_bytes_max;
    let mut receiving = Some(receive(app.installation(), index)?);
    let mut buffer = BytesMut::new();
    let mut size = 0_u64;
    while let Some(chunk) = part.chunk().await.map_err(bad)? {
        body.parsed();
        size += chunk.len() as u64;
        if size > limit {
            receiving = None;
            buffer.clear();
            if size > limit.saturating_add(app.settings().drain_bytes_max) {
                return Err(Failure::rejected(vec![too_large(None, &app.installation().settings)]));
            }
            continue;
        }
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= WRITE_BYTES {
            receiving = flush(receiving, &mut buffer).await?;
        }
    }
    flush(receiving, &mut buffer).await
}

async fn flush(receiving: Option<Receiving>, buffer: &mut BytesMut) -> Result<Option<Receiving>, Failure> {
    let Some(mut receiving) = receiving else { return Ok(None) };
    let bytes = buffer.split().freeze();
    let written = tokio::task::spawn_blocking(move || receiving.write(&bytes).map(|()| receiving)).await;
    Ok(Some(written.map_err(std::io::Error::other)??))
}

#[derive(Default)]
struct Fields {
    action: Option<String>,
    form: Form,
    filename: String,
    content_type: Option<String>,
    body: Option<Receiving>,
}

impl Fields {
    /// One text field, cleaned as the public index cleans it (pypi-behaviour §1.1).
    fn take(&mut self, name: &str, text: String, is_file: bool) {
        if name == "gpg_signature" {
            return;
        }
        let form = &mut self.form;
        if is_file {
            form.problems.push(Rejection::new(Rule::FormFieldIsFile, format!("{name}: Should not be a tuple.")));
            return;
        }
        if text.trim() == "UNKNOWN" {
            return;
        }
        let text = text.replace('\0', "\\x00");
        if let Some(field) = Field::by_form_key(name) {
            // An empty value is what clients send for a field that is not there.
            if text.is_empty() {
                return;
            }
            if !field.row().multiple && form.metadata.get(field).is_some() {
                form.problems.push(Rejection::new(
                    Rule::FormFieldRepeated,
                    format!("'{name}' has invalid data: it is given more than once."),
                ));
                return;
            }
            form.metadata.push(field, text);
            return;
        }
        let slot = match name {
            ":action" => &mut self.action,
            "protocol_version" => &mut form.protocol_version,
            "filetype" => &mut form.filetype,
            "pyversion" => &mut form.pyversion,
            "comment" => &mut form.comment,
            "md5_digest" => &mut form.md5,
            "sha256_digest" => &mut form.sha256,
            "blake2_256_digest" => &mut form.blake2,
            "attestations" => &mut form.attestations,
            // Unknown fields are silently ignored, as clients of other indexes send them.
            _ => return,
        };
        let bytes_max = if name == "attestations" { attest::TEXT_BYTES_MAX } else { FIELD_BYTES_MAX };
        if text.len() > bytes_max {
            let message = format!("'{name}' is too long: at most {bytes_max} bytes.");
            form.problems.push(Rejection::new(Rule::FormRequest, message));
        } else if slot.is_some() {
            form.problems.push(Rejection::new(
                Rule::FormFieldRepeated,
                format!("'{name}' has invalid data: it is given more than once."),
            ));
        } else {
            *slot = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_below_the_least_rate_once_it_had_its_time() {
        let seconds = Duration::from_secs;
        assert!(!is_too_slow(0, seconds(60)));
        assert!(!is_too_slow(100 * RATE_MIN, seconds(100)));
        assert!(is_too_slow(100 * RATE_MIN - 1, seconds(100)));
    }
}

//! Files and their `.metadata`: from memory when small, from disk otherwise, whole or one byte range.

use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use index::blobs::layout;
use index::model::IndexName;
use packaging::Sha256;
use rustix::io::ReadWriteFlags;

use crate::app::App;
use crate::cache::{self, CACHED_FILE_BYTES_MAX};
use crate::error::Failure;
use crate::routes::Site;
use crate::simple::{SURROGATE, matches, not_found};

/// Read from disk at once.
const CHUNK_BYTES: u64 = 128 << 10;
/// Chunks of one answer whose memory may be in use at a time.
const CHUNKS_SENT: usize = 2;

enum Source {
    Memory(Bytes),
    Disk(Arc<File>),
}

/// `GET /files/{aa}/{sha256}/{filename}`: visible exactly while the site holds it.
pub(crate) async fn file(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
    let (Some(folder), Some(hex), Some(filename)) = (site.param("aa"), site.param("sha256"), site.param("filename"))
    else {
        return not_found(request.headers());
    };
    let Ok(sha256) = hex.parse::<Sha256>() else { return not_found(request.headers()) };
    // One spelling of each URL: a digest in capitals or another folder is no file.
    if sha256.to_string() != hex || folder != hex[..2] {
        return not_found(request.headers());
    }
    of_site(&app, &site.index, &sha256, &filename, request.headers()).await
}

/// A file of the site, or the metadata beside it.
pub(crate) async fn of_site(
    app: &App,
    index: &IndexName,
    sha256: &Sha256,
    filename: &str,
    headers: &HeaderMap,
) -> Response {
    match find(app, index, sha256, filename).await {
        Ok(Some((source, size, etag))) => {
            let mut response = respond(source, size, etag, headers);
            let key = layout::site_file(index, sha256, filename);
            response.headers_mut().insert(SURROGATE, cache::surrogate(&key));
            response.headers_mut().insert(header::CACHE_CONTROL, cache_control(app));
            response
        }
        Ok(None) => not_found(headers),
        Err(failure) => failure.answer(headers),
    }
}

/// A file never changes, but it may be withdrawn: whoever installs keeps it, a shared cache asks again in a while, and is
/// told by the surrogate key.
fn cache_control(app: &App) -> HeaderValue {
    let seconds = app.settings().file_shared_seconds;
    HeaderValue::try_from(format!("public, max-age=31536000, s-maxage={seconds}, immutable"))
        .unwrap_or(HeaderValue::from_static("no-cache"))
}

async fn find(
    app: &App,
    index: &IndexName,
    sha256: &Sha256,
    filename: &str,
) -> Result<Option<(Source, u64, HeaderValue)>, Failure> {
    let key = layout::site_file(index, sha256, filename);
    let plain = filename.strip_suffix(".metadata").unwrap_or(filename);
    let etag = HeaderValue::try_from(format!("\"{sha256}{}\"", if plain == filename { "" } else { "-metadata" }))
        .map_err(|_| Failure::not_found("Not Found"))?;
    if let Some(page) = app.cache().held(&key) {
        return Ok(Some((Source::Memory(page.body.clone()), page.body.len() as u64, etag)));
    }
    // What is no file name leads to no path.
    if plain.parse::<packaging::DistFilename>().is_err() {
        return Ok(None);
    }
    let blobs = Arc::clone(&app.installation().blobs);
    let opened = {
        let key = key.clone();
        tokio::task::spawn_blocking(move || blobs.open_object(&key)).await.map_err(std::io::Error::other)??
    };
    let Some((file, size)) = opened else { return Ok(None) };
    if size <= CACHED_FILE_BYTES_MAX {
        let page = app.cache().get(&key).await?;
        return Ok(page.map(|page| (Source::Memory(page.body.clone()), page.body.len() as u64, etag)));
    }
    Ok(Some((Source::Disk(Arc::new(file)), size, etag)))
}

fn respond(source: Source, size: u64, etag: HeaderValue, request: &HeaderMap) -> Response {
    let unchanged = request.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &etag));
    // RFC 9110 §13.1.5: a range of another version is no range.
    let fresh = request.get(header::IF_RANGE).is_none_or(|known| *known == etag);
    let range = request.get(header::RANGE).filter(|_| fresh && !unchanged).and_then(|value| parse_range(value, size));
    let mut response = match range {
        _ if unchanged => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        None => sized(source, 0, size),
        Some(Err(())) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let text = HeaderValue::try_from(format!("bytes */{size}"));
            response.headers_mut().extend(text.map(|text| (header::CONTENT_RANGE, text)));
            response
        }
        Some(Ok((first, last))) => {
            let mut response = sized(source, first, last + 1 - first);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = HeaderValue::try_from(format!("bytes {first}-{last}/{size}"));
            response.headers_mut().extend(text.map(|text| (header::CONTENT_RANGE, text)));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if !unchanged {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    response
}

/// The length is known, so the answer is never chunked.
fn sized(source: Source, first: u64, length: u64) -> Response {
    let mut response = Response::new(body(source, first, length));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn body(source: Source, first: u64, length: u64) -> Body {
    match source {
        Source::Memory(bytes) => Body::from(bytes.slice(first as usize..(first + length) as usize)),
        Source::Disk(file) => Body::from_stream(stream::try_unfold(Reading::new(file, first, length), Reading::next)),
    }
}

/// A stretch of a file on its way out, chunk by chunk.
struct Reading {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// Chunks that went out, oldest first: one that was sent by now gives its memory to the next.
    sent: VecDeque<Bytes>,
}

impl Reading {
    fn new(file: Arc<File>, first: u64, length: u64) -> Self {
        Self { file, at: first, end: first + length, sent: VecDeque::with_capacity(CHUNKS_SENT) }
    }

    async fn next(mut self) -> std::io::Result<Option<(Bytes, Self)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let length = CHUNK_BYTES.min(self.end - self.at) as usize;
        let used = if self.sent.len() < CHUNKS_SENT { None } else { self.sent.pop_front() };
        let mut chunk = used.and_then(|used| used.try_into_mut().ok()).unwrap_or_default();
        chunk.resize(length, 0);
        // What the system holds in memory is copied here and now; only what the disk must be waited for costs a thread.
        let read = match at_once(&self.file, &mut chunk, self.at) {
            0 => {
                let (file, at) = (Arc::clone(&self.file), self.at);
                let reading = tokio::task::spawn_blocking(move || file.read_exact_at(&mut chunk, at).map(|()| chunk));
                chunk = reading.await.map_err(std::io::Error::other)??;
                length
            }
            some => some,
        };
        chunk.truncate(read);
        let chunk = chunk.freeze();
        self.at += read as u64;
        self.sent.push_back(chunk.clone());
        Ok(Some((chunk, self)))
    }
}

/// Reads what is in memory already; 0 when that cannot be known or nothing is.
fn at_once(file: &File, chunk: &mut [u8], at: u64) -> usize {
    rustix::io::preadv2(file, &mut [IoSliceMut::new(chunk)], at, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// One range of bytes (RFC 9110 §14.1.2); `None` where the header is to be ignored: another unit, several ranges,
/// or nonsense. `Err` when it lies outside.
fn parse_range(value: &HeaderValue, size: u64) -> Option<Result<(u64, u64), ()>> {
    let text = value.to_str().ok()?.strip_prefix("bytes=")?;
    if text.contains(',') {
        return None;
    }
    let (first, last) = text.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", suffix) => {
            let length: u64 = suffix.parse().ok()?;
            Some(if length == 0 || size == 0 { Err(()) } else { Ok((size.saturating_sub(length), size - 1)) })
        }
        (first, last) => {
            let first: u64 = first.parse().ok()?;
            let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
            if last < first {
                return None;
            }
            Some(if first >= size { Err(()) } else { Ok((first, last.min(size - 1))) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        type Wanted = Option<Result<(u64, u64), ()>>;
        let table: &[(&str, Wanted)] = &[
            ("bytes=0-9", Some(Ok((0, 9)))),
            ("bytes=90-", Some(Ok((90, 99)))),
            ("bytes=-10", Some(Ok((90, 99)))),
            ("bytes=-1000", Some(Ok((0, 99)))),
            ("bytes=99-200", Some(Ok((99, 99)))),
            ("bytes=100-", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=x-y", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_range(&HeaderValue::from_static(text), 100), *want, "{text}");
        }
    }
}

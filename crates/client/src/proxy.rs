//! The verified index as HTTP, for unmodified installers on this machine.
//!
//! `/simple/<project>/`, `/files/<aa>/<sha256>/<filename>` and the latter with `.metadata`: the places of the index
//! itself, so that the signed page's own URLs hold. All of it may stand below one folder of any name, by which
//! installers' caches tell one index from another.
//!
//! Others may be on this machine, and a browser that shows pages of anybody. So it is asked by number or as `localhost`: a
//! page elsewhere whose name is made to lead here (DNS rebinding) names itself. And a proxy for one command has a word that
//! only the command knows: the name of the folder, and its password as a proxy ([`Proxy::only_for`]).

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HOST, HeaderValue,
    LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, VARY,
};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use packaging::hash::Sha256;
use packaging::name::ProjectName;
use packaging::simple::{CONTENT_TYPE_HTML, CONTENT_TYPE_JSON};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use crate::download::{Download, Piece};
use crate::refusal::{Kind, Refusal};
use crate::verified::{Index, Wanted};

/// How many connections are served at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;

/// How long a request's head may take, in seconds.
const HEAD_SECONDS_MAX: u64 = 30;

/// The longest reason given beside a status, in bytes: installers show it.
const REASON_BYTES_MAX: usize = 300;

const PIECE_BYTES: usize = 64 << 10;

/// What serves.
#[derive(Debug, Clone)]
pub struct Proxy {
    index: Arc<Index>,
    /// Where it listens, as installers write it.
    own: Arc<str>,
    /// The folder below which alone it answers, and what it is told as the proxy of all hosts.
    word: Option<Arc<Word>>,
}

/// What only the command under `run` knows.
#[derive(Debug)]
struct Word {
    folder: String,
    /// As the header has it.
    authorization: String,
}

/// What is sent.
#[derive(Debug)]
pub enum Sent {
    /// Whole.
    Bytes(Option<Bytes>),
    /// Piece by piece, so many bytes in all. A refusal breaks the connection off.
    Pieces {
        /// What came before the answer began.
        first: Option<Bytes>,
        /// What comes.
        rest: mpsc::Receiver<Piece>,
        /// How many bytes are still to come.
        left: u64,
    },
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces { first, rest, left } => {
                let piece = match first.take() {
                    Some(piece) => Some(Ok(piece)),
                    None => std::task::ready!(rest.poll_recv(context)),
                };
                if let Some(Ok(piece)) = &piece {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces { left, .. } => SizeHint::with_exact(*left),
        }
    }
}

type Answer = Response<Sent>;

fn answer(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Sent::Bytes(Some(bytes)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // An installer's cache asks again each time: a withdrawal reaches it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = answer(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")));
    let reason: String = text.chars().filter(|c| (' '..='~').contains(c)).take(REASON_BYTES_MAX).collect();
    if let Ok(reason) = ReasonPhrase::try_from(reason.into_bytes()) {
        answer.extensions_mut().insert(reason);
    }
    answer
}

/// Statuses that installers neither retry nor take for an absent project, unless it is one.
fn refused(refusal: &Refusal) -> Answer {
    let status = match refusal.kind {
        Kind::Absent => StatusCode::NOT_FOUND,
        Kind::Refused => StatusCode::CONFLICT,
        Kind::Unreachable => StatusCode::FAILED_DEPENDENCY,
    };
    text(status, &format!("Tidewaiter: {refusal}"))
}

/// Where a path leads.
enum Place<'a> {
    Page(&'a str),
    PageWithoutSlash(&'a str),
    File(&'a str, &'a str),
    Metadata(&'a str, &'a str),
}

fn place(path: &str) -> Option<Place<'_>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let inner = match &segments[..] {
        ["simple" | "files", ..] => &segments[..],
        [_, inner @ ..] => inner,
        [] => return None,
    };
    match inner {
        ["simple", project] if !project.is_empty() => Some(Place::PageWithoutSlash(project)),
        ["simple", project, ""] if !project.is_empty() => Some(Place::Page(project)),
        ["files", _, sha256, name] => Some(match name.strip_suffix(".metadata") {
            Some(filename) => Place::Metadata(sha256, filename),
            None => Place::File(sha256, name),
        }),
        _ => None,
    }
}

/// Percent-decoded, as installers may write `+` and `!` of a file's name so.
fn decoded(path: &str) -> Option<String> {
    let (mut out, bytes, mut at) = (Vec::with_capacity(path.len()), path.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.extend(tuf::hash::unhex(path.get(at + 1..at + 3)?)?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// PEP 691: JSON for whoever names it and does not like it less than HTML, which is what browsers and old installers get.
fn wants_json(accept: Option<&HeaderValue>) -> bool {
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else { return false };
    let quality = |kinds: &[&str]| {
        let of = |part: &str| {
            let mut words = part.split(';').map(str::trim);
            let kind = words.next()?;
            let quality = words.find_map(|word| word.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            kinds.contains(&kind).then_some(quality)
        };
        accept.split(',').filter_map(of).fold(0.0, f32::max)
    };
    let json = quality(&[CONTENT_TYPE_JSON, "application/vnd.pypi.simple.latest+json"]);
    json > 0.0 && json >= quality(&["text/html", CONTENT_TYPE_HTML])
}

/// `bytes=A-B`, `bytes=A-`, `bytes=-N` of so many bytes, as start and length. None for what is not understood, which is
/// then ignored (RFC 9110 §14.2).
fn range(value: &str, length: u64) -> Option<Result<(u64, u64), ()>> {
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (from, to) {
        ("", last) => (length.saturating_sub(last.parse().ok()?), length),
        (from, "") => (from.parse().ok()?, length),
        (from, to) => (from.parse().ok()?, to.parse::<u64>().ok()?.saturating_add(1).min(length)),
    };
    Some(if start < end { Ok((start, end - start)) } else { Err(()) })
}

impl Proxy {
    /// A proxy for an index.
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, own: Arc::from(""), word: None }
    }

    /// The same, for those alone who know a word: all is below a folder of that name, and whoever has it as the proxy of all
    /// hosts says the word as the password of the user `run`.
    #[must_use]
    pub fn only_for(self, word: &str) -> Self {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("run:{word}")));
        Self { word: Some(Arc::new(Word { folder: word.to_owned(), authorization })), ..self }
    }

    /// Whether a request came from those for whom this is the proxy of all hosts. What others try here is not their affair.
    fn is_theirs(&self, request: &Request<Incoming>) -> bool {
        let said = request.headers().get(PROXY_AUTHORIZATION).map(HeaderValue::as_bytes);
        self.word.as_ref().is_none_or(|word| said == Some(word.authorization.as_bytes()))
    }

    fn is_below_folder(&self, path: &str) -> bool {
        self.word.as_ref().is_none_or(|word| path.split('/').nth(1) == Some(&word.folder))
    }

    /// Serves until the future is dropped.
    ///
    /// An installer that has it as its proxy for everything asks it for its own pages as for anybody's: by the whole URL.
    pub async fn serve(mut self, listener: TcpListener) -> io::Result<Infallible> {
        self.own = listener.local_addr()?.to_string().into();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let Ok((stream, _)) = listener.accept().await else {
                // Too many open files, mostly: others close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let proxy = self.clone();
            tokio::spawn(async move {
                proxy.connection(stream).await;
                drop(place);
            });
        }
    }

    async fn connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let proxy = self.clone();
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX));
        // How a connection ends is the other side's affair; what was refused is noted.
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(host) = elsewhere(&request, &self.own) {
            if !self.is_theirs(&request) {
                let mut answer = text(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "Tidewaiter: not your proxy");
                answer.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tidewaiter\""));
                return answer;
            }
            let cause = "refused: the installer wanted to leave the verified index".to_owned();
            let remedy = "nothing signs for what is there; take away what names it, such as a requirement, a lock file or an \
                option, or let it through unverified by --allow-other-hosts";
            let refusal = Refusal { kind: Kind::Refused, what: host, cause, remedy };
            self.index.note(&refusal.what, Some(&refusal));
            return refused(&refusal);
        }
        if !is_by_number(&request) {
            return text(StatusCode::MISDIRECTED_REQUEST, "Tidewaiter: ask for this proxy by number or as localhost");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Tidewaiter: this proxy is read only");
        }
        let Some(path) = decoded(request.uri().path()) else {
            return text(StatusCode::BAD_REQUEST, "Tidewaiter: no path");
        };
        let answered = match place(&path).filter(|_| self.is_below_folder(&path)) {
            Some(Place::Page(project)) => self.page(project, &request).await,
            Some(Place::PageWithoutSlash(project)) => match project.parse::<ProjectName>() {
                Ok(name) => return moved(&name),
                Err(_) => None,
            },
            Some(Place::File(sha256, filename)) => self.file(sha256, filename, &request).await,
            Some(Place::Metadata(sha256, filename)) => self.metadata(sha256, filename).await,
            None => None,
        };
        answered.unwrap_or_else(|| text(StatusCode::NOT_FOUND, "Tidewaiter: nothing is served here"))
    }

    async fn page(&self, project: &str, request: &Request<Incoming>) -> Option<Answer> {
        let name: ProjectName = project.parse().ok()?;
        Some(match self.index.page(&name.normalized()).await {
            Err(refusal) => refused(&refusal),
            Ok(page) => {
                let is_json = wants_json(request.headers().get(ACCEPT));
                let (kind, bytes) =
                    if is_json { (CONTENT_TYPE_JSON, &page.json) } else { ("text/html; charset=utf-8", &page.html) };
                let mut answer = answer(StatusCode::OK, kind, bytes.clone());
                answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
                answer
            }
        })
    }

    async fn metadata(&self, sha256: &str, filename: &str) -> Option<Answer> {
        let sha256: Sha256 = sha256.parse().ok()?;
        let found = match self.index.wanted(&sha256, filename).await {
            Ok(file) => self.index.metadata(&file).await,
            Err(refusal) => Err(refusal),
        };
        Some(match found {
            Ok(bytes) => answer(StatusCode::OK, "text/plain; charset=utf-8", bytes),
            Err(refusal) => refused(&refusal),
        })
    }

    async fn file(&self, sha256: &str, filename: &str, request: &Request<Incoming>) -> Option<Answer> {
        let sha256: Sha256 = sha256.parse().ok()?;
        let file = match self.index.wanted(&sha256, filename).await {
            Ok(file) => file,
            Err(refusal) => return Some(refused(&refusal)),
        };
        if let Err(refusal) = self.index.attested(&file).await {
            return Some(refused(&refusal));
        }
        let cache = self.index.cache().clone();
        let cached = tokio::task::spawn_blocking(move || cache.file(&sha256)).await.ok().and_then(Result::ok).flatten();
        Some(match cached {
            Some((stored, length)) => stored_file(stored, length, &file, request.headers().get(RANGE)),
            None if *request.method() == Method::HEAD => pieces(&file, None, mpsc::channel(1).1, file.size),
            None => self.fetched(file).await,
        })
    }

    /// A file on its way through. Ranges of it are not served: nobody knows yet whether it is the file.
    async fn fetched(&self, file: Wanted) -> Answer {
        let mut rest = self.index.download(file.clone());
        match rest.recv().await {
            Some(Ok(first)) => pieces(&file, Some(first), rest, file.size),
            Some(Err(refusal)) => refused(&refusal),
            None => pieces(&file, None, rest, 0),
        }
    }
}

/// Which other place a request is for, if it came to us as to a proxy of all hosts. Nothing but our own address is ours:
/// not another port of this machine either.
fn elsewhere(request: &Request<Incoming>, own: &str) -> Option<String> {
    let asked = request.uri().authority()?;
    (asked.as_str() != own || *request.method() == Method::CONNECT).then(|| asked.as_str().to_owned())
}

/// Whether the host that a request names is an address or `localhost`, which no page elsewhere can be called.
fn is_by_number(request: &Request<Incoming>) -> bool {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    named.is_some_and(|named| is_number(named.host()))
}

fn is_number(host: &str) -> bool {
    let is_address = matches!(url::Host::parse(host), Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)));
    is_address || host.eq_ignore_ascii_case("localhost")
}

fn moved(name: &ProjectName) -> Answer {
    let mut answer = text(StatusCode::MOVED_PERMANENTLY, "Tidewaiter: see below");
    if let Ok(place) = HeaderValue::from_str(&format!("{}/", name.normalized())) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

fn pieces(file: &Wanted, first: Option<Bytes>, rest: mpsc::Receiver<Piece>, left: u64) -> Answer {
    let mut answer = Response::new(Sent::Pieces { first, rest, left });
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(left));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", file.sha256)) {
        headers.insert(ETAG, tag);
    }
    answer
}

/// A file that was verified, whole or a range of it.
fn stored_file(mut stored: File, length: u64, file: &Wanted, wanted: Option<&HeaderValue>) -> Answer {
    let wanted = wanted.and_then(|value| range(value.to_str().ok()?, length));
    let (status, (start, count)) = match wanted {
        None => (StatusCode::OK, (0, length)),
        Some(Ok(part)) => (StatusCode::PARTIAL_CONTENT, part),
        Some(Err(())) => return text(StatusCode::RANGE_NOT_SATISFIABLE, "Tidewaiter: no such range"),
    };
    let (pipe, rest) = mpsc::channel(Download::PIECES_AHEAD_MAX);
    let what = file.filename.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = stored.seek(SeekFrom::Start(start)).and_then(|_| send(stored.take(count), &pipe)) {
            let _ = pipe.blocking_send(Err(Refusal::io(&what, &error)));
        }
    });
    let mut answer = pieces(file, None, rest, count);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::from_str(&format!("bytes {start}-{}/{length}", start + count - 1))
    {
        headers.insert(CONTENT_RANGE, value);
    }
    answer
}

fn send(mut from: impl Read, pipe: &mpsc::Sender<Piece>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let count = from.read(&mut piece)?;
        piece.truncate(count);
        if count == 0 || pipe.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (value, expected) in [
            ("bytes=0-0", Some(Ok((0, 1)))),
            ("bytes=3-", Some(Ok((3, 7)))),
            ("bytes=-4", Some(Ok((6, 4)))),
            ("bytes=-40", Some(Ok((0, 10)))),
            ("bytes=5-99", Some(Ok((5, 5)))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=5-4", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=18446744073709551615-18446744073709551615", Some(Err(()))),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=x", None),
        ] {
            assert_eq!(range(value, 10), expected, "{value}");
        }
    }

    #[test]
    fn names_that_a_page_elsewhere_may_have() {
        for host in ["127.0.0.1", "LocalHost", "[::1]", "10.0.0.1"] {
            assert!(is_number(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[evil.example]"] {
            assert!(!is_number(host), "{host}");
        }
    }

    #[test]
    fn representations() {
        let wants = |text: &'static str| wants_json(Some(&HeaderValue::from_static(text)));
        assert!(!wants_json(None) && !wants("*/*") && !wants("text/html"));
        let pip = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";
        assert!(wants(pip) && !wants("application/vnd.pypi.simple.v1+json;q=0, text/html"));
        assert!(!wants("application/vnd.pypi.simple.v1+json;q=0.2, text/html"));
    }

    #[test]
    fn paths() {
        assert!(matches!(place("/simple/demo/"), Some(Place::Page("demo"))));
        assert!(matches!(place("/abc/simple/demo/"), Some(Place::Page("demo"))));
        assert!(matches!(place("/simple/demo"), Some(Place::PageWithoutSlash("demo"))));
        assert!(matches!(place("/abc/files/ab/abab/x.whl"), Some(Place::File("abab", "x.whl"))));
        assert!(matches!(place("/files/ab/abab/x.whl.metadata"), Some(Place::Metadata("abab", "x.whl"))));
        for path in ["", "/", "/simple/", "/simple//", "/a/b/simple/x/", "/files/x", "/simple/a/b/"] {
            assert!(place(path).is_none(), "{path}");
        }
        assert_eq!(decoded("/a%2Bb"), Some("/a+b".to_owned()));
        for path in ["%", "%2", "%zz", "%é", "%ff"] {
            assert_eq!(decoded(path), None, "{path}");
        }
    }
}

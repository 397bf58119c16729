//! HTTP GET within limits: of bytes, of patience, of places. Nothing that arrives here is trusted.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

/// How long a client waits. Whoever sends too slowly keeps it from its updates (slow retrieval).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, for the head of an answer, and for each next piece of it.
    pub idle_ms_max: u64,
    /// After this long an answer must have come as fast as the following says, on average.
    pub slow_after_ms: u64,
    /// The slowest that an answer may come.
    pub bytes_per_second_min: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle_ms_max: 15_000, slow_after_ms: 20_000, bytes_per_second_min: 4 << 10 }
    }
}

impl Patience {
    fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms_max)
    }

    fn is_slow(&self, elapsed: Duration, count: u64) -> bool {
        let elapsed_ms = elapsed.as_millis();
        let wanted = elapsed_ms * u128::from(self.bytes_per_second_min) / 1_000;
        elapsed_ms > u128::from(self.slow_after_ms) && u128::from(count) < wanted
    }
}

/// Where Debian, Fedora and Alpine keep the certificates that a machine trusts.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there (403, 404 or 410: object stores say 403).
    #[error("is not there")]
    Missing,
    /// Another answer than 200. Redirects are not followed: what is fetched has one place.
    #[error("answers {0}")]
    Status(u16),
    /// Longer than it may be.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// Nothing came for too long, or too little.
    #[error("answers too slowly")]
    Slow,
    /// No URL that can be fetched.
    #[error("is no http or https URL")]
    Url,
    /// No connection, or one that broke.
    #[error("cannot be reached: {0}")]
    Broken(String),
    /// Nobody there whom a certificate vouches for.
    #[error("cannot be reached safely: {0}")]
    Tls(String),
    /// Nothing is fetched, as the user wants it.
    #[error("is not fetched: offline")]
    Offline,
    /// What arrived was not taken.
    #[error(transparent)]
    Sink(#[from] std::io::Error),
}

/// What a request to this URL names as its host.
pub(crate) fn authority(url: &Url) -> Result<String, FetchError> {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        (Some(host), None) => Ok(host.to_owned()),
        (None, _) => Err(FetchError::Url),
    }
}

pub(crate) fn broken(error: impl std::fmt::Display) -> FetchError {
    FetchError::Broken(error.to_string())
}

/// In what form an answer is asked for.
#[derive(Debug, Clone, Copy)]
struct Wish {
    coding: &'static str,
    accept: Option<&'static str>,
}

impl Wish {
    /// As it is.
    const IDENTITY: Self = Self { coding: "identity", accept: None };
}

type Sender = SendRequest<Empty<Bytes>>;

/// How many connections are kept open for next requests: an installer asks for so much at once.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// Fetches. Keeps connections open for next requests to the same place.
pub struct Fetcher {
    tls: Option<TlsConnector>,
    patience: Patience,
    idle: Mutex<Vec<(String, Sender)>>,
}

/// An answer of status 200, to be read piece by piece.
pub struct Answer<'a> {
    fetcher: &'a Fetcher,
    connection: Option<(String, Sender)>,
    body: Incoming,
    /// How long the other side was waited for; not how long the reader took.
    waited: Duration,
    count: u64,
    bytes_max: u64,
    is_gzip: bool,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Answer<'_> {
    /// The next piece; none at the end, after which the connection serves the next request.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, FetchError> {
        let patience = self.fetcher.patience;
        loop {
            let started = Instant::now();
            let frame = timeout(patience.idle(), self.body.frame()).await.map_err(|_| FetchError::Slow)?;
            self.waited += started.elapsed();
            let Some(frame) = frame else { break };
            let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
            self.count += piece.len() as u64;
            if self.count > self.bytes_max {
                return Err(FetchError::TooLong(self.bytes_max));
            }
            if patience.is_slow(self.waited, self.count) {
                return Err(FetchError::Slow);
            }
            return Ok(Some(piece));
        }
        if let Some((origin, mut sender)) = self.connection.take()
            && matches!(timeout(patience.idle(), sender.ready()).await, Ok(Ok(())))
        {
            self.fetcher.keep(origin, sender);
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher that trusts the certificates in this PEM file, or those of the machine. Where there are none, https
    /// fails and http works.
    pub fn new(certificates: Option<&Path>, patience: Patience) -> Result<Self, FetchError> {
        let mut roots = RootCertStore::empty();
        match certificates {
            Some(path) => {
                for certificate in CertificateDer::pem_file_iter(path).map_err(broken)? {
                    roots.add(certificate.map_err(broken)?).map_err(broken)?;
                }
            }
            None => {
                // What the machine's bundle holds that cannot be read is not trusted, and no reason to trust nothing.
                let bundle = CERTIFICATES.iter().find_map(|path| CertificateDer::pem_file_iter(path).ok());
                roots.add_parsable_certificates(bundle.into_iter().flatten().flatten());
            }
        }
        let tls = (!roots.is_empty()).then(|| {
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        });
        Ok(Self { tls, patience, idle: Mutex::new(Vec::new()) })
    }

    /// The whole answer, of at most `bytes_max` bytes, unpacked where it comes packed.
    pub async fn get(&self, url: &Url, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        self.get_as(url, bytes_max, None).await
    }

    /// The same, of the representation that is asked for (RFC 9110 §12.5.1).
    pub async fn get_as(
        &self,
        url: &Url,
        bytes_max: usize,
        accept: Option<&'static str>,
    ) -> Result<Vec<u8>, FetchError> {
        let mut answer = self.open(url, bytes_max as u64, Wish { coding: "gzip", accept }).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.piece().await? {
            bytes.extend_from_slice(&piece);
        }
        if !answer.is_gzip {
            return Ok(bytes);
        }
        let mut unpacked = Vec::new();
        let mut reader = MultiGzDecoder::new(&bytes[..]).take(bytes_max as u64 + 1);
        reader.read_to_end(&mut unpacked).map_err(broken)?;
        if unpacked.len() > bytes_max {
            return Err(FetchError::TooLong(bytes_max as u64));
        }
        Ok(unpacked)
    }

    /// The answer piece by piece, at most `bytes_max` bytes in all. Returns how many there were.
    pub async fn get_into(
        &self,
        url: &Url,
        bytes_max: u64,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<u64, FetchError> {
        let mut answer = self.open(url, bytes_max, Wish::IDENTITY).await?;
        while let Some(piece) = answer.piece().await? {
            sink(&piece)?;
        }
        Ok(answer.count)
    }

    /// The answer, as it is, to be read piece by piece, at most `bytes_max` bytes in all.
    pub async fn stream(&self, url: &Url, bytes_max: u64) -> Result<Answer<'_>, FetchError> {
        self.open(url, bytes_max, Wish::IDENTITY).await
    }

    async fn open(&self, url: &Url, bytes_max: u64, wish: Wish) -> Result<Answer<'_>, FetchError> {
        let started = Instant::now();
        let (origin, sender, answer) = self.send(url, wish).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Err(FetchError::Missing),
            other => return Err(FetchError::Status(other.as_u16())),
        }
        // A coding that was not asked for would be read past the limits.
        let is_gzip = match answer.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
            None | Some(b"identity") => false,
            Some(b"gzip") if wish.coding == "gzip" => true,
            Some(_) => return Err(FetchError::Broken("it sends an encoding that was not asked for".to_owned())),
        };
        let connection = Some((origin, sender));
        let (body, waited) = (answer.into_body(), started.elapsed());
        Ok(Answer { fetcher: self, connection, body, waited, count: 0, bytes_max, is_gzip })
    }

    fn keep(&self, origin: String, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push((origin, sender));
        }
    }

    fn kept(&self, origin: &str) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, sender)| !sender.is_closed());
        let at = idle.iter().position(|(kept, _)| kept == origin)?;
        Some(idle.swap_remove(at).1)
    }

    async fn send(&self, url: &Url, wish: Wish) -> Result<(String, Sender, Response<Incoming>), FetchError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(FetchError::Url);
        };
        let origin = format!("{}://{host}:{port}", url.scheme());
        if let Some(mut sender) = self.kept(&origin) {
            // The other side may have closed it in the meantime; then a new one is made.
            match self.ask(&mut sender, url, wish).await {
                Ok(answer) => return Ok((origin, sender, answer)),
                Err(FetchError::Slow) => return Err(FetchError::Slow),
                Err(_) => {}
            }
        }
        let mut sender =
            timeout(self.patience.idle(), self.connect(url, host, port)).await.map_err(|_| FetchError::Slow)??;
        let answer = self.ask(&mut sender, url, wish).await?;
        Ok((origin, sender, answer))
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// A fresh connection, for bodies of any kind.
    pub(crate) async fn connect<B: Sent>(
        &self,
        url: &Url,
        host: &str,
        port: u16,
    ) -> Result<SendRequest<B>, FetchError> {
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(FetchError::Url),
        };
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        if !is_tls {
            return handshake(stream).await;
        }
        let unsafe_there = |error: &dyn std::fmt::Display| FetchError::Tls(error.to_string());
        let tls = self.tls.as_ref().ok_or_else(|| unsafe_there(&"this machine trusts no certificates"))?;
        let name = ServerName::try_from(name.to_owned()).map_err(broken)?;
        handshake(tls.connect(name, stream).await.map_err(|error| unsafe_there(&error))?).await
    }

    async fn ask(&self, sender: &mut Sender, url: &Url, wish: Wish) -> Result<Response<Incoming>, FetchError> {
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = authority(url)?;
        let request = match wish.accept {
            Some(kind) => Request::get(target).header(ACCEPT, kind),
            None => Request::get(target),
        };
        let request = request
            .header(HOST, host)
            .header(USER_AGENT, concat!("tidewaiter/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, wish.coding)
            .body(Empty::new())
            .map_err(broken)?;
        let answered = async {
            sender.ready().await.map_err(broken)?;
            sender.send_request(request).await.map_err(broken)
        };
        timeout(self.patience.idle(), answered).await.map_err(|_| FetchError::Slow)?
    }
}

/// A body that can be sent.
pub(crate) trait Sent:
    Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}

impl<B> Sent for B where B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static {}

async fn handshake<B: Sent>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<B>, FetchError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends when the sender is dropped or the other side closes; its error reaches the sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

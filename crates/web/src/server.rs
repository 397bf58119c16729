//! The listener: HTTP/1 and HTTP/2, TLS from files when given, limits on what a connection may cost.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt;

use crate::app::App;

/// Largest request head, in bytes: long macaroons fit, floods do not (431).
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most header lines.
const HEADERS_MAX: usize = 100;
/// Longest that a client may take to send a request head, or a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long running requests get at an orderly stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Most connections at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 4096;
/// So many connections of one thread before the next one is given any. One thread answers tens of thousands of small requests
/// a second; two where one is enough take each other's processor, and a request that meets this waits for a slice of some
/// milliseconds.
const CONNECTIONS_EACH: usize = 16;

/// Mark of a request that came by TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encrypted;

/// TLS, ready to accept.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Reads a certificate chain and its key, both PEM.
///
/// # Errors
/// A sentence that names the file.
pub fn tls_from_files(certificate: &Path, key: &Path) -> Result<Tls, String> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| format!("{}: {e}", certificate.display()))?.collect();
    let chain = chain.map_err(|e| format!("{}: {e}", certificate.display()))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|e| format!("{}: {e}", certificate.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls(TlsAcceptor::from(Arc::new(config))))
}

/// Serves until `stop` turns true, then lets running requests end.
///
/// Connections are given to threads that each run an event loop of their own, and stay where they are: a request is read,
/// answered from the cache and written without a change of thread, which is most of what it costs. The threads are filled one
/// after the other, to sixteen each, and evenly from there.
pub async fn serve(listener: TcpListener, app: App, tls: Option<Tls>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let count = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut threads = Vec::with_capacity(count);
    for number in 0..count {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (app, tls) = (app.clone(), tls.clone());
        let named = std::thread::Builder::new().name(format!("web-{number}"));
        match named.spawn(move || run_connections(receiver, app, tls)) {
            Ok(thread) => threads.push(Thread { sender, thread, open: Arc::default() }),
            Err(error) => tracing::error!(%error, "a thread for connections cannot be started"),
        }
    }
    while !threads.is_empty() {
        let places = Arc::clone(&places);
        let accepted = async { (places.acquire_owned().await, listener.accept().await) };
        let (Ok(place), accepted) = (tokio::select! {
            accepted = accepted => accepted,
            _ = stop.changed() => break,
        }) else {
            break;
        };
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            // The thread is there until its sender is dropped below.
            Ok(stream) => {
                drop(next_thread(&threads).map(|next| next.sender.send((stream, Held::of(&next.open, place)))))
            }
            // Out of descriptors, say: give connections time to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    // Without its sender a thread takes no more and ends its connections; all of them do so at the same time.
    let threads: Vec<_> = threads.into_iter().map(|Thread { thread, .. }| thread).collect();
    let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    let _ = ended.await;
}

/// A thread for connections.
struct Thread {
    sender: mpsc::UnboundedSender<Accepted>,
    thread: JoinHandle<()>,
    /// How many connections it has.
    open: Arc<AtomicUsize>,
}

/// Whose the next connection is: the first thread's that has few, or else that has the fewest.
fn next_thread(threads: &[Thread]) -> Option<&Thread> {
    let open = |thread: &&Thread| thread.open.load(Ordering::Relaxed);
    threads.iter().find(|thread| open(thread) < CONNECTIONS_EACH).or_else(|| threads.iter().min_by_key(open))
}

/// The place of a connection: one of [`CONNECTIONS_MAX`], and one of its thread's. Both are free again when it is dropped.
struct Held {
    open: Arc<AtomicUsize>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn of(open: &Arc<AtomicUsize>, place: OwnedSemaphorePermit) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self { open: Arc::clone(open), _place: place }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that was accepted.
type Accepted = (std::net::TcpStream, Held);

/// One thread's connections, until no more come and those that are there have ended.
fn run_connections(mut accepted: mpsc::UnboundedReceiver<Accepted>, app: App, tls: Option<Tls>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a thread for connections cannot be started"),
    };
    runtime.block_on(async move {
        let (router, builder, graceful) = (crate::router(app.clone()), builder(), GracefulShutdown::new());
        while let Some((stream, place)) = accepted.recv().await {
            let Ok(stream) = TcpStream::from_std(stream) else { continue };
            let _ = stream.set_nodelay(true);
            let (router, app, builder, watcher) = (router.clone(), app.clone(), builder.clone(), graceful.watcher());
            let tls = tls.clone();
            tokio::spawn(async move {
                begin(stream, builder, router, app, watcher, tls).await;
                drop(place);
            });
        }
        let _ = tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await;
    });
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(128)
        .max_pending_accept_reset_streams(Some(32))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Finds out what a new connection speaks, and serves it.
async fn begin(
    stream: TcpStream,
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    app: App,
    watcher: hyper_util::server::graceful::Watcher,
    tls: Option<Tls>,
) {
    match tls {
        None => {
            if let Ok(Ok(is_http2)) = tokio::time::timeout(HEAD_TIMEOUT, speaks_http2(&stream)).await {
                let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
                connection(stream, builder, router, app, watcher, None).await;
            }
        }
        Some(Tls(acceptor)) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
                connection(stream, builder, router, app, watcher, Some(Encrypted)).await;
            }
        }
    }
}

/// Waits for the first bytes without taking them. The library that tells the versions apart would wait for ever; after
/// this, each version's own time limits hold.
async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    // RFC 9113 §3.4.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = [0; PREFACE.len()];
    loop {
        let n = stream.peek(&mut first).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&first[..n]) {
            return Ok(false);
        }
        if n == PREFACE.len() {
            return Ok(true);
        }
        // More will come, or the time limit around this.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    app: App,
    watcher: hyper_util::server::graceful::Watcher,
    encrypted: Option<Encrypted>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        app.metrics().request();
        if let Some(encrypted) = encrypted {
            request.extensions_mut().insert(encrypted);
        }
        router.clone().oneshot(request.map(Body::new))
    });
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    // A connection that breaks off is the client's affair.
    let _ = served.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(open: usize) -> Thread {
        Thread {
            sender: mpsc::unbounded_channel().0,
            thread: std::thread::spawn(|| ()),
            open: Arc::new(AtomicUsize::new(open)),
        }
    }

    #[test]
    fn threads_are_filled_one_after_the_other_and_evenly_from_there() {
        let full = CONNECTIONS_EACH;
        for (open, expected) in [
            ([0, 0, 0], 0),
            ([full - 1, 0, 0], 0),
            ([full, 0, 0], 1),
            ([full + 5, full, full - 1], 2),
            ([full + 5, full, full + 1], 1),
        ] {
            let threads = open.map(with);
            let next = next_thread(&threads).expect("a thread");
            assert!(std::ptr::eq(next, &raw const threads[expected]), "{open:?}");
        }
        assert!(next_thread(&[]).is_none());
    }

    #[test]
    fn a_connection_that_ends_makes_room() {
        let (open, places) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(1)));
        let place = Arc::clone(&places).try_acquire_owned().expect("a place");
        let held = Held::of(&open, place);
        assert_eq!((open.load(Ordering::Relaxed), places.available_permits()), (1, 0));
        drop(held);
        assert_eq!((open.load(Ordering::Relaxed), places.available_permits()), (0, 1));
    }
}

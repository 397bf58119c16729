//! The listener: HTTP/1 and HTTP/2, TLS from files when given, limits on what a connection may cost.

use std::path::Path;
use std::sync::Arc;
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
use tokio::net::TcpListener;
use tokio::sync::watch;
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
pub async fn serve(listener: TcpListener, app: App, tls: Option<Tls>, mut stop: watch::Receiver<bool>) {
    let router = crate::router(app.clone());
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
    let graceful = GracefulShutdown::new();
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let places = Arc::clone(&places);
        let next = async { (places.acquire_owned().await, listener.accept().await) };
        let (Ok(place), accepted) = (tokio::select! {
            next = next => next,
            _ = stop.changed() => break,
        }) else {
            break;
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: give connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (router, app, builder, watcher) = (router.clone(), app.clone(), builder.clone(), graceful.watcher());
        let tls = tls.clone();
        tokio::spawn(async move {
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
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await;
}

/// Waits for the first bytes without taking them. The library that tells the versions apart would wait for ever; after
/// this, each version's own time limits hold.
async fn speaks_http2(stream: &tokio::net::TcpStream) -> std::io::Result<bool> {
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

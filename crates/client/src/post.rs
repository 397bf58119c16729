//! HTTP POST within limits, for services that are asked about a file. No redirect is followed, no connection kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;
use url::Url;

use crate::fetch::{FetchError, Fetcher, authority, broken};

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// One part of what is sent.
#[derive(Debug)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a file, from where it stands.
    File(File, u64),
}

/// What is sent, part by part, without ever holding a file.
#[derive(Debug)]
struct Posted {
    parts: VecDeque<Part>,
    open: Option<(tokio::fs::File, u64)>,
    left: u64,
}

impl Posted {
    fn new(parts: Vec<Part>) -> Self {
        let size = |part: &Part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(_, size) => *size,
        };
        let left = parts.iter().map(size).sum();
        Self { parts: parts.into(), open: None, left }
    }
}

impl Body for Posted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some((file, left)) = &mut self.open {
                if *left == 0 {
                    self.open = None;
                    continue;
                }
                let mut piece = BytesMut::zeroed(PIECE_BYTES.min(usize::try_from(*left).unwrap_or(PIECE_BYTES)));
                let mut buffer = ReadBuf::new(&mut piece);
                ready!(Pin::new(file).poll_read(context, &mut buffer))?;
                let count = buffer.filled().len();
                if count == 0 {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                piece.truncate(count);
                *left -= count as u64;
                self.left -= count as u64;
                return Poll::Ready(Some(Ok(Frame::data(piece.freeze()))));
            }
            match self.parts.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::File(file, size)) => self.open = Some((tokio::fs::File::from_std(file), size)),
                Some(Part::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Part::Bytes(bytes)) => {
                    self.left -= bytes.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Fetcher {
    /// Sends parts one after another as one body; the whole answer of a success, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Any other status, a redirect included, and what breaks on the way.
    pub async fn post(
        &self,
        url: &Url,
        content_type: &str,
        parts: Vec<Part>,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        match self.post_any(url, content_type, parts, bytes_max).await? {
            (status, bytes) if (200..300).contains(&status) => Ok(bytes),
            (status, _) => Err(FetchError::Status(status)),
        }
    }

    /// The same, whatever the status: it and the whole answer. Its patience is for a connection and for each next piece of
    /// the answer: how long the service thinks is the caller's to bound.
    ///
    /// # Errors
    /// What breaks on the way.
    pub async fn post_any(
        &self,
        url: &Url,
        content_type: &str,
        parts: Vec<Part>,
        bytes_max: usize,
    ) -> Result<(u16, Vec<u8>), FetchError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(FetchError::Url);
        };
        let idle = std::time::Duration::from_millis(self.patience().idle_ms_max);
        let mut sender =
            timeout(idle, self.connect::<Posted>(url, host, port)).await.map_err(|_| FetchError::Slow)??;
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let request = Request::post(target)
            .header(HOST, authority(url)?)
            .header(USER_AGENT, concat!("tidewaiter/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, content_type)
            .body(Posted::new(parts))
            .map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let (mut body, mut bytes) = (answer.into_body(), Vec::new());
        while let Some(frame) = timeout(idle, body.frame()).await.map_err(|_| FetchError::Slow)? {
            let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + piece.len() > bytes_max {
                // Of a long complaint its number is enough.
                if !(200..300).contains(&status) {
                    break;
                }
                return Err(FetchError::TooLong(bytes_max as u64));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((status, bytes))
    }
}

//! A server whose answers are bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use url::Url;

/// What is sent: pieces, each after a pause.
#[derive(Debug, Clone)]
pub(crate) struct Answer(pub(crate) Vec<(Duration, Vec<u8>)>);

impl Answer {
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self(vec![(Duration::ZERO, bytes.into())])
    }

    pub(crate) fn ok(content: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len());
        Self::raw([head.as_bytes(), content].concat())
    }
}

pub(crate) type Answers = Arc<Mutex<BTreeMap<String, Answer>>>;

/// What was asked for, and on how many connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) paths: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<Mutex<usize>>,
}

/// Serves until the runtime ends. Paths without an answer get 404.
pub(crate) async fn serve(answers: Answers) -> (Url, Log) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let log = Log::default();
    let seen = log.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *seen.connections.lock().expect("no panic") += 1;
            let (answers, seen) = (Arc::clone(&answers), seen.clone());
            tokio::spawn(async move {
                let (read, mut write) = stream.split();
                let mut lines = BufReader::new(read).lines();
                let mut path = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some(asked) = line.strip_prefix("GET ") {
                        path = asked.split(' ').next().unwrap_or_default().to_owned();
                    }
                    if !line.is_empty() {
                        continue;
                    }
                    seen.paths.lock().expect("no panic").push(path.clone());
                    let answer = answers.lock().expect("no panic").get(&path).cloned();
                    let missing = || Answer::raw("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
                    for (pause, piece) in answer.unwrap_or_else(missing).0 {
                        tokio::time::sleep(pause).await;
                        if write.write_all(&piece).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL"), log)
}

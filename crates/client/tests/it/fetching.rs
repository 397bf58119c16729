//! Fetching within limits.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{FetchError, Fetcher, Patience};
use url::Url;

use crate::server::{Answer, serve};

const PATIENCE: Patience = Patience { idle_ms_max: 300, slow_after_ms: 400, bytes_per_second_min: 1_000 };

async fn get(answer: Answer, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let answers = Arc::new(Mutex::new(BTreeMap::from([("/a".to_owned(), answer)])));
    let (base, _) = serve(answers).await;
    let fetcher = Fetcher::new(None, PATIENCE).expect("a fetcher");
    fetcher.get(&base.join("a").expect("a URL"), bytes_max).await
}

#[tokio::test]
async fn as_long_as_it_may_be_and_one_byte_more() {
    assert_eq!(get(Answer::ok(b"12345"), 5).await.expect("five bytes"), b"12345");
    assert!(matches!(get(Answer::ok(b"12345"), 4).await, Err(FetchError::TooLong(4))));
    // Without a length, until the connection ends: endless data ends at the limit.
    let mut endless = Answer::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    endless.0.extend((0..1_000).map(|_| (Duration::ZERO, vec![b'x'; 1_000])));
    assert!(matches!(get(endless, 10_000).await, Err(FetchError::TooLong(10_000))));
}

#[tokio::test]
async fn other_answers() {
    for (head, is_expected) in [
        ("404 Not Found", (|error| matches!(error, FetchError::Missing)) as fn(&FetchError) -> bool),
        ("403 Forbidden", |error| matches!(error, FetchError::Missing)),
        ("410 Gone", |error| matches!(error, FetchError::Missing)),
        ("302 Found\r\nlocation: /b", |error| matches!(error, FetchError::Status(302))),
        ("206 Partial Content", |error| matches!(error, FetchError::Status(206))),
        ("500 Oh", |error| matches!(error, FetchError::Status(500))),
        ("200 OK\r\ncontent-encoding: gzip", |error| matches!(error, FetchError::Broken(_))),
    ] {
        let answer = Answer::raw(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n"));
        let error = get(answer, 100).await.expect_err(head);
        assert!(is_expected(&error), "{head}: {error}");
    }
    assert!(matches!(get(Answer::raw("nonsense\r\n\r\n"), 100).await, Err(FetchError::Broken(_))));
    let short = Answer(vec![(Duration::ZERO, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123".to_vec())]);
    assert!(matches!(get(short, 100).await, Err(FetchError::Slow)), "what is announced and never comes");
}

#[tokio::test]
async fn slow_answers_are_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec();
    let silent = Answer(vec![(Duration::from_secs(5), head.clone())]);
    assert!(matches!(get(silent, 100).await, Err(FetchError::Slow)));
    // Never silent for too long, and never at its end.
    let mut drops = vec![(Duration::ZERO, head)];
    drops.extend((0..100).map(|_| (Duration::from_millis(100), b"x".to_vec())));
    let started = tokio::time::Instant::now();
    assert!(matches!(get(Answer(drops), 100).await, Err(FetchError::Slow)));
    assert!(started.elapsed() < Duration::from_secs(3), "long before its end");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let answers = Arc::new(Mutex::new(BTreeMap::from([("/a".to_owned(), Answer::ok(b"1"))])));
    let (base, log) = serve(answers).await;
    let fetcher = Fetcher::new(None, PATIENCE).expect("a fetcher");
    for _ in 0..5 {
        fetcher.get(&base.join("a").expect("a URL"), 10).await.expect("it is there");
    }
    assert_eq!(*log.connections.lock().expect("no panic"), 1);
    assert_eq!(log.paths.lock().expect("no panic").len(), 5);
}

#[tokio::test]
async fn places_that_cannot_be_fetched() {
    let fetcher = Fetcher::new(None, PATIENCE).expect("a fetcher");
    for url in ["ftp://127.0.0.1/a", "data:text/plain,a", "file:///etc/hostname"] {
        let outcome = fetcher.get(&Url::parse(url).expect("a URL"), 10).await;
        assert!(matches!(outcome, Err(FetchError::Url)), "{url}");
    }
    let missing = std::path::Path::new("/nonexistent/certificates.pem");
    assert!(Fetcher::new(Some(missing), PATIENCE).is_err(), "a file that was named must be there");
}

fn packed(content: &[u8]) -> Answer {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(content).expect("memory");
    let bytes = packer.finish().expect("memory");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
    Answer::raw([head.as_bytes(), &bytes].concat())
}

#[tokio::test]
async fn packed_answers_are_unpacked_within_the_same_limit() {
    let content = vec![b'x'; 100_000];
    assert_eq!(get(packed(&content), 100_000).await.expect("just so long"), content);
    assert!(matches!(get(packed(&content), 99_999).await, Err(FetchError::TooLong(99_999))));
    let mut broken = packed(b"some text");
    broken.0[0].1.truncate(70);
    broken.0[0].1.extend([0; 100]);
    assert!(matches!(get(broken, 100).await, Err(FetchError::Broken(_))));
    // What is to be streamed comes as it is.
    let answers = Arc::new(Mutex::new(BTreeMap::from([("/a".to_owned(), packed(b"1"))])));
    let (base, _) = serve(answers).await;
    let fetcher = Fetcher::new(None, PATIENCE).expect("a fetcher");
    let outcome = fetcher.stream(&base.join("a").expect("a URL"), 100).await;
    assert!(matches!(outcome, Err(FetchError::Broken(_))));
}

//! How services outside are asked about a file: the one place where the domain's question becomes HTTP.

use std::sync::Arc;

use anyhow::{Context, Result};
use client::post::Part;
use client::{Fetcher, Patience};
use index::clock::Entropy;
use index::external::{Http, Question};
use packaging::hash::hex;
use url::Url;

/// Asks services; the machine's certificates are trusted.
pub(crate) fn http() -> Result<Http> {
    let fetcher = Arc::new(Fetcher::new(None, Patience::default()).context("services cannot be asked")?);
    Ok(Http(Arc::new(move |question| {
        let fetcher = Arc::clone(&fetcher);
        Box::pin(async move { ask(&fetcher, question).await })
    })))
}

/// The description alone is the body, as JSON. With the file both are parts of a form: `description` and `file`.
async fn ask(fetcher: &Fetcher, question: Question) -> Result<Vec<u8>, String> {
    let Question { url, description, file, answer_bytes_max } = question;
    let url = Url::parse(&url).map_err(|error| format!("'{url}' is no URL: {error}"))?;
    let (content_type, parts) = match file {
        None => ("application/json".to_owned(), vec![Part::Bytes(description.into_bytes())]),
        Some((file, filename)) => {
            let size = file.metadata().map_err(|error| format!("the file cannot be read: {error}"))?.len();
            // Nobody who made the file can know it.
            let boundary = hex(&Entropy::system().bytes::<16>());
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"description\"\r\n\
                 Content-Type: application/json\r\n\r\n{description}\r\n--{boundary}\r\n\
                 Content-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            let tail = format!("\r\n--{boundary}--\r\n");
            let parts = vec![Part::Bytes(head.into_bytes()), Part::File(file, size), Part::Bytes(tail.into_bytes())];
            (format!("multipart/form-data; boundary={boundary}"), parts)
        }
    };
    fetcher.post(&url, &content_type, parts, answer_bytes_max).await.map_err(|error| format!("'{url}' {error}"))
}

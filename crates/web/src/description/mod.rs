//! Long descriptions as HTML that cannot act: Markdown, reStructuredText or plain text, from strangers.
//!
//! Each renderer's output goes through [`balance`] and then through [`clean`], two allow-lists that know nothing of
//! each other. Rendering runs on its own thread, with its own stack, a limit on time and on how many run at once;
//! what does not fit is shown as it was written. Nothing here is on the path of an installer.
//!
//! Images: a picture from another host tells that host who reads the page, and when. So none is fetched until the
//! reader asks: pages come without the addresses of pictures and with a policy (CSP) that forbids them, and offer a
//! link to the same page with them. An index that proxies pictures could drop this step.

mod balance;
mod clean;
mod markdown;
mod rst;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use packaging::Sha256;
use quick_cache::sync::Cache;
use sha2::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Longer descriptions are shown as plain text, in bytes.
pub(crate) const RENDERED_BYTES_MAX: usize = 512 << 10;
/// Longest that a page waits for its description.
const RENDER_TIME_MAX: Duration = Duration::from_secs(2);
/// Stack of a rendering thread, in bytes. Untouched pages of it cost nothing.
const STACK_BYTES: usize = 64 << 20;
/// Renderings that may run side by side; one past its time goes on holding its place until it ends.
const RENDERINGS_MAX: usize = 2;
/// Descriptions kept rendered.
const CACHED_MAX: usize = 64;
/// Descriptions above this many bytes of HTML are not kept.
const CACHED_BYTES_MAX: usize = 256 << 10;

/// A description as HTML that may stand in a page unescaped. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    html: String,
    html_with_images: String,
    /// How many pictures from other hosts it would show.
    pub(crate) images: usize,
}

impl Rendered {
    /// The HTML, with or without pictures from other hosts.
    pub(crate) fn html(&self, images: bool) -> &str {
        if images { &self.html_with_images } else { &self.html }
    }

    fn plain(text: &str) -> Self {
        let html = plain(text);
        Self { html_with_images: html.clone(), html, images: 0 }
    }
}

/// What a description is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Markdown,
    Rst,
    Plain,
}

impl Language {
    /// By Description-Content-Type; absent means reStructuredText (core metadata specification).
    fn of(content_type: Option<&str>) -> Self {
        let kind = content_type.unwrap_or("text/x-rst").split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/markdown") {
            Self::Markdown
        } else if kind.is_empty() || kind.eq_ignore_ascii_case("text/x-rst") {
            Self::Rst
        } else {
            Self::Plain
        }
    }
}

/// Renders, and remembers what it rendered.
pub(crate) struct Descriptions {
    cache: Cache<Sha256, Arc<Rendered>>,
    places: Arc<Semaphore>,
}

impl Descriptions {
    pub(crate) fn new() -> Self {
        Self { cache: Cache::new(CACHED_MAX), places: Arc::new(Semaphore::new(RENDERINGS_MAX)) }
    }

    /// The description as HTML. Never fails and never waits longer than [`RENDER_TIME_MAX`].
    pub(crate) async fn render(&self, text: &str, content_type: Option<&str>) -> Arc<Rendered> {
        let language = Language::of(content_type);
        if language == Language::Plain || text.len() > RENDERED_BYTES_MAX {
            return Arc::new(Rendered::plain(text));
        }
        let key = key(language, text);
        if let Some(known) = self.cache.get(&key) {
            return known;
        }
        let waiting = tokio::time::timeout(RENDER_TIME_MAX, Arc::clone(&self.places).acquire_owned());
        // All places taken says nothing about this text, so that is not remembered.
        let Ok(Ok(place)) = waiting.await else { return Arc::new(Rendered::plain(text)) };
        match tokio::time::timeout(RENDER_TIME_MAX, on_a_thread(place, language, text.to_owned())).await {
            Ok(Some(rendered)) => {
                let rendered = Arc::new(rendered);
                if rendered.html.len() <= CACHED_BYTES_MAX {
                    self.cache.insert(key, Arc::clone(&rendered));
                }
                rendered
            }
            // Too slow, or a panic: remembered, so that the next visitor does not begin it again.
            Ok(None) | Err(_) => {
                let rendered = Arc::new(Rendered::plain(text));
                self.cache.insert(key, Arc::clone(&rendered));
                rendered
            }
        }
    }
}

async fn on_a_thread(place: OwnedSemaphorePermit, language: Language, text: String) -> Option<Rendered> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // A panic ends this thread alone; the channel closes and the text is shown as it was written.
        let rendered = render(language, &text);
        drop(place);
        let _ = done.send(rendered);
    };
    std::thread::Builder::new().name("description".into()).stack_size(STACK_BYTES).spawn(work).ok()?;
    result.await.ok()
}

fn key(language: Language, text: &str) -> Sha256 {
    let mut hash = sha2::Sha256::new();
    hash.update([language as u8]);
    hash.update(text.as_bytes());
    Sha256::new(hash.finalize().into())
}

/// Straight through, without limits on time.
fn render(language: Language, text: &str) -> Rendered {
    let html = match language {
        Language::Markdown => markdown::html(text),
        Language::Rst => rst::html(text),
        Language::Plain => None,
    };
    match html {
        None => Rendered::plain(text),
        Some(html) => {
            let (without, images) = balance::balance(&html, false);
            let without = clean::clean(&without);
            let html_with_images =
                if images > 0 { clean::clean(&balance::balance(&html, true).0) } else { without.clone() };
            let html = without;
            Rendered { html, html_with_images, images }
        }
    }
}

/// Text as it was written.
fn plain(text: &str) -> String {
    format!("<pre class=\"plain\">{}</pre>", escape(text))
}

/// Text inside an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

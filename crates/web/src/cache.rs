//! Pages and small files in memory, kept honest by the head: a publication names the paths it changed, and
//! those are dropped before anybody hears of it. Nothing here asks the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use bytes::Bytes;
use index::blobs::{Blobs, Key, layout};
use index::model::IndexName;
use packaging::simple::last_serial;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The list of projects is no part of a head, so a cached one is used at most this long.
const LIST_AGE_MAX: Duration = Duration::from_secs(1);
/// Files over this many bytes are always read from disk.
pub(crate) const CACHED_FILE_BYTES_MAX: u64 = 1 << 20;

/// One object, ready to be sent.
pub(crate) struct Page {
    /// As stored.
    pub(crate) body: Bytes,
    /// Its gzip form, when the site has one.
    pub(crate) gzip: Option<Bytes>,
    /// Strong, of the stored form.
    pub(crate) etag: HeaderValue,
    /// Of the gzip form.
    pub(crate) gzip_etag: HeaderValue,
    /// `X-PyPI-Last-Serial`.
    pub(crate) serial: Option<HeaderValue>,
    /// `Surrogate-Key`.
    pub(crate) surrogate: HeaderValue,
    loaded: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, Arc<Page>> for ByBytes {
    fn weight(&self, key: &String, page: &Arc<Page>) -> u64 {
        (key.len() + page.body.len() + page.gzip.as_ref().map_or(0, Bytes::len) + 256) as u64
    }
}

/// The cache of one process.
pub(crate) struct SiteCache {
    blobs: Arc<Blobs>,
    pages: Cache<String, Arc<Page>, ByBytes>,
    /// Raised before paths are dropped, so that whoever read the old bytes meanwhile does not keep them.
    epoch: AtomicU64,
    seen: Mutex<BTreeMap<String, i64>>,
}

#[derive(Deserialize)]
struct Head {
    serial: i64,
    changed: Vec<Changed>,
}

#[derive(Deserialize)]
struct Changed {
    serial: i64,
    paths: Vec<String>,
}

/// By what name a shared cache is told to drop an object: what it changes with, and its index.
pub(crate) fn surrogate(key: &Key) -> HeaderValue {
    // File names of a site are header text, and where one is none there is nothing to be told.
    let named = layout::surrogate_keys(key).and_then(|text| HeaderValue::try_from(text).ok());
    named.unwrap_or(HeaderValue::from_static(""))
}

impl SiteCache {
    pub(crate) fn new(blobs: Arc<Blobs>, bytes_max: u64) -> Self {
        Self {
            blobs,
            pages: Cache::with_weighter(4096, bytes_max, ByBytes),
            epoch: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    /// The object, from memory or from the site; `None` when the site has none. Absence is not remembered.
    pub(crate) async fn get(self: &Arc<Self>, key: &Key) -> std::io::Result<Option<Arc<Page>>> {
        if let Some(page) = self.held(key) {
            return Ok(Some(page));
        }
        let (cache, key) = (Arc::clone(self), key.clone());
        tokio::task::spawn_blocking(move || cache.load(&key)).await.map_err(std::io::Error::other)?
    }

    /// The object, if it is in memory.
    pub(crate) fn held(&self, key: &Key) -> Option<Arc<Page>> {
        self.pages.get(key.as_str()).filter(|page| !key.is_list() || page.loaded.elapsed() < LIST_AGE_MAX)
    }

    fn load(&self, key: &Key) -> std::io::Result<Option<Arc<Page>>> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let Some(body) = self.blobs.get(key)? else { return Ok(None) };
        let is_file = key.is_site_file();
        let gzip = if is_file { None } else { self.blobs.get(&key.gzip())? };
        let tag = packaging::hash::hex(&Sha256::digest(&body)[..16]);
        let text = |value: String| HeaderValue::try_from(value).expect("hex and digits are header text");
        let page = Arc::new(Page {
            etag: text(format!("\"{tag}\"")),
            gzip_etag: text(format!("\"{tag}-gzip\"")),
            serial: if is_file { None } else { last_serial(&body).map(|serial| text(serial.to_string())) },
            surrogate: surrogate(key),
            body: Bytes::from(body),
            gzip: gzip.map(Bytes::from),
            loaded: Instant::now(),
        });
        self.pages.insert(key.as_str().to_owned(), Arc::clone(&page));
        // A publication in between may have dropped this key before it was inserted.
        if self.epoch.load(Ordering::SeqCst) != epoch {
            self.pages.remove(key.as_str());
        }
        Ok(Some(page))
    }

    /// Drops what a head names.
    pub(crate) fn forget(&self, index: &IndexName, serial: i64, paths: &[String]) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let site = layout::site(index);
        for path in paths {
            // A page is held together with its gzip form; the name of an sdist ends in `.gz` by itself.
            let held = if path.starts_with("files/") { path } else { path.strip_suffix(".gz").unwrap_or(path) };
            self.pages.remove(format!("{site}/{held}").as_str());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.entry(index.as_str().to_owned()).or_insert(serial);
        *known = serial.max(*known);
    }

    /// Reads an index's head, as another node may have written it. A head older than one seen is not believed.
    pub(crate) fn follow(&self, index: &IndexName) {
        let Ok(Some(bytes)) = self.blobs.get(&layout::head(index)) else { return };
        let Ok(head) = serde_json::from_slice::<Head>(&bytes) else { return };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(index.as_str()).copied();
        match seen {
            Some(serial) if serial >= head.serial => {}
            Some(serial) if head.changed.iter().any(|changed| changed.serial == serial + 1) => {
                for changed in head.changed.iter().filter(|changed| changed.serial > serial) {
                    self.forget(index, changed.serial, &changed.paths);
                }
            }
            // The first head, or a gap: whatever is held may be old.
            _ => {
                self.epoch.fetch_add(1, Ordering::SeqCst);
                self.pages.clear();
                self.forget(index, head.serial, &[]);
            }
        }
    }
}

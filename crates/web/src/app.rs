//! What every handler can reach.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use index::Installation;
use index::model::IndexName;
use index::ops::ceremony;
use index::store::indexes::IndexRow;

use crate::cache::SiteCache;
use crate::description::Descriptions;
use crate::error::Failure;
use crate::metrics::Metrics;

/// What an operator can set that only HTTP needs.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// How long a shared cache may keep a page without asking, in seconds; 0: it always asks.
    pub page_shared_seconds: u64,
    /// How long a shared cache may keep a file or its metadata without asking, in seconds.
    pub file_shared_seconds: u64,
    /// Memory for pages and small files, in bytes.
    pub cache_bytes_max: u64,
    /// Most bytes that are read and thrown away of a body that was refused.
    pub drain_bytes_max: u64,
    /// Longest pause between two parts of a request, in seconds.
    pub read_timeout_seconds: u64,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            page_shared_seconds: 0,
            file_shared_seconds: 86_400,
            cache_bytes_max: 64 << 20,
            drain_bytes_max: 1 << 30,
            read_timeout_seconds: 30,
        }
    }
}

/// Dry runs without a token that are answered at once; more are told to come back, so that strangers cannot take the
/// inspection's places from uploads.
const ANONYMOUS_CHECKS_MAX: usize = 2;

/// The state of the web layer; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    installation: Arc<Installation>,
    settings: WebSettings,
    cache: Arc<SiteCache>,
    metrics: Metrics,
    descriptions: Descriptions,
    indexes: RwLock<BTreeMap<String, IndexRow>>,
    anonymous_checks: tokio::sync::Semaphore,
    signing: tokio::sync::Mutex<Option<(Instant, SigningState)>>,
}

/// Every signed role; and what needs a person.
pub(crate) type SigningState = (Vec<RoleState>, Vec<String>);

/// One signed role of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleState {
    pub(crate) index: String,
    pub(crate) role: String,
    /// When it expires, in seconds since the Unix epoch.
    pub(crate) expires: i64,
    /// How urgent it is, from 0 to 5.
    pub(crate) alarm: u8,
}

/// How old the answer may be that machines are given about signing: it is asked for often and changes by the hour.
const SIGNING_AGE_MAX: Duration = Duration::from_secs(10);

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl App {
    /// Builds the web layer over an installation and hangs its cache on the publisher's head.
    pub fn new(installation: Arc<Installation>, settings: WebSettings) -> Self {
        let cache = Arc::new(SiteCache::new(Arc::clone(&installation.blobs), settings.cache_bytes_max));
        let told = Arc::clone(&cache);
        installation
            .on_head(move |publication| told.forget(&publication.index, publication.serial, &publication.paths));
        let (metrics, descriptions) = (Metrics::new(), Descriptions::new());
        Self(Arc::new(Inner {
            installation,
            settings,
            cache,
            metrics,
            descriptions,
            indexes: RwLock::default(),
            anonymous_checks: tokio::sync::Semaphore::new(ANONYMOUS_CHECKS_MAX),
            signing: tokio::sync::Mutex::default(),
        }))
    }

    /// The domain.
    pub fn installation(&self) -> &Arc<Installation> {
        &self.0.installation
    }

    /// Settings of the web layer.
    pub fn settings(&self) -> &WebSettings {
        &self.0.settings
    }

    pub(crate) fn cache(&self) -> &Arc<SiteCache> {
        &self.0.cache
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn descriptions(&self) -> &Descriptions {
        &self.0.descriptions
    }

    /// A place for a dry run without a token.
    pub(crate) fn anonymous_check(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
        self.0.anonymous_checks.try_acquire().map_err(|_| {
            index::Error::Unavailable("Too many dry runs without a token at once; try again, or use a token.".into())
                .into()
        })
    }

    /// The index of a request. Known ones come from memory: their name and profile never change.
    pub(crate) async fn index(&self, name: &IndexName) -> Result<IndexRow, Failure> {
        let known = self.0.indexes.read().unwrap_or_else(PoisonError::into_inner).get(name.as_str()).cloned();
        if let Some(row) = known {
            return Ok(row);
        }
        let rows = index::ops::indexes::list(&self.0.installation).await?;
        let mut indexes = self.0.indexes.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            indexes.insert(row.name().as_str().to_owned(), row);
        }
        indexes.get(name.as_str()).cloned().ok_or_else(|| Failure::not_found("There is no such index."))
    }

    /// When roles expire, and what needs a person. Nothing when the ledger does not answer: whoever asks whether the
    /// server is ready wants to know about reads.
    pub(crate) async fn signing(&self) -> SigningState {
        let mut known = self.0.signing.lock().await;
        if let Some((at, state)) = &*known
            && at.elapsed() < SIGNING_AGE_MAX
        {
            return state.clone();
        }
        let installation = self.installation();
        let (Ok(all), Ok(warnings)) =
            (ceremony::status(installation, None).await, ceremony::warnings(installation).await)
        else {
            return SigningState::default();
        };
        let now_us = installation.clock.now_us();
        let roles = all.into_iter().flat_map(|status| {
            let index = status.index.to_string();
            status.roles.into_iter().map(move |role| {
                let alarm = role.alarm(now_us);
                RoleState { index: index.clone(), role: role.role, expires: role.expires.seconds(), alarm }
            })
        });
        let state = (roles.collect(), warnings);
        *known = Some((Instant::now(), state.clone()));
        state
    }

    /// Reads the heads that other nodes wrote, so that this node's cache is at most a second old. Runs for ever.
    pub async fn follow_heads(self) {
        loop {
            let rows = index::ops::indexes::list(self.installation()).await.unwrap_or_default();
            let cache = Arc::clone(self.cache());
            let work = move || rows.iter().for_each(|row| cache.follow(&row.name()));
            let _ = tokio::task::spawn_blocking(work).await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    }
}

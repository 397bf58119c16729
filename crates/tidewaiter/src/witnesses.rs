//! Getting this server's logs cosigned by witnesses (C2SP tlog-witness): after each publication, and while nothing happens
//! often enough that a signature is never old. Publication never waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::post::Part;
use client::{Fetcher, Patience};
use index::Installation;
use index::model::IndexName;
use index::ops::indexes;
use index::ops::log::witness::{self, ANSWER_BYTES_MAX, Shown, Watched};
use tlog::VerifierKey;
use tlog::note::KeyKind;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::config::Values;

/// Witnesses and watched logs; of more, a checkpoint could not hold the signatures.
const KEYS_MAX: usize = 32;
/// How old a signature may become before the same tree is shown again.
const AGAIN: Duration = Duration::from_secs(600);
/// Pause between two rounds: many publications in a row are one.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a witness that failed is left alone at first; twice as long after each further failure, up to [`AGAIN`].
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How often a witness is asked in one round: it says what it saw last, and may have been shown more by then.
const TRIES_MAX: usize = 3;
/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Somebody who is asked to cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    key: VerifierKey,
    url: Url,
}

/// What the operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witnesses(Vec<Asked>);

impl Witnesses {
    /// `KEY URL, KEY URL`.
    pub(crate) fn from_values(values: &Values) -> Result<Self> {
        let asked = entries(values, "witness.ask")?.into_iter().map(|text| {
            let (key, url) =
                text.split_once(' ').context("write the witness's key, a space, and where its tlog/ is")?;
            let key = VerifierKey::parse(key)?;
            if key.kind() != KeyKind::Cosigner {
                bail!("this is the key of a log: a witness has another (`tidewaiter log keys` prints both)");
            }
            let url = Url::parse(&format!("{}/add-checkpoint", url.trim().trim_end_matches('/')))?;
            Ok(Asked { key, url })
        });
        Ok(Self(asked.collect::<Result<_>>().context("'witness.ask'")?))
    }
}

/// The logs to be cosigned, by their keys.
pub(crate) fn watched(values: &Values) -> Result<Arc<[Watched]>> {
    let keys: Result<Vec<_>, _> =
        entries(values, "witness.logs")?.iter().map(|text| VerifierKey::parse(text)).collect();
    let watched = witness::watched(&keys.context("'witness.logs'")?);
    Ok(watched.map_err(|why| anyhow::anyhow!("'witness.logs': {why}"))?.into())
}

fn entries(values: &Values, key: &str) -> Result<Vec<String>> {
    let text = values.optional(key).unwrap_or_default();
    let all: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    if all.len() > KEYS_MAX {
        bail!("'{key}' names {} keys; {KEYS_MAX} are the most", all.len());
    }
    Ok(all)
}

/// What is known of one witness of one log.
#[derive(Debug, Clone)]
struct Known {
    /// Entries of the tree that it saw last.
    size: u64,
    /// When it may be asked again after a failure, and how long it is left alone after the next one.
    after: Instant,
    pause: Duration,
    /// What was said of it last, so that it is said once.
    complaint: String,
}

/// What is known of one log of ours.
#[derive(Debug)]
struct Log {
    witnesses: Vec<Known>,
    /// Entries of the tree that was shown last.
    size: Option<u64>,
    /// When it is shown again though nothing happened.
    next: Instant,
    /// Signatures of what is served, and since when.
    kept: Option<(usize, Instant)>,
}

/// Asks for as long as the server runs.
pub(crate) fn start(installation: &Arc<Installation>, witnesses: Witnesses) -> Result<()> {
    if witnesses.0.is_empty() {
        return Ok(());
    }
    let fetcher = Fetcher::new(None, Patience { idle_ms_max: PATIENCE.as_millis() as u64, ..Patience::default() })?;
    let wake = Arc::new(Notify::new());
    let woken = Arc::clone(&wake);
    installation.on_head(move |_| woken.notify_one());
    tokio::spawn(work(
        Asking { installation: Arc::clone(installation), fetcher: Arc::new(fetcher), asked: witnesses.0.into() },
        wake,
    ));
    Ok(())
}

/// Who asks whom.
#[derive(Clone)]
struct Asking {
    installation: Arc<Installation>,
    fetcher: Arc<Fetcher>,
    asked: Arc<[Asked]>,
}

async fn work(asking: Asking, wake: Arc<Notify>) {
    let mut logs: BTreeMap<IndexName, Log> = BTreeMap::new();
    loop {
        for row in indexes::list(&asking.installation).await.unwrap_or_default() {
            let (index, now) = (row.name(), Instant::now());
            let log = logs.entry(index.clone()).or_insert_with(|| {
                let known = Known { size: 0, after: now, pause: AFTER_FAILURE, complaint: String::new() };
                Log { witnesses: vec![known; asking.asked.len()], size: None, next: now, kept: None }
            });
            if let Err(error) = asking.round(&index, log).await {
                tracing::warn!(%index, %error, "the log could not be shown to its witnesses");
                log.next = Instant::now() + AFTER_FAILURE;
            }
        }
        let due = logs.values().map(|log| log.next).min().unwrap_or_else(|| Instant::now() + AFTER_FAILURE);
        tokio::select! {
            () = wake.notified() => tokio::time::sleep(PAUSE).await,
            () = tokio::time::sleep_until(due.max(Instant::now() + PAUSE)) => {}
        }
    }
}

impl Asking {
    /// Shows the checkpoint in force to every witness, if it is another than last time or that was long ago.
    async fn round(&self, index: &IndexName, log: &mut Log) -> Result<()> {
        let now = Instant::now();
        let Some(mut shown) = witness::shown(&self.installation, index).await? else {
            log.next = now + AFTER_FAILURE;
            return Ok(());
        };
        if log.size == Some(shown.size()) && now < log.next {
            return Ok(());
        }
        let mut answers = JoinSet::new();
        for (at, known) in log.witnesses.iter().enumerate().filter(|(_, known)| known.after <= now) {
            let (asking, index, shown, old) = (self.clone(), index.clone(), shown.clone(), known.size);
            answers.spawn(async move {
                let answer = tokio::time::timeout(PATIENCE, asking.ask(&index, &shown, at, old)).await;
                (at, answer.unwrap_or_else(|_| Err(anyhow!("it took too long"))))
            });
        }
        let mut signatures = 0;
        while let Some(done) = answers.join_next().await {
            let (at, answer) = done?;
            let (Some(asked), Some(known)) = (self.asked.get(at), log.witnesses.get_mut(at)) else { continue };
            let taken = answer.and_then(|answer| match shown.take(&answer, &asked.key) {
                true => Ok(()),
                false => Err(anyhow!("its answer holds no signature of its key over this checkpoint")),
            });
            match taken {
                Ok(()) => {
                    signatures += 1;
                    witness::said(&self.installation, index, asked.key.name().as_str(), None);
                    *known = Known { size: shown.size(), after: now, pause: AFTER_FAILURE, complaint: String::new() };
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    witness::said(&self.installation, index, asked.key.name().as_str(), Some(&why));
                    known.failed(index, asked, &why);
                }
            }
        }
        // What has more signatures is replaced by what has fewer only once it is old: clients ask for a number of them.
        if signatures > 0 && log.kept.is_none_or(|(count, since)| signatures >= count || now >= since + AGAIN) {
            witness::keep(&self.installation, index, &shown).await?;
            log.kept = Some((signatures, now));
        }
        log.size = Some(shown.size());
        let failed = log.witnesses.iter().map(|known| known.after).filter(|after| *after > now).min();
        log.next = failed.map_or(now + AGAIN, |failed| failed.min(now + AGAIN));
        Ok(())
    }

    /// A witness's answer. It says by itself what it saw last.
    async fn ask(&self, index: &IndexName, shown: &Shown, at: usize, mut old: u64) -> Result<Vec<u8>> {
        let asked = self.asked.get(at).context("no such witness")?;
        for _ in 0..TRIES_MAX {
            let request = witness::request(&self.installation, index, shown, old).await?;
            let parts = vec![Part::Bytes(request.into_bytes())];
            let (status, answer) =
                self.fetcher.post_any(&asked.url, "text/plain; charset=utf-8", parts, ANSWER_BYTES_MAX).await?;
            let text = String::from_utf8_lossy(&answer);
            match (status, text.trim_end().parse::<u64>()) {
                (200, _) => return Ok(answer),
                (409, Ok(seen)) if seen > shown.size() => bail!(
                    "it has seen {seen} entries of this log, which has {}: the ledger came back from an older backup, or \
                     somebody else holds the log's key (docs/keys.md)",
                    shown.size()
                ),
                (409, Ok(seen)) if seen == old => {
                    bail!("it has seen another tree of {seen} entries: this log shows two pasts (docs/keys.md)")
                }
                (409, Ok(seen)) => old = seen,
                (status, _) => {
                    // It is shown to the operator as part of a line.
                    let said: String = text.trim_end().chars().take(200).collect();
                    bail!("it answers {status}: {}", crate::say::one_line(&said));
                }
            }
        }
        bail!("it says each time that it saw another tree last")
    }
}

impl Known {
    fn failed(&mut self, index: &IndexName, asked: &Asked, why: &str) {
        if self.complaint != why {
            tracing::error!(%index, witness = %asked.key.name(), why, "the log was not cosigned; it is shown again later");
            why.clone_into(&mut self.complaint);
        }
        self.after = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(AGAIN);
        // It says anew what it has.
        self.size = 0;
    }
}

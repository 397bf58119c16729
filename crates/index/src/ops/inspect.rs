//! The inspection job: sandboxed child → findings → policy → verdict, then one transaction with the verdict, the
//! file's next state and the publish job.

use std::sync::Arc;

use serde_json::json;

use ::inspect::{Confidence, Failure, Finding, Request, Response, Severity, Subject, checks};

use crate::blobs::layout;
use crate::failpoint;
use crate::model::lifecycle::step;
use crate::model::{FileInput, FileState, Verdict};
use crate::policy::verdict::conclude;
use crate::store::files::FileRow;
use crate::store::jobs::{JobKind, JobRow};
use crate::store::{audit, files, indexes, jobs, projects};
use crate::{Error, Installation, Result};

/// How many jobs are taken at once; their verdicts share one transaction.
const BATCH: i64 = 16;
/// After this many attempts a file whose inspection gives no answer is held.
const ATTEMPTS_MAX: i64 = 3;
/// How long jobs are this worker's, in microseconds; longer than all passes of a batch one after another.
const LEASE_US: i64 = 20 * 60 * 1_000_000;
/// Pause before another attempt, in microseconds.
const RETRY_US: i64 = 2_000_000;

struct Judged {
    job: JobRow,
    file: FileRow,
    outcome: Outcome,
}

enum Outcome {
    Verdict(Verdict, Vec<Finding>),
    /// To be repeated; whether this attempt says anything against the file.
    Again(String, Counts),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Yes,
    No,
}

/// Inspects what is waiting; returns how many jobs were taken.
pub(super) async fn run_once(installation: &Arc<Installation>) -> Result<usize> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let taken = jobs::claim(&mut tx, JobKind::Inspect, now, now + LEASE_US, BATCH).await?;
    if taken.is_empty() {
        return Ok(0);
    }
    tx.commit().await?;
    failpoint::reach("inspect.claimed");
    let (count, ids) = (taken.len(), taken.iter().map(|job| job.id).collect::<Vec<_>>());
    let outcome = inspect_all(installation, taken).await;
    if outcome.is_err() {
        // What was taken is given back, or it would wait for the end of its lease.
        let mut tx = installation.store.write().await?;
        for id in ids {
            jobs::retry(&mut tx, id, now + RETRY_US, "the inspection broke off", false);
        }
        tx.commit().await?;
    }
    outcome?;
    failpoint::reach("inspect.judged");
    Ok(count)
}

async fn inspect_all(installation: &Arc<Installation>, taken: Vec<JobRow>) -> Result<()> {
    let passes = taken.into_iter().map(|job| judge(Arc::clone(installation), job));
    let mut judged = Vec::new();
    for outcome in futures_join(passes).await {
        judged.extend(outcome?);
    }
    conclude_all(installation, judged).await
}

async fn futures_join<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set = tokio::task::JoinSet::new();
    for future in work {
        set.spawn(future);
    }
    set.join_all().await
}

async fn judge(installation: Arc<Installation>, job: JobRow) -> Result<Option<Judged>> {
    let file_id = job.file_id.ok_or_else(|| Error::Internal("an inspection job names a file".into()))?;
    let (file, index) = {
        let mut tx = installation.store.read().await?;
        (files::by_id(&mut tx, file_id).await?, indexes::by_id(&mut tx, job.index_id).await?)
    };
    if file.state() != FileState::Staged {
        // Decided before the inspection came to it: a person was faster.
        let mut tx = installation.store.write().await?;
        jobs::done(&mut tx, job.id);
        tx.commit().await?;
        return Ok(None);
    }
    let path = installation.blobs.path(&layout::vault_file(&index.name(), &file.sha256(), &file.filename));
    let request = Request::Checks {
        subject: Subject::Distribution(file.filename.clone()),
        limits: installation.settings.archive.clone(),
        previous: None,
        sibling: None,
    };
    let outcome = match installation.pass(&path, request).await {
        Ok(Ok(Response::Checks(inspection))) => Outcome::Verdict(conclude(&inspection.findings), inspection.findings),
        Ok(Ok(_)) => Outcome::Again("the sandbox answered another question".into(), Counts::No),
        // The sandbox is down: that says nothing about the file, so it waits, however long.
        Ok(Err(Failure::Unavailable(why))) => Outcome::Again(why, Counts::No),
        Ok(Err(failure)) if job.attempts >= ATTEMPTS_MAX => {
            let finding = Finding {
                check: "inspection".into(),
                version: 1,
                severity: Severity::High,
                confidence: Confidence::High,
                location: None,
                excerpt: String::new(),
                decoded: None,
                why: failure.to_string(),
                tags: vec!["evasion/breaks-inspection".into()],
            };
            Outcome::Verdict(Verdict::Hold, vec![finding])
        }
        Ok(Err(failure)) => Outcome::Again(failure.to_string(), Counts::Yes),
        // Its bytes cannot be opened: after some tries the job is laid aside, where doctor and metrics show it.
        Err(error) => Outcome::Again(error.to_string(), Counts::Yes),
    };
    Ok(Some(Judged { job, file, outcome }))
}

async fn conclude_all(installation: &Installation, judged: Vec<Judged>) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let mut publish = false;
    for Judged { job, file, outcome } in judged {
        let (verdict, findings) = match outcome {
            Outcome::Verdict(verdict, findings) => (verdict, findings),
            Outcome::Again(why, counts) => {
                let dead = counts == Counts::Yes && job.attempts > ATTEMPTS_MAX;
                tracing::warn!(file = %file.filename, why, dead, "inspection gave no answer");
                jobs::retry(&mut tx, job.id, now + RETRY_US, &why, dead);
                if counts == Counts::No {
                    jobs::forget_attempt(&mut tx, job.id);
                }
                continue;
            }
        };
        jobs::done(&mut tx, job.id);
        // Read again inside the write: a person may have decided meanwhile, and a person's decision wins.
        let state = files::by_id(&mut tx, file.id).await?.state();
        let Ok(next) = step(state, FileInput::Judged(verdict)) else { continue };
        files::set_state(&mut tx, file.id, next);
        let evidence = serde_json::to_string(&findings).map_err(|e| Error::Internal(e.to_string()))?;
        files::insert_verdict(&mut tx, job.index_id, &file, verdict, &checks::versions(), &evidence, now).await?;
        let detail = json!({ "verdict": verdict.as_str() });
        audit::note(&mut tx, Some(job.index_id), now, "inspection", "file.judge", &file.filename, detail);
        if next == FileState::Visible {
            projects::touch(&mut tx, job.project_id);
            jobs::enqueue(&mut tx, JobKind::Publish, job.index_id, job.project_id, None, now);
            publish = true;
        }
    }
    tx.commit().await?;
    if publish {
        installation.wake_publishers();
    }
    Ok(())
}

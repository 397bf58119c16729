//! The inspection job: sandboxed child → findings → policy → verdict, then one transaction with the verdict, its
//! findings, the file's next state, notices, and the publish job.

use std::sync::Arc;
use std::time::Duration;

use ::inspect::{Cause, Failure, Finding, Inspection, Occasion, Profile};
use packaging::NormalizedName;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::catalogue;
use super::look::{self, Look, States};
use crate::failpoint;
use crate::model::lifecycle::step;
use crate::model::{FileInput, FileState, Verdict};
use crate::policy::verdict::{Conclusion, Floor, conclude};
use crate::store::files::FileRow;
use crate::store::jobs::{JobKind, JobRow, OverdueRow};
use crate::store::verdicts::{Met, NewVerdict};
use crate::store::{Tx, audit, files, indexes, jobs, notices, projects, verdicts};
use crate::{Backlog, Error, Installation, News, Result};

/// Files that are looked at or wait for a place of the sandbox, in this process.
const RUNNING_MAX: usize = 64;
/// How long jobs and verdicts are gathered for one commit while nobody waits for an answer (ADR 0020).
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// After this many attempts a file whose inspection gives no answer is held.
const ATTEMPTS_MAX: i64 = 3;
/// How long jobs are this worker's, in microseconds; longer than all passes that run one after another.
const LEASE_US: i64 = 20 * 60 * 1_000_000;
/// Pause before another attempt, in microseconds.
const RETRY_US: i64 = 2_000_000;
/// Most overdue files that one transaction holds.
const OVERDUE_MAX: i64 = 100;

/// A verdict that only says that there was no time for an inspection; the inspection still comes.
pub(super) const BUDGET: &str = "budget";
pub(super) const BACKLOG: &str = "backlog";
/// The verdict of a usual inspection, and of one that came after a person's decision.
const UPLOAD: &str = "upload";
const LATE: &str = "late";

struct Judged {
    job: JobRow,
    outcome: Outcome,
}

enum Outcome {
    Looked {
        inspection: Inspection,
        floor: Option<Conclusion>,
        occasion: Occasion,
        cost_ms: i64,
    },
    /// Nothing is left to look at.
    Moot,
    /// To be repeated; whether this attempt says anything against the file.
    Again(String, Counts),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Yes,
    No,
}

/// The inspections of this process. Verdicts that are ready together share one transaction, and a slow file holds up
/// nobody else's. While nobody waits, verdicts wait for one another a little: every commit is a sync, and uploads want
/// the same disk and the same turn at writing.
pub(super) struct Inspector {
    installation: Arc<Installation>,
    running: JoinSet<Judged>,
    /// Looks that have ended, and since when the first of them waits.
    ended: Vec<Judged>,
    since: Instant,
    /// Whether jobs may have been left for want of room.
    left_some: bool,
    /// Jobs whose verdict could not be written: to be given back as soon as the ledger can be written again.
    unwritten: Vec<i64>,
}

impl Inspector {
    pub(super) fn new(installation: Arc<Installation>) -> Self {
        let (running, ended, unwritten) = (JoinSet::new(), Vec::new(), Vec::new());
        Self { installation, running, ended, since: Instant::now(), left_some: false, unwritten }
    }

    /// Whether jobs may wait for nothing but room. Others that came meanwhile were told of, and are gathered: taken as they
    /// come, one by one, each would have a commit of its own.
    pub(super) fn left_some(&self) -> bool {
        self.left_some
    }

    /// Takes as many jobs as there is room for; how many there were.
    pub(super) async fn fill(&mut self) -> Result<usize> {
        self.give_back().await?;
        let room = RUNNING_MAX.saturating_sub(self.running.len() + self.ended.len());
        self.left_some = room == 0;
        if room == 0 {
            return Ok(0);
        }
        let installation = &self.installation;
        let now = installation.clock.now_us();
        if !jobs::is_claimable(&mut installation.store.read().await?, JobKind::Inspect, now).await? {
            return Ok(0);
        }
        let store = installation.store.clone();
        let claiming = async move {
            let mut tx = store.write().await?;
            let taken = jobs::claim(&mut tx, JobKind::Inspect, now, now + LEASE_US, room as i64).await?;
            tx.commit().await.map(|()| taken)
        };
        let taken = installation.store.in_front(claiming).await?;
        if taken.is_empty() {
            return Ok(0);
        }
        failpoint::reach("inspect.claimed");
        let count = taken.len();
        self.left_some = count == room;
        for job in taken {
            let installation = Arc::clone(installation);
            self.running.spawn(async move {
                let outcome = match judge(&installation, &job).await {
                    Ok(outcome) => outcome,
                    // Its bytes cannot be opened, or the ledger cannot be read: after some tries the job is laid
                    // aside, where doctor and metrics show it.
                    Err(error) => Outcome::Again(error.to_string(), Counts::Yes),
                };
                Judged { job, outcome }
            });
        }
        Ok(count)
    }

    /// Waits for looks to end. `None`: none is on its way. May be cancelled: what has ended is kept.
    pub(super) async fn next(&mut self) -> Option<Ready> {
        loop {
            let ended = if self.ended.is_empty() {
                self.running.join_next().await
            } else {
                let until = self.since + GATHER;
                let patience = if self.installation.somebody_waits() { Instant::now() } else { until };
                tokio::time::timeout_at(patience, self.running.join_next()).await.ok().flatten()
            };
            let Some(ended) = ended else { break };
            if self.ended.is_empty() {
                self.since = Instant::now();
            }
            // A look that panicked keeps its lease; its end, or the next start, gives the job back.
            self.ended.extend(ended.ok());
        }
        let ended = std::mem::take(&mut self.ended);
        (!ended.is_empty()).then_some(Ready(ended))
    }

    /// Writes verdicts down. What cannot be written is given back.
    pub(super) async fn conclude(&mut self, Ready(judged): Ready) -> Result<()> {
        let ids: Vec<i64> = judged.iter().map(|judged| judged.job.id).collect();
        let concluding = conclude_all(Arc::clone(&self.installation), judged);
        let outcome = self.installation.store.in_front(concluding).await;
        if outcome.is_err() {
            self.unwritten.extend(ids);
            self.give_back().await?;
        }
        outcome
    }

    /// Gives back what could not be written. While that cannot be written either, it is tried again before jobs are taken:
    /// until the leases end nobody else would look at these files.
    async fn give_back(&mut self) -> Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let now = self.installation.clock.now_us();
        let mut tx = self.installation.store.batch();
        for id in &self.unwritten {
            jobs::retry(&mut tx, *id, now + RETRY_US, "the verdict could not be written", false);
        }
        self.installation.store.in_front(tx.commit()).await?;
        self.unwritten.clear();
        Ok(())
    }
}

/// Looks that ended.
pub(super) struct Ready(Vec<Judged>);

/// Inspects what is waiting, to its end; returns how many jobs were taken.
#[cfg(test)]
pub(super) async fn run_once(installation: &Arc<Installation>) -> Result<usize> {
    let mut inspector = Inspector::new(Arc::clone(installation));
    let count = inspector.fill().await?;
    while let Some(ready) = inspector.next().await {
        inspector.conclude(ready).await?;
    }
    Ok(count)
}

async fn judge(installation: &Arc<Installation>, job: &JobRow) -> Result<Outcome> {
    let file_id = job.file_id.ok_or_else(|| Error::Internal("an inspection job names a file".into()))?;
    let (file, index) = {
        let mut tx = installation.store.read().await?;
        (files::by_id(&mut tx, file_id).await?, indexes::by_id(&mut tx, job.index_id).await?)
    };
    if matches!(file.state(), FileState::Removed | FileState::Refused) {
        return Ok(Outcome::Moot);
    }
    let Look { answer, occasion, cost_ms } = look::look(installation, &index.name(), &file, Cause::Upload).await?;
    failpoint::reach("inspect.judged");
    Ok(match answer {
        Ok(inspection) => Outcome::Looked { inspection, floor: None, occasion, cost_ms },
        // The sandbox is down: that says nothing about the file, so it waits, at most for the budget.
        Err(Failure::Unavailable(why)) => Outcome::Again(why, Counts::No),
        // Processor time is the same on a busy machine: another attempt would spend it once more, before other files' turns.
        Err(failure) if job.attempts >= ATTEMPTS_MAX || matches!(failure, Failure::Spent(_)) => {
            let floor = Some(Conclusion::failed(&failure));
            let inspection = Inspection { findings: vec![::inspect::of_failure(&failure)], ..Inspection::default() };
            Outcome::Looked { inspection, floor, occasion, cost_ms }
        }
        Err(failure) => Outcome::Again(failure.to_string(), Counts::Yes),
    })
}

async fn conclude_all(of: Arc<Installation>, judged: Vec<Judged>) -> Result<()> {
    let installation = &*of;
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let states = States::load(installation, &mut tx).await?;
    let looked = judged.iter().filter(|judged| matches!(judged.outcome, Outcome::Looked { .. }));
    let mut met = verdicts::met(&mut tx, &looked.filter_map(|judged| judged.job.file_id).collect::<Vec<_>>()).await?;
    let (mut publish, mut unseen) = (false, Vec::new());
    for Judged { job, outcome } in judged {
        // Where a set has two looks at one file, the first stands: the second would not see what it left.
        let before = job.file_id.and_then(|id| met.remove(&id));
        match outcome {
            Outcome::Moot => jobs::done(&mut tx, job.id),
            Outcome::Again(why, counts) => {
                let dead = counts == Counts::Yes && job.attempts > ATTEMPTS_MAX;
                tracing::warn!(job = job.id, why, dead, "inspection gave no answer");
                jobs::retry(&mut tx, job.id, now + RETRY_US, &why, dead);
                if counts == Counts::No {
                    jobs::forget_attempt(&mut tx, job.id);
                }
            }
            Outcome::Looked { inspection, floor, occasion, cost_ms } => {
                jobs::done(&mut tx, job.id);
                let Inspection { findings, profile, degraded, costs: _ } = inspection;
                let (active, shadow) = states.split(findings);
                let concluded = conclude(&installation.settings.policy, &active);
                let conclusion = match floor {
                    Some(floor) => concluded.at_least(floor),
                    None => concluded,
                };
                let checks = catalogue::versions(installation, Some(&occasion));
                let evidence = Evidence { conclusion, active, shadow, profile, degraded, checks, cost_ms };
                let Some(before) = before else { continue };
                if settle(installation, &mut tx, (job.index_id, &before), &evidence, now)? {
                    publish = true;
                } else {
                    unseen.extend(job.file_id);
                }
            }
        }
    }
    tx.commit().await?;
    failpoint::reach("inspect.concluded");
    if publish {
        installation.wake_publishers();
    }
    if !unseen.is_empty() {
        // Nobody waiting is no error.
        let _ = installation.news.send(News::Judged(unseen.into()));
    }
    Ok(())
}

/// What an inspection leaves in the ledger.
pub(super) struct Evidence {
    pub(super) conclusion: Conclusion,
    pub(super) active: Vec<Finding>,
    pub(super) shadow: Vec<Finding>,
    pub(super) profile: Profile,
    pub(super) degraded: Vec<String>,
    /// `id@version` of all that was looked for.
    pub(super) checks: String,
    pub(super) cost_ms: i64,
}

impl Evidence {
    /// For a verdict without a look.
    fn none(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            active: Vec::new(),
            shadow: Vec::new(),
            profile: Profile::default(),
            degraded: Vec::new(),
            checks: String::new(),
            cost_ms: 0,
        }
    }
}

/// Keeps a verdict with its findings and the profile.
pub(super) fn keep(
    installation: &Installation,
    tx: &mut Tx,
    (index_id, project, file): (i64, &NormalizedName, &FileRow),
    evidence: &Evidence,
    (cause, is_open): (&str, bool),
    now: i64,
) -> Result<()> {
    let json = |error: serde_json::Error| Error::Internal(error.to_string());
    let new = NewVerdict {
        index_id,
        project,
        file,
        verdict: evidence.conclusion.verdict,
        cause,
        policy: installation.settings.policy.version(),
        reasons: serde_json::to_string(&evidence.conclusion.reasons).map_err(json)?,
        degraded: serde_json::to_string(&evidence.degraded).map_err(json)?,
        checks: &evidence.checks,
        cost_ms: evidence.cost_ms,
        is_open,
        now_us: now,
    };
    verdicts::insert(tx, new);
    for (shadow, findings) in [(false, &evidence.active), (true, &evidence.shadow)] {
        for finding in findings {
            verdicts::insert_finding(tx, index_id, file.id, finding, shadow)?;
        }
    }
    if evidence.profile.version != 0 {
        let body = serde_json::to_string(&evidence.profile).map_err(json)?;
        verdicts::set_profile(tx, index_id, file.id, &body, now);
    }
    let detail = json!({ "verdict": evidence.conclusion.verdict.as_str(), "cause": cause });
    audit::note(tx, Some(index_id), now, "inspection", "file.judge", &file.filename, detail);
    Ok(())
}

/// The consequences of an inspection; whether there is something to publish.
///
/// `before` was read inside the write: a person may have decided meanwhile, and a person's decision wins.
fn settle(
    installation: &Installation,
    tx: &mut Tx,
    (index_id, before): (i64, &Met),
    evidence: &Evidence,
    now: i64,
) -> Result<bool> {
    let file = &before.file;
    let verdict = evidence.conclusion.verdict;
    let about = (index_id, &before.project(), file);
    let provisional = before.cause.as_deref().is_none_or(|cause| matches!(cause, BUDGET | BACKLOG));
    if !provisional {
        // Inspected twice: its lease ended, or another node had it too. The first verdict stands.
        return Ok(false);
    }
    let input = match file.state() {
        _ if before.is_decided => None,
        FileState::Staged => Some(FileInput::Judged(verdict)),
        FileState::Visible | FileState::Held => Some(FileInput::JudgedLate(verdict)),
        FileState::Refused | FileState::Removed => None,
    };
    let Some(next) = input.and_then(|input| step(file.state(), input).ok()) else {
        // Kept all the same: what a person decided without evidence is asked again once there is some.
        let is_open = verdict != Verdict::Clear && file.state() == FileState::Visible;
        keep(installation, tx, about, evidence, (LATE, is_open), now)?;
        return Ok(false);
    };
    verdicts::close(tx, file.id);
    keep(installation, tx, about, evidence, (UPLOAD, verdict != Verdict::Clear), now)?;
    Ok(advance(tx, about, next, &evidence.conclusion, now))
}

/// Wants the next state, and tells the owners where it is not what they wait for.
fn advance(
    tx: &mut Tx,
    (index_id, project, file): (i64, &NormalizedName, &FileRow),
    next: FileState,
    conclusion: &Conclusion,
    now: i64,
) -> bool {
    let state = file.state();
    // Only the budget held it: nobody has to do anything.
    let late = conclusion.reasons.first().is_some_and(|reason| reason.is(Floor::Late));
    files::set_state(tx, file.id, next);
    let why = || conclusion.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default();
    let told = match (state, next) {
        (_, FileState::Held) if state != FileState::Held && late => Some((
            "file.held",
            format!("'{}' is not published yet. {} Its inspection goes on and may publish it.", file.filename, why()),
        )),
        (_, FileState::Held) if state != FileState::Held => {
            Some(("file.held", format!("'{}' is held until a person has looked at it. {}", file.filename, why())))
        }
        (FileState::Held, FileState::Visible) => {
            Some(("file.cleared", format!("'{}' was inspected and is published now.", file.filename)))
        }
        _ => None,
    };
    if let Some((kind, body)) = told {
        let subject = files::subject(project, &file.filename);
        notices::tell(tx, index_id, file.project_id, kind, &subject, &body, now);
    }
    let changed = (state == FileState::Visible) != (next == FileState::Visible);
    if changed {
        // What becomes visible is its uploader's act; what goes is a rule's.
        let by = file.uploaded_by.filter(|_| next == FileState::Visible);
        projects::touch(tx, file.project_id, by);
        jobs::enqueue(tx, JobKind::Publish, index_id, file.project_id, None, now);
    }
    changed
}

/// What could not be inspected within the budget: held, and said so; the inspection still comes and may release it. Of
/// a file that nobody has tried yet the operator may have chosen to publish it meanwhile; never of one whose
/// inspection crashed, ran out of time or broke a limit.
pub(super) async fn overdue(installation: &Installation) -> Result<usize> {
    let budget_ms = installation.settings.inspection_budget_ms;
    if budget_ms == 0 {
        return Ok(0);
    }
    let now = installation.clock.now_us();
    let before = now - i64::try_from(budget_ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
    {
        let mut tx = installation.store.read().await?;
        if jobs::overdue(&mut tx, before, 1).await?.is_empty() {
            return Ok(0);
        }
    }
    let mut tx = installation.store.write().await?;
    let rows = jobs::overdue(&mut tx, before, OVERDUE_MAX).await?;
    let count = rows.len();
    let mut met = verdicts::met(&mut tx, &rows.iter().filter_map(|row| row.job.file_id).collect::<Vec<_>>()).await?;
    let mut publish = false;
    for OverdueRow { job, untouched } in rows {
        let Some(before) = job.file_id.and_then(|id| met.remove(&id)) else { continue };
        let about = (job.index_id, &before.project(), &before.file);
        let seconds = budget_ms / 1_000;
        let (cause, verdict, text) = if untouched && installation.settings.backlog == Backlog::Publish {
            let text = format!("It waited {seconds} s for its inspection and is published meanwhile, as set.");
            (BACKLOG, Verdict::Review, text)
        } else {
            (BUDGET, Verdict::Hold, format!("It could not be inspected within {seconds} s."))
        };
        let evidence = Evidence::none(Conclusion::because(Floor::Late, verdict, text));
        let Ok(next) = step(before.file.state(), FileInput::Judged(verdict)) else { continue };
        keep(installation, &mut tx, about, &evidence, (cause, true), now)?;
        publish |= advance(&mut tx, about, next, &evidence.conclusion, now);
    }
    tx.commit().await?;
    if publish {
        installation.wake_publishers();
    }
    Ok(count)
}

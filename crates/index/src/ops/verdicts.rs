//! Verdicts and what people make of them: the queue, a decision, a trial of another policy, a second inspection.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::inspect::{Cause, Finding};
use packaging::simple::time_text;
use serde::Serialize;
use serde_json::json;

use super::catalogue;
use super::inspect::{BACKLOG, BUDGET, Evidence, keep};
use super::look::{self, Look, States};
use super::{accounts, projects as verbs};
use crate::model::lifecycle::step;
use crate::model::{Actor, Decision, FileInput, FileState, IndexName, Verdict};
use crate::policy::authz::SiteAct;
use crate::policy::verdict::{Floor, Policy, Reason, conclude};
use crate::store::files::FileRow;
use crate::store::indexes::IndexRow;
use crate::store::jobs::{JobKind, JobRow};
use crate::store::verdicts::{DecisionRow, NewDecision, VerdictRow};
use crate::store::walks::WalkRow;
use crate::store::{Tx, audit, files, indexes, jobs, notices, projects, verdicts, walks};
use crate::{Error, Installation, Result};

/// Most verdicts of one answer.
pub const LISTED_MAX: i64 = 1_000;
/// Verdicts that a replay reads at once.
const PAGE: i64 = 500;
/// How long a project whose status changed is one worker's, in microseconds. Longer ones are begun anew by another;
/// what was found already is no news then.
const STATUS_LEASE_US: i64 = 60 * 60 * 1_000_000;
/// After this many attempts such a job is laid aside, where doctor and metrics show it.
const STATUS_ATTEMPTS_MAX: i64 = 5;
/// Pause before another attempt, in microseconds.
const STATUS_RETRY_US: i64 = 5_000_000;
/// Files that one step of a second inspection looks at.
const STEP: i64 = 4;
/// The walk's name in the ledger.
const AGAIN: &str = "reinspect";
/// When the schedule last began one.
const SCHEDULE: &str = "schedule";
/// What counted when one was last begun because checks changed.
const COUNTED: &str = "counted";
/// Words of what counted that are kept, those of other programs included.
const COUNTED_MAX: usize = 4_000;
/// Checks that the audit names as the reason for one.
const NEW_NAMED_MAX: usize = 20;

/// A verdict with everything that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// Its id.
    pub id: i64,
    /// The file's name.
    pub filename: String,
    /// The file's content.
    pub sha256: String,
    /// The project's normal name.
    pub project: String,
    /// The release.
    pub version: String,
    /// The machine's conclusion.
    pub verdict: Verdict,
    /// The file's wanted state now.
    pub state: FileState,
    /// Why there was an inspection.
    pub cause: String,
    /// Whether it waits for a person.
    pub open: bool,
    /// When, RFC 3339.
    pub at: String,
    /// The policy's version.
    pub policy: String,
    /// `id@version` of every check that ran.
    pub checks: String,
    /// How long the inspection took.
    pub cost_ms: i64,
    /// Why it is so.
    pub reasons: Vec<Reason>,
    /// What the inspection left out.
    pub degraded: Vec<String>,
    /// The evidence.
    pub findings: Vec<ShownFinding>,
    /// What people decided, latest first.
    pub decisions: Vec<ShownDecision>,
}

/// A finding and whether it was only recorded.
#[derive(Debug, Clone, Serialize)]
pub struct ShownFinding {
    /// Its check was a shadow.
    pub shadow: bool,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A decision.
#[derive(Debug, Clone, Serialize)]
pub struct ShownDecision {
    /// Its id.
    pub id: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The decision that it reverses.
    pub reverses: Option<i64>,
    /// The file's state before.
    pub from: String,
    /// The file's state after.
    pub to: String,
    /// When, RFC 3339.
    pub at: String,
}

impl Shown {
    fn of(row: VerdictRow, findings: Vec<(bool, Finding)>, decisions: Vec<DecisionRow>) -> Self {
        Self {
            id: row.id,
            sha256: row.sha256().to_string(),
            verdict: row.verdict(),
            state: row.state(),
            reasons: row.reasons(),
            degraded: row.degraded(),
            filename: row.filename,
            project: row.project,
            version: row.version,
            cause: row.cause,
            open: row.is_open,
            at: time_text(row.created_us),
            policy: row.policy,
            checks: row.checks,
            cost_ms: row.cost_ms,
            findings: findings.into_iter().map(|(shadow, finding)| ShownFinding { shadow, finding }).collect(),
            decisions: decisions.into_iter().map(ShownDecision::of).collect(),
        }
    }
}

impl ShownDecision {
    fn of(row: DecisionRow) -> Self {
        Self {
            id: row.id,
            decision: row.decision(),
            actor: row.actor,
            reason: row.reason,
            reverses: row.reverses,
            from: row.from_state,
            to: row.to_state,
            at: time_text(row.created_us),
        }
    }
}

/// The latest verdict of every file, or every verdict that waits for a person; newest first, with ids below `below`.
/// Findings and decisions are left to [`show`].
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`] without such an index.
pub async fn list(
    installation: &Installation,
    index: &IndexName,
    only_open: bool,
    below: Option<i64>,
    most: i64,
    actor: &Actor,
) -> Result<Vec<Shown>> {
    let mut tx = installation.store.read().await?;
    accounts::site_actor(&mut tx, actor, SiteAct::ReadVerdicts).await?;
    let index = indexes::named(&mut tx, index).await?;
    let (below, most) = (below.unwrap_or(i64::MAX), most.clamp(1, LISTED_MAX));
    let rows = if only_open {
        verdicts::open(&mut tx, index.id, below, most).await?
    } else {
        verdicts::latest(&mut tx, index.id, below, most).await?
    };
    Ok(rows.into_iter().map(|row| Shown::of(row, Vec::new(), Vec::new())).collect())
}

/// One verdict by its id, or the latest about the file of this name.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`].
pub async fn show(installation: &Installation, index: &IndexName, which: &str, actor: &Actor) -> Result<Shown> {
    let mut tx = installation.store.read().await?;
    accounts::site_actor(&mut tx, actor, SiteAct::ReadVerdicts).await?;
    let index = indexes::named(&mut tx, index).await?;
    let row = verdict_of(&mut tx, &index, which)
        .await?
        .ok_or_else(|| Error::NotFound(format!("There is no verdict on '{which}'.")))?;
    let findings = verdicts::findings(&mut tx, &row).await?;
    let decisions = verdicts::decisions(&mut tx, row.file_id).await?;
    Ok(Shown::of(row, findings, decisions))
}

async fn verdict_of(tx: &mut Tx, index: &IndexRow, which: &str) -> Result<Option<VerdictRow>> {
    match which.parse() {
        Ok(id) => verdicts::by_id(tx, index.id, id).await,
        Err(_) => verdicts::named(tx, index.id, which).await,
    }
}

/// How many verdicts wait for a person, in all indexes.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn open_count(installation: &Installation) -> Result<i64> {
    let mut tx = installation.store.read().await?;
    verdicts::open_count(&mut tx).await
}

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The decision's id.
    pub id: i64,
    /// The file.
    pub filename: String,
    /// Its state now.
    pub state: FileState,
    /// The decision that this one reverses.
    pub reverses: Option<i64>,
}

/// A person decides about a file, by its name or by a verdict's id. Whatever waited for a person about it is closed; a
/// decision that differs from the one before reverses it and names it.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`]; [`Error::Conflict`] where the file's state has no such step.
pub async fn decide(
    installation: &Installation,
    index: &IndexName,
    which: &str,
    decision: Decision,
    reason: Option<&str>,
    actor: &Actor,
) -> Result<Decided> {
    verbs::check_reason(reason)?;
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let who = accounts::site_actor(&mut tx, actor, SiteAct::Decide).await?;
    let index = indexes::named(&mut tx, index).await?;
    let verdict = verdict_of(&mut tx, &index, which).await?;
    let file = match &verdict {
        Some(row) => files::by_name(&mut tx, index.id, &row.filename).await?.filter(|file| file.id == row.file_id),
        None => files::by_name(&mut tx, index.id, which).await?,
    };
    let file = file.ok_or_else(|| Error::NotFound(format!("There is no file or verdict '{which}'.")))?;
    let next = step(file.state(), FileInput::Decided(decision)).map_err(|illegal| {
        Error::Conflict(format!(
            "'{}' is {}: '{}' is no decision about it.",
            file.filename,
            illegal.state.as_str(),
            decision.as_str()
        ))
    })?;
    let before = verdicts::decisions(&mut tx, file.id).await?.into_iter().next();
    let reverses = before.filter(|row| row.decision() != decision).map(|row| row.id);
    let new = NewDecision {
        index_id: index.id,
        file: &file,
        verdict_id: verdict.map(|row| row.id),
        reverses,
        actor: &who,
        decision,
        reason: reason.unwrap_or_default(),
        to_state: next,
        now_us: now,
    };
    let id = verdicts::insert_decision(&mut tx, new).await?;
    verdicts::close(&mut tx, file.id);
    files::set_state(&mut tx, file.id, next);
    let project = projects::by_id(&mut tx, file.project_id).await?;
    let subject = files::subject(&project.name(), &file.filename);
    if file.state() != next {
        tell(&mut tx, &index, &file, next, reason, &subject, now);
    }
    let detail =
        json!({ "decision": decision.as_str(), "id": id, "reverses": reverses, "reason": reason, "to": next.as_str() });
    audit::note(&mut tx, Some(index.id), now, &who, "file.decide", &subject, detail);
    let mut job = None;
    if (file.state() == FileState::Visible) != (next == FileState::Visible) {
        projects::touch(&mut tx, file.project_id, None);
        job = Some(jobs::enqueue_named(&mut tx, JobKind::Publish, index.id, file.project_id, None, now).await?);
    }
    let published = installation.news.subscribe();
    tx.commit().await?;
    if let Some(job) = job {
        installation.wake_publishers();
        verbs::wait_for(installation, published, file.project_id, job).await;
    }
    Ok(Decided { id, filename: file.filename, state: next, reverses })
}

/// The owners learn what a person decided, and why.
fn tell(tx: &mut Tx, index: &IndexRow, file: &FileRow, next: FileState, reason: Option<&str>, subject: &str, now: i64) {
    let (kind, what) = match next {
        FileState::Visible => ("file.cleared", "was looked at by a person and is published."),
        FileState::Held => ("file.held-back", "was taken back by a person until it is decided."),
        FileState::Refused => ("file.refused", "was looked at by a person and is refused."),
        FileState::Staged | FileState::Removed => return,
    };
    let why = reason.filter(|text| !text.is_empty()).map(|text| format!(" {text}")).unwrap_or_default();
    let body = format!("'{}' {what}{why}", file.filename);
    notices::tell(tx, index.id, file.project_id, kind, subject, &body, now);
}

/// What another policy would have concluded from what is in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The policy's version.
    pub policy: String,
    /// Files with a verdict.
    pub files: u64,
    /// Files that it would have held, or worse.
    pub held: u64,
    /// Of them, those that a person refused or held back.
    pub right: u64,
    /// Of them, those that a person cleared.
    pub wrong: u64,
    /// Of them, those that nobody decided about.
    pub undecided: u64,
    /// Files that it would have sent to a person after publication.
    pub review: u64,
    /// Files that a person refused or held back and that it would have published.
    pub missed: u64,
    /// Names of the files whose verdict would be another: was, would be. At most [`Replay::NAMED_MAX`].
    pub changed: Vec<(String, Verdict, Verdict)>,
}

impl Replay {
    /// Most files of [`Self::changed`].
    pub const NAMED_MAX: usize = 1_000;
}

/// Tries a policy on the latest findings about every file, with the checks in their states of today. Changes nothing.
/// What broke its inspection is held by any policy, and counted so; what still waits for one has nothing to be judged by, and
/// is not counted.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn replay(installation: &Installation, index: &IndexName, policy: &Policy) -> Result<Replay> {
    let mut out = Replay { policy: policy.version().to_owned(), ..Replay::default() };
    let mut below = i64::MAX;
    loop {
        let mut tx = installation.store.read().await?;
        let row = indexes::named(&mut tx, index).await?;
        let states = States::load(installation, &mut tx).await?;
        let rows = verdicts::latest(&mut tx, row.id, below, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(out) };
        below = last.id;
        for row in rows.into_iter().filter(|row| ![BUDGET, BACKLOG].contains(&row.cause.as_str())) {
            let found = verdicts::findings(&mut tx, &row).await?.into_iter().map(|(_, finding)| finding).collect();
            let mut verdict = conclude(policy, &states.split(found).0).verdict;
            let held = [Verdict::Hold, Verdict::Malicious];
            if held.contains(&row.verdict()) && row.reasons().iter().any(|reason| reason.is(Floor::Failed)) {
                verdict = verdict.max(Verdict::Hold);
            }
            let decision = verdicts::decisions(&mut tx, row.file_id).await?.first().map(DecisionRow::decision);
            out.count(&row, verdict, decision);
        }
    }
}

impl Replay {
    fn count(&mut self, row: &VerdictRow, verdict: Verdict, decision: Option<Decision>) {
        self.files += 1;
        let bad = decision.map(|decision| decision != Decision::Clear);
        match (verdict, bad) {
            (Verdict::Hold | Verdict::Malicious, bad) => {
                self.held += 1;
                match bad {
                    Some(true) => self.right += 1,
                    Some(false) => self.wrong += 1,
                    None => self.undecided += 1,
                }
            }
            (Verdict::Clear | Verdict::Review, bad) => {
                self.review += u64::from(verdict == Verdict::Review);
                self.missed += u64::from(bad == Some(true));
            }
        }
        if verdict != row.verdict() && self.changed.len() < Self::NAMED_MAX {
            self.changed.push((row.filename.clone(), row.verdict(), verdict));
        }
    }
}

/// Has every file of an index inspected again with the checks of today, in the background; what was begun before and
/// is not done begins anew.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`] without such an index.
pub async fn reinspect(installation: &Installation, index: &IndexName, actor: &Actor) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let who = accounts::site_actor(&mut tx, actor, SiteAct::Checks).await?;
    let row = indexes::named(&mut tx, index).await?;
    let goal = catalogue::versions(installation, None);
    walks::begin(&mut tx, row.id, AGAIN, &goal, now);
    let detail = json!({ "checks": goal });
    audit::note(&mut tx, Some(row.id), now, &who, "verdicts.reinspect", index.as_str(), detail);
    tx.commit().await?;
    installation.again_wake.notify_one();
    Ok(())
}

/// Begins a second inspection of every index for which one is due. The first is due one interval after this is first
/// asked.
pub(super) async fn reinspect_when_due(installation: &Installation) -> Result<()> {
    reinspect_when_checks_changed(installation).await?;
    let every_us =
        i64::try_from(installation.settings.reinspect_every_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    if every_us == 0 {
        return Ok(());
    }
    let now = installation.clock.now_us();
    let due = {
        let mut tx = installation.store.read().await?;
        let known = walks::all(&mut tx, SCHEDULE).await?;
        let mut rows = indexes::all(&mut tx).await?;
        rows.retain(|row| {
            let last = known.iter().find(|walk| walk.index_id == row.id).map(|walk| walk.started_us);
            last.is_none_or(|last| now.saturating_sub(last) >= every_us)
        });
        rows.into_iter().map(|row| (known.iter().any(|walk| walk.index_id == row.id), row)).collect::<Vec<_>>()
    };
    for (began_before, row) in due {
        let mut tx = installation.store.write().await?;
        // The row of this name is no walk: it says when the last one was begun.
        walks::begin(&mut tx, row.id, SCHEDULE, "", now);
        if began_before && walks::get(&mut tx, row.id, AGAIN).await?.is_none() {
            walks::begin(&mut tx, row.id, AGAIN, &catalogue::versions(installation, None), now);
            let (name, detail) = (row.name(), json!({ "checks": catalogue::versions(installation, None) }));
            audit::note(&mut tx, Some(row.id), now, "schedule", "verdicts.reinspect", name.as_str(), detail);
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Begins a second inspection of every index whose files were last looked at before some check counted that counts now:
/// one that came or changed with the program or with the operator's rules, or that was made active. What was taken away
/// asks for none: nothing that was found is taken back.
async fn reinspect_when_checks_changed(installation: &Installation) -> Result<()> {
    // Who does not know the rules cannot tell what counts.
    if installation.sandbox.is_none() {
        return Ok(());
    }
    let now = installation.clock.now_us();
    let mut behind = Vec::new();
    {
        let mut tx = installation.store.read().await?;
        let states = States::load(installation, &mut tx).await?;
        let counts = states.counting(installation);
        let known = walks::all(&mut tx, COUNTED).await?;
        for row in indexes::all(&mut tx).await? {
            let before = known.iter().find(|walk| walk.index_id == row.id).map(|walk| walk.goal.as_str());
            let old = || before.iter().flat_map(|text| text.split(' ')).filter(|word| !word.is_empty());
            // What another program counts stays, as long as its state lets it: two of different versions may run for a
            // while, and what one of them looked for is not new to the other.
            let stays = old().filter(|word| states.counts(word.split('@').next().unwrap_or_default()));
            let mut all: BTreeSet<String> = stays.map(str::to_owned).collect();
            let new: Vec<String> = counts.iter().filter(|word| !all.contains(*word)).cloned().collect();
            if all.len() + new.len() > COUNTED_MAX {
                all.clear();
            }
            all.extend(counts.iter().cloned());
            let goal = all.into_iter().collect::<Vec<_>>().join(" ");
            if before != Some(&goal) {
                let any = before.is_some() && !files::of_index(&mut tx, row.id, 0, 1).await?.is_empty();
                behind.push((row, goal, new, any));
            }
        }
    }
    for (row, counted, new, any) in behind {
        let mut tx = installation.store.write().await?;
        // The row of this name is no walk: it says what counted when the last one was begun.
        walks::begin(&mut tx, row.id, COUNTED, &counted, now);
        // Asked for the first time, the files were looked at with what counts today.
        if any && !new.is_empty() {
            let goal = catalogue::versions(installation, None);
            walks::begin(&mut tx, row.id, AGAIN, &goal, now);
            let named: Vec<&String> = new.iter().take(NEW_NAMED_MAX).collect();
            let detail = json!({ "checks": goal, "new": named });
            let name = row.name();
            audit::note(&mut tx, Some(row.id), now, "checks", "verdicts.reinspect", name.as_str(), detail);
            tracing::info!(index = name.as_str(), checks = new.len(), "checks changed: files are inspected again");
        }
        tx.commit().await?;
    }
    Ok(())
}

/// How far a second inspection has come: files seen to, files with something new; `None` when there is none.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn reinspection(installation: &Installation, index: &IndexName) -> Result<Option<(i64, i64)>> {
    let mut tx = installation.store.read().await?;
    let row = indexes::named(&mut tx, index).await?;
    Ok(walks::get(&mut tx, row.id, AGAIN).await?.map(|walk| (walk.done, walk.found)))
}

/// One step of every second inspection; how many files were seen to. It stands back while uploads wait.
pub(super) async fn reinspect_some(installation: &Arc<Installation>) -> Result<usize> {
    let walking = {
        let mut tx = installation.store.read().await?;
        if jobs::waiting(&mut tx, JobKind::Inspect, 1).await? > 0 {
            return Ok(0);
        }
        walks::all(&mut tx, AGAIN).await?
    };
    let mut count = 0;
    for walk in walking {
        count += reinspect_step(installation, &walk).await?;
    }
    Ok(count)
}

/// Looks again at the files of one project whose status changed, with the checks that ask for that; how many projects
/// were seen to. What is found is kept as by any second inspection.
pub(super) async fn reinspect_changed(installation: &Arc<Installation>) -> Result<usize> {
    let now = installation.clock.now_us();
    if !jobs::is_claimable(&mut installation.store.read().await?, JobKind::Status, now).await? {
        return Ok(0);
    }
    let mut tx = installation.store.write().await?;
    let taken = jobs::claim(&mut tx, JobKind::Status, now, now + STATUS_LEASE_US, 1).await?;
    tx.commit().await?;
    for job in &taken {
        let outcome = look_at_project(installation, job).await;
        let now = installation.clock.now_us();
        let mut tx = installation.store.write().await?;
        match outcome {
            Ok(()) => jobs::done(&mut tx, job.id),
            Err(error) => {
                let dead = job.attempts >= STATUS_ATTEMPTS_MAX;
                jobs::retry(&mut tx, job.id, now + STATUS_RETRY_US, &error.to_string(), dead);
            }
        }
        tx.commit().await?;
    }
    Ok(taken.len())
}

async fn look_at_project(installation: &Arc<Installation>, job: &JobRow) -> Result<()> {
    if !catalogue::any_on(installation, ::inspect::Event::StatusChanged) {
        return Ok(());
    }
    let (rows, index) = {
        let mut tx = installation.store.read().await?;
        (files::of_project(&mut tx, job.project_id).await?, indexes::by_id(&mut tx, job.index_id).await?)
    };
    for file in rows.into_iter().filter(|file| matches!(file.state(), FileState::Visible | FileState::Held)) {
        let look = look::look(installation, &index.name(), &file, Cause::Status).await;
        if let Ok(Look { answer: Err(::inspect::Failure::Unavailable(why)), .. }) = look {
            return Err(Error::Unavailable(why));
        }
        let mut tx = installation.store.write().await?;
        let states = States::load(installation, &mut tx).await?;
        again(installation, &mut tx, job.index_id, &file, look, &states, installation.clock.now_us()).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn reinspect_step(installation: &Arc<Installation>, walk: &WalkRow) -> Result<usize> {
    if walk.goal != catalogue::versions(installation, None) {
        // Another program than the one that began it: its checks have not seen the first files.
        let mut tx = installation.store.write().await?;
        walks::begin(
            &mut tx,
            walk.index_id,
            AGAIN,
            &catalogue::versions(installation, None),
            installation.clock.now_us(),
        );
        tx.commit().await?;
        return Ok(1);
    }
    let (rows, index) = {
        let mut tx = installation.store.read().await?;
        (
            files::of_index(&mut tx, walk.index_id, walk.position, STEP).await?,
            indexes::by_id(&mut tx, walk.index_id).await?,
        )
    };
    let Some(last) = rows.last().map(|file| file.id) else {
        let now = installation.clock.now_us();
        let mut tx = installation.store.write().await?;
        walks::finish(&mut tx, walk.index_id, AGAIN);
        let detail = json!({ "files": walk.done, "found": walk.found, "checks": walk.goal });
        let name = index.name();
        audit::note(&mut tx, Some(walk.index_id), now, "inspection", "verdicts.reinspected", name.as_str(), detail);
        tx.commit().await?;
        return Ok(0);
    };
    let mut looked = Vec::new();
    for file in rows {
        // Staged files are about to be inspected anyway, and nobody can be harmed by the others.
        if matches!(file.state(), FileState::Visible | FileState::Held) {
            let look = look::look(installation, &index.name(), &file, Cause::Again).await;
            looked.push((file, look));
        }
    }
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let states = States::load(installation, &mut tx).await?;
    let (done, mut found) = (looked.len(), 0);
    for (file, look) in looked {
        found += i64::from(again(installation, &mut tx, walk.index_id, &file, look, &states, now).await?);
    }
    if walks::advance(&mut tx, walk, AGAIN, last, done as i64, found).await? {
        tx.commit().await?;
    }
    // At least one, also where all of them were passed over: there is more to do.
    Ok(done.max(1))
}

/// Keeps what a second inspection found, where it is worse than what is known. It never changes the file's state: what
/// people may have installed is not hidden silently, and what is held is a person's to release.
async fn again(
    installation: &Installation,
    tx: &mut Tx,
    index_id: i64,
    file: &FileRow,
    look: Result<Look>,
    states: &States,
    now: i64,
) -> Result<bool> {
    let (inspection, occasion, cost_ms) = match look {
        Ok(Look { answer: Ok(inspection), occasion, cost_ms }) => (inspection, occasion, cost_ms),
        Ok(Look { answer: Err(failure), .. }) => {
            tracing::warn!(file = file.filename, %failure, "the second inspection gave no answer");
            return Ok(false);
        }
        Err(error) => {
            tracing::warn!(file = file.filename, %error, "the second inspection gave no answer");
            return Ok(false);
        }
    };
    let before = verdicts::of_file(tx, file.id).await?;
    let known = match &before {
        Some(row) => verdicts::findings(tx, row).await?,
        None => Vec::new(),
    };
    // What was not looked for this time, or could not be, is as it was found.
    let mut findings = inspection.findings;
    let stands = |check: &str| {
        catalogue::is_left_out(installation, check, &occasion) || catalogue::is_silenced(&findings, check)
    };
    let kept: Vec<Finding> =
        known.iter().filter(|(_, finding)| stands(&finding.check)).map(|(_, finding)| finding.clone()).collect();
    findings.extend(kept);
    let (active, shadow) = states.split(findings);
    let conclusion = conclude(&installation.settings.policy, &active);
    let verdict = conclusion.verdict;
    let is_known = |finding: &Finding, shadow: bool| {
        known.iter().any(|(was, k)| {
            *was == shadow && (&k.check, k.version, &k.location) == (&finding.check, finding.version, &finding.location)
        })
    };
    let news = active.iter().any(|f| !is_known(f, false)) || shadow.iter().any(|f| !is_known(f, true));
    let worse = verdict > before.as_ref().map_or(Verdict::Clear, VerdictRow::verdict);
    if !news && !worse {
        return Ok(false);
    }
    // Only what is worse asks a person again.
    let (profile, degraded) = (inspection.profile, inspection.degraded);
    let checks = catalogue::versions(installation, Some(&occasion));
    let evidence = Evidence { conclusion, active, shadow, profile, degraded, checks, cost_ms };
    let project = projects::by_id(tx, file.project_id).await?.name();
    keep(installation, tx, (index_id, &project, file), &evidence, ("again", worse), now)?;
    Ok(true)
}

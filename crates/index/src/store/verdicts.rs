//! Verdicts, their findings, decisions, profiles, and the states of checks. All of it outlives the files.

use std::collections::BTreeMap;

use packaging::{NormalizedName, Sha256};

use super::db::{Tx, Value, args, statements};
use super::files::FileRow;
use crate::Result;
use crate::model::{CheckState, Decision, FileState, Verdict};

statements! {
    INSERT = "INSERT INTO verdicts (index_id, file_id, filename, sha256, project, version, verdict, cause, policy, reasons, \
              degraded, checks, findings, cost_ms, is_open, created_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', $13, $14, $15)";
    BY_ID = "SELECT v.id, v.file_id, v.filename, v.sha256, v.project, v.version, v.verdict, v.cause, v.policy, v.reasons, \
             v.degraded, v.checks, v.findings, v.cost_ms, v.is_open, v.created_us, COALESCE(f.state, 'removed') AS state \
             FROM verdicts v LEFT JOIN files f ON f.id = v.file_id WHERE v.index_id = $1 AND v.id = $2";
    OF_FILE = "SELECT v.id, v.file_id, v.filename, v.sha256, v.project, v.version, v.verdict, v.cause, v.policy, v.reasons, \
               v.degraded, v.checks, v.findings, v.cost_ms, v.is_open, v.created_us, COALESCE(f.state, 'removed') AS state \
               FROM verdicts v LEFT JOIN files f ON f.id = v.file_id WHERE v.file_id = $1 ORDER BY v.id DESC LIMIT 1";
    MET = "SELECT f.id, f.project_id, f.release_id, f.filename, f.kind, f.python_tag, f.comment, f.size_bytes, f.sha256, f.blake2, \
           f.md5, f.requires_python, f.metadata_sha256, f.provenance_sha256, f.uploaded_us, f.uploaded_by, f.state, COALESCE(f.yanked, r.yanked) AS yanked, \
           f.published, f.published_yanked, r.version, p.name AS project, \
           (SELECT v.cause FROM verdicts v WHERE v.file_id = f.id ORDER BY v.id DESC LIMIT 1) AS cause, \
           EXISTS (SELECT 1 FROM decisions d WHERE d.file_id = f.id) AS is_decided \
           FROM files f JOIN releases r ON r.id = f.release_id JOIN projects p ON p.id = f.project_id \
           WHERE f.id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    NAMED = "SELECT v.id, v.file_id, v.filename, v.sha256, v.project, v.version, v.verdict, v.cause, v.policy, v.reasons, \
             v.degraded, v.checks, v.findings, v.cost_ms, v.is_open, v.created_us, COALESCE(f.state, 'removed') AS state \
             FROM verdicts v LEFT JOIN files f ON f.id = v.file_id WHERE v.index_id = $1 AND v.filename = $2 \
             ORDER BY v.id DESC LIMIT 1";
    LATEST = "SELECT v.id, v.file_id, v.filename, v.sha256, v.project, v.version, v.verdict, v.cause, v.policy, v.reasons, \
              v.degraded, v.checks, v.findings, v.cost_ms, v.is_open, v.created_us, COALESCE(f.state, 'removed') AS state \
              FROM verdicts v LEFT JOIN files f ON f.id = v.file_id WHERE v.index_id = $1 AND v.id < $2 \
              AND NOT EXISTS (SELECT 1 FROM verdicts w WHERE w.file_id = v.file_id AND w.id > v.id) \
              ORDER BY v.id DESC LIMIT $3";
    OPEN = "SELECT v.id, v.file_id, v.filename, v.sha256, v.project, v.version, v.verdict, v.cause, v.policy, v.reasons, \
            v.degraded, v.checks, v.findings, v.cost_ms, v.is_open, v.created_us, COALESCE(f.state, 'removed') AS state \
            FROM verdicts v LEFT JOIN files f ON f.id = v.file_id WHERE v.index_id = $1 AND v.id < $2 AND v.is_open = TRUE \
            ORDER BY v.id DESC LIMIT $3";
    OPEN_COUNT = "SELECT COUNT(*) FROM verdicts WHERE is_open = TRUE";
    CLOSE = "UPDATE verdicts SET is_open = FALSE WHERE file_id = $1 AND is_open = TRUE";
    INSERT_FINDING = "INSERT INTO findings (index_id, verdict_id, check_id, check_version, shadow, severity, confidence, body) \
                      VALUES ($1, (SELECT MAX(id) FROM verdicts WHERE file_id = $2), $3, $4, $5, $6, $7, $8)";
    FINDINGS = "SELECT shadow, body FROM findings WHERE verdict_id = $1 ORDER BY id";
    INSERT_DECISION = "INSERT INTO decisions (index_id, file_id, filename, sha256, verdict_id, reverses, actor, decision, \
                       reason, from_state, to_state, created_us) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id";
    DECISIONS = "SELECT id, verdict_id, reverses, actor, decision, reason, from_state, to_state, created_us \
                 FROM decisions WHERE file_id = $1 ORDER BY id DESC";
    SET_PROFILE = "INSERT INTO profiles (file_id, index_id, body, created_us) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (file_id) DO UPDATE SET body = excluded.body, created_us = excluded.created_us";
    PROFILES_OF_RELEASE = "SELECT f.id, f.filename, f.kind, f.state, p.body FROM files f \
                           JOIN profiles p ON p.file_id = f.id WHERE f.release_id = $1 ORDER BY f.id";
    RELEASES = "SELECT id, version FROM releases WHERE project_id = $1";
    STATES = "SELECT check_id, state FROM check_states ORDER BY check_id";
    SET_CHECK = "INSERT INTO check_states (check_id, state, changed_us) VALUES ($1, $2, $3) \
                 ON CONFLICT (check_id) DO UPDATE SET state = excluded.state, changed_us = excluded.changed_us";
    FIRED = "SELECT f.check_id, COUNT(DISTINCT v.file_id), COUNT(*) FROM findings f JOIN verdicts v ON v.id = f.verdict_id \
             GROUP BY f.check_id ORDER BY f.check_id";
}

/// How many files [`MET`] asks for.
const MET_AT_ONCE: usize = 16;

/// One verdict, with the state that its file is in now.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VerdictRow {
    /// Row id.
    pub id: i64,
    /// The file's row; it may be gone.
    pub file_id: i64,
    /// The file's name.
    pub filename: String,
    sha256: String,
    /// Normal name of its project.
    pub project: String,
    /// Its release's version.
    pub version: String,
    verdict: String,
    /// Why there was an inspection: `upload`, `late`, `budget`, `backlog`, `again`.
    pub cause: String,
    /// The policy's version.
    pub policy: String,
    reasons: String,
    degraded: String,
    /// `id@version` of every check that ran.
    pub checks: String,
    findings: String,
    /// How long the pass took.
    pub cost_ms: i64,
    /// Whether it waits for a person.
    pub is_open: bool,
    /// When.
    pub created_us: i64,
    state: String,
}

impl VerdictRow {
    /// The conclusion.
    pub fn verdict(&self) -> Verdict {
        self.verdict.parse().expect("the ledger holds only known verdicts")
    }

    /// Content.
    pub fn sha256(&self) -> Sha256 {
        self.sha256.parse().expect("the ledger holds only valid digests")
    }

    /// The file's wanted state now.
    pub fn state(&self) -> FileState {
        self.state.parse().expect("the ledger holds only known states")
    }

    /// Why it is so.
    pub fn reasons(&self) -> Vec<crate::policy::verdict::Reason> {
        serde_json::from_str(&self.reasons).unwrap_or_default()
    }

    /// What the inspection left out or cut short.
    pub fn degraded(&self) -> Vec<String> {
        serde_json::from_str(&self.degraded).unwrap_or_default()
    }
}

/// A file, and what a new verdict about it meets.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Met {
    /// The file.
    #[sqlx(flatten)]
    pub file: FileRow,
    project: String,
    /// Why there was the latest verdict ([`VerdictRow::cause`]); absent without one.
    pub cause: Option<String>,
    /// Whether a person has decided.
    pub is_decided: bool,
}

impl Met {
    /// Normal name of the file's project.
    pub fn project(&self) -> NormalizedName {
        self.project.parse().expect("the ledger holds only normal names")
    }
}

/// A verdict to be kept.
#[derive(Debug, Clone)]
pub struct NewVerdict<'a> {
    /// Its index.
    pub index_id: i64,
    /// The file's project.
    pub project: &'a NormalizedName,
    /// The file.
    pub file: &'a FileRow,
    /// The conclusion.
    pub verdict: Verdict,
    /// See [`VerdictRow::cause`].
    pub cause: &'a str,
    /// The policy's version.
    pub policy: &'a str,
    /// [`crate::policy::verdict::Reason`]s as JSON.
    pub reasons: String,
    /// Texts as JSON.
    pub degraded: String,
    /// `id@version` of every check that ran.
    pub checks: &'a str,
    /// How long the pass took.
    pub cost_ms: i64,
    /// Whether it waits for a person.
    pub is_open: bool,
    /// When.
    pub now_us: i64,
}

/// Keeps a verdict.
pub fn insert(tx: &mut Tx, new: NewVerdict<'_>) {
    let NewVerdict {
        index_id,
        project,
        file,
        verdict,
        cause,
        policy,
        reasons,
        degraded,
        checks,
        cost_ms,
        is_open,
        now_us,
    } = new;
    tx.later(
        INSERT,
        args![
            index_id,
            file.id,
            &file.filename,
            &file.sha256(),
            project,
            &file.version,
            verdict.as_str(),
            cause,
            policy,
            reasons,
            degraded,
            checks,
            cost_ms,
            is_open,
            now_us
        ],
    );
}

/// Keeps one finding of the latest verdict about a file.
pub fn insert_finding(
    tx: &mut Tx,
    index_id: i64,
    file_id: i64,
    finding: &inspect::Finding,
    shadow: bool,
) -> Result<()> {
    let json = |error: serde_json::Error| crate::Error::Internal(error.to_string());
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let severity = word(serde_json::to_value(finding.severity).map_err(json)?);
    let confidence = word(serde_json::to_value(finding.confidence).map_err(json)?);
    let body = serde_json::to_string(finding).map_err(json)?;
    tx.later(
        INSERT_FINDING,
        args![index_id, file_id, &finding.check, i64::from(finding.version), shadow, severity, confidence, body],
    );
    Ok(())
}

/// Findings of a verdict, and whether each was only recorded.
pub async fn findings(tx: &mut Tx, verdict: &VerdictRow) -> Result<Vec<(bool, inspect::Finding)>> {
    let rows: Vec<(bool, String)> = tx.all(FINDINGS, args![verdict.id]).await?;
    let mut out: Vec<(bool, inspect::Finding)> = Vec::with_capacity(rows.len());
    for (shadow, body) in rows {
        let finding = serde_json::from_str(&body).map_err(|error| crate::Error::Internal(error.to_string()))?;
        out.push((shadow, finding));
    }
    if out.is_empty() {
        // Before findings had rows of their own, they stood in the verdict's.
        let kept: Vec<inspect::Finding> = serde_json::from_str(&verdict.findings).unwrap_or_default();
        out.extend(kept.into_iter().map(|finding| (false, finding)));
    }
    Ok(out)
}

/// The verdict of this id.
pub async fn by_id(tx: &mut Tx, index_id: i64, id: i64) -> Result<Option<VerdictRow>> {
    tx.maybe(BY_ID, args![index_id, id]).await
}

/// The latest verdict about a file.
pub async fn of_file(tx: &mut Tx, file_id: i64) -> Result<Option<VerdictRow>> {
    tx.maybe(OF_FILE, args![file_id]).await
}

/// What new verdicts about these files meet, by file. In few goes: it is asked for under the write lock, for which uploads
/// wait.
pub async fn met(tx: &mut Tx, file_ids: &[i64]) -> Result<BTreeMap<i64, Met>> {
    let mut found = BTreeMap::new();
    for some in file_ids.chunks(MET_AT_ONCE) {
        // One text whatever their number: the last stands for those that are not there.
        let padded = (0..MET_AT_ONCE).map(|n| Value::from(some[n.min(some.len() - 1)]));
        let rows: Vec<Met> = tx.all(MET, &padded.collect::<Vec<_>>()).await?;
        found.extend(rows.into_iter().map(|met| (met.file.id, met)));
    }
    Ok(found)
}

/// The latest verdict about the file of this name.
pub async fn named(tx: &mut Tx, index_id: i64, filename: &str) -> Result<Option<VerdictRow>> {
    tx.maybe(NAMED, args![index_id, filename]).await
}

/// The latest verdict of every file, newest first, with an id below `below`.
pub async fn latest(tx: &mut Tx, index_id: i64, below: i64, most: i64) -> Result<Vec<VerdictRow>> {
    tx.all(LATEST, args![index_id, below, most]).await
}

/// What waits for a person, newest first, with an id below `below`.
pub async fn open(tx: &mut Tx, index_id: i64, below: i64, most: i64) -> Result<Vec<VerdictRow>> {
    tx.all(OPEN, args![index_id, below, most]).await
}

/// How many verdicts wait for a person, in all indexes.
pub async fn open_count(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = tx.one(OPEN_COUNT, args![]).await?;
    Ok(count)
}

/// Nothing about this file waits for a person any more.
pub fn close(tx: &mut Tx, file_id: i64) {
    tx.later(CLOSE, args![file_id]);
}

/// A person's decision, as kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DecisionRow {
    /// Row id.
    pub id: i64,
    /// The verdict that it answers, where there was one.
    pub verdict_id: Option<i64>,
    /// The decision that it reverses.
    pub reverses: Option<i64>,
    /// Who.
    pub actor: String,
    decision: String,
    /// Why, in the person's words.
    pub reason: String,
    /// The file's state before.
    pub from_state: String,
    /// The file's state after.
    pub to_state: String,
    /// When.
    pub created_us: i64,
}

impl DecisionRow {
    /// What was decided.
    pub fn decision(&self) -> Decision {
        self.decision.parse().expect("the ledger holds only known decisions")
    }
}

/// A decision to be kept.
#[derive(Debug, Clone)]
pub struct NewDecision<'a> {
    /// Its index.
    pub index_id: i64,
    /// The file.
    pub file: &'a FileRow,
    /// The verdict that it answers.
    pub verdict_id: Option<i64>,
    /// The decision that it reverses.
    pub reverses: Option<i64>,
    /// Who.
    pub actor: &'a str,
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: &'a str,
    /// The state that the lifecycle gave.
    pub to_state: FileState,
    /// When.
    pub now_us: i64,
}

/// Keeps a decision; returns its id.
pub async fn insert_decision(tx: &mut Tx, new: NewDecision<'_>) -> Result<i64> {
    let NewDecision { index_id, file, verdict_id, reverses, actor, decision, reason, to_state, now_us } = new;
    let (id,): (i64,) = tx
        .one(
            INSERT_DECISION,
            args![
                index_id,
                file.id,
                &file.filename,
                &file.sha256(),
                verdict_id,
                reverses,
                actor,
                decision.as_str(),
                reason,
                file.state().as_str(),
                to_state.as_str(),
                now_us
            ],
        )
        .await?;
    Ok(id)
}

/// Every decision about a file, latest first.
pub async fn decisions(tx: &mut Tx, file_id: i64) -> Result<Vec<DecisionRow>> {
    tx.all(DECISIONS, args![file_id]).await
}

/// Keeps what a file can do.
pub fn set_profile(tx: &mut Tx, index_id: i64, file_id: i64, body: &str, now_us: i64) {
    tx.later(SET_PROFILE, args![file_id, index_id, body, now_us]);
}

/// A file of a release with its profile, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ProfileRow {
    /// The file.
    pub id: i64,
    /// Its name.
    pub filename: String,
    /// `sdist` or `bdist_wheel`.
    pub kind: String,
    /// Its wanted state.
    pub state: String,
    /// The profile.
    pub body: String,
}

/// Every profile of a release's files, oldest first.
pub async fn profiles_of_release(tx: &mut Tx, release_id: i64) -> Result<Vec<ProfileRow>> {
    tx.all(PROFILES_OF_RELEASE, args![release_id]).await
}

/// Id and version of every release of a project.
pub async fn releases(tx: &mut Tx, project_id: i64) -> Result<Vec<(i64, String)>> {
    tx.all(RELEASES, args![project_id]).await
}

/// The states that were ever set.
pub async fn check_states(tx: &mut Tx) -> Result<Vec<(String, CheckState)>> {
    let rows: Vec<(String, String)> = tx.all(STATES, args![]).await?;
    Ok(rows.into_iter().map(|(id, s)| (id, s.parse().expect("the ledger holds only known states"))).collect())
}

/// Sets the state of a check.
pub fn set_check(tx: &mut Tx, check: &str, state: CheckState, now_us: i64) {
    tx.later(SET_CHECK, args![check, state.as_str(), now_us]);
}

/// For every check that ever found something: in how many files, and how often.
pub async fn fired(tx: &mut Tx) -> Result<Vec<(String, i64, i64)>> {
    tx.all(FIRED, args![]).await
}

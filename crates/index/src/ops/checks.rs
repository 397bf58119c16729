//! The states of checks, and trials of them without effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::inspect::Cause;
use serde::Serialize;
use serde_json::json;

use super::accounts;
use super::catalogue::{is_foreign, known, lineage};
use super::look::{self, Look, States};
use crate::model::{Actor, CheckState, Decision, FileState, IndexName, Verdict};
use crate::policy::authz::SiteAct;
use crate::policy::verdict::conclude;
use crate::store::verdicts::DecisionRow;
use crate::store::{Tx, audit, files, indexes, verdicts};
use crate::{Error, Installation, Result};

/// Longest id of a check, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Files that a trial reads from the ledger at once.
const PAGE: i64 = 200;

/// The check that stands for an inspection without an answer.
const INSPECTION: &str = "inspection";

/// A check and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its id.
    pub check: String,
    /// Its version; absent when this program has no such check.
    pub version: Option<u32>,
    /// What its findings may do.
    pub state: CheckState,
    /// Files in which it found something.
    pub files: i64,
    /// How often it found something.
    pub findings: i64,
}

/// Every check of this program, and every other that has a state or ever found something.
///
/// # Errors
/// [`Error::Forbidden`].
pub async fn list(installation: &Installation, actor: &Actor) -> Result<Vec<Shown>> {
    let mut tx = installation.store.read().await?;
    accounts::site_actor(&mut tx, actor, SiteAct::ReadVerdicts).await?;
    let states = States::load(installation, &mut tx).await?;
    let fired: BTreeMap<String, (i64, i64)> =
        verdicts::fired(&mut tx).await?.into_iter().map(|(id, files, findings)| (id, (files, findings))).collect();
    let known = known(installation);
    let mut ids: Vec<String> = known.keys().cloned().chain(fired.keys().cloned()).collect();
    ids.extend(verdicts::check_states(&mut tx).await?.into_iter().map(|(id, _)| id));
    ids.sort();
    ids.dedup();
    let shown = |check: String| {
        let (files, findings) = fired.get(&check).copied().unwrap_or_default();
        Shown { version: known.get(&check).copied(), state: states.of(&check), files, findings, check }
    };
    Ok(ids.into_iter().map(shown).collect())
}

/// Sets the state of a check, or of all that stand below an id of operators' checks (`yara/theft`: every rule of that
/// file). What was concluded before stays as it is; when something counts that did not, what is there is inspected again
/// in the background.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a check that this program does not have; [`Error::Conflict`] for the
/// one that says that an inspection failed: it is no opinion.
pub async fn set(installation: &Installation, check: &str, state: CheckState, actor: &Actor) -> Result<()> {
    let now = installation.clock.now_us();
    let mut tx = installation.store.write().await?;
    let who = accounts::site_actor(&mut tx, actor, SiteAct::Checks).await?;
    if check == INSPECTION {
        return Err(Error::Conflict(format!("'{INSPECTION}' says that a file broke its inspection; it stays active.")));
    }
    must_be_known(installation, &mut tx, check).await?;
    let before = States::load(installation, &mut tx).await?.of(check);
    verdicts::set_check(&mut tx, check, state, now);
    let detail = json!({ "from": before.as_str(), "to": state.as_str() });
    audit::note(&mut tx, None, now, &who, "check.state", check, detail);
    tx.commit().await?;
    // What counts now is looked for in what is there, in the background.
    installation.again_wake.notify_one();
    Ok(())
}

/// Refuses the name of a check that is neither in this program or its rules, nor ever fired.
async fn must_be_known(installation: &Installation, tx: &mut Tx, check: &str) -> Result<()> {
    let fired = verdicts::fired(tx).await?;
    let ids = known(installation);
    let mut ids = ids.keys().chain(fired.iter().map(|(id, _, _)| id));
    if check.len() > ID_BYTES_MAX || !ids.any(|id| is_of(id, check)) {
        return Err(Error::NotFound(format!("There is no check '{check}'.")));
    }
    Ok(())
}

/// Whether a check is the one of this name, or below it: operators' checks have names within names.
fn is_of(id: &str, name: &str) -> bool {
    id == name || is_foreign(name) && lineage(id).any(|above| above == name)
}

/// What one check would have done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Files in which it fired.
    pub fired: u64,
    /// How often.
    pub findings: u64,
    /// Files that it would have held by itself.
    pub held: u64,
    /// Of them, those that a person refused or held back.
    pub right: u64,
    /// Of them, those that a person cleared.
    pub wrong: u64,
    /// Of them, those that nobody decided about.
    pub undecided: u64,
    /// Files that a person refused or held back and that it would not have held.
    pub missed: u64,
    /// What it took in all files together, in microseconds. Facts are read once for all checks; rules of operators run
    /// together, and what they take stands at `yara`, what a service or command takes at `external/<name>`.
    pub cost_us: u64,
    /// What it took in one file at most.
    pub cost_us_max: u64,
}

/// A trial over stored files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Files that were inspected.
    pub files: u64,
    /// Of them, those whose inspection gave no answer.
    pub failed: u64,
    /// What all passes took together, in milliseconds; what is outside of the sandbox is not in it.
    pub total_ms: i64,
    /// Of it, what reading the facts took, that every check looks at, in microseconds.
    pub reading_us: u64,
    /// Half of the passes took at most this.
    pub p50_ms: i64,
    /// 99 of 100 passes took at most this.
    pub p99_ms: i64,
    /// By check.
    pub checks: BTreeMap<String, Trial>,
}

/// Inspects stored files again, all of them or an even sample, as if every check were active, and says what each
/// would have done. Nothing is written.
///
/// # Errors
/// When the ledger cannot be read; [`Error::Unavailable`] without a sandbox.
pub async fn evaluate(
    installation: &Arc<Installation>,
    index: &IndexName,
    only: Option<&str>,
    sample: Option<u64>,
) -> Result<Evaluation> {
    let row = {
        let mut tx = installation.store.read().await?;
        if let Some(check) = only {
            must_be_known(installation, &mut tx, check).await?;
        }
        indexes::named(&mut tx, index).await?
    };
    let ids = sampled(installation, row.id, sample).await?;
    let mut out = Evaluation::default();
    // One that never fires is told of, too: what it missed, and what it cost.
    let ids_known = known(installation).into_keys().filter(|id| only.is_none_or(|name| is_of(id, name)));
    out.checks.extend(ids_known.map(|id| (id, Trial::default())));
    let mut costs = Vec::with_capacity(ids.len());
    for id in ids {
        let (file, decision) = {
            let mut tx = installation.store.read().await?;
            let decision = verdicts::decisions(&mut tx, id).await?.first().map(DecisionRow::decision);
            (files::by_id(&mut tx, id).await?, decision)
        };
        // As if it came today: what runs on uploads alone is tried too.
        let Look { answer, cost_ms, .. } = look::look(installation, index, &file, Cause::Upload).await?;
        out.files += 1;
        costs.push(cost_ms);
        match answer {
            Ok(inspection) => {
                out.charge(&inspection.costs, only);
                out.count(installation, inspection.findings, only, decision);
            }
            Err(::inspect::Failure::Unavailable(why)) => return Err(Error::Unavailable(why)),
            Err(_) => out.failed += 1,
        }
    }
    costs.sort_unstable();
    let at = |percent: usize| costs.get((costs.len() * percent / 100).min(costs.len().saturating_sub(1))).copied();
    out.total_ms = costs.iter().sum();
    out.p50_ms = at(50).unwrap_or_default();
    out.p99_ms = at(99).unwrap_or_default();
    Ok(out)
}

/// Ids of the files to look at: every stored one, or as many as were asked, evenly spread, so that the same sample is
/// taken twice.
async fn sampled(installation: &Installation, index_id: i64, sample: Option<u64>) -> Result<Vec<i64>> {
    let (mut ids, mut after) = (Vec::new(), 0);
    loop {
        let mut tx = installation.store.read().await?;
        let rows = files::of_index(&mut tx, index_id, after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        ids.extend(rows.iter().filter(|file| file.state() != FileState::Removed).map(|file| file.id));
    }
    let Some(most) = sample.map(|n| usize::try_from(n).unwrap_or(usize::MAX)).filter(|n| *n < ids.len()) else {
        return Ok(ids);
    };
    Ok((0..most).map(|n| ids[n * ids.len() / most]).collect())
}

impl Evaluation {
    /// Adds what one file's checks took.
    fn charge(&mut self, costs: &::inspect::Costs, only: Option<&str>) {
        for (id, cost) in costs {
            if id == "reading" {
                self.reading_us += cost;
            } else if only.is_none_or(|name| is_of(id, name) || lineage(name).any(|above| above == id)) {
                let trial = self.checks.entry(id.clone()).or_default();
                trial.cost_us += cost;
                trial.cost_us_max = trial.cost_us_max.max(*cost);
            }
        }
    }

    fn count(
        &mut self,
        installation: &Installation,
        findings: Vec<::inspect::Finding>,
        only: Option<&str>,
        decision: Option<Decision>,
    ) {
        let mut by_check: BTreeMap<String, Vec<::inspect::Finding>> = BTreeMap::new();
        for finding in findings.into_iter().filter(|finding| only.is_none_or(|name| is_of(&finding.check, name))) {
            by_check.entry(finding.check.clone()).or_default().push(finding);
        }
        for check in by_check.keys() {
            self.checks.entry(check.clone()).or_default();
        }
        let bad = decision.map(|decision| decision != Decision::Clear);
        for (check, trial) in &mut self.checks {
            let found = by_check.get(check).map(Vec::as_slice).unwrap_or_default();
            trial.fired += u64::from(!found.is_empty());
            trial.findings += found.len() as u64;
            if conclude(&installation.settings.policy, found).verdict >= Verdict::Hold {
                trial.held += 1;
                match bad {
                    Some(true) => trial.right += 1,
                    Some(false) => trial.wrong += 1,
                    None => trial.undecided += 1,
                }
            } else if bad == Some(true) {
                trial.missed += 1;
            }
        }
    }
}

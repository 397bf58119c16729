//! `verdicts`, `checks`, `jobs`: from the command line to an [`Ask`], and from an [`Ask`] to a verb and back to text.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use index::model::{Actor, IndexName};
use index::ops::verdicts::Shown;
use index::ops::{checks as check_verbs, jobs as job_verbs, verdicts as verdict_verbs};
use index::policy::verdict::Policy;
use index::{Error, Installation, Result};
use serde::Serialize;

use super::execute::index;
use super::send;
use crate::cli::{ChecksCommand, Format, In, JobsCommand, Place, VerdictsCommand};
use crate::control::{Ask, Request};
use crate::settings;

/// Verdicts that are read at once.
const PAGE: i64 = 1_000;

pub(super) async fn verdicts(command: VerdictsCommand) -> anyhow::Result<ExitCode> {
    match command {
        VerdictsCommand::List { open, long, limit, index: In { index }, place } => {
            ask(&place, Ask::Verdicts { index, open, long, limit }).await
        }
        VerdictsCommand::Show { which, format, index: In { index }, place } => {
            ask(&place, Ask::Verdict { index, which, format }).await
        }
        VerdictsCommand::Decide { which, decision, reason, index: In { index }, place } => {
            ask(&place, Ask::Decide { index, which, decision, reason }).await
        }
        VerdictsCommand::Replay { policy, index: In { index }, place } => {
            let policy = policy.map(|path| settings::policy_text(&path)).transpose()?;
            ask(&place, Ask::Replay { index, policy }).await
        }
        VerdictsCommand::Reinspect { status, index: In { index }, place } => {
            ask(&place, Ask::Reinspect { index, status }).await
        }
    }
}

pub(super) async fn checks(command: ChecksCommand) -> anyhow::Result<ExitCode> {
    match command {
        ChecksCommand::List { place } => ask(&place, Ask::Checks).await,
        ChecksCommand::Set { check, state, place } => ask(&place, Ask::SetCheck { check, state }).await,
        ChecksCommand::Evaluate { check, sample, format, index: In { index }, place } => {
            ask(&place, Ask::Evaluate { index, check, sample, format }).await
        }
    }
}

pub(super) async fn jobs(command: JobsCommand) -> anyhow::Result<ExitCode> {
    match command {
        JobsCommand::List { index: In { index }, place } => ask(&place, Ask::Jobs { index }).await,
        JobsCommand::Retry { id, index: In { index }, place } => ask(&place, Ask::RetryJobs { index, id }).await,
    }
}

async fn ask(place: &Place, ask: Ask) -> anyhow::Result<ExitCode> {
    send(place, Request::Inspection(ask)).await
}

/// Does what was asked about the inspection.
pub(super) async fn attempt(installation: &Arc<Installation>, ask: Ask) -> Result<(String, u8)> {
    let operator = Actor::Operator;
    let text = match ask {
        Ask::Verdicts { index: name, open, long, limit } => {
            let (name, mut out, mut left, mut below) = (index(&name)?, String::new(), limit, None);
            while left > 0 {
                let most = left.min(PAGE);
                let list = verdict_verbs::list(installation, &name, open, below, most, &operator).await?;
                out.push_str(&lines(&list, long));
                below = list.last().map(|row| row.id);
                left = if list.len() as i64 == most { left - most } else { 0 };
            }
            out
        }
        Ask::Verdict { index: name, which, format } => {
            let shown = verdict_verbs::show(installation, &index(&name)?, &which, &operator).await?;
            match format {
                Format::Json => json(&shown)?,
                Format::Text => page(&shown),
            }
        }
        Ask::Decide { index: name, which, decision, reason } => {
            let decision = decision.parse().map_err(Error::Invalid)?;
            let name = index(&name)?;
            let done =
                verdict_verbs::decide(installation, &name, &which, decision, reason.as_deref(), &operator).await?;
            let reverses = done.reverses.map(|id| format!(", reverses {id}")).unwrap_or_default();
            format!("{} is {} (decision {}{reverses})\n", done.filename, done.state.as_str(), done.id)
        }
        Ask::Replay { index: name, policy } => replay(installation, &index(&name)?, policy).await?,
        Ask::Reinspect { index: name, status } => reinspect(installation, &index(&name)?, status).await?,
        Ask::Checks => {
            let mut out = String::new();
            for row in check_verbs::list(installation, &operator).await? {
                let version = row.version.map_or("-".to_owned(), |version| version.to_string());
                let (check, state) = (row.check, row.state.as_str());
                let _ = writeln!(out, "{check}\t{version}\t{state}\t{} files\t{} findings", row.files, row.findings);
            }
            out
        }
        Ask::SetCheck { check, state } => {
            let state = state.parse().map_err(Error::Invalid)?;
            check_verbs::set(installation, &check, state, &operator).await?;
            String::new()
        }
        Ask::Evaluate { index: name, check, sample, format } => {
            let name = index(&name)?;
            let found = check_verbs::evaluate(installation, &name, check.as_deref(), sample).await?;
            match format {
                Format::Json => json(&found)?,
                Format::Text => evaluation(&found),
            }
        }
        Ask::Jobs { index: name } => {
            let mut out = String::new();
            for job in job_verbs::list(installation, &index(&name)?, &operator).await? {
                let subject = job.file.unwrap_or(job.project);
                let error = job.error.unwrap_or_default();
                let (kind, state, attempts) = (job.kind, job.state, job.attempts);
                let _ = writeln!(out, "{}\t{kind}\t{state}\t{subject}\t{attempts} attempts\t{error}", job.id);
            }
            out
        }
        Ask::RetryJobs { index: name, id } => {
            format!("{} to be tried again\n", job_verbs::retry(installation, &index(&name)?, id, &operator).await?)
        }
    };
    Ok((text, 0))
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// One filename and verdict a line.
fn lines(list: &[Shown], long: bool) -> String {
    let mut out = String::new();
    for row in list {
        let _ = write!(out, "{}\t{}", row.filename, row.verdict.as_str());
        if long {
            let open = if row.open { "open" } else { "-" };
            let _ = write!(out, "\t{}\t{}\t{open}\t{}\t{}", row.id, row.state.as_str(), row.project, row.at);
        }
        out.push('\n');
    }
    out
}

/// Text of uploaders on one line, so that it cannot speak to the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn page(shown: &Shown) -> String {
    let mut out = format!(
        "{}\nverdict {}: {}{}, {}, by {} ({})\nsha256 {}\nstate {}\n",
        shown.filename,
        shown.id,
        shown.verdict.as_str(),
        if shown.open { " (waits for a person)" } else { "" },
        shown.at,
        shown.policy,
        shown.cause,
        shown.sha256,
        shown.state.as_str(),
    );
    for reason in &shown.reasons {
        let _ = writeln!(out, "because {}: {}", reason.rule, plain(&reason.text));
    }
    for text in &shown.degraded {
        let _ = writeln!(out, "left out: {}", plain(text));
    }
    for found in &shown.findings {
        let finding = &found.finding;
        let shadow = if found.shadow { " (shadow)" } else { "" };
        let (check, version, severity, confidence) =
            (&finding.check, finding.version, finding.severity, finding.confidence);
        let _ = writeln!(out, "\n{check}@{version}{shadow}: {severity:?} severity, {confidence:?} confidence");
        if let Some(place) = &finding.location {
            let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
            let layer =
                if place.layer.is_empty() { String::new() } else { format!(" in {}", place.layer.join(" in ")) };
            let _ = writeln!(out, "  at {}{line}{}", plain(&place.member), plain(&layer));
        }
        let _ = writeln!(out, "  {}", plain(&finding.why));
        for text in [Some(&finding.excerpt), finding.decoded.as_ref()].into_iter().flatten().filter(|t| !t.is_empty()) {
            let _ = writeln!(out, "  | {}", plain(text));
        }
        if !finding.tags.is_empty() {
            let _ = writeln!(out, "  {}", plain(&finding.tags.join(" ")));
        }
    }
    for row in &shown.decisions {
        let reverses = row.reverses.map(|id| format!(", reverses {id}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "\ndecision {}: {} by {}, {} to {}, {}{reverses}: {}",
            row.id,
            row.decision.as_str(),
            row.actor,
            row.from,
            row.to,
            row.at,
            row.reason
        );
    }
    out
}

async fn replay(installation: &Installation, index: &IndexName, text: Option<String>) -> Result<String> {
    let policy = match text {
        Some(text) => Policy::parse(&text).map_err(|error| Error::Invalid(format!("the policy: {error}")))?,
        None => Policy::clone(&installation.settings.policy),
    };
    let done = verdict_verbs::replay(installation, index, &policy).await?;
    let mut out = format!(
        "{}: of {} files would have held {}, of which {} right, {} wrong, {} undecided; {} to review; {} missed\n",
        done.policy, done.files, done.held, done.right, done.wrong, done.undecided, done.review, done.missed
    );
    for (filename, was, would) in &done.changed {
        let _ = writeln!(out, "{filename}\t{}\t{}", was.as_str(), would.as_str());
    }
    Ok(out)
}

async fn reinspect(installation: &Installation, index: &IndexName, status: bool) -> Result<String> {
    if !status {
        verdict_verbs::reinspect(installation, index, &Actor::Operator).await?;
        return Ok("begun\n".to_owned());
    }
    Ok(match verdict_verbs::reinspection(installation, index).await? {
        None => "none under way\n".to_owned(),
        Some((done, found)) => format!("{done} files inspected again, {found} with something new\n"),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a millisecond is shown")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn evaluation(found: &check_verbs::Evaluation) -> String {
    let mut out = format!(
        "{} files, {} without an answer, {} ms together (of that {:.1} ms to read them, for all checks), p50 {} ms, \
         p99 {} ms\n",
        found.files,
        found.failed,
        found.total_ms,
        millis(found.reading_us),
        found.p50_ms,
        found.p99_ms
    );
    for (check, trial) in &found.checks {
        let check_verbs::Trial { fired, findings, held, right, wrong, undecided, missed, cost_us, cost_us_max } =
            *trial;
        let (cost, most) = (millis(cost_us), millis(cost_us_max));
        let _ = writeln!(
            out,
            "{check}\tfired in {fired} ({findings} findings)\twould have held {held}, of which {right} right, \
             {wrong} wrong, {undecided} undecided\tmissed {missed}\t{cost:.1} ms together, at most {most:.1} ms"
        );
    }
    out
}

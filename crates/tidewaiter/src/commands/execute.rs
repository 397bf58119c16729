//! From a [`Request`] to a verb and back to text. The operator is the actor: whoever can read the data folder.

use std::fmt::Write;
use std::sync::Arc;

use index::model::{Actor, IndexName};
use index::ops::projects::Target;
use index::ops::{accounts, indexes, log, projects, scrub};
use index::store::attestations::Bound;
use index::{Error, Installation, Result};
use packaging::NormalizedName;
use packaging::simple::time_text;

use super::{doctor, inspection, tuf};
use crate::control::{Answer, Request, Which};

const OPERATOR: &str = "operator";

/// Does what was asked. `progress` is told how much was done of what takes long: a number that grows.
pub(crate) async fn execute(
    installation: &Arc<Installation>,
    request: Request,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Answer {
    match attempt(installation, request, progress).await {
        Ok((output, code)) => Answer { output, error: None, code },
        Err(error) => Answer { output: String::new(), error: Some(error.to_string()), code: 1 },
    }
}

async fn attempt(
    installation: &Arc<Installation>,
    request: Request,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(String, u8)> {
    let done = |text: String| Ok((text, 0));
    match request {
        Request::UserCreate { name, email, role, password } => {
            let role = role.map(|role| role.parse()).transpose().map_err(Error::Invalid)?;
            accounts::create(installation, &name, &email, password.as_deref(), role, OPERATOR).await?;
            done(String::new())
        }
        Request::IndexCreate { name, profile } => {
            let profile = profile.parse().map_err(Error::Invalid)?;
            indexes::create(installation, &index(&name)?, profile, OPERATOR).await?;
            done(String::new())
        }
        Request::IndexList { only } => list_indexes(installation, only.as_deref()).await.and_then(done),
        Request::TokenCreate { index: name, user, projects, expires_seconds } => {
            let names: Result<Vec<_>> = projects.iter().map(|text| project(text)).collect();
            let token =
                accounts::create_token(installation, &index(&name)?, &user, &names?, expires_seconds, OPERATOR).await?;
            done(format!("{token}\n"))
        }
        Request::TokenList { index: name } => list_tokens(installation, &index(&name)?).await.and_then(done),
        Request::TokenRevoke { index: name, id } => {
            accounts::revoke_token(installation, &index(&name)?, &id, OPERATOR).await?;
            done(String::new())
        }
        Request::Yank { index: name, which, on } => {
            let reason = on.then(|| which.reason.clone().unwrap_or_default());
            let (project, target) = (project(&which.project)?, target(&which)?);
            projects::yank(installation, &index(&name)?, &project, &target, reason.as_deref(), &Actor::Operator)
                .await?;
            done(String::new())
        }
        Request::Remove { index: name, which } => {
            let (project, target) = (project(&which.project)?, target(&which)?);
            let reason = which.reason.as_deref();
            let count =
                projects::remove(installation, &index(&name)?, &project, &target, reason, &Actor::Operator).await?;
            done(format!("{count} removed\n"))
        }
        Request::Status { index: name, project: of, status, reason } => {
            let status = status.parse().map_err(|e: packaging::status::UnknownStatus| Error::Invalid(e.to_string()))?;
            let (index, project) = (index(&name)?, project(&of)?);
            projects::set_status(installation, &index, &project, status, reason.as_deref(), &Actor::Operator).await?;
            done(String::new())
        }
        Request::Role { index: name, project: of, user, role } => {
            let role = role.map(|role| role.parse()).transpose().map_err(Error::Invalid)?;
            projects::set_role(installation, &index(&name)?, &project(&of)?, &user, role, &Actor::Operator).await?;
            done(String::new())
        }
        Request::Publisher { index: name, project: of, change } => {
            publishers(installation, &index(&name)?, &project(&of)?, change).await.and_then(done)
        }
        Request::LogKeys { index: name, new_witness } => {
            log_keys(installation, &index(&name)?, new_witness).await.and_then(done)
        }
        Request::LogName { index: name, project: of, whom, erase } => {
            log_name(installation, &index(&name)?, &project(&of)?, &whom, erase).await.and_then(done)
        }
        Request::Scrub { index: only } => run_scrub(installation, only.as_deref(), progress).await,
        Request::Doctor => doctor::examine(installation).await,
        Request::Inspection(ask) => inspection::attempt(installation, ask).await,
        Request::Tuf(ask) => tuf::attempt(installation, ask).await,
    }
}

pub(super) fn index(text: &str) -> Result<IndexName> {
    text.parse().map_err(Error::Invalid)
}

fn project(text: &str) -> Result<NormalizedName> {
    text.parse().map_err(|_| Error::Invalid(format!("'{text}' is no project name.")))
}

fn target(which: &Which) -> Result<Target> {
    match (&which.version, &which.file) {
        (_, Some(file)) => Ok(Target::File(file.clone())),
        (Some(version), None) => {
            Ok(Target::Release(version.parse().map_err(|_| Error::Invalid(format!("'{version}' is no version.")))?))
        }
        (None, None) => Ok(Target::Project),
    }
}

/// The keys of the log and of the witness, the latter made anew where that is asked.
async fn log_keys(installation: &Installation, index: &IndexName, new_witness: bool) -> Result<String> {
    if new_witness {
        log::witness::replace(installation, index, OPERATOR).await?;
    }
    let (log, witness) = log::witness::keys(installation, index).await?;
    Ok(format!("log {log}\nwitness {witness}\n"))
}

/// Shows whom a project's entries speak of, or makes it unknowable.
async fn log_name(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    whom: &log::Whom,
    erase: bool,
) -> Result<String> {
    if erase {
        log::erase(installation, index, project, whom, OPERATOR).await?;
        return Ok(String::new());
    }
    let log::Mapping { pseudonym, commitment, salt, identity } =
        log::mapping(installation, index, project, whom).await?;
    Ok(format!("account {pseudonym} {commitment}\nsalt {salt}\nidentity {identity}\n"))
}

/// Binds a publisher, takes a binding back, or lists them.
async fn publishers(
    installation: &Installation,
    index: &IndexName,
    project: &NormalizedName,
    change: Option<(attest::Publisher, bool)>,
) -> Result<String> {
    if let Some((publisher, on)) = change {
        projects::set_publisher(installation, index, project, publisher, on, &Actor::Operator).await?;
        return Ok(String::new());
    }
    let bound = projects::publishers(installation, index, project, &Actor::Operator).await?;
    let line = |row: &Bound| format!("{}\tbound {} by {}\n", row.publisher, time_text(row.created_us), row.created_by);
    Ok(bound.iter().map(line).collect())
}

async fn list_indexes(installation: &Installation, only: Option<&str>) -> Result<String> {
    let mut out = String::new();
    for row in indexes::list(installation).await? {
        let name = row.name();
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        let _ = writeln!(
            out,
            "{name}\t{}\tserial {}\tat {}/\tmade {}",
            row.profile().as_str(),
            row.serial,
            name.url_prefix(),
            time_text(row.created_us)
        );
    }
    match only {
        Some(only) if out.is_empty() => Err(Error::NotFound(format!("There is no index '{only}'."))),
        _ => Ok(out),
    }
}

async fn list_tokens(installation: &Installation, index: &IndexName) -> Result<String> {
    let mut out = String::new();
    for row in accounts::tokens(installation, index).await? {
        let end = match (row.revoked_us, row.expires_us) {
            (Some(at), _) => format!("revoked {}", time_text(at)),
            (None, Some(at)) => format!("expires {}", time_text(at)),
            (None, None) => "no end".to_owned(),
        };
        let scope = row.projects.unwrap_or_else(|| "all projects".into());
        let _ = writeln!(out, "{}\t{}\t{scope}\tmade {}\t{end}", row.id, row.account, time_text(row.created_us));
    }
    Ok(out)
}

async fn run_scrub(
    installation: &Arc<Installation>,
    only: Option<&str>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(String, u8)> {
    let (mut out, mut sound, mut before) = (String::new(), true, 0);
    let mut found = only.is_none();
    for row in indexes::list(installation).await? {
        let name = row.name();
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        found = true;
        let mut done = scrub::Scrubbed::default();
        let mut tell = |now: scrub::Scrubbed| {
            done = now;
            progress(before + now.files + now.projects);
        };
        let wrong = scrub::scrub(installation, &row, &mut tell).await?;
        before += done.files + done.projects;
        sound &= wrong.is_empty();
        for sentence in &wrong {
            let _ = writeln!(out, "{name}: {sentence}");
        }
        let _ = writeln!(out, "{name}: {} files, {} wrong", done.files, wrong.len());
    }
    if !found {
        return Err(Error::NotFound(format!("There is no index '{}'.", only.unwrap_or_default())));
    }
    Ok((out, u8::from(!sound)))
}

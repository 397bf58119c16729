//! `check`: what an upload would be told, offline. The same code as an upload, over an empty ledger that lives for
//! the length of the command.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use index::Installation;
use index::model::IndexName;
use index::ops::indexes;
use index::ops::upload::{Upload, check, receive};
use index::policy::upload::{Form, in_order, too_large};
use inspect::{Request, Response, Sandbox, Subject};
use packaging::{DistFilename, Rejection, Rule};
use serde_json::json;

use crate::cli::{Format, Place};
use crate::settings::Settings;
use crate::{place, say};

pub(super) async fn run(files: &[PathBuf], archive_only: bool, profile: &str, format: Format) -> Result<ExitCode> {
    let scratch = Scratch::new()?;
    let place = Place { data: Some(scratch.0.clone()), config: None };
    let mut settings = Settings::load(&place, None)?;
    settings.ledger_url = None;
    let program = std::env::current_exe().context("cannot find this program")?;
    let sandbox = Arc::new(Sandbox::start(program, settings.sandbox)?);
    let installation = place::open(&settings, Some(Arc::clone(&sandbox))).await?;
    let checked: IndexName = "checked".parse().map_err(anyhow::Error::msg)?;
    indexes::create(&installation, &checked, profile.parse().map_err(anyhow::Error::msg)?, "check").await?;
    let mut code = 0;
    for path in files {
        let outcome = match place::open_file(path) {
            Ok(folder) if folder.metadata()?.is_dir() => Err(anyhow::anyhow!("it is no file")),
            Ok(file) if archive_only => archive(&installation, &sandbox, file),
            Ok(file) => distribution(&installation, &checked, path, file).await,
            Err(error) => Err(error),
        };
        code = code.max(report(path, outcome, format)?);
    }
    installation.store.close().await;
    Ok(ExitCode::from(code))
}

/// Framing and content of the archive alone.
fn archive(installation: &Installation, sandbox: &Sandbox, file: File) -> Result<Vec<Rejection>> {
    let limits = installation.settings.archive.clone();
    Ok(match sandbox.run(&file, Request::Rules { subject: Subject::AnyArchive, limits }) {
        Ok(Response::Rules(report)) => report.rejections,
        Ok(_) => anyhow::bail!("the sandbox answered another question"),
        Err(inspect::Failure::Unavailable(why)) => anyhow::bail!("the sandbox is not available: {why}"),
        Err(failure) => vec![Rejection::new(Rule::InspectionFailed, failure.to_string())],
    })
}

/// The whole upload, with the form that a client would send.
async fn distribution(
    installation: &Arc<Installation>,
    index: &IndexName,
    path: &Path,
    mut file: File,
) -> Result<Vec<Rejection>> {
    let row = indexes::list(installation)
        .await?
        .into_iter()
        .find(|row| row.name() == *index)
        .context("the index was just made")?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut receiving = receive(installation, &row)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        if receiving.size() + n as u64 > installation.settings.file_bytes_max {
            return Ok(vec![too_large(None, &installation.settings)]);
        }
        receiving.write(&buffer[..n])?;
    }
    let wheel = matches!(filename.parse(), Ok(DistFilename::Wheel(_))) || filename.ends_with(".whl");
    let form = Form {
        filetype: Some(if wheel { "bdist_wheel" } else { "sdist" }.into()),
        pyversion: Some(if wheel { "py3" } else { "source" }.into()),
        sha256: Some(receiving.sha256_so_far()),
        ..Form::default()
    };
    let upload = Upload { form, filename, content_type: None, body: Some(receiving) };
    Ok(in_order(check(installation, &row, None, upload).await?))
}

fn report(path: &Path, outcome: Result<Vec<Rejection>>, format: Format) -> Result<u8> {
    // A line is a result: a name must not make another of its own.
    let shown = say::one_line(&path.to_string_lossy());
    let (text, code) = match (&outcome, format) {
        (Err(error), _) => {
            say::warn(format_args!("tidewaiter: {shown}: {error:#}"));
            return Ok(2);
        }
        (Ok(rejections), Format::Json) => {
            let list: Vec<_> = rejections
                .iter()
                .map(|r| json!({ "rule": r.rule.id(), "message": r.message, "help": r.rule.row().help }))
                .collect();
            let line = json!({ "file": path.to_string_lossy(), "accepted": rejections.is_empty(), "rejections": list });
            (format!("{line}\n"), !rejections.is_empty())
        }
        (Ok(rejections), Format::Text) if rejections.is_empty() => (format!("{shown}: accepted\n"), false),
        (Ok(rejections), Format::Text) => {
            let lines: String = rejections.iter().map(|rejection| format!("  {rejection}\n")).collect();
            (format!("{shown}: refused\n{lines}"), true)
        }
    };
    super::print(&text)?;
    Ok(u8::from(code))
}

/// A folder that goes when the command does.
struct Scratch(PathBuf);

impl Scratch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a dry run has no data folder; its scratch must not stand in the user's"
    )]
    fn new() -> Result<Self> {
        let name = packaging::hash::hex(&index::clock::Entropy::system().bytes::<8>());
        let path = std::env::temp_dir().join(format!("tidewaiter-check-{name}"));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

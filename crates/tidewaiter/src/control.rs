//! How a command reaches a running server: one JSON request and one JSON answer over a socket in the data folder, and
//! before the answer, of what takes long, lines that hold a number: how much was done so far.
//! The same [`Request`] is executed in the command's own process when no server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use index::Installation;
use index::keys::Passphrase;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::cli::Format;
use crate::commands::execute;
use crate::place::control_path;

/// Largest request, in bytes, and how long it may take to come.
/// The largest are signing events: the delegations of 16,384 classic bins, of two versions, take 6 MB.
const REQUEST_BYTES_MAX: u64 = 64 << 20;
const REQUEST_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// Largest answer, in bytes.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// What an operator asks of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    UserCreate { name: String, email: String, role: Option<String>, password: Option<String> },
    IndexCreate { name: String, profile: String },
    IndexList { only: Option<String> },
    TokenCreate { index: String, user: String, projects: Vec<String>, expires_seconds: Option<i64> },
    TokenList { index: String },
    TokenRevoke { index: String, id: String },
    Yank { index: String, which: Which, on: bool },
    Remove { index: String, which: Which },
    Status { index: String, project: String, status: String, reason: Option<String> },
    Role { index: String, project: String, user: String, role: Option<String> },
    Publisher { index: String, project: String, change: Option<(attest::Publisher, bool)> },
    Scrub { index: Option<String> },
    Doctor,
    Inspection(Ask),
    Tuf(TufAsk),
    LogKeys { index: String, new_witness: bool },
    LogName { index: String, project: String, whom: index::ops::log::Whom, erase: bool },
}

/// What an operator asks about the signed repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TufAsk {
    Status {
        index: Option<String>,
    },
    Propose {
        index: String,
        change: index::ops::ceremony::Change,
    },
    Submit {
        index: String,
        events: Vec<String>,
        profile: Option<index::ops::ceremony::Profile>,
    },
    /// `key` is the text of the standby's file.
    UseStandby {
        index: String,
        key: String,
        passphrase: Option<Passphrase>,
    },
    Recover {
        index: String,
        good: u64,
        folder: Option<PathBuf>,
        paper: Option<String>,
        hold_new: bool,
        change: index::ops::ceremony::Recover,
    },
    AuditOutline {
        index: String,
    },
    AuditBins {
        index: String,
        from: u32,
        to: u32,
    },
    AuditProjects {
        index: String,
        after: String,
    },
    AuditPage {
        index: String,
        project: String,
    },
    AuditLog {
        index: String,
        from: u64,
        to: u64,
    },
    /// `init --profile dev`: nothing to do where it is dev, and no way back where it is not.
    InitDev {
        index: String,
    },
}

impl TufAsk {
    /// Whether the answer may be an event that people must sign.
    pub(crate) fn may_ask_people(&self) -> bool {
        match self {
            Self::Propose { .. } | Self::Submit { .. } | Self::Recover { .. } => true,
            Self::Status { .. }
            | Self::UseStandby { .. }
            | Self::AuditOutline { .. }
            | Self::AuditBins { .. }
            | Self::AuditProjects { .. }
            | Self::AuditPage { .. }
            | Self::AuditLog { .. }
            | Self::InitDev { .. } => false,
        }
    }
}

/// What an operator asks about the inspection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Verdicts { index: String, open: bool, long: bool, limit: i64 },
    Verdict { index: String, which: String, format: Format },
    Decide { index: String, which: String, decision: String, reason: Option<String> },
    Replay { index: String, policy: Option<String> },
    Reinspect { index: String, status: bool },
    Checks,
    SetCheck { check: String, state: String },
    Evaluate { index: String, check: Option<String>, sample: Option<u64>, format: Format },
    Jobs { index: String },
    RetryJobs { index: String, id: Option<i64> },
}

impl Request {
    /// Whether it opens archives, so that a process of its own needs a sandbox for it.
    pub(crate) fn needs_sandbox(&self) -> bool {
        // Which rules there are is known to the sandbox alone.
        matches!(
            self,
            Self::Doctor
                | Self::Inspection(
                    Ask::Evaluate { .. }
                        | Ask::Checks
                        | Ask::SetCheck { .. }
                        | Ask::Reinspect { .. }
                        | Ask::Replay { .. }
                )
        )
    }
}

/// Which files of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Which {
    pub(crate) project: String,
    pub(crate) version: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) reason: Option<String>,
}

/// What comes back: text for standard output, or a sentence for standard error, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) output: String,
    pub(crate) error: Option<String>,
    pub(crate) code: u8,
}

/// Binds the socket. The lock on the folder is held, so whatever stands there is a dead server's.
pub(crate) fn bind(data: &Path) -> Result<UnixListener> {
    let path = data.join("control.sock");
    let _ = std::fs::remove_file(&path);
    let (near, _folder) = control_path(data)?;
    let listener = UnixListener::bind(&near).with_context(|| format!("cannot bind {}", path.display()))?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, owner_only).context("cannot protect the control socket")?;
    Ok(listener)
}

/// Answers commands for ever.
pub(crate) async fn serve(listener: UnixListener, installation: Arc<Installation>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let installation = Arc::clone(&installation);
        tokio::spawn(async move {
            if let Err(error) = answer(stream, &installation).await {
                tracing::warn!(%error, "a command broke off");
            }
        });
    }
}

async fn answer(mut stream: UnixStream, installation: &Arc<Installation>) -> Result<()> {
    let mut text = Vec::new();
    let mut bounded = (&mut stream).take(REQUEST_BYTES_MAX);
    tokio::time::timeout(REQUEST_TIME_MAX, bounded.read_to_end(&mut text)).await??;
    let request: Request = serde_json::from_slice(&text)?;
    let (tell, mut told) = watch::channel(0);
    let answer = {
        let mut progress = |done| {
            tell.send_replace(done);
        };
        let mut work = std::pin::pin!(execute(installation, request, &mut progress));
        loop {
            tokio::select! {
                answer = &mut work => break answer,
                Ok(()) = told.changed() => {
                    let line = format!("{}\n", *told.borrow_and_update());
                    // What was asked for is done, also when nobody looks on any more.
                    let _ = stream.write_all(line.as_bytes()).await;
                }
            }
        }
    };
    stream.write_all(&serde_json::to_vec(&answer)?).await?;
    Ok(stream.shutdown().await?)
}

/// Asks a running server; `progress` is told how far it came.
pub(crate) async fn ask(data: &Path, request: &Request, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Answer> {
    let (near, _folder) = control_path(data)?;
    let mut stream = None;
    // A server that has the lock but not yet the socket is starting.
    for _ in 0..100 {
        match UnixStream::connect(&near).await {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    let mut stream = stream.context("a server holds the data folder but does not answer on its control socket")?;
    stream.write_all(&serde_json::to_vec(request)?).await?;
    stream.shutdown().await?;
    let mut stream = tokio::io::BufReader::new(stream.take(MESSAGE_BYTES_MAX));
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().parse() {
            Ok(done) => progress(done),
            Err(_) => return serde_json::from_str(&line).context("the server broke off before it answered"),
        }
    }
}

//! Configuration as meant: every value checked, none optional that need not be.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest::TrustRoot;

use anyhow::{Context, Result, bail};
use inspect::{Limits, SandboxLimits};
use web::WebSettings;

use index::external::{self, OUTSIDE_BYTES_MAX, Outside};
use index::policy::verdict::{POLICY_BYTES_MAX, Policy};
use index::{BITS_MAX, Backlog, Bins, CLASSIC_BITS_MAX, Gate, Shape};

use crate::cli::Place;
use crate::config::Values;
use crate::purge::Purge;
use crate::witnesses::{self, Witnesses};

/// Everything a command needs to find and run an installation.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) ledger_url: Option<String>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) log_json: Option<bool>,
    pub(crate) log_level: String,
    /// What opens the private keys of the data folder.
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) sandbox: SandboxLimits,
    /// The folder of the operator's rules.
    pub(crate) yara: Option<PathBuf>,
    pub(crate) index: index::Settings,
    pub(crate) web: WebSettings,
    pub(crate) purge: Purge,
    /// Who cosigns the logs.
    pub(crate) witnesses: Witnesses,
}

impl Settings {
    /// From file, environment and flags.
    pub(crate) fn load(place: &Place, listen: Option<SocketAddr>) -> Result<Self> {
        let mut values = Values::read(place.config.as_deref(), std::env::vars())?;
        if let Some(data) = &place.data {
            values.set("data", data.to_string_lossy().into_owned());
        }
        if let Some(listen) = listen {
            values.set("server.listen", listen.to_string());
        }
        Self::from_values(&values)
    }

    fn from_values(values: &Values) -> Result<Self> {
        let tls = match (values.optional("server.tls_certificate"), values.optional("server.tls_key")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => bail!("'server.tls_certificate' and 'server.tls_key' go together"),
        };
        let archive = Limits {
            members_max: values.number("archive.members"),
            unpacked_bytes_max: values.bytes("archive.unpacked"),
            ratio_max: values.number("archive.ratio"),
            ..Limits::default()
        };
        Ok(Self {
            data: values.text("data").into(),
            listen: values.text("server.listen").parse().context("'server.listen' must be an address and a port")?,
            ledger_url: ledger_url(values)?,
            tls,
            log_json: log_json(values)?,
            log_level: values.text("log.level").to_owned(),
            passphrase_file: values.optional("tuf.passphrase_file").map(PathBuf::from),
            sandbox: SandboxLimits {
                memory_bytes_max: values.bytes("sandbox.memory"),
                cpu_seconds_max: values.time_ms("sandbox.cpu_time") / 1_000,
                wall_ms_max: values.time_ms("sandbox.wall_time"),
            },
            yara: values.optional("inspection.yara").map(PathBuf::from),
            index: index::Settings {
                upload_wait_ms: values.time_ms("upload.wait"),
                file_bytes_max: values.bytes("upload.file_size"),
                project_bytes_max: values.bytes("upload.project_size"),
                release_open_seconds: values.time_ms("upload.release_open") / 1_000,
                gate: gate(values)?,
                inspection_budget_ms: values.time_ms("inspection.budget"),
                backlog: backlog(values)?,
                inspections_waiting_max: values.number("inspection.queue"),
                reinspect_every_seconds: values.time_ms("inspection.reinspect_every") / 1_000,
                policy: Arc::new(match values.optional("inspection.policy") {
                    None => Policy::built_in(),
                    Some(path) => read_policy(path.as_ref()).context("'inspection.policy'")?,
                }),
                external: match values.optional("inspection.external") {
                    None => Arc::new([]),
                    Some(path) => read_external(path.as_ref()).context("'inspection.external'")?.into(),
                },
                archive,
                passes_max: values.number("sandbox.parallel") as usize,
                allow_weak_sandbox: values.flag("sandbox.allow_weak"),
                uploads: values.flag("upload.enabled"),
                public_url: public_url(values)?,
                trust_root: trust_root(values.text("attestations.trusted_root"))?,
                watched: witnesses::watched(values)?,
                bins: bins(values)?,
                superseded_seconds: values.time_ms("tuf.superseded") / 1_000,
            },
            web: WebSettings {
                file_shared_seconds: values.time_ms("server.file_shared_time") / 1_000,
                page_shared_seconds: values.time_ms("server.page_shared_time") / 1_000,
                cache_bytes_max: values.bytes("server.cache"),
                drain_bytes_max: values.bytes("server.drain"),
                read_timeout_seconds: values.time_ms("server.read_timeout") / 1_000,
            },
            purge: Purge::from_values(values)?,
            witnesses: Witnesses::from_values(values)?,
        })
    }
}

fn gate(values: &Values) -> Result<Gate> {
    Ok(match values.text("inspection.gate") {
        "before" => Gate::Before,
        "after" => Gate::After,
        other => bail!("'inspection.gate' = '{other}' is none of before, after"),
    })
}

fn backlog(values: &Values) -> Result<Backlog> {
    Ok(match values.text("inspection.backlog") {
        "hold" => Backlog::Hold,
        "publish" => Backlog::Publish,
        other => bail!("'inspection.backlog' = '{other}' is none of hold, publish"),
    })
}

fn ledger_url(values: &Values) -> Result<Option<String>> {
    let url = values.optional("ledger.url");
    let known = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
    // What a wrong one is stays unsaid: it may hold a password.
    if url.as_ref().is_some_and(|url| !known(url)) {
        bail!("'ledger.url' must start with postgres:// or postgresql://; without it the ledger is SQLite");
    }
    Ok(url)
}

fn public_url(values: &Values) -> Result<Option<String>> {
    let url = values.optional("server.public_url").map(|url| url.trim_end_matches('/').to_owned());
    if let Some(url) = url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        bail!("'server.public_url' = '{url}' must start with http:// or https://");
    }
    Ok(url)
}

/// Longest trusted root, in bytes. The public-good one has 7 kB.
const TRUST_ROOT_BYTES_MAX: u64 = 1 << 20;

fn trust_root(text: &str) -> Result<Option<Arc<TrustRoot>>> {
    let path = match text {
        "off" => return Ok(None),
        "public-good" => return Ok(Some(Arc::new(TrustRoot::public_good()))),
        path => Path::new(path),
    };
    let read = || -> Result<TrustRoot> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(TRUST_ROOT_BYTES_MAX).read_to_string(&mut text)?;
        Ok(TrustRoot::from_json(&text)?)
    };
    let root = read().with_context(|| format!("'attestations.trusted_root' = '{}'", path.display()))?;
    Ok(Some(Arc::new(root)))
}

fn log_json(values: &Values) -> Result<Option<bool>> {
    Ok(match values.text("log.format") {
        "auto" => None,
        "json" => Some(true),
        "text" => Some(false),
        other => bail!("'log.format' = '{other}' is none of auto, text, json"),
    })
}

fn bins(values: &Values) -> Result<Bins> {
    let (shape, bits_max) = match values.text("tuf.shape") {
        "succinct" => (Shape::Succinct, BITS_MAX),
        "classic" => (Shape::Classic, CLASSIC_BITS_MAX),
        other => bail!("'tuf.shape' = '{other}' is none of succinct, classic"),
    };
    let count = values.number("tuf.bins");
    let bits = count.checked_ilog2().filter(|bits| count.is_power_of_two() && (1..=bits_max).contains(bits));
    let bits = bits.with_context(|| format!("'tuf.bins' = {count} is no power of two from 2 to {}", 1 << bits_max))?;
    Ok(Bins { shape, bits })
}

/// The text of a policy, within its limit.
pub(crate) fn policy_text(path: &Path) -> Result<String> {
    text_of(path, POLICY_BYTES_MAX)
}

fn read_external(path: &Path) -> Result<Vec<Outside>> {
    external::parse(&text_of(path, OUTSIDE_BYTES_MAX)?).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// At most one byte more than may be: whoever reads it says so.
fn text_of(path: &Path, bytes_max: usize) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut text = String::new();
    let most = bytes_max as u64 + 1;
    file.take(most).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

/// A policy, as a file has it.
pub(crate) fn read_policy(path: &Path) -> Result<Policy> {
    Policy::parse(&policy_text(path)?).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

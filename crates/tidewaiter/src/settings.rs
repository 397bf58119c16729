//! Configuration as meant: every value checked, none optional that need not be.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use inspect::{Limits, SandboxLimits};
use web::WebSettings;

use crate::cli::Place;
use crate::config::Values;

/// Everything a command needs to find and run an installation.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) ledger_url: Option<String>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) log_json: Option<bool>,
    pub(crate) log_level: String,
    pub(crate) sandbox: SandboxLimits,
    pub(crate) index: index::Settings,
    pub(crate) web: WebSettings,
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
        let public_url = values.optional("server.public_url").map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = public_url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            bail!("'server.public_url' = '{url}' must start with http:// or https://");
        }
        let archive = Limits {
            members_max: values.number("archive.members"),
            unpacked_bytes_max: values.bytes("archive.unpacked"),
            ratio_max: values.number("archive.ratio"),
            ..Limits::default()
        };
        Ok(Self {
            data: values.text("data").into(),
            listen: values.text("server.listen").parse().context("'server.listen' must be an address and a port")?,
            ledger_url: values.optional("ledger.url"),
            tls,
            log_json: match values.text("log.format") {
                "auto" => None,
                "json" => Some(true),
                "text" => Some(false),
                other => bail!("'log.format' = '{other}' is none of auto, text, json"),
            },
            log_level: values.text("log.level").to_owned(),
            sandbox: SandboxLimits {
                memory_bytes_max: values.bytes("sandbox.memory"),
                cpu_seconds_max: (values.time_ms("sandbox.cpu_time") / 1_000).max(1),
                wall_ms_max: values.time_ms("sandbox.wall_time"),
            },
            index: index::Settings {
                upload_wait_ms: values.time_ms("upload.wait"),
                file_bytes_max: values.bytes("upload.file_size"),
                project_bytes_max: values.bytes("upload.project_size"),
                release_open_seconds: values.time_ms("upload.release_open") / 1_000,
                archive,
                passes_max: values.number("sandbox.parallel").max(1) as usize,
                allow_weak_sandbox: values.flag("sandbox.allow_weak"),
                uploads: values.flag("upload.enabled"),
                public_url,
            },
            web: WebSettings {
                page_shared_seconds: values.time_ms("server.page_shared_time") / 1_000,
                cache_bytes_max: values.bytes("server.cache"),
                drain_bytes_max: values.bytes("server.drain"),
                read_timeout_seconds: (values.time_ms("server.read_timeout") / 1_000).max(1),
            },
        })
    }
}

//! `tuf-client`: any TUF repository, on the command line that the public conformance suite drives.

use std::fs::{self, File};
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use client::{Fetcher, Patience, Session, Source, Store};
use index::clock::Clock;
use tuf::{Limits, Time, TrustedSet};
use url::Url;

use crate::cli::{TufClient, TufClientVerb};

pub(super) async fn run(options: TufClient) -> Result<ExitCode> {
    let TufClient { metadata_dir, metadata_url, target_name, target_base_url, target_dir, verb } = options;
    let store = Store::open(&metadata_dir).with_context(|| format!("cannot use {}", metadata_dir.display()))?;
    let (limits, now) = (Limits::default(), Time::from_seconds(Clock::system().now_us().div_euclid(1_000_000)));
    if let TufClientVerb::Init { root } = &verb {
        let mut bytes = Vec::new();
        let file = File::open(root).with_context(|| format!("cannot open {}", root.display()))?;
        file.take(limits.root_bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        TrustedSet::new(&bytes, now, limits)?;
        store.write("root", &bytes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let url = |text: Option<String>, option: &str| -> Result<Url> {
        let text = text.with_context(|| format!("{option} is missing"))?;
        Url::parse(&text).with_context(|| format!("{option} {text} is no URL"))
    };
    let metadata_url = url(metadata_url, "--metadata-url")?;
    // Before anything is asked for: what lacks an option changes nothing.
    let wanted = match verb {
        TufClientVerb::Init { .. } | TufClientVerb::Refresh => None,
        TufClientVerb::Download => {
            let base = url(target_base_url, "--target-base-url")?;
            let folder = target_dir.context("--target-dir is missing: say where to keep what is downloaded")?;
            if target_name.is_empty() {
                bail!("--target-name is missing: say what to download");
            }
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            Some((base, folder))
        }
    };
    let source = Arc::new(Source::new(metadata_url, Fetcher::new(None, Patience::default())?));
    let session = Session::start(&source, &store, now, limits).await?;
    if let Some((base, folder)) = wanted {
        for path in target_name {
            let Some(file) = session.target(&path).await? else { bail!("the repository has no target {path}") };
            session.download(&path, &file, &base, &folder).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

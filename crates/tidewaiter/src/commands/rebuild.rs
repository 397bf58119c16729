//! `rebuild`, with a progress bar.

use std::process::ExitCode;

use anyhow::{Result, bail};
use index::ops::{indexes, rebuild, workers};
use indicatif::{ProgressBar, ProgressStyle};

use crate::place::{self, Held, Lock};
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings, only: Option<&str>) -> Result<ExitCode> {
    place::must_exist(&settings.data)?;
    let Held::Ours(_lock) = Lock::for_command(&settings.data)? else {
        bail!("{} is being served; stop the server before a rebuild", settings.data.display());
    };
    let installation = place::open(settings, None).await?;
    // What was committed before is written first, so that the rebuild compares with the current serial.
    workers::drain_publications(&installation).await?;
    for left in workers::behind(&installation).await?.into_iter().filter(|left| left.version > 0) {
        super::warn(format_args!("{}: {} projects are rendered by this version first", left.index, left.version));
    }
    workers::finish_rendering(&installation).await?;
    let mut missing = false;
    let mut found = false;
    for row in indexes::list(&installation).await? {
        let name = row.name();
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        found = true;
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {msg} {pos} projects and files")?);
        bar.set_message(format!("rebuilding {name}:"));
        let report = rebuild::rebuild(&installation, &row, &mut |done| bar.set_position(done)).await?;
        bar.finish_and_clear();
        let rebuild::Rebuilt { unchanged, written, removed, moved, missing: gone } = report;
        super::print(&format!("{name}: {unchanged} unchanged, {written} written, {removed} removed, {moved} moved\n"))?;
        for filename in gone {
            missing = true;
            super::warn(format_args!("{name}: {filename}: its bytes are gone or damaged; restore them from a backup"));
        }
    }
    installation.store.close().await;
    if !found {
        bail!("there is no index '{}'", only.unwrap_or_default());
    }
    Ok(ExitCode::from(u8::from(missing)))
}

//! Pages and tables that are generated: `cargo xtask docs`, `cargo xtask classifiers`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::run;

/// Pages of `docs/` and the hidden command of the program that prints each.
const PAGES: &[(&str, &str)] = &[("docs/config.md", "config-docs"), ("docs/rules.md", "rules-docs")];

fn generated(command: &str) -> Result<Vec<u8>> {
    run::output(&mut run::cargo(&["run", "--quiet", "--locked", "-p", "tidewaiter", "--", command]))
}

pub(crate) fn write_pages() -> Result<ExitCode> {
    for (path, command) in PAGES {
        let page = generated(command)?;
        if page.is_empty() {
            bail!("`tidewaiter {command}` printed nothing; {path} was left as it is");
        }
        let path = run::root().join(path);
        fs::create_dir_all(path.parent().context("a page has a folder")?)?;
        fs::write(&path, page)?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages that exist and are not what the program prints now.
pub(crate) fn stale_pages() -> Result<Vec<(&'static str, String)>> {
    let mut stale = Vec::new();
    for (path, command) in PAGES {
        let Ok(written) = fs::read(run::root().join(path)) else { continue };
        if written != generated(command)? {
            stale.push((*path, format!("it is not what `tidewaiter {command}` prints")));
        }
    }
    Ok(stale)
}

const CLASSIFIERS: &str = "\
import importlib.metadata, trove_classifiers as t
print('# Trove classifiers, from the Python package trove-classifiers ' + importlib.metadata.version('trove-classifiers')
      + '. Regenerate with: cargo xtask classifiers')
print(\"# One a line; a deprecated one is followed by a tab and its replacements, separated by '|'.\")
rows = {name: name for name in t.classifiers}
rows.update({old: old + chr(9) + '|'.join(new) for old, new in t.deprecated_classifiers.items()})
print('\\n'.join(rows[name] for name in sorted(rows)))
";

pub(crate) fn write_classifiers() -> Result<ExitCode> {
    // An environment of an earlier run may hold an older one.
    let python = run::venv("trove-classifiers", &["trove-classifiers"])?;
    run::must(&mut run::program(&python, &["-m", "pip", "install", "--quiet", "--upgrade", "trove-classifiers"]))?;
    let table = run::output(&mut run::program(&python, &["-c", CLASSIFIERS]))?;
    if table.split(|byte| *byte == b'\n').count() < 500 {
        bail!("that table is too short to be the classifiers; nothing was written");
    }
    let path = run::root().join("crates/packaging/data/classifiers.txt");
    fs::write(&path, table)?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}

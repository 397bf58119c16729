//! Rules about crates: ours among each other, and what we take from others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Found;
use super::tree::Tree;
use crate::run;

/// DESIGN.md's graph: each crate of ours with those that it may name. What is not on it is an architecture
/// decision, with a page in docs/adr.
const GRAPH: &[(&str, &[&str])] = &[
    ("packaging", &[]),
    ("tuf", &[]),
    ("attest", &[]),
    ("tlog", &[]),
    ("events", &[]),
    ("archive", &["packaging"]),
    ("inspect", &["archive", "packaging"]),
    ("index", &["inspect", "archive", "packaging", "tuf", "attest", "tlog", "events"]),
    ("client", &["tuf", "attest", "tlog", "packaging"]),
    ("web", &["index", "inspect", "archive", "packaging", "tuf", "attest", "tlog", "events"]),
    ("tidewaiter", &["web", "client", "index", "inspect", "archive", "packaging", "tuf", "attest", "tlog", "events"]),
    ("xtask", &[]),
];

const LICENCES: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    // Copyleft by the file: we link such crates as they are and change none of their files.
    "MPL-2.0",
    // Of one crate, a translation of libbzip2; BSD in all but its name (ADR 0018).
    "bzip2-1.0.6",
];

const BANNED: &[&str] = &["openssl-sys", "openssl", "native-tls", "ring", "libgit2-sys", "curl-sys", "time"];

const ONE_VERSION: &[&str] =
    &["sqlx", "sqlx-core", "rustls", "axum", "axum-core", "tokio", "hyper", "http", "http-body", "bytes", "serde"];

/// Raised for the Python parser, which inspection stands on (ADR 0011), for operators' rules (ADR 0013), and for attestations
/// (ADR 0015).
const PACKAGES_MAX: usize = 420;

/// What cargo knows, for this machine's platform: other platforms' crates need not be here.
fn metadata() -> Result<Value> {
    let version = String::from_utf8(run::output(&mut run::program("rustc", &["-vV"]))?)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its platform")?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--quiet", "--filter-platform", host];
    Ok(serde_json::from_slice(&run::output(&mut run::cargo(&arguments))?)?)
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn ours(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|package| package["source"].is_null())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn one_way(_: &Tree) -> Result<Vec<Found>> {
    let metadata = metadata()?;
    let names: BTreeSet<&str> = ours(&metadata).map(|package| text(package, "name")).collect();
    let mut found = Vec::new();
    for package in ours(&metadata) {
        let name = text(package, "name");
        let manifest = format!("crates/{name}/Cargo.toml");
        let Some((_, may)) = GRAPH.iter().find(|(known, _)| *known == name) else {
            found.push(Found::new(manifest, 0, format!("`{name}` is not on the graph")));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let other = text(dependency, "name");
            if names.contains(other) && other != name && !may.contains(&other) {
                found.push(Found::new(&manifest, 0, format!("`{name}` may not depend on `{other}`")));
            }
        }
    }
    Ok(found)
}

pub(super) fn manifests(tree: &Tree) -> Result<Vec<Found>> {
    const LINES: [&str; 5] = [
        "edition.workspace = true",
        "rust-version.workspace = true",
        "license.workspace = true",
        "publish.workspace = true",
        "[lints]\nworkspace = true",
    ];
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml"))
    {
        // Fuzz targets are a workspace of their own, with a compiler of their own.
        if file.path.ends_with("/fuzz/Cargo.toml") {
            continue;
        }
        for line in LINES.iter().filter(|line| !file.text.contains(*line)) {
            found.push(Found::new(&file.path, 0, format!("lacks `{}`", line.replace('\n', " "))));
        }
    }
    Ok(found)
}

pub(super) fn licences(_: &Tree) -> Result<Vec<Found>> {
    let metadata = metadata()?;
    let mut found = Vec::new();
    for package in packages(&metadata) {
        let licence = text(package, "license");
        if !is_allowed(licence) {
            let name = format!("{} {}", text(package, "name"), text(package, "version"));
            found.push(Found::new("Cargo.lock", 0, format!("{name} is under '{licence}'")));
        }
    }
    Ok(found)
}

/// Whether an SPDX expression can be met with licences from the list; the older `A/B` means `A OR B`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (allowed, rest) = any_of(&words);
    allowed && rest.is_empty() && !words.is_empty()
}

fn any_of<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = all_of(words);
    while let ["OR", after @ ..] = rest {
        let (more, after) = all_of(after);
        (allowed, rest) = (allowed | more, after);
    }
    (allowed, rest)
}

fn all_of<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = one(words);
    while let ["AND", after @ ..] = rest {
        let (more, after) = one(after);
        (allowed, rest) = (allowed & more, after);
    }
    (allowed, rest)
}

fn one<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inside @ ..] => match any_of(inside) {
            (allowed, [")", rest @ ..]) => (allowed, rest),
            (_, rest) => (false, rest),
        },
        // An exception only ever adds to what is permitted.
        [name, "WITH", _, rest @ ..] | [name, rest @ ..] => (LICENCES.contains(name), rest),
        [] => (false, &[]),
    }
}

/// What is really compiled: the lock file also names what no chosen feature asks for.
fn compiled() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let arguments = ["tree", "--workspace", "--locked", "--quiet", "--edges", "normal,build,dev", "--prefix", "none"];
    let tree = String::from_utf8(run::output(&mut run::cargo(&arguments))?)?;
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree.lines() {
        if let [name, version, ..] = line.split_whitespace().collect::<Vec<_>>()[..] {
            versions.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    Ok(versions)
}

pub(super) fn banned(_: &Tree) -> Result<Vec<Found>> {
    let compiled = compiled()?;
    let there = BANNED.iter().filter(|name| compiled.contains_key(**name));
    Ok(there.map(|name| Found::new("Cargo.lock", 0, format!("`{name}`; see `cargo tree -i {name}`"))).collect())
}

pub(super) fn one_version(_: &Tree) -> Result<Vec<Found>> {
    let compiled = compiled()?;
    let mut found = Vec::new();
    for name in ONE_VERSION {
        if let Some(versions) = compiled.get(*name).filter(|versions| versions.len() > 1) {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            found.push(Found::new("Cargo.lock", 0, format!("`{name}` in {}", versions.join(" and "))));
        }
    }
    Ok(found)
}

pub(super) fn package_count(tree: &Tree) -> Result<Vec<Found>> {
    let Some(lock) = tree.get("Cargo.lock") else {
        return Ok(vec![Found::new("Cargo.lock", 0, "is not there: a program's dependencies are pinned")]);
    };
    let count = lock.text.lines().filter(|line| *line == "[[package]]").count();
    let many = format!("{count} packages, over {PACKAGES_MAX}");
    Ok(if count > PACKAGES_MAX { vec![Found::new("Cargo.lock", 0, many)] } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        for allowed in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Nope",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in ["", "GPL-3.0-only", "MIT AND GPL-2.0", "(MIT OR ISC", "MIT ISC"] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }

    #[test]
    fn the_graph_goes_one_way() {
        let below = |name: &str| GRAPH.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, may)| may);
        for (name, may) in GRAPH {
            for other in *may {
                assert!(!below(other).contains(name), "{name} and {other}");
                assert!(below(other).iter().all(|deeper| may.contains(deeper)), "{name} lacks what {other} has");
            }
        }
    }
}

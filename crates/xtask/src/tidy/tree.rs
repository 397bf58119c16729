//! The repository as the rules see it: every file that git tracks or would track.

use anyhow::{Context, Result};

use super::source::Source;
use crate::run;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, with `/`.
    pub(super) path: String,
    /// Its text; empty for what is no text.
    pub(super) text: String,
    /// How Rust reads it, for Rust.
    pub(super) rust: Option<Source>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

impl Tree {
    pub(super) fn read() -> Result<Self> {
        let root = run::root();
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let list = run::output(&mut run::program("git", &list)).context("the rules look at what git tracks")?;
        let mut files = Vec::new();
        for path in String::from_utf8(list)?.split('\0').filter(|path| !path.is_empty()) {
            // Deleted, but not yet for git.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            files.push(File::new(path, &String::from_utf8(bytes).unwrap_or_default()));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Rust files outside this crate, which must name what it forbids.
    pub(super) fn product(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.rust().filter(|(file, _)| !file.path.starts_with("crates/xtask/"))
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.rust.as_ref()?)))
    }
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs").then(|| Source::new(path, text));
        Self { path: path.to_owned(), text: text.to_owned(), rust }
    }

    /// Whether the path is this file, or below this folder (which ends in `/`).
    pub(super) fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || place.ends_with('/') && self.path.starts_with(place))
    }
}

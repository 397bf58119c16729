//! What a thief of the online key would do with it, and no signature shows: yank every good release, or make releases
//! vanish, so that installers fall back to an old and vulnerable one. The client remembers what it saw.

use std::collections::BTreeMap;

use packaging::filename::DistFilename;
use packaging::version::Version;
use serde::{Deserialize, Serialize};

use crate::page::PageFile;

/// How many releases must be lost at once to be a mass.
const MASS_RELEASES_MIN: usize = 3;

/// What is done about a page that offers much less than it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRegression {
    /// Nothing; nor is anything remembered.
    Off,
    /// It is said.
    #[default]
    Warn,
    /// It is refused, until another policy is chosen.
    Refuse,
}

/// What a page offered when it was last seen: releases that are not yanked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    offered: Vec<String>,
    /// How large the index's log was then; absent where it had none.
    #[serde(default)]
    pub(crate) log_size: Option<u64>,
}

impl Seen {
    /// What a page offers, and how large the log was that its timestamp named.
    pub fn new(files: &BTreeMap<String, PageFile>, log_size: Option<u64>) -> Self {
        let offered = files.iter().filter(|(_, file)| !file.is_yanked);
        let version = |name: &String| name.parse::<DistFilename>().ok().map(|name| name.version().clone());
        let mut versions: Vec<Version> = offered.filter_map(|(name, _)| version(name)).collect();
        versions.sort();
        versions.dedup();
        Self { offered: versions.iter().map(Version::to_string).collect(), log_size }
    }

    /// Every release that an earlier page offered and this one does not.
    pub fn gone(&self, before: &Self) -> Vec<String> {
        before.offered.iter().filter(|old| !self.has(old)).cloned().collect()
    }

    /// What this page lost against an earlier one that should give a person pause: its newest release, or three releases
    /// and half of all at once.
    pub fn lost(&self, before: &Self) -> Option<String> {
        let lost = self.gone(before);
        if lost.len() >= MASS_RELEASES_MIN && lost.len() * 2 >= before.offered.len() {
            let (count, all) = (lost.len(), before.offered.len());
            return Some(format!("{count} of the {all} releases that were seen before are yanked or gone"));
        }
        let newest = before.offered.last().filter(|newest| !self.has(newest))?;
        let is_newer = |now: &&String| match (now.parse::<Version>(), newest.parse::<Version>()) {
            (Ok(now), Ok(newest)) => now > newest,
            _ => false,
        };
        if self.offered.last().filter(is_newer).is_some() {
            // A release that was yanked after a newer one came: nobody falls back.
            return None;
        }
        Some(match self.offered.last() {
            Some(now) => format!("its newest release was {newest} and is now {now}"),
            None => format!("its newest release was {newest} and now it offers none"),
        })
    }

    fn has(&self, version: &str) -> bool {
        self.offered.iter().any(|offered| offered == version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(versions: &[&str]) -> Seen {
        Seen { offered: versions.iter().map(|version| (*version).to_owned()).collect(), log_size: None }
    }

    #[test]
    fn what_gives_pause() {
        let before = seen(&["1.0", "1.1", "1.2", "2.0"]);
        for (now, expected) in [
            (&["1.0", "1.1", "1.2", "2.0"][..], None),
            (&["1.0", "1.1", "1.2", "2.0", "2.1"], None),
            (&["1.0", "1.2", "2.0"], None),
            (&["1.0", "1.1", "1.2", "2.1"], None),
            (&["1.0", "1.1", "1.2"], Some("its newest release was 2.0 and is now 1.2")),
            (&["1.0", "1.1"], Some("its newest release was 2.0 and is now 1.1")),
            (&["1.0"], Some("3 of the 4 releases that were seen before are yanked or gone")),
            (&["3.0"], Some("4 of the 4 releases that were seen before are yanked or gone")),
        ] {
            assert_eq!(seen(now).lost(&before).as_deref(), expected, "{now:?}");
        }
        assert_eq!(
            seen(&[]).lost(&seen(&["1.0"])).as_deref(),
            Some("its newest release was 1.0 and now it offers none")
        );
    }

    #[test]
    fn yanked_releases_are_not_offered_and_versions_are_sorted_as_versions() {
        let file = |is_yanked| PageFile {
            sha256: packaging::hash::Sha256::new([0; 32]),
            size: 1,
            core_metadata: None,
            provenance: None,
            uploaded: String::new(),
            is_yanked,
        };
        let files = [("demo-1.10.tar.gz", false), ("demo-1.9-py3-none-any.whl", false), ("demo-2.0.tar.gz", true)];
        let files = files.into_iter().map(|(name, is_yanked)| (name.to_owned(), file(is_yanked))).collect();
        assert_eq!(Seen::new(&files, None), seen(&["1.9", "1.10"]));
    }
}

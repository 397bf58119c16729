//! What a thief of the online key would do with it, and no signature shows: hide every good release from installers, so
//! that they fall back to an old and vulnerable one, or put other bytes under a known name. The client remembers each file
//! that it saw on a page. What changed must stand in the index's log; what the log never holds must not change.

use std::collections::{BTreeMap, BTreeSet};

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

/// How a file stands on its page. The log has an entry for each change between these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Installers choose it.
    Offered,
    /// It is there for those who ask for its version.
    Yanked,
    /// It was there and is not. Its name is remembered, as no other file may ever bear it.
    Gone,
}

/// What is remembered of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeenFile {
    sha256: String,
    /// The digest of its core metadata, from which installers read what it needs and which Pythons it is for. The last one
    /// that was seen: who leaves it out sends installers to the file itself.
    metadata: Option<String>,
    /// `requires-python`: for all others the file is not there.
    requires: Option<String>,
    /// When it was uploaded, to the second: for who installs as of an earlier day, what came later is not there.
    uploaded: String,
    standing: Standing,
}

impl SeenFile {
    /// Whether installers that choose by more than the name choose it as before.
    fn is_described_as(&self, before: &Self) -> bool {
        self.metadata == before.metadata && self.requires == before.requires && self.uploaded == before.uploaded
    }
}

/// A page as it was when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    files: BTreeMap<String, SeenFile>,
    /// How large the index's log was then; absent where it had none.
    pub(crate) log_size: Option<u64>,
    /// The keys of the timestamp role then. Where the holders of the root have taken one of them away, what was seen may be
    /// a thief's.
    signers: Vec<String>,
}

/// What the log must say of a file, once a page shows it otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub filename: String,
    /// Its digest, in hexadecimal.
    pub sha256: String,
    /// How it stands now, where it stood otherwise: what the last entry must say.
    pub standing: Option<Standing>,
    /// Whether its page describes it otherwise than before, such as for other Pythons: nothing but another publication
    /// says so.
    pub is_redescribed: bool,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.standing {
            Some(Standing::Offered) => "offered again",
            Some(Standing::Yanked) => "yanked",
            Some(Standing::Gone) => "gone",
            None => "described otherwise",
        };
        write!(f, "{}: {word}", self.filename)
    }
}

impl Seen {
    /// A page, how large the log was that its timestamp named, and whose keys the timestamp role has.
    pub fn new(files: &BTreeMap<String, PageFile>, log_size: Option<u64>, signers: Vec<String>) -> Self {
        let file = |file: &PageFile| SeenFile {
            sha256: file.sha256.to_string(),
            metadata: file.core_metadata.map(|sha256| sha256.to_string()),
            requires: file.requires_python.clone(),
            uploaded: file.uploaded.chars().take("2026-11-27T00:00:00".len()).collect(),
            standing: if file.is_yanked { Standing::Yanked } else { Standing::Offered },
        };
        let files = files.iter().map(|(name, one)| (name.clone(), file(one))).collect();
        Self { files, log_size, signers }
    }

    /// Remembers besides what an earlier page had and this one has not.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for (name, file) in &before.files {
            match self.files.get_mut(name) {
                None => {
                    self.files.insert(name.clone(), SeenFile { standing: Standing::Gone, ..file.clone() });
                }
                Some(now) if now.metadata.is_none() => now.metadata.clone_from(&file.metadata),
                Some(_) => {}
            }
        }
        self
    }

    /// Whether a key that could sign what an earlier page was in has been taken away since.
    pub fn has_other_signers(&self, before: &Self) -> bool {
        before.signers.iter().any(|key| !self.signers.contains(key))
    }

    /// A file that has other bytes than under the same name before, or other metadata: no index does that.
    pub fn replaced(&self, before: &Self) -> Option<&str> {
        let is_other = |(name, now): &(&String, &SeenFile)| {
            before.files.get(*name).is_some_and(|old| {
                let is_described_otherwise =
                    old.metadata.is_some() && now.metadata.is_some() && old.metadata != now.metadata;
                old.sha256 != now.sha256 || is_described_otherwise
            })
        };
        self.files.iter().find(is_other).map(|(name, _)| name.as_str())
    }

    /// What the log must account for.
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let change = |(filename, old): (&String, &SeenFile)| {
            let now = self.files.get(filename)?;
            let standing = (now.standing != old.standing).then_some(now.standing);
            let is_redescribed = now.standing != Standing::Gone && !now.is_described_as(old);
            let change = Change { filename: filename.clone(), sha256: now.sha256.clone(), standing, is_redescribed };
            (standing.is_some() || is_redescribed).then_some(change)
        };
        before.files.iter().filter_map(change).collect()
    }

    /// What this page lost against an earlier one that should give a person pause: of its newest release, or of three
    /// releases and half of all at once.
    pub fn lost(&self, before: &Self) -> Option<String> {
        let is_lost = |name: &str, old: &SeenFile| match self.files.get(name) {
            Some(now) => now.standing != Standing::Offered || !now.is_described_as(old),
            None => true,
        };
        let mut releases: BTreeMap<Version, Vec<(&str, &SeenFile)>> = BTreeMap::new();
        for (version, name, old) in before.offered() {
            releases.entry(version).or_default().push((name, old));
        }
        let spoiled = releases.values().filter(|files| files.iter().any(|(name, old)| is_lost(name, old)));
        let (count, all) = (spoiled.count(), releases.len());
        if count >= MASS_RELEASES_MIN && count * 2 >= all {
            return Some(format!("{count} of the {all} releases that were seen before are yanked or gone"));
        }
        let (newest, files) = releases.last_key_value()?;
        let lost: Vec<_> = files.iter().filter(|(name, old)| is_lost(name, old)).collect();
        let offered: Vec<_> = self.offered().collect();
        // Yanked after a newer one came, for the same Pythons and machines: nobody falls back.
        let is_followed = |name: &str, old: &SeenFile| {
            offered.iter().any(|(version, other, now)| {
                version > newest && now.requires == old.requires && machines(other) == machines(name)
            })
        };
        let (first, _) = lost.iter().find(|(name, old)| !is_followed(name, old))?;
        let versions: BTreeSet<&Version> = offered.iter().map(|(version, ..)| version).collect();
        Some(match versions.last() {
            None => format!("its newest release was {newest} and now it offers none"),
            Some(now) if *now < newest => format!("its newest release was {newest} and is now {now}"),
            Some(_) => format!(
                "of {newest}, its newest release before, {} files are yanked, gone or described otherwise (such as {first})",
                lost.len()
            ),
        })
    }

    fn offered(&self) -> impl Iterator<Item = (Version, &str, &SeenFile)> {
        let offered = self.files.iter().filter(|(_, file)| file.standing == Standing::Offered);
        offered.filter_map(|(name, file)| {
            Some((name.parse::<DistFilename>().ok()?.version().clone(), name.as_str(), file))
        })
    }
}

/// What a file can be installed on, by its name; nothing for what is built where it is installed.
fn machines(filename: &str) -> Option<[Vec<String>; 3]> {
    match filename.parse().ok()? {
        DistFilename::Wheel(wheel) => Some([wheel.python_tags, wheel.abi_tags, wheel.platform_tags]),
        DistFilename::Sdist(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "py3-none-any";

    fn file(is_yanked: bool, digest: u8, requires: Option<&str>) -> PageFile {
        PageFile {
            sha256: packaging::hash::Sha256::new([digest; 32]),
            size: 1,
            core_metadata: Some(packaging::hash::Sha256::new([digest; 32])),
            provenance: None,
            uploaded: String::new(),
            requires_python: requires.map(str::to_owned),
            is_yanked,
        }
    }

    fn page(files: &[(&str, PageFile)]) -> Seen {
        let files = files.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect();
        Seen::new(&files, None, Vec::new())
    }

    fn wheel(version: &str, tags: &str) -> String {
        format!("demo-{version}-{tags}.whl")
    }

    fn seen(versions: &[&str]) -> Seen {
        let names: Vec<String> = versions.iter().map(|version| wheel(version, ANY)).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), file(false, 0, None))).collect();
        page(&files)
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
            // What is remembered of files that are gone changes nothing.
            assert_eq!(seen(now).after(&before).lost(&before).as_deref(), expected, "{now:?}");
        }
        assert_eq!(
            seen(&[]).lost(&seen(&["1.0"])).as_deref(),
            Some("its newest release was 1.0 and now it offers none")
        );
    }

    #[test]
    fn a_release_that_is_there_for_others_only_is_lost() {
        let before = seen(&["1.0", "1.10"]);
        let (old, new) = (wheel("1.0", ANY), wheel("1.10", ANY));
        let decoy = |version: &str| wheel(version, "cp27-none-win32");
        let says = "of 1.10, its newest release before, 1 files are yanked, gone or described otherwise (such as \
                    demo-1.10-py3-none-any.whl)";
        let (kept, yanked) = (file(false, 0, None), file(true, 0, None));
        for (which, now) in [
            ("same version", vec![(&old, &kept), (&new, &yanked), (&decoy("1.10"), &kept)]),
            ("newer version", vec![(&old, &kept), (&new, &yanked), (&decoy("1.11"), &kept)]),
            ("other Pythons", vec![(&old, &kept), (&new, &file(false, 0, Some(">=99")))]),
            (
                "newer for others",
                vec![(&old, &kept), (&new, &yanked), (&wheel("1.11", ANY), &file(false, 0, Some(">=99")))],
            ),
        ] {
            let now: Vec<_> = now.into_iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
            assert_eq!(page(&now).lost(&before).as_deref(), Some(says), "{which}");
        }
        let next = wheel("1.11", ANY);
        let now = [(old.as_str(), kept.clone()), (new.as_str(), yanked), (next.as_str(), kept)];
        assert_eq!(page(&now).lost(&before), None);
    }

    #[test]
    fn the_log_is_asked_for_each_file_that_changed() {
        let before = page(&[
            ("demo-1.0.tar.gz", file(false, 0, None)),
            ("demo-1.1.tar.gz", file(false, 1, None)),
            ("demo-1.2.tar.gz", file(true, 2, None)),
            ("demo-1.3.tar.gz", file(false, 3, Some(">=3.8"))),
            ("demo-1.4.tar.gz", file(false, 4, None)),
        ]);
        let files = [
            ("demo-1.1.tar.gz", file(true, 1, None)),
            ("demo-1.2.tar.gz", file(false, 2, None)),
            ("demo-1.3.tar.gz", file(false, 3, Some(">=99"))),
            ("demo-1.4.tar.gz", file(false, 4, None)),
            ("demo-2.0.tar.gz", file(false, 5, None)),
        ];
        let now = page(&files).after(&before);
        let told: Vec<String> = now.changes(&before).iter().map(Change::to_string).collect();
        assert_eq!(
            told,
            [
                "demo-1.0.tar.gz: gone",
                "demo-1.1.tar.gz: yanked",
                "demo-1.2.tar.gz: offered again",
                "demo-1.3.tar.gz: described otherwise"
            ]
        );
        assert_eq!(now.changes(&now), []);
        assert_eq!(now.replaced(&before), None);
        // A name that is gone is never another file's, however long ago that was.
        let again = page(&[("demo-1.0.tar.gz", file(false, 9, None))]).after(&now);
        assert_eq!(again.replaced(&now), Some("demo-1.0.tar.gz"));
    }

    #[test]
    fn neither_bytes_nor_metadata_are_replaced() {
        let name = "demo-1.0.tar.gz";
        let before = page(&[(name, file(false, 0, None))]);
        let other_metadata = Some(packaging::hash::Sha256::new([1; 32]));
        for (now, is_replaced) in [
            (file(false, 0, None), false),
            (file(false, 1, None), true),
            (PageFile { core_metadata: other_metadata, ..file(false, 0, None) }, true),
            (PageFile { core_metadata: None, ..file(false, 0, None) }, false),
        ] {
            assert_eq!(page(&[(name, now)]).replaced(&before).is_some(), is_replaced);
        }
        // Leaving the metadata out for a while is no way to others.
        let without = PageFile { core_metadata: None, ..file(false, 0, None) };
        let other = PageFile { core_metadata: other_metadata, ..file(false, 0, None) };
        let between = page(&[(name, without.clone())]).after(&before);
        assert_eq!(between.changes(&before), []);
        assert!(page(&[(name, other.clone())]).after(&between).replaced(&between).is_some());
        // Nor are some where there were none, nor another date: both hide a file from installers.
        let (bare, dated) = (page(&[(name, without)]), PageFile { uploaded: "2030".into(), ..file(false, 0, None) });
        for (before, now) in [(&bare, other), (&before, dated)] {
            let now = page(&[(name, now)]).after(before);
            assert_eq!(now.replaced(before), None);
            assert_eq!(
                now.changes(before).iter().map(Change::to_string).collect::<Vec<_>>(),
                ["demo-1.0.tar.gz: described otherwise"]
            );
            assert!(now.lost(before).is_some());
        }
    }

    #[test]
    fn a_key_that_was_taken_away_is_noticed() {
        let of = |keys: &[&str]| Seen::new(&BTreeMap::new(), None, keys.iter().map(|key| (*key).to_owned()).collect());
        assert!(of(&["b"]).has_other_signers(&of(&["a", "b"])));
        assert!(!of(&["a", "b"]).has_other_signers(&of(&["a"])));
    }
}

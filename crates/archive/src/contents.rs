//! What both readers hand to the rules of wheels and sdists: members, their hashes, a few whole files.

use packaging::{Rejection, Rule};

use crate::path::{ArchivePath, PathProblem};
use crate::tree::{Clash, Tree};
use crate::{Limits, Report};

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) path: ArchivePath,
    pub(crate) folder: bool,
    /// Unpacked size, counted.
    pub(crate) bytes: u64,
    /// SHA-256 of the unpacked bytes, when the reader was asked for it.
    pub(crate) sha256: Option<[u8; 32]>,
    /// The reader's own number of this member.
    pub(crate) entry: usize,
}

/// What a reader is asked to bring along besides the list of members.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Hash every file.
    pub(crate) hashes: bool,
    /// Keep these files whole: path, and most bytes.
    pub(crate) files: Vec<(String, u64)>,
}

impl Wanted {
    /// Where a file to keep goes, or nothing for any other; a file over its own limit is a rejection.
    pub(crate) fn keep(&self, path: &str, bytes: u64) -> Result<Option<Vec<u8>>, Rejection> {
        match self.files.iter().find(|(wanted, _)| wanted == path) {
            Some((_, most)) if bytes > *most => Err(Rejection::new(
                Rule::ArchiveLimits,
                format!("Invalid distribution file. {path} has {bytes} bytes. Limit is {most} bytes."),
            )),
            Some(_) => Ok(Some(Vec::new())),
            None => Ok(None),
        }
    }
}

/// Everything in an archive whose framing is sound.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    members: Vec<Member>,
    /// Numbers of `members`, in the order of their paths.
    by_path: Vec<u32>,
    kept: Vec<(String, Vec<u8>)>,
}

impl Contents {
    pub(crate) fn new(members: Vec<Member>, kept: Vec<(String, Vec<u8>)>) -> Self {
        let mut by_path: Vec<u32> = (0..).take(members.len()).collect();
        by_path.sort_unstable_by(|a, b| members[*a as usize].path.cmp(&members[*b as usize].path));
        Self { members, by_path, kept }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The number of the member with this very path.
    pub(crate) fn position(&self, path: &str) -> Option<usize> {
        let by_path = |number: &u32| self.members[*number as usize].path.as_str().cmp(path);
        self.by_path.binary_search_by(by_path).ok().map(|found| self.by_path[found] as usize)
    }

    /// Whether there is a file (no folder) with this very path.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.position(path).is_some_and(|at| !self.members[at].folder)
    }

    /// The bytes of a file that was asked for, when it is there.
    pub(crate) fn kept(&self, path: &str) -> Option<&[u8]> {
        self.kept.iter().find(|(kept, _)| kept == path).map(|(_, bytes)| bytes.as_slice())
    }

    /// Notes sizes in the report.
    pub(crate) fn count(&self, report: &mut Report) {
        report.members = self.members.len() as u64;
        report.unpacked_bytes = self.members.iter().map(|member| member.bytes).sum();
    }
}

/// Rejects a name that is no [`ArchivePath`].
pub(crate) fn reject_path(report: &mut Report, name: &[u8], problem: PathProblem) {
    report
        .reject(Rule::PathUnsafe, format!("Invalid distribution file. The member path {} {problem}.", printable(name)));
}

/// Adds a member to the tree; a clash is reported, a limit is the end.
pub(crate) fn place(
    tree: &mut Tree,
    report: &mut Report,
    budget: &mut crate::limits::Budget<'_>,
    path: &ArchivePath,
    folder: bool,
) -> Result<(), Rejection> {
    let what = match tree.add(path, folder) {
        Ok(needed) => return budget.folders(needed),
        Err(Clash::Same) => "stands twice (duplicate filename)",
        Err(Clash::Folded) => "differs from another member's only in case or Unicode form",
        Err(Clash::FileAndFolder) => "is a file to one member and a folder to another",
    };
    let path = printable(path.as_str().as_bytes());
    report.reject(Rule::PathDuplicate, format!("Invalid distribution file. The member path {path} {what}."));
    Ok(())
}

/// A name out of an archive as it may stand in a sentence: escaped, quoted and short.
pub(crate) fn printable(name: &[u8]) -> String {
    /// Most characters of a name that are quoted.
    const QUOTED_CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(&name[..name.len().min(4 * QUOTED_CHARS_MAX)]);
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if short.len() < name.len() && text.chars().count() > QUOTED_CHARS_MAX {
        short.push('…');
    }
    format!("'{short}'")
}

/// The limit for each of the small files that the rules read.
pub(crate) fn wanted_files(folder: &str, metadata: &str, others: &[&str], limits: &Limits) -> Vec<(String, u64)> {
    let metadata = (format!("{folder}/{metadata}"), limits.metadata_bytes_max);
    std::iter::once(metadata)
        .chain(others.iter().map(|name| (format!("{folder}/{name}"), limits.record_bytes_max)))
        .collect()
}

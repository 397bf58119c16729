//! ZIP archives, strictly: framing first, by headers alone, then the data of every member, once.
//!
//! Members that are archives themselves are data like any other: nothing here unpacks them, so nesting
//! costs an attacker's reader nothing and ours nothing.

mod content;
mod extra;
pub(crate) mod record;
mod second;
mod walk;

use std::fs::File;

use packaging::{Rejection, Rule};
use sha2::{Digest, Sha256};

use crate::Report;
use crate::contents::{Contents, Member, Wanted, place, printable, reject_path};
use crate::input::Input;
use crate::limits::Budget;
use crate::path::ArchivePath;
use crate::tree::Tree;
use content::Decoder;
use record::refused;
use walk::Entry;

/// A ZIP archive whose framing is sound.
pub(crate) struct Zip<'f> {
    input: Input<'f>,
    entries: Vec<Entry>,
    decoder: Decoder,
}

impl<'f> Zip<'f> {
    /// Judges the framing. An error is the end: what follows could be read in more than one way.
    pub(crate) fn open(file: &'f File, mut input: Input<'f>, budget: &mut Budget<'_>) -> Result<Self, Rejection> {
        let entries = walk::walk(&mut input, budget)?;
        second::agrees(file, &entries)?;
        let unpacked = entries.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.stated.unpacked));
        budget.unpacked_would_be(unpacked)?;
        Ok(Self { input, entries, decoder: Decoder::new() })
    }

    /// Judges names and data. Unsafe names go into the report, as all of them can be told; the first member
    /// whose data is not what its headers say is the end.
    pub(crate) fn read(
        &mut self,
        wanted: &Wanted,
        budget: &mut Budget<'_>,
        report: &mut Report,
    ) -> Result<Contents, Rejection> {
        let (mut members, mut kept, mut tree) = (Vec::with_capacity(self.entries.len()), vec![], Tree::default());
        for (number, entry) in self.entries.iter().enumerate() {
            let parsed = ArchivePath::parse(entry.name.as_bytes());
            let folder = parsed.as_ref().is_ok_and(|(_, folder)| *folder) || entry.name.ends_with('/');
            kind(entry, folder)?;
            let mut hasher = wanted.hashes.then(Sha256::new);
            let mut keep = keep_if_wanted(wanted, entry, report);
            self.decoder.decode(&mut self.input, entry, &mut |piece| {
                budget.unpacked(piece.len() as u64)?;
                if let Some(hasher) = &mut hasher {
                    hasher.update(piece);
                }
                if let Some(keep) = &mut keep {
                    keep.extend_from_slice(piece);
                }
                Ok(())
            })?;
            match parsed {
                Ok((path, _)) => {
                    place(&mut tree, report, budget, &path, folder)?;
                    kept.extend(keep.map(|bytes| (path.to_string(), bytes)));
                    let sha256 = hasher.map(|hasher| hasher.finalize().into());
                    members.push(Member { path, folder, bytes: entry.stated.unpacked, sha256, entry: number });
                }
                Err(problem) => reject_path(report, entry.name.as_bytes(), problem),
            }
        }
        Ok(Contents::new(members, kept))
    }

    /// Reads one member again, for a digest other than SHA-256.
    pub(crate) fn again(&mut self, entry: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), Rejection> {
        let Some(entry) = self.entries.get(entry) else { return Ok(()) };
        self.decoder.decode(&mut self.input, entry, &mut |piece| {
            sink(piece);
            Ok(())
        })
    }
}

/// Room for a file that the rules want to read; one that is too large is reported and not kept.
fn keep_if_wanted(wanted: &Wanted, entry: &Entry, report: &mut Report) -> Option<Vec<u8>> {
    match wanted.keep(&entry.name, entry.stated.unpacked) {
        Ok(keep) => keep,
        Err(rejection) => {
            report.push(rejection);
            None
        }
    }
}

/// A member is a regular file or a folder, and all that says which must say the same: the `/` at the end of
/// its name, the Unix mode (APPNOTE §4.4.15, upper half) and the DOS attribute for folders.
fn kind(entry: &Entry, folder: bool) -> Result<(), Rejection> {
    const MODE_KIND: u32 = 0o170_000;
    const MODE_FILE: u32 = 0o100_000;
    const MODE_FOLDER: u32 = 0o040_000;
    const DOS_FOLDER: u32 = 0x10;
    let name = || printable(entry.name.as_bytes());
    let odd = |what: &str| Err(refused(Rule::ZipEntryKind, format_args!("{} {what}", name())));
    match ((entry.attributes >> 16) & MODE_KIND, folder) {
        (0 | MODE_FILE, false) | (0 | MODE_FOLDER, true) => {}
        (MODE_FILE, true) | (MODE_FOLDER, false) => return odd("is a folder by its name or its mode, but not by both"),
        (0o120_000, _) => return odd("is a symbolic link"),
        _ => return odd("is a device, a pipe or a socket"),
    }
    if !folder && entry.attributes & DOS_FOLDER != 0 {
        return odd("is a folder by its attributes, but not by its name");
    }
    if folder && entry.stated.unpacked != 0 {
        return odd("is a folder that holds data");
    }
    Ok(())
}

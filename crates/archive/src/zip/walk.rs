//! The linear walk: from the first byte to the last, every byte belongs to exactly one record.
//!
//! A stream reader trusts local headers, most others the central directory, and both look for the end in
//! their own way. The walk accepts a file only when all of them must see the same members: it starts at
//! offset 0, goes from record to record without a gap, and ends with the file (pypi-behaviour §1.5, ZIP
//! framing policy). It reads headers only; the data of members is judged in [`super::content`].

use std::io;

use packaging::{Rejection, Rule};

use super::record::{self, Central, End, Local, Stated, framing};
use super::{extra, record::refused};
use crate::contents::printable;
use crate::input::Input;
use crate::limits::Budget;

/// One member as both of its headers state it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) stated: Stated,
    pub(super) header_at: u64,
    pub(super) data_at: u64,
    pub(super) attributes: u32,
    in_directory: bool,
}

/// Where a walk stands.
pub(super) struct Walk<'w, 'f, 'l> {
    input: &'w mut Input<'f>,
    budget: &'w mut Budget<'l>,
    at: u64,
    entries: Vec<Entry>,
    /// Where the central directory begins, and how many headers it held so far.
    directory: Option<(u64, u64)>,
    directory_end: u64,
    end64: Option<End>,
}

/// Walks the whole file.
pub(super) fn walk<'f>(input: &mut Input<'f>, budget: &mut Budget<'_>) -> Result<Vec<Entry>, Rejection> {
    let mut walk = Walk { input, budget, at: 0, entries: vec![], directory: None, directory_end: 0, end64: None };
    loop {
        let signature = walk.take_signature()?;
        match signature {
            record::LOCAL if walk.directory.is_none() => walk.local()?,
            record::LOCAL => return Err(framing("Local file header after the central directory")),
            record::CENTRAL if walk.end64.is_none() => walk.central()?,
            record::END64 if walk.end64.is_none() => walk.end64()?,
            record::END => {
                walk.end()?;
                return Ok(walk.entries);
            }
            record::LOCATOR64 => return Err(framing("Malformed zip file: ZIP64 locator out of place")),
            _ => return Err(framing("Unknown record signature")),
        }
    }
}

impl Walk<'_, '_, '_> {
    fn take_signature(&mut self) -> Result<[u8; 4], Rejection> {
        let bytes = self.input.exact(self.at, 4).map_err(truncated)?;
        Ok([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Result<&[u8], Rejection> {
        let at = self.at;
        self.at += count as u64;
        self.input.exact(at, count).map_err(truncated)
    }

    fn local(&mut self) -> Result<(), Rejection> {
        let header_at = self.at;
        let mut local = Local::read(self.take(record::LOCAL_BYTES)?);
        let name = member_name(self.take(local.name_bytes)?, local.stated.flags)?;
        self.budget.member(name.len())?;
        let extra_bytes = local.extra_bytes;
        extra::complete_local(&mut local, self.take(extra_bytes)?, name.as_bytes())?;
        let stated = local.stated;
        stated.check()?;
        let data_at = self.at;
        self.at = data_at
            .checked_add(stated.packed)
            .filter(|end| *end <= self.input.bytes())
            .ok_or_else(|| framing("Malformed zip file: a member's data goes beyond the end of the file"))?;
        self.entries.push(Entry { name, stated, header_at, data_at, attributes: 0, in_directory: false });
        Ok(())
    }

    fn central(&mut self) -> Result<(), Rejection> {
        let (started_at, count) = self.directory.unwrap_or((self.at, 0));
        let mut central = Central::read(self.take(record::CENTRAL_BYTES)?);
        let name = member_name(self.take(central.name_bytes)?, central.stated.flags)?;
        let extra_bytes = central.extra_bytes;
        extra::complete_central(&mut central, self.take(extra_bytes)?, name.as_bytes())?;
        if central.comment_bytes != 0 {
            return Err(framing("Comment in central directory"));
        }
        if central.disk != 0 {
            return Err(framing("Malformed zip file: more than one disk"));
        }
        self.agree(&central, &name)?;
        self.directory = Some((started_at, count + 1));
        self.directory_end = self.at;
        Ok(())
    }

    /// Finds the local header to a central one, by its place, and compares all that both state.
    fn agree(&mut self, central: &Central, name: &str) -> Result<(), Rejection> {
        // The walk goes forward, so local headers are sorted by their place.
        let found = self.entries.binary_search_by_key(&central.header_at, |entry| entry.header_at);
        let Ok(found) = found else {
            let seen = self.entries.iter().any(|entry| &*entry.name == name);
            let what = if seen { "Mis-matched local header offset" } else { "Missing filename in local headers" };
            return Err(framing(format_args!("{what}: {}", printable(name.as_bytes()))));
        };
        let entry = &mut self.entries[found];
        let (local, quoted) = (entry.stated, printable(name.as_bytes()));
        let wrong = if *entry.name != *name {
            "Filename not in central directory"
        } else if entry.in_directory {
            "Duplicate filename in central directory"
        } else if local.packed != central.stated.packed {
            "Mis-matched data size"
        } else if local.unpacked != central.stated.unpacked {
            "Mis-matched file size"
        } else if local.crc != central.stated.crc {
            "Mis-matched checksum"
        } else if local.method != central.stated.method {
            "Mis-matched compression method"
        } else if local.flags != central.stated.flags {
            "Mis-matched flags"
        } else {
            entry.in_directory = true;
            entry.attributes = central.attributes;
            return Ok(());
        };
        Err(framing(format_args!("{wrong}: {quoted}")))
    }

    /// The ZIP64 end record and, right behind it, the locator that points back at it.
    fn end64(&mut self) -> Result<(), Rejection> {
        let end_at = self.at;
        let (end, bytes) = End::read64(self.take(record::END64_BYTES)?);
        // The size leaves out the signature and itself.
        if bytes != record::END64_BYTES as u64 - 12 {
            return Err(framing("ZIP64 extensible data not allowed"));
        }
        if self.take_signature()? != record::LOCATOR64 {
            return Err(framing("Malformed zip file: ZIP64 end record without a locator"));
        }
        let (disk, points_at, disks) = record::locator64(self.take(record::LOCATOR64_BYTES)?);
        if points_at != end_at {
            return Err(framing("Mismatched ZIP64 end record offset"));
        }
        if disk != 0 || disks > 1 {
            return Err(framing("Malformed zip file: more than one disk"));
        }
        self.end64 = Some(end);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Rejection> {
        let end_at = self.at;
        let (end, comment_bytes) = End::read(self.take(record::END_BYTES)?);
        let walked = self.walked(end_at);
        for stated in self.end64.into_iter().chain([end.widened(self.end64)]) {
            compare(stated, walked)?;
        }
        if let Some(missing) = self.entries.iter().find(|entry| !entry.in_directory) {
            let name = printable(missing.name.as_bytes());
            return Err(framing(format_args!("Filename not in central directory: {name}")));
        }
        self.take(comment_bytes)?;
        if self.at != self.input.bytes() {
            return Err(framing("Trailing data"));
        }
        self.only_one_end(end_at, record::END_BYTES + comment_bytes)
    }

    /// What the end records have to say.
    fn walked(&self, end_at: u64) -> End {
        let (directory_at, entries) = self.directory.unwrap_or((end_at, 0));
        let directory_bytes = if entries == 0 { 0 } else { self.directory_end - directory_at };
        End { disk: 0, directory_disk: 0, entries_here: entries, entries, directory_bytes, directory_at }
    }

    /// Readers that search from the back must find the record that the walk found: no signature of an end
    /// may follow its first byte, and no locator may stand right before it unless the walk met it.
    fn only_one_end(&mut self, end_at: u64, end_bytes: usize) -> Result<(), Rejection> {
        let tail = self.input.exact(end_at, end_bytes).map_err(truncated)?;
        if tail[1..].windows(4).any(|window| window == record::END || window == record::LOCATOR64) {
            return Err(framing("Second end of central directory in the comment"));
        }
        let locator_at = end_at.checked_sub(record::LOCATOR64_BYTES as u64);
        if let (None, Some(at)) = (self.end64, locator_at)
            && self.input.exact(at, 4).map_err(truncated)? == record::LOCATOR64
        {
            return Err(framing("ZIP64 locator hidden in the central directory"));
        }
        Ok(())
    }
}

fn compare(stated: End, walked: End) -> Result<(), Rejection> {
    if stated.disk != 0 || stated.directory_disk != 0 || stated.entries_here != stated.entries {
        return Err(framing("Malformed zip file: more than one disk"));
    }
    if stated.entries != walked.entries {
        return Err(framing("Mismatched central directory records"));
    }
    if stated.directory_at != walked.directory_at {
        return Err(framing("Mismatched central directory offset"));
    }
    if stated.directory_bytes != walked.directory_bytes {
        return Err(framing("Mismatched central directory size"));
    }
    Ok(())
}

/// The name as text. Without the UTF-8 flag a name beyond ASCII is read in the reader's own code page.
fn member_name(bytes: &[u8], flags: u16) -> Result<Box<str>, Rejection> {
    let Ok(name) = std::str::from_utf8(bytes) else {
        return Err(framing(format_args!("Filename not unicode: {}", printable(bytes))));
    };
    if flags & record::FLAG_UTF8 == 0 && !name.is_ascii() {
        return Err(framing(format_args!("Filename not unicode, by its flags: {}", printable(bytes))));
    }
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(refused(Rule::PathUnsafe, format_args!("Invalid character in filename: {}", printable(bytes))));
    }
    Ok(name.into())
}

fn truncated(error: io::Error) -> Rejection {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        framing("Malformed zip file: the file ends within a record")
    } else {
        Rejection::new(Rule::InspectionFailed, format!("Invalid distribution file. It cannot be read: {error}."))
    }
}

//! Every bound on an archive, in one place.

use packaging::{Rejection, Rule};
use serde::{Deserialize, Serialize};

/// Limits on what an archive may make its reader do. The defaults are far above real packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most members, with the folders that unpacking would make for them.
    pub members_max: u64,
    /// Most bytes of all members together, unpacked; of a tar, its whole stream.
    pub unpacked_bytes_max: u64,
    /// Largest ratio of unpacked to packed bytes of the whole archive, once `ratio_from_bytes` are exceeded.
    pub ratio_max: u64,
    /// Unpacked bytes up to which the ratio does not matter.
    pub ratio_from_bytes: u64,
    /// Longest member path, in bytes.
    pub path_bytes_max: usize,
    /// Most bytes of all member paths together: what keeps the table of members small.
    pub paths_bytes_max: u64,
    /// Largest metadata file, in bytes.
    pub metadata_bytes_max: u64,
    /// Largest RECORD, WHEEL or entry_points.txt, in bytes.
    pub record_bytes_max: u64,
    /// Largest extended (PAX) header of one tar member, in bytes.
    pub extended_header_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members_max: 50_000,
            unpacked_bytes_max: 2 << 30,
            ratio_max: 50,
            ratio_from_bytes: 64 << 20,
            path_bytes_max: 1024,
            paths_bytes_max: 8 << 20,
            metadata_bytes_max: 4 << 20,
            record_bytes_max: 16 << 20,
            extended_header_bytes_max: 256 << 10,
        }
    }
}

/// What an archive has used of its limits. Bytes are counted as they come out of the decoder; headers only
/// ever lower what is still allowed.
#[derive(Debug)]
pub(crate) struct Budget<'l> {
    limits: &'l Limits,
    packed_bytes: u64,
    members: u64,
    unpacked_bytes: u64,
    paths_bytes: u64,
}

impl<'l> Budget<'l> {
    /// For an archive of this size as a file.
    pub(crate) fn new(limits: &'l Limits, packed_bytes: u64) -> Self {
        Self { limits, packed_bytes, members: 0, unpacked_bytes: 0, paths_bytes: 0 }
    }

    pub(crate) fn limits(&self) -> &'l Limits {
        self.limits
    }

    /// One more member (or folder) with a path of this length.
    pub(crate) fn member(&mut self, path_bytes: usize) -> Result<(), Rejection> {
        self.folders(1)?;
        self.paths_bytes = self.paths_bytes.saturating_add(path_bytes as u64);
        let Limits { path_bytes_max, paths_bytes_max, .. } = *self.limits;
        if path_bytes > path_bytes_max {
            return Err(over(format!("A member's path has {path_bytes} bytes. Limit is {path_bytes_max} bytes.")));
        }
        if self.paths_bytes > paths_bytes_max {
            return Err(over(format!("All member paths together exceed {paths_bytes_max} bytes.")));
        }
        Ok(())
    }

    /// Folders that unpacking would make although no member names them.
    pub(crate) fn folders(&mut self, count: u64) -> Result<(), Rejection> {
        self.members = self.members.saturating_add(count);
        let most = self.limits.members_max;
        if self.members > most {
            return Err(over(format!("Too many members and folders. Limit is {most}.")));
        }
        Ok(())
    }

    /// Bytes that came out of a decoder.
    pub(crate) fn unpacked(&mut self, bytes: u64) -> Result<(), Rejection> {
        self.unpacked_bytes = self.unpacked_bytes.saturating_add(bytes);
        self.unpacked_would_be(0)
    }

    /// Whether so many further bytes would be within the limits: refuses by a header alone, before any of
    /// them is decoded.
    pub(crate) fn unpacked_would_be(&self, further: u64) -> Result<(), Rejection> {
        let total = self.unpacked_bytes.saturating_add(further);
        let Limits { unpacked_bytes_max, ratio_max, ratio_from_bytes, .. } = *self.limits;
        if total > unpacked_bytes_max {
            return Err(over(format!("The archive unpacks to more than {unpacked_bytes_max} bytes.")));
        }
        if total > ratio_from_bytes && total > self.packed_bytes.saturating_mul(ratio_max) {
            return Err(over(format!(
                "The archive unpacks to more than {ratio_max} times its size and to more than {ratio_from_bytes} bytes."
            )));
        }
        Ok(())
    }
}

fn over(what: String) -> Rejection {
    Rejection::new(Rule::ArchiveLimits, format!("Invalid distribution file. {what}"))
}

//! Every bound on an archive, in one place.

use serde::{Deserialize, Serialize};

/// Limits on what an archive may make its reader do. The defaults are far above real packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most members, folders included.
    pub members_max: u64,
    /// Most bytes of all members together, unpacked.
    pub unpacked_bytes_max: u64,
    /// Largest ratio of unpacked to packed bytes of the whole archive, once `ratio_from_bytes` are exceeded.
    pub ratio_max: u64,
    /// Unpacked bytes below which the ratio does not matter.
    pub ratio_from_bytes: u64,
    /// Longest member path, in bytes.
    pub path_bytes_max: usize,
    /// Largest metadata file, in bytes.
    pub metadata_bytes_max: u64,
    /// Largest RECORD, WHEEL or entry_points.txt, in bytes.
    pub record_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members_max: 50_000,
            unpacked_bytes_max: 2 << 30,
            ratio_max: 50,
            ratio_from_bytes: 64 << 20,
            path_bytes_max: 1024,
            metadata_bytes_max: 4 << 20,
            record_bytes_max: 16 << 20,
        }
    }
}

//! The bounds of the walk over an upload and its nested archives. Readers keep theirs beside them: of Python
//! `python::Limits`, of the other formats constants at the top of their files in `formats/`.

/// What one pass may unpack and keep. With these, and those of the readers, the child stays below 256 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InspectionLimits {
    /// Bytes of one member that are looked at as what they are; the rest is searched as text.
    pub member_bytes_max: usize,
    /// Bytes of one member's text that are kept for the checks.
    pub kept_bytes_max: usize,
    /// Bytes of all kept texts together.
    pub all_kept_bytes_max: usize,
    /// Bytes of sources beyond that, which are read as code at once and not kept.
    pub read_at_once_bytes_max: usize,
    /// Bytes that are unpacked in total, archives within archives included.
    pub analysed_bytes_max: u64,
    /// Members, those of archives within archives included.
    pub members_max: u64,
    /// How deep archives within archives are opened.
    pub nesting_max: u32,
    /// Largest archive within the archive that is opened, in bytes.
    pub nested_bytes_max: usize,
}

impl Default for InspectionLimits {
    fn default() -> Self {
        Self {
            member_bytes_max: 32 << 20,
            kept_bytes_max: 8 << 20,
            all_kept_bytes_max: 64 << 20,
            read_at_once_bytes_max: 32 << 20,
            analysed_bytes_max: 1 << 30,
            members_max: 50_000,
            nesting_max: 2,
            nested_bytes_max: 16 << 20,
        }
    }
}

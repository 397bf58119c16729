//! A project page as data. Each field quotes the specification that governs it.

use crate::hash::Sha256;
use crate::name::NormalizedName;
use crate::status::ProjectStatus;

/// What a page says besides its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHead {
    /// PEP 691: `name`, "the normalized name of the project".
    pub name: NormalizedName,
    /// `meta._last-serial`: the serial under which this project last changed.
    pub last_serial: i64,
    /// PEP 792: `project-status.status`.
    pub status: ProjectStatus,
    /// PEP 792: `project-status.reason`, optional free text.
    pub status_reason: Option<String>,
    /// PEP 700: `versions`, the normalised versions that have at least one file here, ascending.
    pub versions: Vec<String>,
}

/// PEP 592: whether a file is to be passed over by resolvers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Yanked {
    /// Not yanked.
    #[default]
    No,
    /// Yanked, without a reason.
    Yes,
    /// Yanked, and why.
    Because(String),
}

impl Yanked {
    /// From the ledger's column: absent, empty or a reason.
    pub fn from_reason(reason: Option<&str>) -> Self {
        match reason {
            None => Self::No,
            Some("") => Self::Yes,
            Some(text) => Self::Because(text.to_owned()),
        }
    }

    /// Whether it is yanked at all.
    pub fn is_yanked(&self) -> bool {
        *self != Self::No
    }
}

/// One file on a project page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// PEP 691: `filename`.
    pub filename: String,
    /// PEP 691: `hashes.sha256`; also the folder in the file's URL.
    pub sha256: Sha256,
    /// PEP 700: `size` in bytes, mandatory since API version 1.1.
    pub size: u64,
    /// PEP 700: `upload-time`, microseconds since the Unix epoch; printed `yyyy-mm-ddThh:mm:ss.ffffffZ`.
    pub upload_time_us: i64,
    /// PEP 691 / PEP 345: `requires-python`, as in the metadata.
    pub requires_python: Option<String>,
    /// PEP 714: `core-metadata` (and the older `data-dist-info-metadata` with the same value): the hash of
    /// `{url}.metadata`; absent for sdists.
    pub core_metadata: Option<Sha256>,
    /// PEP 592: `yanked`.
    pub yanked: Yanked,
    /// PEP 740: `provenance`, the absolute URL of the provenance object; absent also where the index does not know its
    /// own address.
    pub provenance: Option<String>,
    /// Our own `_provenance`, which PEP 691 leaves to each index: the hash of the provenance object, for whoever
    /// verifies the page. Without provenance the key is not there.
    pub provenance_sha256: Option<Sha256>,
}

impl FileEntry {
    /// The file's URL relative to its project page: `simple/<project>/` is two levels below the root that
    /// `files/` is in. Relative, so that a copy of the tree works wherever it is served from.
    pub fn url(&self) -> String {
        format!("../../{}", file_path(&self.sha256, &self.filename))
    }
}

/// Where a visible file stands below the index's root: `files/<aa>/<sha256>/<filename>`.
pub fn file_path(sha256: &Sha256, filename: &str) -> String {
    let hex = sha256.to_string();
    format!("files/{}/{hex}/{filename}", &hex[..2])
}

/// One project on the list of all projects (PEP 691 `projects`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The author's spelling.
    pub name: String,
    /// Its normal form, which is its URL.
    pub normalized: NormalizedName,
    /// `_last-serial` of the project.
    pub last_serial: i64,
}

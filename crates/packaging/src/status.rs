//! Project status (PEP 792).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the index says of a whole project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectStatus {
    /// PEP 792: the default; files may be uploaded and installed.
    Active,
    /// PEP 792: no updates are expected; uploads are refused, files stay installable.
    Archived,
    /// PEP 792: considered obsolete; uploads and installs go on.
    Deprecated,
    /// PEP 792: considered unsafe; no file is offered.
    Quarantined,
}

impl ProjectStatus {
    /// Every status, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::Active, Self::Archived, Self::Deprecated, Self::Quarantined];

    /// The marker as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Deprecated => "deprecated",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for ProjectStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a project status is one of active, archived, deprecated, quarantined")]
pub struct UnknownStatus;

impl FromStr for ProjectStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(UnknownStatus)
    }
}

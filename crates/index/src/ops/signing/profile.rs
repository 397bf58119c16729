//! Who holds the keys of a repository: the profile, as `repositories.profile` and events have it. What each asks of its holders
//! stands in `ceremony::profiles`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tuf::write::Lifetimes;

use super::DAY;

/// Who holds the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The data folder holds all of them.
    Dev,
    /// The same people hold root, `targets` and `bins`, or others the latter two.
    Team,
    /// Different people hold each (PEP 458, "Key management").
    Pep458,
}

impl Profile {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Team, Self::Pep458];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Team => "team",
            Self::Pep458 => "pep458",
        }
    }

    /// How long what signs by itself is good for, in seconds.
    pub(in crate::ops) fn lifetimes(self) -> Lifetimes {
        let bin = match self {
            Self::Dev | Self::Team => 14 * DAY,
            Self::Pep458 => DAY,
        };
        Lifetimes { timestamp: DAY, snapshot: DAY, bin }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|profile| profile.as_str() == text);
        found.ok_or_else(|| format!("There is no profile '{text}': choose dev, team or pep458."))
    }
}

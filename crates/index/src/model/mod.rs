//! The nouns and what must hold of them. No I/O, no clock.

pub mod lifecycle;
pub mod names;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use lifecycle::{FileInput, FileState, Illegal, is_visible};

/// An index's name: 1 to 32 lower-case letters, digits or `-`, starting with a letter. It is a path segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IndexName(String);

impl IndexName {
    /// The index that every installation begins with.
    pub fn main() -> Self {
        Self("main".into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it answers at the root.
    pub fn is_main(&self) -> bool {
        self.0 == "main"
    }

    /// Where its URLs begin: nothing for the first index, `/i/<name>` for others.
    pub fn url_prefix(&self) -> String {
        if self.is_main() { String::new() } else { format!("/i/{}", self.0) }
    }
}

impl FromStr for IndexName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("'{text}' is no index name: 1 to 32 lower-case letters, digits or '-', starting with a letter"))
        }
    }
}

impl TryFrom<String> for IndexName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<IndexName> for String {
    fn from(name: IndexName) -> Self {
        name.0
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("'{text}' is none of {}", known.join(", "))
                })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What an account may do to a project.
    ProjectRole {
        /// Everything, roles included.
        Owner = "owner",
        /// Upload and yank.
        Maintainer = "maintainer",
    }
}

impl ProjectRole {
    /// As the older JSON API and published state have it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Maintainer => "Maintainer",
        }
    }

    /// The role that is shown so.
    pub fn of_shown(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.shown() == text)
    }
}

words! {
    /// What an account may do to the installation.
    SiteRole {
        /// Everything an operator does by the command line.
        Admin = "admin",
        /// Decide cases.
        Moderator = "moderator",
        /// Help people with their accounts.
        Support = "support",
        /// Read everything, change nothing.
        Auditor = "auditor",
    }
}

words! {
    /// sdist or wheel, as the upload form calls them.
    FileKind {
        /// A source distribution.
        Sdist = "sdist",
        /// A wheel.
        Wheel = "bdist_wheel",
    }
}

words! {
    /// The machine's conclusion about a file.
    Verdict {
        /// Published.
        Clear = "clear",
        /// Published, and queued for a person.
        Review = "review",
        /// Not published until a person decides.
        Hold = "hold",
        /// Held, and urgent.
        Malicious = "malicious",
    }
}

words! {
    /// A person's conclusion about a file. It wins over any verdict, and another decision can reverse it.
    Decision {
        /// Fine: to be seen by all.
        Clear = "clear",
        /// To be held back until somebody decides.
        Hold = "hold",
        /// Not to be in this index.
        Refuse = "refuse",
    }
}

words! {
    /// What the findings of a check may do.
    CheckState {
        /// They are recorded and cannot influence anything.
        Shadow = "shadow",
        /// They are evidence.
        Active = "active",
        /// They are thrown away.
        Disabled = "disabled",
    }
}

/// Who acts. The name goes into the audit; a token narrows what the account may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The operator, through the command line: whoever can read the data folder.
    Operator,
    /// An account through an API token.
    Token(TokenActor),
}

/// An account and the limits of the token it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenActor {
    /// The account.
    pub account_id: i64,
    /// The token.
    pub token_id: String,
    /// Normalised names of the projects that it is good for; `None` for all.
    pub projects: Option<Vec<String>>,
}

impl TokenActor {
    /// Whether the token reaches the project.
    pub fn covers(&self, project: &packaging::NormalizedName) -> bool {
        self.projects.as_ref().is_none_or(|names| names.iter().any(|name| name == project.as_str()))
    }
}

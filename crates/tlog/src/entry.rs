//! Entries: what happened to a project, in lines that a person can read and only one spelling of each.
//!
//! ```text
//! tidewaiter-log/1
//! time 1700000000
//! project flask
//! act publish
//! file flask-3.0.0.tar.gz
//! sha256 <64 digits>
//! page <64 digits>
//! account <32 digits> <64 digits>
//! ```
//!
//! **What version 1 says is fixed.** Another act, field, word or spelling is version 2, in the first line, so that nobody who
//! knows version 1 alone takes it for damage: they tell of it as of something later that could be about any project. What
//! calls itself version 1 and cannot be read is damage, whoever wrote it.
//!
//! **No entry names a person.** A log cannot forget, so it holds nothing that must be forgotten: no user names, no
//! addresses, no reasons in words. An account is a random id, another for each project, and a commitment to who it
//! is. The ledger keeps a row (index, project, account → id, salt) for as long as somebody may ask. With the row, its
//! owner can show that an entry speaks of them: give the salt, and anybody computes [`commit`]. **Deleting the row
//! erases**: an id of 16 random bytes says nothing, and a commitment under 32 unknown random bytes can be neither
//! inverted nor tried with guessed names. That holds only if salts are made anew for each project and account, from
//! the door to randomness, and are kept nowhere else: not in audit rows, not in logs, not in a backup that outlives
//! the promise. What stays after erasure is that entries of one project under one id are of one account.

use std::fmt;

use crate::hash::{Hash, decimal, hex, of_parts, unhex};

/// Bytes of an entry: the longest that the fields' limits allow is shorter.
pub const ENTRY_BYTES_MAX: usize = 1024;
/// Bytes of a project's name, as the index has it.
pub const PROJECT_BYTES_MAX: usize = 128;
/// Bytes of a file's name, as the index has it.
pub const FILE_BYTES_MAX: usize = 246;

const VERSION_1: &str = "tidewaiter-log/1";

/// Why bytes are no entry that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More than [`ENTRY_BYTES_MAX`].
    #[error("the entry has {0} bytes, more than {ENTRY_BYTES_MAX}")]
    TooLong(usize),
    /// Of a version that came after us, or no entry at all. Everything else is damage: what a version says is fixed.
    #[error("this is not an entry of a version that is known here")]
    Version,
    /// A field that is missing, out of its place, or not in its one spelling.
    #[error("the entry's `{0}` is missing or not as it should be")]
    Field(&'static str),
    /// Something after the last field, or a field in another spelling than ours.
    #[error("the entry is not in its one spelling")]
    Spelling,
}

/// A project's normalised name: 1 to [`PROJECT_BYTES_MAX`] of `a-z0-9`, with single hyphens between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Project(String);

impl Project {
    /// A name, if it is normalised.
    pub fn new(text: &str) -> Result<Self, EntryError> {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
        let fits = text.len() <= PROJECT_BYTES_MAX && text.split('-').all(part);
        if fits { Ok(Self(text.to_owned())) } else { Err(EntryError::Field("project")) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A distribution file's name: 1 to [`FILE_BYTES_MAX`] of `A-Za-z0-9._+!-`, no free text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// A name, if it is one.
    pub fn new(text: &str) -> Result<Self, EntryError> {
        let letter = |byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'+' | b'!' | b'-');
        let fits = (1..=FILE_BYTES_MAX).contains(&text.len()) && text.bytes().all(letter);
        if fits { Ok(Self(text.to_owned())) } else { Err(EntryError::Field("file")) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file: its name, and SHA-256 of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoggedFile {
    /// What it is called.
    pub name: FileName,
    /// What it is.
    pub sha256: Hash,
}

/// 32 random bytes that hide what is committed to; in the ledger alone, and gone with its row.
///
/// It is neither printed nor compared: it is a secret.
#[derive(Clone)]
pub struct Salt(pub [u8; 32]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// SHA-256(salt || what): binds the log to somebody without saying who. See the module about erasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(pub Hash);

/// The commitment to an account's stable identifier (or a publisher's identity). The salt's length is fixed, so that
/// no two pairs run together into the same bytes.
pub fn commit(salt: &Salt, who: &[u8]) -> Commitment {
    Commitment(of_parts(&[&salt.0, who]))
}

/// An account as one project's entries speak of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// 16 random bytes, another for each project.
    pub id: [u8; 16],
    /// To the account's identifier, under a salt of its own.
    pub commitment: Commitment,
}

/// A project's status (PEP 792).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// As any other.
    Active,
    /// Nothing new is to be expected.
    Archived,
    /// Not to be used any more.
    Deprecated,
    /// Not offered to installers.
    Quarantined,
}

/// What an account may do with a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything.
    Owner,
    /// Publishing.
    Maintainer,
}

/// Whether something begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It holds from now on.
    Add,
    /// It holds no more.
    Remove,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// A file became visible.
    Publish(LoggedFile),
    /// A file is not to be chosen any more unless asked for by its version. Why stands on the page, not here.
    Yank(LoggedFile),
    /// A yank was taken back.
    Unyank(LoggedFile),
    /// A file is no longer visible: removed by its owner, or withdrawn.
    Remove(LoggedFile),
    /// The project has a status.
    Status(Status),
    /// An account received or lost a role.
    Owner(Change, Role, Account),
    /// Something outside (a workflow) may publish, or may not any more. Its identity often names a person, so it is
    /// committed to like an account.
    Publisher(Change, Account),
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Seconds since 1970, from the ledger.
    pub time: u64,
    /// On which project.
    pub project: Project,
    /// What.
    pub act: Act,
    /// SHA-256 of the project's page as it is from then on; nothing where no page is left.
    pub page: Option<Hash>,
    /// By whom; nothing for what the index's operators or rules did.
    pub by: Option<Account>,
}

/// Words with what they stand for, in both directions from one table.
fn word<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

fn meaning<T: Copy>(table: &[(&'static str, T)], text: &str) -> Option<T> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

const STATUSES: &[(&str, Status)] = &[
    ("active", Status::Active),
    ("archived", Status::Archived),
    ("deprecated", Status::Deprecated),
    ("quarantined", Status::Quarantined),
];
const ROLES: &[(&str, Role)] = &[("owner", Role::Owner), ("maintainer", Role::Maintainer)];
const CHANGES: &[(&str, Change)] = &[("add", Change::Add), ("remove", Change::Remove)];

macro_rules! as_str {
    ($($name:ident in $table:ident),*) => {$(
        impl $name {
            /// The word that entries have for it.
            pub fn as_str(self) -> &'static str {
                word($table, self)
            }
        }
    )*};
}
as_str!(Status in STATUSES, Role in ROLES, Change in CHANGES);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", hex(&self.id), self.commitment.0.to_hex())
    }
}

fn account(text: &str) -> Option<Account> {
    let (id, commitment) = text.split_once(' ')?;
    Some(Account { id: unhex(id)?, commitment: Commitment(Hash::from_hex(commitment)?) })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, project, act, page, by } = self;
        writeln!(f, "{VERSION_1}\ntime {time}\nproject {}", project.0)?;
        let mut file = |act: &str, file: &LoggedFile| {
            writeln!(f, "act {act}\nfile {}\nsha256 {}", file.name.0, file.sha256.to_hex())
        };
        match act {
            Act::Publish(of) => file("publish", of)?,
            Act::Yank(of) => file("yank", of)?,
            Act::Unyank(of) => file("unyank", of)?,
            Act::Remove(of) => file("remove", of)?,
            Act::Status(status) => writeln!(f, "act status\nstatus {}", status.as_str())?,
            Act::Owner(change, role, whom) => {
                let (change, role) = (change.as_str(), role.as_str());
                writeln!(f, "act owner\nchange {change}\nrole {role}\nwhom {whom}")?;
            }
            Act::Publisher(change, whom) => {
                writeln!(f, "act publisher\nchange {}\nwhom {whom}", change.as_str())?;
            }
        }
        match page {
            Some(page) => writeln!(f, "page {}", page.to_hex())?,
            None => writeln!(f, "page none")?,
        }
        match by {
            Some(account) => writeln!(f, "account {account}"),
            None => writeln!(f, "account none"),
        }
    }
}

/// The lines of an entry, taken in their order.
struct Lines<'a>(std::str::Split<'a, char>);

impl<'a> Lines<'a> {
    fn text(&mut self, field: &'static str) -> Result<&'a str, EntryError> {
        let value = self.0.next().and_then(|line| line.strip_prefix(field)?.strip_prefix(' '));
        value.ok_or(EntryError::Field(field))
    }

    fn take<T>(&mut self, field: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, EntryError> {
        read(self.text(field)?).ok_or(EntryError::Field(field))
    }

    fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EntryError> {
        self.take(field, |text| if text == "none" { Some(None) } else { read(text).map(Some) })
    }

    fn file(&mut self) -> Result<LoggedFile, EntryError> {
        let name = FileName::new(self.text("file")?)?;
        Ok(LoggedFile { name, sha256: self.take("sha256", Hash::from_hex)? })
    }

    fn act(&mut self) -> Result<Act, EntryError> {
        Ok(match self.text("act")? {
            "publish" => Act::Publish(self.file()?),
            "yank" => Act::Yank(self.file()?),
            "unyank" => Act::Unyank(self.file()?),
            "remove" => Act::Remove(self.file()?),
            "status" => Act::Status(self.take("status", |text| meaning(STATUSES, text))?),
            "owner" => {
                let change = self.take("change", |text| meaning(CHANGES, text))?;
                Act::Owner(change, self.take("role", |text| meaning(ROLES, text))?, self.take("whom", account)?)
            }
            "publisher" => {
                let change = self.take("change", |text| meaning(CHANGES, text))?;
                Act::Publisher(change, self.take("whom", account)?)
            }
            _ => return Err(EntryError::Field("act")),
        })
    }
}

impl Entry {
    /// The entry's bytes: what is hashed into the log.
    pub fn print(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// An entry from its bytes, which are exactly what [`Entry::print`] gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EntryError::Version)?;
        let mut lines = Lines(text.split('\n'));
        if lines.0.next() != Some(VERSION_1) {
            return Err(EntryError::Version);
        }
        let time = lines.take("time", decimal)?;
        let project = Project::new(lines.text("project")?)?;
        let act = lines.act()?;
        let page = lines.optional("page", Hash::from_hex)?;
        let entry = Self { time, project, act, page, by: lines.optional("account", account)? };
        // Whatever the fields let through, only what would be written is an entry.
        if entry.print() == bytes { Ok(entry) } else { Err(EntryError::Spelling) }
    }
}

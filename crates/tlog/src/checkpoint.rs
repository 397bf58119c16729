//! Checkpoints (C2SP tlog-checkpoint): a signed note that says how large a log is and what its root is.

use std::collections::BTreeSet;
use std::fmt;

use crate::hash::{Hash, decimal, sha256};
use crate::note::{KeyKind, KeyName, Note, NoteError, Signature, Signed, Signer, VerifierKey};
use crate::proof::TreeHead;
use crate::tile::TREE_LEAVES_MAX;

/// Bytes of an origin.
pub const ORIGIN_BYTES_MAX: usize = 255;
/// Lines of a checkpoint after the first three. We write none: no monitor could check them.
pub const EXTENSIONS_MAX: usize = 16;
/// Bytes of such a line.
pub const EXTENSION_BYTES_MAX: usize = 1024;

/// Why a checkpoint is none, or is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Empty, longer than [`ORIGIN_BYTES_MAX`], or with a control character.
    #[error("this is not the origin of a log")]
    Origin,
    /// Not origin, size and root, each on its line in its one spelling, and extensions within their limits.
    #[error("the note's text is not a checkpoint")]
    Text,
    /// A good checkpoint of some other log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    OtherLog {
        /// Whose it is.
        found: Origin,
        /// Whose it should be.
        expected: Origin,
    },
    /// Nobody who may speak for the log has signed.
    #[error("the log's key has not signed the checkpoint")]
    NotTheLog,
    /// Fewer witnesses have seen it than the client asks for.
    #[error("{found} known witnesses have seen the checkpoint, not {quorum}")]
    Witnesses {
        /// How many.
        found: usize,
        /// How many it takes.
        quorum: usize,
    },
    /// No note, or a forged one.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What a log is called: the first line of its checkpoints, by convention its URL without the scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// An origin, if it is one: 1 to [`ORIGIN_BYTES_MAX`] bytes on one line.
    pub fn new(text: &str) -> Result<Self, CheckpointError> {
        let fits = (1..=ORIGIN_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(CheckpointError::Origin) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub(crate) origin: Origin,
    pub(crate) head: TreeHead,
    pub(crate) extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint from its parts. An empty tree has the hash of nothing as its root.
    pub fn new(origin: Origin, head: TreeHead, extensions: Vec<String>) -> Result<Self, CheckpointError> {
        let line =
            |line: &String| (1..=EXTENSION_BYTES_MAX).contains(&line.len()) && !line.bytes().any(|byte| byte < b' ');
        let fits = head.size <= TREE_LEAVES_MAX
            && (head.size > 0 || head.root == Hash::of_nothing())
            && extensions.len() <= EXTENSIONS_MAX
            && extensions.iter().all(line);
        if fits { Ok(Self { origin, head, extensions }) } else { Err(CheckpointError::Text) }
    }

    /// Whose log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How large, and with what root.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// What else the log says there, which no monitor can check.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// From the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Text)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Text);
        };
        let origin = Origin::new(origin)?;
        let (Some(size), Some(root)) = (decimal(size), Hash::from_base64(root)) else {
            return Err(CheckpointError::Text);
        };
        let extensions = lines.take(EXTENSIONS_MAX + 1).map(str::to_owned).collect();
        Self::new(origin, TreeHead { size, root }, extensions)
    }

    /// SHA-256 of the text, without signatures: what another signed file (the timestamp role) names to bind itself
    /// to this state of the log, whoever adds a signature later.
    pub fn digest(&self) -> Hash {
        sha256(self.to_string().as_bytes())
    }

    /// The note to be served, with the signatures of the log's keys.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Note, NoteError> {
        let text = self.to_string();
        let signatures = signers.iter().map(|signer| Signature::of(&text, *signer)).collect::<Result<_, _>>()?;
        Note::new(text, signatures)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, head: TreeHead { size, root }, extensions } = self;
        write!(f, "{origin}\n{size}\n{}\n", root.to_base64())?;
        extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Whom a client believes about one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which log.
    pub origin: Origin,
    /// Its keys; one of them must have signed. Several while one follows another.
    pub log: Vec<VerifierKey>,
    /// Witnesses, each with a key of its own.
    pub witnesses: Vec<VerifierKey>,
    /// How many of the witnesses must have signed; 0 for a log that has none.
    pub quorum: usize,
}

/// A checkpoint that a [`Policy`] lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Which known witnesses saw it, and when, in seconds since 1970. Whether that is recent enough is the caller's
    /// question, who has a clock.
    pub witnessed: Vec<(KeyName, u64)>,
}

impl Policy {
    /// A checkpoint from bytes, if the log signed it and enough witnesses saw it. Whether it follows the one seen
    /// before is the next question: [`crate::follow::Remembered::advance`].
    pub fn open(&self, bytes: &[u8]) -> Result<Opened, CheckpointError> {
        let note = Note::parse(bytes)?;
        let known: Vec<VerifierKey> = self.log.iter().chain(&self.witnesses).cloned().collect();
        let Signed { text, by } = note.verify(&known)?;
        let is_log = |key: &VerifierKey| key.kind() == KeyKind::Ed25519 && self.log.contains(key);
        if !by.iter().any(|(key, _)| is_log(key)) {
            return Err(CheckpointError::NotTheLog);
        }
        let checkpoint = Checkpoint::parse(text)?;
        if checkpoint.origin != self.origin {
            return Err(CheckpointError::OtherLog { found: checkpoint.origin, expected: self.origin.clone() });
        }
        let (mut witnessed, mut distinct) = (Vec::new(), BTreeSet::new());
        for (key, time) in by.iter().filter(|(key, _)| self.witnesses.contains(key)) {
            if let Some(time) = time {
                witnessed.push((key.name().clone(), *time));
                // A key under two names is one witness.
                distinct.insert(key.public());
            }
        }
        let (found, quorum) = (distinct.len(), self.quorum);
        if found < quorum {
            Err(CheckpointError::Witnesses { found, quorum })
        } else {
            Ok(Opened { checkpoint, witnessed })
        }
    }
}

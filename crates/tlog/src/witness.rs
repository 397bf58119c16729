//! Witnessing (C2SP tlog-witness): another node that has seen a log only ever grow says so, with a time.
//!
//! Pure: the caller receives the request, keeps the head that it last cosigned for each log, and has the clock.

use std::fmt;

use crate::checkpoint::{Checkpoint, CheckpointError, Origin};
use crate::hash::{Hash, decimal};
use crate::note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteError, Signature, Signer, VerifierKey};
use crate::proof::{PROOF_HASHES_MAX, ProofError, TreeHead, verify_consistency};

/// Bytes of a request to `add-checkpoint`: the note, the hashes in base64, the first line.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 45 * PROOF_HASHES_MAX + 32;
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = NOTE_BYTES_MAX;

/// Why a witness does not sign, with the status that the specification gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: no request of this protocol, or an old size above the new one.
    #[error("this is not an add-checkpoint request")]
    Malformed,
    /// 404: a log that this witness does not watch.
    #[error("this witness does not know that log")]
    UnknownLog,
    /// 403: not signed by a key of that log.
    #[error("the log's key has not signed the checkpoint")]
    NotTheLog,
    /// 409, its body the size and an end of line, as `text/x.tlog.size`: the witness saw another tree last, or
    /// another root at this size, which proves that the log shows two pasts.
    #[error("the witness has seen another tree of this log, of {size} leaves")]
    Conflict {
        /// Leaves of the tree that it cosigned last; 0 if none.
        size: u64,
        /// Whether it is as large as the one submitted and has another root: evidence to be kept.
        forked: bool,
    },
    /// 422: the proof does not lead from the old tree to the new one.
    #[error(transparent)]
    Inconsistent(ProofError),
}

impl Refusal {
    /// The number that the specification gives to this refusal.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotTheLog => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }
}

/// The body of an `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    note: Note,
}

impl AddCheckpoint {
    /// A request: the size that the witness saw last (0 to ask for it), the proof from there, and the checkpoint.
    pub fn new(old: u64, proof: Vec<Hash>, note: Note) -> Result<Self, Refusal> {
        if proof.len() > PROOF_HASHES_MAX { Err(Refusal::Malformed) } else { Ok(Self { old, proof, note }) }
    }

    /// A request from its bytes, at most [`REQUEST_BYTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| decimal(line.strip_prefix("old ")?)).ok_or(Refusal::Malformed)?;
        let proof = lines.take(PROOF_HASHES_MAX + 1).map(Hash::from_base64).collect::<Option<_>>();
        let note = Note::parse(note.as_bytes()).map_err(|_| Refusal::Malformed)?;
        Self::new(old, proof.ok_or(Refusal::Malformed)?, note)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}

/// A log that a witness watches, and the keys that speak for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which log.
    pub origin: Origin,
    /// Its keys.
    pub keys: Vec<VerifierKey>,
}

/// What a witness found consistent. It is to be stored first, in one step with the check that the head which
/// [`consider`] was given is still the last one, and cosigned then: a signature that outlives its record would let a
/// log roll back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistent {
    checkpoint: Checkpoint,
}

impl Consistent {
    /// What the witness keeps as the last head of this log.
    pub fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }

    /// Which log.
    pub fn origin(&self) -> &Origin {
        self.checkpoint.origin()
    }

    /// The answer's line, at a time in seconds since 1970.
    pub fn cosign(&self, seconds: u64, signer: &dyn Signer) -> Result<Signature, NoteError> {
        Signature::cosign(&self.checkpoint.to_string(), seconds, signer)
    }
}

/// What a witness says to a request. `latest` gives the head that it last cosigned for the log of that origin.
pub fn consider(
    request: &AddCheckpoint,
    logs: &[Watched],
    latest: impl FnOnce(&Origin) -> Option<TreeHead>,
) -> Result<Consistent, Refusal> {
    let refused = |error: CheckpointError| match error {
        CheckpointError::NotTheLog | CheckpointError::Note(_) => Refusal::NotTheLog,
        CheckpointError::Origin
        | CheckpointError::Text
        | CheckpointError::OtherLog { .. }
        | CheckpointError::Witnesses { .. } => Refusal::Malformed,
    };
    let checkpoint = Checkpoint::parse(request.note.unverified_text()).map_err(refused)?;
    let log = logs.iter().find(|log| log.origin == checkpoint.origin).ok_or(Refusal::UnknownLog)?;
    request.note.verify(&log.keys).map_err(|error| refused(error.into()))?;
    let new = checkpoint.head();
    if request.old > new.size {
        return Err(Refusal::Malformed);
    }
    let seen = latest(&log.origin).unwrap_or(TreeHead { size: 0, root: Hash::of_nothing() });
    let forked = seen.size == new.size && seen.root != new.root;
    if request.old != seen.size || forked {
        return Err(Refusal::Conflict { size: seen.size, forked });
    }
    verify_consistency(&seen, &new, &request.proof).map_err(Refusal::Inconsistent)?;
    Ok(Consistent { checkpoint })
}

/// A witness's answer, put below the log's own note: of its lines those that a known witness made over this very
/// text. Lines of others, and wrong ones, are left out.
pub fn take_cosignatures(note: Note, answer: &[u8], witnesses: &[VerifierKey]) -> Result<Note, NoteError> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(NoteError::TooLong(answer.len()));
    }
    let lines = std::str::from_utf8(answer).ok().and_then(|text| text.strip_suffix('\n')).ok_or(NoteError::NotANote)?;
    let mut whole = note;
    for (at, line) in lines.split('\n').enumerate() {
        if at == NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let signature = Signature::parse(line).ok_or(NoteError::NotASignature(at + 1))?;
        let alone = Note::new(whole.unverified_text().to_owned(), vec![signature.clone()])?;
        if alone.verify(witnesses).is_ok() {
            whole = whole.with(signature)?;
        }
    }
    Ok(whole)
}

//! Signed notes (C2SP signed-note): text and who signed it; Ed25519 signatures and timestamped cosignatures
//! (C2SP tlog-cosignature, `cosignature/v1`).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::{hex, of_parts, unhex};

/// Bytes of a note that is looked at. Sixteen post-quantum signatures of strangers fit.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// Signatures of a note; the specification asks for at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Bytes of a signature, its key id among them, of whatever algorithm.
pub const SIGNATURE_BYTES_MAX: usize = 8 << 10;
/// Bytes of a key's name.
pub const KEY_NAME_BYTES_MAX: usize = 255;
/// The largest time of a cosignature, in seconds since 1970 (C2SP tlog-cosignature).
pub const COSIGNED_SECONDS_MAX: u64 = i64::MAX as u64;

const ED25519_BYTES: usize = 64;

/// Why bytes are not a note, a key or a name, or why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`NOTE_BYTES_MAX`].
    #[error("the note has {0} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong(usize),
    /// More than [`NOTE_SIGNATURES_MAX`].
    #[error("the note has more than {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// Not UTF-8, or a control character, or no end of line, or no empty line and signatures after the text.
    #[error("this is not a signed note")]
    NotANote,
    /// A line below the text that is no signature.
    #[error("line {0} below the text is not a signature")]
    NotASignature(usize),
    /// A name that is empty, too long, or has a space, a plus or a control character.
    #[error("this is not the name of a key")]
    Name,
    /// Not `name+id+key` of a kind that is known here, with the id that belongs to it.
    #[error("this is not a verifier key of a known kind")]
    Key,
    /// A known key's signature is of something else. The whole note is refused.
    #[error("the signature of {0} is not of this text")]
    Forged(KeyName),
    /// Nobody known has signed.
    #[error("none of the known keys has signed this")]
    NobodyKnown,
    /// A key did not sign.
    #[error("{name} did not sign: {why}")]
    NotSigning {
        /// Whose key.
        name: KeyName,
        /// What it said.
        why: String,
    },
}

/// The name of a key, which should look like an address without a scheme: 1 to [`KEY_NAME_BYTES_MAX`] bytes, no
/// spaces of any kind, no plus, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// A name, if it is one.
    pub fn new(text: &str) -> Result<Self, NoteError> {
        let fits = (1..=KEY_NAME_BYTES_MAX).contains(&text.len());
        let stranger = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '+';
        if fits && !text.contains(stranger) { Ok(Self(text.to_owned())) } else { Err(NoteError::Name) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The text of notes: type 0x01, a log's key.
    Ed25519,
    /// The text of checkpoints and the time at which it saw them: type 0x04, a witness's key.
    Cosigner,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

/// A public key with its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    public: [u8; 32],
}

impl VerifierKey {
    /// A key from its parts.
    pub fn new(name: KeyName, kind: KeyKind, public: [u8; 32]) -> Self {
        Self { name, kind, public }
    }

    /// Whose it is.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself, as RFC 8032 encodes it.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key id: the first four bytes of SHA-256(name || 0x0a || kind || key). It tells keys apart and proves
    /// nothing.
    pub fn id(&self) -> [u8; 4] {
        let hash = of_parts(&[self.name.0.as_bytes(), b"\n", &[self.kind.byte()], &self.public]);
        let [a, b, c, d, ..] = hash.0;
        [a, b, c, d]
    }

    /// From `name+id+key`: the id in eight lower-case hexadecimal digits, the kind's byte and the key in base64.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let name = KeyName::new(name)?;
        // One byte of kind and 32 of key are 44 characters.
        let decoded = if key.len() == 44 { STANDARD.decode(key).ok() } else { None };
        let Some((kind, Ok(public))) =
            decoded.as_deref().and_then(<[u8]>::split_first).map(|(k, p)| (*k, p.try_into()))
        else {
            return Err(NoteError::Key);
        };
        let kind = match kind {
            0x01 => KeyKind::Ed25519,
            0x04 => KeyKind::Cosigner,
            _ => return Err(NoteError::Key),
        };
        let key = Self { name, kind, public };
        if unhex(id) == Some(key.id()) { Ok(key) } else { Err(NoteError::Key) }
    }

    /// Whether the signature, without its key id, is this key's over the text. A cosigner's says when.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let is_of = |message: &[u8], signature: &[u8]| {
            signature.len() == ED25519_BYTES
                && UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
        };
        match self.kind {
            KeyKind::Ed25519 => is_of(text.as_bytes(), signature).then_some(None),
            KeyKind::Cosigner => {
                let (time, signature) = signature.split_first_chunk()?;
                let time = u64::from_be_bytes(*time);
                let known = time <= COSIGNED_SECONDS_MAX && is_of(cosigned(text, time).as_bytes(), signature);
                known.then_some(Some(time))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

/// What a cosigner signs.
fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// Somebody who holds an Ed25519 key: a file, a token, another process.
pub trait Signer {
    /// The key that verifies.
    fn key(&self) -> &VerifierKey;

    /// 64 bytes over the message, or why not.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String>;
}

/// A key in memory.
#[derive(Debug)]
pub struct MemorySigner {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl MemorySigner {
    /// From the 32 secret bytes of RFC 8032, which the caller took from its one door to randomness. A witness's key
    /// must be used for nothing else: what it signs does not name it.
    pub fn from_seed(name: KeyName, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key)?;
        Ok(Self { pair, key: VerifierKey { name, kind, public } })
    }
}

impl Signer for MemorySigner {
    fn key(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        self.pair.sign(message).as_ref().try_into().map_err(|_| "not an Ed25519 signature".to_owned())
    }
}

/// A line below a note's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: KeyName,
    /// The key id, and what the key's algorithm made.
    bytes: Vec<u8>,
}

impl Signature {
    /// A log's signature of a text.
    pub fn of(text: &str, signer: &dyn Signer) -> Result<Self, NoteError> {
        Self::made(signer, KeyKind::Ed25519, &[], text)
    }

    /// A witness's signature of a checkpoint's text, at a time in seconds since 1970.
    pub fn cosign(text: &str, seconds: u64, signer: &dyn Signer) -> Result<Self, NoteError> {
        if seconds > COSIGNED_SECONDS_MAX {
            let (name, why) = (signer.key().name.clone(), "no such time".to_owned());
            return Err(NoteError::NotSigning { name, why });
        }
        Self::made(signer, KeyKind::Cosigner, &seconds.to_be_bytes(), &cosigned(text, seconds))
    }

    fn made(signer: &dyn Signer, kind: KeyKind, before: &[u8], message: &str) -> Result<Self, NoteError> {
        let key = signer.key();
        let not = |why| NoteError::NotSigning { name: key.name.clone(), why };
        if key.kind != kind {
            return Err(not("it is a key for something else".to_owned()));
        }
        let signature = signer.sign(message.as_bytes()).map_err(not)?;
        Ok(Self { name: key.name.clone(), bytes: [&key.id()[..], before, &signature].concat() })
    }

    /// Who says to have signed.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.bytes.starts_with(&key.id())
    }

    /// From a line, without its end.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        if encoded.len() > SIGNATURE_BYTES_MAX.div_ceil(3) * 4 {
            return None;
        }
        let bytes = STANDARD.decode(encoded).ok()?;
        let fits = (5..=SIGNATURE_BYTES_MAX).contains(&bytes.len());
        Some(Self { name: KeyName::new(name).ok().filter(|_| fits)?, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "— {} {}", self.name, STANDARD.encode(&self.bytes))
    }
}

/// A text and its signatures. Nothing in it is believed before [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// Who of the known has signed a note: each once, a witness with its latest time in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The text, which may now be read.
    pub text: &'a str,
    /// The keys and, for cosigners, the times.
    pub by: Vec<(&'a VerifierKey, Option<u64>)>,
}

impl Note {
    /// A text, which must end a line and have no other control character, and its signatures: 1 to
    /// [`NOTE_SIGNATURES_MAX`].
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        if signatures.is_empty() || !text.ends_with('\n') || text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::NotANote);
        }
        let note = Self { text, signatures };
        let bytes = note.to_string().len();
        if bytes > NOTE_BYTES_MAX { Err(NoteError::TooLong(bytes)) } else { Ok(note) }
    }

    /// A note from its bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::NotANote)?;
        let (text, below) = whole.rsplit_once("\n\n").ok_or(NoteError::NotANote)?;
        let below = below.strip_suffix('\n').ok_or(NoteError::NotANote)?;
        let mut signatures = Vec::new();
        for (at, line) in below.split('\n').enumerate() {
            if at == NOTE_SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::NotASignature(at + 1))?);
        }
        Self::new(format!("{text}\n"), signatures)
    }

    /// The text, of which nobody has made sure yet.
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signatures, of which nobody has made sure yet.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The note with one signature more: a witness's, as it answered.
    pub fn with(mut self, signature: Signature) -> Result<Self, NoteError> {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
        Self::new(self.text, self.signatures)
    }

    /// Who of these has signed. Signatures of others are passed over; a wrong one under a known key refuses all, and
    /// so does a note that nobody known has signed.
    pub fn verify<'a>(&'a self, known: &'a [VerifierKey]) -> Result<Signed<'a>, NoteError> {
        let mut by: Vec<(&VerifierKey, Option<u64>)> = Vec::new();
        for signature in &self.signatures {
            // Two known keys may share name and id: the signature is one's or the other's.
            let mut candidates = known.iter().filter(|key| signature.is_of(key)).peekable();
            if candidates.peek().is_none() {
                continue;
            }
            let made = signature.bytes.get(4..).unwrap_or_default();
            let signed = candidates.find_map(|key| Some((key, key.verify(&self.text, made)?)));
            let Some((key, time)) = signed else { return Err(NoteError::Forged(signature.name.clone())) };
            match by.iter_mut().find(|(other, _)| *other == key) {
                Some((_, latest)) => *latest = (*latest).max(time),
                None => by.push((key, time)),
            }
        }
        if by.is_empty() { Err(NoteError::NobodyKnown) } else { Ok(Signed { text: &self.text, by }) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

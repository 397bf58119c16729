//! Bodies and records: what is signed as a pure function of what a ledger holds, and what is kept of a signature.

use std::collections::BTreeMap;

use super::WriteError;
use crate::hash::{Sha256, sha256, write_hex};
use crate::json::{Object, Value, object, write_text, write_uint};
use crate::keys::{NotSigning, Signer};
use crate::role::{SPEC_VERSION, TARGET_PATH_BYTES_MAX, Top};
use crate::signed::{Signature, file, sign};
use crate::time::Time;

/// The length of a bin's body, in bytes. The snapshot does not list lengths, so clients go by limits of their own;
/// python-tuf's is 5,000,000 for the file. Some 30,000 targets: time for more bins long before.
pub const BIN_BYTES_MAX: usize = 4_990_000;

/// A role before anybody signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Its name.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// When it was made.
    pub issued: Time,
    /// When it expires.
    pub expires: Time,
    /// The canonical form, which signatures are over.
    pub canonical: Vec<u8>,
}

/// What a ledger keeps of a signed role. With the body, which is rendered again, this is the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// When it was signed.
    pub issued: Time,
    /// When it expires.
    pub expires: Time,
    /// Key ids and signatures, in the order of the file.
    pub signatures: Vec<Signature>,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Length of the file in bytes.
    pub length: u64,
}

/// A signed role: its record and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// For the ledger.
    pub record: Record,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Body {
    /// The file with these signatures, whoever made them.
    pub fn with(&self, signatures: Vec<Signature>) -> Written {
        let bytes = file(&self.canonical, &signatures);
        let Self { role, version, issued, expires, canonical: _ } = self;
        let (sha256, length) = (sha256(&bytes), bytes.len() as u64);
        let (role, version, issued, expires) = (role.clone(), *version, *issued, *expires);
        Written { record: Record { role, version, issued, expires, signatures, sha256, length }, bytes }
    }

    /// The file signed by these.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Written, NotSigning> {
        Ok(self.with(sign(&self.canonical, signers)?))
    }
}

impl Record {
    /// The file again, from the body that was rendered again. An error if it is not the one that was signed: then the
    /// ledger no longer says what it said.
    pub fn rebuild(&self, canonical: &[u8]) -> Result<Vec<u8>, WriteError> {
        let bytes = file(canonical, &self.signatures);
        if sha256(&bytes) != self.sha256 || bytes.len() as u64 != self.length {
            return Err(WriteError::Order("the body is not the one that was signed"));
        }
        Ok(bytes)
    }
}

/// What the application adds to a target, as canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom(String);

impl Custom {
    /// From its members.
    pub fn new(members: Object) -> Self {
        let canonical = Value::Object(members).to_canonical();
        Self(String::from_utf8_lossy(&canonical).into_owned())
    }

    /// As a ledger holds it.
    pub fn read(text: &str) -> Result<Self, WriteError> {
        const CUSTOM_BYTES_MAX: usize = 16 << 10;
        match Value::parse(text.as_bytes(), CUSTOM_BYTES_MAX) {
            Ok(Value::Object(members)) => Some(Self::new(members)).filter(|custom| custom.0 == text),
            Ok(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_)) | Err(_) => None,
        }
        .ok_or(WriteError::Custom)
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One target of a bin.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its path, without control characters.
    pub path: &'a str,
    /// Its length in bytes.
    pub length: u64,
    /// Its digest.
    pub sha256: &'a Sha256,
    /// What the application adds.
    pub custom: Option<&'a Custom>,
}

/// The canonical body of a bin. The rows are sorted by the bytes of their paths, and no path is there twice.
pub fn bin(version: u64, expires: Time, rows: &[Row<'_>]) -> Result<Vec<u8>, WriteError> {
    const ROW_BYTES: usize = 120;
    let text: usize = rows.iter().map(|row| row.path.len() + row.custom.map_or(0, |custom| custom.0.len())).sum();
    let mut out = Vec::with_capacity(text + ROW_BYTES * rows.len() + 160);
    open("targets", expires, &mut out);
    out.extend_from_slice(b",\"spec_version\":\"");
    out.extend_from_slice(SPEC_VERSION.as_bytes());
    out.extend_from_slice(b"\",\"targets\":{");
    let mut last = "";
    for Row { path, length, sha256, custom } in rows {
        if path.len() > TARGET_PATH_BYTES_MAX {
            return Err(WriteError::Rows("a path is too long"));
        }
        // The empty path sorts first of all, so this refuses it as well.
        if *path <= last {
            return Err(WriteError::Rows("they are not sorted, or a path is there twice"));
        }
        if !last.is_empty() {
            out.push(b',');
        }
        last = path;
        // Without a branch a byte, so that the compiler takes many at once: most paths need no escape.
        let (control, quoted) = path.bytes().fold((false, false), |(control, quoted), byte| {
            (control | (byte < 0x20), quoted | (byte == b'"') | (byte == b'\\'))
        });
        if control {
            return Err(WriteError::Rows("a path holds a control character"));
        }
        if quoted {
            write_text(path, &mut out);
        } else {
            out.push(b'"');
            out.extend_from_slice(path.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b":{");
        if let Some(Custom(custom)) = custom {
            out.extend_from_slice(b"\"custom\":");
            out.extend_from_slice(custom.as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(b"\"hashes\":{\"sha256\":\"");
        write_hex(sha256.as_slice(), &mut out);
        out.extend_from_slice(b"\"},\"length\":");
        write_uint(*length, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"},\"version\":");
    write_uint(version, &mut out);
    out.push(b'}');
    if out.len() > BIN_BYTES_MAX {
        return Err(WriteError::Rows("they are more than clients read: divide the bins anew"));
    }
    Ok(out)
}

/// `{"_type":"…","expires":"…"`
pub(super) fn open(type_: &str, expires: Time, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"_type\":\"");
    out.extend_from_slice(type_.as_bytes());
    out.extend_from_slice(b"\",\"expires\":\"");
    out.extend_from_slice(expires.to_string().as_bytes());
    out.push(b'"');
}

/// The canonical body of a timestamp: length, SHA-256 and version of the snapshot, and when it was issued (`x-issued`),
/// by which clients judge how stale a mirror is. `extra` may bind more to it; names beginning with `x-` are ours.
pub fn timestamp(
    version: u64,
    issued: Time,
    expires: Time,
    snapshot: &Record,
    extra: &BTreeMap<String, Value>,
) -> Vec<u8> {
    let hashes = object([("sha256", Value::from(crate::hash::hex(&snapshot.sha256).as_str()))]);
    let line = object([
        ("hashes", Value::Object(hashes)),
        ("length", Value::from(snapshot.length)),
        ("version", Value::from(snapshot.version)),
    ]);
    let mut signed = extra.clone();
    signed.extend(object([
        ("_type", Value::from(Top::Timestamp.name())),
        ("expires", Value::from(expires.to_string().as_str())),
        ("meta", Value::Object(object([("snapshot.json", Value::Object(line))]))),
        ("spec_version", Value::from(SPEC_VERSION)),
        ("version", Value::from(version)),
        ("x-issued", Value::from(issued.to_string().as_str())),
    ]));
    Value::Object(signed).to_canonical()
}

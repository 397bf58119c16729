//! Public keys, key ids, and who signs.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::hash::{hex, sha256, unhex};
use crate::json::{Object, Value, object};

/// A public key as a role file holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// `ed25519`, `ecdsa` (or, in older files, the scheme's name again), `rsa`, or what we do not know.
    pub keytype: String,
    /// How it signs.
    pub scheme: String,
    /// Its material: hexadecimal for Ed25519, PEM for the others.
    pub public: String,
    /// What else stands in `keyval`; part of the key id.
    pub keyval_extra: Object,
    /// What else stands beside them; kept when the key is written again, no part of the key id.
    pub extra: Object,
}

/// How a key that we know verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Ed25519,
    EcdsaP256,
    RsaPss,
}

impl PublicKey {
    /// An Ed25519 key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        Self::of("ed25519", "ed25519", hex(public))
    }

    /// An ECDSA P-256 key from its PEM SubjectPublicKeyInfo.
    pub fn ecdsa_p256(pem: &str) -> Self {
        Self::of("ecdsa", "ecdsa-sha2-nistp256", pem.to_owned())
    }

    /// An ECDSA P-256 key from its uncompressed point: `04`, x, y (SEC 1, 2.3.3), as tokens give it.
    pub fn ecdsa_p256_point(point: &[u8; 65]) -> Self {
        Self::ecdsa_p256(&to_pem(&[P256_SPKI, point].concat()))
    }

    fn of(keytype: &str, scheme: &str, public: String) -> Self {
        let (keyval_extra, extra) = (Object::new(), Object::new());
        Self { keytype: keytype.to_owned(), scheme: scheme.to_owned(), public, keyval_extra, extra }
    }

    fn keyval(&self) -> Object {
        let mut keyval = self.keyval_extra.clone();
        keyval.insert("public".to_owned(), Value::from(self.public.as_str()));
        keyval
    }

    /// The key id: SHA-256 of the canonical form of exactly keytype, scheme and keyval.
    ///
    /// Files are read with whatever id they give a key. Writers of old derived it in other ways, and clients that
    /// insisted broke on the roots of large repositories; what counts is the key that a *signed* file names.
    pub fn keyid(&self) -> String {
        let identity = object([
            ("keytype", Value::from(self.keytype.as_str())),
            ("scheme", Value::from(self.scheme.as_str())),
            ("keyval", Value::Object(self.keyval())),
        ]);
        hex(&sha256(&Value::Object(identity).to_canonical()))
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut members = self.extra.clone();
        members.insert("keytype".to_owned(), Value::from(self.keytype.as_str()));
        members.insert("scheme".to_owned(), Value::from(self.scheme.as_str()));
        members.insert("keyval".to_owned(), Value::Object(self.keyval()));
        Value::Object(members)
    }

    fn kind(&self) -> Option<Kind> {
        match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => Some(Kind::Ed25519),
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => Some(Kind::EcdsaP256),
            ("rsa", "rsassa-pss-sha256") => Some(Kind::RsaPss),
            _ => None,
        }
    }

    /// The key without its spelling, or nothing if it is one that cannot verify: thresholds count these, as two ids
    /// may name one key.
    pub(crate) fn material(&self) -> Option<Material> {
        let kind = self.kind()?;
        let bytes = match kind {
            Kind::Ed25519 => unhex(&self.public).filter(|bytes| bytes.len() == 32)?,
            Kind::EcdsaP256 | Kind::RsaPss => from_pem(&self.public)?,
        };
        Some(Material { kind, bytes })
    }

    /// Whether these are one key, however each is spelt: two ids may name one.
    pub fn is_same_key(&self, other: &Self) -> bool {
        let (one, two) = (self.material(), other.material());
        self.keyid() == other.keyid() || (one.is_some() && one == two)
    }

    /// Whether this key made the signature (hexadecimal) over the message. Never for keys we do not know.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        self.material().is_some_and(|material| material.verify(message, signature))
    }
}

/// A decoded key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Material {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Material {
    pub(crate) fn verify(&self, message: &[u8], signature: &str) -> bool {
        let Some(signature) = unhex(signature) else { return false };
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::Ed25519 => &ED25519,
            Kind::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Kind::RsaPss => &RSA_PSS_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(message, &signature).is_ok()
    }
}

const PEM_HEAD: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_FOOT: &str = "-----END PUBLIC KEY-----";

/// The DER inside a PEM public key.
fn from_pem(text: &str) -> Option<Vec<u8>> {
    let inner = text.trim().strip_prefix(PEM_HEAD)?.strip_suffix(PEM_FOOT)?;
    let mut out = Vec::new();
    let (mut bits, mut held, mut padding) = (0_u32, 0, 0);
    for byte in inner.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (padding <= 2 && bits == 0).then_some(out)
}

/// A PEM public key around DER.
fn to_pem(der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut inner = String::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for n in 0..4 {
            if n > 0 && inner.len() % 65 == 64 {
                inner.push('\n');
            }
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize];
            inner.push(if n <= three.len() { char::from(letter) } else { '=' });
        }
        if inner.len() % 65 == 64 {
            inner.push('\n');
        }
    }
    format!("{PEM_HEAD}\n{}\n{PEM_FOOT}\n", inner.trim_end())
}

/// The DER of an ECDSA signature that came as its two numbers side by side, as PKCS #11 has it: a SEQUENCE of two
/// INTEGERs (RFC 3279, 2.2.3), each without leading zeros and never negative.
pub fn ecdsa_der(numbers: &[u8; 64]) -> Vec<u8> {
    let mut inner = Vec::with_capacity(70);
    for number in numbers.chunks(32) {
        let digits = &number[number.iter().position(|byte| *byte != 0).unwrap_or(31)..];
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        inner.extend_from_slice(&[0x02, (sign.len() + digits.len()) as u8]);
        inner.extend_from_slice(sign);
        inner.extend_from_slice(digits);
    }
    [&[0x30, inner.len() as u8], &inner[..]].concat()
}

/// Why a signer did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {keyid} did not sign: {why}")]
pub struct NotSigning {
    /// Which key.
    pub keyid: String,
    /// What it said.
    pub why: String,
}

/// Somebody who holds a private key: a file, a token, another process.
///
/// Ed25519 must be given the whole message. A remote P-256 key may be sent its SHA-256 alone. Notes of a log are signed by
/// Ed25519 keys alone.
pub trait Signer: Send + Sync {
    /// The key that verifies.
    fn public_key(&self) -> &PublicKey;

    /// The key's id, as [`PublicKey::keyid`] makes it.
    fn keyid(&self) -> &str;

    /// A signature over the message, as TUF files hold it before hexadecimal: 64 bytes for Ed25519, DER for ECDSA.
    ///
    /// It blocks until there is one, for as long as a token or a process takes, and so is called off the async threads: once or
    /// twice for most changes, once for each bin when the key or the bins change.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigning>;
}

/// What is no private key of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no private key of this kind")]
pub struct NoKey;

/// An Ed25519 key in memory. It signs the same message the same way each time.
#[derive(Debug)]
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    keyid: String,
}

impl Ed25519Signer {
    /// From the 32 secret bytes of RFC 8032, which the caller took from its one door to randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, NoKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoKey)?;
        let bytes: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| NoKey)?;
        let public = PublicKey::ed25519(&bytes);
        Ok(Self { pair, keyid: public.keyid(), public })
    }
}

impl Signer for Ed25519Signer {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigning> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

/// A P-256 key in memory. Its signatures differ each time, so what a ledger keeps must be the signature itself.
#[derive(Debug)]
pub struct P256Signer {
    pair: EcdsaKeyPair,
    public: PublicKey,
    keyid: String,
}

/// What stands before the point in a P-256 SubjectPublicKeyInfo (RFC 5480): two object identifiers and lengths.
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

impl P256Signer {
    /// From PKCS #8.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, NoKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map_err(|_| NoKey)?;
        let point: &[u8; 65] = pair.public_key().as_ref().try_into().map_err(|_| NoKey)?;
        let public = PublicKey::ecdsa_p256_point(point);
        Ok(Self { pair, keyid: public.keyid(), public })
    }
}

impl Signer for P256Signer {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigning> {
        let digest = digest::digest(&digest::SHA256, message);
        let signature = self
            .pair
            .sign_digest(&digest)
            .map_err(|_| NotSigning { keyid: self.keyid.clone(), why: "the library refused".to_owned() })?;
        Ok(signature.as_ref().to_vec())
    }
}

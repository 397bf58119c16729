//! A private key under a passphrase: Argon2id (RFC 9106) makes a key of the passphrase, AES-256-GCM (NIST SP 800-38D)
//! seals the seed with it. The public half stands beside it in clear and is authenticated with it, so a file cannot be
//! given another name.

use std::fmt;
use std::io::Read;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use tuf::Signer;
use tuf::keys::Ed25519Signer;

use crate::clock::Entropy;
use crate::{Error, Result};

/// Length of a passphrase under which a key is sealed, in bytes.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
/// Length of any passphrase or PIN, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// RFC 9106 section 4, the second recommended choice: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a file may ask of whoever opens it: a quarter of an hour and all memory would be an attack.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// What a person knows: opens sealed keys, or is the PIN of a token. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Passphrase(String);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Passphrase {
    /// From text; one line end after it does not count.
    ///
    /// # Errors
    /// When it is empty or longer than [`PASSPHRASE_BYTES_MAX`].
    pub fn new(text: &str) -> Result<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() || text.len() > PASSPHRASE_BYTES_MAX {
            return Err(Error::Invalid(format!("a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")));
        }
        Ok(Self(text.to_owned()))
    }

    /// From a file or standard input.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(from: impl Read) -> Result<Self> {
        let mut text = String::new();
        from.take(PASSPHRASE_BYTES_MAX as u64 + 3).read_to_string(&mut text)?;
        Self::new(&text)
    }

    /// From a file.
    ///
    /// # Errors
    /// When it cannot be read, or is none: with the file's name.
    pub fn read_file(path: &Path) -> Result<Self> {
        let read = std::fs::File::open(path).map_err(Error::from).and_then(Self::read);
        read.map_err(|error| Error::Invalid(format!("the passphrase in {}: {error}", path.display())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

/// A sealed Ed25519 seed, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    public: String,
    kdf: Kdf,
    cipher: String,
    nonce: String,
    sealed: String,
}

const ARGON2ID: &str = "argon2id";
const CIPHER: &str = "aes-256-gcm";

impl Sealed {
    /// Seals a seed. Salt and nonce are new each time.
    ///
    /// # Errors
    /// When the passphrase is too short to be one.
    pub(super) fn seal(seed: &[u8; 32], passphrase: &Passphrase, entropy: &Entropy) -> Result<Self> {
        if passphrase.0.len() < PASSPHRASE_BYTES_MIN {
            return Err(Error::Invalid(format!("a passphrase for a key has {PASSPHRASE_BYTES_MIN} bytes at least")));
        }
        let internal = |what: &str| Error::Internal(format!("sealing a key: {what}"));
        let public = public_of(seed).ok_or_else(|| internal("no key"))?;
        let salt = packaging::hash::hex(&entropy.bytes::<16>());
        let kdf = Kdf { name: ARGON2ID.to_owned(), memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt };
        let nonce = entropy.bytes::<NONCE_LEN>();
        let key = kdf.key(passphrase).map_err(internal)?;
        let mut sealed = seed.to_vec();
        let aad = Aad::from(bound(&public));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| internal("the cipher refused"))?;
        let hex = packaging::hash::hex;
        Ok(Self { public, kdf, cipher: CIPHER.to_owned(), nonce: hex(&nonce), sealed: hex(&sealed) })
    }

    /// The public half in hexadecimal, as the file says.
    pub(super) fn public(&self) -> &str {
        &self.public
    }

    /// The seed.
    ///
    /// # Errors
    /// In words: another passphrase, or a file that was changed.
    pub(super) fn open(&self, passphrase: &Passphrase) -> std::result::Result<[u8; 32], &'static str> {
        const BROKEN: &str = "is sealed in a way that is not known here";
        let Self { public, kdf, cipher, nonce, sealed } = self;
        if cipher != CIPHER {
            return Err(BROKEN);
        }
        let nonce: [u8; NONCE_LEN] = tuf::hash::unhex(nonce).and_then(|nonce| nonce.try_into().ok()).ok_or(BROKEN)?;
        let mut sealed = tuf::hash::unhex(sealed).ok_or(BROKEN)?;
        let key = kdf.key(passphrase)?;
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound(public)), &mut sealed)
            .map_err(|_| "does not open: another passphrase, or a file that was changed")?;
        let seed: [u8; 32] = (&*opened).try_into().map_err(|_| BROKEN)?;
        if public_of(&seed).as_ref() != Some(public) { Err(BROKEN) } else { Ok(seed) }
    }
}

impl Kdf {
    fn key(&self, passphrase: &Passphrase) -> std::result::Result<LessSafeKey, &'static str> {
        const BROKEN: &str = "is sealed in a way that is not known here, or asks for too much";
        let Self { name, memory_kib, passes, lanes, salt } = self;
        if name != ARGON2ID || *memory_kib > MEMORY_KIB_MAX || *passes > PASSES_MAX || *lanes > LANES_MAX {
            return Err(BROKEN);
        }
        let salt = tuf::hash::unhex(salt).ok_or(BROKEN)?;
        let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).map_err(|_| BROKEN)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &salt, &mut key)
            .map_err(|_| BROKEN)?;
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(|_| BROKEN)?))
    }
}

fn public_of(seed: &[u8; 32]) -> Option<String> {
    Ed25519Signer::from_seed(seed).ok().map(|signer| signer.public_key().public.clone())
}

/// What is authenticated beside the seed.
fn bound(public: &str) -> Vec<u8> {
    format!("tidewaiter sealed key 1\ned25519\n{public}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).expect("a passphrase")
    }

    #[test]
    fn what_was_sealed_opens_with_its_passphrase_alone() {
        let (seed, entropy) = ([7; 32], Entropy::seeded(1));
        let right = passphrase("correct horse\n");
        let sealed = Sealed::seal(&seed, &right, &entropy).expect("sealed");
        let text = serde_json::to_string(&sealed).expect("JSON");
        assert!(!text.contains(&packaging::hash::hex(&seed)), "{text}");
        assert_eq!(sealed.open(&passphrase("correct horse")), Ok(seed), "the line end does not count");
        assert!(sealed.open(&passphrase("correct horsf")).is_err());
        let again = Sealed::seal(&seed, &right, &entropy).expect("sealed");
        assert_ne!((&again.nonce, &again.sealed), (&sealed.nonce, &sealed.sealed), "never the same twice");
    }

    #[test]
    fn a_changed_file_does_not_open() {
        let entropy = Entropy::seeded(1);
        let right = passphrase("correct horse");
        let good = Sealed::seal(&[7; 32], &right, &entropy).expect("sealed");
        let other = Sealed::seal(&[8; 32], &right, &entropy).expect("sealed");
        let flipped = |text: &str| text.replacen(&text[..1], if text.starts_with('0') { "1" } else { "0" }, 1);
        let salted = |salt: &str| Kdf { salt: salt.to_owned(), ..good.kdf.clone() };
        for bad in [
            Sealed { public: other.public.clone(), ..good.clone() },
            Sealed { sealed: flipped(&good.sealed), ..good.clone() },
            Sealed { nonce: flipped(&good.nonce), ..good.clone() },
            Sealed { cipher: "rot13".to_owned(), ..good.clone() },
            Sealed { kdf: salted(&flipped(&good.kdf.salt)), ..good.clone() },
            Sealed { kdf: salted(""), ..good.clone() },
            Sealed { kdf: Kdf { passes: PASSES + 1, ..good.kdf.clone() }, ..good.clone() },
            Sealed { kdf: Kdf { passes: PASSES_MAX + 1, ..good.kdf.clone() }, ..good.clone() },
            Sealed { kdf: Kdf { memory_kib: MEMORY_KIB_MAX + 1, ..good.kdf.clone() }, ..good.clone() },
            Sealed { kdf: Kdf { lanes: LANES_MAX + 1, ..good.kdf.clone() }, ..good.clone() },
        ] {
            assert!(bad.open(&right).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passphrases_have_limits_and_are_never_printed() {
        assert!(Passphrase::new("\n").is_err());
        assert!(Passphrase::new(&"x".repeat(PASSPHRASE_BYTES_MAX)).is_ok());
        assert!(Passphrase::new(&"x".repeat(PASSPHRASE_BYTES_MAX + 1)).is_err());
        let entropy = Entropy::seeded(1);
        let short = Sealed::seal(&[7; 32], &passphrase(&"x".repeat(PASSPHRASE_BYTES_MIN - 1)), &entropy);
        assert!(short.is_err());
        assert!(Sealed::seal(&[7; 32], &passphrase(&"x".repeat(PASSPHRASE_BYTES_MIN)), &entropy).is_ok());
        assert_eq!(format!("{:?}", passphrase("correct horse")), "***");
    }
}

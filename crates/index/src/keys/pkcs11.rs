//! A key that a hardware token holds, reached through its PKCS #11 library (OASIS PKCS #11 v2.40 and later). The file
//! names library, token and key; the PIN is in a file of its own, or known to the person who signs. The library is code
//! that runs in this process: whoever can write a key's file could as well write the key.
//!
//! Ed25519 (CKM_EDDSA) and P-256 (CKM_ECDSA, over a SHA-256 that is made here).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use serde::{Deserialize, Serialize};
use tuf::keys::NotSigning;
use tuf::{PublicKey, Signer};

use super::sealed::Passphrase;
use super::{KeyFile, must_be_new, public_key, verified, write_new};
use crate::clock::Entropy;
use crate::{Error, Result};

/// What a token calls the curves: OBJECT IDENTIFIERs (RFC 5480, RFC 8410), and the name of PKCS #11 v3.0 for Ed25519.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ED25519: [&[u8]; 2] = [b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"];

/// The kind of a key that is made in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// Ed25519: the token must take the whole message, megabytes for a large snapshot.
    Ed25519,
    /// P-256: the token is given 32 bytes.
    P256,
}

/// A key in a token, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    keytype: String,
    scheme: String,
    public: String,
    /// The path of the token's library.
    library: PathBuf,
    /// The token's label.
    token: String,
    /// CKA_ID of the key, in hexadecimal.
    id: String,
    /// Where the PIN is; absent where a person gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin_file: Option<PathBuf>,
}

impl TokenKey {
    /// The public half, as the file says.
    pub(super) fn public(&self) -> PublicKey {
        public_key(self.keytype.clone(), self.scheme.clone(), self.public.clone())
    }

    /// What signs with it. The token is not asked before the first signature.
    pub(super) fn signer(self, pin: Option<&Passphrase>) -> std::result::Result<TokenSigner, String> {
        let pin = match &self.pin_file {
            Some(path) => Passphrase::read_file(path).map_err(|error| error.to_string())?,
            None => pin.cloned().ok_or("names no file with the PIN, and none was given")?,
        };
        let id = tuf::hash::unhex(&self.id).ok_or("its id is not in hexadecimal")?;
        let public = self.public();
        Ok(TokenSigner { keyid: public.keyid(), public, key: self, id, pin, open: Mutex::new(None) })
    }
}

/// Says in words what a token answered.
fn told(error: TokenError) -> String {
    if matches!(error, TokenError::Pkcs11(RvError::PinIncorrect, _)) {
        return "the PIN is wrong; mind how many tries are left".to_owned();
    }
    if matches!(error, TokenError::Pkcs11(RvError::PinLocked, _)) {
        return "the PIN is locked after too many tries".to_owned();
    }
    error.to_string()
}

/// A library is initialised once for the whole process, whoever uses it.
fn library(path: &Path) -> std::result::Result<Pkcs11, String> {
    static LIBRARIES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut known = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = known.get(path) {
        return Ok(library.clone());
    }
    let library = Pkcs11::new(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(other) => return Err(format!("{}: {}", path.display(), told(other))),
    }
    known.insert(path.to_owned(), library.clone());
    Ok(library)
}

/// A session with the token of this label, as its user.
fn session(path: &Path, label: &str, pin: &Passphrase, writes: bool) -> std::result::Result<Session, String> {
    let library = library(path)?;
    let slots = library.get_slots_with_token().map_err(told)?;
    let is_it = |slot: &&cryptoki::slot::Slot| {
        library.get_token_info(**slot).is_ok_and(|token| token.token_initialized() && token.label().trim_end() == label)
    };
    let slot = *slots.iter().find(is_it).ok_or_else(|| format!("there is no token '{label}'"))?;
    let session = if writes { library.open_rw_session(slot) } else { library.open_ro_session(slot) };
    let session = session.map_err(told)?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
        // The login is the process's, not the session's.
        Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(other) => Err(told(other)),
    }
}

/// Signs with a key in a token. Keeps its session; opens another where that one broke, once.
pub(super) struct TokenSigner {
    public: PublicKey,
    keyid: String,
    key: TokenKey,
    id: Vec<u8>,
    pin: Passphrase,
    open: Mutex<Option<(Session, ObjectHandle)>>,
}

impl TokenSigner {
    fn open(&self) -> std::result::Result<(Session, ObjectHandle), String> {
        let TokenKey { library, token, id, .. } = &self.key;
        let session = session(library, token, &self.pin, false)?;
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(self.id.clone())];
        let found = session.find_objects(&wanted).map_err(told)?;
        let key = *found.first().ok_or_else(|| format!("the token '{token}' holds no private key {id}"))?;
        Ok((session, key))
    }

    fn ask(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let is_ed25519 = self.key.scheme == "ed25519";
        let (mechanism, data) = if is_ed25519 {
            (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), message.to_vec())
        } else {
            (Mechanism::Ecdsa, tuf::hash::sha256(message).to_vec())
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut signed = None;
        if let Some((session, key)) = &*open {
            // A token that was pulled out and put back, a service that was restarted: the next session may work.
            signed = session.sign(&mechanism, *key, &data).ok();
        }
        let signature = match signed {
            Some(signature) => signature,
            None => {
                *open = None;
                let (session, key) = open.insert(self.open()?);
                session.sign(&mechanism, *key, &data).map_err(told)?
            }
        };
        if is_ed25519 {
            return Ok(signature);
        }
        let numbers: [u8; 64] = signature.try_into().map_err(|_| "the token's signature is not that of P-256")?;
        Ok(tuf::keys::ecdsa_der(&numbers))
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, NotSigning> {
        let signature = self.ask(message).and_then(|signature| verified(&self.public, message, signature));
        signature.map_err(|why| NotSigning { keyid: self.keyid.clone(), why })
    }
}

/// Where a token's key is, for [`make_token_key`].
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// The path of its library.
    pub library: &'a Path,
    /// Its label.
    pub label: &'a str,
    /// Its user's PIN.
    pub pin: &'a Passphrase,
    /// The file of the PIN, if the key's file shall name it.
    pub pin_file: Option<&'a Path>,
}

/// Makes a key pair in a token, or takes the one of this name, and a file that names it.
///
/// # Errors
/// When the token refuses, or there is such a file already.
pub fn make_token_key(
    path: &Path,
    token: Token<'_>,
    name: &str,
    curve: Curve,
    entropy: &Entropy,
) -> Result<std::sync::Arc<dyn Signer>> {
    must_be_new(path)?;
    let key = make(token, name, curve, entropy).map_err(|why| Error::Invalid(format!("the token: {why}")))?;
    write_new(path, &KeyFile::Pkcs11(key))?;
    super::read_key(path, Some(token.pin))
}

fn make(token: Token<'_>, name: &str, curve: Curve, entropy: &Entropy) -> std::result::Result<TokenKey, String> {
    let Token { library, label, pin, pin_file } = token;
    let session = session(library, label, pin, true)?;
    let name = name.as_bytes().to_vec();
    let of_name = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Label(name.clone())];
    let public = match session.find_objects(&of_name).map_err(told)?[..] {
        [] => generate(&session, &name, curve, entropy)?,
        [one] => one,
        _ => return Err("holds more than one key of this name".to_owned()),
    };
    let (mut id, mut point) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(public, &[AttributeType::Id, AttributeType::EcPoint]).map_err(told)? {
        if let Attribute::Id(value) = attribute {
            id = value;
        } else if let Attribute::EcPoint(value) = attribute {
            point = value;
        }
    }
    if id.is_empty() {
        return Err("the key of this name has no id".to_owned());
    }
    let other = || "the key of this name is of another kind".to_owned();
    let public = match curve {
        Curve::Ed25519 => PublicKey::ed25519(&bare(&point).ok_or_else(other)?),
        Curve::P256 => PublicKey::ecdsa_p256_point(&bare(&point).ok_or_else(other)?),
    };
    let PublicKey { keytype, scheme, public, .. } = public;
    Ok(TokenKey {
        keytype,
        scheme,
        public,
        library: library.to_owned(),
        token: label.to_owned(),
        id: packaging::hash::hex(&id),
        pin_file: pin_file.map(Path::to_owned),
    })
}

/// A point of this length: most tokens wrap it into an OCTET STRING, some do not.
fn bare<const N: usize>(point: &[u8]) -> Option<[u8; N]> {
    let inner = match point {
        [0x04, length, inner @ ..] if usize::from(*length) == N && inner.len() == N => inner,
        other => other,
    };
    inner.try_into().ok()
}

/// A pair that can neither be read out nor changed.
fn generate(
    session: &Session,
    name: &[u8],
    curve: Curve,
    entropy: &Entropy,
) -> std::result::Result<ObjectHandle, String> {
    let id = entropy.bytes::<16>().to_vec();
    let both = [Attribute::Token(true), Attribute::Label(name.to_vec()), Attribute::Id(id)];
    let private =
        [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Sign(true)];
    let private = [&both[..], &private[..]].concat();
    let (mechanism, curves): (_, &[&[u8]]) = match curve {
        Curve::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &ED25519),
        Curve::P256 => (Mechanism::EccKeyPairGen, &[P256]),
    };
    let mut refused = String::new();
    for curve in curves {
        let public = [Attribute::Private(false), Attribute::Verify(true), Attribute::EcParams(curve.to_vec())];
        let public = [&both[..], &public[..]].concat();
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok((public, _)) => return Ok(public),
            Err(error) => refused = told(error),
        }
    }
    Err(refused)
}

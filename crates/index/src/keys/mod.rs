//! Where private keys are: one file a key, in `keys/<index>/` of the data folder, or wherever its holder keeps it. A
//! file holds the key itself, in clear or sealed with a passphrase, or says who signs with it: a hardware token or
//! another process. Which key may sign what is said by the roles, and of the log's and the witness's key by the ledger,
//! never here: a rotation adds a file.
//!
//! ```text
//! {"kind": "file",    "private": "<64 hex digits>"}                        an Ed25519 seed, mode 0600
//! {"kind": "sealed",  "public": "<hex>", …}                                the same under a passphrase: see `sealed`
//! {"kind": "pkcs11",  "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "public": "<PEM>",
//!                     "library": "/usr/lib/softhsm/libsofthsm2.so", "token": "…", "id": "<hex>", "pin_file": "…"}
//! {"kind": "process", "keytype": "ed25519", "scheme": "ed25519",
//!                     "public": "<hex>", "command": ["sign-with-hsm", …]}  message on stdin, signature in hex on stdout
//! ```
//!
//! All of them are a [`tuf::Signer`], for the publisher as for people who sign events. What signs notes (`log`, `witness`:
//! C2SP signed-note) must hold an Ed25519 key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tuf::keys::Ed25519Signer;
use tuf::{PublicKey, Signer};

use crate::clock::Entropy;
use crate::model::IndexName;
use crate::{Error, Result};

mod pkcs11;
mod process;
mod sealed;

pub use pkcs11::{Curve, Token, TokenKey, make_token_key};
pub use process::PROCESS_TIME_MAX;
pub use sealed::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN, Passphrase};

/// Length of a key's file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 10;
/// Keys of one index.
pub const KEYS_MAX: usize = 64;
/// Names that are tried for a new key: of 2^32, each is taken once in a lifetime.
const NAMES_TRIED: usize = 8;

/// A key as its file holds it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum KeyFile {
    File { private: String },
    Sealed(sealed::Sealed),
    Pkcs11(TokenKey),
    Process { keytype: String, scheme: String, public: String, command: Vec<String> },
}

/// The keys at hand of one index, by key id.
pub type Keys = BTreeMap<String, Arc<dyn Signer>>;

/// The folder of all keys, and the passphrase under which this installation seals its own.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    folder: PathBuf,
    passphrase: Option<Passphrase>,
}

impl KeyFolder {
    /// In this folder, which need not exist yet. With a passphrase, keys that are made here are sealed.
    pub fn new(folder: PathBuf, passphrase: Option<Passphrase>) -> Self {
        Self { folder, passphrase }
    }

    /// The folder of an index's keys.
    pub fn of(&self, index: &IndexName) -> PathBuf {
        self.folder.join(index.as_str())
    }

    /// Every key of an index.
    ///
    /// # Errors
    /// When a file is no key, or cannot be opened: a key that silently does not count would be missed too late.
    pub fn load(&self, index: &IndexName) -> Result<Keys> {
        let mut keys = Keys::new();
        for path in self.files(index)? {
            let signer = read_key(&path, self.passphrase.as_ref())?;
            keys.insert(signer.keyid().to_owned(), signer);
        }
        Ok(keys)
    }

    fn files(&self, index: &IndexName) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.of(index)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "key") {
                continue;
            }
            if files.len() == KEYS_MAX {
                return Err(Error::Invalid(format!("{} holds more than {KEYS_MAX} keys", self.of(index).display())));
            }
            files.push(path);
        }
        Ok(files)
    }

    /// The key ids of an index's keys. None is opened, so it is cheap, and no token or process is asked.
    ///
    /// # Errors
    /// When a file is no key.
    pub fn keyids(&self, index: &IndexName) -> Result<BTreeSet<String>> {
        self.files(index)?.iter().map(|path| Ok(KeyFile::read(path)?.public(path)?.keyid())).collect()
    }

    /// The key of this id, if it is here. No other is opened.
    ///
    /// # Errors
    /// When a file is no key, or this one cannot be opened.
    pub fn find(&self, index: &IndexName, keyid: &str) -> Result<Option<Arc<dyn Signer>>> {
        for path in self.files(index)? {
            if KeyFile::read(&path)?.public(&path)?.keyid() == keyid {
                return read_key(&path, self.passphrase.as_ref()).map(Some);
            }
        }
        Ok(None)
    }

    /// Does this off the async threads: a sealed key takes memory and time to open, a token or a process takes its own.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.clone();
        tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|e| Error::Internal(e.to_string()))?
    }

    /// The key of this name; made when there is none yet. For what signs under one name all its life (the log, the witness);
    /// what a role is to trust comes from [`Self::make_new`].
    ///
    /// # Errors
    /// When the folder cannot be written, or the file holds no key.
    pub fn make(&self, index: &IndexName, name: &str, entropy: &Entropy) -> Result<Arc<dyn Signer>> {
        let path = self.of(index).join(format!("{name}.key"));
        if path.exists() { read_key(&path, self.passphrase.as_ref()) } else { self.make_new(index, name, entropy) }
    }

    /// A key that nobody had before, in `<name>.key`, or beside it where such a file lies there already: whoever left that
    /// one, a proposal that was never signed or a thief, must not sign what comes. It is on disk before it is used: what
    /// it signs is for ever.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn make_new(&self, index: &IndexName, name: &str, entropy: &Entropy) -> Result<Arc<dyn Signer>> {
        let folder = self.of(index);
        let key = KeyFile::of_seed(&entropy.bytes::<32>(), self.passphrase.as_ref(), entropy)?;
        let text = key.text()?;
        self.make_folder(&folder)?;
        let others = (0..).map(|_| format!("{name}-{}", packaging::hash::hex(&entropy.bytes::<4>())));
        for name in [name.to_owned()].into_iter().chain(others).take(NAMES_TRIED) {
            let path = folder.join(format!("{name}.key"));
            let scratch = write_scratch(&path, &text, 0o600, entropy)?;
            // A link, unlike a renaming, takes no other file's place.
            let linked = fs::hard_link(&scratch, &path);
            fs::remove_file(&scratch)?;
            match linked {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            }
            self.sync(&folder)?;
            return read_key(&path, self.passphrase.as_ref());
        }
        Err(Error::Unavailable(format!("{} has no place for a new key", folder.display())))
    }

    /// Takes a key in from elsewhere, such as the standby's: `text` is its file, `passphrase` what opens it. A key in a
    /// file is sealed anew under this installation's own passphrase, or lies in clear where it has none.
    ///
    /// # Errors
    /// When it is no key, or does not open.
    pub fn take_in(
        &self,
        index: &IndexName,
        name: &str,
        text: &[u8],
        passphrase: Option<&Passphrase>,
        entropy: &Entropy,
    ) -> Result<Arc<dyn Signer>> {
        let path = self.of(index).join(format!("{name}.key"));
        let key = KeyFile::parse(text, name)?;
        let key = match &key {
            KeyFile::File { .. } | KeyFile::Sealed(_) => {
                KeyFile::of_seed(&key.seed(name, passphrase)?, self.passphrase.as_ref(), entropy)?
            }
            KeyFile::Pkcs11(_) | KeyFile::Process { .. } => key,
        };
        let folder = self.of(index);
        self.make_folder(&folder)?;
        write_whole(&path, &key.text()?, 0o600, entropy)?;
        self.sync(&folder)?;
        read_key(&path, self.passphrase.as_ref())
    }

    /// The files of an index's keys: name without `.key`, key id.
    ///
    /// # Errors
    /// When a file is no key.
    pub fn named(&self, index: &IndexName) -> Result<Vec<(String, String)>> {
        let one = |path: PathBuf| {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((name, KeyFile::read(&path)?.public(&path)?.keyid()))
        };
        self.files(index)?.into_iter().map(one).collect()
    }

    /// Takes a key that was taken in out again, as if it had never been there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn give_back(&self, index: &IndexName, name: &str) -> Result<()> {
        fs::remove_file(self.of(index).join(format!("{name}.key")))?;
        self.sync(&self.of(index))
    }

    /// Puts the files of these keys aside, as `.retired`: nothing signs with them any more. What was put aside before stays.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn retire(&self, index: &IndexName, keyids: &BTreeSet<String>) -> Result<()> {
        for path in self.files(index)? {
            if keyids.contains(&KeyFile::read(&path)?.public(&path)?.keyid()) {
                let names = (2..).map(|count| path.with_extension(format!("{count}.retired")));
                let free = std::iter::once(path.with_extension("retired")).chain(names).find(|to| !to.exists());
                fs::rename(&path, free.unwrap_or_else(|| path.with_extension("retired")))?;
            }
        }
        Ok(fs::File::open(self.of(index))?.sync_all()?)
    }

    fn make_folder(&self, folder: &Path) -> Result<()> {
        Ok(DirBuilder::new().recursive(true).mode(0o700).create(folder)?)
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        fs::File::open(folder)?.sync_all()?;
        Ok(fs::File::open(&self.folder)?.sync_all()?)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file beside `path`, on disk, under a name that nobody can have known: what lies there already, a left-over or a
/// link, is neither followed nor overwritten, and its mode is not taken over.
fn write_scratch(path: &Path, text: &[u8], mode: u32, entropy: &Entropy) -> io::Result<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let scratch = folder_of(path).join(format!(".{name}.{}.new", packaging::hash::hex(&entropy.bytes::<8>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&scratch)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&scratch);
        return Err(error);
    }
    Ok(scratch)
}

/// Replaces or makes a file, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, text: &[u8], mode: u32, entropy: &Entropy) -> io::Result<()> {
    let scratch = write_scratch(path, text, mode, entropy)?;
    if let Err(error) = fs::rename(&scratch, path) {
        let _ = fs::remove_file(&scratch);
        return Err(error);
    }
    fs::File::open(folder_of(path))?.sync_all()
}

/// Makes a person's key file, for its owner alone, and never in the place of another: a key that is overwritten is lost.
fn write_new(path: &Path, key: &KeyFile) -> Result<()> {
    let text = key.text()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let is_there = error.kind() == io::ErrorKind::AlreadyExists;
        if is_there { Error::Conflict(format!("{} is there already", path.display())) } else { error.into() }
    })?;
    if let Err(error) = file.write_all(&text).and_then(|()| file.sync_all()) {
        let _ = fs::remove_file(path);
        return Err(error.into());
    }
    Ok(fs::File::open(folder_of(path))?.sync_all()?)
}

impl KeyFile {
    fn text(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|_| Error::Internal("a key cannot be written".to_owned()))
    }

    fn of_seed(seed: &[u8; 32], passphrase: Option<&Passphrase>, entropy: &Entropy) -> Result<Self> {
        Ok(match passphrase {
            None => Self::File { private: packaging::hash::hex(seed) },
            Some(passphrase) => Self::Sealed(sealed::Sealed::seal(seed, passphrase, entropy)?),
        })
    }

    /// `from` is where it came from, for messages.
    fn parse(text: &[u8], from: &str) -> Result<Self> {
        if text.len() as u64 > KEY_FILE_BYTES_MAX {
            return Err(Error::Invalid(format!("{from}: longer than a key is")));
        }
        // The error of a JSON reader may quote what it read.
        serde_json::from_slice(text).map_err(|_| Error::Invalid(format!("{from}: is no key")))
    }

    fn read(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The public half, of whatever kind the key is.
    fn public(&self, path: &Path) -> Result<PublicKey> {
        Ok(match self {
            Self::File { .. } => self.signer_of_seed(&path.display().to_string(), None)?.public_key().clone(),
            Self::Sealed(sealed) => public_key("ed25519".to_owned(), "ed25519".to_owned(), sealed.public().to_owned()),
            Self::Pkcs11(key) => key.public(),
            Self::Process { keytype, scheme, public, .. } => {
                public_key(keytype.clone(), scheme.clone(), public.clone())
            }
        })
    }

    fn signer_of_seed(&self, from: &str, passphrase: Option<&Passphrase>) -> Result<Ed25519Signer> {
        let seed = self.seed(from, passphrase)?;
        Ed25519Signer::from_seed(&seed).map_err(|_| Error::Invalid(format!("{from}: holds no key")))
    }

    fn seed(&self, from: &str, passphrase: Option<&Passphrase>) -> Result<[u8; 32]> {
        let broken = |why: &str| Error::Invalid(format!("{from}: {why}"));
        match self {
            Self::File { private } => tuf::hash::unhex(private)
                .and_then(|seed| <[u8; 32]>::try_from(seed).ok())
                .ok_or_else(|| broken("holds no 32 bytes in hexadecimal")),
            Self::Sealed(sealed) => {
                let passphrase = passphrase.ok_or_else(|| broken("is sealed, and no passphrase was given"))?;
                sealed.open(passphrase).map_err(broken)
            }
            Self::Pkcs11(_) | Self::Process { .. } => Err(broken("does not hold the key itself")),
        }
    }

    fn signer(self, from: &str, passphrase: Option<&Passphrase>) -> Result<Arc<dyn Signer>> {
        let broken = |why: &str| Error::Invalid(format!("{from}: {why}"));
        Ok(match self {
            Self::File { .. } | Self::Sealed(_) => Arc::new(self.signer_of_seed(from, passphrase)?),
            Self::Pkcs11(key) => Arc::new(key.signer(passphrase).map_err(|why| broken(&why))?),
            Self::Process { command, .. } if command.is_empty() => return Err(broken("names no command")),
            Self::Process { keytype, scheme, public, command } => {
                Arc::new(process::ProcessSigner::new(public_key(keytype, scheme, public), command))
            }
        })
    }
}

/// A public key as a key's file holds it.
pub(crate) fn public_key(keytype: String, scheme: String, public: String) -> PublicKey {
    PublicKey { keytype, scheme, public, keyval_extra: BTreeMap::new(), extra: BTreeMap::new() }
}

/// What does not verify here, every client would refuse.
fn verified(public: &PublicKey, message: &[u8], signature: Vec<u8>) -> std::result::Result<Vec<u8>, String> {
    let is_good = public.verify(message, &tuf::hash::hex(&signature));
    is_good.then_some(signature).ok_or_else(|| "its signature does not verify".to_owned())
}

/// The key in a file. The passphrase opens a sealed one, and is the PIN of a token whose file names none.
///
/// # Errors
/// When it cannot be read, is no key, or does not open.
pub fn read_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<Arc<dyn Signer>> {
    KeyFile::read(path)?.signer(&path.display().to_string(), passphrase)
}

/// The id of the key in a key file's text, which is opened for it: what is in clear may lie.
///
/// # Errors
/// As [`read_key`].
pub fn keyid_of(text: &[u8], from: &str, passphrase: Option<&Passphrase>) -> Result<String> {
    Ok(KeyFile::parse(text, from)?.signer(from, passphrase)?.keyid().to_owned())
}

/// Makes a key in a new file: sealed, or in clear without a passphrase.
///
/// # Errors
/// When there is such a file already, or it cannot be written.
pub fn make_key(path: &Path, passphrase: Option<&Passphrase>, entropy: &Entropy) -> Result<Arc<dyn Signer>> {
    write_new(path, &KeyFile::of_seed(&entropy.bytes::<32>(), passphrase, entropy)?)?;
    read_key(path, passphrase)
}

/// Seals the key of a file under a (new) passphrase; `old` opens one that is sealed already.
///
/// # Errors
/// When the file does not hold the key itself, or cannot be written.
pub fn seal_key(path: &Path, old: Option<&Passphrase>, new: &Passphrase, entropy: &Entropy) -> Result<()> {
    let seed = KeyFile::read(path)?.seed(&path.display().to_string(), old)?;
    let text = KeyFile::of_seed(&seed, Some(new), entropy)?.text()?;
    Ok(write_whole(path, &text, 0o600, entropy)?)
}

/// Asked before a token makes a key that no file would name.
fn must_be_new(path: &Path) -> Result<()> {
    if path.exists() {
        return Err(Error::Conflict(format!("{} is there already", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let keys = KeyFolder::new(folder.path().join("keys"), None);
        (folder, keys)
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_kept, keys) = folder();
        let (main, entropy) = (IndexName::main(), Entropy::seeded(1));
        assert!(keys.load(&main).expect("no folder is no error").is_empty());
        let first = keys.make(&main, "online", &entropy).expect("made");
        let again = keys.make(&main, "online", &entropy).expect("read");
        assert_eq!(first.keyid(), again.keyid());
        assert_eq!(keys.load(&main).expect("loaded").keys().collect::<Vec<_>>(), [first.keyid()]);
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(keys.of(&main)), mode(keys.of(&main).join("online.key"))), (0o700, 0o600));
    }

    /// Goal: what lies where a key is to be written (a left-over that all can read, a link to elsewhere, another key) is
    /// neither used, nor followed, nor overwritten.
    #[test]
    fn what_lies_there_already_is_neither_used_nor_overwritten() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (kept, keys) = folder();
        let (main, entropy) = (IndexName::main(), Entropy::seeded(1));
        let planted = keys.make_new(&main, "online-2", &entropy).expect("made");
        let before = fs::read(keys.of(&main).join("online-2.key")).expect("there");
        let made = keys.make_new(&main, "online-2", &entropy).expect("made beside it");
        assert_ne!(made.keyid(), planted.keyid());
        assert_eq!(fs::read(keys.of(&main).join("online-2.key")).expect("there"), before);
        assert_eq!(keys.load(&main).expect("loaded").len(), 2);
        // A name that leads elsewhere is a name that is taken.
        symlink(kept.path().join("elsewhere"), keys.of(&main).join("online-3.key")).expect("linked");
        keys.make_new(&main, "online-3", &entropy).expect("made beside it");
        assert!(!kept.path().join("elsewhere").exists());

        let [path, scratch, elsewhere] = ["ann.key", "ann.new", "notes"].map(|name| kept.path().join(name));
        fs::write(&scratch, "my own notes").expect("written");
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o666)).expect("set");
        make_key(&path, None, &entropy).expect("made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), fs::read_to_string(&scratch).expect("kept")), (0o600, "my own notes".to_owned()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
        let known = Passphrase::new("correct horse").expect("a passphrase");
        seal_key(&path, None, &known, &entropy).expect("sealed");
        assert_eq!(mode(&path), 0o600);
        symlink(&elsewhere, kept.path().join("bob.key")).expect("linked");
        assert!(make_key(&kept.path().join("bob.key"), None, &entropy).is_err() && !elsewhere.exists());
        let left =
            fs::read_dir(kept.path()).expect("listed").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert!(left.filter(|name| name.starts_with('.')).count() == 0, "no scratch is left");
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_quoted() {
        let (kept, _) = folder();
        let path = kept.path().join("x.key");
        let seed = "ab".repeat(32);
        let good = format!("{{\"kind\":\"file\",\"private\":\"{seed}\"}}");
        let padded = |bytes: u64| format!("{good}{}", " ".repeat(bytes as usize - good.len()));
        fs::write(&path, padded(KEY_FILE_BYTES_MAX)).expect("written");
        assert!(read_key(&path, None).is_ok(), "at the limit");
        let broken = [
            padded(KEY_FILE_BYTES_MAX + 1),
            good.replace(&seed, &seed[2..]),
            good.replace("private", "secret"),
            format!("{{\"kind\":\"{seed}\"}}"),
            "{\"kind\":\"process\",\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"public\":\"\",\"command\":[]}"
                .into(),
        ];
        for text in broken {
            fs::write(&path, &text).expect("written");
            let error = read_key(&path, None).err().expect("no key").to_string();
            assert!(!error.contains(&seed[4..]), "{error}");
        }
    }

    #[test]
    fn more_keys_than_the_limit_are_refused() {
        let (_kept, keys) = folder();
        let (main, entropy) = (IndexName::main(), Entropy::seeded(1));
        for n in 0..KEYS_MAX {
            keys.make(&main, &format!("k{n}"), &entropy).expect("made");
        }
        assert_eq!(keys.load(&main).expect("at the limit").len(), KEYS_MAX);
        keys.make(&main, "more", &entropy).expect("made");
        assert!(keys.load(&main).is_err());
    }

    #[test]
    fn a_folder_with_a_passphrase_seals_what_it_makes_and_what_it_takes_in() {
        let (kept, plain) = folder();
        let (main, entropy) = (IndexName::main(), Entropy::seeded(1));
        let ours = Passphrase::new("correct horse").expect("a passphrase");
        let keys = KeyFolder::new(kept.path().join("keys"), Some(ours.clone()));
        let made = keys.make(&main, "online", &entropy).expect("made");
        assert!(plain.load(&main).err().expect("sealed").to_string().contains("no passphrase was given"));
        // Who it is, everybody may know.
        assert_eq!(plain.keyids(&main).expect("listed"), BTreeSet::from([made.keyid().to_owned()]));
        let theirs = Passphrase::new("another horse").expect("a passphrase");
        let elsewhere = kept.path().join("standby.key");
        let standby = make_key(&elsewhere, Some(&theirs), &entropy).expect("made");
        assert!(make_key(&elsewhere, Some(&theirs), &entropy).is_err(), "a key is never overwritten");
        let text = fs::read(&elsewhere).expect("readable");
        assert!(keys.take_in(&main, "standby", &text, Some(&ours), &entropy).is_err(), "another passphrase");
        let taken = keys.take_in(&main, "standby", &text, Some(&theirs), &entropy).expect("taken in");
        assert_eq!(taken.keyid(), standby.keyid());
        assert_eq!(keys.load(&main).expect("ours opens both").len(), 2);
        keys.retire(&main, &BTreeSet::from([made.keyid().to_owned()])).expect("put aside");
        assert_eq!(keys.load(&main).expect("loaded").keys().collect::<Vec<_>>(), [standby.keyid()]);
        assert!(keys.of(&main).join("online.retired").is_file());
        seal_key(&elsewhere, Some(&theirs), &ours, &entropy).expect("sealed anew");
        assert_eq!(read_key(&elsewhere, Some(&ours)).expect("opens").keyid(), standby.keyid());
    }
}

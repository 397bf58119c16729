//! Where private keys are: one file a key, in `keys/<index>/` of the data folder. A file holds the key itself, or says
//! which other process signs with it. Which key may sign what is said by the roles, never here: a rotation adds a file.
//!
//! ```text
//! {"kind": "file",    "private": "<64 hex digits>"}                        an Ed25519 seed, mode 0600
//! {"kind": "process", "keytype": "ed25519", "scheme": "ed25519",
//!                     "public": "<hex>", "command": ["sign-with-hsm", …]}  message on stdin, signature in hex on stdout
//! ```
//!
//! A process is given the whole message, whatever the scheme, and has [`PROCESS_TIME_MAX`] to answer.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tuf::keys::{Ed25519Signer, NotSigning};
use tuf::{PublicKey, Signer};

use crate::clock::Entropy;
use crate::model::IndexName;
use crate::{Error, Result};

/// Length of a key's file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 10;
/// Keys of one index.
pub const KEYS_MAX: usize = 64;
/// How long another process may take to sign.
pub const PROCESS_TIME_MAX: Duration = Duration::from_secs(30);
/// Length of what another process may answer, in bytes.
const PROCESS_ANSWER_BYTES_MAX: u64 = 8 << 10;

/// A key as its file holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum KeyFile {
    File { private: String },
    Process { keytype: String, scheme: String, public: String, command: Vec<String> },
}

/// The keys at hand of one index, by key id.
pub type Keys = BTreeMap<String, Arc<dyn Signer>>;

/// The folder of all keys.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// In this folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder of an index's keys.
    pub fn of(&self, index: &IndexName) -> PathBuf {
        self.0.join(index.as_str())
    }

    /// Every key of an index.
    ///
    /// # Errors
    /// When a file is no key: a key that silently does not count would be missed too late.
    pub fn load(&self, index: &IndexName) -> Result<Keys> {
        let mut keys = Keys::new();
        let entries = match fs::read_dir(self.of(index)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(keys),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "key") {
                continue;
            }
            if keys.len() == KEYS_MAX {
                return Err(Error::Invalid(format!("{} holds more than {KEYS_MAX} keys", self.of(index).display())));
            }
            let signer = read_key(&path)?;
            keys.insert(signer.keyid().to_owned(), signer);
        }
        Ok(keys)
    }

    /// The key of this name; made when there is none yet. It is on disk before it is used: what it signs is for ever.
    ///
    /// # Errors
    /// When the folder cannot be written, or the file holds no key.
    pub fn make(&self, index: &IndexName, name: &str, entropy: &Entropy) -> Result<Arc<dyn Signer>> {
        let folder = self.of(index);
        let path = folder.join(format!("{name}.key"));
        if path.exists() {
            return read_key(&path);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let key = KeyFile::File { private: packaging::hash::hex(&entropy.bytes::<32>()) };
        let text = serde_json::to_vec(&key).map_err(|error| Error::Internal(error.to_string()))?;
        let scratch = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&scratch, &path)?;
        for folder in [folder.as_path(), self.0.as_path()] {
            fs::File::open(folder)?.sync_all()?;
        }
        read_key(&path)
    }
}

/// The key in a file.
///
/// # Errors
/// When it cannot be read, or is no key.
pub fn read_key(path: &Path) -> Result<Arc<dyn Signer>> {
    let broken = |why: &str| Error::Invalid(format!("{}: {why}", path.display()));
    let mut text = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|error| broken(&error.to_string()))?;
    if text.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(broken("longer than a key is"));
    }
    // The error of a JSON reader may quote what it read.
    match serde_json::from_slice(&text).map_err(|_| broken("is no key"))? {
        KeyFile::File { private } => {
            let seed = tuf::hash::unhex(&private).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
            let seed = seed.ok_or_else(|| broken("holds no 32 bytes in hexadecimal"))?;
            Ok(Arc::new(Ed25519Signer::from_seed(&seed).map_err(|_| broken("holds no key"))?))
        }
        KeyFile::Process { keytype, scheme, public, command } => {
            if command.is_empty() {
                return Err(broken("names no command"));
            }
            let (keyval_extra, extra) = (BTreeMap::new(), BTreeMap::new());
            let public = PublicKey { keytype, scheme, public, keyval_extra, extra };
            Ok(Arc::new(ProcessSigner { keyid: public.keyid(), public, command }))
        }
    }
}

/// A key that another process holds: a hardware token's tool, a client of a key service.
#[derive(Debug)]
struct ProcessSigner {
    public: PublicKey,
    keyid: String,
    command: Vec<String>,
}

impl ProcessSigner {
    fn ask(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        let message = message.to_vec();
        // A process that answers before it has read all is its own affair.
        std::thread::spawn(move || stdin.write_all(&message));
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.take(PROCESS_ANSWER_BYTES_MAX).read_to_string(&mut text);
            let _ = send.send(read.map(|_| text));
        });
        let answer = receive.recv_timeout(PROCESS_TIME_MAX);
        if answer.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let text = answer.map_err(|_| format!("{program} took too long"))?.map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("{program} ended with {status}"));
        }
        tuf::hash::unhex(text.trim()).ok_or_else(|| format!("{program} gave no hexadecimal digits"))
    }
}

impl Signer for ProcessSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> &str {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, NotSigning> {
        let signature = self.ask(message).and_then(|signature| {
            let good = self.public.verify(message, &tuf::hash::hex(&signature));
            // What does not verify here, every client would refuse.
            good.then_some(signature).ok_or_else(|| "its signature does not verify".to_owned())
        });
        signature.map_err(|why| NotSigning { keyid: self.keyid.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let keys = KeyFolder::new(folder.path().join("keys"));
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

    #[test]
    fn what_is_no_key_is_refused_and_never_quoted() {
        let (kept, _) = folder();
        let path = kept.path().join("x.key");
        let seed = "ab".repeat(32);
        let good = format!("{{\"kind\":\"file\",\"private\":\"{seed}\"}}");
        let padded = |bytes: u64| format!("{good}{}", " ".repeat(bytes as usize - good.len()));
        fs::write(&path, padded(KEY_FILE_BYTES_MAX)).expect("written");
        assert!(read_key(&path).is_ok(), "at the limit");
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
            let error = read_key(&path).err().expect("no key").to_string();
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
}

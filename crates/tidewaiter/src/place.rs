//! The data folder: who may use it, and what is in it.
//!
//! ```text
//! lock          held by whoever uses the ledger; says whether a server runs
//! control.sock  the running server's ear
//! index.db      the ledger, unless it is on PostgreSQL
//! blobs/        files and pages
//! secret        32 bytes from which every token's key is derived (0600)
//! keys/         private keys of the signed repositories, one folder an index (0600)
//! node          this node's name
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use index::blobs::Blobs;
use index::clock::{Clock, Entropy};
use index::keys::{KeyFolder, Passphrase};
use index::store::Store;
use index::token::TokenSecret;
use index::{Installation, Parts};
use inspect::Sandbox;
use inspect::yara::{Catalogue, Sources};

use crate::outside;
use crate::settings::Settings;

/// How long a command waits for another that uses the ledger for a moment.
const COMMAND_WAIT: Duration = Duration::from_secs(10);
/// How long a server waits for such a command; it must refuse within a second when another server runs.
const SERVER_WAIT: Duration = Duration::from_millis(600);
const SERVING: &[u8] = b"serve\n";

/// Opens what a command was given to read. A pipe that nobody writes to, or a device, would keep it waiting for ever.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        bail!("it is neither a file nor a folder");
    }
    Ok(file)
}

/// The lock on a data folder; released when dropped, also by a crash.
#[derive(Debug)]
pub(crate) struct Lock(File);

/// Who has the folder.
pub(crate) enum Held {
    /// We do.
    Ours(Lock),
    /// A server does: talk to it.
    Served,
}

impl Lock {
    /// Takes the folder for a command, or says that a server has it.
    pub(crate) fn for_command(data: &Path) -> Result<Held> {
        Self::take(data, COMMAND_WAIT)
    }

    /// Takes the folder for a server.
    pub(crate) fn for_server(data: &Path) -> Result<Self> {
        match Self::take(data, SERVER_WAIT)? {
            Held::Ours(mut lock) => {
                lock.0.set_len(0)?;
                lock.0.rewind()?;
                lock.0.write_all(SERVING)?;
                Ok(lock)
            }
            Held::Served => bail!("{} is being served by another process; stop that first", data.display()),
        }
    }

    fn take(data: &Path, wait: Duration) -> Result<Held> {
        fs::create_dir_all(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
        let path = data.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    return Ok(Held::Ours(Self(file)));
                }
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error).context("cannot lock the data folder"),
            }
            let mut holder = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut holder)?;
            if holder == SERVING {
                return Ok(Held::Served);
            }
            if started.elapsed() > wait {
                bail!("another command is using {}; try again when it is done", data.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Refuses a folder that no installation was ever made in: a mistyped path must not look like a sound, empty index.
pub(crate) fn must_exist(data: &Path) -> Result<()> {
    if data.join("lock").exists() {
        return Ok(());
    }
    bail!("there is no installation in {} (see --data and --config); `tidewaiter serve` makes one", data.display())
}

/// A path to the control socket that fits into a socket address, however deep the folder is: by way of an open
/// descriptor of the folder, which must be kept open meanwhile.
pub(crate) fn control_path(data: &Path) -> Result<(PathBuf, File)> {
    let folder = File::open(data).with_context(|| format!("cannot open {}", data.display()))?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd())), folder))
}

/// Reads the rules of a folder and gives them to every inspection.
///
/// # Errors
/// What is wrong with them, with file and line.
pub(crate) fn adopt<'s>(sandbox: &'s Sandbox, folder: &Path) -> Result<(Sources, &'s Catalogue)> {
    let sources = Sources::read(folder).map_err(anyhow::Error::msg)?;
    let adopted = sandbox.adopt(&sources);
    let catalogue =
        adopted.map_err(|problems| anyhow::anyhow!("rules that cannot be used:\n  {}", problems.join("\n  ")))?;
    for note in &catalogue.notes {
        tracing::warn!(note, "rules of the operator");
    }
    Ok((sources, catalogue))
}

/// Opens the installation in a folder whose lock we hold.
pub(crate) async fn open(settings: &Settings, sandbox: Option<Arc<Sandbox>>) -> Result<Arc<Installation>> {
    let data = &settings.data;
    let entropy = Entropy::system();
    let clock = Clock::system();
    let now = clock.now_us();
    let store = match &settings.ledger_url {
        None => {
            let path = data.join("index.db");
            // Password hashes are in it. SQLite gives its side files the mode of this one.
            let mut mode = OpenOptions::new();
            mode.append(true).create(true).mode(0o600).open(&path).context("cannot make the ledger")?;
            Store::open_sqlite(&path, now).await
        }
        Some(url) => Store::open_postgres(url, now).await,
    };
    let store = store.context("cannot open the ledger")?;
    let secret = kept(&data.join("secret"), &entropy)?;
    let node = kept(&data.join("node"), &entropy)?;
    let passphrase = settings.passphrase_file.as_deref().map(Passphrase::read_file).transpose()?;
    let parts = Parts {
        store,
        blobs: Blobs::open(data.join("blobs"))?,
        clock,
        entropy,
        settings: settings.index.clone(),
        secret: TokenSecret::new(secret),
        sandbox,
        keys: KeyFolder::new(data.join("keys"), passphrase),
        node: packaging::hash::hex(&node[..8]),
        http: if settings.index.external.is_empty() { None } else { Some(outside::http()?) },
    };
    Ok(Installation::new(parts).await?)
}

/// 32 bytes that are made once and then stay: synced before they are used, because tokens depend on them.
fn kept(path: &Path, entropy: &Entropy) -> Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| anyhow::anyhow!("{} must hold 32 bytes", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = entropy.bytes::<32>();
            let scratch = path.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&scratch, path)?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(bytes)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

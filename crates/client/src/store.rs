//! The folder of what was trusted: one file a role, as it was fetched, named without version.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use tuf::Time;
use tuf::layout::role_file;

/// How long another process may hold the folder. It fetches nothing meanwhile, so this is a matter of its disk.
const LOCK_WAIT_MS: u64 = 60_000;
const LOCK_POLL_MS: u64 = 20;

/// What files are called until they are whole.
pub(crate) const NEW: &str = ".new-";
/// How old such a file must be to be one that nobody writes to any more, in seconds.
const LEFT_SECONDS_MIN: i64 = 3_600;

/// Deletes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Deletes what processes that were killed left unfinished in a folder.
pub(crate) fn clear_leftovers(folder: &Path, now: Time) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with(NEW) {
            continue;
        }
        // Another process may clear the same files.
        let Ok(about) = file.metadata() else { continue };
        if now.seconds().saturating_sub(about.mtime()) > LEFT_SECONDS_MIN {
            remove(&file.path())?;
        }
    }
    Ok(())
}

/// Held while trusted roles are written: two processes in turn, so that neither puts an older state over a newer one.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held, not read")] File);

/// Trusted role files on disk.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in this folder, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Deletes what processes that were killed left unfinished here.
    pub fn clear_leftovers(&self, now: Time) -> io::Result<()> {
        clear_leftovers(&self.folder, now)
    }

    /// Waits until no other process writes. Nothing is to be waited for while it is held.
    pub async fn hold(&self) -> io::Result<Held> {
        let file = File::options().create(true).append(true).open(self.folder.join(".lock"))?;
        for _ in 0..LOCK_WAIT_MS / LOCK_POLL_MS {
            match file.try_lock() {
                Ok(()) => return Ok(Held(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(LOCK_POLL_MS)).await,
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the trusted roles"))
    }

    fn path(&self, role: &str) -> PathBuf {
        // Quoted, so that no role's name leaves the folder.
        self.folder.join(role_file(role, None))
    }

    /// A stored role, if there is one and it is not longer than `bytes_max`.
    pub fn read(&self, role: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(role)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() <= bytes_max))
    }

    /// Stores a role. After a crash the old or the new one is there, whole.
    pub fn write(&self, role: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::with_prefix_in(NEW, &self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path(role))?;
        Ok(())
    }

    /// Forgets a role.
    pub fn delete(&self, role: &str) -> io::Result<()> {
        remove(&self.path(role))
    }
}

//! The folder of what was trusted: one file a role, as it was fetched, named without version.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tuf::layout::role_file;

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
        let mut file = NamedTempFile::with_prefix_in(".new-", &self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path(role))?;
        Ok(())
    }

    /// Forgets a role.
    pub fn delete(&self, role: &str) -> io::Result<()> {
        match fs::remove_file(self.path(role)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

//! Verified bytes on disk, named by their SHA-256. What is read from here is held against its name again: a disk may
//! lie, and so may whoever else may write to it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use packaging::hash::Sha256;
use tempfile::NamedTempFile;
use tuf::Time;
use tuf::hash::Hasher;

use crate::store::{NEW, clear_leftovers};

const PIECE_BYTES: usize = 64 << 10;

/// The folder of verified bytes.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in this folder, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.to_string();
        self.folder.join(&hex[..2]).join(hex)
    }

    /// What has this digest, at its start, and its length. What turns out to have another one is deleted.
    pub fn file(&self, sha256: &Sha256) -> io::Result<Option<(File, u64)>> {
        let path = self.path(sha256);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hasher, mut buffer, mut length) = (Hasher::new(false), vec![0; PIECE_BYTES], 0);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            length += count as u64;
            hasher.update(&buffer[..count]);
        }
        if hasher.finish().0 != *sha256.as_bytes() {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(Some((file, length)))
    }

    /// All of what has this digest, if it is there and at most so long.
    pub fn bytes(&self, sha256: &Sha256, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((file, length)) = self.file(sha256)?.filter(|(_, length)| *length <= bytes_max) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        // Between the two readings it may have been changed.
        Ok(Some(bytes).filter(|bytes| tuf::hash::sha256(bytes) == *sha256.as_bytes()))
    }

    /// Where bytes are gathered until their digest is known.
    pub fn gather(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::with_prefix_in(NEW, &self.folder)
    }

    /// Gathered bytes get the name of their digest. The caller made sure that it is theirs.
    pub fn keep(&self, gathered: NamedTempFile, sha256: &Sha256) -> io::Result<()> {
        let path = self.path(sha256);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        gathered.persist(path)?;
        Ok(())
    }

    /// Deletes what downloads that were cut off left behind, and what was written longest ago until at most so many bytes
    /// are left.
    pub fn prune(&self, bytes_max: u64, now: Time) -> io::Result<()> {
        clear_leftovers(&self.folder, now)?;
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let about = file.metadata()?;
                all.push((about.modified()?, about.len(), file.path()));
            }
        }
        let mut sum: u64 = all.iter().map(|(_, length, _)| length).sum();
        all.sort_unstable();
        for (_, length, path) in all {
            if sum <= bytes_max {
                break;
            }
            fs::remove_file(path)?;
            sum -= length;
        }
        Ok(())
    }
}

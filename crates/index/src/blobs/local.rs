//! A local folder as blob store.
//!
//! Durability. [`Blobs::store`] and [`Blobs::relocate`] return when the bytes *and every folder entry that
//! leads to them* are on disk: they are what a 200 promises. [`Blobs::put`] writes derived objects and leaves
//! syncing to [`Blobs::sync`]: commit 2 can make them again. Readers see an object whole or not at all:
//! every object appears by `rename` or `link`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Key};
use crate::clock::Entropy;
use crate::model::IndexName;

/// How often a folder that goes while it is needed is made again.
const LINK_TRIES: u32 = 8;

/// A further name that was given.
struct Linked {
    /// Folders whose entries are new: until they are synced, a power cut could forget the name while the ledger
    /// remembers it.
    folders: Vec<PathBuf>,
    /// False when the name was there.
    is_new: bool,
}

/// The store below one folder. Every method blocks.
#[derive(Debug)]
pub struct Blobs {
    root: PathBuf,
    counter: AtomicU64,
}

/// An upload being received: an open, unnamed-to-others file. Dropped, it is deleted.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    file: File,
}

impl Incoming {
    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Where it is, for the sandbox pass that opens it read-only.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Blobs {
    /// Opens the store, creating its folder.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(Self { root, counter: AtomicU64::new(0) })
    }

    /// The file of a key. For readers that map or send it; writers use the methods.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Makes the folders of a new index, so that no upload has to make and sync them. One that is missing later is made
    /// by whoever needs it.
    pub fn prepare(&self, index: &IndexName) -> io::Result<()> {
        let mut changed = Vec::new();
        layout::shards(index).try_for_each(|shard| make_folder(&self.path(&shard), &mut changed))?;
        sync_folders(&BTreeSet::from_iter(changed))
    }

    /// Starts to receive an upload.
    pub fn incoming(&self, index: &IndexName, entropy: &Entropy) -> io::Result<Incoming> {
        let folder = self.path(&layout::incoming(index));
        let path = folder.join(packaging::hash::hex(&entropy.bytes::<16>()));
        let open = || fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_folder(&folder, &mut Vec::new())?;
                open()?
            }
            other => other?,
        };
        Ok(Incoming { path, file })
    }

    /// Keeps a received upload under its key. When this returns, bytes and folders are on disk; storing the
    /// same bytes under the same key again changes nothing. Returns whether the key is new.
    pub fn store(&self, incoming: &Incoming, key: &Key) -> io::Result<bool> {
        let Linked { folders, is_new } = self.link(&incoming.path, key)?;
        // Everything is made before anything is synced: a journalling file system then writes it all at the first sync,
        // and the others find nothing left to do. No row knows the key yet, so a power cut in between leaves at most an
        // entry without its bytes, which the next start sweeps.
        let synced = incoming.file.sync_all().and_then(|()| sync_folders(&folders));
        if synced.is_err() && is_new {
            // A retry must not find a name whose bytes may be gone: after a failed sync the next one can say that all
            // is well.
            let _ = self.delete(key);
        }
        synced.map(|()| is_new)
    }

    /// Takes back what [`Self::store`] kept for an upload that no row came to own.
    pub fn discard(&self, key: &Key) -> io::Result<()> {
        self.delete(key)
    }

    /// Moves objects to other keys: second names, all synced, before the first ones go. A crash in between leaves both
    /// names for one object, never none; the repetition of the move then finishes it. Returns the moves whose object is
    /// at neither key.
    pub fn relocate<'a>(&self, moves: &'a [(Key, Key)]) -> io::Result<Vec<&'a (Key, Key)>> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let (mut lost, mut linked) = (Vec::new(), Vec::with_capacity(moves.len()));
        // All names are given before any folder is synced, as in `store`, and each folder is synced once.
        let mut folders = BTreeSet::new();
        for one in moves {
            let (from, to) = one;
            match self.link(&self.path(from), to) {
                Ok(made) => {
                    folders.extend(made.folders);
                    linked.push(from);
                }
                // Done before, and crashed after the unlink.
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.exists(to) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists(from) => lost.push(one),
                Err(e) => return Err(e),
            }
        }
        sync_folders(&folders)?;
        crate::failpoint::reach("publish.linked");
        linked.into_iter().try_for_each(|from| self.delete(from))?;
        Ok(lost)
    }

    /// Gives an object a further name.
    fn link(&self, from: &Path, to: &Key) -> io::Result<Linked> {
        let target = self.path(to);
        let folder = target.parent().ok_or_else(|| io::Error::other("a key has a folder"))?;
        let mut changed = vec![folder.to_owned()];
        let mut tries = 1;
        loop {
            make_folder(folder, &mut changed)?;
            match fs::hard_link(from, &target) {
                Ok(()) => return Ok(Linked { folders: changed, is_new: true }),
                // Stored before, by somebody who may not have come to sync it.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    File::open(&target)?.sync_all()?;
                    return Ok(Linked { folders: changed, is_new: false });
                }
                // Whoever took the last other name out of the folder took the folder, too.
                Err(e) if e.kind() == io::ErrorKind::NotFound && tries < LINK_TRIES && from.exists() => tries += 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes a derived object; the old one stays whole until the new one is.
    pub fn put(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        let target = self.path(key);
        let folder = target.parent().ok_or_else(|| io::Error::other("a key has a folder"))?;
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let scratch = self.root.join(format!("tmp-{}-{n}", std::process::id()));
        fs::write(&scratch, bytes)?;
        match fs::rename(&scratch, &target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                fs::rename(&scratch, &target)
            }
            other => other,
        }
    }

    /// The whole object, if there is one.
    pub fn get(&self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        absent_is_none(fs::read(self.path(key)))
    }

    /// The object, opened for reading, and its size.
    pub fn open_object(&self, key: &Key) -> io::Result<Option<(File, u64)>> {
        let Some(file) = absent_is_none(File::open(self.path(key)))? else { return Ok(None) };
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then_some((file, metadata.len())))
    }

    /// Whether there is an object.
    pub fn exists(&self, key: &Key) -> bool {
        self.path(key).is_file()
    }

    /// Removes an object, and its folder when that was the last; no object is no error.
    pub fn delete(&self, key: &Key) -> io::Result<()> {
        let path = self.path(key);
        absent_is_none(fs::remove_file(&path))?;
        if let Some(folder) = path.parent() {
            // Fails while anything is left in it, as it should.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Every object below a key, in order.
    pub fn list(&self, below: &Key) -> io::Result<Vec<Key>> {
        let mut found = Vec::new();
        let mut folders = vec![(self.path(below), below.as_str().to_owned())];
        while let Some((folder, prefix)) = folders.pop() {
            let Some(entries) = absent_is_none(fs::read_dir(&folder))? else { continue };
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let key = format!("{prefix}/{name}");
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), key));
                } else {
                    found.push(Key::listed(key));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns when everything that [`Self::put`] and [`Self::delete`] did before is on disk.
    pub fn sync(&self) -> io::Result<()> {
        let root = File::open(&self.root)?;
        nix::unistd::syncfs(root).map_err(io::Error::from)
    }

    /// Removes what a crash left half-received or half-written. Only when no other process uses the store.
    pub fn sweep(&self, indexes: &[IndexName]) -> io::Result<()> {
        for index in indexes {
            for key in self.list(&layout::incoming(index))? {
                absent_is_none(fs::remove_file(self.path(&key)))?;
            }
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("tmp-") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Makes a folder and those above it, and notes the folders that got a new entry, innermost first.
fn make_folder(folder: &Path, changed: &mut Vec<PathBuf>) -> io::Result<()> {
    // A file keeps its mode when it moves into the site, where a web server must read it; in the vault the folder
    // keeps it from other users.
    let mode = if folder.file_name().is_some_and(|name| name == "vault") { 0o700 } else { 0o755 };
    let mut above_changed = Vec::new();
    let create = || fs::DirBuilder::new().mode(mode).create(folder);
    match create() {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let above = folder.parent().ok_or(e)?;
            make_folder(above, &mut above_changed)?;
            match create() {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Err(e) => return Err(e),
    }
    changed.extend(folder.parent().map(Path::to_owned));
    changed.append(&mut above_changed);
    Ok(())
}

fn sync_folders<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> io::Result<()> {
    folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
}

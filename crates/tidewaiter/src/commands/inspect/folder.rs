//! A folder or an installed environment, packed into a tar in memory: the sandboxed child takes one open file.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Most files of a folder.
const FILES_MAX: usize = 50_000;
/// Most bytes of them together.
const BYTES_MAX: u64 = 1 << 30;

/// The files below a folder, in the order of their paths; links are not followed.
pub(super) fn packed(folder: &Path) -> Result<File> {
    let memory = memfd_create("inspected", MFdFlags::MFD_CLOEXEC).context("cannot get memory for the folder")?;
    let mut tar = tar::Builder::new(File::from(memory));
    let (mut waiting, mut files, mut bytes) = (vec![PathBuf::new()], 0, 0);
    while let Some(below) = waiting.pop() {
        let here =
            std::fs::read_dir(folder.join(&below)).with_context(|| format!("cannot read {}", below.display()))?;
        let mut entries = here.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, metadata) = (below.join(entry.file_name()), entry.metadata()?);
            if metadata.is_dir() {
                waiting.push(path);
                continue;
            }
            if !metadata.is_file() {
                continue;
            }
            (files, bytes) = (files + 1, bytes + metadata.len());
            if files > FILES_MAX || bytes > BYTES_MAX {
                bail!("it holds more than {FILES_MAX} files or {BYTES_MAX} bytes; name its parts instead");
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(metadata.len());
            header.set_mode(0o644);
            // A file that shrinks meanwhile must not shift what follows.
            let source = std::io::Read::chain(File::open(entry.path())?, std::io::repeat(0));
            tar.append_data(&mut header, &path, std::io::Read::take(source, metadata.len()))?;
        }
    }
    if files == 0 {
        bail!("there is no file in it");
    }
    let mut packed = tar.into_inner()?;
    packed.seek(SeekFrom::Start(0))?;
    Ok(packed)
}

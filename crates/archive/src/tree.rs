//! The tree that unpacking would make, as the most forgetful file system would hold it.
//!
//! Case is folded (macOS, Windows), Unicode is brought to NFKC (macOS), invisible characters are dropped
//! (HFS+), dots and spaces at the end of a segment too, `file:stream` is something inside `file` (Windows),
//! and what Windows does not allow in a name is the `_` by which Python's zipfile replaces it. Where two members fall together under that, one would silently replace the other somewhere.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hasher};

use unicode_normalization::UnicodeNormalization;

use crate::path::ArchivePath;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Folder,
    /// A folder that no member names, but some member's path needs.
    Needed,
}

/// How a member collides with earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The very same path.
    Same,
    /// A path that is the same on some systems.
    Folded,
    /// A file where another member has, or needs, a folder, or the reverse.
    FileAndFolder,
}

/// All places taken so far. Holds keyed 64-bit hashes, not names: a collision by chance (one in 10^10 for
/// the largest archive) refuses an archive, and none can be made on purpose.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    places: HashMap<u64, Place>,
    exact: HashMap<u64, ()>,
    keys: RandomState,
    folded: String,
}

impl Tree {
    /// Adds a member. Returns how many folders it needs that nothing needed before.
    pub(crate) fn add(&mut self, path: &ArchivePath, folder: bool) -> Result<u64, Clash> {
        let same = self.exact.insert(self.keys.hash_one(path.as_str()), ()).is_some();
        let clash = if same { Clash::Same } else { Clash::Folded };
        fold(path.as_str(), &mut self.folded);
        let mut hasher = self.keys.build_hasher();
        let mut needed = 0;
        for byte in self.folded.bytes() {
            if matches!(byte, b'/' | b':') {
                match self.places.entry(hasher.finish()) {
                    Entry::Occupied(taken) if *taken.get() == Place::File => return Err(Clash::FileAndFolder),
                    Entry::Occupied(_) => {}
                    Entry::Vacant(free) => {
                        free.insert(Place::Needed);
                        needed += 1;
                    }
                }
            }
            hasher.write_u8(byte);
        }
        let place = if folder { Place::Folder } else { Place::File };
        match self.places.entry(hasher.finish()) {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(mut taken) => match (*taken.get(), folder) {
                (Place::Needed, true) => {
                    taken.insert(place);
                }
                (Place::Folder, true) | (Place::File, false) => return Err(clash),
                (Place::File, true) | (Place::Folder | Place::Needed, false) => return Err(Clash::FileAndFolder),
            },
        }
        Ok(needed)
    }
}

/// Writes the form under which a path is compared.
fn fold(path: &str, into: &mut String) {
    into.clear();
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            into.push('/');
        }
        let segment = segment.trim_end_matches(['.', ' ']);
        if segment.is_ascii() {
            into.extend(segment.chars().map(|c| allowed(c.to_ascii_lowercase())));
        } else {
            // Upper case and back is full case folding for all that has a case (ß is ss, ſ is s); a second
            // normalisation composes what folding took apart.
            let cased = segment.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            into.extend(cased.nfkc().filter(|c| !invisible(*c)).map(allowed));
        }
    }
}

fn allowed(c: char) -> char {
    if matches!(c, '<' | '>' | '"' | '|' | '?' | '*') { '_' } else { c }
}

/// Characters without a shape (default ignorable), which HFS+ leaves out when it compares names.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tree: &mut Tree, name: &str) -> Result<u64, Clash> {
        let (path, folder) = ArchivePath::parse(name.as_bytes()).expect(name);
        tree.add(&path, folder)
    }

    #[test]
    fn paths_that_fall_together_somewhere_clash() {
        for (first, second, want) in [
            ("a/b", "a/b", Clash::Same),
            ("a/b/", "a/b/", Clash::Same),
            ("a/B", "a/b", Clash::Folded),
            ("A/b", "a/b", Clash::Folded),
            ("stra\u{df}e", "STRASSE", Clash::Folded),
            ("caf\u{e9}", "cafe\u{301}", Clash::Folded),
            ("\u{ff21}", "a", Clash::Folded),
            ("\u{fb01}le", "file", Clash::Folded),
            ("a\u{200d}b", "ab", Clash::Folded),
            ("RECORD.", "RECORD", Clash::Folded),
            ("a?.py", "a_.py", Clash::Folded),
            ("a/b", "a", Clash::FileAndFolder),
            ("a", "a/b", Clash::FileAndFolder),
            ("a", "a/", Clash::FileAndFolder),
            ("a/", "a", Clash::FileAndFolder),
            ("A", "a/b", Clash::FileAndFolder),
            ("x.py", "x.py:hidden", Clash::FileAndFolder),
            ("x.py::$DATA", "x.py", Clash::FileAndFolder),
        ] {
            let mut tree = Tree::default();
            add(&mut tree, first).expect(first);
            assert_eq!(add(&mut tree, second), Err(want), "{first} then {second}");
        }
    }

    #[test]
    fn neighbours_do_not_clash_and_needed_folders_are_counted() {
        let mut tree = Tree::default();
        assert_eq!(add(&mut tree, "a/b/c"), Ok(2));
        assert_eq!(add(&mut tree, "a/b/d"), Ok(0));
        assert_eq!(add(&mut tree, "a/b/"), Ok(0));
        assert_eq!(add(&mut tree, "Foo::A.3pm"), Ok(2));
        assert_eq!(add(&mut tree, "Foo::B.3pm"), Ok(0));
        assert_eq!(add(&mut tree, "ab"), Ok(0));
    }
}

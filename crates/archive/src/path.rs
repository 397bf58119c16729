//! The path of a member: the only form in which a name out of an archive is ever used.

use std::fmt;

/// A relative path in normal form: UTF-8, segments parted by `/`, none of them empty, `.` or `..`, nothing
/// in it that an installer, a terminal or another system reads as something else. A folder's path has no
/// trailing `/`.
///
/// Refused is what is a matter of safety, no more: names that merely fail to unpack somewhere (`aux.py`,
/// `a?b`, a trailing dot) are taken, as real packages hold them. Names that would fall together with
/// others on some system are found by [`crate::tree::Tree`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ArchivePath(Box<str>);

/// Why a name is no [`ArchivePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathProblem {
    #[error("is empty")]
    Empty,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("holds a control character")]
    Control,
    #[error("holds a character that changes the direction of text")]
    Bidi,
    #[error("holds a backslash")]
    Backslash,
    #[error("is absolute")]
    Absolute,
    #[error("names a drive")]
    Drive,
    #[error("leads out of its folder by '..'")]
    Parent,
    #[error("is not in normal form: it holds an empty segment or '.'")]
    NotNormal,
}

impl ArchivePath {
    /// Reads a name as it stands in a header. The flag says whether it ends in `/`, as folders do.
    pub(crate) fn parse(name: &[u8]) -> Result<(Self, bool), PathProblem> {
        let text = std::str::from_utf8(name).map_err(|_| PathProblem::NotUtf8)?;
        let (text, folder) = match text.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Err(if folder { PathProblem::Absolute } else { PathProblem::Empty });
        }
        text.chars().try_for_each(character)?;
        if text.starts_with('/') {
            return Err(PathProblem::Absolute);
        }
        // `C:x` is relative to the drive's folder, `C:/x` absolute: both leave ours.
        if text.as_bytes()[0].is_ascii_alphabetic() && text.as_bytes().get(1) == Some(&b':') {
            return Err(PathProblem::Drive);
        }
        text.split('/').try_for_each(segment)?;
        Ok((Self(text.into()), folder))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment, and what follows it.
    pub(crate) fn top(&self) -> (&str, Option<&str>) {
        match self.0.split_once('/') {
            Some((top, rest)) => (top, Some(rest)),
            None => (&self.0, None),
        }
    }
}

impl fmt::Display for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn character(c: char) -> Result<(), PathProblem> {
    match c {
        '\\' => Err(PathProblem::Backslash),
        // C0, DEL, C1, and the two separators that some readers take as the end of a line.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Err(PathProblem::Control),
        // Unicode's explicit formatting characters (UAX 9 §2): a reviewer would read another name.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Err(PathProblem::Bidi)
        }
        _ => Ok(()),
    }
}

fn segment(text: &str) -> Result<(), PathProblem> {
    match text {
        "" | "." => Err(PathProblem::NotNormal),
        // Windows drops dots and spaces at the end of a name, so `.. ` and `...` are ways to write `..` too.
        _ if text.bytes().all(|b| matches!(b, b'.' | b' ')) => Err(PathProblem::Parent),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_or_refused_for_its_reason() {
        for name in ["a", "a/b.py", "a/.hidden", "a/..b", "naïve/ß", "a b/c.", "aux.py", "a/b:c", "a/C:x"] {
            let (path, folder) = ArchivePath::parse(name.as_bytes()).expect(name);
            assert_eq!((path.as_str(), folder), (name, false));
        }
        assert_eq!(ArchivePath::parse(b"a/b/").map(|(p, folder)| (p.to_string(), folder)), Ok(("a/b".into(), true)));
        let refused: &[(&[u8], PathProblem)] = &[
            (b"", PathProblem::Empty),
            (b"/", PathProblem::Absolute),
            (b"/etc/passwd", PathProblem::Absolute),
            (b"//server/share", PathProblem::Absolute),
            (b"C:/x", PathProblem::Drive),
            (b"c:x", PathProblem::Drive),
            (b"..", PathProblem::Parent),
            (b"a/../b", PathProblem::Parent),
            (b"a/.. /b", PathProblem::Parent),
            (b"a/...", PathProblem::Parent),
            (b".", PathProblem::NotNormal),
            (b"./a", PathProblem::NotNormal),
            (b"a//b", PathProblem::NotNormal),
            (b"a//", PathProblem::NotNormal),
            (b"a\\b", PathProblem::Backslash),
            (b"\\\\server\\x", PathProblem::Backslash),
            (b"a\0b", PathProblem::Control),
            (b"a\rb", PathProblem::Control),
            (b"a\x7f", PathProblem::Control),
            ("a\u{85}".as_bytes(), PathProblem::Control),
            ("a\u{202e}yp.exe".as_bytes(), PathProblem::Bidi),
            ("a\u{2067}".as_bytes(), PathProblem::Bidi),
            (b"a\xff", PathProblem::NotUtf8),
        ];
        for (name, want) in refused {
            assert_eq!(ArchivePath::parse(name), Err(*want), "{name:?}");
        }
    }
}

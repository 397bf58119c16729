//! Extended headers (pax, POSIX.1-2001 "ustar interchange format") and GNU long names.
//!
//! They exist to say what a header has no room for. What they may not do here is to say otherwise: a size
//! or a name that contradicts the header is what one reader believes and the next does not know of.

use packaging::{Rejection, Rule};

use super::gzip::framing;

/// Attributes that restate what kind of file a member is: sparse maps of GNU and star.
const SPARSE: &[&str] = &["GNU.sparse.", "SCHILY.realsize", "SCHILY.filetype", "SUN.holesdata"];
/// From this length on, a header's name may be the beginning of a longer one: its field has 100 bytes, and
/// some writers (7-Zip) end it with NUL.
const SHORT_NAME_BYTES: usize = 99;
/// The only character set of names; others make a path something else to who does not know them.
const CHARSET: &str = "ISO-IR 10646 2000 UTF-8";

/// What an extended header says about the next member.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) linkpath: bool,
}

fn contradiction(what: impl std::fmt::Display) -> Rejection {
    Rejection::new(Rule::TarOverride, format!("Invalid distribution file. Tar archive not accepted: {what}."))
}

impl Extended {
    /// Reads `x` data: records `LENGTH KEY=VALUE\n`, nothing between them, none twice.
    pub(super) fn read(data: &[u8]) -> Result<Self, Rejection> {
        let mut extended = Self::default();
        for (key, value) in records(data)? {
            common(key, value)?;
            match key {
                "path" => extended.path = Some(value.to_owned()),
                "linkpath" => extended.linkpath = true,
                "size" => {
                    let size = decimal(value.as_bytes()).ok_or_else(|| framing("a pax size is malformed"))?;
                    extended.size = Some(size);
                }
                _ => {}
            }
        }
        Ok(extended)
    }

    /// Reads `g` data, as `git archive` writes it (a comment). What names or measures a member cannot
    /// be meant for all of them.
    pub(super) fn read_global(data: &[u8]) -> Result<(), Rejection> {
        for (key, value) in records(data)? {
            common(key, value)?;
            if matches!(key, "path" | "linkpath" | "size") {
                return Err(contradiction(format_args!("a global pax header sets '{key}' for all members")));
            }
        }
        Ok(())
    }

    /// The member's name, given the one in its header.
    pub(super) fn name(&self, header: Vec<u8>) -> Result<Vec<u8>, Rejection> {
        match &self.path {
            None => Ok(header),
            Some(path) => longer_name(path.as_bytes(), &header),
        }
    }

    /// The member's size must be the header's.
    pub(super) fn check(&self, header_bytes: u64) -> Result<(), Rejection> {
        if self.linkpath {
            return Err(contradiction("a pax header gives a link's target to a member that is no link"));
        }
        match self.size {
            Some(size) if size != header_bytes => Err(contradiction("a pax header gives a member another size")),
            _ => Ok(()),
        }
    }
}

/// Data of a GNU `L` member: the name and one NUL.
pub(super) fn long_name(data: &[u8]) -> Result<Vec<u8>, Rejection> {
    match data.split_last() {
        Some((0, name)) if !name.is_empty() && !name.contains(&0) => Ok(name.to_vec()),
        _ => Err(framing("a long name does not end in its only NUL")),
    }
}

/// Takes the long name if the short one in the header is what writers leave of it: nothing, the name
/// itself, its first bytes as far as they fit (with `?` for what is not ASCII, as Python does), or git's `<id>.data`.
pub(super) fn longer_name(long: &[u8], header: &[u8]) -> Result<Vec<u8>, Rejection> {
    let cut = |whole: &[u8]| whole == header || (header.len() >= SHORT_NAME_BYTES && whole.starts_with(header));
    let ascii: Vec<u8> =
        String::from_utf8_lossy(long).chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect();
    // A header's name may have lost the `/` that marks a folder, which its typeflag marks too.
    let bare = |whole: &[u8]| whole.strip_suffix(b"/").is_some_and(cut);
    let git = header.strip_suffix(b".data").is_some_and(|id| id.len() >= 40 && id.iter().all(u8::is_ascii_hexdigit));
    if header.is_empty() || cut(long) || bare(long) || cut(&ascii) || bare(&ascii) || git {
        Ok(long.to_vec())
    } else {
        Err(contradiction("an extended header gives a member another name than its header"))
    }
}

/// Rules for keys in both kinds of extended header.
fn common(key: &str, value: &str) -> Result<(), Rejection> {
    if SPARSE.iter().any(|sparse| key.starts_with(sparse)) {
        return Err(Rejection::new(
            Rule::TarEntryKind,
            "Invalid distribution file. Sparse files are not accepted in a tar archive.",
        ));
    }
    if key == "hdrcharset" && value != CHARSET {
        return Err(contradiction("a pax header asks for another character set"));
    }
    Ok(())
}

fn records(mut data: &[u8]) -> Result<Vec<(&str, &str)>, Rejection> {
    /// Most records of one header; the largest known hold two dozen.
    const RECORDS_MAX: usize = 256;
    let mut found: Vec<(&str, &str)> = Vec::new();
    while !data.is_empty() {
        let (record, rest) = split_record(data).ok_or_else(|| framing("a pax record is malformed"))?;
        data = rest;
        let text = std::str::from_utf8(record).map_err(|_| framing("a pax record is not UTF-8"))?;
        let (key, value) = text.split_once('=').ok_or_else(|| framing("a pax record has no '='"))?;
        // An empty value takes an attribute back; readers differ on whether to what the header says.
        if key.is_empty() || value.is_empty() || text.contains('\0') {
            return Err(framing("a pax record is empty or holds NUL"));
        }
        if found.iter().any(|(known, _)| *known == key) {
            return Err(contradiction(format_args!(
                "a pax header sets {} twice",
                crate::contents::printable(key.as_bytes())
            )));
        }
        if found.len() == RECORDS_MAX {
            return Err(framing("a pax header has too many records"));
        }
        found.push((key, value));
    }
    if found.is_empty() { Err(framing("a pax header is empty")) } else { Ok(found) }
}

/// `LENGTH SPACE ... NEWLINE`, the length counting itself; what is between, and what follows.
fn split_record(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..digits])?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    Some((record.get(digits + 1..)?.strip_suffix(b"\n")?, rest))
}

/// Decimal digits without sign or leading zero.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_to_the_letter() {
        let read = |data: &str| Extended::read(data.as_bytes()).map_err(|rejection| rejection.rule);
        let path = |path: &str| Ok(Extended { path: Some(path.into()), ..Extended::default() });
        assert_eq!(read("12 path=a/b\n"), path("a/b"));
        assert_eq!(read("12 path=a/b\n20 mtime=1700000000\n"), path("a/b"));
        assert_eq!(read("13 path=a=bc\n"), path("a=bc"));
        for (data, rule) in [
            ("", Rule::TarFraming),
            ("012 path=a/b\n", Rule::TarFraming),
            ("11 path=a/b\n", Rule::TarFraming),
            ("13 path=a/b\n", Rule::TarFraming),
            ("12 path=a/bX", Rule::TarFraming),
            ("8 path=\n", Rule::TarFraming),
            ("9 path a\n", Rule::TarFraming),
            ("12 path=a\0b\n", Rule::TarFraming),
            ("99999999999999999999 path=a\n", Rule::TarFraming),
            ("12 path=a/b\n12 path=a/c\n", Rule::TarOverride),
            ("25 GNU.sparse.major=1\n", Rule::TarFraming),
            ("21 GNU.sparse.size=1\n", Rule::TarEntryKind),
            ("21 hdrcharset=BINARY\n", Rule::TarOverride),
            ("9 size=x\n", Rule::TarFraming),
        ] {
            assert_eq!(read(data), Err(rule), "{data:?}");
        }
    }

    #[test]
    fn a_long_name_must_continue_the_short_one() {
        let long = format!("pkg-1.0/{}/é.py", "d".repeat(120));
        assert!(longer_name(long.as_bytes(), &long.as_bytes()[..100]).is_ok());
        assert!(longer_name("pkg/é.py".as_bytes(), b"pkg/?.py").is_ok());
        assert!(longer_name(b"pkg/a", b"").is_ok());
        assert!(longer_name(b"pkg/dir/", b"pkg/dir").is_ok());
        assert!(longer_name(b"pkg/setup.py", b"pkg/README").is_err());
        assert!(longer_name(b"pkg/setup.py", b"pkg/").is_err());
        assert_eq!(long_name(b"a/b\0"), Ok(b"a/b".to_vec()));
        assert!(long_name(b"a/b").is_err() && long_name(b"a\0b\0").is_err() && long_name(b"\0").is_err());
    }
}

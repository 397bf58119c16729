//! RECORD: every file, its hash, its size, and nothing that is not there.

use packaging::{Rejection, Rule};
use sha2::{Digest, Sha384, Sha512};

use super::Names;
use crate::Report;
use crate::contents::{Contents, Member, printable};
use crate::zip::Zip;

/// Files beside RECORD that sign it and so cannot be in it (binary distribution format, "Signed wheel files").
const SIGNATURES: &[&str] = &["RECORD.jws", "RECORD.p7s"];

/// Compares RECORD with the members. Rarer hashes than SHA-256 need a second reading of their members.
pub(super) fn check(
    names: &Names<'_>,
    text: &str,
    contents: &Contents,
    zip: &mut Zip<'_>,
    report: &mut Report,
) -> Result<(), Rejection> {
    let mut listed = vec![false; contents.members().len()];
    let mut itself = false;
    let reject = |report: &mut Report, path: &str, what: &str| {
        let path = printable(path.as_bytes());
        report.reject(Rule::WheelRecord, format!("Wheel '{}': RECORD: {path} {what}.", names.filename));
    };
    let mut rows = Rows { rest: text };
    while let Some(row) = rows.next_row() {
        let Ok([path, hash, size]) = row else {
            reject(report, "", "is a malformed row: it must be a path, a hash and a size");
            return Ok(());
        };
        if path.strip_prefix(&*names.info).and_then(|rest| rest.strip_prefix('/')) == Some("RECORD") {
            if std::mem::replace(&mut itself, true) {
                reject(report, &path, "is listed twice");
            }
            if !(hash.is_empty() && size.is_empty()) {
                reject(report, &path, "cannot hold its own hash or size");
            }
            continue;
        }
        let Some(position) = contents.position(&path).filter(|at| !contents.members()[*at].folder) else {
            reject(report, &path, absent(&path));
            continue;
        };
        if std::mem::replace(&mut listed[position], true) {
            // Not verified again: a RECORD of one row many times would read its member as often.
            reject(report, &path, "is listed twice");
            continue;
        }
        let member = &contents.members()[position];
        if signature(names, &path) && hash.is_empty() && size.is_empty() {
            continue;
        }
        if let Err(what) = verify(member, &hash, &size, zip)? {
            reject(report, &path, what);
        }
    }
    for (member, _) in contents.members().iter().zip(&listed).filter(|(member, listed)| !member.folder && !**listed) {
        let path = member.path.as_str();
        if path != format!("{}/RECORD", names.info) && !signature(names, path) {
            reject(report, path, "is in the archive but not listed");
        }
    }
    Ok(())
}

fn absent(path: &str) -> &'static str {
    if path.contains('\\') {
        "is listed with a backslash; paths are written with '/'"
    } else {
        "is listed but not in the archive"
    }
}

fn signature(names: &Names<'_>, path: &str) -> bool {
    path.strip_prefix(&*names.info)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| SIGNATURES.contains(&name))
}

/// Size and hash of one member; the inner error is what is wrong with the row.
fn verify(member: &Member, hash: &str, size: &str, zip: &mut Zip<'_>) -> Result<Result<(), &'static str>, Rejection> {
    if !size.is_empty() && size != member.bytes.to_string() {
        return Ok(Err("has another size than listed"));
    }
    let Some((algorithm, stated)) = hash.split_once('=') else {
        return Ok(Err("is listed without a hash"));
    };
    let digest = match algorithm {
        "sha256" => member.sha256.map(Vec::from).unwrap_or_default(),
        "sha384" => again::<Sha384>(member, zip)?,
        "sha512" => again::<Sha512>(member, zip)?,
        _ => return Ok(Err("is listed with a hash other than SHA-256, SHA-384 or SHA-512")),
    };
    Ok(if base64(&digest) == stated { Ok(()) } else { Err("has another hash than listed") })
}

fn again<D: Digest>(member: &Member, zip: &mut Zip<'_>) -> Result<Vec<u8>, Rejection> {
    let mut digest = D::new();
    zip.again(member.entry, &mut |piece| digest.update(piece))?;
    Ok(digest.finalize().to_vec())
}

/// URL-safe Base64 without padding (RFC 4648 §5), the one spelling of a digest in RECORD.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([&0, &0]).take(3).fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for index in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}

/// Rows of CSV as Python's `csv` module writes them: commas, optional quotes doubled within, any line end.
struct Rows<'t> {
    rest: &'t str,
}

/// A row that is not three well-formed fields.
struct Malformed;

impl Rows<'_> {
    fn next_row(&mut self) -> Option<Result<[String; 3], Malformed>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut fields = Vec::new();
        loop {
            let Some((field, end)) = self.field() else { return Some(Err(Malformed)) };
            fields.push(field);
            match end {
                End::Comma if fields.len() < 3 => {}
                End::Comma => return Some(Err(Malformed)),
                End::Line => return Some(fields.try_into().map_err(|_| Malformed)),
            }
        }
    }

    /// One field and what ended it; nothing if a quote is out of place or never closed.
    fn field(&mut self) -> Option<(String, End)> {
        let field = match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted)?,
            None => {
                let end = self.rest.find([',', '\r', '\n', '"']).unwrap_or(self.rest.len());
                let (field, rest) = self.rest.split_at(end);
                self.rest = rest;
                field.to_owned()
            }
        };
        for (text, end) in [(",", End::Comma), ("\r\n", End::Line), ("\n", End::Line), ("\r", End::Line)] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Some((field, end));
            }
        }
        self.rest.is_empty().then_some((field, End::Line))
    }

    fn quoted(&mut self, mut rest: &str) -> Option<String>
    where
        Self: Sized,
    {
        let mut field = String::new();
        loop {
            let (before, after) = rest.split_once('"')?;
            field.push_str(before);
            match after.strip_prefix('"') {
                Some(next) => {
                    field.push('"');
                    rest = next;
                }
                None => {
                    // The slice of `self.rest` behind what was read, by length.
                    self.rest = &self.rest[self.rest.len() - after.len()..];
                    return Some(field);
                }
            }
        }
    }
}

enum End {
    Comma,
    Line,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff", "-_8")] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn rows_are_those_of_pythons_csv() {
        let read = |text: &str| -> Option<Vec<[String; 3]>> {
            let mut rows = Rows { rest: text };
            let mut found = vec![];
            while let Some(row) = rows.next_row() {
                found.push(row.ok()?);
            }
            Some(found)
        };
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        assert_eq!(read("a,b,1\nc,,\n"), Some(vec![row("a", "b", "1"), row("c", "", "")]));
        assert_eq!(read("a,b,1\r\nc,,"), Some(vec![row("a", "b", "1"), row("c", "", "")]));
        assert_eq!(read("\"a,\"\"b\",x,2\n"), Some(vec![row("a,\"b", "x", "2")]));
        assert_eq!(read("\"a\nb\",,\n"), Some(vec![row("a\nb", "", "")]));
        for text in ["a,b\n", "a,b,1,2\n", "\n", "\"a,b,1\n", "a\"b,c,1\n", "\"a\"b,c,1\n", "a,b,1\n\nc,,\n"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}

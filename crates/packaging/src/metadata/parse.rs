//! METADATA and PKG-INFO bytes to values: the header format of the core metadata specification, which is
//! RFC 822 as Python's `email` package reads it, in UTF-8.

use super::{CoreMetadata, Field, has_own_license_files};
use crate::rules::{Rejection, Rule};

/// Largest metadata file, in bytes, description included.
pub const METADATA_BYTES_MAX: usize = 4 << 20;
/// Most header lines; 10,000 requirements are known to exist in no real package.
pub const HEADERS_MAX: usize = 10_000;

/// Reads a metadata file. Values are as written, folded lines unfolded; the description is the body, or the
/// `Description` header of older files. Problems of form are returned beside what could be read.
pub fn parse(bytes: &[u8]) -> (CoreMetadata, Vec<Rejection>) {
    let mut metadata = CoreMetadata::default();
    let mut problems = Vec::new();
    let (headers, body) = match text(bytes).and_then(split) {
        Ok(parts) => parts,
        Err(message) => return (metadata, vec![Rejection::new(Rule::MetadataUnreadable, message)]),
    };
    for (name, value) in headers {
        match Field::by_header(name) {
            Some(Field::Description) => metadata.push(Field::Description, unfold_description(&value)),
            Some(field) => metadata.push(field, value.trim_matches([' ', '\t', '\n']).to_owned()),
            None => problems.push(Rejection::new(
                Rule::MetadataUnknownField,
                format!("The metadata file has an unknown field '{}'.", elide(name)),
            )),
        }
    }
    drop_absent(&mut metadata);
    if let Some(body) = body.filter(|body| !is_absent(Field::Description, body)) {
        if metadata.get(Field::Description).is_some() {
            problems.push(Rejection::new(
                Rule::MetadataRepeated,
                "Description is given twice: as a field and as the body of the metadata file.",
            ));
        } else {
            metadata.push(Field::Description, body.to_owned());
        }
    }
    (metadata, problems)
}

/// The bytes as text, when there are few enough of them and the ledger can hold them.
fn text(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() > METADATA_BYTES_MAX {
        return Err(format!("The metadata file is too large: at most {METADATA_BYTES_MAX} bytes."));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "The metadata file is not UTF-8.")?;
    if text.contains('\0') { Err("The metadata file holds a NUL character.".into()) } else { Ok(text) }
}

type Headers<'a> = Vec<(&'a str, String)>;

/// Headers, each with its continuation lines, and the body after the first empty line.
fn split(text: &str) -> Result<(Headers<'_>, Option<&str>), String> {
    let mut headers: Headers<'_> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        if line.is_empty() {
            return Ok((headers, Some(after)));
        }
        rest = after;
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or("The metadata file starts with a continuation line.")?;
            value.push('\n');
            value.push_str(line);
        } else if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_header_name(name)) {
            if headers.len() == HEADERS_MAX {
                return Err(format!("The metadata file has too many fields: at most {HEADERS_MAX}."));
            }
            headers.push((name, value.trim_start_matches([' ', '\t']).to_owned()));
        } else {
            return Err(format!("The metadata file has a line that is no field: '{}'.", elide(line)));
        }
    }
    Ok((headers, None))
}

fn drop_absent(metadata: &mut CoreMetadata) {
    if !has_own_license_files(metadata) {
        metadata.values.remove(&Field::LicenseFile);
    }
    for (field, values) in &mut metadata.values {
        values.retain(|value| !is_absent(*field, value));
    }
    metadata.values.retain(|_, values| !values.is_empty());
}

/// Old back ends wrote `UNKNOWN`, or nothing, where they had no value. Where an installer acts on the value it
/// stays as it is, for the installer will take it at its word: `Requires-Dist: UNKNOWN` asks for a project of
/// that name. An empty `Import-Name` says that nothing can be imported (PEP 794).
pub(super) fn is_absent(field: Field, value: &str) -> bool {
    let value = value.trim_matches([' ', '\t', '\n', '\r']);
    let installers_act =
        matches!(field, Field::RequiresDist | Field::ProvidesExtra | Field::ImportName | Field::ImportNamespace);
    !installers_act && (value.is_empty() || value == "UNKNOWN")
}

/// At most 60 characters of a foreign text, for a message.
pub(super) fn elide(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= 60 {
        return text.to_owned();
    }
    let (head, tail): (String, String) = (chars[..30].iter().collect(), chars[chars.len() - 30..].iter().collect());
    format!("{head}...{tail}")
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// One line without its end, and what follows. `\r\n`, `\n` and `\r` end a line.
fn split_line(text: &str) -> (&str, &str) {
    match text.find(['\n', '\r']) {
        None => (text, ""),
        Some(at) => {
            let end = if text[at..].starts_with("\r\n") { at + 2 } else { at + 1 };
            (&text[..at], &text[end..])
        }
    }
}

/// Older files fold the description with seven spaces and a `|`, or eight spaces.
fn unfold_description(value: &str) -> String {
    let mut lines = value.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push('\n');
        let unfolded = line.strip_prefix("       |").or_else(|| line.strip_prefix("        ")).unwrap_or(line);
        out.push_str(unfolded);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_body() {
        let (metadata, problems) = parse(
            b"Metadata-Version: 2.1\nName: foo\nVersion: 1\nClassifier: A\nClassifier: B\nLicense: one\n        two\n\n# Title\n\ntext\n",
        );
        assert_eq!(problems, []);
        assert_eq!(metadata.all(Field::Classifier), ["A", "B"]);
        assert_eq!(metadata.get(Field::Description), Some("# Title\n\ntext\n"));
        assert_eq!(metadata.get(Field::License), Some("one\n        two"));
    }

    #[test]
    fn what_is_no_metadata() {
        for bytes in [&b"\xff"[..], b" x: y\n", b"no colon\n"] {
            let (_, problems) = parse(bytes);
            assert_eq!(problems[0].rule, Rule::MetadataUnreadable, "{bytes:?}");
        }
        let big = vec![b'a'; METADATA_BYTES_MAX + 1];
        assert_eq!(parse(&big).1[0].rule, Rule::MetadataUnreadable);
        let (_, problems) = parse(b"Name: a\nX-Other: b\n");
        assert_eq!(problems[0].rule, Rule::MetadataUnknownField);
    }
}

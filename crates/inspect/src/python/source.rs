//! From bytes to text: byte order marks, encoding cookies, NUL bytes, line ends.

use super::facts::OddityKind;

/// Decoded source, and what was odd on the way.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// The text is rot13 of what would run; it was turned back.
    pub(super) oddities: Vec<(OddityKind, String)>,
}

/// Decodes as Python would (PEP 263, PEP 3120), and goes on where Python would stop.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let mut oddities = Vec::new();
    let (bytes, marked) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let wide = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let encoding = if bytes[0] == 0xff { encoding_rs::UTF_16LE } else { encoding_rs::UTF_16BE };
        oddities.push((OddityKind::BadEncoding, encoding.name().to_owned()));
        Some(encoding.decode_with_bom_removal(bytes).0.into_owned())
    } else {
        None
    };
    let mut text = wide.unwrap_or_else(|| {
        let cookie = if marked { None } else { cookie(bytes) };
        by_cookie(bytes, cookie.as_deref(), &mut oddities)
    });
    if text.contains('\0') {
        oddities.push((OddityKind::Nul, String::new()));
        // Python 2 stopped reading there and Python 3 refuses; a blank lets the parser see both sides.
        text = text.replace('\0', " ");
    }
    Decoded { text, oddities }
}

fn by_cookie(bytes: &[u8], cookie: Option<&str>, oddities: &mut Vec<(OddityKind, String)>) -> String {
    let name = cookie.unwrap_or("utf-8");
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.as_str() {
        "rot13" => {
            oddities.push((OddityKind::Cookie, name.to_owned()));
            return super::peel::rot13(&String::from_utf8_lossy(bytes));
        }
        "utf7" | "unicodeescape" | "rawunicodeescape" | "hex" | "hexcodec" | "base64" | "base64codec" | "zip"
        | "zlib" | "zlibcodec" | "bz2" | "bz2codec" | "uu" | "uucodec" | "punycode" | "idna" | "quopri"
        | "quoprcodec" | "stringescape" => {
            oddities.push((OddityKind::Cookie, name.to_owned()));
            return escaped(bytes, &plain);
        }
        _ => {}
    }
    let label = match plain.as_str() {
        "latin1" | "iso88591" | "l1" | "8859" => "windows-1252",
        "utf8" | "u8" | "utf8sig" | "ascii" | "usascii" => "utf-8",
        "cp932" | "ms932" => "shift_jis",
        "cp949" => "euc-kr",
        "cp936" => "gbk",
        _ => name,
    };
    let Some(encoding) = encoding_rs::Encoding::for_label(label.as_bytes()) else {
        oddities.push((OddityKind::Cookie, name.to_owned()));
        return String::from_utf8_lossy(bytes).into_owned();
    };
    let (text, bad) = encoding.decode_without_bom_handling(bytes);
    if bad {
        oddities.push((OddityKind::BadEncoding, name.to_owned()));
    }
    text.into_owned()
}

/// What the escaping codecs hide, as far as text can be made of it.
fn escaped(bytes: &[u8], codec: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    match codec {
        "utf7" => utf7(&text),
        "unicodeescape" | "rawunicodeescape" | "stringescape" => super::peel::unescape(&text),
        _ => text.into_owned(),
    }
}

/// RFC 2152; what is not well formed stays as it is.
pub(super) fn utf7(text: &str) -> String {
    use base64::Engine as _;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('+') {
        out.push_str(&rest[..at]);
        let coded = &rest[at + 1..];
        let end = coded.find(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/').unwrap_or(coded.len());
        let engine =
            base64::engine::general_purpose::GeneralPurpose::new(&base64::alphabet::STANDARD, super::peel::LENIENT);
        match engine.decode(&coded[..end]) {
            Ok(units) if end > 0 => {
                let units = units.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            _ => {
                out.push('+');
                out.push_str(&coded[..end]);
            }
        }
        rest = coded[end..].strip_prefix('-').unwrap_or(&coded[end..]);
    }
    out.push_str(rest);
    out
}

/// The encoding named by a comment in the first two lines.
fn cookie(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(1_024)];
    for line in head.split(|b| *b == b'\n' || *b == b'\r').filter(|line| !line.is_empty()).take(2) {
        let text = String::from_utf8_lossy(line);
        let comment = text.trim_start_matches([' ', '\t', '\u{c}']);
        if !comment.starts_with('#') {
            if comment.is_empty() {
                continue;
            }
            return None;
        }
        let Some(at) = comment.find("coding") else { continue };
        let Some(value) = comment[at + 6..].strip_prefix([':', '=']) else { continue };
        let name: String = value
            .trim_start_matches([' ', '\t'])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            .collect();
        if !name.is_empty() {
            return Some(name.to_ascii_lowercase().replace('_', "-"));
        }
    }
    None
}

/// Offsets at which lines begin, by any of the three line ends.
pub(super) fn line_starts(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (part, chunk) in bytes.chunks(16).enumerate() {
        // Most of a text is within lines: sixteen bytes are asked at once.
        if !chunk.iter().fold(false, |any, byte| any | (*byte == b'\n') | (*byte == b'\r')) {
            continue;
        }
        for (n, byte) in (part * 16..).zip(chunk) {
            if *byte == b'\n' || *byte == b'\r' && bytes.get(n + 1) != Some(&b'\n') {
                starts.push(n as u32 + 1);
            }
        }
    }
    starts
}

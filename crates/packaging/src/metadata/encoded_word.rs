//! Encoded words (RFC 2047), `=?utf-8?q?=C3=A9?=`: older build back ends wrote names so, and some clients send
//! them decoded. Decoded for comparison only; what is published stays as the file has it.

/// The text with its encoded words decoded; `None` when one is in a character set that is not known here.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.contains("=?") {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let between = &rest[..at];
        // White space between two encoded words belongs to neither.
        if !(after_word && between.trim().is_empty()) {
            out.push_str(between);
        }
        match word(&rest[at + 2..]) {
            None => {
                out.push_str("=?");
                rest = &rest[at + 2..];
                after_word = false;
            }
            Some((charset, encoding, payload, behind)) => {
                out.push_str(&in_charset(charset, bytes(encoding, payload)?)?);
                rest = behind;
                after_word = true;
            }
        }
    }
    out.push_str(rest);
    Some(out)
}

/// `charset?encoding?payload?=` and what follows; `None` when the text is only similar.
fn word(text: &str) -> Option<(&str, char, &str, &str)> {
    let (charset, text) = text.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (payload, behind) = text.split_once("?=")?;
    let encoding = encoding.chars().next().filter(|_| encoding.len() == 1)?.to_ascii_lowercase();
    let spaced = |part: &str| part.contains(char::is_whitespace);
    (!charset.is_empty() && !spaced(charset) && matches!(encoding, 'q' | 'b'))
        .then_some((charset, encoding, payload, behind))
}

fn bytes(encoding: char, payload: &str) -> Option<Vec<u8>> {
    if encoding == 'b' { base64(payload) } else { quoted(payload) }
}

/// RFC 2047 section 4.2: `_` is a space, `=XX` a byte.
fn quoted(payload: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len());
    let mut rest = payload.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'_', _) => out.push(b' '),
            (b'=', [high, low, behind @ ..]) => {
                let hex = String::from_utf8(vec![*high, *low]).ok()?;
                out.extend(crate::hash::unhex(&hex)?);
                rest = behind;
            }
            (other, _) => out.push(*other),
        }
    }
    Some(out)
}

fn base64(payload: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut out, mut bits, mut held) = (Vec::with_capacity(payload.len() * 3 / 4), 0u32, 0u32);
    for b in payload.bytes().filter(|b| *b != b'=' && !b.is_ascii_whitespace()) {
        bits = bits << 6 | u32::from(digit(b)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

fn in_charset(charset: &str, bytes: Vec<u8>) -> Option<String> {
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => String::from_utf8(bytes).ok(),
        "iso-8859-1" | "latin-1" | "latin1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn words_decode_and_look_alikes_stay() {
        let table = [
            ("plain", Some("plain")),
            ("=?utf-8?q?Andr=C3=A9_M?= <a@b.c>", Some("André M <a@b.c>")),
            ("=?UTF-8?B?QW5kcsOp?= =?utf-8?b?IE0=?=", Some("André M")),
            ("=?iso-8859-1?q?=E9?=", Some("é")),
            ("=?koi8-r?q?=C1?=", None),
            ("a =?b", Some("a =?b")),
            ("https://h/?a=?x?q?y", Some("https://h/?a=?x?q?y")),
            ("=?utf-8?q?=?=", Some("=")),
        ];
        for (text, want) in table {
            assert_eq!(decode(text).as_deref(), want, "{text}");
        }
    }
}

//! SHA-256 as RFC 6962 hashes a tree, and the two ways in which a digest is written.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a digest.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 digest: of a leaf, a node, a whole tree, a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl Hash {
    /// The root of the tree that has no leaf: SHA-256 of nothing (RFC 6962, 2.1).
    pub fn of_nothing() -> Self {
        sha256(&[])
    }

    /// As checkpoints and proofs write it: standard base64 with padding.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// From the one base64 spelling that [`Hash::to_base64`] gives.
    pub fn from_base64(text: &str) -> Option<Self> {
        // Longer text is refused before it is decoded.
        (text.len() == 44).then(|| STANDARD.decode(text).ok())??.try_into().ok().map(Self)
    }

    /// As entries write it: lower-case hexadecimal.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// From exactly 64 lower-case digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    of_parts(&[bytes])
}

/// SHA-256 of bytes that lie in several places, as if they stood one after the other.
pub(crate) fn of_parts(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    Hash(context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

/// The hash of a leaf: SHA-256(0x00 || entry). The first byte keeps a leaf from passing for a node.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    of_parts(&[&[0], entry])
}

/// The hash of a node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    of_parts(&[&[1], &left.0, &right.0])
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes of exactly `2 * N` lower-case digits: one value has one spelling.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// A number in decimal digits without a sign or leading zeroes, as checkpoints, paths and entries write it.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        let hash = sha256(b"x");
        assert_eq!(Hash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(Hash::from_base64(&hash.to_base64()), Some(hash));
        for bad in [hash.to_hex().to_uppercase(), hash.to_hex()[1..].to_owned(), format!("{}0", hash.to_hex())] {
            assert_eq!(Hash::from_hex(&bad), None, "{bad}");
        }
        // 32 bytes leave two bits over in the last digit before the padding, which must be zero.
        let zero = Hash([0; 32]).to_base64();
        for bad in [zero.replace("A=", "B="), zero.replace('=', ""), format!("{zero}\n"), zero[..40].to_owned()] {
            assert_eq!(Hash::from_base64(&bad), None, "{bad}");
        }
        for (text, number) in [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("10", Some(10))] {
            assert_eq!(decimal(text), number, "{text}");
        }
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "18446744073709551616", "1_0", "٣"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}

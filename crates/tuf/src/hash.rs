//! Digests and hexadecimal.

use aws_lc_rs::digest;

/// A SHA-256 digest.
pub type Sha256 = [u8; 32];

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-512 of bytes.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    array(digest::digest(&digest::SHA512, bytes).as_ref())
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the algorithm gives a digest of its own length")
}

/// A digit of hexadecimal, without a branch or a table: bins hold a thousand digests, and so the compiler makes many
/// digits at once.
const fn digit(nibble: u8) -> u8 {
    nibble + b'0' + (nibble > 9) as u8 * (b'a' - b'0' - 10)
}

/// Lower-case hexadecimal, appended.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(digit(nibble))).collect()
}

/// The bytes that hexadecimal digits of either case stand for.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes().chunks_exact(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

/// Digests being made while bytes arrive: of both algorithms that TUF names, as far as somebody will ask for them.
#[derive(Clone)]
pub struct Hasher {
    sha256: digest::Context,
    sha512: Option<digest::Context>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    /// Nothing hashed yet; SHA-512 only where it is wanted, as it costs more than twice as much.
    pub fn new(want_sha512: bool) -> Self {
        Self {
            sha256: digest::Context::new(&digest::SHA256),
            sha512: want_sha512.then(|| digest::Context::new(&digest::SHA512)),
        }
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// SHA-256, and SHA-512 where it was wanted.
    pub fn finish(self) -> (Sha256, Option<[u8; 64]>) {
        let sha512 = self.sha512.map(|context| array(context.finish().as_ref()));
        (array(self.sha256.finish().as_ref()), sha512)
    }
}

//! Versions (PEP 440): the normalised spelling that is stored, and the canonical one that is compared.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Longest version text accepted, in bytes; it has to fit into a file name.
pub const VERSION_BYTES_MAX: usize = 128;

/// A PEP 440 version. Displays normalised: `1.0-1` prints as `1.0.post1`; trailing zeros are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(pep440_rs::Version);

/// The text is not a PEP 440 version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version in the sense of PEP 440")]
pub struct InvalidVersion;

impl Version {
    /// One text for all spellings of a release: trailing zeros of the release segment stripped, so that
    /// `1.0` and `1.0.0` are one release.
    pub fn canonical(&self) -> String {
        let text = self.0.to_string();
        let release: String = self.0.release().iter().map(u64::to_string).collect::<Vec<_>>().join(".");
        let mut segments = self.0.release();
        while let [head @ .., 0] = segments {
            if head.is_empty() {
                break;
            }
            segments = head;
        }
        let stripped: String = segments.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
        // The release segment stands once, after an optional `N!`; only that place is replaced.
        match text.split_once('!') {
            Some((epoch, rest)) => format!("{epoch}!{}", rest.replacen(&release, &stripped, 1)),
            None => text.replacen(&release, &stripped, 1),
        }
    }

    /// Whether a local segment (`+something`) is present.
    pub fn is_local(&self) -> bool {
        self.0.is_local()
    }

    /// Whether it is an epoch and a release, with nothing before, after or beside it.
    pub(crate) fn is_release_only(&self) -> bool {
        !self.0.any_prerelease() && !self.0.is_post() && !self.0.is_local()
    }

    /// Segments of the release: 2 for `1.0rc1`.
    pub(crate) fn release_len(&self) -> usize {
        self.0.release().len()
    }

    /// Whether installers skip it unless asked: alpha, beta, rc or dev.
    pub fn is_prerelease(&self) -> bool {
        self.0.any_prerelease()
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        if text.len() > VERSION_BYTES_MAX || !text.is_ascii() {
            return Err(InvalidVersion);
        }
        pep440_rs::Version::from_str(text).map(Self).map_err(|_| InvalidVersion)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_normalise_and_zeros_strip() {
        let table = [
            ("1.0-1", "1.0.post1", "1.post1"),
            ("v1.0", "1.0", "1"),
            ("1.0.RC1", "1.0rc1", "1rc1"),
            ("1.0.0", "1.0.0", "1"),
            ("0.0", "0.0", "0"),
            ("1!2.0.0.dev3", "1!2.0.0.dev3", "1!2.dev3"),
            ("10.0+local.1", "10.0+local.1", "10+local.1"),
        ];
        for (text, normal, canonical) in table {
            let version: Version = text.parse().expect(text);
            assert_eq!(version.to_string(), normal);
            assert_eq!(version.canonical(), canonical);
        }
        assert!("1.0 beta".parse::<Version>().is_err());
        assert!("".parse::<Version>().is_err());
    }
}

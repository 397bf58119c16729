//! The snapshot's body: half a megabyte at 16,384 bins, of which a change touches a few digits.

use super::body::open;
use super::{BINS, Bins};
use crate::json::write_uint;
use crate::role::SPEC_VERSION;
use crate::time::Time;

/// The canonical body of a snapshot, kept so that a version is changed where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SnapshotBody {
    /// Every role but the three, with its version, sorted by the bytes of the name.
    lines: Vec<(String, u64)>,
    /// Where the line of bin 0 is; the others follow, as their names differ in digits alone.
    first_bin: usize,
    bytes: Vec<u8>,
    /// Where in `bytes` the version of each line begins.
    slots: Vec<u32>,
    /// Where the part after the lines begins.
    tail: usize,
    version: u64,
    expires: Time,
}

/// `{"_type":"snapshot","expires":"` stands before the time.
const EXPIRES_AT: usize = 31;

impl SnapshotBody {
    /// `targets`, `bins` and the bins at these versions.
    pub(super) fn new(bins: &Bins, targets: u64, bins_role: u64, versions: impl Iterator<Item = u64>) -> Self {
        let mut lines: Vec<(String, u64)> = bins.names().into_iter().zip(versions).collect();
        let name_of_first = bins.name(0);
        lines.extend([(BINS.to_owned(), bins_role), ("targets".to_owned(), targets)]);
        lines.sort_unstable();
        let first_bin = lines.iter().position(|(name, _)| *name == name_of_first).unwrap_or(0);
        let (bytes, slots, tail) = (Vec::new(), Vec::new(), 0);
        let mut new = Self { lines, first_bin, bytes, slots, tail, version: 0, expires: Time::from_seconds(0) };
        new.render();
        new
    }

    fn render(&mut self) {
        const LINE_BYTES: usize = 40;
        self.bytes.clear();
        self.bytes.reserve(LINE_BYTES * self.lines.len() + 200);
        self.slots.clear();
        self.slots.reserve(self.lines.len());
        open("snapshot", self.expires, &mut self.bytes);
        self.bytes.extend_from_slice(b",\"meta\":{");
        for (n, (name, version)) in self.lines.iter().enumerate() {
            self.bytes.extend_from_slice(if n > 0 { b",\"" } else { b"\"" });
            // Names of ours hold nothing that must be escaped.
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(b".json\":{\"version\":");
            self.slots.push(self.bytes.len() as u32);
            write_uint(*version, &mut self.bytes);
            self.bytes.push(b'}');
        }
        self.tail = self.bytes.len();
        self.end();
    }

    fn end(&mut self) {
        self.bytes.truncate(self.tail);
        self.bytes.extend_from_slice(b"},\"spec_version\":\"");
        self.bytes.extend_from_slice(SPEC_VERSION.as_bytes());
        self.bytes.extend_from_slice(b"\",\"version\":");
        write_uint(self.version, &mut self.bytes);
        self.bytes.push(b'}');
    }

    /// The next body: these bins at these versions, and a version and an expiry of its own.
    pub(super) fn next(&self, bins: impl Iterator<Item = (u32, u64)>, version: u64, expires: Time) -> Self {
        let mut next = self.clone();
        (next.version, next.expires) = (version, expires);
        let mut digits = Vec::with_capacity(20);
        let mut fits = true;
        for (bin, version) in bins {
            let line = self.first_bin + bin as usize;
            let Some(((_, old), slot)) = next.lines.get_mut(line).zip(next.slots.get(line)) else { continue };
            digits.clear();
            write_uint(version, &mut digits);
            if old.checked_ilog10().unwrap_or(0) == version.checked_ilog10().unwrap_or(0) {
                let slot = *slot as usize;
                next.bytes[slot..slot + digits.len()].copy_from_slice(&digits);
            } else {
                fits = false;
            }
            *old = version;
        }
        if fits {
            let expires = expires.to_string();
            next.bytes[EXPIRES_AT..EXPIRES_AT + expires.len()].copy_from_slice(expires.as_bytes());
            next.end();
        } else {
            // A version has a digit more: once in nine, ninety, nine hundred changes of a bin.
            next.render();
        }
        next
    }

    pub(super) fn canonical(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Shape;
    use super::*;
    use crate::json::{Object, Value, object};

    fn plain(versions: &[u64], bins: &Bins, version: u64, expires: Time) -> Vec<u8> {
        let line = |version: u64| Value::Object(object([("version", Value::from(version))]));
        let mut meta: Object =
            bins.names().into_iter().zip(versions).map(|(name, n)| (format!("{name}.json"), line(*n))).collect();
        meta.extend([("bins.json".to_owned(), line(2)), ("targets.json".to_owned(), line(7))]);
        let signed = object([
            ("_type", Value::from("snapshot")),
            ("expires", Value::from(expires.to_string().as_str())),
            ("meta", Value::Object(meta)),
            ("spec_version", Value::from(SPEC_VERSION)),
            ("version", Value::from(version)),
        ]);
        Value::Object(signed).to_canonical()
    }

    proptest! {
        /// Changed where it stands or rendered anew: always what the plain writer gives.
        #[test]
        fn patching_is_rendering(
            steps in proptest::collection::vec(
                (proptest::collection::vec((0_u32..8, 1_u64..1_000), 0..4), 1_u64..2_000, 0_i64..4_000_000_000),
                1..12,
            ),
            generation in 1_u64..12,
        ) {
            let bins = Bins::new(Shape::Succinct, 3, generation).expect("few bins");
            let mut versions = vec![1; 8];
            let mut body = SnapshotBody::new(&bins, 7, 2, versions.iter().copied());
            for (changes, version, seconds) in steps {
                let expires = Time::from_seconds(seconds);
                for (bin, version) in &changes {
                    versions[*bin as usize] = *version;
                }
                body = body.next(changes.into_iter(), version, expires);
                prop_assert_eq!(body.canonical(), plain(&versions, &bins, version, expires));
            }
        }
    }
}

//! Core metadata: METADATA and PKG-INFO, and the upload form that repeats them.
//!
//! Both readers fill the same [`CoreMetadata`] through the same table ([`FIELDS`]), so that a field is
//! validated, normalised and compared by one row wherever it came from.

mod compare;
mod encoded_word;
mod fields;
mod parse;
mod spdx;
mod validate;
mod values;

use std::collections::BTreeMap;

pub use compare::mismatches;
pub use fields::{Compare, FIELDS, Field, FieldRow};
pub use parse::{HEADERS_MAX, METADATA_BYTES_MAX, parse};
pub use spdx::canonical as canonical_license;
pub use validate::{SUMMARY_CHARS_MAX, check};
pub use values::URL_LABEL_CHARS_MAX;

/// The values of one metadata file or form. Single-valued fields hold one entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreMetadata {
    values: BTreeMap<Field, Vec<String>>,
}

impl CoreMetadata {
    /// The first value of a field.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.values.get(&field).and_then(|v| v.first()).map(String::as_str)
    }

    /// All values of a field, in order.
    pub fn all(&self, field: Field) -> &[String] {
        self.values.get(&field).map_or(&[], Vec::as_slice)
    }

    /// Adds a value to a field.
    pub fn push(&mut self, field: Field, value: String) {
        self.values.entry(field).or_default().push(value);
    }

    /// Every field that is present, in table order.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &[String])> {
        self.values.iter().map(|(field, values)| (*field, values.as_slice()))
    }
}

const METADATA_VERSIONS: [(&str, (u8, u8)); 8] = [
    ("1.0", (1, 0)),
    ("1.1", (1, 1)),
    ("1.2", (1, 2)),
    ("2.1", (2, 1)),
    ("2.2", (2, 2)),
    ("2.3", (2, 3)),
    ("2.4", (2, 4)),
    ("2.5", (2, 5)),
];

/// Whether `License-File` means what PEP 639 says. Before 2.4 setuptools wrote a field of that name with another
/// meaning; upload tools leave it out, and so do we.
pub(crate) fn has_own_license_files(metadata: &CoreMetadata) -> bool {
    let declared = metadata.get(Field::MetadataVersion);
    METADATA_VERSIONS.iter().any(|(text, version)| Some(*text) == declared && *version >= (2, 4))
}

//! Whether the upload form and the archive say the same.
//!
//! Upload tools do not send a field as the file spells it: twine renames and re-joins, uv decodes and unfolds,
//! both leave fields out. What is compared is therefore each field's *meaning*; `tests/it/forms.rs` holds what
//! real clients sent for real spellings.

use super::fields::{Compare, FIELDS, Field, FieldRow, Kind};
use super::parse::{elide, is_absent};
use super::{CoreMetadata, encoded_word, has_own_license_files, spdx};
use crate::name::NormalizedName;
use crate::requirement::Requirement;
use crate::rules::{Rejection, Rule};
use crate::specifier::Specifiers;
use crate::version::Version;

/// Where the form and the archive disagree. A field absent from the form is no mismatch: the archive is the
/// truth about itself. A field present in the form is compared after its row's normalisation.
pub fn mismatches(form: &CoreMetadata, archive: &CoreMetadata) -> Vec<Rejection> {
    FIELDS
        .iter()
        .filter(|row| row.compare != Compare::Never)
        // Before 2.4 `License-File` was setuptools' own: twine leaves it out, uv sends it, `parse` drops it.
        .filter(|row| row.field != Field::LicenseFile || has_own_license_files(archive))
        .filter_map(|row| {
            let (sent, held) = (comparable(row, form.all(row.field)), comparable(row, archive.all(row.field)));
            match (sent, held) {
                // A text in a character set that is not decoded here cannot be held against its decoded form.
                (_, None) => None,
                // Of one that is, no client makes such a text.
                (None, Some(_)) => Some(mismatch(row, form.all(row.field), archive.all(row.field))),
                (Some(sent), Some(held)) if sent.is_empty() || sent == held => None,
                (Some(_), Some(_)) => Some(mismatch(row, form.all(row.field), archive.all(row.field))),
            }
        })
        .collect()
}

fn mismatch(row: &FieldRow, sent: &[String], held: &[String]) -> Rejection {
    let shown = |values: &[String]| match values {
        [] => "nothing".to_owned(),
        [one] => format!("'{}'", elide(one)),
        many => format!("{} values", many.len()),
    };
    Rejection::new(
        Rule::Mismatch,
        format!(
            "{} in the form ({}) differs from {} in the archive ({}).",
            row.header,
            shown(sent),
            row.header,
            shown(held)
        ),
    )
}

/// A field's values in the form in which two sources are held against each other.
fn comparable(row: &FieldRow, values: &[String]) -> Option<Vec<String>> {
    let mut normal: Vec<String> = values
        .iter()
        .filter(|value| !is_absent(row.field, value))
        .map(|value| normal_value(row.kind, value))
        .collect::<Option<_>>()?;
    normal.retain(|value| !value.is_empty());
    if row.compare == Compare::Set {
        normal.sort();
        normal.dedup();
    }
    Some(normal)
}

/// `None` when the value holds a text that is not decoded here.
fn normal_value(kind: Kind, value: &str) -> Option<String> {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(match kind {
        Kind::Name | Kind::Extra => value.parse::<NormalizedName>().map_or_else(|_| folded(value), String::from),
        Kind::Version => value.parse::<Version>().map_or_else(|_| folded(value), |v| v.to_string()),
        Kind::Requirement | Kind::OtherRequirement => {
            value.parse::<Requirement>().map_or_else(|_| folded(value), |r| normal_requirement(&r))
        }
        Kind::RequiresPython => value.parse::<Specifiers>().map_or_else(|_| folded(value), |s| s.to_string()),
        Kind::LicenseExpression => spdx::canonical(value).unwrap_or_else(|_| folded(value)),
        // Clients send `a,b`, files hold `a, b` or `a b`.
        Kind::Keywords => {
            let decoded = encoded_word::decode(value)?;
            let mut words: Vec<&str> =
                decoded.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
            words.sort_unstable();
            words.join(",")
        }
        // Where it is a folded header, `       |` marks its lines in the file, and a client may send it unfolded
        // or not; white space is all that is lost either way.
        Kind::Description => encoded_word::decode(value)?.split(|c: char| c == '|' || c.is_whitespace()).collect(),
        Kind::ProjectUrl => match value.split_once(',') {
            Some((label, url)) => format!("{}, {}", folded(label), folded(url)),
            None => folded(value),
        },
        Kind::Dynamic => value.trim().to_ascii_lowercase(),
        Kind::Free | Kind::Summary | Kind::Email => folded(&encoded_word::decode(value)?),
        Kind::MetadataVersion
        | Kind::ContentType
        | Kind::LicenseFile
        | Kind::Classifier
        | Kind::Url
        | Kind::ImportName => folded(value),
    })
}

fn normal_requirement(requirement: &Requirement) -> String {
    let text = requirement.to_string();
    let rest = &text[requirement.name.as_str().len()..];
    format!("{}{rest}", requirement.name.normalized())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::parse;

    #[test]
    fn form_and_archive_are_compared_after_normalisation() {
        let (archive, _) = parse(
            b"Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0.0\nRequires-Dist: B_x[z,y]<2,>=1; python_version<'3.9'\nKeywords: a, b\n",
        );
        let mut form = CoreMetadata::default();
        form.push(Field::Name, "foo-bar".into());
        form.push(Field::Version, "v1.0.0".into());
        form.push(Field::RequiresDist, "b-x[y,z]>=1,<2 ; python_version < \"3.9\"".into());
        form.push(Field::Keywords, "a,b".into());
        assert_eq!(mismatches(&form, &archive), []);
        form.push(Field::RequiresPython, ">=3".into());
        let found = mismatches(&form, &archive);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.starts_with("Requires-Python in the form ('>=3')"), "{}", found[0].message);
    }

    #[test]
    fn another_value_is_a_mismatch_in_every_compared_field() {
        for row in FIELDS.iter().filter(|row| row.compare != Compare::Never) {
            let with = |value: &str| {
                let mut metadata = CoreMetadata::default();
                metadata.push(Field::MetadataVersion, "2.5".into());
                metadata.push(row.field, value.into());
                metadata
            };
            let found = mismatches(&with("a1"), &with("a2"));
            assert_eq!(found.len(), 1, "{}", row.header);
            assert!(found[0].message.starts_with(row.header));
            assert_eq!(mismatches(&with("a1"), &with("a1")), [], "{}", row.header);
            let mut silent = CoreMetadata::default();
            silent.push(Field::MetadataVersion, "2.5".into());
            assert_eq!(mismatches(&silent, &with("a1")), [], "an absent field is no mismatch: {}", row.header);
            assert_eq!(mismatches(&with("a1"), &silent).len(), 1, "a field that the archive lacks: {}", row.header);
        }
    }

    #[test]
    fn a_text_that_is_not_decoded_is_held_against_nothing_only_where_the_archive_has_it() {
        let with = |value: &str| {
            let mut metadata = CoreMetadata::default();
            metadata.push(Field::MetadataVersion, "2.1".into());
            metadata.push(Field::Summary, value.into());
            metadata
        };
        let unknown = "=?x-unknown?q?evil?=";
        for (form, archive, count) in [(unknown, "Real", 1), ("Real", unknown, 0), (unknown, unknown, 0)] {
            assert_eq!(mismatches(&with(form), &with(archive)).len(), count, "{form} beside {archive}");
        }
        assert_eq!(mismatches(&with(unknown), &CoreMetadata::default()).len(), 1, "where the archive says nothing");
    }
}

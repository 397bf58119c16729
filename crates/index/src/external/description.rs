//! What an outside check is told about a file.

use inspect::{Occasion, Profile};
use packaging::metadata::{CoreMetadata, Field};
use serde_json::{Map, Value, json};

/// Largest description, in bytes: it has to fit into one variable of a program's environment (128 KiB on Linux).
pub const DESCRIPTION_BYTES_MAX: usize = 120 << 10;
/// Most bytes of all metadata, and of all words of the profile, as JSON.
const METADATA_BYTES_MAX: usize = 24 << 10;
const PROFILE_BYTES_MAX: usize = 80 << 10;
/// Longest value of metadata, in characters.
const VALUE_CHARS_MAX: usize = 1_000;

/// The facts of one file.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its index.
    pub index: &'a str,
    /// Its project, by its normal name.
    pub project: &'a str,
    /// Its release.
    pub version: &'a str,
    /// Its name.
    pub filename: &'a str,
    /// `sdist` or `bdist_wheel`.
    pub kind: &'a str,
    /// Its content, in hexadecimal.
    pub sha256: &'a str,
    /// Its size, in bytes.
    pub size: i64,
    /// When it was uploaded, RFC 3339.
    pub uploaded: &'a str,
    /// Why it is looked at.
    pub occasion: &'a Occasion,
    /// Its METADATA or PKG-INFO.
    pub metadata: &'a CoreMetadata,
    /// What it can do.
    pub profile: &'a Profile,
}

/// The description as JSON, at most [`DESCRIPTION_BYTES_MAX`] bytes. What did not fit is left out and said
/// (`metadata_cut`, `profile_cut`).
pub fn describe(file: &Described<'_>) -> String {
    let (metadata, metadata_cut) = metadata(file.metadata);
    let (profile, profile_cut) = words(file.profile);
    let events: Vec<&str> = file.occasion.events().into_iter().map(inspect::Event::as_str).collect();
    json!({
        "description_version": 1,
        "index": file.index,
        "project": file.project,
        "version": file.version,
        "filename": file.filename,
        "kind": file.kind,
        "sha256": file.sha256,
        "size": file.size,
        "uploaded": file.uploaded,
        "events": events,
        "first_of_project": file.occasion.first_of_project,
        "first_of_release": file.occasion.first_of_release,
        "status": file.occasion.status,
        "metadata": metadata,
        "metadata_cut": metadata_cut,
        "profile": profile,
        "profile_cut": profile_cut,
    })
    .to_string()
}

/// Every field but the description, by its header, each with all its values.
fn metadata(metadata: &CoreMetadata) -> (Value, bool) {
    let (mut out, mut left, mut cut) = (Map::new(), METADATA_BYTES_MAX, false);
    for (field, values) in metadata.iter().filter(|(field, _)| *field != Field::Description) {
        let mut kept = Vec::new();
        for value in values {
            let short: String = value.chars().take(VALUE_CHARS_MAX).collect();
            cut |= short.len() < value.len();
            let cost = json!(short).to_string().len() + 1;
            if cost > left {
                cut = true;
                continue;
            }
            left -= cost;
            kept.push(Value::from(short));
        }
        out.insert(field.row().header.to_owned(), Value::from(kept));
    }
    (Value::from(out), cut)
}

fn words(profile: &Profile) -> (Vec<&str>, bool) {
    let mut left = PROFILE_BYTES_MAX;
    let mut kept = Vec::new();
    for word in &profile.words {
        let cost = json!(word).to_string().len() + 1;
        if cost <= left {
            left -= cost;
            kept.push(word.as_str());
        }
    }
    let cut = profile.cut || kept.len() < profile.words.len();
    (kept, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_description_fits_an_environment() {
        let evil = "\u{1}".repeat(200);
        let long = |n: usize| format!("{n:03}{}", "\u{1}".repeat(Profile::WORD_BYTES_MAX - 3));
        let profile =
            Profile { version: Profile::VERSION, words: (0..Profile::WORDS_MAX).map(long).collect(), cut: false };
        let mut metadata = CoreMetadata::default();
        for _ in 0..1_000 {
            metadata.push(Field::Classifier, "\u{1}".repeat(VALUE_CHARS_MAX));
        }
        metadata.push(Field::Description, "d".repeat(1 << 20));
        let occasion = Occasion { first_of_project: true, first_of_release: true, ..Occasion::default() };
        let file = Described {
            index: &evil[..64],
            project: &evil,
            version: &evil,
            filename: &evil,
            kind: "bdist_wheel",
            sha256: &"a".repeat(64),
            size: i64::MAX,
            uploaded: "2026-01-01T00:00:00.000000Z",
            occasion: &occasion,
            metadata: &metadata,
            profile: &profile,
        };
        let text = describe(&file);
        assert!(text.len() <= DESCRIPTION_BYTES_MAX, "{}", text.len());
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&value["profile_cut"], &value["metadata_cut"]), (&json!(true), &json!(true)));
        assert_eq!(value["events"], json!(["project-created", "release-created", "file-added"]));
        let small = Profile { words: ["a".to_owned()].into(), ..Profile::default() };
        let mut plain = CoreMetadata::default();
        plain.push(Field::Name, "x".repeat(VALUE_CHARS_MAX));
        let value: Value =
            serde_json::from_str(&describe(&Described { profile: &small, metadata: &plain, ..file })).expect("JSON");
        assert_eq!((&value["profile"], &value["profile_cut"]), (&json!(["a"]), &json!(false)));
        assert_eq!((&value["metadata"]["Name"], &value["metadata_cut"]), (&json!(["x".repeat(1_000)]), &json!(false)));
    }
}

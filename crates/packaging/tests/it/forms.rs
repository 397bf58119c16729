//! What twine and uv really sent (recorded by `tests/oracle/record_forms.py`) agrees with the archive it came from.

use packaging::metadata::{self, CoreMetadata, Field};
use serde::Deserialize;

#[derive(Deserialize)]
struct Upload {
    client: String,
    case: String,
    /// The file's bytes, one character each.
    metadata: String,
    form: Vec<(String, String)>,
}

fn uploads() -> Vec<Upload> {
    include_str!("../data/forms.jsonl").lines().map(|line| serde_json::from_str(line).expect("recorded")).collect()
}

/// The form as `web` reads it.
fn read_form(form: &[(String, String)]) -> CoreMetadata {
    let mut metadata = CoreMetadata::default();
    for (key, value) in form {
        if let Some(field) = Field::by_form_key(key) {
            metadata.push(field, value.clone());
        }
    }
    metadata
}

#[test]
fn no_honest_upload_is_a_mismatch() {
    let uploads = uploads();
    assert!(uploads.len() > 100);
    let mut found = Vec::new();
    for Upload { client, case, metadata, form } in uploads {
        let bytes: Vec<u8> = metadata.chars().map(|c| c as u8).collect();
        let (archive, _) = metadata::parse(&bytes);
        for rejection in metadata::mismatches(&read_form(&form), &archive) {
            found.push(format!("{client}, {case}: {rejection}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_form_key_that_clients_send_is_known() {
    // What is no metadata; `index::policy` reads these.
    const OTHERS: [&str; 4] = [":action", "protocol_version", "filetype", "pyversion"];
    for Upload { client, form, .. } in uploads() {
        for (key, _) in form {
            assert!(OTHERS.contains(&key.as_str()) || Field::by_form_key(&key).is_some(), "{client} sends '{key}'");
        }
    }
}

//! What an outside check answers: `{"findings": [...]}`, each as `tidewaiter inspect --format json` prints it.
//! Everything else in the object is passed over, a verdict too: nobody outside concludes anything.

use inspect::findings::bounded;
use inspect::{Confidence, FINDINGS_MAX, Finding, Location, Severity};
use serde::Deserialize;

use super::{Outside, PREFIX};

/// Longest name of a check in an answer, in bytes.
const CHECK_BYTES_MAX: usize = 60;

#[derive(Debug, Deserialize)]
struct Answer {
    findings: Vec<Told>,
}

#[derive(Debug, Deserialize)]
struct Told {
    check: String,
    version: Option<u32>,
    severity: Severity,
    confidence: Confidence,
    location: Option<Place>,
    #[serde(default)]
    excerpt: String,
    decoded: Option<String>,
    #[serde(default)]
    why: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    member: String,
    line: Option<u32>,
    column: Option<u32>,
    #[serde(default)]
    layer: Vec<String>,
}

/// Reads an answer. Of more findings than a pass may have, the weightiest are kept: whoever provokes many must not
/// thereby silence the check.
///
/// # Errors
/// Why it is none, in words.
pub(super) fn read(outside: &Outside, bytes: &[u8]) -> Result<Vec<Finding>, String> {
    let Answer { findings } =
        serde_json::from_slice(bytes).map_err(|error| format!("its answer is not what was asked for: {error}"))?;
    let mut all = Vec::new();
    for told in findings {
        let Told { check, version, severity, confidence, location, excerpt, decoded, why, tags } = told;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if check.is_empty() || check.len() > CHECK_BYTES_MAX || !check.chars().all(plain) {
            return Err(format!(
                "it names a check otherwise than by 1 to {CHECK_BYTES_MAX} of a-z, 0-9, '-', '_', '.'"
            ));
        }
        let place = |Place { member, line, column, layer }| Location { member, line, column, layer };
        let why = if why.is_empty() { format!("The outside check '{}' says so.", outside.name) } else { why };
        all.push(bounded(Finding {
            check: format!("{PREFIX}{}/{check}", outside.name),
            version: version.unwrap_or(outside.version),
            severity: severity.min(outside.severity_max),
            confidence,
            location: location.map(place),
            excerpt,
            decoded,
            why,
            tags,
        }));
    }
    all.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.confidence)));
    all.truncate(FINDINGS_MAX);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn outside() -> Outside {
        super::super::parse("[[check]]\nname = \"av\"\nurl = \"http://h/\"\nversion = 4\nseverity_max = \"medium\"")
            .expect("good")
            .remove(0)
    }

    fn answer(value: &Value) -> Result<Vec<Finding>, String> {
        read(&outside(), value.to_string().as_bytes())
    }

    fn finding() -> Value {
        json!({ "check": "virus", "severity": "critical", "confidence": "high" })
    }

    #[test]
    fn findings_are_named_capped_and_cut() {
        let mut told = finding();
        told["why"] = json!("y".repeat(5_000));
        told["excerpt"] = json!("a\u{1b}[31mb");
        told["location"] = json!({ "member": "m".repeat(5_000), "line": 7 });
        told["tags"] = json!(vec!["t".repeat(500); 50]);
        let found = answer(&json!({ "verdict": "clear", "findings": [told, finding()] })).expect("read");
        let one = &found[0];
        assert_eq!((one.check.as_str(), one.version, one.severity), ("external/av/virus", 4, Severity::Medium));
        assert_eq!((one.why.chars().count(), one.excerpt.as_str()), (inspect::WHY_CHARS_MAX, "a\u{fffd}[31mb"));
        let place = one.location.as_ref().expect("told");
        assert_eq!((place.member.chars().count(), place.line), (500, Some(7)));
        assert!(one.tags.len() == 20 && one.tags.iter().all(|tag| tag.chars().count() == 100));
        assert_eq!(found[1].why, "The outside check 'av' says so.");
        assert_eq!(answer(&json!({ "findings": [] })), Ok(vec![]));
    }

    #[test]
    fn what_is_no_answer_is_told_as_such() {
        let named = |check: &str| {
            let mut told = finding();
            told["check"] = json!(check);
            json!({ "findings": [told] })
        };
        for bad in [
            json!({}),
            json!([]),
            json!({ "findings": {} }),
            json!({ "findings": [{}] }),
            json!({ "findings": [{ "check": "a", "severity": "worst", "confidence": "high" }] }),
            json!({ "findings": [{ "check": "a", "severity": "low", "confidence": "high", "version": -1 }] }),
            named(""),
            named("../inspection"),
            named("A"),
            named(&"n".repeat(CHECK_BYTES_MAX + 1)),
        ] {
            assert!(answer(&bad).is_err(), "{bad}");
        }
        assert!(answer(&named(&"n".repeat(CHECK_BYTES_MAX))).is_ok());
        for bad in ["", "no JSON", "{\"findings\":[", "\u{0}"] {
            assert!(read(&outside(), bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!("{{\"findings\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(&outside(), deep.as_bytes()).is_err());
    }

    #[test]
    fn of_too_many_the_weightiest_are_kept() {
        let light = json!({ "check": "light", "severity": "note", "confidence": "low" });
        let with = |count: usize| {
            let mut all = vec![light.clone(); count];
            all.push(finding());
            answer(&json!({ "findings": all })).expect("read")
        };
        assert_eq!(with(FINDINGS_MAX - 1).len(), FINDINGS_MAX);
        let over = with(FINDINGS_MAX);
        assert_eq!((over.len(), over[0].check.as_str()), (FINDINGS_MAX, "external/av/virus"));
    }
}

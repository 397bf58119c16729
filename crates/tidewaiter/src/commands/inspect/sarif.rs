//! SARIF 2.1.0 (OASIS), for tools that show findings beside code.

use inspect::checks::CHECKS;
use inspect::{Finding, Severity};
use serde_json::{Value, json};

use super::Judged;

pub(super) fn document(judged: &[Judged]) -> String {
    let rules: Vec<Value> = CHECKS
        .iter()
        .map(|check| {
            json!({
                "id": check.id(),
                "shortDescription": { "text": first_sentence(check.page()) },
                "help": { "text": check.page(), "markdown": check.page() },
                "properties": { "version": check.version() },
            })
        })
        .collect();
    let results: Vec<Value> =
        judged.iter().flat_map(|one| one.inspection.findings.iter().map(|finding| result(one, finding))).collect();
    let driver = json!({
        "name": "tidewaiter",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    format!("{document}\n")
}

fn first_sentence(page: &str) -> String {
    let prose: Vec<&str> = page.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    let prose = prose.join(" ");
    prose.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}

fn result(judged: &Judged, finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Note | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    };
    let mut physical = json!({ "artifactLocation": { "uri": address(&judged.path) } });
    let mut logical = Vec::new();
    if let Some(at) = &finding.location {
        physical = json!({ "artifactLocation": { "uri": address(&format!("{}/{}", judged.path, at.member)) } });
        logical.push(json!({ "fullyQualifiedName": at.member, "kind": "member" }));
        if let Some(line) = at.line {
            let mut region = json!({ "startLine": line, "snippet": { "text": finding.excerpt } });
            if let Some(column) = at.column {
                region["startColumn"] = column.into();
            }
            physical["region"] = region;
        }
    }
    let mut location = json!({ "physicalLocation": physical });
    if !logical.is_empty() {
        location["logicalLocations"] = logical.into();
    }
    let mut result = json!({
        "ruleId": finding.check,
        "level": level,
        "message": { "text": finding.why },
        "locations": [location],
        "properties": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "checkVersion": finding.version,
            "verdict": judged.verdict.as_str(),
            "sha256": judged.sha256,
            "tags": finding.tags,
        },
    });
    if let Some(index) = CHECKS.iter().position(|check| check.id() == finding.check) {
        result["ruleIndex"] = index.into();
    }
    result
}

/// A path as a relative or absolute reference (RFC 3986).
fn address(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut out = String::new();
    for byte in path.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    if out.starts_with('/') { format!("file://{out}") } else { out }
}

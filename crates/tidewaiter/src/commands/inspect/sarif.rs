//! SARIF 2.1.0 (OASIS), for tools that show findings beside code.

use index::policy::verdict::{Conclusion, Policy};
use inspect::checks::CHECKS;
use inspect::{Finding, Location, Severity};
use serde_json::{Value, json};

use super::Judged;

pub(super) fn document(judged: &[Judged], policy: &Policy) -> String {
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
    // Why the verdict is what it is: no result of SARIF says that of a file as a whole.
    let verdicts: Vec<Value> = judged
        .iter()
        .map(|Judged { path, sha256, conclusion: Conclusion { verdict, reasons }, inspection }| {
            json!({
                "file": path,
                "sha256": sha256,
                "verdict": verdict.as_str(),
                "reasons": reasons,
                "degraded": inspection.degraded,
            })
        })
        .collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": { "policy": policy.version(), "verdicts": verdicts },
        }],
    });
    format!("{document}\n")
}

fn first_sentence(page: &str) -> String {
    let prose: Vec<&str> = page.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    let prose = prose.join(" ");
    prose.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}

fn result(judged: &Judged, finding: &Finding) -> Value {
    let Finding { check, version, severity, confidence, location, excerpt, decoded, why, tags } = finding;
    let level = match severity {
        Severity::Note | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    };
    let mut result = json!({
        "ruleId": check,
        "level": level,
        "message": { "text": why },
        "locations": [place(&judged.path, location.as_ref(), excerpt)],
        "properties": {
            "severity": severity,
            "confidence": confidence,
            "checkVersion": version,
            "verdict": judged.conclusion.verdict.as_str(),
            "sha256": judged.sha256,
            "tags": tags,
        },
    });
    // A line of what was decoded is none of the file's: no region may name it.
    if let Some(Location { member: _, layer, line, column }) = location.as_ref().filter(|at| !at.layer.is_empty()) {
        result["properties"]["layer"] = json!({ "encodings": layer, "line": line, "column": column });
        result["properties"]["excerpt"] = excerpt.as_str().into();
    }
    if let Some(decoded) = decoded {
        result["properties"]["decoded"] = decoded.as_str().into();
    }
    if let Some(index) = CHECKS.iter().position(|known| known.id() == check) {
        result["ruleIndex"] = index.into();
    }
    result
}

/// The file, its member, and where in it.
fn place(path: &str, location: Option<&Location>, excerpt: &str) -> Value {
    let Some(Location { member, line, column, layer }) = location else {
        return json!({ "physicalLocation": { "artifactLocation": { "uri": address(path) } } });
    };
    let mut physical = json!({ "artifactLocation": { "uri": address(&format!("{path}/{member}")) } });
    if let Some(line) = line.filter(|_| layer.is_empty()) {
        physical["region"] = json!({ "startLine": line, "snippet": { "text": excerpt } });
        if let Some(column) = column {
            physical["region"]["startColumn"] = (*column).into();
        }
    }
    json!({ "physicalLocation": physical, "logicalLocations": [{ "fullyQualifiedName": member, "kind": "member" }] })
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

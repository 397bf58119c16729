//! A wheel whose list of files is not that of its members.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use packaging::Rule;

check!(RecordMismatch, "record-mismatch", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    let record = distribution.members.iter().find(|member| member.place.ends_with(".dist-info/RECORD"));
    let path = record.map_or("RECORD", |member| member.path.as_str());
    for rejection in distribution.report.rejections.iter().filter(|rejection| rejection.rule == Rule::WheelRecord) {
        let message = rejection.message.as_str();
        let code = [".py'", ".pth'", ".so'", ".pyd'", ".dll'", ".exe'"].iter().any(|end| message.contains(end));
        let severity = if message.contains("another hash")
            || message.contains("another size")
            || message.contains("not listed") && code
        {
            Severity::Medium
        } else {
            Severity::Low
        };
        let why = "The wheel's list of files is not what it holds: something was put in or changed after it was built.";
        let evidence = Evidence::new(severity, Confidence::Medium, why).at(path).excerpt(message);
        out.add(evidence.tag("defense-evasion/record-mismatch"));
    }
}

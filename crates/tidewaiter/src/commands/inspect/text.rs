//! For people: the verdict and why it is so, then each finding with its place and the source as it stands there.

use std::fmt::Write;

use index::model::Verdict;
use index::policy::verdict::Conclusion;
use inspect::checks::is_shadow;
use inspect::{Finding, Severity};

use super::Judged;
use crate::say::one_line as safe;

const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";

pub(super) fn report(judged: &Judged, colours: bool) -> String {
    let paint = |colour: &str, text: &str| if colours { format!("{colour}{text}{PLAIN}") } else { text.to_owned() };
    let colour = match judged.conclusion.verdict {
        Verdict::Clear => GREEN,
        Verdict::Review => YELLOW,
        Verdict::Hold | Verdict::Malicious => RED,
    };
    let mut out = format!("{}: {}\n", safe(&judged.path), paint(colour, judged.conclusion.verdict.as_str()));
    let Conclusion { verdict, reasons } = &judged.conclusion;
    for reason in reasons.iter().filter(|reason| reason.verdict == *verdict) {
        let _ = writeln!(out, "  {}", safe(&format!("{}: {}", reason.rule, reason.text)));
    }
    for finding in &judged.inspection.findings {
        let _ = writeln!(out, "  {}", heading(finding, &paint));
        for (number, line) in (finding.location.as_ref().and_then(|at| at.line).unwrap_or(0)..).zip(lines(finding)) {
            let margin = if number > 0 { format!("{number:>6} | ") } else { "       | ".to_owned() };
            let _ = writeln!(out, "  {}{}", paint(FAINT, &margin), safe(line));
        }
        if let Some(decoded) = &finding.decoded {
            for line in decoded.lines() {
                let _ = writeln!(out, "  {}{}", paint(FAINT, "     = | "), safe(line));
            }
        }
        let _ = writeln!(out, "    {}", safe(&finding.why));
    }
    for what in &judged.inspection.degraded {
        let _ = writeln!(out, "  {}", paint(FAINT, &safe(what)));
    }
    out
}

fn heading(finding: &Finding, paint: &impl Fn(&str, &str) -> String) -> String {
    let (word, colour) = match finding.severity {
        Severity::Note => ("note", FAINT),
        Severity::Low => ("low", FAINT),
        Severity::Medium => ("medium", YELLOW),
        Severity::High => ("high", RED),
        Severity::Critical => ("critical", RED),
    };
    let place = finding.location.as_ref().map_or(String::new(), |at| {
        let line = at.line.map_or(String::new(), |line| format!(":{line}"));
        let column = at.column.map_or(String::new(), |column| format!(":{column}"));
        let layer =
            if at.layer.is_empty() { String::new() } else { format!(" (decoded: {})", safe(&at.layer.join(", "))) };
        format!(" {}{line}{column}{layer}", safe(&at.member))
    });
    let shadow = if is_shadow(&finding.check) { " (shadow)" } else { "" };
    format!("{} {}{shadow}{}", paint(colour, word), paint(BOLD, &finding.check), place)
}

fn lines(finding: &Finding) -> impl Iterator<Item = &str> {
    finding.excerpt.lines().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_nothing_to_act_on() {
        assert_eq!(safe("a\x1b[2J\u{202e}b\tc"), "a\\u001b[2J\\u202eb\tc");
    }
}

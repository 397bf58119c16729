//! Archives that two tools read differently, or that reach out of the folder they are unpacked to.
//!
//! The upload rules refuse most of these. Inspection sees them in archives that came another way, and says how bad
//! each is: a hidden member is a place to hide, a link within the tree is a habit of old build tools.

use archive::members::{Odd, Oddity};

use super::Context;
use crate::distribution::{Distribution, Shape};
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::kind::Kind;

check!(ArchiveFraming, "archive-framing", 4, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for odd in &distribution.walk.odd {
        let (severity, confidence) = weight(odd.oddity, distribution.shape);
        let mut evidence =
            Evidence::new(severity, confidence, why(odd.oddity)).excerpt(&odd.detail).tag("evasion/archive-framing");
        if !odd.path.is_empty() {
            evidence = evidence.at(&odd.path);
        }
        if matches!(odd.oddity, Oddity::NotAnArchive | Oddity::Truncated) {
            evidence = evidence.tag("evasion/unreadable");
        }
        out.add(evidence);
    }
    let is_none = distribution.walk.odd.iter().any(|odd| odd.oddity == Oddity::NotAnArchive);
    if distribution.filename.is_some() && !distribution.walk.holds_files() && !is_none {
        let (severity, confidence) = weight(Oddity::NotAnArchive, distribution.shape);
        let evidence = Evidence::new(severity, confidence, why(Oddity::NotAnArchive)).tag("evasion/archive-framing");
        out.add(evidence.tag("evasion/unreadable"));
    }
    for rejection in distribution.report.rejections.iter().filter(|_| odd_enough(&distribution.walk.odd)) {
        let why = format!("The strict reading refuses this archive: {}", rejection.message);
        out.add(Evidence::new(Severity::Note, Confidence::High, why));
    }
    for member in &distribution.members {
        // One is enough to tell that not all was seen.
        if let Some(odd) = member.odd.iter().find(|odd| leaves_unread(odd.oddity)) {
            // By itself it does nothing; what opens it at the other end knows its password, or has its program.
            let severity = if distribution.is_aside(member) { Severity::Low } else { Severity::Medium };
            let why = format!("This archive cannot be inspected. {}", why(odd.oddity));
            let evidence = Evidence::new(severity, Confidence::Medium, why).at(&member.path).excerpt(&told(odd));
            out.add(evidence.tag("evasion/unread-archive"));
        }
    }
    for member in distribution.members.iter().filter(|member| !member.whole && !distribution.is_aside(member)) {
        if member.kind == Kind::Pth || member.kind == Kind::Python && crate::code::is_source(&member.path) {
            let why = "This source is more than inspection reads as code; its rest was only searched as text.";
            // Tables and generated clients are long; what could act is worth a look.
            let severity = if member.unread_speaks { Severity::Medium } else { Severity::Low };
            let evidence = Evidence::new(severity, Confidence::Medium, why).at(&member.path);
            out.add(evidence.tag("evasion/oversized-source"));
        }
    }
}

/// Whether something of the archive was not seen at all: what is only odd was read in every way it can be.
fn leaves_unread(oddity: Oddity) -> bool {
    match oddity {
        Oddity::NotAnArchive | Oddity::Encrypted | Oddity::UnknownMethod => true,
        Oddity::Corrupt | Oddity::Truncated | Oddity::Limit => true,
        Oddity::SeveralFormats | Oddity::DuplicatePath | Oddity::TwoNames | Oddity::TwoMethods => false,
        Oddity::Unlisted | Oddity::SecondDirectory | Oddity::BehindEnd | Oddity::SeveralStreams => false,
        Oddity::Absent | Oddity::RareMethod | Oddity::Mismatch | Oddity::Override => false,
        Oddity::LeadingBytes | Oddity::InnerBytes | Oddity::TrailingBytes => false,
        Oddity::EscapingPath | Oddity::DisguisedPath | Oddity::Link | Oddity::EscapingLink | Oddity::Special => false,
    }
}

fn told(odd: &Odd) -> String {
    let parts = [odd.path.as_str(), odd.detail.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// The strict reading's words are worth repeating where the lenient one saw something too.
fn odd_enough(odd: &[Odd]) -> bool {
    !odd.is_empty()
}

/// How much an oddity weighs. In a wheel some weigh more: what is unpacked is installed.
fn weight(oddity: Oddity, shape: Shape) -> (Severity, Confidence) {
    use Confidence::{High as Sure, Medium as Likely};
    match oddity {
        Oddity::DuplicatePath if shape == Shape::Wheel => (Severity::High, Sure),
        Oddity::LeadingBytes | Oddity::InnerBytes if shape == Shape::Wheel => (Severity::Medium, Likely),
        Oddity::NotAnArchive
        | Oddity::SeveralFormats
        | Oddity::TwoNames
        | Oddity::TwoMethods
        | Oddity::Unlisted
        | Oddity::SecondDirectory
        | Oddity::BehindEnd
        | Oddity::Encrypted
        | Oddity::EscapingPath
        // What is missing was not inspected, and no installer unpacks it.
        | Oddity::Truncated
        | Oddity::Limit => (Severity::High, Sure),
        Oddity::DuplicatePath | Oddity::SeveralStreams => (Severity::Low, Sure),
        Oddity::Absent
        | Oddity::Corrupt
        | Oddity::Mismatch
        | Oddity::EscapingLink
        | Oddity::Override => (Severity::Medium, Likely),
        Oddity::LeadingBytes | Oddity::InnerBytes | Oddity::TrailingBytes => (Severity::Low, Likely),
        Oddity::UnknownMethod | Oddity::RareMethod | Oddity::Special => (Severity::Medium, Sure),
        Oddity::DisguisedPath => (Severity::High, Likely),
        Oddity::Link => (Severity::Note, Sure),
    }
}

fn why(oddity: Oddity) -> &'static str {
    match oddity {
        Oddity::NotAnArchive => "This is no archive that any installer reads; what it holds cannot be inspected.",
        Oddity::SeveralFormats => "The file is a zip and a tar at once: tools unpack different things from it.",
        Oddity::DuplicatePath => "One path stands more than once: which of them is unpacked depends on the tool.",
        Oddity::TwoNames => {
            "A member has one name in its own header and another in the directory: tools install it in different places."
        }
        Oddity::TwoMethods => "A member states two ways of packing: tools read different bytes from it.",
        Oddity::Unlisted => {
            "A member stands in the archive that its directory does not list: some tools unpack it, others never show it."
        }
        Oddity::SecondDirectory => {
            "The archive has two directories: tools that look from the front and from the back see different members."
        }
        Oddity::Absent => "The directory lists a member that is not there.",
        Oddity::LeadingBytes | Oddity::InnerBytes => "Bytes that belong to no member stand before or between them.",
        Oddity::TrailingBytes => "Bytes stand behind the end of the archive.",
        Oddity::BehindEnd => "A member stands behind the end of the tar: most tools never see it, some unpack it.",
        Oddity::Encrypted => "A member is encrypted: it cannot be inspected, and no installer could read it.",
        Oddity::UnknownMethod => "A member is packed in a way that is not read here; it was not inspected.",
        Oddity::RareMethod => "A member is packed in a way that only some tools unpack.",
        Oddity::Corrupt => "A member cannot be unpacked; it was inspected as far as it goes.",
        Oddity::Mismatch => "A member has another size or checksum than its headers state.",
        Oddity::Truncated => "The archive ends in the middle of something.",
        Oddity::EscapingPath => "A member's path leads out of the folder that the archive is unpacked to.",
        Oddity::DisguisedPath => "A member's path holds characters that hide what it is.",
        Oddity::Link => "The archive holds a link.",
        Oddity::EscapingLink => "A link leads out of the folder that the archive is unpacked to.",
        Oddity::Special => "The archive holds a device, a pipe or a socket.",
        Oddity::Override => "An extended header gives a member another name or size than its own header.",
        Oddity::SeveralStreams => "Several gzip streams stand in a row; some tools read only the first.",
        Oddity::Limit => "The archive is larger than inspection reads; the rest was not looked at.",
    }
}

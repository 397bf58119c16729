//! Pictures and sounds that carry something else.

use super::Context;
use crate::distribution::Distribution;
use crate::distribution::Facts;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::kind::Kind;

check!(MediaPayload, "media-payload", 1, run);

/// Text of so many bytes behind a picture is more than a writer's mark.
const TEXT_BYTES_MIN: u64 = 256;

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    for member in distribution.members.iter().filter(|member| member.whole || member.kind == Kind::Media) {
        let Facts::Media(media) = &member.facts else { continue };
        let (severity, confidence, why) = match media.trailing {
            _ if media.text_samples => (
                Severity::High,
                Confidence::Medium,
                "The samples of this sound are text: it carries a message, not a sound.",
            ),
            "an executable" => {
                (Severity::High, Confidence::High, "A program stands behind the end of this picture or sound.")
            }
            "an archive" => {
                (Severity::Medium, Confidence::Medium, "An archive stands behind the end of this picture or sound.")
            }
            "text" if media.trailing_bytes >= TEXT_BYTES_MIN => {
                (Severity::Medium, Confidence::Medium, "Text stands behind the end of this picture or sound.")
            }
            _ if media.trailing_bytes > 0 => {
                (Severity::Note, Confidence::High, "Bytes stand behind the end of this picture or sound.")
            }
            _ => continue,
        };
        let severity = if distribution.is_aside(member) { severity.min(Severity::Low) } else { severity };
        let shown = format!(
            "{}: {} bytes of {} behind {} bytes",
            media.format,
            media.trailing_bytes,
            media.trailing,
            media.container_bytes.unwrap_or(member.bytes)
        );
        out.add(
            Evidence::new(severity, confidence, why)
                .at(&member.path)
                .excerpt(&shown)
                .tag("defense-evasion/media-payload"),
        );
    }
}

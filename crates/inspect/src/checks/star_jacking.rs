//! The stars and the words of another project, put before one's own.

use super::Context;
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::known;
use packaging::metadata::Field;

check!(StarJacking, "star-jacking", 1, run);

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    let Some(project) = distribution.project() else { return };
    let own = folded(project.as_str());
    let links = [Field::HomePage, Field::DownloadUrl, Field::ProjectUrl]
        .into_iter()
        .flat_map(|field| distribution.metadata.all(field));
    let borrowed = links.filter_map(|link| Some((link, repository(link)?))).find_map(|(link, repository)| {
        let known = known::is_project(&repository) && !related(&own, &folded(&repository));
        known.then(|| (link.to_owned(), repository))
    });
    let Some((link, repository)) = borrowed else { return };
    // A fork keeps its parent's address for a while; its own words it writes by itself.
    let cloned = distribution.metadata.get(Field::Description).is_some_and(|text| is_headed(text, &repository));
    let (severity, why) = if cloned {
        (Severity::Medium, "The project's address and its description are those of another, well-known project.")
    } else {
        (Severity::Low, "The project's address is the repository of another, well-known project.")
    };
    let evidence = Evidence::new(severity, Confidence::Medium, why).at(&distribution.metadata_path).excerpt(&link);
    out.add(evidence.tag("initial-access/star-jacking"));
}

/// Letters and digits alone, in one case.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Whether one name holds the other: a plug-in, a fork, a part of the same family says so in its name.
fn related(own: &str, other: &str) -> bool {
    own.contains(other) || other.contains(own)
}

/// The repository's name in an address of a forge.
fn repository(link: &str) -> Option<String> {
    const FORGES: &[&str] = &["github.com/", "gitlab.com/", "bitbucket.org/", "codeberg.org/"];
    let behind = FORGES.iter().find_map(|forge| link.split_once(forge))?.1;
    let mut parts = behind.split(['/', '?', '#']).filter(|part| !part.is_empty());
    let (_owner, name) = (parts.next()?, parts.next()?);
    Some(name.trim_end_matches(".git").to_ascii_lowercase())
}

/// Whether a text's first heading or line is this name.
fn is_headed(text: &str, name: &str) -> bool {
    let first = text.lines().map(|line| line.trim_matches(['#', '=', '*', ' ', '`'])).find(|line| !line.is_empty());
    first.is_some_and(|line| {
        let word = line.split([' ', ':', '-', '–', '—']).next().unwrap_or_default();
        folded(word) == folded(name)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_headed, repository};

    #[test]
    fn addresses_and_headings_are_read() {
        assert_eq!(repository("Source, https://github.com/psf/Requests.git#readme").as_deref(), Some("requests"));
        assert_eq!(repository("https://github.com/psf"), None);
        assert_eq!(repository("https://example.org/psf/requests"), None);
        assert!(is_headed("\n# Requests: HTTP for Humans\n", "requests"));
        assert!(!is_headed("# What requests does not do\n", "requests"));
    }
}

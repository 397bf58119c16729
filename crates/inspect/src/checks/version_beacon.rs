//! A version above all others with code that reports where it was installed: dependency confusion.

use super::Context;
use super::code::{self, Standing};
use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::{Evidence, Findings};
use crate::python::EffectKind;
use packaging::metadata::Field;

use crate::kind::Kind;

check!(VersionBeacon, "version-beacon", 2, run);

/// What tells who and where.
const WHO: &[&str] = &[
    "gethostname",
    "platform.node",
    "getpass",
    "getuser",
    "os.getlogin",
    "whoami",
    "hostname",
    "os.environ",
    "expanduser",
    "getcwd",
];
/// What carries it away.
const AWAY: &[&str] = &[
    "urlopen",
    "requests.",
    "http.client",
    "nslookup",
    "gethostbyname",
    "getaddrinfo",
    "socket.socket(",
    ".sendto(",
    "curl ",
    "wget ",
];

fn run(distribution: &Distribution, _context: &Context<'_>, out: &mut Findings) {
    let stated = distribution.metadata.get(Field::Version).map(str::to_owned);
    let version = stated.or_else(|| distribution.filename.as_ref().map(|name| name.version().to_string()));
    let Some(version) = version.filter(|version| is_jump(version)) else { return };
    let why = format!("Version {version} outranks any other of its name, and what runs by itself reaches the network.");
    let mut found = false;
    for seen in code::effects(distribution, EffectKind::Network) {
        if code::of(distribution, &seen) >= Standing::Imported {
            let evidence = code::at(distribution, &seen, (Severity::High, Confidence::Medium), &why);
            out.add(evidence.tag("initial-access/dependency-confusion"));
            found = true;
        }
    }
    if found {
        return;
    }
    for member in distribution.members.iter().filter(|member| member.kind == Kind::Python && member.depth == 0) {
        let by_itself = distribution.is_startup(member) || member.name() == "__init__.py";
        let text = member.text();
        let line =
            |words: &[&str]| (1u32..).zip(text.lines()).find(|(_, line)| words.iter().any(|word| line.contains(word)));
        if let (true, Some(_), Some((number, shown))) = (by_itself, line(WHO), line(AWAY)) {
            let why = format!(
                "Version {version} outranks any other of its name, and what runs by itself reports where it was installed."
            );
            let evidence = Evidence::new(Severity::High, Confidence::Medium, why).at_line(&member.path, number);
            out.add(evidence.excerpt(shown.trim()).tag("initial-access/dependency-confusion"));
        }
    }
}

/// `99.1`, `9.9.9`, `1000.0`: higher than anything grows, and no year.
fn is_jump(version: &str) -> bool {
    let numbers: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let Some(first) = numbers.first() else { return false };
    let nines =
        numbers.len() >= 2 && numbers.iter().all(|number| number.to_string().bytes().all(|digit| digit == b'9'));
    nines || (90..1900).contains(first) || (2200..10_000).contains(first)
}

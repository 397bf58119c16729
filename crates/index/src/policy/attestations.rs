//! The rules of attestations (PEP 740): which are taken for which file of which project.

use std::collections::BTreeSet;

use attest::{Attestation, Error, Provenance, Publisher, TrustRoot, Verified};
use packaging::{DistFilename, NormalizedName, Rejection, Rule, Sha256};

/// How the message of every such rejection begins, as clients know it.
pub const INVALID: &str = "Invalid attestations supplied during upload: ";

/// What an upload's attestations were verified to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The bound publisher that made all of them.
    pub publisher: Publisher,
    /// The provenance object.
    pub provenance: Vec<u8>,
}

/// What the attestations are about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The project.
    pub project: &'a NormalizedName,
    /// The file's name.
    pub dist: &'a DistFilename,
    /// Its content.
    pub sha256: &'a Sha256,
    /// Who is bound to the project.
    pub publishers: &'a [Publisher],
}

/// Verifies the field `attestations`. Offline: certificates, logs and time are in each attestation, and what they are
/// held against is `root`.
///
/// # Errors
/// Every rule that is broken.
pub fn judge(root: Option<&TrustRoot>, text: &str, about: &About<'_>) -> Result<Attested, Vec<Rejection>> {
    let Some(root) = root else {
        let off = "This index takes none; upload without them.".to_owned();
        return Err(vec![rejection(Rule::FormAttestations, off)]);
    };
    let attestations = attest::parse(text.as_bytes()).map_err(|error| vec![of(error)])?;
    let mut found = Vec::new();
    let verified: Vec<Verified> = attestations
        .iter()
        .filter_map(|attestation: &Attestation| {
            root.verify(attestation, about.sha256.as_bytes()).map_err(|error| found.push(of(error))).ok()
        })
        .collect();
    let mut predicates = BTreeSet::new();
    for one in &verified {
        if !predicates.insert(one.predicate) {
            let twice = format!("Two of them have the predicate {}; a file has one of each.", one.predicate.uri());
            found.push(rejection(Rule::FormAttestations, twice));
        }
        // As names of files are compared: what they mean, not how they are spelt.
        let subject = one.subject.parse::<DistFilename>();
        if !subject.is_ok_and(|subject| subject.meaning() == about.dist.meaning()) {
            let other = format!("The attestation's subject is '{}', which is not this file.", printable(&one.subject));
            found.push(rejection(Rule::AttestationSubject, other));
        }
    }
    let publisher = publisher_of(&verified, about).map_err(|error| found.push(error)).ok();
    match publisher {
        Some(publisher) if found.is_empty() => {
            let provenance = Provenance::new(publisher.clone(), attestations).to_bytes();
            Ok(Attested { publisher, provenance })
        }
        Some(_) | None => Err(found),
    }
}

/// The one bound publisher that made all of them.
fn publisher_of(verified: &[Verified], About { project, publishers, .. }: &About<'_>) -> Result<Publisher, Rejection> {
    let made_all = |publisher: &&Publisher| verified.iter().all(|one| publisher.matches(&one.claims).is_ok());
    if let Some(publisher) = publishers.iter().find(made_all) {
        return Ok(publisher.clone());
    }
    if publishers.is_empty() {
        let nobody = format!(
            "No publisher is bound to project '{project}'. An owner or the operator binds one: \
             tidewaiter project publisher {project} add …; until then upload without attestations."
        );
        return Err(rejection(Rule::AttestationPublisher, nobody));
    }
    // How each differs: with one publisher, which is nearly always so, this says what to mend.
    let differs = |publisher: &Publisher| {
        let why = verified.iter().find_map(|one| publisher.matches(&one.claims).err());
        why.map(|why| format!("{publisher}: {why}"))
    };
    let all: Vec<String> = publishers.iter().filter_map(differs).take(3).collect();
    let text = format!("It was not made by a publisher of project '{project}' ({}).", printable(&all.join("; ")));
    Err(rejection(Rule::AttestationPublisher, text))
}

fn rejection(rule: Rule, text: String) -> Rejection {
    Rejection::new(rule, format!("{INVALID}{text}"))
}

fn of(error: Error) -> Rejection {
    let rule = match &error {
        Error::Malformed(_) => Rule::FormAttestations,
        Error::Unverified(_) => Rule::AttestationUnverified,
        Error::OtherPublisher(_) => Rule::AttestationPublisher,
    };
    rejection(rule, printable(&error.to_string()))
}

/// Text of a certificate or statement as one line: it goes into a header.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1_000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest::Predicate;
    use attest::testing::{Authority, Order};
    use serde_json::{Value, json};

    const FILE: &str = "demo-1.0-py3-none-any.whl";
    const SHA256: [u8; 32] = [7; 32];

    fn github(repository: &str) -> Publisher {
        Publisher::GitHub { repository: repository.into(), workflow: "release.yml".into(), environment: None }
    }

    fn judged(attestations: &Value, filename: &str, publishers: &[Publisher]) -> Result<Attested, Vec<Rule>> {
        let root = TrustRoot::from_json(&Authority::new(1).trusted_root()).expect("a root");
        let (project, dist) = ("demo".parse().expect("a name"), filename.parse().expect("a file name"));
        let sha256 = Sha256::new(SHA256);
        let about = About { project: &project, dist: &dist, sha256: &sha256, publishers };
        judge(Some(&root), &attestations.to_string(), &about)
            .map_err(|found| found.into_iter().map(|rejection| rejection.rule).collect())
    }

    fn made(order: Order) -> Value {
        Authority::new(1).attest(&order)
    }

    #[test]
    fn the_bound_publisher_is_taken_and_named() {
        let order = Order::new(github("team/demo"), FILE, SHA256);
        let slsa = Order { predicate: Predicate::Slsa, ..order.clone() };
        let both = json!([made(order.clone()), made(slsa)]);
        let bound = [github("team/other"), github("team/demo")];
        let attested = judged(&both, FILE, &bound).expect("taken");
        assert_eq!(attested.publisher, github("team/demo"));
        assert_eq!(Provenance::publisher(&attested.provenance), Ok(github("team/demo")));
        // Another spelling of the same name, as a client may have attested it.
        let spelt = made(Order { filename: "Demo-1.0-py3-none-any.whl".into(), ..order });
        assert!(judged(&json!([spelt]), FILE, &bound).is_ok());
    }

    #[test]
    fn every_rule_that_is_broken_is_named() {
        let order = Order::new(github("team/demo"), FILE, SHA256);
        let bound = [github("team/demo")];
        let one = made(order.clone());
        assert_eq!(judged(&json!([]), FILE, &bound), Err(vec![Rule::FormAttestations]));
        assert_eq!(judged(&json!([one, one]), FILE, &bound), Err(vec![Rule::FormAttestations]));
        assert_eq!(judged(&json!([one]), FILE, &[]), Err(vec![Rule::AttestationPublisher]));
        assert_eq!(judged(&json!([one]), FILE, &[github("a/b")]), Err(vec![Rule::AttestationPublisher]));
        let subject = judged(&json!([one]), "demo-1.1-py3-none-any.whl", &bound);
        assert_eq!(subject, Err(vec![Rule::AttestationSubject]));
        let elsewhere = made(Order { sha256: [8; 32], ..order.clone() });
        assert_eq!(judged(&json!([elsewhere]), FILE, &bound), Err(vec![Rule::AttestationUnverified]));
        // Two attestations of two publishers, both bound: nobody made both.
        let slsa = Order { predicate: Predicate::Slsa, publisher: github("team/other"), ..order.clone() };
        let both = [github("team/demo"), github("team/other")];
        assert_eq!(judged(&json!([one, made(slsa)]), FILE, &both), Err(vec![Rule::AttestationPublisher]));
        let wrong = made(Order { filename: "x".into(), publisher: github("a/b"), ..order });
        let all = judged(&json!([wrong]), FILE, &bound);
        assert_eq!(all, Err(vec![Rule::AttestationSubject, Rule::AttestationPublisher]));
    }

    #[test]
    fn an_index_may_take_none() {
        let (project, dist) = ("demo".parse().expect("a name"), FILE.parse().expect("a file name"));
        let sha256 = Sha256::new(SHA256);
        let about = About { project: &project, dist: &dist, sha256: &sha256, publishers: &[] };
        assert_eq!(judge(None, "[]", &about).expect_err("refused")[0].rule, Rule::FormAttestations);
    }
}

//! Offline verification of one attestation: certificate chain, certificate timestamp, inclusion in the log, time,
//! signature, and what the statement says.

use serde::Deserialize;
use serde_json::Value;
use sigstore_verify::crypto::{KeyAlgorithm, SubjectAltName};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{Bundle, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

use crate::{Attestation, Error, TrustRootError};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What an attestation says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// It was published by this identity (the index's own predicate, which has no content).
    Publish,
    /// It was built so (SLSA provenance, version 1).
    Slsa,
}

impl Predicate {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Publish, Self::Slsa];

    /// Its type. The first belongs to the standard by now, whichever index is used.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Publish => "https://docs.pypi.org/attestations/publish/v1",
            Self::Slsa => "https://slsa.dev/provenance/v1",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Option<Value>,
}

#[derive(Deserialize)]
struct Subject {
    name: Option<String>,
    digest: std::collections::BTreeMap<String, String>,
}

/// What the signing certificate says of who asked for it. Every value was issued by an authority of the trusted root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Who signed the identity token.
    pub issuer: String,
    /// The subject's address, where it is an e-mail address.
    pub email: Option<String>,
    /// The repository the build came from.
    pub source_repository: Option<String>,
    /// Its commit.
    pub source_digest: Option<String>,
    /// Its branch or tag.
    pub source_ref: Option<String>,
    /// The workflow that ran, `<repository>/<path>@<ref or commit>`.
    pub build_config: Option<String>,
    /// The deployment environment.
    pub environment: Option<String>,
}

/// A verified attestation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub predicate: Predicate,
    /// The file name that it speaks of; compare it as a parsed one.
    pub subject: String,
    /// Who signed it.
    pub claims: Claims,
}

/// The authorities and logs that are believed: those of one Sigstore instance.
pub struct TrustRoot(Verifier);

impl std::fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrustRoot")
    }
}

impl TrustRoot {
    /// A `trusted_root.json`.
    ///
    /// # Errors
    /// When it cannot be read, or lacks an authority, a log or a certificate log: nothing would verify against it.
    pub fn from_json(text: &str) -> Result<Self, TrustRootError> {
        let root = TrustedRoot::from_json(text).map_err(|error| TrustRootError(error.to_string()))?;
        for (what, is_missing) in [
            ("certificate authority", root.certificate_authorities.is_empty()),
            ("transparency log", root.tlogs.is_empty()),
            ("certificate transparency log", root.ctlogs.is_empty()),
        ] {
            if is_missing {
                return Err(TrustRootError(format!("it names no {what}")));
            }
        }
        Verifier::new(&root).map(Self).map_err(|error| TrustRootError(error.to_string()))
    }

    /// That of the public-good instance, as the library that verifies carries it.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn public_good() -> Self {
        Self::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT).expect("the library carries a usable root")
    }

    /// Verifies an attestation of the file with this digest.
    ///
    /// Asked are: the certificate's chain and purpose at the signing time, its timestamp by a certificate log, a P-256
    /// key, the entry's inclusion under a signed checkpoint and the log's promise with the time in it, the
    /// signature, that the entry speaks of this signature, exactly one subject, and its SHA-256.
    ///
    /// # Errors
    /// [`Error::Unverified`]; [`Error::Malformed`] for a statement that is none.
    pub fn verify(&self, attestation: &Attestation, sha256: &[u8; 32]) -> Result<Verified, Error> {
        let unverified = |why: String| Error::Unverified(format!("The attestation cannot be verified: {why}."));
        let (predicate, subject) = read_statement(&attestation.statement()?, sha256)?;
        let bundle: Bundle = serde_json::from_value(attestation.bundle()).map_err(|error| {
            Error::Malformed(format!("The attestation cannot be read as a Sigstore bundle: {error}."))
        })?;
        let policy = VerificationPolicy::any_identity();
        let result = self.0.verify(Sha256Hash::new(*sha256), &bundle, &policy);
        let result = result.map_err(|error| unverified(error.to_string()))?;
        let certificate = result.certificate().ok_or_else(|| unverified("it has no certificate".into()))?;
        // PEP 740 knows one kind of key.
        if certificate.key_algorithm != KeyAlgorithm::EcdsaP256 {
            return Err(unverified("its certificate's key is not of ECDSA P-256".into()));
        }
        let issuer = certificate.issuer.clone().ok_or_else(|| unverified("its certificate names no issuer".into()))?;
        let email = match &certificate.identity {
            Some(SubjectAltName::Email(email)) => Some(email.clone()),
            _ => None,
        };
        let ci = &certificate.ci_claims;
        let claims = Claims {
            issuer,
            email,
            source_repository: ci.source_repository_uri.clone(),
            source_digest: ci.source_repository_digest.clone(),
            source_ref: ci.source_repository_ref.clone(),
            build_config: ci.build_config_uri.clone(),
            environment: ci.deployment_environment.clone(),
        };
        Ok(Verified { predicate, subject, claims })
    }
}

/// What the statement says: its predicate and its subject's name. It must speak of exactly this content.
fn read_statement(bytes: &[u8], sha256: &[u8; 32]) -> Result<(Predicate, String), Error> {
    let malformed = |why: String| Error::Malformed(format!("The attestation's statement is not usable: {why}."));
    let statement: Statement =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("it is no in-toto statement ({error})")))?;
    if statement.kind != STATEMENT_TYPE {
        return Err(malformed(format!("its type is not {STATEMENT_TYPE}")));
    }
    let known = Predicate::ALL.into_iter().find(|predicate| predicate.uri() == statement.predicate_type);
    let Some(predicate) = known else {
        let known = Predicate::ALL.map(Predicate::uri).join(" and ");
        return Err(malformed(format!("its predicate type is unknown here; known are {known}")));
    };
    let is_empty = match &statement.predicate {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    };
    if predicate == Predicate::Publish && !is_empty {
        return Err(malformed("the predicate publish/v1 has no content, but this one has".into()));
    }
    let [subject] = &statement.subject[..] else {
        return Err(malformed(format!("it has {} subjects, not exactly one", statement.subject.len())));
    };
    let name = subject.name.clone().filter(|name| !name.is_empty() && name.len() <= 255);
    let name = name.ok_or_else(|| malformed("its subject has no name of 1 to 255 bytes".into()))?;
    let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    match subject.digest.get("sha256") {
        None => Err(malformed("its subject has no SHA-256".into())),
        Some(said) if *said == hex => Ok((predicate, name)),
        Some(_) => Err(Error::Unverified(format!(
            "The attestation speaks of another file: its subject's SHA-256 is not {hex}, that of the file uploaded. \
             Attest the file as it is uploaded."
        ))),
    }
}

//! An authority of one's own: what a Sigstore instance is made of, small, with keys from a seed. Tests sign with it
//! and verify against its trusted root; it is no part of the program.

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Predicate, Publisher};

/// When everything is signed unless a test says otherwise: seconds since 1970.
pub const SIGNED_AT: i64 = 1_770_000_000;
/// The commit that every certificate names.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// How long certificates of signers live, in seconds.
pub const CERTIFICATE_SECONDS: i64 = 600;

/// A certificate authority, a certificate log and a transparency log.
#[derive(Debug)]
pub struct Authority {
    seed: u64,
    ca: EcdsaKeyPair,
    ct: EcdsaKeyPair,
    rekor: EcdsaKeyPair,
}

/// One attestation to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who signs.
    pub publisher: Publisher,
    /// The subject's name.
    pub filename: String,
    /// Its digest.
    pub sha256: [u8; 32],
    /// What is said.
    pub predicate: Predicate,
    /// How many subjects the statement has.
    pub subjects: usize,
    /// When, in seconds since 1970.
    pub signed_at: i64,
    /// When the certificate begins to be valid.
    pub valid_from: i64,
    /// Whether the workflow is named by its commit instead of its ref.
    pub by_commit: bool,
    /// Whether the certificate carries a timestamp of the certificate log.
    pub with_sct: bool,
}

impl Order {
    /// A sound one.
    pub fn new(publisher: Publisher, filename: &str, sha256: [u8; 32]) -> Self {
        Self {
            publisher,
            filename: filename.to_owned(),
            sha256,
            predicate: Predicate::Publish,
            subjects: 1,
            signed_at: SIGNED_AT,
            valid_from: SIGNED_AT - 60,
            by_commit: false,
            with_sct: true,
        }
    }
}

impl Authority {
    /// An authority whose keys come from a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, ca: key(seed, "ca"), ct: key(seed, "ct"), rekor: key(seed, "rekor") }
    }

    /// Its `trusted_root.json`.
    pub fn trusted_root(&self) -> String {
        let log = |key: &EcdsaKeyPair, url: &str| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": { "start": "2020-01-01T00:00:00Z" },
                },
                "logId": { "keyId": STANDARD.encode(sha256(&spki(key))) },
            })
        };
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.rekor, "https://log.example.invalid")],
            "ctlogs": [log(&self.ct, "https://ct.example.invalid")],
            "certificateAuthorities": [{
                "subject": { "organization": "example.invalid", "commonName": "test" },
                "uri": "https://ca.example.invalid",
                "certChain": { "certificates": [{ "rawBytes": STANDARD.encode(self.ca_certificate()) }] },
                "validFor": { "start": "2020-01-01T00:00:00Z" },
            }],
            "timestampAuthorities": [],
        });
        format!("{root:#}\n")
    }

    /// An attestation object (PEP 740).
    pub fn attest(&self, order: &Order) -> Value {
        let hex: String = order.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = json!({ "name": order.filename, "digest": { "sha256": hex } });
        let predicate = match order.predicate {
            Predicate::Publish => Value::Null,
            Predicate::Slsa => json!({ "buildDefinition": {}, "runDetails": {} }),
        };
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": vec![subject; order.subjects],
            "predicateType": order.predicate.uri(),
            "predicate": predicate,
        });
        self.sign(order, statement.to_string().as_bytes())
    }

    /// An attestation object over any statement.
    pub fn sign(&self, order: &Order, statement: &[u8]) -> Value {
        let signer = key(self.seed, &format!("signer {}", order.filename));
        let certificate = self.certificate(order, &signer);
        let kind = "application/vnd.in-toto+json";
        let mut pae = format!("DSSEv1 {} {kind} {} ", kind.len(), statement.len()).into_bytes();
        pae.extend_from_slice(statement);
        let signature = sign(&signer, &pae);
        let entry = self.entry(order.signed_at, &certificate, statement, &signature);
        json!({
            "version": 1,
            "verification_material": {
                "certificate": STANDARD.encode(certificate),
                "transparency_entries": [entry],
            },
            "envelope": { "statement": STANDARD.encode(statement), "signature": STANDARD.encode(signature) },
        })
    }

    /// What the log says: the second of two leaves.
    fn entry(&self, signed_at: i64, certificate: &[u8], statement: &[u8], signature: &[u8]) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hash = |bytes: &[u8]| json!({ "algorithm": "sha256", "value": hex(&sha256(bytes)) });
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(signature),
                "payloadHash": hash(statement),
                "signatures": [{ "signature": STANDARD.encode(signature), "verifier": STANDARD.encode(pem(certificate)) }],
            },
        })
        .to_string();
        let first = sha256(&[&[0], &b"somebody else's entry"[..]].concat());
        let leaf = sha256(&[&[0], body.as_bytes()].concat());
        let root = sha256(&[&[1], &first[..], &leaf[..]].concat());
        let log_id = sha256(&spki(&self.rekor));
        let note = format!("log.example.invalid\n2\n{}\n", STANDARD.encode(root));
        let signed = [&log_id[..4], &sign(&self.rekor, note.as_bytes())].concat();
        let checkpoint = format!("{note}\n\u{2014} log.example.invalid {}\n", STANDARD.encode(signed));
        // As RFC 8785 has it: sorted, without blanks.
        let promise = format!(
            r#"{{"body":"{}","integratedTime":{signed_at},"logID":"{}","logIndex":1}}"#,
            STANDARD.encode(&body),
            hex(&log_id)
        );
        json!({
            "logIndex": "1",
            "logId": { "keyId": STANDARD.encode(log_id) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": signed_at.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(sign(&self.rekor, promise.as_bytes())) },
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": STANDARD.encode(root),
                "treeSize": "2",
                "hashes": [STANDARD.encode(first)],
                "checkpoint": { "envelope": checkpoint },
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    fn ca_certificate(&self) -> Vec<u8> {
        let constraints = extension(&[0x55, 0x1d, 0x13], true, &der(0x30, &[der(0x01, &[vec![0xff]])]));
        let usage = extension(&[0x55, 0x1d, 0x0f], true, &[0x03, 0x02, 0x01, 0x06]);
        let validity = der(0x30, &[time(1_577_836_800), time(2_208_988_800)]);
        signed(&self.ca, &tbs(1, &ca_name(), &validity, &ca_name(), &self.ca, &[constraints, usage]))
    }

    fn certificate(&self, order: &Order, signer: &EcdsaKeyPair) -> Vec<u8> {
        let validity = der(0x30, &[time(order.valid_from), time(order.valid_from + CERTIFICATE_SECONDS)]);
        let mut extensions = vec![
            extension(&[0x55, 0x1d, 0x0f], true, &[0x03, 0x02, 0x07, 0x80]),
            extension(&[0x55, 0x1d, 0x25], false, &der(0x30, &[der(0x06, &[vec![0x2b, 6, 1, 5, 5, 7, 3, 3]])])),
        ];
        extensions.extend(identity(order));
        let name = der(0x30, &[]);
        let precertificate = tbs(2, &ca_name(), &validity, &name, signer, &extensions);
        if order.with_sct {
            extensions.push(self.sct(order.valid_from, &precertificate));
        }
        signed(&self.ca, &tbs(2, &ca_name(), &validity, &name, signer, &extensions))
    }

    /// The certificate log's timestamp as an extension (RFC 6962, 3.2 and 3.3).
    fn sct(&self, at: i64, precertificate: &[u8]) -> Vec<u8> {
        let at = (at * 1000).to_be_bytes();
        let mut signed = vec![0, 0];
        signed.extend_from_slice(&at);
        signed.extend_from_slice(&[0, 1]);
        signed.extend_from_slice(&sha256(&spki(&self.ca)));
        signed.extend_from_slice(&(precertificate.len() as u32).to_be_bytes()[1..]);
        signed.extend_from_slice(precertificate);
        signed.extend_from_slice(&[0, 0]);
        let signature = sign(&self.ct, &signed);
        let mut sct = vec![0];
        sct.extend_from_slice(&sha256(&spki(&self.ct)));
        sct.extend_from_slice(&at);
        sct.extend_from_slice(&[0, 0, 4, 3]);
        sct.extend(prefixed(&signature));
        let list = prefixed(&prefixed(&sct));
        extension(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2], false, &der(0x04, &[list]))
    }
}

/// The extensions that say who a certificate was issued to.
fn identity(order: &Order) -> Vec<Vec<u8>> {
    let fulcio = |number: u8, value: &str| {
        extension(&[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, number], false, &der(0x0c, &[value.as_bytes().to_vec()]))
    };
    let name = |tag: u8, value: &str| {
        extension(&[0x55, 0x1d, 0x11], true, &der(0x30, &[der(tag, &[value.as_bytes().to_vec()])]))
    };
    let workflow = |issuer: &str, repository: String, path: String, environment: &Option<String>| {
        let source_ref = "refs/tags/v1";
        let config = format!("{repository}{path}@{}", if order.by_commit { COMMIT } else { source_ref });
        let mut found = vec![
            name(0x86, &config),
            fulcio(8, issuer),
            fulcio(12, &repository),
            fulcio(13, COMMIT),
            fulcio(14, source_ref),
            fulcio(18, &config),
        ];
        found.extend(environment.iter().map(|environment| fulcio(23, environment)));
        found
    };
    match &order.publisher {
        Publisher::GitHub { repository, workflow: file, environment } => workflow(
            "https://token.actions.githubusercontent.com",
            format!("https://github.com/{repository}"),
            format!("/.github/workflows/{file}"),
            environment,
        ),
        Publisher::GitLab { repository, workflow_filepath, environment } => workflow(
            "https://gitlab.com",
            format!("https://gitlab.com/{repository}"),
            format!("//{workflow_filepath}"),
            environment,
        ),
        Publisher::Google { email } => vec![name(0x81, email), fulcio(8, "https://accounts.google.com")],
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// A P-256 key from a seed and a name.
fn key(seed: u64, name: &str) -> EcdsaKeyPair {
    // Nearly every 32 bytes are a private key.
    let secret = sha256(format!("{seed} {name}").as_bytes());
    let private = agreement::PrivateKey::from_private_key(&ECDH_P256, &secret).expect("a scalar below the order");
    let public = private.compute_public_key().expect("a public key");
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &secret, public.as_ref())
        .expect("the two belong together")
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).expect("signing does not fail").as_ref().to_vec()
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// One DER value.
fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..=127 => vec![short as u8],
        middle @ 128..=255 => vec![0x81, middle as u8],
        long => [&[0x82][..], &(long as u16).to_be_bytes()].concat(),
    };
    [vec![tag], length, content].concat()
}

fn extension(id: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der(0x01, &[vec![0xff]]) } else { Vec::new() };
    der(0x30, &[der(0x06, &[id.to_vec()]), critical, der(0x04, &[value.to_vec()])])
}

fn ca_name() -> Vec<u8> {
    let attribute = der(0x30, &[der(0x06, &[vec![0x55, 4, 3]]), der(0x0c, &[b"test authority".to_vec()])]);
    der(0x30, &[der(0x31, &[attribute])])
}

/// UTCTime, for years before 2050.
fn time(seconds: i64) -> Vec<u8> {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days since 1970, over eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let text = format!("{:02}{month:02}{day:02}{:02}{:02}{:02}Z", year % 100, rest / 3600, rest / 60 % 60, rest % 60);
    der(0x17, &[text.into_bytes()])
}

fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    let algorithm = [
        der(0x06, &[vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]),
        der(0x06, &[vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]),
    ];
    let point = [&[0][..], key.public_key().as_ref()].concat();
    der(0x30, &[der(0x30, &algorithm), der(0x03, &[point])])
}

fn ecdsa_with_sha256() -> Vec<u8> {
    der(0x30, &[der(0x06, &[vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])])
}

fn tbs(
    serial: u8,
    issuer: &[u8],
    validity: &[u8],
    subject: &[u8],
    key: &EcdsaKeyPair,
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    der(
        0x30,
        &[
            der(0xa0, &[der(0x02, &[vec![2]])]),
            der(0x02, &[vec![serial]]),
            ecdsa_with_sha256(),
            issuer.to_vec(),
            validity.to_vec(),
            subject.to_vec(),
            spki(key),
            der(0xa3, &[der(0x30, extensions)]),
        ],
    )
}

fn signed(ca: &EcdsaKeyPair, tbs: &[u8]) -> Vec<u8> {
    let signature = [&[0][..], &sign(ca, tbs)].concat();
    der(0x30, &[tbs.to_vec(), ecdsa_with_sha256(), der(0x03, &[signature])])
}

fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

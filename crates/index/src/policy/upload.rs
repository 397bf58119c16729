//! The upload rules: from a form, an archive and what the ledger knows to *all* rejections.

use packaging::metadata::{self, CoreMetadata, Field};
use packaging::tag::platform_allowed;
use packaging::{
    DistFilename, FilenameError, NormalizedName, Profile, ProjectStatus, Rejection, Rule, Sha256, Version,
};
use subtle::ConstantTimeEq;

use attest::Publisher;

use crate::Settings;
use crate::model::{FileKind, ProjectRole, SiteRole};

use super::attestations::{Attested, INVALID};
use super::authz::{ProjectAct, may};
use super::stdlib::STDLIB;

/// The fields of the upload form that are no metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// `protocol_version`.
    pub protocol_version: Option<String>,
    /// `filetype`.
    pub filetype: Option<String>,
    /// `pyversion`.
    pub pyversion: Option<String>,
    /// `comment`.
    pub comment: Option<String>,
    /// `md5_digest`.
    pub md5: Option<String>,
    /// `sha256_digest`.
    pub sha256: Option<String>,
    /// `blake2_256_digest`.
    pub blake2: Option<String>,
    /// `attestations`: JSON (PEP 740).
    pub attestations: Option<String>,
    /// The metadata fields.
    pub metadata: CoreMetadata,
    /// What was wrong with the form itself.
    pub problems: Vec<Rejection>,
}

/// Digests and size of the bytes received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// In bytes.
    pub size: u64,
    /// SHA-256, the identity.
    pub sha256: Sha256,
    /// BLAKE2b-256, hex.
    pub blake2: String,
    /// MD5, hex.
    pub md5: String,
}

/// Everything that an upload says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The form.
    pub form: Form,
    /// The name of the `content` part.
    pub filename: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The bytes; absent when there was no `content` or it exceeded the limit.
    pub received: Option<Received>,
    /// The archive's own metadata, when it could be read.
    pub metadata: Option<CoreMetadata>,
    /// What its attestations were verified to be.
    pub attested: Option<Attested>,
}

/// A project that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProject {
    /// Row id.
    pub id: i64,
    /// Wanted status.
    pub status: ProjectStatus,
    /// Bytes of all its files that were not removed.
    pub files_bytes: i64,
}

/// A release that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRelease {
    /// Row id.
    pub id: i64,
    /// When its first file came.
    pub created_us: i64,
}

/// What the ledger knows about an upload's names.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The uploader's account.
    pub account: Option<String>,
    /// The project, when it exists.
    pub project: Option<KnownProject>,
    /// The uploader's role on it.
    pub role: Option<ProjectRole>,
    /// The uploader's role in the installation.
    pub site_role: Option<SiteRole>,
    /// An existing project whose name folds to the same, for a new project.
    pub look_alike: Option<String>,
    /// The spelling and the content under which the file name was once claimed.
    pub registered: Option<(String, Sha256)>,
    /// Whether the file of that name was removed since.
    pub was_removed: bool,
    /// Whether a person refused the file of that name.
    pub was_refused: bool,
    /// Another file with the same content.
    pub same_content: Option<String>,
    /// The release, when it exists.
    pub release: Option<KnownRelease>,
    /// Another sdist of that release.
    pub other_sdist: Option<String>,
    /// The publishers bound to the project; only asked for where there are attestations.
    pub publishers: Vec<Publisher>,
}

impl Candidate {
    /// The parsed file name.
    pub fn dist(&self) -> Option<DistFilename> {
        self.filename.parse().ok()
    }

    /// The metadata that counts: the archive's; the form's only where the archive's cannot be read.
    pub fn truth(&self) -> &CoreMetadata {
        self.metadata.as_ref().unwrap_or(&self.form.metadata)
    }

    /// The project, from the metadata that counts.
    pub fn project(&self) -> Option<NormalizedName> {
        self.truth().get(Field::Name)?.parse().ok()
    }

    /// The version, from the metadata that counts.
    pub fn version(&self) -> Option<Version> {
        self.truth().get(Field::Version)?.parse().ok()
    }

    /// Whether these very bytes are there already under this name.
    pub fn is_already_here(&self, facts: &Facts) -> bool {
        let same = |(name, sha256): &(String, Sha256)| {
            *name == self.filename && self.received.as_ref().is_some_and(|received| received.sha256 == *sha256)
        };
        facts.registered.as_ref().is_some_and(same) && !facts.was_removed && !facts.was_refused
    }
}

/// Rules about the request, the metadata, the file name, and their agreement.
pub fn form_rules(candidate: &Candidate, profile: Profile) -> Vec<Rejection> {
    let mut found = request_rules(candidate);
    found.extend(metadata::check(candidate.truth(), profile));
    if let Some(archive) = &candidate.metadata {
        found.extend(metadata::mismatches(&candidate.form.metadata, archive));
    }
    filename_rules(candidate, profile, &mut found);
    found.retain(|rejection| rejection.rule.applies(profile));
    found
}

/// Rules about the request alone, whatever the archive holds: the only ones of a form that a repetition of what is here
/// has to keep, too. Those about its content were met when it was taken, and may have become stricter since.
pub fn request_rules(candidate: &Candidate) -> Vec<Rejection> {
    let mut found = candidate.form.problems.clone();
    protocol_rules(candidate, &mut found);
    digest_rules(candidate, &mut found);
    found
}

fn protocol_rules(candidate: &Candidate, found: &mut Vec<Rejection>) {
    let form = &candidate.form;
    let mut reject = |rule: Rule, message: String| found.push(Rejection::new(rule, message));
    if form.protocol_version.as_deref().is_some_and(|version| version != "1") {
        reject(Rule::FormProtocol, "Unknown protocol version.".into());
    }
    let named_kind = candidate.dist().map(|dist| match dist {
        DistFilename::Wheel(_) => FileKind::Wheel,
        DistFilename::Sdist(_) => FileKind::Sdist,
    });
    match form.filetype.as_deref().map(str::parse::<FileKind>) {
        None | Some(Err(_)) => {
            reject(Rule::FormFiletype, "Invalid value for filetype. Error: Use a known file type.".into())
        }
        Some(Ok(kind)) => {
            if named_kind.is_some_and(|named| named != kind) {
                reject(Rule::FormFiletype, format!("Invalid file extension for filetype '{}'.", kind.as_str()));
            }
            match (kind, form.pyversion.as_deref()) {
                (FileKind::Wheel, None | Some("")) => reject(
                    Rule::FormPyversion,
                    "Invalid value for pyversion. Error: Python version is required for binary distribution uploads."
                        .into(),
                ),
                (FileKind::Sdist, Some(other)) if !other.is_empty() && other != "source" => reject(
                    Rule::FormPyversion,
                    "Invalid value for pyversion. Error: Use 'source' as Python version for an sdist.".into(),
                ),
                _ => {}
            }
        }
    }
    // A part without a type is taken: libraries leave it out, and the public index reads that as text.
    if candidate.content_type.as_deref().is_some_and(|kind| kind.starts_with("image/")) {
        reject(Rule::FormContent, "Invalid distribution file.".into());
    }
}

fn filename_rules(candidate: &Candidate, profile: Profile, found: &mut Vec<Rejection>) {
    let mut reject = |rule: Rule, message: String| found.push(Rejection::new(rule, message));
    let dist = match candidate.filename.parse::<DistFilename>() {
        Ok(dist) => dist,
        Err(error) => {
            let rule = match error {
                FilenameError::Characters | FilenameError::TooLong => Rule::FilenameCharacters,
                FilenameError::Extension => Rule::FilenameExtension,
                FilenameError::Sdist(_) => Rule::SdistFilename,
                FilenameError::Wheel(_) => Rule::WheelFilename,
            };
            reject(rule, error.to_string());
            return;
        }
    };
    let filename = &candidate.filename;
    let (Some(project), Some(version)) = (candidate.project(), candidate.version()) else { return };
    match &dist {
        DistFilename::Sdist(sdist) => {
            let want = format!("{}-{version}.tar.gz", project.in_filename());
            if dist.project() != project {
                reject(
                    Rule::SdistFilename,
                    format!("Start filename for '{project}' with '{}'.", project.in_filename()),
                );
            } else if sdist.version != version {
                reject(
                    Rule::Mismatch,
                    format!("Version in filename should be '{version}' not '{}'.", sdist.version_part),
                );
            } else if *filename != want && profile == Profile::Public {
                // Packages from before PEP 625 are taken at home: installers read them.
                reject(Rule::SdistFilename, format!("Filename '{filename}' is invalid, should be '{want}'."));
            }
        }
        DistFilename::Wheel(wheel) => {
            let strict = profile == Profile::Public;
            if dist.project() != project || strict && wheel.name_part != project.in_filename() {
                reject(
                    Rule::WheelFilename,
                    format!(
                        "Filename '{filename}' should contain the normalized project name '{}', not '{}'.",
                        project.in_filename(),
                        wheel.name_part
                    ),
                );
            }
            if wheel.version != version {
                reject(
                    Rule::Mismatch,
                    format!("Version in filename should be '{version}' not '{}'.", wheel.version_part),
                );
            }
            for tag in &wheel.platform_tags {
                if !platform_allowed(tag, profile) {
                    reject(
                        Rule::WheelPlatform,
                        format!("Binary wheel '{filename}' has an unsupported platform tag '{tag}'."),
                    );
                }
            }
        }
    }
}

fn digest_rules(candidate: &Candidate, found: &mut Vec<Rejection>) {
    let form = &candidate.form;
    let mut reject = |rule: Rule, message: &str| found.push(Rejection::new(rule, message));
    let is_hex = |text: &str| text.len() == 64 && packaging::hash::unhex(text).is_some();
    if form.sha256.as_deref().is_some_and(|text| !is_hex(text)) {
        reject(
            Rule::FormDigest,
            "Invalid value for sha256_digest. Error: Use a valid, hex-encoded, SHA256 message digest.",
        );
    }
    if form.blake2.as_deref().is_some_and(|text| !is_hex(text)) {
        reject(
            Rule::FormDigest,
            "Invalid value for blake2_256_digest. Error: Use a valid, hex-encoded, BLAKE2 message digest.",
        );
    }
    if form.sha256.is_none() && form.blake2.is_none() && form.md5.is_none() {
        reject(Rule::FormDigest, "Error: Include at least one message digest.");
    }
    let Some(received) = &candidate.received else { return };
    let differs = |sent: &Option<String>, have: &str| {
        sent.as_ref().is_some_and(|sent| !bool::from(sent.to_ascii_lowercase().as_bytes().ct_eq(have.as_bytes())))
    };
    if differs(&form.sha256, &received.sha256.to_string())
        || differs(&form.blake2, &received.blake2)
        || differs(&form.md5, &received.md5)
    {
        reject(Rule::DigestMismatch, "The digest supplied does not match a digest calculated from the uploaded file.");
    }
}

/// Who is uploading, for messages and the token's reach.
#[derive(Debug, Clone)]
pub struct Uploader {
    /// The account's name.
    pub name: String,
    /// Whether the token reaches the project.
    pub token_covers: bool,
}

/// Rules about what the ledger holds and who the uploader is in it. Run once to answer, and again inside the
/// write transaction, where nothing can change any more.
pub fn ledger_rules(
    candidate: &Candidate,
    facts: &Facts,
    uploader: Option<&Uploader>,
    settings: &Settings,
    now_us: i64,
) -> Vec<Rejection> {
    let mut found = Vec::new();
    let mut reject = |rule: Rule, message: String| found.push(Rejection::new(rule, message));
    let Some(project) = candidate.project() else { return found };
    if let Some(uploader) = uploader {
        access_rules(&project, facts, uploader, &mut reject);
    }
    match &facts.project {
        None => new_project_rules(&project, facts, &mut reject),
        Some(row) => status_rules(&project, row.status, &mut reject),
    }
    if let Some(received) = &candidate.received {
        let total = facts.project.as_ref().map_or(0, |row| row.files_bytes.max(0) as u64) + received.size;
        if total > settings.project_bytes_max && !candidate.is_already_here(facts) {
            let limit = bytes_text(settings.project_bytes_max);
            let message = format!("Project size too large. Limit for project '{project}' total size is {limit}.");
            reject(Rule::ProjectTooLarge, message);
        }
        registry_rules(candidate, facts, &mut reject);
    }
    release_rules(candidate, facts, settings, now_us, &mut reject);
    // Verified before the write began; the binding may have been taken back since.
    if let Some(attested) = candidate.attested.as_ref().filter(|one| !facts.publishers.contains(&one.publisher)) {
        reject(
            Rule::AttestationPublisher,
            format!("{INVALID}{} is no longer a publisher of project '{project}'.", attested.publisher),
        );
    }
    found
}

fn access_rules(project: &NormalizedName, facts: &Facts, uploader: &Uploader, reject: &mut impl FnMut(Rule, String)) {
    if !uploader.token_covers {
        reject(
            Rule::TokenScope,
            format!("Invalid API Token: project-scoped token is not valid for project: '{project}'."),
        );
    } else if facts.project.is_some() && !may(ProjectAct::Upload, facts.role, facts.site_role) {
        reject(
            Rule::Permission,
            format!("The user '{}' isn't allowed to upload to project '{project}'.", uploader.name),
        );
    }
}

fn status_rules(project: &NormalizedName, status: ProjectStatus, reject: &mut impl FnMut(Rule, String)) {
    match status {
        ProjectStatus::Archived => reject(
            Rule::ProjectStatusRefuses,
            format!("Project '{project}' is archived and takes no uploads. An owner can make it active again."),
        ),
        ProjectStatus::Quarantined => reject(
            Rule::ProjectStatusRefuses,
            format!("Project '{project}' is in quarantine and takes no uploads until the index's moderators decide."),
        ),
        ProjectStatus::Active | ProjectStatus::Deprecated => {}
    }
}

/// A name is claimed once, for ever, and so is a content while its file stands.
fn registry_rules(candidate: &Candidate, facts: &Facts, reject: &mut impl FnMut(Rule, String)) {
    let filename = &candidate.filename;
    if let Some((known, _)) = facts.registered.as_ref().filter(|_| !candidate.is_already_here(facts)) {
        if facts.was_removed {
            reject(
                Rule::FilenameReused,
                "This filename was previously used by a file that has since been deleted. Use a different version."
                    .into(),
            );
        } else if facts.was_refused {
            reject(
                Rule::FilenameReused,
                "This filename was previously used by a file that was refused. Use a different version.".into(),
            );
        } else if known == filename {
            reject(Rule::FileExists, format!("File already exists ('{known}'). A published file is never replaced."));
        } else {
            reject(Rule::FileExists, format!("File already exists: '{filename}' means the same as '{known}'."));
        }
    }
    if let Some(other) = &facts.same_content {
        reject(Rule::FileExists, format!("File already exists: '{other}' has the same content as '{filename}'."));
    }
}

fn release_rules(
    candidate: &Candidate,
    facts: &Facts,
    settings: &Settings,
    now_us: i64,
    reject: &mut impl FnMut(Rule, String),
) {
    if let Some(release) = &facts.release {
        let age_s = (now_us - release.created_us).max(0) as u64 / 1_000_000;
        if age_s > settings.release_open_seconds {
            let days = days_text(settings.release_open_seconds);
            reject(Rule::ReleaseClosed, format!("Uploading new files to releases older than {days} is not allowed."));
        }
    }
    if let Some(other) = facts.other_sdist.as_ref().filter(|_| matches!(candidate.dist(), Some(DistFilename::Sdist(_))))
    {
        reject(Rule::SecondSdist, format!("Only one sdist may be uploaded per release; there is '{other}'."));
    }
}

fn new_project_rules(project: &NormalizedName, facts: &Facts, reject: &mut impl FnMut(Rule, String)) {
    let as_module = project.as_str().replace('-', "_");
    if STDLIB.contains(&as_module.as_str()) {
        reject(
            Rule::NameStdlib,
            format!("The name '{project}' isn't allowed (conflict with the Python standard library)."),
        );
    }
    if let Some(other) = &facts.look_alike {
        reject(Rule::NameSimilar, format!("The name '{project}' is too similar to an existing project: '{other}'."));
    }
}

/// The rejection of a body over the limit.
pub fn too_large(project: Option<&str>, settings: &Settings) -> Rejection {
    let limit = bytes_text(settings.file_bytes_max);
    let whose = project.map_or_else(|| "this index".to_owned(), |name| format!("project '{name}'"));
    Rejection::new(Rule::FileTooLarge, format!("File too large. Limit for {whose} is {limit}."))
}

/// Sorted by the order of the rules, without repetition.
pub fn in_order(mut rejections: Vec<Rejection>) -> Vec<Rejection> {
    rejections.sort_by_key(|rejection| rejection.rule);
    rejections.dedup();
    rejections
}

/// A number of bytes in the largest unit that divides it well: `100 MB` is 100 × 2^20, as the public index says it.
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b.is_multiple_of(1 << 30) => format!("{} GB", b >> 30),
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{} MB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => format!("{} kB", b >> 10),
        b => format!("{b} bytes"),
    }
}

fn days_text(seconds: u64) -> String {
    if seconds.is_multiple_of(86_400) { format!("{} days", seconds / 86_400) } else { format!("{seconds} seconds") }
}

//! The catalogue of upload rules: one row a rule, with a stable id, a sentence and a page of documentation.
//!
//! A rule is *found broken* where the knowledge is: here (names, metadata, filenames), in `archive` (framing,
//! content), or in `index::policy` (what the ledger knows). It is *described* only here. `docs/rules.md` is
//! generated from this table and diffed by a test.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The two sets of rules an index can live by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// For a team: local versions, plain `linux_*` tags, direct-URL requirements and `Private ::`
    /// classifiers are taken.
    Private,
    /// For strangers: what the public index refuses is refused.
    Public,
}

impl Profile {
    /// As written in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            other => Err(format!("a profile is 'private' or 'public', not '{other}'")),
        }
    }
}

/// What a rule protects; decides what imports and mirrors make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Who may do it. Uploads only.
    Access,
    /// How a request or a package is written. A note for imports and mirrors.
    Form,
    /// What the ledger already holds. Uploads and imports.
    State,
    /// What could harm who installs or who inspects. Refused everywhere.
    Safety,
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct Row {
    /// Stable id: `<area>.<what>`.
    pub id: &'static str,
    /// HTTP status of an upload whose first rejection this is.
    pub status: u16,
    /// What it protects.
    pub class: Class,
    /// Only in [`Profile::Public`].
    pub public_only: bool,
    /// The rule in one sentence.
    pub sentence: &'static str,
    /// Why it stands and how to mend a package that breaks it.
    pub help: &'static str,
}

/// One rule broken by one upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which rule.
    pub rule: Rule,
    /// The sentence for this uploader: names the field, the value, the limit.
    pub message: String,
}

impl Rejection {
    /// A rejection with its sentence. Sentences quote what was uploaded, and are printed on terminals: a control character
    /// becomes U+FFFD, but for the ends of lines.
    pub fn new(rule: Rule, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.contains(|c: char| c.is_control() && c != '\n') {
            message = message.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
        }
        Self { rule, message }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.rule.id())
    }
}

macro_rules! rules {
    ($($variant:ident $id:literal $status:literal $class:ident $($public:ident)? : $sentence:literal $help:literal)*) => {
        /// Every rule, by name. The order is the order in which an upload's rejections are listed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $sentence] $variant,)*
        }

        impl Rule {
            /// Every rule, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The rule's row.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$variant => &Row {
                        id: $id, status: $status, class: Class::$class,
                        public_only: rules!(@public $($public)?),
                        sentence: $sentence, help: $help,
                    },)*
                }
            }
        }
    };
    (@public public) => { true };
    (@public) => { false };
}

impl Rule {
    /// The stable id.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// The rule's place on the page of [`markdown`].
    pub fn anchor(self) -> String {
        self.id().replace('.', "-")
    }

    /// The rule with this id.
    pub fn by_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.id() == id)
    }

    /// Whether the rule is in force under the profile.
    pub fn applies(self, profile: Profile) -> bool {
        profile == Profile::Public || !self.row().public_only
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::by_id(&id).ok_or_else(|| serde::de::Error::custom(format!("no rule '{id}'")))
    }
}

rules! {
    // Who may upload.
    UploadsOff "access.uploads-off" 403 Access:
        "Uploads must be switched on."
        "The operator has stopped uploads, or the server found no way to confine the inspection of archives. Ask the operator; `tidewaiter doctor` says why."
    Credentials "access.credentials" 403 Access:
        "An upload needs a valid API token."
        "Use `__token__` as user name and the token, with its `tidewaiter-` prefix, as password. Passwords are not accepted for uploads. A token may have expired, been revoked or belong to another index."
    TokenScope "access.token-scope" 403 Access:
        "The token must cover the project."
        "The token is restricted to other projects. Make one for this project, or one without a restriction for the first upload of a new project."
    Permission "access.permission" 403 Access:
        "The account must have a role on the project."
        "Ask an owner of the project to add you as owner or maintainer."
    // The request.
    FormProtocol "form.protocol-version" 400 Form:
        "protocol_version must be 1 when given."
        "Upgrade the upload tool."
    FormRequest "form.request" 400 Form:
        "The request must be a well-formed multipart/form-data body within its limits."
        "The body ended early, repeats a boundary wrongly, holds too many or too large text fields, or is no multipart body at all. Upload with twine or `uv publish`."
    FormFieldIsFile "form.field-is-file" 400 Form:
        "Only `content` may be sent as a file."
        "Send every other field as plain text."
    FormFieldRepeated "form.field-repeated" 400 Form:
        "A field that holds one value must be sent once."
        "Repeat only list fields such as classifiers or requires_dist."
    FormFiletype "form.filetype" 400 Form:
        "filetype must be `sdist` or `bdist_wheel` and agree with the file name."
        "Eggs, installers and other historic formats are not taken."
    FormPyversion "form.pyversion" 400 Form:
        "pyversion must be given for a wheel and be `source` for an sdist."
        "Upload with twine or `uv publish`, which fill it in."
    FormDigest "form.digest" 400 Form:
        "At least one digest must be sent, in hex."
        "Send sha256_digest; md5_digest and blake2_256_digest are checked as well when present."
    FormContent "form.content" 400 Form:
        "The request must carry the file in `content`, with a content type that is no image."
        "Upload with twine or `uv publish`."
    FormAttestations "form.attestations" 400 Form:
        "Attestations must be a JSON array of one or two attestation objects as PEP 740 describes them, one for each predicate."
        "Make them with a current version of the publishing action, or upload without them (`twine upload` without `--attestations`, `uv publish --no-attestations`). See docs/attestations.md."
    AttestationUnverified "attestation.unverified" 400 Safety:
        "Each attestation must verify: the certificate's chain, its place in the logs, the time, the signature, and the SHA-256 of this file."
        "Attest the very file that is uploaded, and upload the attestation unchanged. An index of its own Sigstore instance believes that instance alone: ask its operator which."
    AttestationSubject "attestation.subject" 400 Safety:
        "Each attestation must have this file as its one subject, by the name under which it is uploaded."
        "A file that was renamed after it was attested must be attested anew."
    AttestationPublisher "attestation.publisher" 400 Access:
        "An attestation must come from a publisher that is bound to the project."
        "The project's owner, or the index's operator, binds it: `tidewaiter project publisher PROJECT add --github OWNER/REPOSITORY --workflow FILE`. Until then upload without attestations."
    // Core metadata.
    MetadataUnreadable "metadata.unreadable" 400 Form:
        "The metadata file must be UTF-8 text in the header format, within its limits."
        "Rebuild the package with a current build back end."
    MetadataVersion "metadata.version" 400 Form:
        "Metadata-Version must be one of 1.0, 1.1, 1.2, 2.1, 2.2, 2.3, 2.4, 2.5."
        "Rebuild the package with a current build back end."
    MetadataRequired "metadata.required" 400 Form:
        "Metadata-Version, Name and Version must be given."
        "Rebuild the package with a current build back end."
    MetadataTooNew "metadata.field-too-new" 400 Form:
        "A field must not be newer than the declared metadata version."
        "Each field says since which metadata version it exists; declare that version, or drop the field. Build back ends do it right."
    MetadataUnknownField "metadata.unknown-field" 400 Form public:
        "A metadata file must hold only known fields."
        "Remove the field; custom data belongs into the package itself."
    MetadataRepeated "metadata.field-repeated" 400 Form:
        "A single-valued metadata field must stand once."
        "With two values, two tools may read two different ones."
    MetadataFieldTooLong "metadata.field-too-long" 400 Form:
        "Each metadata field must stay within its limit."
        "Shorten the field, or move the text into the description or the documentation."
    NameInvalid "name.invalid" 400 Form:
        "A project name starts and ends with an ASCII letter or digit and holds only letters, digits, '.', '_' and '-'."
        "Rename the project in pyproject.toml."
    VersionInvalid "version.invalid" 400 Form:
        "The version must follow PEP 440."
        "See the version specifiers specification."
    VersionLocal "version.local" 400 Form public:
        "A local version (`+something`) must not be published to a public index."
        "Local versions mark downstream patches; publish the upstream version."
    SummaryInvalid "summary.invalid" 400 Form:
        "The summary is one line of at most 512 characters."
        "Move longer text into the description."
    DescriptionType "description-content-type.invalid" 400 Form:
        "The description's content type is text/plain, text/x-rst or text/markdown, in UTF-8; Markdown's variant is GFM or CommonMark."
        "Set `readme` in pyproject.toml to a file with a matching extension."
    EmailInvalid "email.invalid" 400 Form:
        "An e-mail field must hold a valid address."
        "Write `Name <name@host>`, or drop the field."
    ClassifierUnknown "classifier.unknown" 400 Form:
        "A classifier must be in the list of trove classifiers."
        "Check the spelling, and replace deprecated classifiers by those the message names. In a private index anything under `Private ::` is taken too."
    UrlInvalid "url.invalid" 400 Form:
        "A project URL must be an http or https URL."
        "Write the scheme, and drop addresses of other kinds."
    ProjectUrlInvalid "project-url.invalid" 400 Form:
        "A project URL is `label, URL`, the label 1 to 32 characters and used once."
        "Mend [project.urls] in pyproject.toml."
    RequirementInvalid "requires-dist.invalid" 400 Form:
        "A requirement must follow PEP 508."
        "Mend the dependency in pyproject.toml."
    RequirementDirect "requires-dist.direct-url" 400 Form public:
        "A requirement must not point at a URL in a public index."
        "Publish the dependency and require it by name: whoever installs must get all code from an index that can withdraw it."
    RequiresPythonInvalid "requires-python.invalid" 400 Form:
        "Requires-Python must be a version specifier."
        "Write for example `>=3.10`."
    DynamicInvalid "dynamic.invalid" 400 Form:
        "Dynamic must name metadata fields other than Name, Version and Metadata-Version."
        "Rebuild the package with a current build back end."
    ExtraInvalid "provides-extra.invalid" 400 Form:
        "An extra's name must follow the grammar of names."
        "Rename the extra."
    LicenseInvalid "license-expression.invalid" 400 Form:
        "A licence expression must be a valid SPDX expression, without a License field beside it."
        "Use identifiers from the SPDX list, or `LicenseRef-…` for others."
    LicenseFileInvalid "license-file.invalid" 400 Form:
        "A licence file is a relative path with '/' and without '..' or wildcards."
        "Mend `license-files` in pyproject.toml."
    ImportNameInvalid "import-name.invalid" 400 Form:
        "An import name is a dotted Python identifier, no keyword, optionally followed by `; private`."
        "Mend `import-names` in pyproject.toml."
    // File names.
    FilenameCharacters "filename.characters" 400 Form:
        "A file name holds printable ASCII without '/' and '\\\\' and at most 246 bytes."
        "Rebuild the file with a current build back end."
    FilenameExtension "filename.extension" 400 Form:
        "A file ends in `.whl` (wheel) or `.tar.gz` (sdist)."
        "Zip sdists, eggs and installers are not taken."
    SdistFilename "sdist.filename" 400 Form:
        "An sdist is named `{name}-{version}.tar.gz`, in a public index in the normalised spelling of both."
        "Rebuild with a back end that follows PEP 625."
    WheelFilename "wheel.filename" 400 Form:
        "A wheel is named `{name}-{version}(-{build})-{python}-{abi}-{platform}.whl`, in a public index with the normalised project name."
        "Rebuild with a back end that follows the binary distribution format."
    WheelPlatform "wheel.platform-tag" 400 Form:
        "Every platform tag of a wheel must be one that installers can honour."
        "Repair linux wheels with auditwheel. A private index also takes plain `linux_*` tags of known architectures."
    // One truth.
    Mismatch "metadata.mismatch" 400 Safety:
        "The form, the file name and the metadata in the archive must agree, field by field."
        "Upload the file as the build back end made it, with an upload tool that reads the metadata from the file. The archive is the truth: an absent form field is no mismatch."
    DigestMismatch "file.digest-mismatch" 400 Safety:
        "Every digest sent must be that of the file received."
        "The file changed on its way. Upload again."
    // Sizes.
    FileTooLarge "file.too-large" 400 State:
        "A file must not exceed the limit for one file."
        "Make the file smaller, or ask the operator to raise the limit of the project."
    ProjectTooLarge "project.too-large" 400 State:
        "All files of a project together must not exceed the project's limit."
        "Remove old pre-releases, or ask the operator to raise the limit of the project."
    // What the index already holds.
    ProjectStatusRefuses "project.status" 403 State:
        "The project must accept uploads: it is neither archived nor quarantined."
        "An owner can unarchive a project. A quarantine ends by a decision of the index's moderators."
    NameStdlib "name.stdlib" 400 State:
        "A new project must not take the name of a module of Python's standard library."
        "Choose another name: `import x` would find the standard library."
    NameSimilar "name.similar" 400 State:
        "A new project's name must not be confusable with an existing one."
        "Names are compared without separators, with l and i read as 1 and o as 0. Choose a name that people cannot mistake."
    FileExists "file.exists" 400 State:
        "File already exists: a published file name, or the same content under another name, is never replaced."
        "Publish a new version. Uploading the very same file under its name again is accepted and changes nothing."
    FilenameReused "file.name-reused" 400 State:
        "A file name that was once used is never used again, even after its file was removed."
        "Publish a new version or a new build number."
    ReleaseClosed "release.closed" 400 State:
        "A release takes new files only for a limited time after its first file (14 days by default)."
        "Publish a new version: who pinned the old one must not find new files in it."
    SecondSdist "release.second-sdist" 400 State:
        "Only one sdist may be uploaded per release."
        "Publish a new version."
    // Archives, framing.
    ArchiveKind "archive.kind" 400 Safety:
        "A file must be what its name says and nothing else: a ZIP archive or a gzip-compressed tar, not both."
        "Rebuild the file."
    ZipFraming "archive.zip.framing" 400 Safety:
        "A ZIP archive must read the same from front to back and from its central directory."
        "No bytes before, between or after the records, no data descriptors, no duplicate or contradicting entries, no disagreeing sizes. Rebuild with a current back end; archives that were patched in place or written as a stream break this rule."
    ZipMethod "archive.zip.method" 400 Safety:
        "ZIP members are stored or deflated, and not encrypted."
        "Other methods are not understood by every installer."
    ZipContent "archive.zip.content" 400 Safety:
        "Each ZIP member must inflate to exactly the size and checksum that its headers state."
        "The file is damaged, or made to read differently in two tools. Rebuild it."
    ZipEntryKind "archive.zip.entry-kind" 400 Safety:
        "A ZIP member is a regular file or a folder, and its name, mode and attributes must agree on which."
        "Replace links by copies of the files. A folder's name ends in '/', and it holds no data."
    TarFraming "archive.tar.framing" 400 Safety:
        "A tar archive must be one well-formed gzip stream of well-formed headers, ended as the format says, with nothing after."
        "Rebuild with a current back end."
    TarEntryKind "archive.tar.entry-kind" 400 Safety:
        "An sdist holds regular files and folders only: no links, devices, pipes or sparse files."
        "Replace links by copies of the files."
    TarOverride "archive.tar.override" 400 Safety:
        "Extended headers must not contradict the header they extend."
        "Sizes and names that are stated twice and differ are read differently by different tools."
    PathUnsafe "archive.path" 400 Safety:
        "A member's path must be relative, in normal form, with '/', printable and without '..'."
        "Rebuild the file; a path must not lead out of the folder into which an installer unpacks."
    PathDuplicate "archive.path-duplicate" 400 Safety:
        "No two members may have one path, also not after folding case and Unicode forms, and no file may stand where another member needs a folder."
        "On some systems the second would silently replace the first."
    ArchiveLimits "archive.limits" 400 Safety:
        "An archive must stay within the limits for members, unpacked bytes, compression ratio and path length."
        "The limits are far above what real packages need and are listed in the configuration page."
    InspectionFailed "archive.inspection" 400 Safety:
        "An archive must be readable within the time and memory of its inspection."
        "The confined process that reads the archive crashed or ran out of time or memory. Nothing was published. Rebuild the file; if it is sound, tell the operator."
    // Archives, content.
    SdistLayout "sdist.layout" 400 Form:
        "An sdist holds one folder at its top, `{name}-{version}` as in its file name, with PKG-INFO in it."
        "Rebuild with a back end that follows PEP 625."
    WheelLayout "wheel.layout" 400 Form:
        "A wheel holds one `.dist-info` folder, spelled as in the file name, with METADATA, WHEEL and RECORD."
        "Rebuild the wheel."
    WheelRecord "wheel.record" 400 Safety:
        "RECORD must list every member, and nothing else, with the right SHA-256 (or stronger) and size."
        "The wheel was changed after it was built. Rebuild it."
    WheelTags "wheel.tags" 400 Form:
        "The tags in WHEEL must be those of the file name."
        "The wheel was renamed by hand. Use `wheel tags`, which changes both."
    EntryPointsInvalid "wheel.entry-points" 400 Form:
        "entry_points.txt must be UTF-8 in INI form, with script names of letters, digits, '_', '.' and '-'."
        "Mend [project.scripts] in pyproject.toml."
    LicenseFileMissing "license-file.missing" 400 Form:
        "Every License-File must be in the archive."
        "Mend `license-files` in pyproject.toml, or add the file."
}

/// The whole catalogue as a Markdown page, one heading a rule. A rule's anchor is its id with dashes for dots,
/// so that a rejection can link to it.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Upload rules\n\n\
         Every reason for which an upload can be refused. Generated from `crates/packaging/src/rules.rs`; do not edit.\n\n\
         An answer lists every rule that a file breaks, by the id that is the heading here. The class says what the \
         rule protects, and so what an import or a mirror makes of it: *access* (who may do it) and *state* (what the \
         index already holds) concern uploads, *form* (how a package is written) is a note for files from elsewhere, \
         *safety* (what could harm who installs or inspects) refuses them everywhere.\n",
    );
    for rule in Rule::ALL {
        let Row { id, status, class, public_only, sentence, help } = rule.row();
        let class = match class {
            Class::Access => "access",
            Class::Form => "form",
            Class::State => "state",
            Class::Safety => "safety",
        };
        let profile = if *public_only { "public indexes only" } else { "every index" };
        let anchor = rule.anchor();
        page.push_str(&format!(
            "\n<a id=\"{anchor}\"></a>\n\n## {id}\n\n{sentence}\n\n\
             Class: {class}. In force: {profile}. Status: {status}.\n\n{help}\n"
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what an upload says of itself cannot steer the terminal of whoever reads why it was refused.
    #[test]
    fn sentences_hold_no_control_characters() {
        let rejection = Rejection::new(Rule::NameInvalid, "'a\u{1b}[31m\u{85}b'\nis no name");
        assert_eq!(rejection.message, "'a\u{fffd}[31m\u{fffd}b'\nis no name");
    }

    #[test]
    fn ids_are_unique_and_come_back() {
        for rule in Rule::ALL {
            assert_eq!(Rule::by_id(rule.id()), Some(*rule));
            assert!(rule.row().sentence.ends_with('.') && rule.row().help.ends_with('.'), "{rule:?}");
        }
    }

    #[test]
    fn the_page_holds_every_rule_once_under_its_own_anchor() {
        let page = markdown();
        for rule in Rule::ALL {
            assert_eq!(page.matches(&format!("<a id=\"{}\"></a>", rule.anchor())).count(), 1, "{rule:?}");
            assert_eq!(
                page.matches(&format!("\n## {}\n\n{}\n", rule.id(), rule.row().sentence)).count(),
                1,
                "{rule:?}"
            );
        }
    }
}

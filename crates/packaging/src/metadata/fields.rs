//! One row for each core metadata field.

/// How a form's value is held against the archive's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Not compared: the form's spelling legitimately differs.
    Never,
    /// Same text after white space is folded.
    Text,
    /// Same value after the field's own normalisation (names, versions, specifiers, e-mail, URLs).
    Normal,
    /// Same values in any order, each normalised.
    Set,
}

/// Which check a value goes through; see `validate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Free,
    /// `Metadata-Version`.
    MetadataVersion,
    /// `Name`.
    Name,
    /// `Version`.
    Version,
    /// `Summary`.
    Summary,
    /// `Description-Content-Type`.
    ContentType,
    /// `Author-Email`, `Maintainer-Email`.
    Email,
    /// `License-Expression`.
    LicenseExpression,
    /// `License-File`.
    LicenseFile,
    /// `Classifier`.
    Classifier,
    /// `Home-page`, `Download-URL`.
    Url,
    /// `Project-URL`.
    ProjectUrl,
    /// `Requires-Dist`.
    Requirement,
    /// `Provides-Dist`, `Obsoletes-Dist`.
    OtherRequirement,
    /// `Requires-Python`.
    RequiresPython,
    /// `Provides-Extra`.
    Extra,
    /// `Dynamic`.
    Dynamic,
    /// `Import-Name`, `Import-Namespace`.
    ImportName,
    /// `Description`: header or body.
    Description,
    /// `Keywords`: comma-separated.
    Keywords,
}

/// A row of [`FIELDS`].
#[derive(Debug)]
pub struct FieldRow {
    /// The field.
    pub field: Field,
    /// Its name in METADATA, as the specification spells it.
    pub header: &'static str,
    /// Its keys in the upload form: the first is what the public index reads, others are what clients send.
    pub form: &'static [&'static str],
    /// The metadata version that brought it.
    pub since: (u8, u8),
    /// Whether it may stand more than once.
    pub multiple: bool,
    /// Longest single value, in bytes.
    pub bytes_max: usize,
    /// The check.
    pub kind: Kind,
    /// How form and archive are compared.
    pub compare: Compare,
}

macro_rules! fields {
    ($($field:ident $header:literal [$($form:literal),*] $since:tt $multiple:ident $bytes:expr, $kind:ident $compare:ident;)*) => {
        /// A core metadata field, named as in the specification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field { $(#[doc = $header] $field,)* }

        /// Every field of core metadata 1.0 to 2.5, in the order of their introduction.
        pub const FIELDS: &[FieldRow] = &[$(FieldRow {
            field: Field::$field, header: $header, form: &[$($form),*], since: $since,
            multiple: fields!(@$multiple), bytes_max: $bytes, kind: Kind::$kind, compare: Compare::$compare,
        },)*];
    };
    (@one) => { false };
    (@many) => { true };
}

const LINE: usize = 4 << 10;
/// Whole licence texts stand in `License`: the longest known has 90 kB.
const TEXT: usize = 512 << 10;
const BODY: usize = 4 << 20;

// In the form `platform`, `supported_platform`, `license_file` and the import fields are singular while
// `classifiers` and `project_urls` are plural (pypi-behaviour §1.3); uv sends the import fields in plural.
fields! {
    MetadataVersion "Metadata-Version" ["metadata_version"] (1, 0) one 16, MetadataVersion Never;
    Name "Name" ["name"] (1, 0) one LINE, Name Normal;
    Version "Version" ["version"] (1, 0) one LINE, Version Normal;
    Platform "Platform" ["platform", "platforms"] (1, 0) many LINE, Free Set;
    Summary "Summary" ["summary"] (1, 0) one LINE, Summary Text;
    Description "Description" ["description"] (1, 0) one BODY, Description Text;
    Keywords "Keywords" ["keywords"] (1, 0) one TEXT, Keywords Normal;
    HomePage "Home-page" ["home_page"] (1, 0) one LINE, Url Text;
    Author "Author" ["author"] (1, 0) one LINE, Free Text;
    AuthorEmail "Author-email" ["author_email"] (1, 0) one TEXT, Email Text;
    License "License" ["license"] (1, 0) one TEXT, Free Text;
    SupportedPlatform "Supported-Platform" ["supported_platform", "supported_platforms"] (1, 1) many LINE, Free Set;
    DownloadUrl "Download-URL" ["download_url"] (1, 1) one LINE, Url Text;
    Classifier "Classifier" ["classifiers", "classifier"] (1, 1) many LINE, Classifier Set;
    Requires "Requires" ["requires"] (1, 1) many LINE, Free Set;
    Provides "Provides" ["provides"] (1, 1) many LINE, Free Set;
    Obsoletes "Obsoletes" ["obsoletes"] (1, 1) many LINE, Free Set;
    Maintainer "Maintainer" ["maintainer"] (1, 2) one LINE, Free Text;
    MaintainerEmail "Maintainer-email" ["maintainer_email"] (1, 2) one TEXT, Email Text;
    RequiresDist "Requires-Dist" ["requires_dist"] (1, 2) many LINE, Requirement Set;
    RequiresPython "Requires-Python" ["requires_python"] (1, 2) one LINE, RequiresPython Normal;
    RequiresExternal "Requires-External" ["requires_external"] (1, 2) many LINE, Free Set;
    ProjectUrl "Project-URL" ["project_urls", "project_url"] (1, 2) many LINE, ProjectUrl Set;
    ProvidesDist "Provides-Dist" ["provides_dist"] (1, 2) many LINE, OtherRequirement Set;
    ObsoletesDist "Obsoletes-Dist" ["obsoletes_dist"] (1, 2) many LINE, OtherRequirement Set;
    DescriptionContentType "Description-Content-Type" ["description_content_type"] (2, 1) one LINE, ContentType Text;
    ProvidesExtra "Provides-Extra" ["provides_extra", "provides_extras"] (2, 1) many LINE, Extra Set;
    Dynamic "Dynamic" ["dynamic"] (2, 2) many LINE, Dynamic Set;
    LicenseExpression "License-Expression" ["license_expression"] (2, 4) one LINE, LicenseExpression Normal;
    LicenseFile "License-File" ["license_file", "license_files"] (2, 4) many LINE, LicenseFile Set;
    ImportName "Import-Name" ["import_name", "import_names"] (2, 5) many LINE, ImportName Set;
    ImportNamespace "Import-Namespace" ["import_namespace", "import_namespaces"] (2, 5) many LINE, ImportName Set;
}

impl Field {
    /// The field's row.
    pub fn row(self) -> &'static FieldRow {
        &FIELDS[self as usize]
    }

    /// The field of a METADATA header, in any case.
    pub fn by_header(header: &str) -> Option<Self> {
        FIELDS.iter().find(|row| row.header.eq_ignore_ascii_case(header)).map(|row| row.field)
    }

    /// The field of a form key.
    pub fn by_form_key(key: &str) -> Option<Self> {
        FIELDS.iter().find(|row| row.form.contains(&key)).map(|row| row.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_fields_place() {
        for row in FIELDS {
            assert_eq!(row.field.row().header, row.header);
            assert!(row.form.iter().all(|key| Field::by_form_key(key) == Some(row.field)));
        }
    }
}

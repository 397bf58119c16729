//! Distribution file names: wheels (PEP 427, binary distribution format) and sdists (PEP 625).

use std::str::FromStr;

use crate::name::{NormalizedName, ProjectName};
use crate::version::Version;

/// Longest file name accepted, in bytes: the common file system limit of 255, less `.metadata`.
pub const FILENAME_BYTES_MAX: usize = 246;

/// Why a text is no distribution file name. Each is one rule of `rules`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilenameError {
    /// Control characters or a path separator.
    #[error("Cannot upload a file with '/', '\\', control characters or non-ASCII characters in the name.")]
    Characters,
    /// Longer than [`FILENAME_BYTES_MAX`].
    #[error("Filename is too long: at most {FILENAME_BYTES_MAX} bytes.")]
    TooLong,
    /// Neither `.whl` nor `.tar.gz`.
    #[error("Invalid file extension: Use .tar.gz or .whl extension.")]
    Extension,
    /// An sdist name whose parts do not parse.
    #[error("Invalid source distribution filename: {0}")]
    Sdist(String),
    /// A wheel name whose parts do not parse.
    #[error("Invalid wheel filename: {0}")]
    Wheel(String),
}

/// A parsed file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DistFilename {
    /// `*.whl`
    Wheel(WheelFilename),
    /// `*.tar.gz`
    Sdist(SdistFilename),
}

/// `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelFilename {
    /// The name part, verbatim.
    pub name_part: String,
    /// The version part, verbatim: the archive's `.dist-info` folder is looked up by this spelling.
    pub version_part: String,
    /// What the version part means.
    pub version: Version,
    /// `1` or `1abc`: starts with a digit.
    pub build: Option<String>,
    /// Compressed tag sets, each split at `.`.
    pub python_tags: Vec<String>,
    /// ABI tags.
    pub abi_tags: Vec<String>,
    /// Platform tags.
    pub platform_tags: Vec<String>,
}

/// `{name}-{version}.tar.gz`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdistFilename {
    /// The name part, verbatim.
    pub name_part: String,
    /// The version part, verbatim.
    pub version_part: String,
    /// What the version part means.
    pub version: Version,
}

impl FromStr for DistFilename {
    type Err = FilenameError;

    fn from_str(text: &str) -> Result<Self, FilenameError> {
        if !text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'/' && b != b'\\') {
            return Err(FilenameError::Characters);
        }
        if text.len() > FILENAME_BYTES_MAX {
            return Err(FilenameError::TooLong);
        }
        if let Some(stem) = text.strip_suffix(".whl") {
            wheel(stem).map(Self::Wheel).map_err(FilenameError::Wheel)
        } else if let Some(stem) = text.strip_suffix(".tar.gz") {
            sdist(stem).map(Self::Sdist).map_err(FilenameError::Sdist)
        } else {
            Err(FilenameError::Extension)
        }
    }
}

impl DistFilename {
    /// The name part, normalised.
    pub fn project(&self) -> NormalizedName {
        let part = match self {
            Self::Wheel(wheel) => &wheel.name_part,
            Self::Sdist(sdist) => &sdist.name_part,
        };
        part.parse().expect("the constructor checked the name part")
    }

    /// The version part's meaning.
    pub fn version(&self) -> &Version {
        match self {
            Self::Wheel(wheel) => &wheel.version,
            Self::Sdist(sdist) => &sdist.version,
        }
    }

    /// One text for all spellings that installers read as the same file: normalised name, canonical version, and
    /// for a wheel its build number and tags in order.
    pub fn meaning(&self) -> String {
        let (project, version) = (self.project().in_filename(), self.version().canonical());
        match self {
            Self::Sdist(_) => format!("{project}-{version}.tar.gz"),
            Self::Wheel(WheelFilename { build, python_tags, abi_tags, platform_tags, .. }) => {
                let sorted = |tags: &[String]| {
                    let mut tags: Vec<String> = tags.iter().map(|tag| tag.to_ascii_lowercase()).collect();
                    tags.sort();
                    tags.join(".")
                };
                let build = build.as_ref().map_or(String::new(), |build| format!("-{}", build.to_ascii_lowercase()));
                let tags = [sorted(python_tags), sorted(abi_tags), sorted(platform_tags)].join("-");
                format!("{project}-{version}{build}-{tags}.whl")
            }
        }
    }

    /// The name of the folder that holds the metadata, by this name's own spelling: `{name}-{version}.dist-info`
    /// in a wheel, `{name}-{version}` at the top of an sdist.
    pub fn stem(&self) -> String {
        match self {
            Self::Wheel(wheel) => format!("{}-{}.dist-info", wheel.name_part, wheel.version_part),
            Self::Sdist(sdist) => format!("{}-{}", sdist.name_part, sdist.version_part),
        }
    }
}

fn wheel(stem: &str) -> Result<WheelFilename, String> {
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version, build, tags) = match parts.as_slice() {
        [name, version, python, abi, platform] => (*name, *version, None, [*python, *abi, *platform]),
        [name, version, build, python, abi, platform] => (*name, *version, Some(*build), [*python, *abi, *platform]),
        _ => return Err("wrong number of parts".into()),
    };
    if name.contains("__") || name.parse::<ProjectName>().is_err() {
        return Err(format!("'{name}' is no project name"));
    }
    // No `_` is read as an escaped `-`: installers do not, and `1.0_1` would be no file to them.
    let parsed = version_of(version)?;
    if let Some(build) = build
        && (!build.starts_with(|c: char| c.is_ascii_digit())
            || !build.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')))
    {
        return Err(format!("'{build}' is no build number"));
    }
    let split = |tag: &str| -> Result<Vec<String>, String> {
        tag.split('.')
            .map(|t| {
                let fits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                fits.then(|| t.to_owned()).ok_or_else(|| format!("'{tag}' is no tag"))
            })
            .collect()
    };
    if tags[0].split('.').any(|tag| tag.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(format!("'{}' is no Python tag", tags[0]));
    }
    Ok(WheelFilename {
        name_part: name.to_owned(),
        version_part: version.to_owned(),
        version: parsed,
        build: build.map(str::to_owned),
        python_tags: split(tags[0])?,
        abi_tags: split(tags[1])?,
        platform_tags: split(tags[2])?,
    })
}

/// A version as a file name has it: without the blanks around it that PEP 440 lets pass elsewhere.
fn version_of(part: &str) -> Result<Version, String> {
    let parsed = part.parse().ok().filter(|_| !part.contains(' '));
    parsed.ok_or_else(|| format!("'{part}' is no version"))
}

fn sdist(stem: &str) -> Result<SdistFilename, String> {
    // PEP 625: neither part holds a hyphen once normalised; older names do, so split at the last one.
    let (name, version) = stem.rsplit_once('-').ok_or("no '-' between name and version")?;
    if name.parse::<ProjectName>().is_err() {
        return Err(format!("'{name}' is no project name"));
    }
    let parsed = version_of(version)?;
    Ok(SdistFilename { name_part: name.to_owned(), version_part: version.to_owned(), version: parsed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let DistFilename::Wheel(wheel) =
            "foo_bar-1.0-1a-cp311.cp312-abi3-manylinux_2_17_x86_64.whl".parse().expect("valid")
        else {
            panic!("a wheel")
        };
        assert_eq!(wheel.build.as_deref(), Some("1a"));
        assert_eq!(wheel.python_tags, ["cp311", "cp312"]);
        let sdist: DistFilename = "foo_bar-1.0rc1.tar.gz".parse().expect("valid");
        assert_eq!(sdist.project().as_str(), "foo-bar");
        assert_eq!(sdist.stem(), "foo_bar-1.0rc1");
    }

    #[test]
    fn spellings_of_one_file_mean_the_same() {
        let meaning = |text: &str| text.parse::<DistFilename>().expect("valid").meaning();
        assert_eq!(meaning("Foo.Bar-1.0.0-py3.py2-none-any.whl"), meaning("foo_bar-1.0-py2.py3-none-any.whl"));
        assert_ne!(meaning("foo-1.0-1-py3-none-any.whl"), meaning("foo-1.0-py3-none-any.whl"));
        assert_eq!(meaning("Foo-Bar-1.0.tar.gz"), "foo_bar-1.tar.gz");
    }

    #[test]
    fn refused_names() {
        for (text, want) in [
            ("a/b-1.tar.gz", FilenameError::Characters),
            ("b\u{7f}-1.tar.gz", FilenameError::Characters),
            ("foo-1.zip", FilenameError::Extension),
            ("foo-1.WHL", FilenameError::Extension),
        ] {
            assert_eq!(text.parse::<DistFilename>(), Err(want), "{text}");
        }
        for text in [
            "foo-1 -py3-none-any.whl",
            "foo- 1-py3-none-any.whl",
            "foo-1-py3-none.whl",
            "fo__o-1-py3-none-any.whl",
            "foo-1-x-py3-none-any.whl",
            "foo-x-py3-none-any.whl",
        ] {
            assert!(matches!(text.parse::<DistFilename>(), Err(FilenameError::Wheel(_))), "{text}");
        }
        // Blanks around a version that PEP 440 lets pass elsewhere.
        for text in ["foo-1 .tar.gz", "foo- 1.tar.gz", "foo-x.tar.gz"] {
            assert!(matches!(text.parse::<DistFilename>(), Err(FilenameError::Sdist(_))), "{text}");
        }
        let longest = format!("{}-1.tar.gz", "a".repeat(128));
        assert!(longest.parse::<DistFilename>().is_ok());
    }
}

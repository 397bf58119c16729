//! Who published a project's files when they were seen, and what is asked of further ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use attest::Publisher;
use packaging::name::NormalizedName;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// The length of what is remembered of publishers, in bytes: 10,000 projects take less.
const PINS_BYTES_MAX: u64 = 4 << 20;

/// What is asked of attestations. The index has verified them; that what it verified is what comes is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Attestations {
    /// Nothing.
    #[default]
    Off,
    /// The publisher that was seen first stays the publisher.
    Pin,
    /// The same, and files of these projects must have attestations.
    Require(BTreeSet<String>),
}

impl Attestations {
    /// Whether every file of a project must have one.
    pub(crate) fn demands(&self, project: &NormalizedName) -> bool {
        matches!(self, Self::Require(names) if names.contains(project.as_str()))
    }
}

impl std::str::FromStr for Attestations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let project = |name: &str| {
            let parsed: Result<NormalizedName, _> = name.trim().parse();
            parsed.map(|name| name.as_str().to_owned()).map_err(|_| format!("'{name}' is no project"))
        };
        match (text, text.strip_prefix("require:")) {
            ("off", _) => Ok(Self::Off),
            ("pin", _) => Ok(Self::Pin),
            (_, Some(list)) => Ok(Self::Require(list.split(',').map(project).collect::<Result<_, _>>()?)),
            _ => Err("write off, pin, or require:PROJECT,PROJECT".to_owned()),
        }
    }
}

/// The publisher of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pin {
    publisher: Publisher,
    /// When the file was uploaded that showed it. Files from before then are not held to it.
    since: String,
}

/// `publishers.lock`: a pin for each project of which an attested file was seen.
#[derive(Debug)]
pub(crate) struct Pins {
    path: PathBuf,
    known: BTreeMap<String, Pin>,
}

/// A file and what the signed page says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uploaded<'a> {
    pub(crate) project: &'a NormalizedName,
    /// When, as the page has it: such texts are ordered as times are.
    pub(crate) at: &'a str,
    pub(crate) publisher: Option<&'a Publisher>,
}

impl Pins {
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let path = folder.join("publishers.lock");
        let mut text = Vec::new();
        match fs::File::open(&path) {
            Ok(file) => file.take(PINS_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { path, known: BTreeMap::new() }),
            Err(error) => return Err(error),
        };
        // What cannot be read must not count as nothing: whoever can damage the file would be whom it is held against.
        let known = serde_json::from_slice(&text).map_err(|error| {
            let why = format!("{} cannot be read ({error}): mend it, or remove it to begin anew", path.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(Self { path, known })
    }

    /// Holds a file against what was seen, and remembers it. `Err`: the cause of a refusal.
    pub(crate) fn judge(&mut self, asked: &Attestations, file: Uploaded<'_>) -> io::Result<Result<(), String>> {
        let Uploaded { project, at, publisher } = file;
        let is_required = asked.demands(project);
        let pin = self.known.get(project.as_str()).filter(|pin| pin.since.as_str() <= at);
        Ok(match (publisher, pin) {
            (None, _) if is_required => Err("refused: it has no attestation, and --attestations requires one".into()),
            (None, Some(pin)) => Err(format!(
                "refused: it has no attestation, and since {} files of {project} came from {}",
                pin.since, pin.publisher
            )),
            (Some(now), Some(pin)) if *now != pin.publisher => Err(format!(
                "refused: it came from {now}, and since {} files of {project} came from {}",
                pin.since, pin.publisher
            )),
            (Some(now), None) if !self.known.contains_key(project.as_str()) => {
                let pin = Pin { publisher: now.clone(), since: at.to_owned() };
                self.known.insert(project.as_str().to_owned(), pin);
                self.write()?;
                Ok(())
            }
            (None | Some(_), _) => Ok(()),
        })
    }

    fn write(&self) -> io::Result<()> {
        let folder = self.path.parent().ok_or_else(|| io::Error::other("a file in a folder"))?;
        let mut file = NamedTempFile::with_prefix_in(".new-", folder)?;
        serde_json::to_writer_pretty(&mut file, &self.known)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(repository: &str) -> Publisher {
        Publisher::GitHub { repository: repository.into(), workflow: "release.yml".into(), environment: None }
    }

    #[test]
    fn words() {
        assert_eq!("off".parse(), Ok(Attestations::Off));
        assert_eq!("pin".parse(), Ok(Attestations::Pin));
        let names = ["a-b", "c"].map(str::to_owned).into();
        assert_eq!("require:A_b, c".parse(), Ok(Attestations::Require(names)));
        for text in ["", "on", "require:", "require:a,,b", "require:a/b"] {
            assert!(text.parse::<Attestations>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_publisher_stays() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let project: NormalizedName = "demo".parse().expect("a name");
        let judge = |asked: &Attestations, at: &str, publisher: Option<&Publisher>| {
            let mut pins = Pins::read(folder.path()).expect("readable");
            pins.judge(asked, Uploaded { project: &project, at, publisher }).expect("writable")
        };
        let (ours, other) = (publisher("team/demo"), publisher("evil/demo"));
        let require = Attestations::Require(["demo".to_owned()].into());
        assert!(judge(&Attestations::Pin, "2026-01-01T00:00:00Z", None).is_ok(), "nothing is known yet");
        assert!(judge(&require, "2026-01-01T00:00:00Z", None).is_err());
        assert!(judge(&Attestations::Pin, "2026-02-01T00:00:00Z", Some(&ours)).is_ok());
        // From the pinned file on, others are refused; older ones are what they are.
        for (at, is_old) in
            [("2026-01-31T00:00:00Z", true), ("2026-02-01T00:00:00Z", false), ("2027-01-01T00:00:00Z", false)]
        {
            assert_eq!(judge(&Attestations::Pin, at, None).is_ok(), is_old, "{at}");
            assert_eq!(judge(&Attestations::Pin, at, Some(&other)).is_ok(), is_old, "{at}");
            assert!(judge(&Attestations::Pin, at, Some(&ours)).is_ok(), "{at}");
        }
        let said = judge(&Attestations::Pin, "2027-01-01T00:00:00Z", Some(&other)).expect_err("refused");
        assert!(said.contains("evil/demo") && said.contains("team/demo"), "{said}");
        fs::write(folder.path().join("publishers.lock"), "{").expect("writable");
        assert!(Pins::read(folder.path()).is_err(), "a damaged file does not count as none");
    }
}

//! Why a file is looked at, and what only the ledger knows about it: facts like any others, so that a check needs no
//! database to tell a project's first file from its hundredth.

use std::fmt;
use std::str::FromStr;

use packaging::ProjectStatus;
use serde::{Deserialize, Serialize};

/// What a check can ask to be run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A project's first file came.
    ProjectCreated,
    /// A release's first file came.
    ReleaseCreated,
    /// A file came; also when it is the first of its release or project.
    FileAdded,
    /// A moderator or owner gave the project another status (PEP 792).
    StatusChanged,
    /// A stored file is inspected again: by the schedule, because checks changed, or because somebody asked.
    Again,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 5] =
        [Self::ProjectCreated, Self::ReleaseCreated, Self::FileAdded, Self::StatusChanged, Self::Again];
    /// What a check runs on that says nothing else: whatever brings bytes, and whenever they are read again. A change
    /// of status changes no byte, so it is for those that ask for it.
    pub const USUAL: &[Self] = &[Self::FileAdded, Self::Again];

    /// As it is written in rules, settings and descriptions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProjectCreated => "project-created",
            Self::ReleaseCreated => "release-created",
            Self::FileAdded => "file-added",
            Self::StatusChanged => "status-changed",
            Self::Again => "again",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no event; there are: {}", known()))
    }
}

/// What led to a look at a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It was uploaded.
    #[default]
    Upload,
    /// Its project's status changed.
    Status,
    /// It is looked at again.
    Again,
}

/// The occasion of one look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    /// What led to it.
    pub cause: Cause,
    /// Whether no earlier file of the project was ever taken.
    pub first_of_project: bool,
    /// Whether no earlier file of the release was ever taken.
    pub first_of_release: bool,
    /// The project's status now; absent where there is no index.
    pub status: Option<ProjectStatus>,
    /// Who published it, and those before it; absent where there is no index.
    #[serde(default)]
    pub publishing: Option<Publishing>,
}

/// What the index knows of attestations (PEP 740): facts that no archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Publishing {
    /// Who attested this file, in words.
    pub own: Option<String>,
    /// How many releases in an unbroken row up to this file had nothing but attested files.
    pub streak: u32,
    /// Who attested the latest file before this one that was attested.
    pub last: Option<String>,
}

impl Occasion {
    /// The events that it amounts to.
    pub fn events(&self) -> Vec<Event> {
        match self.cause {
            Cause::Status => vec![Event::StatusChanged],
            Cause::Again => vec![Event::Again],
            Cause::Upload => [
                (self.first_of_project, Event::ProjectCreated),
                (self.first_of_release, Event::ReleaseCreated),
                (true, Event::FileAdded),
            ]
            .into_iter()
            .filter_map(|(holds, event)| holds.then_some(event))
            .collect(),
        }
    }

    /// Whether something that runs on these events runs now.
    pub fn concerns(&self, on: &[Event]) -> bool {
        self.events().iter().any(|event| on.contains(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_up_to_three_events() {
        let upload = |first_of_project, first_of_release| {
            Occasion { first_of_project, first_of_release, ..Occasion::default() }.events()
        };
        use Event::{FileAdded, ProjectCreated, ReleaseCreated};
        assert_eq!(upload(true, true), [ProjectCreated, ReleaseCreated, FileAdded]);
        assert_eq!(upload(false, true), [ReleaseCreated, FileAdded]);
        assert_eq!(upload(false, false), [FileAdded]);
        // That it is the first stays a fact; it is an event once.
        let again = Occasion { cause: Cause::Again, first_of_project: true, ..Occasion::default() };
        assert_eq!(again.events(), [Event::Again]);
        assert!(again.concerns(Event::USUAL) && !again.concerns(&[ProjectCreated]));
        let status = Occasion { cause: Cause::Status, ..Occasion::default() };
        assert!(!status.concerns(Event::USUAL) && status.concerns(&[Event::StatusChanged]));
    }

    #[test]
    fn events_are_written_as_they_are_read() {
        for event in Event::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
            assert_eq!(serde_json::to_value(event).expect("JSON"), event.as_str());
        }
        assert!("file-gone".parse::<Event>().expect_err("none").contains("file-added"));
    }
}

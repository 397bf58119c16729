//! The whole state machine of a file, and the one visibility predicate.

use packaging::ProjectStatus;

use super::{Verdict, words};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

words! {
    /// What is wanted of a file.
    FileState {
        /// Accepted, being inspected.
        Staged = "staged",
        /// To be seen by all.
        Visible = "visible",
        /// Held back until a person decides.
        Held = "held",
        /// Taken away; the name stays used.
        Removed = "removed",
    }
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileInput {
    /// The inspection concluded.
    Judged(Verdict),
    /// A person takes the file away.
    Remove,
}

/// A step that the state machine does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file that is {} cannot be changed by {input:?}", .state.as_str())]
pub struct Illegal {
    /// Where it stands.
    pub state: FileState,
    /// What was asked.
    pub input: FileInput,
}

/// The next state. Every change of a file's state goes through here.
///
/// # Errors
/// [`Illegal`] where there is no such step; it is shown to whoever asked.
pub fn step(state: FileState, input: FileInput) -> Result<FileState, Illegal> {
    match (state, input) {
        (FileState::Staged, FileInput::Judged(Verdict::Clear | Verdict::Review)) => Ok(FileState::Visible),
        (FileState::Staged, FileInput::Judged(Verdict::Hold | Verdict::Malicious)) => Ok(FileState::Held),
        (FileState::Staged | FileState::Visible | FileState::Held, FileInput::Remove) => Ok(FileState::Removed),
        (FileState::Visible | FileState::Held | FileState::Removed, FileInput::Judged(_))
        | (FileState::Removed, FileInput::Remove) => Err(Illegal { state, input }),
    }
}

/// The one visibility predicate: whether anybody may see a file, on any surface.
pub fn is_visible(file: FileState, project: ProjectStatus) -> bool {
    file == FileState::Visible && project != ProjectStatus::Quarantined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_input_has_a_known_outcome() {
        let inputs: Vec<FileInput> =
            Verdict::ALL.iter().map(|v| FileInput::Judged(*v)).chain([FileInput::Remove]).collect();
        let mut table = String::new();
        for state in FileState::ALL {
            for input in &inputs {
                let next = step(*state, *input).map_or("-", FileState::as_str);
                table.push_str(&format!("{} + {input:?} = {next}\n", state.as_str()));
            }
        }
        let want = "\
staged + Judged(Clear) = visible
staged + Judged(Review) = visible
staged + Judged(Hold) = held
staged + Judged(Malicious) = held
staged + Remove = removed
visible + Judged(Clear) = -
visible + Judged(Review) = -
visible + Judged(Hold) = -
visible + Judged(Malicious) = -
visible + Remove = removed
held + Judged(Clear) = -
held + Judged(Review) = -
held + Judged(Hold) = -
held + Judged(Malicious) = -
held + Remove = removed
removed + Judged(Clear) = -
removed + Judged(Review) = -
removed + Judged(Hold) = -
removed + Judged(Malicious) = -
removed + Remove = -
";
        assert_eq!(table, want);
    }

    #[test]
    fn only_a_visible_file_of_a_project_out_of_quarantine_is_seen() {
        for file in FileState::ALL {
            for project in ProjectStatus::ALL {
                let want = *file == FileState::Visible && project != ProjectStatus::Quarantined;
                assert_eq!(is_visible(*file, project), want);
            }
        }
    }
}

//! The whole state machine of a file, and the one visibility predicate.

use packaging::ProjectStatus;

use super::{Decision, Verdict, words};
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
        /// Kept from the index by a person. Another decision can still let it in.
        Refused = "refused",
        /// Taken away; the name stays used.
        Removed = "removed",
    }
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileInput {
    /// The inspection concluded, before anybody could see the file.
    Judged(Verdict),
    /// It is shown although it was not inspected yet: `inspection.gate = "after"`, or a backlog that the operator
    /// chose to publish.
    Admitted,
    /// The inspection concluded after the file was admitted, or after it was held because the inspection was late.
    JudgedLate(Verdict),
    /// A person decided.
    Decided(Decision),
    /// Its owner, or an administrator, takes the file away.
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
    use FileInput::{Admitted, Decided, Judged, JudgedLate, Remove};
    use FileState::{Held, Refused, Removed, Staged, Visible};
    match (state, input) {
        (Staged, Judged(Verdict::Clear | Verdict::Review) | Admitted)
        | (Visible | Held, JudgedLate(Verdict::Clear | Verdict::Review))
        | (Staged | Visible | Held | Refused, Decided(Decision::Clear)) => Ok(Visible),
        (Staged, Judged(Verdict::Hold | Verdict::Malicious))
        | (Visible | Held, JudgedLate(Verdict::Hold | Verdict::Malicious))
        | (Staged | Visible | Refused, Decided(Decision::Hold)) => Ok(Held),
        (Staged | Visible | Held, Decided(Decision::Refuse)) => Ok(Refused),
        (Staged | Visible | Held | Refused, Remove) => Ok(Removed),
        (Visible | Held | Refused, Judged(_) | Admitted)
        | (Staged | Refused, JudgedLate(_))
        | (Held, Decided(Decision::Hold))
        | (Refused, Decided(Decision::Refuse))
        | (Removed, _) => Err(Illegal { state, input }),
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
        let judged = Verdict::ALL.iter().map(|v| FileInput::Judged(*v));
        let late = Verdict::ALL.iter().map(|v| FileInput::JudgedLate(*v));
        let decided = Decision::ALL.iter().map(|d| FileInput::Decided(*d));
        let others = [FileInput::Admitted, FileInput::Remove];
        let inputs: Vec<FileInput> = judged.chain(late).chain(decided).chain(others).collect();
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
staged + JudgedLate(Clear) = -
staged + JudgedLate(Review) = -
staged + JudgedLate(Hold) = -
staged + JudgedLate(Malicious) = -
staged + Decided(Clear) = visible
staged + Decided(Hold) = held
staged + Decided(Refuse) = refused
staged + Admitted = visible
staged + Remove = removed
visible + Judged(Clear) = -
visible + Judged(Review) = -
visible + Judged(Hold) = -
visible + Judged(Malicious) = -
visible + JudgedLate(Clear) = visible
visible + JudgedLate(Review) = visible
visible + JudgedLate(Hold) = held
visible + JudgedLate(Malicious) = held
visible + Decided(Clear) = visible
visible + Decided(Hold) = held
visible + Decided(Refuse) = refused
visible + Admitted = -
visible + Remove = removed
held + Judged(Clear) = -
held + Judged(Review) = -
held + Judged(Hold) = -
held + Judged(Malicious) = -
held + JudgedLate(Clear) = visible
held + JudgedLate(Review) = visible
held + JudgedLate(Hold) = held
held + JudgedLate(Malicious) = held
held + Decided(Clear) = visible
held + Decided(Hold) = -
held + Decided(Refuse) = refused
held + Admitted = -
held + Remove = removed
refused + Judged(Clear) = -
refused + Judged(Review) = -
refused + Judged(Hold) = -
refused + Judged(Malicious) = -
refused + JudgedLate(Clear) = -
refused + JudgedLate(Review) = -
refused + JudgedLate(Hold) = -
refused + JudgedLate(Malicious) = -
refused + Decided(Clear) = visible
refused + Decided(Hold) = held
refused + Decided(Refuse) = -
refused + Admitted = -
refused + Remove = removed
removed + Judged(Clear) = -
removed + Judged(Review) = -
removed + Judged(Hold) = -
removed + Judged(Malicious) = -
removed + JudgedLate(Clear) = -
removed + JudgedLate(Review) = -
removed + JudgedLate(Hold) = -
removed + JudgedLate(Malicious) = -
removed + Decided(Clear) = -
removed + Decided(Hold) = -
removed + Decided(Refuse) = -
removed + Admitted = -
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

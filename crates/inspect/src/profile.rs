//! What a distribution can do, as words, so that a release is compared with the one before it.
//!
//! Python's effects join here as the words of [`crate::python::Program::words`].

use packaging::Requirement;
use packaging::metadata::Field;

use crate::Profile;
use crate::distribution::Distribution;
use crate::formats::text::Group;

/// A word within the profile's bound.
pub(crate) fn word(text: &str) -> String {
    let end = text.floor_char_boundary(Profile::WORD_BYTES_MAX);
    text[..end].to_owned()
}

/// The words of a distribution. What matters most comes first, so that a flood of the rest cannot push it out.
pub(crate) fn of(distribution: &Distribution) -> Profile {
    let mut profile = Profile { version: Profile::VERSION, ..Profile::default() };
    let mut add = |text: String| {
        if profile.words.len() < Profile::WORDS_MAX {
            profile.words.insert(word(&text));
        } else if !profile.words.contains(&word(&text)) {
            profile.cut = true;
        }
    };
    let own = || distribution.members.iter().filter(|member| member.depth == 0);
    for member in own().filter(|member| distribution.is_startup(member)) {
        add(format!("startup:{}", member.place));
    }
    for member in &distribution.members {
        add(format!("type:{}", member.kind.as_str()));
        for found in &member.found {
            let group = match found.rule.group {
                Group::Sink => "sink",
                Group::FetchRun => "fetch-run",
                Group::ReverseShell => "reverse-shell",
                Group::HiddenCommand => "hidden-command",
                Group::Persistence => "persistence",
                Group::Instruction => "instruction",
                Group::BuildSecrets => "build-secrets",
                Group::Miner => "miner",
            };
            add(format!("{group}:{}", found.rule.name));
        }
    }
    for text in distribution.program.words() {
        add(text);
    }
    for entry in &distribution.entry_points {
        add(format!("entry:{}:{}", entry.group, entry.name));
    }
    for text in distribution.metadata.all(Field::RequiresDist) {
        if let Ok(requirement) = text.parse::<Requirement>() {
            add(format!("needs:{}", requirement.name.normalized().as_str()));
        }
    }
    for top in &distribution.tops {
        add(format!("top:{top}"));
    }
    for member in own().filter(|member| member.kind.is_native() || member.kind.is_script()) {
        add(format!("{}:{}", member.kind.as_str(), member.place));
    }
    profile
}

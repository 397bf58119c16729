//! From text to rules. Runs in the sandbox: what operators take from elsewhere is input like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use boreal::compiler::CompilerParams;
use boreal::scanner::RuleDetails;
use boreal::{Compiler, MetadataValue, Scanner};
use sha2::{Digest, Sha256};

#[cfg(test)]
use super::sources::head;
use super::sources::stem;
use super::{Catalogue, Engine, PREFIX, RULE_BYTES_MAX, RULES_MAX, Rule, Sources};
use crate::finding::{Confidence, Severity, WHY_CHARS_MAX};
use crate::findings::shorten;
use crate::occasion::Event;

/// Most problems told at once.
const PROBLEMS_MAX: usize = 20;
/// Most notes.
const NOTES_MAX: usize = 100;
/// Longest problem or note, in characters.
const PROBLEM_CHARS_MAX: usize = 500;
/// Most strings of one rule.
const STRINGS_MAX: usize = 2_000;
/// Most includes, over all files and depths.
const INCLUDES_MAX: usize = 1_000;
/// Most tags of a rule, and most patterns of `path_include`.
const LIST_MAX: usize = 50;
/// Longest tag or pattern, in characters.
const WORD_CHARS_MAX: usize = 100;

/// What the files of one compilation included, by the name of the file of rules.
type Included = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// Compiles all rules, each file in a namespace of its own.
///
/// # Errors
/// What is wrong, one sentence each, with file and line.
pub(crate) fn compile(sources: &Sources) -> Result<(Engine, Catalogue), Vec<String>> {
    let included = Included::default();
    let scanner = compiled(sources, &included, |_| true)?;
    let versions = versions(sources, &included.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut notes, mut problems, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for details in scanner.rules().filter(|rule| !rule.is_private) {
        let version = versions.get(details.namespace).copied().unwrap_or_default();
        let reader = Reader { scanner: &scanner, details: &details, notes: &mut notes };
        match reader.rule(version) {
            Ok(rule) => rules.push((details.namespace.to_owned(), details.name.to_owned(), rule)),
            Err(what) => problems.push(what),
        }
    }
    if rules.len() > RULES_MAX {
        problems.push(format!("{} rules, of which at most {RULES_MAX} can be in force", rules.len()));
    }
    if !problems.is_empty() {
        return Err(bounded(problems));
    }
    rules.sort_by(|a, b| a.2.id.cmp(&b.2.id));
    let roaming: BTreeSet<&str> =
        rules.iter().filter(|(_, _, rule)| rule.include.is_empty()).map(|(file, _, _)| file.as_str()).collect();
    let (placed, everywhere) = if roaming.is_empty() {
        (Some(scanner), None)
    } else if rules.iter().all(|(file, _, _)| roaming.contains(file.as_str())) {
        (None, Some(scanner))
    } else {
        let part = |is_roaming: bool| {
            compiled(sources, &Included::default(), |file| roaming.contains(file) == is_roaming).map(Some)
        };
        (part(false)?, part(true)?)
    };
    let index = rules.iter().enumerate().map(|(n, (file, name, _))| ((file.clone(), name.clone()), n)).collect();
    let rules: Vec<Rule> = rules.into_iter().map(|(_, _, rule)| rule).collect();
    let files = sources.rules().count();
    let catalogue = Catalogue { digest: sources.digest(), files, rules: rules.clone(), notes: bounded(notes) };
    Ok((Engine { placed, everywhere, rules, index }, catalogue))
}

/// The files that are wanted, as one scanner.
fn compiled(sources: &Sources, included: &Included, wanted: impl Fn(&str) -> bool) -> Result<Scanner, Vec<String>> {
    let mut compiler = Compiler::new();
    compiler.set_params(CompilerParams::default().max_strings_per_rule(STRINGS_MAX));
    compiler.set_include_callback(includes(sources, Arc::clone(included)));
    let mut problems = Vec::new();
    for (name, text) in sources.rules().filter(|(name, _)| wanted(stem(name))) {
        // The namespace is the file; what it includes is compiled into it.
        if let Err(error) = compiler.add_rules_str_in_namespace(ended(text), stem(name)) {
            problems.push(located(name, &error));
        }
    }
    if problems.is_empty() { Ok(compiler.finalize()) } else { Err(bounded(problems)) }
}

fn bounded(mut problems: Vec<String>) -> Vec<String> {
    let most = if problems.len() > NOTES_MAX { PROBLEMS_MAX } else { NOTES_MAX };
    let more = problems.len().saturating_sub(most);
    problems.truncate(most);
    problems.iter_mut().for_each(|text| *text = shorten(text, PROBLEM_CHARS_MAX).replace('\n', " "));
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    problems
}

/// The library calls text that came from no file `mem`; an included file is named by itself.
fn located(name: &str, error: &boreal::compiler::AddRuleError) -> String {
    let text = error.to_string();
    match text.strip_prefix("mem:") {
        Some(rest) => format!("{name}:{rest}"),
        None => format!("{name}: {text}"),
    }
}

/// Files are included from the same folder alone, by name: there is no other to be had in the sandbox.
fn includes(
    sources: &Sources,
    included: Included,
) -> impl FnMut(&str, Option<&Path>, &str) -> std::io::Result<String> + Send + Sync + 'static {
    let files = sources.files.clone();
    let mut count = 0;
    move |name, _, namespace| {
        count += 1;
        // A file that includes itself would have no end.
        if count > INCLUDES_MAX {
            return Err(std::io::Error::other(format!("more than {INCLUDES_MAX} includes")));
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        let text = files.get(name).cloned();
        let text = text.ok_or_else(|| {
            std::io::Error::other("the folder has no such file, or it ends in none of .yar, .yara, .meta, .inc")
        })?;
        let mut included = included.lock().unwrap_or_else(PoisonError::into_inner);
        if !included.entry(namespace.to_owned()).or_default().insert(name.to_owned()) {
            return Err(std::io::Error::other("it is included twice"));
        }
        Ok(ended(&text))
    }
}

/// The library takes a comment for one only when its line ends.
fn ended(text: &str) -> String {
    let is_open = text.lines().last().is_some_and(|line| line.contains("//")) && !text.ends_with('\n');
    if is_open { format!("{text}\n") } else { text.to_owned() }
}

/// The version of the rules of each file: of its own text and of every text that it includes.
fn versions(sources: &Sources, included: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, u32> {
    let of = |(name, text): (&str, &str)| {
        let mut hash = Sha256::new_with_prefix(text);
        for other in included.get(stem(name)).into_iter().flatten() {
            hash.update(sources.files.get(other).map_or("", String::as_str));
        }
        let digest = hash.finalize();
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        (stem(name).to_owned(), number.max(1))
    };
    sources.rules().map(of).collect()
}

/// Reads what a rule says of itself.
struct Reader<'r> {
    scanner: &'r Scanner,
    details: &'r RuleDetails<'r>,
    notes: &'r mut Vec<String>,
}

impl Reader<'_> {
    fn rule(mut self, version: u32) -> Result<Rule, String> {
        let (file, name) = (self.details.namespace, self.details.name);
        if name.len() > RULE_BYTES_MAX {
            return Err(format!("{file}: rule '{name}': a rule's name has at most {RULE_BYTES_MAX} bytes"));
        }
        let mut meta: BTreeMap<String, String> = BTreeMap::new();
        for one in self.details.metadatas {
            let value = match one.value {
                MetadataValue::Bytes(text) => String::from_utf8_lossy(self.scanner.get_bytes_symbol(text)).into_owned(),
                MetadataValue::Integer(number) => number.to_string(),
                MetadataValue::Boolean(flag) => flag.to_string(),
            };
            meta.entry(self.scanner.get_string_symbol(one.name).to_ascii_lowercase()).or_insert(value);
        }
        let own = self.details.tags.iter().map(|tag| format!("yara/{}", self.scanner.get_string_symbol(*tag)));
        let tags = list(meta.get("tags")).into_iter().chain(own).map(|tag| shorten(&tag, WORD_CHARS_MAX));
        let tags = tags.take(LIST_MAX).collect();
        let why = meta.get("why").or_else(|| meta.get("description")).filter(|why| !why.trim().is_empty());
        let why = why.map_or_else(|| format!("The rule '{name}' of '{file}' matches."), |why| why.trim().to_owned());
        let on = list(meta.get("on")).iter().map(|word| word.parse()).collect::<Result<Vec<Event>, String>>();
        let mut on = on.map_err(|error| format!("{file}: rule '{name}': on: {error}"))?;
        if on.is_empty() {
            on = Event::USUAL.to_vec();
        }
        for pattern in ["path_include", "path_exclude"].iter().flat_map(|key| list(meta.get(*key))) {
            if pattern.len() > WORD_CHARS_MAX {
                return Err(format!("{file}: rule '{name}': a pattern of paths has at most {WORD_CHARS_MAX} bytes"));
            }
        }
        let severity = self.word(meta.get("severity"), "severity", Severity::Medium);
        let confidence = self.word(meta.get("confidence"), "confidence", Confidence::Medium);
        Ok(Rule {
            id: format!("{PREFIX}{file}/{name}"),
            version,
            severity,
            confidence,
            why: shorten(&why, WHY_CHARS_MAX),
            tags,
            on,
            include: list(meta.get("path_include")),
            exclude: list(meta.get("path_exclude")),
        })
    }

    /// One of our words. Rules that come from elsewhere grade themselves by words and numbers of their own; that is
    /// said, not refused.
    fn word<T: serde::de::DeserializeOwned>(&mut self, text: Option<&String>, key: &str, default: T) -> T {
        let Some(text) = text else { return default };
        let word = serde_json::Value::String(text.trim().to_ascii_lowercase());
        serde_json::from_value(word).unwrap_or_else(|_| {
            let (file, name) = (self.details.namespace, self.details.name);
            self.notes.push(format!("{file}: rule '{name}': its {key} '{text}' is none of ours and taken for medium"));
            default
        })
    }
}

/// Words between commas.
fn list(text: Option<&String>) -> Vec<String> {
    let words = text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty());
    words.take(LIST_MAX).map(str::to_owned).collect()
}

/// Only for the test that both ways to find a rule's head agree.
#[cfg(test)]
pub(super) fn heads(text: &str) -> Vec<&str> {
    text.lines().filter_map(head).collect()
}

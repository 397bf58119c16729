//! Rules over bytes: every member, those of archives within the archive included, and every layer that was peeled off.

use std::fs::File;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use archive::members::{Head, WalkLimits, walk, walk_bytes};
use boreal::scanner::{EvaluatedRule, ScanParams};

use super::{Engine, Scan, is_like, unfinished};
use crate::finding::{FINDINGS_MAX, Finding};
use crate::findings::{Evidence, Findings, shorten};
use crate::formats::text;
use crate::kind::{self, Kind};
use crate::limits::InspectionLimits;
use crate::occasion::Occasion;

/// Longest that rules may take over one file, in milliseconds. What else is done in a pass needs its share of the
/// child's processor time.
const ALL_MS_MAX: u64 = 10_000;
/// Longest that rules may take over one member, in milliseconds.
const ONE_MS_MAX: u64 = 3_000;
/// Most matches of one string that a rule can count.
const MATCHES_MAX: u32 = 1_000;
/// Most places of one rule that are kept.
const PLACES_MAX: usize = 30;
/// Longest excerpt of bytes that are no text, in bytes.
const BYTES_SHOWN_MAX: usize = 48;
/// Most members that are named as not scanned to the end.
const NAMED_MAX: usize = 5;

/// What stood under an encoding, and was taken out by the reader of Python.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// The member in which it stands.
    pub(crate) path: String,
    /// The encodings taken off, outermost first.
    pub(crate) layer: Vec<&'static str>,
    /// It.
    pub(crate) bytes: Rc<[u8]>,
}

/// A rule that holds, and offset and length of its first match.
type Held = (usize, Option<(usize, usize)>);

/// One place at which one rule holds.
struct Hit {
    rule: usize,
    evidence: Evidence,
}

struct Scanning<'e> {
    engine: &'e Engine,
    limits: &'e InspectionLimits,
    placed: Option<boreal::Scanner>,
    everywhere: Option<boreal::Scanner>,
    /// Which rules run on this occasion.
    runs: Vec<bool>,
    places: Vec<usize>,
    hits: Vec<Hit>,
    spent: Duration,
    slow: Vec<String>,
    unscanned: u64,
    cut: u64,
    unpacked: u64,
    visited: u64,
}

/// Scans the archive and the layers that were found in it.
pub(crate) fn scan(
    engine: &Engine,
    file: &File,
    layers: &[Layer],
    occasion: &Occasion,
    limits: &InspectionLimits,
) -> Scan {
    let runs: Vec<bool> = engine.rules.iter().map(|rule| occasion.concerns(&rule.on)).collect();
    if !runs.contains(&true) {
        return Scan::default();
    }
    let mut scanning = Scanning {
        engine,
        limits,
        placed: engine.placed.clone(),
        everywhere: engine.everywhere.clone(),
        places: vec![0; runs.len()],
        runs,
        hits: Vec::new(),
        spent: Duration::ZERO,
        slow: Vec::new(),
        unscanned: 0,
        cut: 0,
        unpacked: 0,
        visited: 0,
    };
    // Layers first: they are small, and what was hidden matters more than the last megabyte of data.
    for layer in layers {
        scanning.bytes(&layer.path, &layer.layer, &layer.bytes, std::str::from_utf8(&layer.bytes).is_ok());
    }
    let walked = WalkLimits {
        members_max: limits.members_max,
        unpacked_bytes_max: limits.analysed_bytes_max,
        ..WalkLimits::default()
    };
    walk(file, &walked, &mut |head, stream| scanning.member("", 0, head, stream));
    scanning.finish()
}

impl Scanning<'_> {
    fn member(&mut self, outer: &str, depth: u32, head: &Head, stream: &mut dyn Read) {
        let mut bytes = Vec::new();
        let most = self.limits.member_bytes_max as u64;
        // The walk's streams end where they break; they do not fail.
        let _ = stream.take(most).read_to_end(&mut bytes);
        self.cut += u64::from(stream.read(&mut [0]).is_ok_and(|more| more > 0));
        self.unpacked += bytes.len() as u64;
        self.visited += 1;
        let path = if outer.is_empty() { head.path.clone() } else { format!("{outer}!{}", head.path) };
        let kind = kind::of(&path, &bytes);
        self.bytes(&path, &[], &bytes, kind.is_text());
        let left = self.limits.analysed_bytes_max.saturating_sub(self.unpacked);
        let members = self.limits.members_max.saturating_sub(self.visited);
        let archive = kind == Kind::Archive || kind::besides(kind, &bytes) == Some(Kind::Archive);
        let opens = archive && depth < self.limits.nesting_max;
        if opens && bytes.len() <= self.limits.nested_bytes_max && left > 0 && members > 0 {
            let walked = WalkLimits { members_max: members, unpacked_bytes_max: left, ..WalkLimits::default() };
            walk_bytes(&bytes, &walked, &mut |head, stream| self.member(&path, depth + 1, head, stream));
        }
    }

    fn bytes(&mut self, path: &str, layer: &[&'static str], bytes: &[u8], is_text: bool) {
        let left = Duration::from_millis(ALL_MS_MAX).saturating_sub(self.spent);
        if left.is_zero() {
            self.unscanned += 1;
            return;
        }
        // Which string matched is only asked for where a rule holds: to find all places costs more than to find none.
        let patience = left.min(Duration::from_millis(ONE_MS_MAX));
        let begun = Instant::now();
        let (mut held, whole) = self.held(path, bytes, patience, false);
        if !held.is_empty() {
            let (placed, _) = self.held(path, bytes, patience, true);
            if placed.len() >= held.len() {
                held = placed;
            }
        }
        if !whole {
            self.slow.push(path.to_owned());
        }
        self.tell(path, layer, bytes, is_text, held);
        self.spent += begun.elapsed();
    }

    /// The rules that hold, each with its first match where it is known; and whether all were asked.
    fn held(&mut self, path: &str, bytes: &[u8], patience: Duration, full: bool) -> (Vec<Held>, bool) {
        let params = ScanParams::default()
            .compute_full_matches(full)
            .string_max_nb_matches(MATCHES_MAX)
            .match_max_length(1)
            .timeout_duration(Some(patience));
        let in_place = self.engine.rules.iter().any(|rule| rule.include.iter().any(|pattern| is_like(pattern, path)));
        let (mut held, mut whole) = (Vec::new(), true);
        for scanner in [self.everywhere.as_mut(), self.placed.as_mut().filter(|_| in_place)].into_iter().flatten() {
            scanner.set_scan_params(params.clone());
        }
        for scanner in [self.everywhere.as_ref(), self.placed.as_ref().filter(|_| in_place)].into_iter().flatten() {
            let result = scanner.scan_mem(bytes).unwrap_or_else(|(_, result)| {
                // What it found until then is true.
                whole = false;
                result
            });
            held.extend(result.rules.iter().filter_map(|found| {
                let rule = *self.engine.index.get(&(found.namespace.to_owned(), found.name.to_owned()))?;
                self.applies(rule, path).then(|| (rule, first(found)))
            }));
        }
        (held, whole)
    }

    fn applies(&self, rule: usize, path: &str) -> bool {
        let known = &self.engine.rules[rule];
        let any = |patterns: &[String]| patterns.iter().any(|pattern| is_like(pattern, path));
        self.runs[rule] && (known.include.is_empty() || any(&known.include)) && !any(&known.exclude)
    }

    fn tell(&mut self, path: &str, layer: &[&'static str], bytes: &[u8], is_text: bool, held: Vec<Held>) {
        for (rule, place) in held {
            self.places[rule] += 1;
            if self.places[rule] > PLACES_MAX {
                continue;
            }
            let known = &self.engine.rules[rule];
            let mut evidence = Evidence::new(known.severity, known.confidence, known.why.as_str());
            for tag in &known.tags {
                evidence = evidence.tag(tag.as_str());
            }
            let layers: Vec<String> = layer.iter().map(|one| (*one).to_owned()).collect();
            let shown = place
                .map(|(at, length)| if is_text { text::excerpt(bytes, at, at + length) } else { plain(bytes, at) });
            evidence = match place {
                Some((at, _)) if is_text => {
                    let (line, column) = text::place(bytes, at);
                    evidence.at_column(path, line, column)
                }
                Some(_) | None => evidence.at(path),
            };
            evidence = evidence.under(&layers);
            let shown = shown.unwrap_or_default();
            evidence = if layer.is_empty() { evidence.excerpt(&shown) } else { evidence.decoded(&shown) };
            self.hits.push(Hit { rule, evidence });
        }
    }

    fn finish(mut self) -> Scan {
        // By rule, then in the order met: a check's evidence goes in together.
        self.hits.sort_by_key(|hit| hit.rule);
        let mut list: Vec<Finding> = Vec::new();
        let mut hits = self.hits.into_iter().peekable();
        while let Some(rule) = hits.peek().map(|hit| hit.rule) {
            let mut findings = Findings::new();
            findings.begin(self.engine.rules[rule].id.clone(), self.engine.rules[rule].version);
            while let Some(hit) = hits.next_if(|hit| hit.rule == rule) {
                findings.add(hit.evidence);
            }
            list.extend(findings.finish());
        }
        let mut degraded = Vec::new();
        list = fair(list, &mut degraded);
        if self.cut > 0 {
            degraded.push(format!(
                "rules saw only the first {} MB of {} members",
                self.limits.member_bytes_max >> 20,
                self.cut
            ));
        }
        if !self.slow.is_empty() || self.unscanned > 0 {
            let named: Vec<String> = self.slow.iter().take(NAMED_MAX).map(|path| shorten(path, 100)).collect();
            let why = format!(
                "Rules of the operator took too long: {} members were not scanned to their end ({}), {} not at all.",
                self.slow.len(),
                named.join(", "),
                self.unscanned
            );
            list.push(unfinished(why));
        }
        Scan { findings: list, degraded, ..Scan::default() }
    }
}

/// One place of every rule, and of the rest the weightiest: a rule that is only tried out cannot push out what another
/// found.
fn fair(list: Vec<Finding>, degraded: &mut Vec<String>) -> Vec<Finding> {
    let mut firsts: Vec<Finding> = Vec::new();
    let mut rest: Vec<Finding> = Vec::new();
    for finding in list {
        let is_first = firsts.last().is_none_or(|last| last.check != finding.check);
        if is_first { firsts.push(finding) } else { rest.push(finding) }
    }
    rest.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.confidence)));
    let room = FINDINGS_MAX.saturating_sub(firsts.len());
    if rest.len() > room {
        degraded.push(format!("{} more places where rules hold are not listed", rest.len() - room));
        rest.truncate(room);
    }
    firsts.append(&mut rest);
    firsts.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.confidence)));
    firsts
}

/// The first match of any string.
fn first(rule: &EvaluatedRule<'_>) -> Option<(usize, usize)> {
    let all = rule.matches.iter().flat_map(|string| &string.matches);
    all.map(|found| (found.offset, found.length)).min()
}

/// Bytes that are no text: where, and what a person can read of them.
fn plain(bytes: &[u8], at: usize) -> String {
    let end = bytes.len().min(at + BYTES_SHOWN_MAX);
    let shown = bytes[at.min(end)..end]
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' });
    format!("at byte {at}: {}", shown.collect::<String>())
}

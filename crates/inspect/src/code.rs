//! The distribution's Python as one program: every module read once, put together, and the layers that are not Python
//! handed to the readers of their formats.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::distribution::{Distribution, Facts, Found, Member, Shape, holds_word, is_word, located};
use crate::formats::{native, pickle, pth, pyc};
use crate::kind::Kind;
use crate::python::{self, Besides, Cut, EffectKind, Labels, LayerKind, Limits, Module, OddityKind, Reach, Root};
use crate::reached::{self, Reached, Run};

/// Bytes of layers that are kept of one module until their readers have seen them.
const LAYER_BYTES_KEPT_MAX: usize = 4 << 20;
/// Bytes of layers that are kept for the rules of operators.
const ALL_LAYER_BYTES_MAX: usize = 16 << 20;
/// Most layers told of in one distribution.
const LAYERS_MAX: usize = 1_000;

/// A layer that is not Python, as its own reader saw it.
#[derive(Debug, Clone)]
pub struct Inner {
    /// The member in which it stands.
    pub path: String,
    /// The line at which it was unpacked, in the layer above; from 1.
    pub line: u32,
    /// The encodings taken off, outermost first.
    pub layer: Vec<&'static str>,
    /// What it is.
    pub kind: LayerKind,
    /// It reaches something that runs it.
    pub runs: bool,
    /// What its reader found.
    pub facts: Facts,
    /// What the search found in it.
    pub found: Vec<Found>,
}

/// Reads all Python of the distribution into [`Distribution::program`] and [`Distribution::inner`].
///
/// `fetch` reads members again whose text was not kept.
pub(crate) fn complete(
    distribution: &mut Distribution,
    for_rules: bool,
    fetch: impl Fn(&BTreeSet<String>) -> BTreeMap<String, Vec<u8>>,
) {
    let limits = limits(for_rules);
    let mut kept = Kept { on: for_rules, ..Kept::default() };
    let mut modules: Vec<(String, Module)> = Vec::new();
    let mut inner = Vec::new();
    // What was left out, each once with the first module of which it is true.
    let mut notes: BTreeMap<Cut, (String, u32)> = BTreeMap::new();
    let mut take = |path: &str, mut module: Module| {
        for (layer, bytes) in module.take_layer_bytes() {
            kept.add(path, &layer, &bytes);
            if layer.kind != LayerKind::Python && inner.len() < LAYERS_MAX {
                let facts = facts(layer.kind, &bytes);
                let (path, line) = (path.to_owned(), layer.place.line);
                let found = located(&bytes);
                inner.push(Inner { path, line, layer: layer.path, kind: layer.kind, runs: layer.runs, facts, found });
            }
        }
        for cut in module.cuts().keys() {
            let entry = notes.entry(*cut).or_insert_with(|| (path.to_owned(), 0_u32));
            entry.1 += 1;
        }
        (path.to_owned(), module)
    };
    for member in &mut distribution.members {
        let module = match (member.module.take(), source(member)) {
            (Some(module), _) => *module,
            (None, Some(source)) => python::read(&source, &limits),
            (None, None) => continue,
        };
        modules.push(take(&member.path, module));
    }
    let reached = reached::of(distribution, &modules);
    let (unread, is_cut) = unread(distribution, &reached, &modules);
    for (path, text) in fetch(&unread) {
        let module = python::read(&text, &limits);
        // What does not parse is not run: a readme that a build opens beside what it runs.
        let runs = !module.oddities().iter().any(|oddity| oddity.kind == OddityKind::SyntaxError);
        if let Some(member) = distribution.members.iter_mut().find(|member| member.path == path && runs) {
            member.text = text;
            modules.push(take(&path, module));
        }
    }
    let (besides, scripts) = besides(distribution, &reached, &modules);
    distribution.degraded.extend(notes.into_iter().map(|(cut, (first, count))| match count {
        1 => format!("{first}: {}", cut.words()),
        _ => format!("{first} and {} more modules: {}", count - 1, cut.words()),
    }));
    let roots = roots(distribution);
    let mut program = python::link_with(modules, &roots, besides, &limits);
    for (path, layer, bytes) in program.take_late_layers() {
        kept.add(&path, &layer, &bytes);
    }
    distribution.reaches_more = reached.is_cut || is_cut;
    distribution.degraded.extend(program.cuts.iter().map(|cut| cut.words().to_owned()));
    distribution.program = program;
    weigh_places(distribution, &roots);
    weigh_scripts(distribution, scripts);
    distribution.inner = inner;
    distribution.layers = kept.layers;
    if kept.left_out > 0 {
        distribution.degraded.push(format!("rules did not see {} layers that were peeled off", kept.left_out));
    }
}

/// A script starts with whatever starts it.
fn weigh_scripts(distribution: &mut Distribution, scripts: Scripts) {
    for (path, function, script) in scripts {
        let by_itself = distribution.program.reach_of(&path, function) >= Some(Reach::ImportTime);
        let by = distribution.member(&path);
        if by_itself && by.is_some_and(|by| !distribution.is_aside(by) && !distribution.left_behind.contains(&path)) {
            distribution.started.insert(script.clone());
            distribution.run_aside.insert(script);
        }
    }
}

/// Finds out what stands where nobody runs it. A place by its name alone says nothing: tests that the package imports
/// run with it, and a script beside the packages of an sdist stays behind when no build installs or starts it.
fn weigh_places(distribution: &mut Distribution, roots: &[Root]) {
    let declared = |path: &str| roots.iter().any(|root| root.reach >= Reach::EntryPoint && root.path == path);
    let loose = |member: &Member| distribution.is_loose(member) && !distribution.is_startup(member);
    let begins = |path: &str, function: &str| {
        let lower = function.to_ascii_lowercase();
        let of = distribution.member(path);
        // A function that runs the tests is there for whoever tests.
        let stands = |member: &Member| member.depth == 0 && !distribution.is_aside(member) && !loose(member);
        !lower.contains("test") && of.is_some_and(stands) || declared(path)
    };
    let run: BTreeSet<String> = distribution.program.run_from(begins).into_iter().map(str::to_owned).collect();
    let builds = told_by_build(distribution);
    // What was not kept, or is only known when it runs, may name anything.
    let words: Option<BTreeSet<&str>> =
        builds.as_ref().map(|texts| texts.iter().flat_map(|text| text.split(|c| !is_word(c))).collect());
    let texts = || builds.iter().flatten();
    // Names are asked for in thousands, of texts of megabytes.
    let named = |word: &str| match &words {
        Some(words) if word.chars().all(is_word) => words.contains(word),
        Some(_) => texts().any(|text| holds_word(text, word)),
        None => true,
    };
    let mut tops: BTreeMap<String, bool> = BTreeMap::new();
    let started = |word: &str| {
        let starts = |kind| matches!(kind, EffectKind::Process | EffectKind::Exec | EffectKind::Import);
        let mut effects = distribution.program.effects().filter(|seen| starts(seen.effect.kind));
        effects.any(|seen| seen.effect.text().contains(word))
    };
    let mut stays = |member: &&Member| {
        let top = member.place.split('/').next().unwrap_or_default();
        let stem = member.name().split('.').next().unwrap_or_default();
        let sdist = distribution.shape == Shape::Sdist && member.kind == Kind::Python && member.depth == 0;
        let mut left = || loose(member) && !*tops.entry(top.to_owned()).or_insert_with(|| named(top));
        // A name with a dash is no module's: somebody has to start it.
        let stays = sdist && !run.contains(&member.path) && (left() || stem.contains('-') && !started(stem));
        stays && !distribution.is_startup(member) && !named(stem)
    };
    let left: BTreeSet<String> =
        distribution.members.iter().filter(&mut stays).map(|member| member.path.clone()).collect();
    let aside = |path: &&String| {
        distribution.member(path).is_some_and(|member| member.stands_aside_by_name() || member.depth > 0)
    };
    let aside: BTreeSet<String> = run.iter().filter(aside).cloned().collect();
    (distribution.run_aside, distribution.left_behind) = (aside, left);
}

/// What a build says in its settings and its code, names that it puts together included; nothing when it runs or opens
/// something of which nothing is known.
fn told_by_build(distribution: &Distribution) -> Option<Vec<Cow<'_, str>>> {
    let mut told = distribution.build_texts()?;
    let builds = |path: &str| distribution.member(path).is_some_and(|member| distribution.is_startup(member));
    let (mut runs_files, mut opens_unknown) = (false, false);
    for seen in distribution.program.effects().filter(|seen| builds(seen.path)) {
        let unknown = seen.effect.args.first().is_none_or(|arg| arg.text.is_empty());
        let kind = seen.effect.kind;
        if kind == EffectKind::Process && unknown {
            return None;
        }
        opens_unknown |= kind == EffectKind::Read && unknown;
        runs_files |= kind == EffectKind::Exec && seen.labels.any(Labels::FILE);
        told.push(seen.effect.text().into());
    }
    (!(runs_files && opens_unknown)).then_some(told)
}

/// Paths of what is run as Python and was not read so, and whether there are more than are read now.
fn unread(distribution: &Distribution, reached: &Reached, modules: &[(String, Module)]) -> (BTreeSet<String>, bool) {
    const MEMBERS_MAX: usize = 64;
    let read: BTreeSet<&str> = modules.iter().map(|(path, _)| path.as_str()).collect();
    let members = reached.runs.iter().filter(|run| !run.is_script).map(|run| &distribution.members[run.member]);
    // Whatever it is called and looks like; texts first, as listings meet stubs and data by the hundred.
    let unread = members.filter(|member| member.depth == 0 && !read.contains(member.path.as_str()));
    let unread: BTreeMap<&str, Kind> = unread.map(|member| (member.path.as_str(), member.kind)).collect();
    let is_text = |kind| matches!(kind, Kind::Text | Kind::Shell | Kind::Metadata | Kind::ToolConfig);
    let some = |text: bool| unread.iter().filter(move |(_, kind)| is_text(**kind) == text).map(|(path, _)| *path);
    let is_cut = some(true).count() > MEMBERS_MAX;
    let unread = some(true).take(MEMBERS_MAX).chain(some(false).take(MEMBERS_MAX)).map(str::to_owned).collect();
    (unread, is_cut)
}

/// Who starts which script: the starting module's path, its function, the script's path.
type Scripts = Vec<(String, u32, String)>;

/// The same by the places of modules; scripts apart.
fn besides(distribution: &Distribution, reached: &Reached, modules: &[(String, Module)]) -> (Besides, Scripts) {
    let of: BTreeMap<&str, usize> = modules.iter().enumerate().rev().map(|(n, (path, _))| (path.as_str(), n)).collect();
    let module = |member: usize| of.get(distribution.members[member].path.as_str()).copied();
    let named = reached.names.iter().filter_map(|(name, member)| Some((name.clone(), module(*member)?)));
    let python = reached.runs.iter().filter(|run| !run.is_script);
    let runs = python.filter_map(|run| Some((run.module, run.function, module(run.member)?)));
    let besides = Besides { names: named.collect(), runs: runs.filter(|(by, _, run)| by != run).collect() };
    let script =
        |run: &Run| (modules[run.module].0.clone(), run.function, distribution.members[run.member].path.clone());
    (besides, reached.runs.iter().filter(|run| run.is_script).map(script).collect())
}

/// Layers that are kept until the rules of operators saw them; none where there are no rules.
#[derive(Default)]
struct Kept {
    on: bool,
    layers: Vec<crate::yara::Layer>,
    bytes: usize,
    left_out: u64,
}

impl Kept {
    fn add(&mut self, path: &str, layer: &python::Layer, bytes: &Rc<[u8]>) {
        // Text as it is written stands in the member too.
        let is_plain = layer.path.iter().all(|step| *step == "string") && layer.kind == LayerKind::Text;
        if !self.on || is_plain {
            return;
        }
        if self.layers.len() >= LAYERS_MAX || self.bytes + bytes.len() > ALL_LAYER_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes.len();
        let (path, layer) = (path.to_owned(), layer.path.clone());
        self.layers.push(crate::yara::Layer { path, layer, bytes: Rc::clone(bytes) });
    }
}

/// Bounds of reading one module of a distribution.
pub(crate) fn limits(for_rules: bool) -> Limits {
    Limits { layer_bytes_kept_max: LAYER_BYTES_KEPT_MAX, keep_python_layers: for_rules, ..Limits::default() }
}

/// Whether Python at this path is run as it stands.
pub(crate) fn is_source(path: &str) -> bool {
    !path.ends_with(".pyx") && !path.ends_with(".pyi")
}

/// What of a member is Python: sources, and the import lines of path files, at the lines at which they stand.
fn source(member: &Member) -> Option<Vec<u8>> {
    if member.kind == Kind::Python && is_source(&member.path) {
        return Some(member.text.clone());
    }
    (member.kind == Kind::Pth).then(|| pth::source(&member.text))
}

fn facts(kind: LayerKind, bytes: &[u8]) -> Facts {
    match kind {
        LayerKind::Marshal => pyc::read_code(bytes).map_or(Facts::None, Facts::Pyc),
        LayerKind::Pickle => Facts::Pickle(pickle::read(bytes)),
        LayerKind::Pe | LayerKind::Elf | LayerKind::MachO => Facts::Native(native::read(bytes)),
        LayerKind::Python | LayerKind::Shell | LayerKind::PowerShell | LayerKind::JavaScript => Facts::None,
        LayerKind::Archive | LayerKind::Media | LayerKind::Text | LayerKind::Bytes => Facts::None,
    }
}

/// Functions that pbr is told to call while it builds: `setup-hooks = module.function`, several one a line.
fn setup_hooks(distribution: &Distribution) -> Vec<Root> {
    let Some(member) = distribution.at("setup.cfg").filter(|_| distribution.shape == Shape::Sdist) else {
        return vec![];
    };
    let text = member.text();
    let behind = ["setup-hooks", "setup_hooks"].iter().find_map(|key| text.split_once(key)).map(|(_, behind)| behind);
    let Some((_, behind)) = behind.and_then(|behind| behind.split_once('=')) else { return vec![] };
    let lines = behind.lines().enumerate().take_while(|(n, line)| *n == 0 || line.starts_with([' ', '\t']));
    // Each once: a search for every one of many lines that say the same would take as long as there are lines.
    let named: BTreeSet<(&str, &str)> = lines.filter_map(|(_, line)| line.trim().rsplit_once('.')).collect();
    let own = distribution.members.iter().rev().filter(|member| member.depth == 0);
    let by_place: BTreeMap<&str, &Member> = own.map(|member| (member.place.as_str(), member)).collect();
    let roots = named.into_iter().flat_map(|(module, function)| {
        let place = module.replace('.', "/");
        let at = |place: String| by_place.get(place.as_str()).copied();
        let at = at(format!("{place}.py")).or_else(|| at(format!("{place}/__init__.py")));
        let root = move |path: &str, function| Root { path: path.to_owned(), function, reach: Reach::InstallTime };
        at.into_iter().flat_map(move |at| [root(&at.path, None), root(&at.path, Some(function.to_owned()))])
    });
    roots.collect()
}

/// What runs by itself beyond what the names of files say.
fn roots(distribution: &Distribution) -> Vec<Root> {
    let mut roots = Vec::new();
    for member in distribution.members.iter().filter(|member| distribution.is_startup(member)) {
        let built = distribution.shape == Shape::Sdist && member.kind != Kind::Pth;
        let reach = if built { Reach::InstallTime } else { Reach::StartUp };
        roots.push(Root { path: member.path.clone(), function: None, reach });
        if built && member.place != "setup.py" {
            // PEP 517 and 660: what a front end calls in the module that builds, or in an object of it.
            const HOOKS: [&str; 8] = [
                ".build_wheel",
                ".build_sdist",
                ".build_editable",
                ".prepare_metadata_for_build_wheel",
                ".prepare_metadata_for_build_editable",
                ".get_requires_for_build_wheel",
                ".get_requires_for_build_sdist",
                ".get_requires_for_build_editable",
            ];
            // What hatchling, pdm-backend and poetry-core call in a module that they are told of.
            const OTHERS: [&str; 8] = [
                ".initialize",
                ".finalize",
                ".update",
                ".clean",
                ".pdm_build_initialize",
                ".pdm_build_finalize",
                ".pdm_build_update_files",
                ".build",
            ];
            for hook in HOOKS.into_iter().chain(OTHERS) {
                roots.push(Root { path: member.path.clone(), function: Some(hook.into()), reach });
            }
        }
    }
    for member in &distribution.members {
        if member.kind == Kind::Python && (distribution.is_aside(member) || distribution.is_loose(member)) {
            roots.push(Root { path: member.path.clone(), function: None, reach: Reach::Script });
        }
    }
    roots.extend(setup_hooks(distribution));
    for entry in &distribution.entry_points {
        let target = entry.target.split(['[', ' ']).next().unwrap_or_default();
        let (module, function) = target.split_once(':').map_or((target, None), |(m, f)| (m, Some(f.to_owned())));
        let place = module.replace('.', "/");
        let member = [format!("{place}.py"), format!("{place}/__init__.py"), format!("src/{place}.py")]
            .iter()
            .chain([&format!("src/{place}/__init__.py")])
            .find_map(|place| distribution.at(place));
        if let Some(member) = member {
            // What setuptools looks up it calls in every build of an environment, and of a tree that brings it along.
            const BUILDS: [&str; 4] = [
                "setuptools.finalize_distribution_options",
                "distutils.commands",
                "egg_info.writers",
                "setuptools.file_finders",
            ];
            // Its own are what it is made of.
            let builds = BUILDS.contains(&entry.group.as_str()) && !distribution.tops.contains("setuptools");
            let reach = if builds { Reach::InstallTime } else { Reach::EntryPoint };
            if builds {
                roots.push(Root { path: member.path.clone(), function: None, reach });
            }
            roots.push(Root { path: member.path.clone(), function, reach });
        }
    }
    roots
}

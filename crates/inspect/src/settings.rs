//! What a distribution says of itself: its shape, its metadata, its entry points, how it is built.

use std::collections::BTreeSet;

use archive::members::Reading;
use packaging::DistFilename;

use crate::distribution::{Distribution, Member, Shape, is_aside, is_word};
use crate::formats::pth::{self, ends_line};
use crate::kind::Kind;

/// Largest settings file that is parsed, in bytes.
pub(crate) const SETTINGS_BYTES_MAX: usize = 1 << 20;
/// Most entry points.
pub(crate) const ENTRY_POINTS_MAX: usize = 5_000;

/// A name that installers or frameworks look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// `console_scripts`, `pytest11`, …; `scripts` for a file that is installed as a command.
    pub group: String,
    /// The name.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// The member that says so.
    pub path: String,
    /// Its line there, from 1.
    pub line: u32,
}

/// `[build-system]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSystem {
    /// Requirements, as written.
    pub requires: Vec<String>,
    /// The module that builds.
    pub backend: Option<String>,
    /// Folders of the sdist in which it is looked for first.
    pub backend_path: Vec<String>,
    /// Places of modules that the build system runs besides: hooks of hatchling, pdm-backend and poetry-core.
    pub hooks: Vec<String>,
    /// The member that says so.
    pub path: String,
}

impl BuildSystem {
    /// Whether a member is the module that builds, part of its package, or run by another project's back end.
    pub fn is_in_tree(&self, place: &str) -> bool {
        if self.hooks.iter().any(|hook| hook == place) {
            return true;
        }
        let Some(backend) = &self.backend else { return false };
        let module = backend.split(':').next().unwrap_or_default().trim().replace('.', "/");
        self.backend_path.iter().any(|folder| {
            let folder = normal(folder);
            let below = if folder.is_empty() { Some(place) } else { place.strip_prefix(&folder) };
            let Some(rest) = below.map(|rest| rest.trim_start_matches('/')) else { return false };
            // The packages that the module stands in are imported before it.
            let parent = rest.strip_suffix("/__init__.py").is_some_and(|parent| {
                module.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            parent || rest.strip_suffix(".py") == Some(&*module)
        })
    }
}

/// Fills in what only the list of all members tells.
pub(crate) fn complete(distribution: &mut Distribution) {
    distribution.shape = shape(distribution);
    let root = match distribution.shape {
        Shape::Sdist | Shape::Other => root(&distribution.members),
        Shape::Wheel => None,
    };
    for member in distribution.members.iter_mut().filter(|member| member.depth == 0) {
        member.place = match distribution.shape {
            Shape::Wheel => installed(&member.path).to_owned(),
            Shape::Sdist => below(&member.path, root.as_deref()).to_owned(),
            Shape::Other => site(&member.path, root.as_deref()).to_owned(),
        };
    }
    metadata(distribution);
    build(distribution);
    entry_points(distribution);
    tops(distribution);
    searched(distribution);
    if distribution.shape == Shape::Wheel {
        // Beside a package that is none, tests and examples are what they are called; alone, they are the package.
        let aside = |top: &&String| is_aside(&format!("{top}/__init__.py")) || is_aside(&format!("{top}.py"));
        let project = distribution.project().map(|project| project.as_str().replace('-', "_")).unwrap_or_default();
        let all = distribution.tops.iter().all(|top| aside(&top));
        let never = |top: &&String| all || **top == project;
        distribution.never_aside = distribution.tops.iter().filter(never).cloned().collect();
    }
}

/// Folders that path files of a wheel or an environment name.
fn searched(distribution: &mut Distribution) {
    let reads = |member: &&Member| member.kind == Kind::Pth && member.depth == 0 && !member.place.contains('/');
    let lines = distribution.members.iter().filter(reads).flat_map(|member| pth::lines(&member.text));
    let folder = |line: pth::Line| {
        let folder = normal(&line.text);
        (!line.runs && !folder.is_empty() && !folder.starts_with("..")).then_some(folder)
    };
    let named: BTreeSet<String> = lines.filter_map(folder).collect();
    let holds = |folder: &String| {
        let below =
            |member: &Member| member.place.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
        distribution.members.iter().any(below)
    };
    distribution.searched = named.into_iter().filter(holds).collect();
}

/// A path with `.` and `..` worked out; what leads out keeps its `..` in front.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn shape(distribution: &Distribution) -> Shape {
    match &distribution.filename {
        Some(DistFilename::Wheel(_)) => return Shape::Wheel,
        Some(DistFilename::Sdist(_)) => return Shape::Sdist,
        None => {}
    }
    let own = || distribution.members.iter().filter(|member| member.depth == 0);
    let wheel =
        own().filter(|member| member.path.ends_with(".dist-info/WHEEL") && member.path.matches('/').count() == 1);
    // Two of them make an environment, not a wheel.
    if wheel.count() == 1 {
        return Shape::Wheel;
    }
    let names = ["setup.py", "pyproject.toml", "PKG-INFO", "setup.cfg"];
    let sdist = own().any(|member| member.path.matches('/').count() <= 1 && names.contains(&member.name()));
    if sdist { Shape::Sdist } else { Shape::Other }
}

/// The one folder that everything stands in.
fn root(members: &[Member]) -> Option<String> {
    let is_own = |member: &&Member| member.depth == 0 && member.reading == Reading::Listed && !member.around;
    let mut own = members.iter().filter(is_own);
    let first = own.next()?.path.split_once('/')?.0.to_owned();
    own.all(|member| member.path.split('/').next() == Some(&first)).then_some(first)
}

fn below<'p>(path: &'p str, root: Option<&str>) -> &'p str {
    root.and_then(|root| path.strip_prefix(root)?.strip_prefix('/')).unwrap_or(path)
}

/// Where a wheel's member goes. `NAME.data/purelib` and `platlib` are spread over the same folder; of `data`, only
/// what spells out that folder comes there too.
fn installed(path: &str) -> &str {
    let Some((top, rest)) = path.split_once('/') else { return path };
    if !top.ends_with(".data") {
        return path;
    }
    match rest.split_once('/') {
        Some(("purelib" | "platlib", rest)) => rest,
        Some(("data", rest)) => {
            let packages = ["site-packages/", "dist-packages/"].iter().find_map(|folder| rest.split_once(folder));
            packages.map_or("", |(_, rest)| rest)
        }
        _ => "",
    }
}

/// In an environment, the place below its folder of installed packages; else below the one folder around all.
fn site<'p>(path: &'p str, root: Option<&str>) -> &'p str {
    path.rsplit_once("site-packages/").map_or_else(|| below(path, root), |(_, rest)| rest)
}

fn metadata(distribution: &mut Distribution) {
    let wanted = |member: &&Member| {
        member.depth == 0
            && match distribution.shape {
                Shape::Wheel => member.place.ends_with(".dist-info/METADATA"),
                Shape::Sdist => member.place == "PKG-INFO" || member.place.ends_with(".egg-info/PKG-INFO"),
                Shape::Other => false,
            }
    };
    // The shortest path is the one that installers read.
    let found = distribution.members.iter().filter(wanted).min_by_key(|member| member.path.len());
    if let Some(member) = found {
        distribution.metadata = packaging::metadata::parse(&member.text).0;
        distribution.metadata_path = member.path.clone();
    }
}

fn build(distribution: &mut Distribution) {
    let Some(member) = distribution.at("pyproject.toml").filter(|_| distribution.shape == Shape::Sdist) else { return };
    let Some(table) = toml(member) else { return };
    let Some(system) = table.get("build-system") else { return };
    let list = |key: &str| {
        let values = system.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let backend = system.get("build-backend").and_then(toml::Value::as_str).map(str::to_owned);
    let path = member.path.clone();
    let mut hooks = hooks_of(&table, backend.as_deref().unwrap_or_default());
    // What hatchling is told in a file of its own is `tool.hatch`.
    if let Some(own) = distribution.at("hatch.toml").and_then(toml) {
        let tools = toml::Table::from_iter([("hatch".to_owned(), own.into())]);
        let table = toml::Table::from_iter([("tool".to_owned(), tools.into())]);
        hooks.extend(hooks_of(&table, backend.as_deref().unwrap_or_default()));
    }
    let backend_path = list("backend-path");
    distribution.build = Some(BuildSystem { requires: list("requires"), backend, backend_path, hooks, path });
}

/// Modules of the tree that the back ends of others run while they build, each as its own documentation names them.
fn hooks_of(table: &toml::Table, backend: &str) -> Vec<String> {
    const DEPTH_MAX: u32 = 8;
    let tool = |name: &str| table.get("tool").and_then(|tool| tool.get(name));
    let mut found = Vec::new();
    if backend.starts_with("hatchling") {
        let version = tool("hatch").and_then(|hatch| hatch.get("version"));
        if version.and_then(|version| version.get("source")).and_then(toml::Value::as_str) == Some("code") {
            found.extend(
                version.and_then(|version| version.get("path")).and_then(toml::Value::as_str).map(str::to_owned),
            );
        }
        let mut work: Vec<(&toml::Value, u32)> = tool("hatch").map(|hatch| (hatch, 0)).into_iter().collect();
        while let Some((value, depth)) = work.pop() {
            let Some(table) = value.as_table() else { continue };
            if let Some(custom) = table.get("hooks").and_then(|hooks| hooks.get("custom")) {
                found.push(custom.get("path").and_then(toml::Value::as_str).unwrap_or("hatch_build.py").to_owned());
            }
            work.extend(table.values().filter(|_| depth < DEPTH_MAX).map(|value| (value, depth + 1)));
        }
    } else if backend.starts_with("pdm") {
        let script = tool("pdm").and_then(|pdm| pdm.get("build")).and_then(|build| build.get("custom-hook"));
        found.push(script.and_then(toml::Value::as_str).unwrap_or("pdm_build.py").to_owned());
    } else if backend.starts_with("poetry") {
        let build = tool("poetry").and_then(|poetry| poetry.get("build"));
        let script = build.and_then(|build| build.get("script").or(Some(build))).and_then(toml::Value::as_str);
        found.extend(script.map(str::to_owned));
    }
    for hook in &mut found {
        *hook = normal(hook);
    }
    found
}

fn toml(member: &Member) -> Option<toml::Table> {
    if member.text.len() > SETTINGS_BYTES_MAX {
        return None;
    }
    member.text().parse().ok()
}

fn entry_points(distribution: &mut Distribution) {
    let mut found = Vec::new();
    for member in distribution.members.iter().filter(|member| member.depth == 0) {
        let in_info = member.place.ends_with(".dist-info/entry_points.txt")
            || member.place.ends_with(".egg-info/entry_points.txt");
        if in_info && distribution.shape != Shape::Other {
            ini(member, |section| Some(section.to_owned()), &mut found);
        } else if member.place == "pyproject.toml" && distribution.shape == Shape::Sdist {
            project_table(member, &mut found);
        }
        const COMMANDS: [&str; 3] = [".data/scripts/", ".data/data/bin/", ".data/data/Scripts/"];
        if distribution.shape == Shape::Wheel
            && let Some((_, name)) = COMMANDS.iter().find_map(|folder| member.path.split_once(folder))
        {
            let (group, path) = ("scripts".to_owned(), member.path.clone());
            found.push(EntryPoint { group, name: name.to_owned(), target: String::new(), path, line: 1 });
        }
    }
    found.truncate(ENTRY_POINTS_MAX);
    distribution.entry_points = found;
}

/// `[section]`, then `name = target`.
fn ini(member: &Member, group: impl Fn(&str) -> Option<String>, found: &mut Vec<EntryPoint>) {
    let mut section = None;
    // Lines as `str.splitlines` has them, which is what reads them (`importlib.metadata`).
    let text = member.text();
    let lines = (1u32..).zip(text.split('\n')).flat_map(|(n, line)| line.split(ends_line).map(move |part| (n, part)));
    for (line, text) in lines {
        if found.len() >= ENTRY_POINTS_MAX {
            return;
        }
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            section = group(name.trim());
        } else if let (Some(group), Some((name, target))) = (&section, text.split_once('='))
            && !text.starts_with(['#', ';'])
        {
            let (name, target) = (name.trim().to_owned(), target.trim().to_owned());
            found.push(EntryPoint { group: group.clone(), name, target, path: member.path.clone(), line });
        }
    }
}

/// `[project.scripts]`, `[project.gui-scripts]` and `[project.entry-points.GROUP]`.
fn project_table(member: &Member, found: &mut Vec<EntryPoint>) {
    let Some(table) = toml(member) else { return };
    let Some(project) = table.get("project").and_then(toml::Value::as_table) else { return };
    let mut group = |group: &str, names: &toml::Table| {
        for (name, target) in names.iter().take(ENTRY_POINTS_MAX) {
            let (path, group) = (member.path.clone(), group.to_owned());
            let text = member.text();
            let line = (1u32..).zip(text.lines()).find(|(_, line)| line.contains(name.as_str()));
            let target = target.as_str().unwrap_or_default().to_owned();
            found.push(EntryPoint { group, name: name.clone(), target, path, line: line.map_or(1, |(line, _)| line) });
        }
    };
    for (key, name) in [("scripts", "console_scripts"), ("gui-scripts", "gui_scripts")] {
        if let Some(names) = project.get(key).and_then(toml::Value::as_table) {
            group(name, names);
        }
    }
    for (name, names) in project.get("entry-points").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(names) = names.as_table() {
            group(name, names);
        }
    }
}

/// What `import NAME` finds: packages and modules at the top, below `src` in an sdist that has it, and below the folder
/// that a build names as where packages stand. A name with a dash is no module's and still a package's folder: its
/// author meant it to be imported.
fn tops(distribution: &mut Distribution) {
    let mut found = BTreeSet::new();
    let builds = distribution.build_texts().unwrap_or_default();
    let folders: BTreeSet<&str> = builds.iter().flat_map(|text| package_folders(text)).collect();
    for member in distribution.members.iter().filter(|member| member.depth == 0) {
        let place = match distribution.shape {
            Shape::Sdist => member.place.strip_prefix("src/").unwrap_or(&member.place),
            Shape::Wheel | Shape::Other => &member.place,
        };
        let top = match place.split_once('/') {
            Some((top, "__init__.py")) => Some(top),
            Some((top, rest)) if distribution.shape != Shape::Sdist && rest.ends_with(".py") => Some(top),
            Some((top, rest)) if rest.ends_with("/__init__.py") && rest.matches('/').count() == 1 => {
                // `package_dir`, `where`: its packages are at the top, once installed.
                Some(top)
                    .filter(|top| folders.contains(top) && distribution.at(&format!("{top}/__init__.py")).is_none())
            }
            None => place.strip_suffix(".py").filter(|name| *name != "setup"),
            Some(_) => None,
        };
        let beside = distribution.shape == Shape::Sdist && member.stands_aside_by_name();
        if let Some(top) = top.filter(|top| !beside && !top.contains('.') && !top.is_empty()) {
            found.insert(top.to_owned());
        }
    }
    distribution.tops = found;
}

/// What may be the folders in which a build's text says that packages stand: the words right behind the word for it.
fn package_folders(text: &str) -> impl Iterator<Item = &str> {
    const NEAR_BYTES: usize = 60;
    ["package_dir", "package-dir", "where"].into_iter().flat_map(move |word| {
        text.match_indices(word).flat_map(move |(at, _)| {
            let end = (at + word.len() + NEAR_BYTES).min(text.len());
            let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
            text[at + word.len()..end].split(|c| !is_word(c))
        })
    })
}

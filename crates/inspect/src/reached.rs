//! What code reaches by a path and not by a name: files that it runs whatever they are called, folders and archives that
//! it searches for modules, packages that it imports whole.
//!
//! A path is seldom known in full; its last parts are enough to find a member, that of the code's own folder first.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::distribution::{Distribution, Member};
use crate::kind::Kind;
use crate::python::{Argument, Effect, EffectKind, FunctionId, Labels, Module, Search, dotted};
use crate::settings::normal;

/// Most members that one path is taken for.
const MEMBERS_MAX: usize = 64;
/// Most of everything that is found; more is told, as whatever would come then is not followed.
const ALL_MAX: usize = 50_000;

/// A function, and a member that it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    /// The module, by its place among all.
    pub(crate) module: usize,
    /// The function of it.
    pub(crate) function: FunctionId,
    /// The member, by its place among all.
    pub(crate) member: usize,
    /// Another interpreter than Python's is given it.
    pub(crate) is_script: bool,
}

/// All that is reached so.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// What is run.
    pub(crate) runs: BTreeSet<Run>,
    /// Names under which members are imported besides those that their places give them.
    pub(crate) names: Vec<(String, usize)>,
    /// There is more than is followed.
    pub(crate) is_cut: bool,
}

/// Goes over the effects of all modules.
pub(crate) fn of(distribution: &Distribution, modules: &[(String, Module)]) -> Reached {
    let index = Index::of(&distribution.members);
    let mut reached = Reached::default();
    for folder in &distribution.searched {
        let below = |member: &Member| member.place.strip_prefix(folder.as_str())?.strip_prefix('/').map(str::to_owned);
        for (at, member) in distribution.members.iter().enumerate() {
            reached.names.extend(below(member).filter(|_| member.depth == 0).map(|rest| (dotted(&rest), at)));
        }
    }
    for (n, (path, module)) in modules.iter().enumerate() {
        let from = From { index: &index, path, module, reads: OnceCell::new() };
        for search in module.searches() {
            from.search(search, &mut reached);
        }
        // What one function does again reaches nothing else.
        let mut seen = BTreeSet::new();
        for effect in module.effects() {
            let shown: Vec<String> = effect.args.iter().map(Argument::shown).collect();
            let acts = matches!(effect.kind, EffectKind::Process | EffectKind::Exec | EffectKind::Import);
            if !acts || !seen.insert((effect.function, &*effect.name, shown.clone())) {
                continue;
            }
            let (found, is_script) = if effect.kind == EffectKind::Process {
                from.started(effect)
            } else {
                (from.run(effect, &shown), false)
            };
            let run = |member| Run { module: n, function: effect.function, member, is_script };
            reached.runs.extend(found.members.into_iter().map(run));
            reached.is_cut |= found.is_cut && !distribution.member(path).is_some_and(|by| distribution.is_aside(by));
            if reached.runs.len() + reached.names.len() > ALL_MAX {
                reached.is_cut = true;
                return reached;
            }
        }
    }
    reached
}

/// The members that a path may mean, by their places among all.
#[derive(Debug, Clone, Default)]
struct Found {
    members: Vec<usize>,
    /// A path may mean more than [`MEMBERS_MAX`].
    is_cut: bool,
}

impl Found {
    /// The first so many.
    fn of(found: impl Iterator<Item = usize>) -> Self {
        let mut members: Vec<usize> = found.take(MEMBERS_MAX + 1).collect();
        let is_cut = members.len() > MEMBERS_MAX;
        members.truncate(MEMBERS_MAX);
        Self { members, is_cut }
    }

    /// All that several paths may mean.
    fn all(found: impl Iterator<Item = Self>) -> Self {
        found.fold(Self::default(), |mut all, one| {
            all.members.extend(one.members);
            all.is_cut |= one.is_cut;
            all
        })
    }
}

/// Members by what is known of a path to them.
struct Index<'d> {
    members: &'d [Member],
    /// In the order of their paths, and so are those of one name.
    every: Vec<usize>,
    /// By the last part of their paths.
    by_name: HashMap<&'d str, Vec<usize>>,
    /// Python's, by the name under which their place has them imported.
    dotted: BTreeMap<String, Vec<usize>>,
}

impl<'d> Index<'d> {
    fn of(members: &'d [Member]) -> Self {
        let (mut by_name, mut names) = (HashMap::<_, Vec<usize>>::new(), BTreeMap::<_, Vec<usize>>::new());
        let mut every: Vec<usize> = (0..members.len()).collect();
        every.sort_by_key(|at| &members[*at].path);
        for (at, member) in every.iter().map(|at| (*at, &members[*at])) {
            by_name.entry(member.path.rsplit(['/', '!']).next().unwrap_or(&member.path)).or_default().push(at);
            if matches!(member.kind, Kind::Python | Kind::Pyc) {
                names.entry(dotted(&member.path)).or_default().push(at);
            }
        }
        Self { members, every, by_name, dotted: names }
    }

    /// The modules of a package, of its packages too.
    fn below(&self, package: &str) -> Vec<usize> {
        let prefix = format!("{package}.");
        let all = self.dotted.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        all.flat_map(|(_, at)| at).copied().take(ALL_MAX).collect()
    }

    /// The members whose paths end like this: those below the folder, or else any.
    fn ending(&self, tail: &[String], folder: &str) -> Found {
        let Some(last) = tail.last() else { return Found::default() };
        let all = if last.contains('*') {
            &self.every[..]
        } else {
            self.by_name.get(last.as_str()).map_or(&[][..], Vec::as_slice)
        };
        let path = |at: &usize| self.members[*at].path.as_str();
        let is = |at: &usize| ends_with(path(at), tail);
        let near = all[all.partition_point(|at| path(at) < folder)..].iter();
        let near = Found::of(near.copied().take_while(|at| path(at).starts_with(folder)).filter(is));
        if near.members.is_empty() {
            // Of another folder, and so of nobody's in particular: a name that many have, as a configuration's of tests.
            Found { is_cut: false, ..Found::of(all.iter().copied().filter(is)) }
        } else {
            near
        }
    }
}

/// The members that a module reads.
struct Reads {
    by_function: BTreeMap<FunctionId, Found>,
    all: Found,
}

/// One module that reaches others.
struct From<'d> {
    index: &'d Index<'d>,
    path: &'d str,
    module: &'d Module,
    reads: OnceCell<Reads>,
}

impl From<'_> {
    fn folder(&self) -> &str {
        self.path.rsplit_once(['/', '!']).map_or("", |(folder, _)| folder)
    }

    /// The members that a path may mean: those of this code's own folder, or else of any. A star stands for a name's rest.
    fn members(&self, text: &str) -> Found {
        tail(text).map(|tail| self.index.ending(&tail, self.folder())).unwrap_or_default()
    }

    fn reads(&self) -> &Reads {
        self.reads.get_or_init(|| {
            let mut by_function = BTreeMap::<_, Found>::new();
            for read in self.module.effects().iter().filter(|effect| effect.kind == EffectKind::Read) {
                let found = read.args.iter().map(|argument| self.members(&argument.shown()));
                let of: &mut Found = by_function.entry(read.function).or_default();
                let before = std::mem::take(of);
                *of = Found::all(std::iter::once(before).chain(found));
            }
            for found in by_function.values_mut() {
                found.members = found.members.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
            }
            let mut all = Found::all(by_function.values().cloned());
            all.members = all.members.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            Reads { by_function, all }
        })
    }

    /// What `exec`, `import` and their like are given.
    fn run(&self, effect: &Effect, shown: &[String]) -> Found {
        let by_text = || Found::all(shown.iter().map(|text| self.members(text)));
        match &*effect.name {
            "importlib.import_module" | "__import__" | "importlib.__import__" => {
                return Found { members: self.imported(shown), is_cut: false };
            }
            _ if effect.kind == EffectKind::Import => return by_text(),
            "execfile" | "runpy.run_path" => return by_text(),
            _ => {}
        }
        if !effect.taint.labels.any(Labels::FILE) && effect.taint.calls.is_none() {
            return Found::default();
        }
        let reads = self.reads();
        reads.by_function.get(&effect.function).unwrap_or(&reads.all).clone()
    }

    /// What an import by a name that is known in part may mean, or that of whatever a package holds.
    fn imported(&self, shown: &[String]) -> Vec<usize> {
        let text = shown.first().map_or("", String::as_str);
        if !text.is_empty() && !text.contains("{}") {
            return Vec::new();
        }
        let named = text.split("{}").next().unwrap_or_default().trim_end_matches('.');
        if !named.is_empty() && !named.starts_with('.') {
            return self.index.below(named);
        }
        let lists = |effect: &Effect| effect.kind == EffectKind::Read && effect.name.starts_with("os.");
        let listed = self.module.searches().iter().any(Search::walks) || self.module.effects().iter().any(lists);
        let package = dotted(&format!("{}/__init__.py", self.folder()));
        if listed || named.starts_with('.') { self.index.below(&package) } else { Vec::new() }
    }

    /// The file that an interpreter is given, and whether it is another than Python.
    fn started(&self, effect: &Effect) -> (Found, bool) {
        const SHELLS: [&str; 8] = ["sh", "bash", "zsh", "dash", "ksh", "node", "bun", "powershell"];
        if &*effect.name == "runpy.run_path" {
            let text = effect.args.first().map(Argument::shown).unwrap_or_default();
            let inner = format!("{}/__main__.py", text.trim_end_matches('/'));
            return (Found::all([text.as_str(), &inner].iter().map(|path| self.members(path))), false);
        }
        let text = effect.text();
        let file = |word: &str| word.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        let python = |word: &str| word == "{}" || file(word).starts_with("python");
        let shell = |word: &str| SHELLS.contains(&&*file(word));
        let mut words = text.split_whitespace().skip_while(|word| *word == "{}" && !text.starts_with("{}")).peekable();
        let Some(first) = words.next().filter(|first| python(first) || shell(first)) else {
            return (Found::default(), false);
        };
        let is_script = shell(first);
        let mut words = words
            .skip_while(|word| python(word) || shell(word))
            .skip_while(|word| word.starts_with('-') && *word != "-m" && *word != "-c");
        match words.next() {
            Some("-m") => {
                let module = words.next().unwrap_or_default().replace('.', "/");
                let forms = [format!("{module}.py"), format!("{module}/__main__.py")];
                let known = !module.is_empty() && !module.contains("{}");
                (Found::all(forms.iter().filter(|_| known).map(|form| self.members(form))), false)
            }
            Some("-c") | None => (Found::default(), false),
            Some(word) => (self.members(word.trim_matches(['"', '\''])), is_script),
        }
    }

    /// Names that a folder or an archive gives to what stands in it.
    fn search(&self, search: &Search, reached: &mut Reached) {
        let Some(tail) = tail(&search.text).filter(|_| !search.walks()) else { return };
        let inside = |member: &Member| {
            let place = member.path.replace('!', "/");
            let mut ends = place.match_indices('/').map(|(at, _)| at);
            let folder = ends.rfind(|at| ends_with(&place[..*at], &tail))?;
            Some((place[..folder].to_owned(), place[folder + 1..].to_owned()))
        };
        let package = search.of_package().then(|| dotted(&format!("{}/__init__.py", self.folder())));
        let found: Vec<(usize, String, String)> = (self.index.members.iter().enumerate())
            .filter_map(|(at, member)| inside(member).map(|(folder, rest)| (at, folder, rest)))
            .collect();
        let near = found.iter().any(|(_, folder, _)| folder.starts_with(self.folder()));
        for (at, folder, rest) in found {
            if near && !folder.starts_with(self.folder()) {
                continue;
            }
            let name = dotted(&rest);
            reached.names.push((package.as_ref().map_or(name.clone(), |package| format!("{package}.{name}")), at));
        }
    }
}

/// The parts of a path behind the last that is not known.
fn tail(text: &str) -> Option<Vec<String>> {
    let known = text.rsplit("{}").next().unwrap_or_default().trim();
    // A name that is known in part alone may be any.
    let whole = known.len() == text.trim().len() || known.starts_with(['/', '\\']);
    let known = if whole { normal(known) } else { normal(known.split_once(['/', '\\'])?.1) };
    let parts: Vec<String> = known.split('/').filter(|part| *part != "..").map(str::to_owned).collect();
    let sensible = parts.last().is_some_and(|last| last.chars().any(char::is_alphanumeric) && last.len() < 200);
    (sensible && !text.contains("://")).then_some(parts)
}

fn ends_with(path: &str, tail: &[String]) -> bool {
    let mut parts = path.rsplit(['/', '!']);
    tail.iter().rev().all(|wanted| parts.next().is_some_and(|part| is_like(part, wanted)))
}

/// Whether a name is the one wanted, of which a star stands for any part.
fn is_like(name: &str, wanted: &str) -> bool {
    match wanted.split_once('*') {
        None => name == wanted,
        Some((begin, end)) => {
            let end = end.rsplit('*').next().unwrap_or_default();
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parts_of_a_path_are_what_is_known_of_it() {
        let tail = |text: &str| tail(text).map(|parts| parts.join("/")).unwrap_or_default();
        for (text, want) in [
            ("{}/a.tpl", "a.tpl"),
            ("acme/_version", "acme/_version"),
            ("./acme/./x", "acme/x"),
            ("{}/../docs/a.py", "docs/a.py"),
            ("{}{}/docs/*.py", "docs/*.py"),
            ("x-{}.py", ""),
            ("{}", ""),
            ("..", ""),
            ("https://example.org/a.py", ""),
        ] {
            assert_eq!(tail(text), want, "{text}");
        }
        let ends = |path: &str, text: &str| ends_with(path, &super::tail(text).expect("a path"));
        assert!(ends("p-1/acme/a.tpl", "{}/a.tpl") && ends("a.zip!b/c.py", "b/c.py") && ends("d/x1.py", "d/*.py"));
        assert!(!ends("p/aa.tpl", "{}/a.tpl") && !ends("a.py", "d/a.py") && !ends("d/x.txt", "d/*.py"));
    }
}

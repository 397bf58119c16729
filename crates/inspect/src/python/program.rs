//! What checks ask of a program.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::facts::{Effect, EffectKind, FunctionId, Layer, Module};
use super::link::{Chain, Flow, Linked, Program, Reach, Seen, at_reach};

impl Program {
    /// Every effect, in the order of modules and of reading.
    pub fn effects(&self) -> impl Iterator<Item = Seen<'_>> {
        self.modules
            .iter()
            .enumerate()
            .flat_map(move |(n, linked)| (0..linked.module.effects.len()).map(move |e| self.seen(n, e)))
    }

    fn seen(&self, module: usize, effect: usize) -> Seen<'_> {
        let linked = &self.modules[module];
        let found = &linked.module.effects[effect];
        Seen {
            path: &linked.path,
            module: &linked.module,
            effect: found,
            function: &linked.module.functions[found.function as usize],
            reach: at_reach(self.reach[linked.first + found.function as usize], found),
            labels: self.labels[module][effect],
            late: &linked.late,
        }
    }

    /// Effects that some source reaches.
    pub fn flows(&self) -> impl Iterator<Item = Flow<'_>> {
        self.effects().filter(|seen| !seen.labels.is_empty()).map(|sink| Flow { sources: sink.labels, sink })
    }

    /// Chains, by module and place.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The effect in which a chain ends.
    pub fn chain_end(&self, chain: &Chain) -> Seen<'_> {
        self.seen(chain.module, chain.effect)
    }

    /// The modules, by path; code that only came out when modules were put together repeats its path.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.modules.iter().map(|linked| (&*linked.path, &linked.module))
    }

    /// The module at a path.
    pub fn module(&self, path: &str) -> Option<&Module> {
        self.at(path).map(|linked| &linked.module)
    }

    /// Takes out the bytes of layers that only came out when modules were put together, each with its member's path.
    pub fn take_late_layers(&mut self) -> Vec<(String, Layer, Rc<[u8]>)> {
        let of = |linked: &mut Linked| {
            let taken = linked.module.take_layer_bytes();
            let path = linked.path.clone();
            taken.into_iter().map(move |(layer, bytes)| (path.clone(), layer, bytes)).collect::<Vec<_>>()
        };
        self.modules.iter_mut().flat_map(of).collect()
    }

    /// Paths of the modules that code of others runs, directly or through others: from the functions that `begins` names
    /// by their module's path and their own name.
    pub fn run_from(&self, begins: impl Fn(&str, &str) -> bool) -> BTreeSet<&str> {
        let mut seen = vec![false; self.edges.len()];
        let mut work: Vec<usize> = Vec::new();
        for linked in &self.modules {
            let functions = (linked.first..).zip(&linked.module.functions);
            work.extend(functions.filter(|(_, function)| begins(&linked.path, &function.name)).map(|(at, _)| at));
        }
        while let Some(at) = work.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                work.extend(self.edges[at].iter().map(|(to, _)| *to as usize).filter(|to| !seen[*to]));
            }
        }
        self.modules.iter().filter(|linked| seen.get(linked.first) == Some(&true)).map(|linked| &*linked.path).collect()
    }

    /// When a function of a module runs.
    pub fn reach_of(&self, path: &str, function: FunctionId) -> Option<Reach> {
        let linked = self.at(path)?;
        self.reach.get(linked.first + function as usize).copied()
    }

    /// The first module at a path. What came out late stands behind all others, and repeats the path of one of them.
    fn at(&self, path: &str) -> Option<&Linked> {
        super::link::at_path(&self.modules, &self.by_path, path).next()
    }

    /// What all of it can do, as words of a profile: `cap:network`, `host:example.org`, `import:requests`,
    /// `startup:install:process`, `calls:exec`, `layer:python`, `chain:fetch-exec`, `sign:drop:paste`.
    pub fn words(&self) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        for seen in self.effects() {
            let word = seen.effect.kind.word();
            words.insert(format!("cap:{word}"));
            if seen.reach > Reach::Script {
                words.insert(format!("startup:{}:{word}", seen.reach.word()));
            }
            if seen.effect.kind == EffectKind::Exec {
                words.insert(format!("calls:{}", seen.effect.name));
            }
        }
        for (_, module) in self.modules() {
            words.extend(module.hosts().map(|host| format!("host:{host}")));
            words.extend(module.signs().iter().map(|sign| format!("sign:{}", sign.sign)));
            words.extend(module.layers().iter().map(|layer| format!("layer:{:?}", layer.kind).to_ascii_lowercase()));
            for import in module.imports().iter().filter(|import| !import.module.starts_with('.')) {
                words.insert(format!("import:{}", import.module.split('.').next().unwrap_or("")));
            }
        }
        words.extend(self.chains.iter().map(|chain| format!("chain:{:?}", chain.kind).to_ascii_lowercase()));
        words.into_iter().filter(|word| word.len() <= crate::Profile::WORD_BYTES_MAX).collect()
    }
}

/// Whether an import is told of a file, or is made while the search path is changed.
pub(super) fn brings_modules(effect: &Effect) -> bool {
    matches!(&*effect.name, "importlib.util.spec_from_file_location" | "imp.load_source" | "importlib.import_module")
        || effect.name.ends_with("SourceFileLoader")
        || &*effect.name == "zipimport.zipimporter"
}

//! What runs without being called by name: what is handed to somebody who calls it, and methods that Python calls for what is
//! done with an instance.

use std::rc::Rc;

use ruff_text_size::{Ranged as _, TextRange, TextSize};

use super::api;
use super::call::Arg;
use super::facts::{EffectKind, FunctionId, Target};
use super::value::{Known, Made, Value};
use super::walk::Walker;

/// Who takes what it calls together with the arguments, in a list of their own.
const WITH_LIST: &[&str] =
    &["Thread", "Timer", "Process", "enter", "enterabs", "start_new_thread", "apply", "apply_async"];
/// Who calls it for each element of what comes with it.
const FOR_EACH: &[&str] = &[
    "filter",
    "filterfalse",
    "sorted",
    "max",
    "min",
    "map",
    "map_async",
    "imap",
    "imap_unordered",
    "starmap",
    "starmap_async",
    "takewhile",
    "dropwhile",
    "accumulate",
    "groupby",
];
/// Who only looks at it, or keeps it for whoever calls what is made.
const LOOK_ONLY: &[&str] = &["partial", "wraps", "update_wrapper", "getattr", "setattr", "cast", "signature", "object"];
/// Keywords that are for the taker.
const OWN_WORDS: &[&str] = &["target", "args", "kwargs", "key", "function", "func", "fn", "callback", "daemon", "name"];
/// Elements for each of which what was handed over is called.
const EACH_MAX: usize = 16;
/// Methods that are called where an instance is used for it; all others of Python's own are reached from where it is made.
const WHERE_USED: &[&str] = &[
    "__init__",
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
    "__call__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__class_getitem__",
    "__init_subclass__",
    "__del__",
];

/// Takers of the standard library that call what they are given, at once or without being asked again.
pub(super) fn calls_back(name: &str) -> bool {
    const MODULES: [&str; 15] = [
        "re",
        "itertools",
        "codecs",
        "contextlib",
        "weakref",
        "sched",
        "asyncio",
        "multiprocessing",
        "concurrent",
        "threading",
        "collections",
        "dataclasses",
        "builtins",
        "functools",
        "heapq",
    ];
    const TAKERS: [&str; 20] = [
        "sub",
        "subn",
        "register",
        "register_error",
        "callback",
        "push",
        "finalize",
        "submit",
        "run_in_executor",
        "call_soon",
        "call_soon_threadsafe",
        "call_later",
        "call_at",
        "to_thread",
        "field",
        "defaultdict",
        "reduce",
        "nlargest",
        "nsmallest",
        "iter",
    ];
    let last = name.rsplit('.').next().unwrap_or(name);
    let module = name.split(['.', '(']).next().unwrap_or(name);
    let takes = || TAKERS.contains(&last) || FOR_EACH.contains(&last) || WITH_LIST.contains(&last);
    if last == name { FOR_EACH.contains(&last) || last == "iter" } else { MODULES.contains(&module) && takes() }
}

/// Whether calling it reaches out, starts or runs something.
fn acts(value: &Value) -> bool {
    let acting = |kind| {
        let out = matches!(kind, EffectKind::Network | EffectKind::Download | EffectKind::Process);
        out || matches!(kind, EffectKind::Exec | EffectKind::Deserialise)
    };
    match &value.known {
        Known::Made(made) if &*made.name == "functools.partial()" => made.args.first().is_some_and(acts),
        Known::Name(name) => api::named(name).and_then(|api| api.effect).is_some_and(acting),
        Known::Bound(_) => {
            value.name().and_then(|name| api::named(&name)).and_then(|api| api.effect).is_some_and(acting)
        }
        _ => false,
    }
}

fn plain(value: &Value) -> Arg {
    Arg { keyword: None, value: value.clone() }
}

impl Walker<'_, '_> {
    /// What acts and is handed to somebody is called by them, with what is handed over beside it.
    pub(super) fn acting_given(&mut self, taker: &str, args: &[Arg], range: TextRange) {
        if args.len() < 2 && !args.iter().any(|arg| matches!(arg.value.known, Known::Made(_))) {
            return;
        }
        let last = taker.rsplit('.').next().unwrap_or(taker);
        if api::forgets(taker) || LOOK_ONLY.contains(&last) {
            return;
        }
        for (n, arg) in args.iter().enumerate().filter(|(_, arg)| acts(&arg.value)) {
            for given in given_with(last, n, args) {
                if !given.is_empty() || matches!(arg.value.known, Known::Made(_)) {
                    self.call_value(&arg.value.clone(), given, range);
                }
            }
        }
    }

    /// Python calls these methods, where the class has them.
    pub(super) fn uses(&mut self, on: &Value, methods: &[&str], range: TextRange) {
        let (Known::Object(class) | Known::Class(class)) = on.known else { return };
        for (n, method) in methods.iter().enumerate() {
            if let Some(id) = self.method_of(class, method) {
                self.reaches(id, n, range);
            }
        }
    }

    /// Whoever asks for a name that the module has not, as every `from … import` does, calls its `__getattr__`.
    pub(super) fn asked_for_names(&mut self) {
        if self.layer == 0
            && let Some(Value { known: Known::Function(id), .. }) = self.scopes[0].names.get("__getattr__")
        {
            self.call_site(Target::Local(*id), Vec::new(), 0, None, TextRange::default());
        }
    }

    fn reaches(&mut self, id: FunctionId, n: usize, range: TextRange) {
        let at = TextRange::empty(range.start() + TextSize::from(n as u32));
        self.call_site(Target::Local(id), Vec::new(), 1, None, at);
    }

    /// An instance is made: what Python calls of it for operators, loops, formats and the like is not followed one by one.
    pub(super) fn instance(&mut self, class: u32, range: TextRange) {
        let (mut next, mut own) = (Some(class), Vec::new());
        for _ in 0..8 {
            let Some(found) = next.and_then(|class| self.shared.classes.get(class as usize)) else { break };
            let special = |name: &str| name.starts_with("__") && name.ends_with("__") && !WHERE_USED.contains(&name);
            own.extend(found.methods.iter().filter(|(name, _)| special(name)).map(|(_, id)| *id));
            next =
                found.bases.iter().find_map(|base| if let Known::Class(base) = base.known { Some(base) } else { None });
        }
        own.sort_unstable();
        for (n, id) in own.into_iter().enumerate() {
            self.reaches(id, n, range);
        }
    }

    /// Whether a method is called when its name is read.
    pub(super) fn is_property(&self, id: FunctionId) -> bool {
        let Some(def) = self.defs.get(&id) else { return false };
        def.node.decorator_list.iter().any(|decorator| {
            let range = decorator.expression.range();
            let text = self.text.get(range.start().to_usize()..range.end().to_usize()).unwrap_or("");
            text.rsplit('.').next().is_some_and(|last| matches!(last, "property" | "cached_property"))
        })
    }

    /// The method that `super()` gives in the function that is walked.
    pub(super) fn inherited(&self, method: &str) -> Option<FunctionId> {
        let class = self.defs.get(&self.function)?.class?;
        let bases = &self.shared.classes.get(class as usize)?.bases;
        bases
            .iter()
            .find_map(|base| if let Known::Class(base) = base.known { self.method_of(base, method) } else { None })
    }

    /// Calls what `operator` made.
    pub(super) fn getter(&mut self, made: &Rc<Made>, args: &[Arg], range: TextRange) -> Option<Value> {
        let on = args.first().map(|arg| arg.value.clone());
        let (first, rest) = made.args.split_first()?;
        match &*made.name {
            "operator.attrgetter()" => {
                let names = first.as_str()?.to_owned();
                Some(names.split('.').fold(on?, |on, name| self.attribute(&on, name, range)))
            }
            "operator.methodcaller()" => {
                let name = first.as_str()?.to_owned();
                let method = self.attribute(&on?, &name, range);
                Some(self.call_value(&method, rest.iter().map(plain).collect(), range))
            }
            _ => None,
        }
    }
}

/// The arguments with which a taker calls what stands at a place among its own; several when it calls it several times.
fn given_with(taker: &str, at: usize, args: &[Arg]) -> Vec<Vec<Arg>> {
    let word = |word: &str| args.iter().find(|arg| arg.keyword.as_deref() == Some(word)).map(|arg| &arg.value.known);
    let from = if args[at].keyword.is_some() { 0 } else { at + 1 };
    let rest: Vec<&Arg> = args[from..].iter().filter(|arg| arg.keyword.is_none()).collect();
    let list = rest.iter().find_map(|arg| if let Known::List(items) = &arg.value.known { Some(items) } else { None });
    let mut words: Vec<Arg> = args.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, arg)| arg.clone()).collect();
    words.retain(|arg| arg.keyword.as_deref().is_some_and(|word| !OWN_WORDS.contains(&word)));
    if let Some(Known::Dict(items)) = word("kwargs") {
        let named =
            |(key, value): &(Value, Value)| Some(Arg { keyword: Some(key.as_str()?.into()), value: value.clone() });
        words.extend(items.iter().filter_map(named));
    }
    let with = |first: Vec<Arg>| first.into_iter().chain(words.iter().cloned()).collect::<Vec<Arg>>();
    if let Some(Known::List(items)) = word("args") {
        return vec![with(items.iter().map(plain).collect())];
    }
    match list {
        Some(items) if WITH_LIST.contains(&taker) => vec![with(items.iter().map(plain).collect())],
        Some(items) if FOR_EACH.contains(&taker) => {
            let spread = |item: &Value| match &item.known {
                Known::List(inner) if taker.starts_with("starmap") => inner.iter().map(plain).collect(),
                _ => vec![plain(item)],
            };
            items.iter().take(EACH_MAX).map(spread).collect()
        }
        _ => vec![with(rest.into_iter().cloned().collect())],
    }
}

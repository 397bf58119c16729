//! Calls: what is called, what it does, what it gives.

use std::rc::Rc;

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::{Ranged, TextRange};

use super::api;
use super::cut::Cut;
use super::declared::LAMBDA_STEPS;
use super::eval::{env_value, later};
use super::facts::{EffectKind, FunctionId, Handed, Labels, Taint, Target};
use super::iterate::{computed_text, taken};
use super::pure;
use super::takers::calls_back;
use super::value::{Known, Made, Value};
use super::walk::{Scope, Walker};

/// One argument as written.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    pub(super) keyword: Option<Rc<str>>,
    pub(super) value: Value,
}

/// Functions walked inline within one another, and how often one function is.
const INLINE_DEPTH_MAX: u32 = 4;
const INLINE_EACH_MAX: u32 = 24;
/// Statements of a function that is walked inline: what a longer one decodes is not folded, and counts as not known; one
/// that runs what it is given is walked later, however long it is.
const INLINE_STATEMENTS_MAX: usize = 30;
/// Who runs a text as Python.
const RUN_TEXT: &[&str] = &[
    "exec",
    "eval",
    "compile",
    "execfile",
    "timeit.timeit",
    "timeit.repeat",
    "timeit.Timer",
    "cProfile.run",
    "profile.run",
    "cProfile.Profile().run",
    "profile.Profile().run",
    "trace.Trace().run",
    "bdb.Bdb().run",
    "code.InteractiveConsole().runsource",
    "code.InteractiveInterpreter().runsource",
    "code.InteractiveConsole().push",
    "ctypes.pythonapi.PyRun_SimpleString",
];

pub(super) fn taint_of(args: &[Arg]) -> Taint {
    let mut taint = Taint::default();
    for arg in args {
        taint.join(&arg.value.taint);
    }
    taint
}

/// The argument at a position, or under a keyword.
pub(super) fn argument<'v>(args: &'v [Arg], at: usize, keyword: &str) -> Option<&'v Value> {
    args.iter()
        .find(|arg| arg.keyword.as_deref() == Some(keyword))
        .or_else(|| args.get(at).filter(|arg| arg.keyword.is_none()))
        .map(|arg| &arg.value)
}

impl<'a> Walker<'a, '_> {
    pub(super) fn call(&mut self, node: &'a ast::ExprCall) -> Value {
        let range = TextRange::new(node.func.range().start(), node.range().end());
        if let Expr::Attribute(attribute) = &*node.func
            && let Expr::Name(name) = &*attribute.value
        {
            if let Some(value) = self.mutation(name.id.as_str(), attribute.attr.as_str(), &node.arguments) {
                return value;
            }
            self.parser_reads(name.id.as_str(), attribute.attr.as_str(), &node.arguments);
        }
        let callee = self.eval(&node.func);
        let args = self.arguments(&node.arguments);
        let value = self.call_value(&callee, args, range);
        computed_text(node, &callee, value)
    }

    pub(super) fn arguments(&mut self, arguments: &'a ast::Arguments) -> Vec<Arg> {
        let mut args = Vec::with_capacity(arguments.args.len());
        for arg in &arguments.args {
            let value = self.eval(arg);
            match (arg, &value.known) {
                (Expr::Starred(_), Known::List(items)) if items.len() <= 64 => {
                    args.extend(items.iter().map(|item| Arg { keyword: None, value: item.clone() }));
                }
                _ => args.push(Arg { keyword: None, value }),
            }
        }
        for keyword in &arguments.keywords {
            let value = self.eval(&keyword.value);
            args.push(Arg { keyword: keyword.arg.as_ref().map(|name| name.as_str().into()), value });
        }
        args
    }

    /// `name.append(x)` and the like change what the name holds.
    fn mutation(&mut self, name: &str, method: &str, arguments: &'a ast::Arguments) -> Option<Value> {
        let takes = matches!(method, "pop" | "popleft" | "remove" | "clear");
        if !takes && !matches!(method, "append" | "extend" | "insert" | "update" | "add" | "setdefault") {
            return None;
        }
        let holds = |known: &Known| matches!(known, Known::List(_) | Known::Dict(_) | Known::Bytes(_) | Known::Unknown);
        let at =
            self.scopes.iter().rposition(|scope| scope.names.get(name).is_some_and(|value| holds(&value.known)))?;
        let args = self.arguments(arguments);
        let taint = taint_of(&args);
        self.mix(name, &taint);
        self.shared.budget.steps(1)?;
        let held = self.scopes[at].names.get_mut(name)?;
        if takes {
            return Some(taken(held, method, &args));
        }
        let last = args.last().map(|arg| &arg.value);
        if let Some(value) = last
            && !held.hold(value)
        {
            return Some(Value::default());
        }
        match (&mut held.known, method, last) {
            (Known::List(items), "append" | "add", Some(value)) => {
                self.shared.budget.bytes(size_of::<Value>())?;
                Rc::make_mut(items).push(value.clone());
            }
            (Known::List(items), "insert", Some(value)) => {
                self.shared.budget.bytes(size_of::<Value>() + items.len() / 16)?;
                let at = args.first().and_then(|arg| arg.value.as_int()).and_then(|n| usize::try_from(n).ok());
                let at = at.unwrap_or(items.len()).min(items.len());
                Rc::make_mut(items).insert(at, value.clone());
            }
            (Known::List(items), "extend", Some(value)) => match pure::elements(value, &mut self.shared.budget) {
                Some(more) => Rc::make_mut(items).extend(more),
                None => held.known = Known::Unknown,
            },
            (Known::Bytes(data), "append", Some(value)) => {
                let byte = u8::try_from(value.as_int()?).ok()?;
                self.shared.budget.bytes(1 + data.len() / 32)?;
                *data = [&data[..], &[byte]].concat().into();
            }
            _ => {}
        }
        Some(Value::default())
    }

    /// Calls whatever this is.
    pub(super) fn call_value(&mut self, callee: &Value, args: Vec<Arg>, range: TextRange) -> Value {
        match &callee.known {
            Known::Lambda(id) => self.call_lambda(*id, &args),
            Known::Function(id) => self.call_function(*id, &args, 0, range),
            Known::Class(class) => {
                if let Some(init) = self.method_of(*class, "__init__") {
                    self.call_function(init, &args, 1, range);
                }
                // Whatever is made is thrown away some time.
                if let Some(end) = self.method_of(*class, "__del__") {
                    self.hand_over(end, Handed::Surely, range);
                }
                self.instance(*class, range);
                Value::tainted(Known::Object(*class), taint_of(&args))
            }
            Known::Object(class) => match self.method_of(*class, "__call__") {
                Some(id) => self.call_function(id, &args, 1, range),
                None => Value::tainted(Known::Unknown, taint_of(&args)),
            },
            Known::Bound(bound) => {
                let bound = Rc::clone(bound);
                self.call_method(&bound.0, &bound.1, args, range)
            }
            Known::Name(name) => {
                let name = Rc::clone(name);
                self.call_named(&name, None, &callee.taint, args, range)
            }
            Known::Made(made) if &*made.name == "functools.partial()" => {
                let Some((function, first)) = made.args.split_first() else { return Value::default() };
                let mut all: Vec<Arg> = first.iter().map(|value| Arg { keyword: None, value: value.clone() }).collect();
                all.extend(args);
                self.call_value(&function.clone(), all, range)
            }
            Known::Made(made) => {
                if let Some(value) = self.getter(&Rc::clone(made), &args, range) {
                    return value;
                }
                let name: Rc<str> = Rc::clone(&made.name);
                self.call_named(&name, None, &callee.taint, args, range)
            }
            _ => {
                self.give_functions(&args, Handed::Perhaps, range);
                self.acting_given("", &args, range);
                let mut taint = taint_of(&args);
                taint.join(&callee.taint);
                Value::tainted(Known::Unknown, taint)
            }
        }
    }

    /// Functions among the arguments may be called by whoever got them.
    pub(super) fn give_functions(&mut self, args: &[Arg], how: Handed, range: TextRange) {
        for arg in args {
            match &arg.value.known {
                Known::Function(id) => self.hand_over(*id, how, range),
                Known::Class(class) => self.hand_over_class(*class, how, range),
                Known::Dict(items) => {
                    for (key, value) in items.iter().take(64) {
                        match &value.known {
                            Known::Class(class) if key.as_str().is_some_and(super::asked::is_asked_for) => {
                                self.shared.asked.push(*class);
                            }
                            Known::Class(class) => self.hand_over_class(*class, how, range),
                            Known::Function(id) => self.hand_over(*id, how, range),
                            _ => {}
                        }
                    }
                }
                Known::Bound(bound) => {
                    if let Known::Object(class) = bound.0.known
                        && let Some(id) = self.method_of(class, &bound.1)
                    {
                        self.hand_over(id, how, range);
                    }
                }
                Known::Lambda(id) => {
                    self.call_lambda(*id, &[]);
                }
                _ => {}
            }
        }
    }

    fn call_lambda(&mut self, id: u32, args: &[Arg]) -> Value {
        let Some(lambda) = self.lambdas.get(id as usize) else { return Value::default() };
        let node = lambda.node;
        let depth = self.inline_depth;
        if depth >= INLINE_DEPTH_MAX * 4 {
            return Value::tainted(Known::Unknown, taint_of(args));
        }
        let mut scope = Scope::default();
        if let Some(parameters) = &node.parameters {
            for (n, parameter) in parameters.iter().enumerate() {
                let name = parameter.name().as_str();
                let default = || lambda.defaults.get(n).cloned().flatten();
                let value = argument(args, n, name).cloned().or_else(default).unwrap_or_default();
                scope.names.insert(name.into(), value);
            }
        }
        if self.shared.budget.steps(LAMBDA_STEPS << depth).is_none() {
            self.cut(Cut::Folding, node.range());
            return Value::tainted(Known::Unknown, taint_of(args));
        }
        self.inline_depth += 1;
        self.scopes.push(scope);
        let value = self.eval(&node.body);
        self.scopes.pop();
        self.inline_depth -= 1;
        value
    }

    pub(super) fn call_function(&mut self, id: u32, args: &[Arg], shift: u8, range: TextRange) -> Value {
        for (n, arg) in args.iter().enumerate() {
            let how = if self.takes(id, n + usize::from(shift), arg) { Handed::Surely } else { Handed::Perhaps };
            self.give_functions(std::slice::from_ref(arg), how, range);
        }
        let taints = args.iter().map(|arg| (arg.keyword.clone(), arg.value.taint.clone())).collect();
        let site = self.call_site(Target::Local(id), taints, shift, None, range);
        let taint = Taint { calls: site.map(|site| Rc::from([(site, site)])), ..Taint::default() };
        let speaks =
            args.iter().any(|arg| arg.value.is_constant() && !matches!(arg.value.known, Known::None | Known::Bool(_)));
        let inlined = match speaks || args.is_empty() {
            true if self.may_inline(id) => self.inline(id, args, shift),
            true => {
                self.put_off(id, args, shift, range);
                None
            }
            false => None,
        };
        match inlined {
            Some(value) => {
                let mut taint = taint;
                taint.labels = value.taint.labels.among(Labels::DECODED);
                Value::new(value.known, taint, value.peeled)
            }
            None => Value::tainted(Known::Unknown, taint),
        }
    }

    /// Whether there is room to walk a function's body once more where it is called.
    pub(super) fn may_inline(&self, id: FunctionId) -> bool {
        self.defs.get(&id).is_some_and(|def| {
            def.inlined < INLINE_EACH_MAX
                && self.inline_depth < INLINE_DEPTH_MAX
                && self.shared.inlined < self.shared.limits.inlined_max
                && def.node.body.len() <= INLINE_STATEMENTS_MAX
        })
    }

    /// Walks a function's body with the arguments at hand; gives what it returns, if that is known.
    pub(super) fn inline(&mut self, id: FunctionId, args: &[Arg], shift: u8) -> Option<Value> {
        let def = self.defs.get_mut(&id)?;
        let node = def.node;
        let class = def.class;
        def.inlined += 1;
        self.shared.inlined += 1;
        let mut scope = Scope::default();
        for (n, parameter) in node.parameters.iter().enumerate() {
            let name = parameter.name().as_str();
            let given = n.checked_sub(usize::from(shift)).and_then(|n| argument(args, n, name));
            let mut value = match (given, parameter.default()) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => self.eval(default),
                (None, None) => Value::default(),
            };
            value.taint = Taint { params: Taint::param(n), ..Taint::default() };
            if let (0, Some(class)) = (n, class) {
                value = Value::of(Known::Object(class));
            }
            scope.names.insert(name.into(), value);
        }
        // It sees the module's names, not its caller's.
        let outer_scopes = self.scopes.split_off(1);
        let outer = (self.function, self.branches, self.loops, self.swallowed, self.main_only);
        let outer_return = (self.returned.take(), std::mem::take(&mut self.stopped));
        self.function = id;
        (self.branches, self.loops) = (0, 0);
        self.inline_depth += 1;
        self.scopes.push(scope);
        self.block(&node.body);
        self.inline_depth -= 1;
        self.scopes.truncate(1);
        self.scopes.extend(outer_scopes);
        (self.function, self.branches, self.loops, self.swallowed, self.main_only) = outer;
        let value = self.returned.take();
        (self.returned, self.stopped) = outer_return;
        value.filter(|value| !matches!(value.known, Known::Unknown | Known::None | Known::Object(_)))
    }

    fn call_method(&mut self, on: &Value, method: &str, args: Vec<Arg>, range: TextRange) -> Value {
        match &on.known {
            Known::Object(class) | Known::Class(class) => {
                return match self.method_of(*class, method) {
                    Some(id) => self.call_function(id, &args, 1, range),
                    None => {
                        // What a thread runs.
                        if method == "start" {
                            self.uses(on, &["run"], range);
                        }
                        self.unknown_method(on, method, &args, range)
                    }
                };
            }
            Known::Made(made) if &*made.name == "super()" && self.inherited(method).is_some() => {
                let id = self.inherited(method).unwrap_or_default();
                return self.call_function(id, &args, 1, range);
            }
            Known::Made(made) => {
                let name = format!("{}.{method}", made.name);
                return self.call_named(api::canonical(&name), Some(on), &on.taint, args, range);
            }
            Known::Later(_) => {
                let values = std::iter::once(on.clone()).chain(args.iter().map(|arg| arg.value.clone())).collect();
                let known = later(&format!(".{method}"), values).unwrap_or_default();
                return Value::new(known, on.taint.clone(), None);
            }
            Known::Unknown => return self.unknown_method(on, method, &args, range),
            _ => {}
        }
        let values: Vec<Value> = args.iter().map(|arg| arg.value.clone()).collect();
        let mut taint = taint_of(&args);
        taint.join(&on.taint);
        if let Some(value) = self.path_method(on, method, &args, range) {
            return value;
        }
        match pure::method(on, method, &values, &mut self.shared.budget) {
            Some((known, layer)) => {
                if layer.is_some() {
                    taint.labels = taint.labels.with(Labels::DECODED);
                }
                let peeled =
                    if layer.is_some() { add_layer(on.peeled.as_ref(), layer) } else { passed_on(on, &values) };
                Value::new(known, taint, peeled)
            }
            None => {
                // Under a codec that is not known here it may be anything.
                if matches!(method, "decode" | "encode") && on.as_data().is_some() {
                    taint.labels = taint.labels.with(Labels::DECODED);
                }
                Value::tainted(Known::Unknown, taint)
            }
        }
    }

    /// Methods of `pathlib.Path`, which is folded to its text.
    fn path_method(&mut self, on: &Value, method: &str, args: &[Arg], range: TextRange) -> Option<Value> {
        let kind = match method {
            "write_text" | "write_bytes" => EffectKind::Write,
            "read_text" | "read_bytes" => EffectKind::Read,
            "unlink" | "rmdir" => EffectKind::Delete,
            "chmod" => EffectKind::Chmod,
            "open" => {
                let all: Vec<Arg> =
                    std::iter::once(Arg { keyword: None, value: on.clone() }).chain(args.iter().cloned()).collect();
                return Some(self.open("open", all, range));
            }
            _ => return None,
        };
        let all: Vec<Arg> =
            std::iter::once(Arg { keyword: None, value: on.clone() }).chain(args.iter().cloned()).collect();
        let gives = if kind == EffectKind::Read { self.file_label(on) } else { Labels::NONE };
        let name: Rc<str> = format!("pathlib.Path().{method}").into();
        self.effect(kind, name, all, &on.taint, range);
        Some(Value::default().labelled(gives))
    }

    /// A method of something that is not known: it counts if its name and what it is given speak.
    fn unknown_method(&mut self, on: &Value, method: &str, args: &[Arg], range: TextRange) -> Value {
        self.give_functions(args, Handed::Perhaps, range);
        self.acting_given(method, args, range);
        let mut taint = taint_of(args);
        taint.join(&on.taint);
        if unlocks(method) {
            taint.labels = taint.labels.with(Labels::DECODED);
        }
        let Some(api) = api::method(method) else { return Value::tainted(Known::Unknown, taint) };
        let url = args.iter().any(|arg| super::facts::show(&arg.value.pieces()).contains("://"));
        let speaks = match api.effect {
            Some(EffectKind::Network) => {
                let sends =
                    matches!(method, "sendall" | "sendto" | "urlopen" | "send_message" | "send_document" | "sendmail");
                url || sends && !taint.is_empty()
                    || method == "connect" && args.iter().any(|arg| matches!(arg.value.known, Known::List(_)))
            }
            _ => !taint.is_empty(),
        };
        if speaks && let Some(kind) = api.effect {
            // What is looked up in something by an address says nothing of what that holds.
            let held = if method == "get" { Taint::default() } else { on.taint.clone() };
            self.effect(kind, format!("?.{method}").into(), args.to_vec(), &held, range);
        }
        let gives = if speaks { api.gives } else { Labels::NONE };
        Value::tainted(Known::Unknown, taint).labelled(gives)
    }

    fn call_named(&mut self, name: &str, on: Option<&Value>, taint: &Taint, args: Vec<Arg>, range: TextRange) -> Value {
        if let Some(value) = self.special(name, on, &args, range) {
            return value;
        }
        self.acting_given(name, &args, range);
        if calls_back(name) {
            self.give_functions(&args, Handed::Surely, range);
        }
        if let Some(value) = self.fold(name, on, &args) {
            if name == "marshal.loads" {
                self.effect(EffectKind::Deserialise, name.into(), args, taint, range);
            }
            return value;
        }
        let mut gives = taint_of(&args);
        gives.join(taint);
        let api = api::named(name);
        if let Some(api) = api {
            if let Some(kind) = api.effect {
                if kind == EffectKind::Schedule {
                    self.give_functions(&args, Handed::Surely, range);
                }
                self.login(name, &args, range);
                let connected = on.filter(|_| kind == EffectKind::Network).and_then(connected_to);
                let all = args.iter().cloned().chain(connected).collect();
                self.effect(kind, name.into(), all, taint, range);
                // What comes back is the answer, not what was sent.
                if !api.gives.is_empty() {
                    gives = Taint::default();
                }
            }
            gives.labels = gives.labels.with(api.gives);
        } else if api::forgets(name) {
            gives = Taint::default();
        } else {
            self.pass_on(name, &args, &mut gives, range);
        }
        let characters = name == "map" && args.first().and_then(|arg| arg.value.name()).as_deref() == Some("chr");
        // `str(b"…", codec)`, of a codec that is not known here.
        let by_codec = name == "str" && args.get(1).is_some() && args[0].value.is_constant();
        if pure::decodes(name) || characters || by_codec {
            gives.labels = gives.labels.with(Labels::DECODED);
        }
        if pure::encodes(name) {
            gives.labels = gives.labels.with(Labels::ENCODED);
        }
        let waits = args.iter().any(|arg| arg.value.waits() || matches!(arg.value.known, Known::Later(_)));
        let values: Vec<Value> = args.into_iter().map(|arg| arg.value).collect();
        if waits
            && pure::decodes(name)
            && let Some(known) = later(name, values.clone())
        {
            return Value::tainted(known, gives);
        }
        let made = Made { name: format!("{name}()").into(), args: values, on: on.cloned() };
        Value::tainted(Known::Made(Rc::new(made)), gives)
    }

    /// A name and its password, fixed, for a server to which things are sent.
    fn login(&mut self, name: &str, args: &[Arg], range: TextRange) {
        let skipped = match name {
            "ftplib.FTP" => 1,
            _ if name.ends_with(".login") => 0,
            _ => return,
        };
        let fixed = |at: usize| args.get(at + skipped).and_then(|arg| arg.value.as_str()).filter(|text| text.len() > 3);
        if let (Some(user), Some(_)) = (fixed(0), fixed(1))
            && user != "anonymous"
        {
            let text = user.to_owned();
            self.sign("drop:login", &text, range);
        }
    }

    /// A call of something that may stand in another module of the distribution.
    fn pass_on(&mut self, name: &str, args: &[Arg], gives: &mut Taint, range: TextRange) {
        const HANDS_OVER: [&str; 6] =
            ["setuptools.setup", "distutils.core.setup", "map", "filter", "sorted", "setuptools.dist.Distribution"];
        if HANDS_OVER.contains(&name) || name.ends_with(".setup") {
            self.give_functions(args, Handed::Surely, range);
        }
        if api::is_builtin(name)
            || name.contains("()") && !name.starts_with('.') && api::is_foreign(name)
            || api::is_foreign(name)
        {
            return;
        }
        let taints = args.iter().map(|arg| (arg.keyword.clone(), arg.value.taint.clone())).collect();
        if let Some(site) = self.call_site(Target::Named(name.into()), taints, 0, None, range) {
            gives.join(&Taint { calls: Some(Rc::from([(site, site)])), ..Taint::default() });
        }
    }

    /// Folds a pure call, and notes the encoding taken off.
    pub(super) fn fold(&mut self, name: &str, on: Option<&Value>, args: &[Arg]) -> Option<Value> {
        let values: Vec<Value> = args.iter().map(|arg| arg.value.clone()).collect();
        let mut taint = taint_of(args);
        let cipher = on.and_then(|on| super::cipher::decrypt(name, on, &values));
        let (known, layer) = match cipher {
            Some((data, layer)) => (Known::Bytes(data.into()), Some(layer)),
            None => pure::function(name, &values, &mut self.shared.budget)?,
        };
        let first = values.first();
        let peeled = match layer {
            Some(layer) => {
                taint.labels = taint.labels.with(Labels::DECODED);
                add_layer(first.and_then(|value| value.peeled.as_ref()), Some(layer))
            }
            None => first.and_then(|value| value.peeled.clone()),
        };
        Some(Value::new(known, taint, peeled))
    }

    /// Names that mean more than a call.
    fn special(&mut self, name: &str, on: Option<&Value>, args: &[Arg], range: TextRange) -> Option<Value> {
        let first = args.first().map(|arg| &arg.value);
        match name {
            _ if RUN_TEXT.contains(&name) => Some(self.run(name, args, range)),
            "getattr" | "operator.attrgetter" | "object.__getattribute__" => {
                let by = argument(args, 1, "name")?.clone();
                self.looked_up(&by, range);
                let attribute = by.as_str()?.to_owned();
                Some(self.attribute(&first?.clone(), &attribute, range))
            }
            "__import__" | "importlib.import_module" | "importlib.__import__" | "imp.load_source" => {
                let module = first?.as_str().map(str::to_owned);
                self.looked_up(&first?.clone(), range);
                self.effect(EffectKind::Import, name.into(), args.to_vec(), &Taint::default(), range);
                let module = module?;
                self.imported(module.as_str().into(), false, range);
                let whole = name.starts_with("importlib.import") || argument(args, 3, "fromlist").is_some();
                let bound = if whole { module.as_str() } else { module.split('.').next().unwrap_or("") };
                Some(Value::of(Known::Name(api::canonical(bound).into())))
            }
            "map" => self.map(args, range),
            "open" | "io.open" | "codecs.open" | "aiofiles.open" | "file" | "os.fdopen" => {
                Some(self.open("open", args.to_vec(), range))
            }
            "open().write"
            | "open().writelines"
            | "tempfile.NamedTemporaryFile().write"
            | "os.fdopen().write"
            | "tempfile.TemporaryFile().write" => {
                let path = on.map(|on| made_argument(on, 0)).unwrap_or_default();
                let all = std::iter::once(Arg { keyword: None, value: path }).chain(args.iter().cloned()).collect();
                self.effect(EffectKind::Write, name.into(), all, &Taint::default(), range);
                Some(Value::default())
            }
            "open().read" | "open().readlines" | "open().readline" | "open().__enter__" => {
                let on = on?;
                Some(Value::tainted(Known::Unknown, on.taint.clone()))
            }
            "io.BytesIO().read" | "io.StringIO().read" | "io.BytesIO().getvalue" => Some(made_argument(on?, 0)),
            "gzip.GzipFile().read" | "bz2.BZ2File().read" | "lzma.LZMAFile().read" | "gzip.open().read" => {
                Some(self.unpacked(name, on?))
            }
            "os.getenv" | "os.environ.get" | "os.environ.pop" | "os.environ.setdefault" | "environ.get" => {
                Some(env_value(first.and_then(Value::as_str)))
            }
            // `importlib.resources.files(…).joinpath(…).read_text()`
            _ if name.starts_with("importlib.resources.")
                && (name.ends_with(".read_text") || name.ends_with(".read_bytes")) =>
            {
                let path = on.map(|on| made_argument(on, 0)).unwrap_or_default();
                self.effect(
                    EffectKind::Read,
                    name.into(),
                    vec![Arg { keyword: None, value: path }],
                    &Taint::default(),
                    range,
                );
                Some(Value::default().labelled(Labels::FILE))
            }
            "os.path.expanduser" | "pathlib.Path.home" if first.is_none() => Some(Value::str("~")),
            "tempfile.gettempdir" | "tempfile.mkdtemp" => Some(Value::str("%TEMP%")),
            _ => self.rarer(name, on, args, range),
        }
    }

    /// The statement of Python 2 of that name.
    pub(super) fn run_statement(&mut self, code: &'a Expr) {
        let value = self.eval(code);
        self.run("exec", &[Arg { keyword: None, value }], code.range());
    }

    /// `exec`, `eval`, `compile`: what is run is read, if it is known.
    fn run(&mut self, name: &str, args: &[Arg], range: TextRange) -> Value {
        let Some(code) = args.first().map(|arg| arg.value.clone()) else { return Value::default() };
        let at = self.effect(EffectKind::Exec, name.into(), args.to_vec(), &Taint::default(), range);
        match &code.known {
            Known::Str(_) | Known::Bytes(_) => {
                let result = if name == "compile" { None } else { self.run_layer(&code, "exec", range) };
                result.unwrap_or_else(|| if name == "compile" { code } else { Value::default() })
            }
            Known::Later(_) | Known::Name(_) if code.waits() => {
                if self.shared.module.later.len() >= self.shared.limits.later_max {
                    self.cut(Cut::Later, range);
                } else if let Some(effect) = at {
                    self.shared.module.later.push(super::facts::Later { effect, value: code.clone() });
                }
                code
            }
            _ => Value::tainted(Known::Unknown, code.taint),
        }
    }

    fn open(&mut self, name: &str, args: Vec<Arg>, range: TextRange) -> Value {
        let mode = argument(&args, 1, "mode").and_then(|mode| mode.as_str().map(str::to_owned)).unwrap_or_default();
        let writes = mode.contains(['w', 'a', 'x', '+']);
        let mut args = args;
        // What has no folder goes to the one that was gone to.
        if let (Some(folder), Some(first)) = (self.folder.clone(), args.first_mut())
            && first.value.as_str().is_some_and(|path| !path.contains(['/', '\\', ':', '~', '%']))
        {
            let path = format!("{folder}/{}", first.value.as_str().unwrap_or_default());
            first.value.known = Known::Str(path.into());
        }
        let path = args.first().map(|arg| arg.value.clone()).unwrap_or_default();
        let gives = if writes { Labels::NONE } else { self.file_label(&path) };
        let kind = if writes { EffectKind::Write } else { EffectKind::Read };
        self.effect(kind, name.into(), args.clone(), &Taint::default(), range);
        let values = args.into_iter().map(|arg| arg.value).collect();
        let made = Made { name: format!("{name}()").into(), args: values, on: None };
        Value::tainted(Known::Made(Rc::new(made)), path.taint).labelled(gives)
    }

    pub(super) fn file_label(&self, path: &Value) -> Labels {
        let text = super::facts::show(&path.pieces());
        if text.starts_with("/proc/") && text.ends_with("/environ") {
            Labels::ENVIRONMENT
        } else if super::signs::is_store(&text) {
            Labels::STORE
        } else {
            Labels::FILE
        }
    }
}

/// A text known in part, with `{}` for the rest.
pub(super) fn partial(value: &Value) -> Option<Rc<str>> {
    matches!(value.known, Known::Partial(_)).then(|| super::facts::show(&value.pieces()).into())
}

/// Methods whose results could not be read before: numbers that become bytes, what was packed or locked.
pub(super) fn unlocks(method: &str) -> bool {
    matches!(method, "to_bytes" | "tobytes" | "decrypt" | "decompress" | "unpad")
}

/// Where a connection leads, as an argument more of what is sent through it.
fn connected_to(on: &Value) -> Option<Arg> {
    let Known::Made(made) = &on.known else { return None };
    let connects = made.name.starts_with("http.client.") || made.name.starts_with("httplib.");
    let mut value = made.args.first().filter(|_| connects)?.clone();
    value.taint = Taint::default();
    Some(Arg { keyword: Some("connected".into()), value })
}

pub(super) fn made_argument(value: &Value, at: usize) -> Value {
    match &value.known {
        Known::Made(made) => made.args.get(at).cloned().unwrap_or_default(),
        _ => Value::default(),
    }
}

/// An encoding more on top of those already taken off.
fn add_layer(before: Option<&Rc<[&'static str]>>, layer: Option<&'static str>) -> Option<Rc<[&'static str]>> {
    const LAYERS_MAX: usize = 64;
    let mut all: Vec<&'static str> = before.map(|before| before.to_vec()).unwrap_or_default();
    if all.len() < LAYERS_MAX {
        all.extend(layer);
    }
    Some(all.into())
}

fn passed_on(on: &Value, args: &[Value]) -> Option<Rc<[&'static str]>> {
    on.peeled.clone().or_else(|| args.iter().find_map(|arg| arg.peeled.clone())).or_else(|| {
        // `''.join(chr(c ^ key) for c in data)`: the text was computed from numbers.
        match args.first().map(|arg| &arg.known) {
            Some(Known::List(items))
                if items.len() >= 16
                    && items.iter().all(|item| item.as_str().is_some_and(|text| text.chars().count() == 1)) =>
            {
                Some(Rc::from(["chr"]))
            }
            _ => None,
        }
    })
}

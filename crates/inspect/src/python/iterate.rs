//! Calls that work on what something holds: functions for every element, archives in memory, parsers of settings.

use std::rc::Rc;

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::{Ranged, TextRange};

use super::api;
use super::call::{Arg, argument, made_argument};
use super::cut::Cut;
use super::facts::{EffectKind, Handed, Labels, Taint, Target};
use super::pure;
use super::value::{Known, Made, Value};
use super::walk::Walker;

/// Who adds to the places where modules are looked for.
const SEARCH_PATHS: &[&str] = &[
    "sys.path.insert",
    "sys.path.append",
    "sys.path.extend",
    "site.addsitedir",
    "pkgutil.walk_packages",
    "pkgutil.iter_modules",
    "__path__.insert",
    "__path__.append",
    "__path__.extend",
];
/// Most such places of one module.
const SEARCHES_MAX: usize = 64;

impl<'a> Walker<'a, '_> {
    pub(super) fn map(&mut self, args: &[Arg], range: TextRange) -> Option<Value> {
        let (function, items) = (args.first()?, args.get(1)?);
        self.give_functions(&args[..1], Handed::Surely, range);
        let all = pure::elements(&items.value, &mut self.shared.budget)?;
        if all.len() > self.shared.limits.unroll_max {
            return None;
        }
        let mut out = Vec::with_capacity(all.len());
        for item in all {
            self.shared.budget.steps(4)?;
            let value = self.call_value(&function.value.clone(), vec![Arg { keyword: None, value: item }], range);
            if matches!(value.known, Known::Unknown) && out.len() < 2 {
                return None;
            }
            out.push(value);
        }
        let whole = Value::list(out);
        // Characters made of numbers are text that was hidden in them.
        let characters = function.value.name().as_deref() == Some("chr");
        Some(if characters { whole.labelled(Labels::DECODED) } else { whole })
    }

    /// What an archive that stands in memory holds.
    pub(super) fn unpacked(&mut self, name: &str, on: &Value) -> Value {
        let held = |made: &Rc<Made>| {
            made.args.iter().find_map(|arg| match &arg.known {
                Known::Made(inner) if &*inner.name == "io.BytesIO()" => inner.args.first().cloned(),
                _ => None,
            })
        };
        let function = match name.split('.').next() {
            Some("bz2") => "bz2.decompress",
            Some("lzma") => "lzma.decompress",
            _ => "gzip.decompress",
        };
        let data = if let Known::Made(made) = &on.known { held(made) } else { None };
        let folded = data.and_then(|value| self.fold(function, None, &[Arg { keyword: None, value }]));
        folded.unwrap_or_else(|| Value::tainted(Known::Unknown, on.taint.clone()).labelled(Labels::DECODED))
    }

    /// `functools.reduce(function, items[, first])`
    pub(super) fn reduce(&mut self, args: &[Arg], range: TextRange) -> Option<Value> {
        let (function, items) = (args.first()?, args.get(1)?);
        self.give_functions(&args[..1], Handed::Surely, range);
        let all = pure::elements(&items.value, &mut self.shared.budget)?;
        let mut all = (all.len() <= self.shared.limits.unroll_max).then_some(all)?.into_iter();
        let mut value = match args.get(2) {
            Some(first) => first.value.clone(),
            None => all.next()?,
        };
        for item in all {
            self.shared.budget.steps(4)?;
            let both = [value, item].map(|value| Arg { keyword: None, value }).to_vec();
            value = self.call_value(&function.value.clone(), both, range);
            if matches!(value.known, Known::Unknown) {
                break;
            }
        }
        Some(value)
    }

    /// Whether a function of the module has a parameter for this argument, or takes it out of those without a name; what it
    /// only hands on with all others, somebody else may keep.
    pub(super) fn takes(&self, id: u32, at: usize, arg: &Arg) -> bool {
        if !matches!(arg.value.known, Known::Function(_) | Known::Class(_) | Known::Bound(_)) {
            return true;
        }
        let Some(def) = self.defs.get(&id) else { return true };
        let parameters = &*def.node.parameters;
        let range = def.node.range();
        let text = self.text.get(range.start().to_usize()..range.end().to_usize()).unwrap_or("");
        let walks = |name: &str| text.contains(&format!("in {name}")) || text.contains(&format!("{name}."));
        match &arg.keyword {
            Some(key) => {
                let named = parameters.iter_non_variadic_params().any(|one| one.name().as_str() == &**key);
                let all = parameters.kwarg.as_ref().filter(|_| !named).map(|one| one.name.as_str());
                let asked = || text.contains(&format!("\"{key}\"")) || text.contains(&format!("'{key}'"));
                let each = |name: &str| ["values", "items"].iter().any(|by| text.contains(&format!("{name}.{by}")));
                all.is_none_or(|name| asked() || each(name) || text.contains(&format!("in {name}")))
            }
            None => {
                let named = at < parameters.posonlyargs.len() + parameters.args.len();
                let all = parameters.vararg.as_ref().filter(|_| !named).map(|one| one.name.as_str());
                all.is_none_or(|name| walks(name) || text.contains(&format!("{name}[")))
            }
        }
    }

    /// A function of the module takes another, or a class, where that is defined: it runs, and calls what it calls.
    pub(super) fn decorated_by(&mut self, by: u32, argument: Arg, range: TextRange) {
        self.call_site(Target::Local(by), vec![(None, Taint::default())], 0, None, range);
        if self.may_inline(by) {
            self.inline(by, &[argument], 0);
        }
    }

    /// Something of another module is replaced by a function of this one.
    pub(super) fn patch(&mut self, name: Rc<str>, by: &Value, range: TextRange) {
        let given = Arg { keyword: None, value: by.clone() };
        // What only gives a constant passes nothing on.
        let constant = matches!(by.known, Known::Lambda(_)) && self.call_value(by, vec![], range).is_constant();
        if !constant {
            // The interpreter asks its hooks.
            let hook = name.ends_with("hook") && (name.starts_with("sys.") || name.starts_with("threading."));
            if let (true, Known::Function(id)) = (hook, &by.known) {
                self.call_site(Target::Local(*id), Vec::new(), 0, None, range);
            }
            self.give_functions(&[given], Handed::Perhaps, range);
            self.effect(EffectKind::Patch, name, vec![], &by.taint, range);
        }
    }

    /// `settings.read(path)`: what the file holds is in the parser from then on.
    pub(super) fn parser_reads(&mut self, name: &str, method: &str, arguments: &'a ast::Arguments) {
        if !matches!(method, "read" | "read_file") {
            return;
        }
        let held = self.scopes.iter().rev().find_map(|scope| scope.names.get(name));
        if !held.and_then(Value::name).is_some_and(|name| name.ends_with("ConfigParser()")) {
            return;
        }
        let args = self.arguments(arguments);
        if let Some(path) = args.first() {
            let label = self.file_label(&path.value).with(path.value.taint.labels);
            self.mix(name, &Taint::of(label));
        }
    }

    /// `on.attr = value`
    pub(super) fn assign_attribute(&mut self, on: &Value, node: &'a ast::ExprAttribute, value: Value) {
        if let Known::Function(id) = value.known {
            self.hand_over(id, Handed::Perhaps, node.range());
        }
        match &on.known {
            Known::Object(class) | Known::Class(class) => {
                let attributes = &mut self.shared.classes[*class as usize].attributes;
                let before = attributes.get(node.attr.as_str()).map(|before| before.taint.clone());
                let mut value = value;
                if let Some(before) = before {
                    value.taint.join(&before);
                }
                attributes.insert(node.attr.as_str().into(), value);
            }
            Known::Name(name) if matches!(value.known, Known::Function(_) | Known::Lambda(_)) => {
                let name: Rc<str> = format!("{name}.{}", node.attr).into();
                self.patch(name, &value, node.range());
            }
            _ => {
                // Whoever holds the object now holds this too.
                if let Expr::Name(name) = &*node.value {
                    self.mix(name.id.as_str(), &value.taint);
                }
            }
        }
    }

    /// What a decorator does at once with what it stands above; what comes of it, where that is called here.
    pub(super) fn decorate(&mut self, decorator: &Value, argument: Arg, range: TextRange) -> Option<Value> {
        let runs = match &decorator.known {
            Known::Lambda(_) => true,
            // What is text by now was made by the decorators below, for this one.
            Known::Name(name) => {
                argument.value.as_data().is_some() || api::named(name).is_some_and(|api| api.effect.is_some())
            }
            Known::Made(made) => &*made.name == "functools.partial()",
            _ => false,
        };
        if runs {
            return Some(self.call_value(decorator, vec![argument], range));
        }
        if let Known::Function(by) = decorator.known {
            self.decorated_by(by, argument, range);
        }
        None
    }

    /// More names that mean more than a call.
    pub(super) fn rarer(&mut self, name: &str, on: Option<&Value>, args: &[Arg], range: TextRange) -> Option<Value> {
        let first = args.first().map(|arg| &arg.value);
        match name {
            "setattr" if matches!(first?.known, Known::Class(_) | Known::Object(_)) => {
                let (Known::Class(class) | Known::Object(class)) = first?.known else { return None };
                let (attribute, by) = (argument(args, 1, "name")?.as_str()?, argument(args, 2, "value")?);
                self.shared.classes[class as usize].attributes.insert(attribute.into(), by.clone());
                None
            }
            "setattr" => {
                let (object, attribute) = (first?.name()?, argument(args, 1, "name")?.as_str()?);
                let by = argument(args, 2, "value")
                    .filter(|by| matches!(by.known, Known::Function(_) | Known::Lambda(_)))?;
                self.patch(format!("{object}.{attribute}").into(), &by.clone(), range);
                Some(Value::default())
            }
            "vars().get" if on.is_some_and(|on| made_argument(on, 0).name().is_some()) => {
                let key = first?.as_str()?.to_owned();
                Some(self.attribute(&made_argument(on?, 0), &key, range))
            }
            "sys.modules.get" => Some(Value::of(Known::Name(api::canonical(first?.as_str()?).into()))),
            "pkgutil.resolve_name" => {
                let full = first?.as_str()?.replace(':', ".");
                Some(self.named(api::canonical(&full)))
            }
            // Known by its keywords.
            "dict" if !args.is_empty() && args.iter().all(|arg| arg.keyword.is_some()) => {
                let key = |arg: &Arg| Value::str(arg.keyword.as_deref().unwrap_or_default());
                let items = args.iter().map(|arg| (key(arg), arg.value.clone())).collect();
                Some(Value::tainted(Known::Dict(Rc::new(items)), super::call::taint_of(args)))
            }
            _ if name.ends_with(".__dict__.get") || name.ends_with(".__getattribute__") => {
                let base = name.strip_suffix(".__dict__.get").or_else(|| name.strip_suffix(".__getattribute__"))?;
                let key = first?.as_str()?.to_owned();
                Some(self.attribute(&Value::of(Known::Name(base.into())), &key, range))
            }
            "__dict__.get" | "globals().get" | "vars().get" | "locals().get" | "__dict__.__getitem__" => {
                let key = first?.as_str()?;
                Some(if name.starts_with("__dict__") { self.named(api::canonical(key)) } else { self.lookup(key) })
            }
            // A class that is put together of functions, in a build: what it is for calls them.
            "type" if args.len() == 3 => {
                self.give_functions(&args[2..], Handed::Perhaps, range);
                None
            }
            "sys.meta_path.insert" | "sys.meta_path.append" | "sys.path_hooks.insert" | "sys.path_hooks.append" => {
                Some(self.hooked(args, range))
            }
            _ if SEARCH_PATHS.contains(&name) => {
                let text = args.last().map(|arg| super::facts::show(&arg.value.pieces())).unwrap_or_default();
                let (name, function) = (name.into(), self.function);
                if self.shared.module.searches.len() < SEARCHES_MAX {
                    self.shared.module.searches.push(super::facts::Search { name, text, function });
                } else {
                    self.cut(Cut::Imports, range);
                }
                None
            }
            "array.array().tobytes" | "array.array().tostring" => {
                let numbers = Arg { keyword: None, value: made_argument(on?, 1) };
                self.fold("bytes", None, &[numbers])
            }
            "functools.reduce" | "reduce" => self.reduce(args, range),
            "os.chdir" => {
                self.folder = first?.as_str().map(Rc::from).or_else(|| super::call::partial(first?));
                None
            }
            _ => None,
        }
    }

    /// Objects that the import of anything asks.
    pub(super) fn hooked(&mut self, args: &[Arg], range: TextRange) -> Value {
        for arg in args {
            if let Known::Object(class) | Known::Class(class) = arg.value.known {
                self.hand_over_class(class, Handed::Surely, range);
            }
        }
        self.give_functions(args, Handed::Surely, range);
        Value::default()
    }
}

/// Text of which every letter is computed was encoded.
pub(super) fn computed_text(node: &ast::ExprCall, callee: &Value, mut value: Value) -> Value {
    // `chr(ord(a) ^ ord(b))`, `chr(n - 7)`: whatever is put together of such letters was encoded.
    let first = node.arguments.args.first();
    let computed = first.is_some_and(|arg| !arg.is_number_literal_expr());
    if computed && matches!(callee.name().as_deref(), Some("chr" | "unichr")) && value.peeled.is_none() {
        let step = if first.is_some_and(is_xor) { "xor" } else { "chr" };
        // A letter that is not known may be any: printers and parsers of honest code make them.
        if value.as_str().is_some() {
            value.peeled = Some(Rc::from([step]));
        }
    }
    // `bytes(int(bits[n:n + 8], 2) for n in …)`: numbers that are computed, and become text.
    let counted = first.is_some_and(|arg| arg.is_generator_expr() || arg.is_list_comp_expr());
    if counted && matches!(callee.name().as_deref(), Some("bytes" | "bytearray")) && value.as_data().is_none() {
        value = value.labelled(Labels::DECODED);
    }
    value
}

fn is_xor(expr: &Expr) -> bool {
    expr.as_bin_op_expr().is_some_and(|node| node.op == ast::Operator::BitXor)
}

/// What is left after something was taken out; what was taken, where that is known.
pub(super) fn taken(held: &mut Value, method: &str, args: &[Arg]) -> Value {
    let last = match &mut held.known {
        Known::List(items) if method == "pop" && args.is_empty() && !items.is_empty() => Rc::make_mut(items).pop(),
        _ => None,
    };
    if last.is_none() {
        held.known = Known::Unknown;
    }
    last.unwrap_or_else(|| Value::tainted(Known::Unknown, held.taint.clone()))
}

//! Statements: one walk over the tree, in order, with an environment of [`Value`]s.
//!
//! Bodies of functions are walked after the scope that defines them, so that they see its final names.
//! Branches are walked one after the other into the same environment; inside of them an assignment adds taint
//! and never takes any away. A loop over known data is walked element by element while the budget lasts (that
//! is how decoders are folded); any other loop is walked once, and again if the first time brought new taint.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::Limits;
use super::api;
use super::cut::Cut;
use super::facts::{
    Call, EffectKind, Export, Function, FunctionId, Handed, Import, Labels, LayerId, Module, Place, Taint, Target,
};
use super::given::PutOff;
use super::layer::{Digest, LongLiteral};
use super::pure::{self, Budget};
use super::value::{Known, Value};

pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<super::hash::Fold>>;

/// Frames below which a new piece of stack is taken, and its size, in bytes.
pub(super) const STACK_RED_ZONE: usize = 128 << 10;
pub(super) const STACK_PIECE: usize = 1 << 20;
/// Names of one statement that are looked up as modules, too.
const NAMES_IMPORTED_MAX: usize = 16;
/// One namespace.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) names: Map<Rc<str>, Value>,
    pending: Vec<FunctionId>,
    globals: Vec<Rc<str>>,
    /// The class whose body this is: functions do not see it.
    class: Option<u32>,
}

/// A class of the module.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) name: Rc<str>,
    pub(super) methods: Map<Rc<str>, FunctionId>,
    pub(super) attributes: Map<Rc<str>, Value>,
    pub(super) bases: Vec<Value>,
}

/// What all layers of one module share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) module: Module,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) classes: Vec<Class>,
    /// Classes of commands, and where each stands: handed over when all of their layer was read.
    pub(super) commands: Vec<(u32, TextRange)>,
    /// Classes that stand under a word which no front end asks for.
    pub(super) asked: Vec<u32>,
    /// Effects and calls by where they stand, so that walking twice does not count twice.
    pub(super) effect_at: Map<(LayerId, u32, EffectKind), Vec<usize>>,
    pub(super) call_at: Map<(LayerId, u32, u8), usize>,
    pub(super) layer_at: Map<(LayerId, u32, Digest), LayerId>,
    /// What was read as a layer because it is run, written or unpacked.
    pub(super) layers_read: std::collections::HashSet<Digest>,
    /// Those of the module, to be asked for.
    pub(super) imports: std::collections::HashSet<Import, BuildHasherDefault<super::hash::Fold>>,
    pub(super) sign_at: Map<(&'static str, u32), ()>,
    pub(super) layer_depth: u32,
    /// Tokens of the texts whose trees are held now.
    pub(super) tokens: u32,
    pub(super) layer_bytes_kept: [usize; 2],
    pub(super) inlined: u32,
    /// Bit *n*: the function runs its parameter *n*.
    pub(super) runs: Map<FunctionId, u32>,
}

pub(super) struct Def<'a> {
    pub(super) node: &'a ast::StmtFunctionDef,
    pub(super) class: Option<u32>,
    pub(super) inlined: u32,
}

/// Walks one layer.
pub(super) struct Walker<'a, 's> {
    pub(super) shared: &'s mut Shared,
    pub(super) text: &'a str,
    pub(super) lines: Vec<u32>,
    pub(super) layer: LayerId,
    pub(super) scopes: Vec<Scope>,
    pub(super) defs: Map<FunctionId, Def<'a>>,
    pub(super) lambdas: Vec<super::declared::Lambda<'a>>,
    pub(super) beside: super::declared::Beside<'a>,
    /// By where they begin, so that a loop does not add one twice.
    pub(super) literals: BTreeMap<u32, LongLiteral>,
    pub(super) stars: Vec<Rc<str>>,
    pub(super) function: FunctionId,
    pub(super) depth: u32,
    pub(super) inline_depth: u32,
    /// Inside a branch or a loop: assignments add taint.
    pub(super) branches: u32,
    pub(super) loops: u32,
    /// Raised when a variable gains taint: a loop is then walked again.
    pub(super) tainted: u32,
    /// Raised with every effect and every call that is followed: a loop with some is no decoder.
    pub(super) sites: u32,
    /// Raised with everything that is run: a loop that does so is walked for longer.
    pub(super) ran: u32,
    /// Calls that were not walked with their arguments.
    pub(super) put_off: PutOff,
    pub(super) swallowed: bool,
    pub(super) main_only: bool,
    /// What the function walked inline returned, and whether it returned for sure.
    pub(super) returned: Option<Value>,
    pub(super) stopped: bool,
    pub(super) last: Value,
    /// The folder that this function went to, where files without one of their own go.
    pub(super) folder: Option<Rc<str>>,
}

impl<'a> Walker<'a, '_> {
    /// Walks a module's body, then the bodies of its functions.
    pub(super) fn module(&mut self, body: &'a [Stmt]) {
        self.block(body);
        self.asked_for_names();
        self.hand_over_commands();
        self.pending();
        self.given_and_run();
        self.long_literals();
        for (name, value) in &self.scopes[0].names {
            let known = match &value.known {
                Known::Function(_) | Known::Class(_) | Known::Object(_) | Known::Lambda(_) => continue,
                Known::Unknown | Known::Made(_) | Known::Bound(_) if value.taint.is_empty() => continue,
                Known::Made(_) | Known::Bound(_) => Known::Unknown,
                Known::Str(text) if text.len() > self.shared.limits.export_bytes_max => continue,
                Known::Bytes(data) if data.len() > self.shared.limits.export_bytes_max => continue,
                Known::List(items) if items.len() > 256 => continue,
                Known::Dict(items) if items.len() > 256 => continue,
                other => other.clone(),
            };
            if self.layer > 0 {
                continue;
            }
            if self.shared.module.exports.len() >= self.shared.limits.exports_max {
                self.shared.module.cut(Cut::Exports, super::TOP);
                break;
            }
            let export = Export { known, taint: value.taint.clone() };
            self.shared.module.exports.push((Rc::clone(name), export));
        }
        self.shared.module.exports.sort_by(|a, b| a.0.cmp(&b.0));
    }

    pub(super) fn block(&mut self, body: &'a [Stmt]) {
        for (n, stmt) in body.iter().enumerate() {
            if self.stopped {
                return;
            }
            if let Some(code) = self.python_2_exec(stmt, body.get(n + 1)) {
                self.run_statement(code);
            }
            if self.depth >= self.shared.limits.depth_max {
                self.cut(Cut::Depth, stmt.range());
                return;
            }
            self.depth += 1;
            stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.stmt(stmt));
            self.depth -= 1;
            self.too_deep();
        }
    }

    /// `exec code`, as Python 2 wrote it, is two statements on one line to the parser of Python 3.
    fn python_2_exec(&self, word: &'a Stmt, code: Option<&'a Stmt>) -> Option<&'a Expr> {
        let (Stmt::Expr(word), Some(Stmt::Expr(code))) = (word, code) else { return None };
        let Expr::Name(name) = &*word.value else { return None };
        let between = self.text.get(usize::from(word.range().end())..usize::from(code.range().start()))?;
        (name.id.as_str() == "exec" && between.chars().all(|c| matches!(c, ' ' | '\t'))).then_some(&code.value)
    }

    fn pending(&mut self) {
        loop {
            let Some(scope) = self.scopes.last_mut() else { return };
            let pending = std::mem::take(&mut scope.pending);
            if pending.is_empty() {
                return;
            }
            for id in pending {
                self.body_of(id);
            }
        }
    }

    /// Walks a function's body for its own sake: its parameters are not known.
    fn body_of(&mut self, id: FunctionId) {
        let Some(def) = self.defs.get(&id) else { return };
        let (node, class) = (def.node, def.class);
        let outer = (self.function, self.branches, self.loops, self.swallowed, self.main_only);
        let folder = self.folder.take();
        self.function = id;
        (self.branches, self.loops, self.swallowed, self.main_only) = (0, 0, false, false);
        let mut scope = Scope::default();
        for (n, parameter) in node.parameters.iter().enumerate() {
            let name: Rc<str> = parameter.name().as_str().into();
            let mut taint = Taint { params: Taint::param(n), ..Taint::default() };
            if api::is_secret_name(&name) {
                taint.labels = Labels::SECRET_PARAM;
            }
            let known = match class {
                Some(class) if n == 0 => Known::Object(class),
                _ => Known::Unknown,
            };
            scope.names.insert(name, Value::tainted(known, taint));
        }
        self.scopes.push(scope);
        self.block(&node.body);
        self.pending();
        self.scopes.pop();
        (self.function, self.branches, self.loops, self.swallowed, self.main_only) = outer;
        self.folder = folder;
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => self.define(node),
            Stmt::ClassDef(node) => self.class(node),
            Stmt::Return(node) => {
                let value = node.value.as_ref().map_or(Value::of(Known::None), |value| self.eval(value));
                self.give_back(value);
            }
            Stmt::Delete(node) => node.targets.iter().for_each(|target| drop(self.eval(target))),
            Stmt::Assign(node) => {
                let value = self.eval(&node.value);
                for target in &node.targets {
                    self.assign(target, value.clone());
                }
            }
            Stmt::AugAssign(node) => self.augment(node),
            Stmt::AnnAssign(node) => self.annotated(node),
            Stmt::For(node) => self.for_loop(node),
            Stmt::While(node) => self.while_loop(node),
            Stmt::If(node) => self.branch(node),
            Stmt::With(node) => {
                for item in &node.items {
                    let value = self.eval(&item.context_expr);
                    self.uses(&value, &["__enter__", "__exit__", "__aenter__", "__aexit__"], item.range());
                    if let Some(target) = &item.optional_vars {
                        self.assign(target, value);
                    }
                }
                self.block(&node.body);
            }
            Stmt::Match(node) => self.matched(node),
            Stmt::Raise(node) => {
                for expr in node.exc.iter().chain(&node.cause) {
                    let value = self.eval(expr);
                    if matches!(value.known, Known::Class(_)) {
                        self.call_value(&value, Vec::new(), expr.range());
                    }
                }
            }
            Stmt::Try(node) => self.attempt(node),
            Stmt::Assert(node) => {
                [&*node.test].into_iter().chain(node.msg.as_deref()).for_each(|value| drop(self.eval(value)))
            }
            Stmt::Import(node) => self.import(node),
            Stmt::ImportFrom(node) => self.import_from(node),
            Stmt::Global(node) => self.declare(&node.names),
            Stmt::Nonlocal(node) => self.declare(&node.names),
            Stmt::Expr(node) => {
                // A string alone is a comment.
                if node.value.is_string_literal_expr() {
                    self.prose(node.range());
                } else {
                    self.last = self.eval(&node.value);
                }
            }
            Stmt::TypeAlias(node) => {
                self.type_parameters(node.type_params.as_deref());
                self.eval(&node.value);
            }
            Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    pub(super) fn in_class(&self) -> bool {
        self.scopes.last().is_some_and(|scope| scope.class.is_some())
    }

    fn declare(&mut self, names: &[ast::Identifier]) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.globals.extend(names.iter().map(|name| Rc::from(name.as_str())));
        }
    }

    fn give_back(&mut self, value: Value) {
        if self.inline_depth > 0 {
            self.stopped = self.branches == 0;
            match &mut self.returned {
                Some(before) => before.taint.join(&value.taint),
                none => *none = Some(value),
            }
            return;
        }
        if let Some(function) = self.shared.module.functions.get_mut(self.function as usize) {
            function.returns.join(&value.taint);
        }
    }

    fn define(&mut self, node: &'a ast::StmtFunctionDef) {
        let class = self.scopes.last().and_then(|scope| scope.class);
        self.head(node);
        if self.inline_depth > 0 {
            return;
        }
        if self.shared.module.functions.len() >= self.shared.limits.functions_max {
            self.cut(Cut::Functions, node.range());
            return;
        }
        let id = self.shared.module.functions.len() as FunctionId;
        let outer = match class {
            Some(class) => Some(Rc::clone(&self.shared.classes[class as usize].name)),
            None if self.function > 0 => Some(Rc::clone(&self.shared.module.functions[self.function as usize].name)),
            None => None,
        };
        let name: Rc<str> = outer.map_or(node.name.as_str().into(), |outer| format!("{outer}.{}", node.name).into());
        let is_static =
            node.decorator_list.iter().any(|d| d.expression.as_name_expr().is_some_and(|n| n.id == "staticmethod"));
        self.shared.module.functions.push(Function {
            name,
            params: node.parameters.iter().map(|parameter| parameter.name().as_str().into()).collect(),
            place: self.place(node.range()),
            handed_over: false,
            returns: Taint::default(),
        });
        self.defs.insert(id, Def { node, class: class.filter(|_| !is_static), inlined: 0 });
        if let Some(scope) = self.scopes.last_mut() {
            scope.pending.push(id);
        }
        if let Some(class) = class {
            self.shared.classes[class as usize].methods.insert(node.name.as_str().into(), id);
        }
        self.bind(node.name.as_str(), Value::of(Known::Function(id)));
        self.decorated(&node.decorator_list, Known::Function(id));
    }

    fn class(&mut self, node: &'a ast::StmtClassDef) {
        self.type_parameters(node.type_params.as_deref());
        let bases: Vec<Value> =
            node.arguments.iter().flat_map(|arguments| arguments.args.iter()).map(|base| self.eval(base)).collect();
        if self.shared.classes.len() >= self.shared.limits.functions_max {
            self.cut(Cut::Functions, node.range());
            return;
        }
        let command = bases
            .iter()
            .filter_map(Value::name)
            .any(|name| name.contains(".command.") || name.ends_with("tools.Command") || name.ends_with("cmd.Command"));
        let id = self.shared.classes.len() as u32;
        let class = Class { name: node.name.as_str().into(), bases, ..Class::default() };
        self.shared.classes.push(class);
        self.bind(node.name.as_str(), Value::of(Known::Class(id)));
        self.scopes.push(Scope { class: Some(id), ..Scope::default() });
        self.block(&node.body);
        let Some(scope) = self.scopes.pop() else { return };
        let attributes = scope.names.into_iter().filter(|(_, value)| !matches!(value.known, Known::Function(_)));
        self.shared.classes[id as usize].attributes.extend(attributes);
        // Methods are walked where the class stands: constructors first, as they set the attributes.
        let mut pending = scope.pending;
        pending.sort_by_key(|id| self.defs.get(id).is_none_or(|def| &*def.node.name != "__init__"));
        if let Some(outer) = self.scopes.last_mut() {
            outer.pending.extend(pending);
        }
        // A base hears of what is derived from it.
        let bases = self.shared.classes[id as usize].bases.clone();
        bases.iter().for_each(|base| self.uses(base, &["__init_subclass__"], node.range()));
        // The members of an enumeration are made with it.
        if bases.iter().filter_map(Value::name).any(|name| name.ends_with("Enum") || name.ends_with("Flag")) {
            self.uses(&Value::of(Known::Class(id)), &["__init__", "__new__"], node.range());
        }
        // And a metaclass, for the class that it makes.
        let makers: Vec<u32> = node
            .arguments
            .iter()
            .flat_map(|arguments| &arguments.keywords)
            .map(|keyword| self.eval(&keyword.value))
            .filter_map(|value| if let Known::Class(class) = value.known { Some(class) } else { None })
            .collect();
        for maker in makers {
            self.hand_over_class(maker, Handed::Surely, node.range());
        }
        self.decorated(&node.decorator_list, Known::Class(id));
        if command {
            self.shared.commands.push((id, node.range()));
        }
    }

    pub(super) fn bind(&mut self, name: &str, mut value: Value) {
        let last = self.scopes.len() - 1;
        let at = if self.scopes[last].globals.iter().any(|global| &**global == name) { 0 } else { last };
        let weak = self.branches > 0 || at != last;
        let scope = &mut self.scopes[at];
        match scope.names.get_mut(name) {
            Some(before) => {
                let had = before.taint.clone();
                if weak {
                    value.taint.join(&had);
                    // A branch that knows nothing does not make others forget.
                    if matches!(value.known, Known::Unknown | Known::None) && !matches!(before.known, Known::Unknown) {
                        value.know(before);
                    }
                }
                if value.taint != had {
                    self.tainted += 1;
                }
                *before = value;
            }
            None => {
                if !value.taint.is_empty() {
                    self.tainted += 1;
                }
                scope.names.insert(name.into(), value);
            }
        }
    }

    pub(super) fn assign(&mut self, target: &'a Expr, value: Value) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), value),
            Expr::Starred(node) => self.assign(&node.value, value),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                let whole = Value::tainted(Known::Unknown, value.taint.clone());
                let parts = pure::elements(&value, &mut self.shared.budget);
                let parts = parts.and_then(|parts| spread(parts, elts));
                for (n, element) in elts.iter().enumerate() {
                    let part = parts.as_ref().map_or_else(|| whole.clone(), |parts| parts[n].clone());
                    self.assign(element, part);
                }
            }
            Expr::Attribute(node) => {
                let on = self.eval(&node.value);
                self.assign_attribute(&on, node, value);
            }
            Expr::Subscript(node) => {
                let key = self.eval(&node.slice);
                if let Expr::Name(name) = &*node.value {
                    self.put(name.id.as_str(), key, value);
                } else {
                    self.eval(&node.value);
                }
            }
            other => {
                self.eval(other);
            }
        }
    }

    /// A variable takes more taint in, and keeps what is known of it.
    pub(super) fn mix(&mut self, name: &str, taint: &Taint) {
        if taint.is_empty() {
            return;
        }
        let found = self.scopes.iter_mut().rev().find_map(|scope| scope.names.get_mut(name));
        if let Some(value) = found {
            let had = value.taint.clone();
            value.taint.join(taint);
            if value.taint != had {
                self.tainted += 1;
            }
        }
    }

    /// `name[key] = value`.
    fn put(&mut self, name: &str, key: Value, value: Value) {
        self.mix(name, &value.taint);
        let Some(held) = self.scopes.iter_mut().rev().find_map(|scope| scope.names.get_mut(name)) else { return };
        if !held.hold(&value) {
            return;
        }
        match (&mut held.known, key.as_int()) {
            (Known::Dict(items), _) if items.len() < 256 => {
                let items = Rc::make_mut(items);
                items.retain(|(known, _)| !pure::same(known, Some(&key)));
                items.push((key, value));
            }
            (Known::List(items), Some(n)) => {
                if let Some(item) = usize::try_from(n).ok().filter(|n| *n < items.len())
                    && self.shared.budget.steps(1 + items.len() / 64).is_some()
                {
                    Rc::make_mut(items)[item] = value;
                }
            }
            _ => {}
        }
    }

    fn augment(&mut self, node: &'a ast::StmtAugAssign) {
        let before = self.eval(&node.target);
        let value = self.eval(&node.value);
        let value = self.binary(before, node.op, value);
        self.assign(&node.target, value);
    }

    fn branch(&mut self, node: &'a ast::StmtIf) {
        let test = self.eval(&node.test);
        let known = if self.inline_depth > 0 || self.loops > 0 { test.truth() } else { None };
        let main = is_main_test(&node.test);
        let before = self.main_only;
        self.main_only |= main;
        if known != Some(false) {
            self.arm_of(&node.test, &node.body, known.is_none() && !main);
        }
        self.main_only = before;
        if known == Some(true) {
            return;
        }
        for clause in &node.elif_else_clauses {
            let truth = clause.test.as_ref().map(|test| self.eval(test).truth());
            let certain = known.is_some() && matches!(truth, None | Some(Some(true)));
            if known.is_some() && truth == Some(Some(false)) {
                continue;
            }
            match &clause.test {
                Some(test) => self.arm_of(test, &clause.body, !certain),
                None => self.arm(&clause.body, !certain),
            }
            if certain {
                return;
            }
        }
    }

    pub(super) fn arm(&mut self, body: &'a [Stmt], unsure: bool) {
        self.branches += u32::from(unsure);
        self.block(body);
        self.branches -= u32::from(unsure);
    }

    fn attempt(&mut self, node: &'a ast::StmtTry) {
        let quiet = |body: &[Stmt]| {
            body.iter().all(|s| {
                matches!(s, Stmt::Pass(_) | Stmt::Continue(_) | Stmt::Return(_))
                    || s.as_expr_stmt().is_some_and(|e| e.value.is_ellipsis_literal_expr())
            })
        };
        let swallows = node.handlers.iter().any(|handler| {
            let ast::ExceptHandler::ExceptHandler(handler) = handler;
            quiet(&handler.body)
        });
        let before = self.swallowed;
        self.swallowed |= swallows;
        self.block(&node.body);
        self.swallowed = before;
        self.branches += 1;
        for handler in &node.handlers {
            let ast::ExceptHandler::ExceptHandler(handler) = handler;
            if let Some(kind) = &handler.type_ {
                self.eval(kind);
            }
            self.block(&handler.body);
        }
        self.branches -= 1;
        self.block(&node.orelse);
        self.block(&node.finalbody);
    }

    fn import(&mut self, node: &'a ast::StmtImport) {
        for alias in &node.names {
            let full: Rc<str> = alias.name.as_str().into();
            self.imported(Rc::clone(&full), false, node.range());
            match &alias.asname {
                Some(name) => self.bind(name.as_str(), Value::of(Known::Name(full))),
                None => {
                    let top = alias.name.split('.').next().unwrap_or("");
                    self.bind(top, Value::of(Known::Name(top.into())));
                }
            }
        }
    }

    fn import_from(&mut self, node: &'a ast::StmtImportFrom) {
        let dots = ".".repeat(node.level.min(64) as usize);
        let module = format!("{dots}{}", node.module.as_ref().map_or("", |module| module.as_str()));
        let star = node.names.iter().any(|alias| &*alias.name == "*");
        self.told_of_future(node);
        self.imported(module.as_str().into(), star, node.range());
        if star {
            self.stars.push(module.as_str().into());
            return;
        }
        let joint = if module.ends_with('.') || module.is_empty() { "" } else { "." };
        let own = !api::is_foreign(&module);
        for alias in &node.names {
            let full = format!("{module}{joint}{}", alias.name);
            // The name may be a module's.
            if own && node.names.len() <= NAMES_IMPORTED_MAX {
                self.imported(full.as_str().into(), false, node.range());
            }
            let bound = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            // A name that stands for a source carries its taint from here on.
            let value = self.named(api::canonical(&full));
            self.bind(bound, value);
        }
    }

    /// Remembers the lines of a text that nothing runs.
    pub(super) fn prose(&mut self, range: TextRange) {
        /// Texts remembered of one module.
        const PROSE_MAX: usize = 4_000;
        let line = |at: ruff_text_size::TextSize| self.lines.partition_point(|start| *start <= u32::from(at)) as u32;
        let lines = (line(range.start()), line(range.end()));
        let prose = &mut self.shared.module.prose;
        if self.layer == 0 && lines.1 > lines.0 && prose.len() < PROSE_MAX && prose.last() != Some(&lines) {
            prose.push(lines);
        }
    }

    pub(super) fn imported(&mut self, module: Rc<str>, star: bool, range: TextRange) {
        let import = Import { module, function: self.function, star };
        if self.shared.imports.contains(&import) {
            return;
        }
        if self.shared.module.imports.len() >= self.shared.limits.imports_max {
            self.cut(Cut::Imports, range);
            return;
        }
        self.shared.imports.insert(import.clone());
        self.shared.module.imports.push(import);
    }

    /// Notes that a bound was met.
    pub(super) fn cut(&mut self, cut: Cut, range: TextRange) {
        let place = self.place(range);
        self.shared.module.cut(cut, place);
    }

    pub(super) fn place(&self, range: TextRange) -> Place {
        place(self.text, &self.lines, self.layer, range)
    }

    /// Notes that control, and data, pass to another function.
    pub(super) fn call_site(
        &mut self,
        target: Target,
        args: Vec<(Option<Rc<str>>, Taint)>,
        shift: u8,
        handed: Option<Handed>,
        range: TextRange,
    ) -> Option<u32> {
        self.sites += 1;
        let kind = shift | u8::from(handed.is_some()) << 1;
        let key = (self.layer, u32::from(range.start()), kind);
        let calls = &mut self.shared.module.calls;
        if let Some(at) = self.shared.call_at.get(&key)
            && calls[*at].target == target
        {
            let known = &mut calls[*at].args;
            if known.is_empty() && args.iter().any(|(_, taint)| !taint.is_empty()) {
                *known = args;
            } else {
                known.iter_mut().zip(&args).for_each(|(have, new)| have.1.join(&new.1));
            }
            return Some(*at as u32);
        }
        if calls.len() >= self.shared.limits.calls_max {
            self.cut(Cut::Calls, range);
            return None;
        }
        let args = if args.iter().all(|(_, taint)| taint.is_empty()) { Vec::new() } else { args };
        let at = calls.len();
        calls.push(Call { function: self.function, target, args, shift, handed, main_only: self.main_only });
        self.shared.call_at.insert(key, at);
        Some(at as u32)
    }

    /// A class is given away: whoever has it runs its methods.
    pub(super) fn hand_over_class(&mut self, class: u32, how: Handed, range: TextRange) {
        const RUN: [&str; 10] = [
            "__init__",
            "run",
            "initialize_options",
            "finalize_options",
            "__call__",
            "__new__",
            "__init_subclass__",
            "find_spec",
            "find_module",
            "exec_module",
        ];
        let methods: Vec<FunctionId> =
            RUN.iter().filter_map(|name| self.shared.classes[class as usize].methods.get(*name).copied()).collect();
        for (n, method) in methods.into_iter().enumerate() {
            let at = TextRange::empty(range.start() + ruff_text_size::TextSize::from(n as u32));
            self.hand_over(method, how, at);
        }
    }

    pub(super) fn hand_over(&mut self, function: FunctionId, how: Handed, range: TextRange) {
        if let Some(function) = self.shared.module.functions.get_mut(function as usize) {
            function.handed_over = true;
        }
        self.call_site(Target::Local(function), Vec::new(), 0, Some(how), range);
    }
}

/// Line and column of where a range starts.
pub(super) fn place(text: &str, lines: &[u32], layer: LayerId, range: TextRange) -> Place {
    /// Columns further right are counted in bytes.
    const EXACT_COLUMNS: usize = 10_000;
    let at = u32::from(range.start());
    let line = lines.partition_point(|start| *start <= at);
    let start = lines.get(line.saturating_sub(1)).copied().unwrap_or(0) as usize;
    let before = text.get(start..at as usize).unwrap_or("");
    let column = if before.len() > EXACT_COLUMNS { before.len() } else { before.chars().count() };
    Place { layer, line: line as u32, column: column as u32 + 1 }
}

/// What each target of an assignment is given: one part, and the starred one the list of all that the others leave.
fn spread(mut parts: Vec<Value>, targets: &[Expr]) -> Option<Vec<Value>> {
    let Some(star) = targets.iter().position(Expr::is_starred_expr) else {
        return (parts.len() == targets.len()).then_some(parts);
    };
    let rest = (parts.len() + 1).checked_sub(targets.len())?;
    let taken: Vec<Value> = parts.drain(star..star + rest).collect();
    parts.insert(star, Value::of(Known::List(Rc::new(taken))));
    Some(parts)
}

fn is_main_test(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else { return false };
    let is_name = |e: &Expr| e.as_name_expr().is_some_and(|name| name.id == "__name__");
    let is_main = |e: &Expr| e.as_string_literal_expr().is_some_and(|text| text.value.to_str() == "__main__");
    let ([ast::CmpOp::Eq], [right]) = (&*compare.ops, &*compare.comparators) else { return false };
    is_name(&compare.left) && is_main(right) || is_main(&compare.left) && is_name(right)
}

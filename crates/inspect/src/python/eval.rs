//! Expressions: what each is worth before anything runs.

use std::rc::Rc;

use ruff_python_ast::{self as ast, Expr, Operator};
use ruff_text_size::{Ranged, TextRange};

use super::api;
use super::cut::Cut;
use super::facts::{Labels, LayerKind, OddityKind, Piece, Sign, Taint};
use super::peel;
use super::pure;
use super::signs;
use super::value::{Known, LATER_SIZE_MAX, Later, Value};
use super::walk::{STACK_PIECE, STACK_RED_ZONE, Scope, Walker};

/// Longest full name that is followed, in bytes.
const NAME_BYTES_MAX: usize = 160;

/// Pieces of one text that is known in part.
const PIECES_MAX: usize = 1_000;

/// Letters made of numbers, one by one, from which on they are a text that was hidden.
const NAME_LETTERS_MIN: usize = 4;

fn piece_count(value: &Value) -> usize {
    match &value.known {
        Known::Partial(pieces) => pieces.len(),
        _ => 1,
    }
}

impl<'a> Walker<'a, '_> {
    pub(super) fn eval(&mut self, expr: &'a Expr) -> Value {
        let depth_max = self.shared.limits.depth_max;
        if self.depth >= depth_max {
            if !self.beside.puts_off() {
                self.cut(Cut::Depth, expr.range());
            }
            return Value::default();
        }
        #[cfg(test)]
        super::tests_walk::evaluated(expr);
        let halfway = self.beside.enters(expr, self.depth, depth_max);
        self.depth += 1;
        let value = stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.expression(expr));
        self.depth -= 1;
        if halfway {
            self.beside.leaves();
        }
        value
    }

    fn expression(&mut self, expr: &'a Expr) -> Value {
        match expr {
            Expr::Name(node) => self.lookup(node.id.as_str()),
            Expr::StringLiteral(node) => self.string_literal(node),
            Expr::BytesLiteral(node) => self.bytes_literal(node),
            Expr::NumberLiteral(ast::ExprNumberLiteral { value, .. }) => number(value),
            Expr::BooleanLiteral(node) => Value::of(Known::Bool(node.value)),
            Expr::NoneLiteral(_) => Value::of(Known::None),
            Expr::EllipsisLiteral(_) | Expr::IpyEscapeCommand(_) => Value::default(),
            Expr::FString(node) => self.interpolated(node),
            Expr::TString(node) => {
                node.value.elements().for_each(|element| drop(self.element(element)));
                Value::default()
            }
            Expr::Attribute(node) => {
                let on = self.eval(&node.value);
                self.attribute(&on, node.attr.as_str(), node.range())
            }
            Expr::Call(node) => self.call(node),
            Expr::BinOp(node) => self.operators(node),
            Expr::Subscript(node) => self.subscript(node),
            Expr::List(ast::ExprList { elts, .. })
            | Expr::Tuple(ast::ExprTuple { elts, .. })
            | Expr::Set(ast::ExprSet { elts, .. }) => self.sequence(elts),
            Expr::Dict(node) => self.dictionary(node),
            Expr::Lambda(node) => self.lambda(node),
            Expr::ListComp(node) => self.comprehension(&node.generators, &node.elt),
            Expr::SetComp(node) => self.comprehension(&node.generators, &node.elt),
            Expr::Generator(node) => self.comprehension(&node.generators, &node.elt),
            Expr::DictComp(node) => {
                if let Some(key) = &node.key {
                    self.comprehension(&node.generators, key);
                }
                let values = self.comprehension(&node.generators, &node.value);
                Value::tainted(Known::Unknown, values.taint)
            }
            Expr::Named(node) => {
                let value = self.eval(&node.value);
                self.assign(&node.target, value.clone());
                value
            }
            Expr::If(node) => self.choice(node),
            Expr::BoolOp(node) => self.either(&node.values),
            Expr::UnaryOp(node) => self.unary(node),
            Expr::Compare(node) => self.compare(node),
            Expr::Await(node) => self.eval(&node.value),
            Expr::Starred(node) => self.eval(&node.value),
            Expr::Yield(node) => {
                let value = node.value.as_ref().map_or_else(Value::default, |value| self.eval(value));
                self.yielded(&value.taint);
                value
            }
            Expr::YieldFrom(node) => {
                let value = self.eval(&node.value);
                self.yielded(&value.taint);
                value
            }
            Expr::Slice(node) => {
                for part in [&node.lower, &node.upper, &node.step].into_iter().flatten() {
                    self.eval(part);
                }
                Value::default()
            }
        }
    }

    /// Of a text that Python refuses, as with half an escape, what stands there is read as far as it goes.
    fn string_literal(&mut self, node: &'a ast::ExprStringLiteral) -> Value {
        if !node.value.iter().any(|part| part.flags.is_invalid()) {
            return self.literal(node.value.to_str(), node.range());
        }
        let written = self.text.get(node.range().start().to_usize()..node.range().end().to_usize()).unwrap_or("");
        let inside = written.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_matches(['"', '\'']);
        let size = inside.len();
        let text = self.shared.budget.bytes(size).map(|()| peel::unescape(inside)).unwrap_or_default();
        self.literal(&text, node.range())
    }

    fn bytes_literal(&mut self, node: &'a ast::ExprBytesLiteral) -> Value {
        let bytes: Vec<u8> = node.value.iter().flat_map(|part| part.value.iter().copied()).collect();
        if let Ok(text) = std::str::from_utf8(&bytes) {
            self.signs_of(text, node.range());
        }
        self.telling_literal(&bytes, node.range());
        Value::bytes(bytes)
    }

    fn yielded(&mut self, taint: &Taint) {
        if let Some(function) = self.shared.module.functions.get_mut(self.function as usize) {
            function.returns.join(taint);
        }
    }

    /// A name, by the innermost scope that knows it; else what the language or a star import means by it.
    pub(super) fn lookup(&mut self, name: &str) -> Value {
        if let Some(value) = self.scopes.iter().rev().find_map(|scope| scope.names.get(name)) {
            return value.clone();
        }
        if api::is_builtin(name) || name.starts_with("__pyarmor") {
            return Value::of(Known::Name(api::canonical(name).into()));
        }
        for star in &self.stars {
            let full = format!("{star}.{name}");
            if api::named(&full).is_some() {
                return self.named(&full);
            }
        }
        // What nothing here binds came with the namespace, or the import was lost: it means what it means elsewhere.
        if self.stars.is_empty() && !api::is_usual_module(name) {
            return Value::default();
        }
        Value::of(Known::Name(name.into()))
    }

    /// A full name, with the taint of what it stands for.
    pub(super) fn named(&self, name: &str) -> Value {
        let labels = api::named(name).filter(|api| api.effect.is_none()).map_or(Labels::NONE, |api| api.gives);
        let labels = if name == "sys.platform" || name == "os.name" { Labels::HOST } else { labels };
        Value::of(Known::Name(name.into())).labelled(labels)
    }

    fn literal(&mut self, text: &str, range: TextRange) -> Value {
        self.signs_of(text, range);
        self.telling_literal(text.as_bytes(), range);
        if text.contains('\n') && peel::script(text) == LayerKind::Text {
            self.prose(range);
        }
        Value::str(text)
    }

    pub(super) fn signs_of(&mut self, text: &str, range: TextRange) {
        if text.contains('.') {
            for host in signs::hosts(text) {
                let hosts = &mut self.shared.module.hosts;
                if hosts.len() < self.shared.limits.hosts_max {
                    hosts.insert(host);
                } else if !hosts.contains(&host) {
                    self.cut(Cut::Hosts, range);
                }
            }
        }
        let program = signs::is_program_url(text).then_some("program-url");
        for sign in signs::of(text).into_iter().chain(program) {
            if sign.starts_with("store:") {
                self.shared.module.stores.insert(sign);
            }
            self.sign(sign, text, range);
        }
    }

    /// Remembers a sign, once a function.
    pub(super) fn sign(&mut self, sign: &'static str, text: &str, range: TextRange) {
        if self.shared.sign_at.insert((sign, self.function), ()).is_some() {
            return;
        }
        if self.shared.module.signs.len() >= self.shared.limits.signs_max {
            self.cut(Cut::Signs, range);
        } else {
            let place = self.place(range);
            let text = super::shorten(text, 200);
            self.shared.module.signs.push(Sign { sign, function: self.function, place, text });
        }
    }

    fn interpolated(&mut self, node: &'a ast::ExprFString) -> Value {
        let mut pieces = Vec::new();
        let mut taint = Taint::default();
        let mut peeled = None;
        for part in &node.value {
            match part {
                ast::FStringPart::Literal(literal) => pieces.push(Piece::Text((*literal.value).into())),
                ast::FStringPart::FString(string) => {
                    for element in &string.elements {
                        let value = self.element(element);
                        taint.join(&value.taint);
                        pieces.extend(value.pieces());
                        peeled = peeled.or(value.peeled);
                    }
                }
            }
        }
        let known = Value::from_pieces(pieces, self.shared.limits.argument_bytes_max);
        if let Known::Str(text) = &known {
            self.signs_of(&Rc::clone(text), node.range());
        } else if let Known::Partial(pieces) = &known {
            self.signs_of(&super::facts::show(pieces), node.range());
        }
        Value::new(known, taint, peeled)
    }

    fn element(&mut self, element: &'a ast::InterpolatedStringElement) -> Value {
        match element {
            ast::InterpolatedStringElement::Literal(literal) => Value::str(&literal.value),
            ast::InterpolatedStringElement::Interpolation(node) => {
                let value = self.eval(&node.expression);
                if let Some(spec) = &node.format_spec {
                    let plain = node.format_spec.as_ref().is_none_or(|spec| spec.elements.is_empty());
                    spec.elements.iter().for_each(|element| drop(self.element(element)));
                    if !plain {
                        return Value::tainted(Known::Unknown, value.taint);
                    }
                }
                value
            }
        }
    }

    /// `on.name`
    pub(super) fn attribute(&mut self, on: &Value, name: &str, range: TextRange) -> Value {
        let known = match &on.known {
            Known::Name(base) if base.len() + name.len() < NAME_BYTES_MAX => {
                let full = format!("{base}.{name}");
                let mut value = self.named(api::canonical(&full));
                value.taint.join(&on.taint);
                return value;
            }
            Known::Object(class) | Known::Class(class) => {
                if let Some(value) = self.member(*class, name, 0) {
                    if matches!(on.known, Known::Object(_))
                        && let Some(id) = self.method_of(*class, name).filter(|id| self.is_property(*id))
                    {
                        return self.call_function(id, &[], 1, range);
                    }
                    return value;
                }
                self.uses(on, &["__getattr__", "__getattribute__"], range);
                Known::Bound(Rc::new((on.clone(), name.into())))
            }
            Known::Made(made) if made.name.len() + name.len() < NAME_BYTES_MAX => {
                Known::Bound(Rc::new((on.clone(), name.into())))
            }
            Known::Str(_) | Known::Bytes(_) | Known::Partial(_) | Known::List(_) | Known::Dict(_) | Known::Later(_) => {
                match name {
                    "name" | "path" => on.known.clone(),
                    _ => Known::Bound(Rc::new((on.clone(), name.into()))),
                }
            }
            Known::Function(_) if name == "__wrapped__" || name == "__call__" => on.known.clone(),
            Known::Unknown | Known::Bound(_) if api::method(name).is_some() || super::call::unlocks(name) => {
                Known::Bound(Rc::new((Value::tainted(Known::Unknown, on.taint.clone()), name.into())))
            }
            _ => Known::Unknown,
        };
        Value::tainted(known, on.taint.clone())
    }

    /// An attribute or method of a class of the module, its bases included.
    fn member(&self, class: u32, name: &str, depth: u32) -> Option<Value> {
        let class_id = class;
        let class = self.shared.classes.get(class as usize)?;
        if let Some(value) = class.attributes.get(name) {
            return Some(value.clone());
        }
        if class.methods.contains_key(name) {
            return Some(Value::of(Known::Bound(Rc::new((Value::of(Known::Object(class_id)), name.into())))));
        }
        class.bases.iter().find_map(|base| match &base.known {
            Known::Class(base) if depth < 8 => self.member(*base, name, depth + 1),
            Known::Name(base) => {
                let full = format!("{base}().{name}");
                api::named(&full).map(|_| Value::of(Known::Name(full.into())))
            }
            _ => None,
        })
    }

    /// The function behind a method's name.
    pub(super) fn method_of(&self, class: u32, name: &str) -> Option<u32> {
        let mut class = class;
        for _ in 0..8 {
            let found = self.shared.classes.get(class as usize)?;
            if let Some(id) = found.methods.get(name) {
                return Some(*id);
            }
            class = found.bases.iter().find_map(|base| match base.known {
                Known::Class(base) => Some(base),
                _ => None,
            })?;
        }
        None
    }

    /// `a + b + c …` from the left, however long, without recursion.
    fn operators(&mut self, node: &'a ast::ExprBinOp) -> Value {
        let mut spine = vec![node];
        let mut leftmost = &*node.left;
        while let Expr::BinOp(left) = leftmost {
            spine.push(left);
            leftmost = &left.left;
        }
        let mut value = self.eval(leftmost);
        // A sum of many texts is gathered and made one text at the end.
        let mut sum: Vec<Piece> = Vec::new();
        for (n, node) in spine.iter().rev().enumerate() {
            let right = self.eval(&node.right);
            let texts = node.op == Operator::Add && value.as_str().is_some() && right.as_str().is_some();
            if texts && n + 1 < spine.len() && spine.len() > 8 {
                if sum.is_empty() {
                    sum = value.pieces();
                }
                sum.extend(right.pieces());
                value.taint.join(&right.taint);
                continue;
            }
            if !sum.is_empty() {
                value.known = Value::from_pieces(std::mem::take(&mut sum), self.shared.budget.value_bytes_max);
            }
            value = self.binary(value, node.op, right);
        }
        if let Some(text) = value.as_str().map(str::to_owned) {
            self.signs_of(&text, node.range());
        }
        value
    }

    pub(super) fn binary(&mut self, left: Value, op: Operator, right: Value) -> Value {
        let mut taint = left.taint.clone();
        taint.join(&right.taint);
        // A letter that is computed among text that stands there is no encoding.
        let letters = |value: &Value| value.peeled.as_deref() == Some(&["chr"]);
        let plain = |value: &Value| value.peeled.is_none() && value.as_str().is_some_and(|text| !text.is_empty());
        let mixed = letters(&left) && plain(&right) || letters(&right) && plain(&left);
        let peeled = left.peeled.clone().or_else(|| right.peeled.clone()).filter(|_| !mixed);
        let known = self.operate(&left, op, &right).unwrap_or_default();
        Value::new(known, taint, peeled)
    }

    fn operate(&mut self, left: &Value, op: Operator, right: &Value) -> Option<Known> {
        if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
            return arithmetic(a, op, b).map(Known::Int);
        }
        let budget = &mut self.shared.budget;
        match (op, &left.known, &right.known) {
            (Operator::Add, Known::Str(_) | Known::Partial(_), Known::Str(_))
            | (Operator::Add, Known::Str(_) | Known::Partial(_), _)
            | (Operator::Add, _, Known::Str(_) | Known::Partial(_)) => {
                // A text of so many parts that are not known says nothing any more; one that is known is a single piece.
                if piece_count(left) + piece_count(right) > PIECES_MAX {
                    return None;
                }
                let cost = |pieces: &[Piece]| -> usize {
                    pieces.iter().map(|piece| 32 + piece.text().map_or(0, str::len)).sum()
                };
                // Copying is cheap next to what is done with the result.
                if let Known::Partial(begin) = &left.known {
                    let right = right.pieces();
                    budget.bytes((cost(begin) + cost(&right)) / 32)?;
                    return Some(Value::append(begin, right, budget.value_bytes_max));
                }
                let pieces: Vec<Piece> = left.pieces().into_iter().chain(right.pieces()).collect();
                budget.bytes(cost(&pieces) / 32)?;
                Some(Value::from_pieces(pieces, budget.value_bytes_max))
            }
            (Operator::Add, Known::Bytes(a), Known::Bytes(b)) => {
                budget.bytes((a.len() + b.len()) / 32)?;
                (a.len() + b.len() <= budget.value_bytes_max).then(|| Known::Bytes([&a[..], &b[..]].concat().into()))
            }
            (Operator::Add, Known::List(a), Known::List(b)) => {
                budget.steps(a.len() + b.len())?;
                budget.bytes((a.len() + b.len()).checked_mul(size_of::<Value>())?)?;
                Some(Known::List(Rc::new(a.iter().chain(b.iter()).cloned().collect())))
            }
            (Operator::Add, _, _) if left.waits() && right.waits() => later("+", vec![left.clone(), right.clone()]),
            (Operator::Add, _, Known::Bytes(_)) if left.waits() => later("+", vec![left.clone(), right.clone()]),
            (Operator::Mod, Known::Str(text), _) => pure::percent(&Rc::clone(text), right, budget),
            (Operator::Mult, _, Known::Int(_)) | (Operator::Mult, Known::Int(_), _) => {
                let (what, times) = right.as_int().map_or((right, left.as_int()), |n| (left, Some(n)));
                let times = usize::try_from(times?.max(0)).ok()?;
                let size = what.as_data()?.len().checked_mul(times)?;
                budget.bytes(size)?;
                match &what.known {
                    Known::Str(text) => Some(Known::Str(text.repeat(times).into())),
                    Known::Bytes(data) => Some(Known::Bytes(data.repeat(times).into())),
                    _ => None,
                }
            }
            // A path under a path.
            (Operator::Div, Known::Str(_) | Known::Partial(_), _) | (Operator::Div, _, Known::Str(_)) => {
                let slash = [Piece::Text("/".into())];
                let pieces = left.pieces().into_iter().chain(slash).chain(right.pieces()).collect();
                Some(Value::from_pieces(pieces, 16 << 10))
            }
            _ => None,
        }
    }

    fn subscript(&mut self, node: &'a ast::ExprSubscript) -> Value {
        let on = self.eval(&node.value);
        if let Expr::Slice(slice) = &*node.slice {
            let mut part = |part: &'a Option<Box<Expr>>| part.as_ref().map(|part| self.eval(part).as_int());
            let (lower, upper, step) = (part(&slice.lower), part(&slice.upper), part(&slice.step));
            if [lower, upper, step].contains(&Some(None)) {
                return Value::tainted(Known::Unknown, on.taint);
            }
            let (lower, upper, step) = (lower.flatten(), upper.flatten(), step.flatten().unwrap_or(1));
            if matches!(on.known, Known::Later(_)) || on.waits() {
                let bound = |n: Option<i64>| n.map_or(Value::of(Known::None), Value::int);
                let known = later("[:]", vec![on.clone(), bound(lower), bound(upper), Value::int(step)]);
                return Value::new(known.unwrap_or_default(), on.taint, on.peeled);
            }
            let known = pure::slice(&on, lower, upper, step, &mut self.shared.budget).unwrap_or_default();
            return Value::new(known, on.taint, on.peeled);
        }
        let at = self.eval(&node.slice);
        self.item(on, &at, node.range())
    }

    /// A name is looked up: nobody encodes one but to hide what is called.
    pub(super) fn looked_up(&mut self, by: &Value, range: TextRange) {
        const ACTING: [&str; 14] = [
            "__builtins__",
            "__import__",
            "builtins",
            "exec",
            "eval",
            "compile",
            "getattr",
            "system",
            "popen",
            "Popen",
            "subprocess",
            "os",
            "socket",
            "requests",
        ];
        if let (Some(name), Some(_)) = (by.as_str(), &by.peeled)
            && ACTING.contains(&name)
        {
            let (name, place) = (name.to_owned(), self.place(range));
            super::lexical::note(&mut self.shared.module, OddityKind::HiddenName, place, 1, &name);
        }
    }

    /// `on[at]`
    fn item(&mut self, on: Value, at: &Value, range: TextRange) -> Value {
        let key = at.as_str();
        if !matches!(on.known, Known::Str(_) | Known::Bytes(_) | Known::List(_) | Known::Unknown) {
            self.looked_up(at, range);
        }
        match (&on.known, key) {
            (Known::Name(name), Some(key)) => match &**name {
                "globals()" | "locals()" | "vars()" => return self.lookup(key),
                "sys.modules" => return Value::of(Known::Name(key.into())),
                "os.environ" | "os.environb" => return env_value(Some(key)),
                "__builtins__" | "builtins.__dict__" | "__dict__" => {
                    return Value::of(Known::Name(api::canonical(key).into()));
                }
                other => {
                    if let Some(module) = other.strip_suffix(".__dict__") {
                        let module = Value::of(Known::Name(module.into()));
                        return self.attribute(&module, key, range);
                    }
                }
            },
            (Known::Name(name), None) if &**name == "os.environ" => return env_value(None),
            (Known::Made(made), Some(key)) => match &*made.name {
                "globals()" | "locals()" => return self.lookup(key),
                "vars()" => {
                    return match made.args.first() {
                        Some(object) => self.attribute(&object.clone(), key, range),
                        None => self.lookup(key),
                    };
                }
                _ => {}
            },
            _ => {}
        }
        match on.known {
            Known::Class(_) => self.uses(&on, &["__class_getitem__"], range),
            Known::Object(_) => self.uses(&on, &["__getitem__"], range),
            _ => {}
        }
        let cost = on.as_data().map_or(1, |data| 1 + data.len() / 256);
        let found = self.shared.budget.steps(cost).and_then(|()| pure::index(&on, at));
        match found {
            Some(mut value) => {
                // The item's own taint is exact; what the container has beyond it came in elsewhere.
                if !matches!(on.known, Known::Dict(_)) {
                    value.taint.join(&on.taint);
                }
                value.peeled = on.peeled;
                value
            }
            None => Value::tainted(Known::Unknown, on.taint),
        }
    }

    fn sequence(&mut self, elements: &'a [Expr]) -> Value {
        let mut items = Vec::with_capacity(elements.len().min(4_096));
        let mut taint = Taint::default();
        let mut exact = true;
        for element in elements {
            let value = self.eval(element);
            taint.join(&value.taint);
            if element.is_starred_expr() {
                match pure::elements(&value, &mut self.shared.budget) {
                    Some(more) => items.extend(more),
                    None => exact = false,
                }
            } else {
                items.push(value);
            }
        }
        let known = if exact { Known::List(Rc::new(items)) } else { Known::Unknown };
        Value::tainted(known, taint)
    }

    fn dictionary(&mut self, node: &'a ast::ExprDict) -> Value {
        let mut items = Vec::with_capacity(node.items.len().min(1_024));
        let mut taint = Taint::default();
        for item in &node.items {
            let key = item.key.as_ref().map(|key| self.eval(key));
            let value = self.eval(&item.value);
            taint.join(&value.taint);
            if let Some(key) = key {
                taint.join(&key.taint);
                items.push((key, value));
            }
        }
        let known = if items.len() <= 4_096 { Known::Dict(Rc::new(items)) } else { Known::Unknown };
        Value::tainted(known, taint)
    }

    fn choice(&mut self, node: &'a ast::ExprIf) -> Value {
        let truth = self.eval(&node.test).truth();
        let body = self.eval(&node.body);
        let other = self.eval(&node.orelse);
        match truth {
            Some(true) => body,
            Some(false) => other,
            None => {
                let mut taint = body.taint.clone();
                taint.join(&other.taint);
                let known = if matches!(body.known, Known::Unknown | Known::None) { other.known } else { body.known };
                Value::new(known, taint, body.peeled)
            }
        }
    }

    fn either(&mut self, values: &'a [Expr]) -> Value {
        let mut out = Value::default();
        for value in values {
            let value = self.eval(value);
            out.taint.join(&value.taint);
            if matches!(out.known, Known::Unknown | Known::None | Known::Bool(_)) {
                out.know(&value);
                out.peeled = value.peeled;
            }
        }
        // What `and` and `or` choose is not known, only what they choose from.
        if matches!(out.known, Known::Bool(_) | Known::Int(_)) {
            out.known = Known::Unknown;
        }
        out
    }

    fn unary(&mut self, node: &'a ast::ExprUnaryOp) -> Value {
        let value = self.eval(&node.operand);
        let known = match (node.op, value.as_int()) {
            (ast::UnaryOp::USub, Some(n)) => n.checked_neg().map(Known::Int),
            (ast::UnaryOp::UAdd, Some(n)) => Some(Known::Int(n)),
            (ast::UnaryOp::Invert, Some(n)) => Some(Known::Int(!n)),
            (ast::UnaryOp::Not, _) => value.truth().map(|truth| Known::Bool(!truth)),
            _ => None,
        };
        Value::tainted(known.unwrap_or_default(), value.taint)
    }

    fn compare(&mut self, node: &'a ast::ExprCompare) -> Value {
        let left = self.eval(&node.left);
        let rights: Vec<Value> = node.comparators.iter().map(|right| self.eval(right)).collect();
        let ([op], [right]) = (&*node.ops, &rights[..]) else { return Value::default() };
        let numbers = left.as_int().zip(right.as_int());
        let known = match (op, numbers) {
            (ast::CmpOp::Eq, _) if left.is_constant() && right.is_constant() => Some(pure::same(&left, Some(right))),
            (ast::CmpOp::NotEq, _) if left.is_constant() && right.is_constant() => {
                Some(!pure::same(&left, Some(right)))
            }
            (ast::CmpOp::Lt, Some((a, b))) => Some(a < b),
            (ast::CmpOp::LtE, Some((a, b))) => Some(a <= b),
            (ast::CmpOp::Gt, Some((a, b))) => Some(a > b),
            (ast::CmpOp::GtE, Some((a, b))) => Some(a >= b),
            (ast::CmpOp::In | ast::CmpOp::NotIn, _) => match (left.as_str(), right.as_str()) {
                (Some(a), Some(b)) => Some(b.contains(a) == matches!(op, ast::CmpOp::In)),
                _ => None,
            },
            _ => None,
        };
        Value::of(known.map_or(Known::Unknown, Known::Bool))
    }

    /// `[element for …]`: element by element when what it walks over is known.
    fn comprehension(&mut self, generators: &'a [ast::Comprehension], element: &'a Expr) -> Value {
        self.scopes.push(Scope::default());
        let mut items = Vec::new();
        let mut taint = Taint::default();
        let exact = self.generate(generators, element, &mut items, &mut taint);
        self.scopes.pop();
        for item in &items {
            taint.join(&item.taint);
        }
        // `bytes(c ^ key for c in data)`: what was computed from numbers was encoded.
        let numbers = items.len() >= 16 && items.iter().all(|item| matches!(item.known, Known::Int(_)));
        // `[chr(n) for n in …]`: letters of which each was a number.
        let letter = |item: &Value| item.peeled.as_deref() == Some(&["chr"]);
        let letters = exact && items.len() >= NAME_LETTERS_MIN && items.iter().all(letter);
        let peeled = (exact && numbers && element.is_bin_op_expr() || letters).then(|| Rc::from(["chr"]));
        let known = if exact { Known::List(Rc::new(items)) } else { Known::Unknown };
        Value::new(known, taint, peeled)
    }

    /// Whether all that was walked over was known.
    fn generate(
        &mut self,
        generators: &'a [ast::Comprehension],
        element: &'a Expr,
        items: &mut Vec<Value>,
        taint: &mut Taint,
    ) -> bool {
        let Some((first, rest)) = generators.split_first() else {
            let value = self.eval(element);
            taint.join(&value.taint);
            items.push(value);
            return true;
        };
        let iter = self.eval(&first.iter);
        taint.join(&iter.taint);
        let known =
            pure::elements(&iter, &mut self.shared.budget).filter(|all| all.len() <= self.shared.limits.unroll_max);
        let Some(all) = known else {
            let value = Value::tainted(Known::Unknown, iter.taint);
            self.assign(&first.target, value);
            first.ifs.iter().for_each(|test| drop(self.eval(test)));
            self.generate(rest, element, items, taint);
            return false;
        };
        let before = self.done();
        for (n, value) in all.into_iter().enumerate() {
            if self.is_enough(n, before, first.range()) {
                return false;
            }
            if self.shared.budget.steps(8).is_none() {
                self.cut(Cut::Folding, first.range());
                return false;
            }
            self.assign(&first.target, value);
            match first.ifs.iter().map(|test| self.eval(test).truth()).try_fold(true, |all, one| Some(all && one?)) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    self.generate(rest, element, items, taint);
                    return false;
                }
            }
            if !self.generate(rest, element, items, taint) {
                return false;
            }
            // Elements that say nothing will not start to, unless they run something else each time.
            if self.ran == before.1 && items.len() == 4 && items.iter().all(|item| matches!(item.known, Known::Unknown))
            {
                return false;
            }
        }
        true
    }
}

fn number(value: &ast::Number) -> Value {
    match value {
        ast::Number::Int(n) => n.as_i64().map_or_else(Value::default, Value::int),
        ast::Number::Float(_) | ast::Number::Complex { .. } => Value::default(),
    }
}

/// The value of an environment variable.
pub(super) fn env_value(key: Option<&str>) -> Value {
    const PERSONAL: [&str; 9] =
        ["USER", "USERNAME", "HOSTNAME", "COMPUTERNAME", "LOGNAME", "USERDOMAIN", "USERPROFILE", "PWD", "HOME"];
    const PLACES: [&str; 7] = ["APPDATA", "LOCALAPPDATA", "TEMP", "TMP", "HOME", "USERPROFILE", "PROGRAMDATA"];
    match key {
        Some(key) if PLACES.contains(&key) => {
            let pieces = vec![Piece::Text(format!("%{key}%").into())];
            let label = if PERSONAL.contains(&key) { Labels::HOST } else { Labels::NONE };
            Value::of(Value::from_pieces(pieces, 64)).labelled(label)
        }
        Some(key) if PERSONAL.contains(&key) => Value::default().labelled(Labels::HOST),
        Some(key) if api::is_secret_name(key) || key.ends_with("_KEY") || key.starts_with("AWS_") => {
            Value::default().labelled(Labels::ENV_SECRET)
        }
        Some(_) | None => Value::default().labelled(Labels::ENV_KEY),
    }
}

/// An operation that waits for another module, if it is not too large.
pub(super) fn later(operation: &str, args: Vec<Value>) -> Option<Known> {
    let size = args.iter().fold(1_u32, |size, arg| {
        size.saturating_add(match &arg.known {
            Known::Later(later) => later.size,
            _ => 0,
        })
    });
    let small = args.iter().all(|arg| arg.as_data().is_none_or(|data| data.len() <= 64 << 10));
    (size <= LATER_SIZE_MAX && small).then(|| Known::Later(Rc::new(Later { operation: operation.into(), args, size })))
}

fn arithmetic(a: i64, op: Operator, b: i64) -> Option<i64> {
    match op {
        Operator::Add => a.checked_add(b),
        Operator::Sub => a.checked_sub(b),
        Operator::Mult => a.checked_mul(b),
        Operator::Mod => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        Operator::FloorDiv => (b != 0).then(|| a.checked_div_euclid(b)).flatten(),
        Operator::Pow => a.checked_pow(u32::try_from(b).ok()?),
        Operator::LShift => u32::try_from(b).ok().filter(|b| *b < 62).and_then(|b| a.checked_mul(1_i64 << b)),
        Operator::RShift => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
        Operator::BitOr => Some(a | b),
        Operator::BitXor => Some(a ^ b),
        Operator::BitAnd => Some(a & b),
        Operator::MatMult | Operator::Div => None,
    }
}

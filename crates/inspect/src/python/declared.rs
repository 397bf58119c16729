//! What stands beside a body and runs with it: annotations, patterns, decorators, types of handlers, defaults of lambdas;
//! and what stands too deep to be evaluated where it stands.

use ruff_python_ast::{self as ast, Expr, Pattern};
use ruff_text_size::{Ranged, TextRange};

use super::call::Arg;
use super::pure;
use super::value::{Known, Value};
use super::walk::Walker;

/// What one round in a lambda costs, in steps; each level within another lambda or function costs twice as much, so that
/// lambdas that call one another, again and again, end soon.
pub(super) const LAMBDA_STEPS: usize = 8;

/// A lambda, and what its parameters are when nobody gives them: Python asks for that where the lambda stands.
pub(super) struct Lambda<'a> {
    pub(super) node: &'a ast::ExprLambda,
    pub(super) defaults: Vec<Option<Value>>,
}

/// What a walk keeps beside its environment.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// `from __future__ import annotations`: they are texts, and run nothing.
    postponed: bool,
    /// The expression at which half of the depth was reached, while one is evaluated.
    halfway: Option<&'a Expr>,
    /// Expressions below which it was too deep: they are evaluated by themselves afterwards. As each begins at half of the
    /// depth, nothing that takes less than the other half is torn apart.
    too_deep: Vec<&'a Expr>,
}

impl<'a> Beside<'a> {
    /// Whether this is the expression with which half of the depth is reached.
    pub(super) fn enters(&mut self, expr: &'a Expr, depth: u32, depth_max: u32) -> bool {
        let enters = self.halfway.is_none() && depth >= depth_max / 2;
        if enters {
            self.halfway = Some(expr);
        }
        enters
    }

    pub(super) fn leaves(&mut self) {
        self.halfway = None;
    }

    /// It goes on too deep; false when nothing can be put off.
    pub(super) fn puts_off(&mut self) -> bool {
        let Some(expr) = self.halfway else { return false };
        if !self.too_deep.last().is_some_and(|last| std::ptr::eq(*last, expr)) {
            self.too_deep.push(expr);
        }
        true
    }
}

impl<'a> Walker<'a, '_> {
    /// Evaluates what stood too deep in a statement.
    pub(super) fn too_deep(&mut self) {
        while self.depth < self.shared.limits.depth_max / 2
            && let Some(expr) = self.beside.too_deep.pop()
        {
            self.eval(expr);
        }
    }

    /// Notes what the compiler is told about annotations.
    pub(super) fn told_of_future(&mut self, node: &ast::StmtImportFrom) {
        let future = node.level == 0 && node.module.as_ref().is_some_and(|module| &**module == "__future__");
        self.beside.postponed |= future && node.names.iter().any(|alias| &*alias.name == "annotations");
    }

    /// An annotation of a function, a class or a module runs where it stands.
    pub(super) fn annotation(&mut self, expr: &'a Expr) {
        if !self.beside.postponed {
            self.eval(expr);
        }
    }

    /// `target: annotation = value`; Python evaluates the annotations of a function's own variables never.
    pub(super) fn annotated(&mut self, node: &'a ast::StmtAnnAssign) {
        if self.scopes.len() == 1 || self.in_class() {
            self.annotation(&node.annotation);
        }
        match &node.value {
            Some(value) => {
                let value = self.eval(value);
                self.assign(&node.target, value);
            }
            None if node.target.is_name_expr() => {}
            None => drop(self.eval(&node.target)),
        }
    }

    /// What a function's head evaluates: defaults, annotations.
    pub(super) fn head(&mut self, node: &'a ast::StmtFunctionDef) {
        for parameter in node.parameters.iter() {
            if let Some(default) = parameter.default() {
                self.eval(default);
            }
            if let Some(annotation) = parameter.annotation() {
                self.annotation(annotation);
            }
        }
        if let Some(returns) = &node.returns {
            self.annotation(returns);
        }
        self.type_parameters(node.type_params.as_deref());
    }

    /// Bounds and defaults of type parameters run when somebody asks for them.
    pub(super) fn type_parameters(&mut self, parameters: Option<&'a ast::TypeParams>) {
        for parameter in parameters.iter().flat_map(|parameters| parameters.iter()) {
            let (bound, default) = match parameter {
                ast::TypeParam::TypeVar(node) => (&node.bound, &node.default),
                ast::TypeParam::TypeVarTuple(node) => (&None, &node.default),
                ast::TypeParam::ParamSpec(node) => (&None, &node.default),
            };
            bound.iter().chain(default).for_each(|expr| drop(self.eval(expr)));
        }
    }

    pub(super) fn lambda(&mut self, node: &'a ast::ExprLambda) -> Value {
        let parameters = node.parameters.iter().flat_map(|parameters| parameters.iter());
        let defaults = parameters.map(|parameter| parameter.default().map(|default| self.eval(default))).collect();
        self.lambdas.push(Lambda { node, defaults });
        Value::of(Known::Lambda(self.lambdas.len() as u32 - 1))
    }

    /// Decorators, from the innermost out: each is given what the one below it made.
    pub(super) fn decorated(&mut self, decorators: &'a [ast::Decorator], defined: Known) {
        let all: Vec<(Value, TextRange)> =
            decorators.iter().map(|decorator| (self.eval(&decorator.expression), decorator.range())).collect();
        let mut value = Value::of(defined);
        for (decorator, range) in all.iter().rev() {
            let made = self.decorate(decorator, Arg { keyword: None, value: value.clone() }, *range);
            // What is no function and no class any more was made to be run.
            if let Some(made) = made.filter(|made| made.as_data().is_some()) {
                value = made;
            }
        }
    }

    /// `match`: what the patterns ask for runs, and the names in them stand for parts of the subject.
    pub(super) fn matched(&mut self, node: &'a ast::StmtMatch) {
        let subject = self.eval(&node.subject);
        self.branches += 1;
        for case in &node.cases {
            self.pattern(&case.pattern, &subject);
            if let Some(guard) = &case.guard {
                self.eval(guard);
            }
            self.block(&case.body);
        }
        self.branches -= 1;
    }

    fn pattern(&mut self, pattern: &'a Pattern, subject: &Value) {
        let rest = Value::tainted(Known::Unknown, subject.taint.clone());
        let bind = |walker: &mut Self, name: &Option<ast::Identifier>, value: Value| {
            if let Some(name) = name {
                walker.bind(name.as_str(), value);
            }
        };
        match pattern {
            Pattern::MatchValue(node) => drop(self.eval(&node.value)),
            Pattern::MatchSingleton(_) => {}
            Pattern::MatchSequence(node) => {
                let parts =
                    pure::elements(subject, &mut self.shared.budget).filter(|parts| parts.len() == node.patterns.len());
                for (n, pattern) in node.patterns.iter().enumerate() {
                    self.pattern(pattern, parts.as_ref().map_or(&rest, |parts| &parts[n]));
                }
            }
            Pattern::MatchMapping(node) => {
                for (key, pattern) in node.keys.iter().zip(&node.patterns) {
                    let key = self.eval(key);
                    let held = pure::index(subject, &key);
                    self.pattern(pattern, held.as_ref().unwrap_or(&rest));
                }
                bind(self, &node.rest, rest);
            }
            Pattern::MatchClass(node) => {
                self.eval(&node.cls);
                let keywords = node.arguments.keywords.iter().map(|keyword| &keyword.pattern);
                // `str(x)` and the like give the subject itself.
                let whole = node.arguments.keywords.is_empty() && node.arguments.patterns.len() == 1;
                for pattern in node.arguments.patterns.iter().chain(keywords) {
                    self.pattern(pattern, if whole { subject } else { &rest });
                }
            }
            Pattern::MatchStar(node) => bind(self, &node.name, rest),
            Pattern::MatchAs(node) => {
                if let Some(pattern) = &node.pattern {
                    self.pattern(pattern, subject);
                }
                bind(self, &node.name, subject.clone());
            }
            Pattern::MatchOr(node) => node.patterns.iter().for_each(|pattern| self.pattern(pattern, subject)),
        }
    }
}

//! Loops: over what is known, round by round; else once, and again if that brought new taint.

use ruff_python_ast::{self as ast, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::cut::Cut;
use super::pure;
use super::value::{Known, Value};
use super::walk::Walker;

/// Statements of a loop body that is walked element by element.
const UNROLL_BODY_MAX: usize = 12;
/// Rounds of a loop that does more than compute, unless it runs what it is given; and of any loop that is not over data at
/// hand.
const UNROLL_SITES_MAX: usize = 16;
const UNROLL_WHILE_MAX: usize = 20_000;
/// What one round of a loop costs, in steps, for each statement of its body.
const ROUND_STEPS: usize = 8;

impl<'a> Walker<'a, '_> {
    pub(super) fn for_loop(&mut self, node: &'a ast::StmtFor) {
        let iter = self.eval(&node.iter);
        let before = self.done();
        if weight(&node.body) <= UNROLL_BODY_MAX
            && let Some(items) = pure::elements(&iter, &mut self.shared.budget)
            && items.len() <= self.shared.limits.unroll_max
        {
            self.rounds(node, items, before);
        } else {
            let element = Value::tainted(Known::Unknown, iter.taint.clone());
            self.assign(&node.target, element);
            self.twice(&node.body);
            // What it runs may be what it is given.
            if self.ran != before.1
                && let Some(items) = pure::elements(&iter, &mut self.shared.budget)
            {
                self.rounds(node, items, before);
            }
        }
        self.block(&node.orelse);
    }

    fn rounds(&mut self, node: &'a ast::StmtFor, items: Vec<Value>, before: (u32, u32)) {
        self.loops += 1;
        let cost = weight(&node.body).max(1) * ROUND_STEPS;
        for (n, item) in items.into_iter().enumerate() {
            if self.stopped || self.is_enough(n, before, node.range()) {
                break;
            }
            if self.shared.budget.steps(cost).is_none() {
                self.cut(Cut::Folding, node.range());
                break;
            }
            self.assign(&node.target, item);
            self.block(&node.body);
        }
        self.loops -= 1;
    }

    /// What was met up to here: places that are followed, and things that are run.
    pub(super) fn done(&self) -> (u32, u32) {
        (self.sites, self.ran)
    }

    /// Whether a loop that did more than compute was walked for long enough. What runs what it is given goes on: each round
    /// may run something else.
    pub(super) fn is_enough(&mut self, rounds: usize, (sites, ran): (u32, u32), range: TextRange) -> bool {
        if rounds < UNROLL_SITES_MAX || self.sites == sites {
            return false;
        }
        if self.ran != ran && rounds >= self.shared.limits.rounds_max {
            self.cut(Cut::Rounds, range);
        }
        self.ran == ran || rounds >= self.shared.limits.rounds_max
    }

    pub(super) fn while_loop(&mut self, node: &'a ast::StmtWhile) {
        let endless = node.test.is_boolean_literal_expr() || node.test.is_number_literal_expr();
        let mut truth = self.eval(&node.test).truth();
        let mut rounds = 0;
        if !endless && weight(&node.body) <= UNROLL_BODY_MAX {
            self.loops += 1;
            // A body that broken source left empty still costs: else nothing would end this.
            let (cost, before) = (weight(&node.body).max(1) * ROUND_STEPS, self.done());
            while truth == Some(true) && rounds < UNROLL_WHILE_MAX && !self.stopped {
                if self.is_enough(rounds, before, node.range()) || self.shared.budget.steps(cost).is_none() {
                    break;
                }
                self.block(&node.body);
                truth = self.eval(&node.test).truth();
                rounds += 1;
            }
            self.loops -= 1;
        }
        // What was not walked is: the test may read what is only known when it runs.
        if rounds == 0 || truth != Some(false) {
            self.twice(&node.body);
        }
        self.block(&node.orelse);
    }

    fn twice(&mut self, body: &'a [Stmt]) {
        self.branches += 1;
        self.loops += 1;
        let before = self.tainted;
        self.block(body);
        if self.tainted != before && self.loops == 1 {
            self.block(body);
        }
        self.loops -= 1;
        self.branches -= 1;
    }
}

/// Statements of a body, those inside of it included, up to a little more than is ever unrolled.
fn weight(body: &[Stmt]) -> usize {
    let mut total = 0;
    for stmt in body {
        total += 1 + match stmt {
            Stmt::For(node) => weight(&node.body),
            Stmt::While(node) => weight(&node.body),
            Stmt::If(node) => {
                weight(&node.body) + node.elif_else_clauses.iter().map(|c| weight(&c.body)).sum::<usize>()
            }
            Stmt::Try(node) => weight(&node.body),
            Stmt::With(node) => weight(&node.body),
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => UNROLL_BODY_MAX,
            Stmt::Return(_)
            | Stmt::Delete(_)
            | Stmt::TypeAlias(_)
            | Stmt::Assign(_)
            | Stmt::AugAssign(_)
            | Stmt::AnnAssign(_)
            | Stmt::Match(_)
            | Stmt::Raise(_)
            | Stmt::Assert(_)
            | Stmt::Import(_)
            | Stmt::ImportFrom(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_)
            | Stmt::Expr(_)
            | Stmt::Pass(_)
            | Stmt::Break(_)
            | Stmt::Continue(_)
            | Stmt::IpyEscapeCommand(_) => 0,
        };
        if total > UNROLL_BODY_MAX {
            return total;
        }
    }
    total
}

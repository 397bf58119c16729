//! Taint across functions and modules: labels spread over arguments and results until nothing changes, or
//! [`ROUNDS_MAX`] rounds are done.
//!
//! Labels are only ever added, so a call that is followed again while nothing that it reads has changed adds nothing:
//! such calls are passed over, and calls that carry nothing at all are left out from the start.

use super::cut::Cut;
use super::facts::{Call, Function, Labels, Taint, Target};
use super::link::{Linked, Linker, Targets};
use super::walk::Map;

/// Rounds of spreading taint; each round follows every call once.
const ROUNDS_MAX: usize = 24;

/// A call that carries labels to a function or back.
struct Passed<'m> {
    /// The module in which it stands, and the function.
    module: u32,
    from: u32,
    /// Its place in [`State::sites`].
    site: u32,
    /// The function that it reaches, and that function's module.
    target: u32,
    callee: u32,
    function: &'m Function,
    /// Its part of the list of arguments that come from anywhere, each with the parameter that it goes to.
    args: std::ops::Range<u32>,
    /// When it was followed last.
    at: u32,
}

/// Labels at parameters and at call results, and when they changed last.
struct State {
    params: Rows,
    sites: Rows,
    params_at: Vec<u32>,
    sites_at: Vec<u32>,
}

/// Rows of labels in one piece.
struct Rows {
    all: Vec<Labels>,
    /// Where each row begins, and where the last one ends.
    first: Vec<u32>,
}

impl Rows {
    fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let mut first = vec![0];
        let mut total = 0;
        for length in lengths {
            total += length as u32;
            first.push(total);
        }
        Self { all: vec![Labels::NONE; total as usize], first }
    }
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.first[row] as usize..self.first[row + 1] as usize
    }
    fn row(&self, row: usize) -> &[Labels] {
        &self.all[self.range(row)]
    }
    fn row_mut(&mut self, row: usize) -> &mut [Labels] {
        let range = self.range(row);
        &mut self.all[range]
    }
}

impl State {
    fn labels(&self, module: usize, function: usize, taint: &Taint) -> Labels {
        let mut labels = taint.labels;
        if taint.params != 0 {
            for (at, param) in self.params.row(function).iter().enumerate() {
                if taint.params >> at & 1 == 1 {
                    labels = labels.with(*param);
                }
            }
        }
        labels.with(self.results(module, taint))
    }

    /// What the calls give of which a value is made.
    fn results(&self, module: usize, taint: &Taint) -> Labels {
        let Some(calls) = &taint.calls else { return Labels::NONE };
        let sites = self.sites.row(module);
        let of = |(from, to): &(u32, u32)| sites.get(*from as usize..=*to as usize).unwrap_or_default();
        calls.iter().flat_map(of).copied().fold(Labels::NONE, Labels::with)
    }

    /// Follows a call; whether anything changed.
    fn follow(&mut self, call: &Passed<'_>, arguments: &[(u8, &Taint)], now: u32) -> bool {
        let (module, from, target) = (call.module as usize, call.from as usize, call.target as usize);
        let mut given = [Labels::NONE; Taint::PARAMS_MAX];
        for (slot, taint) in &arguments[call.args.start as usize..call.args.end as usize] {
            let slot = &mut given[usize::from(*slot)];
            *slot = slot.with(self.labels(module, from, taint));
        }
        let mut changed = false;
        for (have, new) in self.params.row_mut(target).iter_mut().zip(&given) {
            changed |= have.with(*new) != *have;
            *have = have.with(*new);
        }
        if changed {
            self.params_at[target] = now;
        }
        let returns = &call.function.returns;
        let mut result = returns.labels.with(self.results(call.callee as usize, returns));
        let params = self.params.row(target).len();
        for (at, labels) in given.iter().enumerate().take(params) {
            if returns.params >> at & 1 == 1 {
                result = result.with(*labels);
            }
        }
        let site = &mut self.sites.all[call.site as usize];
        if site.with(result) != *site {
            *site = site.with(result);
            self.sites_at[module] = now;
            changed = true;
        }
        changed
    }

    /// Whether something that a call reads has changed since it was followed last, by itself included.
    fn concerns(&self, call: &Passed<'_>) -> bool {
        self.params_at[call.from as usize] >= call.at
            || self.sites_at[call.module as usize] >= call.at
            || self.sites_at[call.callee as usize] >= call.at
    }
}

impl Linker {
    /// The labels that reach each effect.
    pub(super) fn taint(&mut self, targets: &Targets) -> Vec<Vec<Labels>> {
        let functions = self.modules.iter().flat_map(|linked| &linked.module.functions);
        let params = Rows::new(functions.map(|function| function.params.len().min(Taint::PARAMS_MAX)));
        let sites = Rows::new(self.modules.iter().map(|linked| linked.module.calls.len()));
        let (params_at, sites_at) = (vec![0; self.functions()], vec![0; self.modules.len()]);
        let mut state = State { params, sites, params_at, sites_at };
        self.exported(targets, &mut state.sites);
        let (mut calls, arguments) = self.passed(targets, &state);
        let (mut now, mut rounds) = (0, 0);
        let is_cut = loop {
            let mut changed = false;
            for call in &mut calls {
                if state.concerns(call) {
                    now += 1;
                    changed |= state.follow(call, &arguments, now);
                    call.at = now;
                }
            }
            rounds += usize::from(changed);
            if !changed || rounds == ROUNDS_MAX {
                break changed;
            }
        };
        let of = |n: usize, linked: &Linked| {
            let effects = linked.module.effects.iter();
            effects.map(|e| state.labels(n, linked.first + e.function as usize, &e.taint)).collect()
        };
        let labels = self.modules.iter().enumerate().map(|(n, linked)| of(n, linked)).collect();
        if is_cut {
            self.cuts.insert(Cut::Spread);
        }
        labels
    }

    /// What calls of names give that are no functions here, but stand for something that has labels.
    fn exported(&self, targets: &Targets, sites: &mut Rows) {
        let mut known: Map<&str, Labels> = Map::default();
        for (n, linked) in self.modules.iter().enumerate() {
            known.clear();
            for (c, call) in linked.module.calls.iter().enumerate() {
                if targets[n][c].is_none()
                    && let Target::Named(name) = &call.target
                {
                    sites.row_mut(n)[c] = *known.entry(name).or_insert_with(|| self.export_labels(n, name));
                }
            }
        }
    }

    fn export_labels(&self, from: usize, name: &str) -> Labels {
        let Some((module, rest)) = self.find(from, name) else { return Labels::NONE };
        let exports = &self.modules[module].module.exports;
        exports.binary_search_by(|(name, _)| (**name).cmp(&rest)).map_or(Labels::NONE, |at| exports[at].1.taint.labels)
    }

    /// The calls that can carry anything, in the order of modules and of reading, and their arguments.
    fn passed<'m>(&'m self, targets: &Targets, state: &State) -> (Vec<Passed<'m>>, Vec<(u8, &'m Taint)>) {
        let (mut calls, mut arguments) = (Vec::new(), Vec::new());
        for (n, linked) in self.modules.iter().enumerate() {
            for (c, call) in linked.module.calls.iter().enumerate() {
                let Some(target) = targets[n][c] else { continue };
                let (callee, function) = self.callee(target as usize);
                let params = state.params.row(target as usize).len();
                let begin = arguments.len() as u32;
                for (at, (keyword, taint)) in call.args.iter().enumerate().filter(|(_, (_, taint))| !taint.is_empty()) {
                    let slot = position(call, function, at, keyword.as_deref());
                    // Those beyond what is told apart share the last place.
                    let slot = slot.filter(|slot| *slot < function.params.len()).map(|slot| slot.min(params - 1));
                    arguments.extend(slot.map(|slot| (slot as u8, taint)));
                }
                let args = begin..arguments.len() as u32;
                if args.is_empty() && function.returns.labels.is_empty() && function.returns.calls.is_none() {
                    continue;
                }
                let site = state.sites.first[n] + c as u32;
                let from = (linked.first + call.function as usize) as u32;
                let (module, callee) = (n as u32, callee as u32);
                calls.push(Passed { module, from, site, target, callee, function, args, at: 0 });
            }
        }
        (calls, arguments)
    }

    fn callee(&self, number: usize) -> (usize, &Function) {
        let module = self.modules.partition_point(|linked| linked.first <= number) - 1;
        let linked = &self.modules[module];
        (module, &linked.module.functions[number - linked.first])
    }
}

/// The parameter that an argument goes to.
fn position(call: &Call, function: &Function, at: usize, keyword: Option<&str>) -> Option<usize> {
    match keyword {
        Some(keyword) => function.params.iter().position(|param| **param == *keyword),
        None => {
            // A method of another module is called on an instance that is no argument.
            let method = function.params.first().is_some_and(|param| &**param == "self") && call.shift == 0;
            Some(at + usize::from(call.shift) + usize::from(method))
        }
    }
}

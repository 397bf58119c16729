//! Functions that run what they are given: whatever they are given is walked with them, sooner or later.

use std::rc::Rc;

use ruff_text_size::TextRange;

use super::call::Arg;
use super::cut::Cut;
use super::facts::{FunctionId, Taint, Target};
use super::value::{Known, Value};
use super::walk::{Map, Walker};

/// Calls that may be put off.
const PUT_OFF_MAX: usize = 20_000;
/// How often one function is walked in a chain of calls: what calls itself brings nothing new for ever.
const IN_CHAIN_MAX: usize = 2;

/// Calls that were not walked with their arguments when they were met, because their function is long, deep in others or was
/// walked often enough. Most do nothing that anybody asks for; those of functions that run what they are given are walked
/// when that is known.
#[derive(Default)]
pub(super) struct PutOff {
    calls: Vec<PutOffCall>,
    /// Where one more was met than may be kept.
    full: Option<TextRange>,
    /// The functions that were put off and led to what is walked now.
    chain: Rc<[FunctionId]>,
}

struct PutOffCall {
    function: FunctionId,
    args: Vec<Arg>,
    shift: u8,
    main_only: bool,
    range: TextRange,
    chain: Rc<[FunctionId]>,
}

impl Walker<'_, '_> {
    pub(super) fn put_off(&mut self, function: FunctionId, args: &[Arg], shift: u8, range: TextRange) {
        if args.is_empty() || !self.defs.contains_key(&function) {
            return;
        }
        if self.put_off.calls.len() >= PUT_OFF_MAX {
            self.put_off.full.get_or_insert(range);
            return;
        }
        let (args, main_only, chain) = (args.to_vec(), self.main_only, Rc::clone(&self.put_off.chain));
        self.put_off.calls.push(PutOffCall { function, args, shift, main_only, range, chain });
    }

    /// Walks the calls that were put off, of functions that run what they are given; those that they lead to, too.
    pub(super) fn given_and_run(&mut self) {
        let (mut walked, mut seen) = (0, std::collections::HashSet::new());
        let main_only = self.main_only;
        while !self.put_off.calls.is_empty() {
            let put_off = std::mem::take(&mut self.put_off);
            let runs = self.run_parameters();
            if let Some(range) = put_off.full.filter(|_| !runs.is_empty()) {
                self.cut(Cut::Inlined, range);
            }
            for call in put_off.calls {
                let PutOffCall { function, args, shift, main_only, range, chain } = call;
                let Some(run) = runs.get(&function).copied() else { continue };
                let is_run = |at: usize, keyword: Option<&str>| self.is_run(function, run, (at, shift), keyword);
                let Some(given) = given(&args, is_run) else { continue };
                let again = chain.iter().filter(|one| **one == function).count();
                if again >= IN_CHAIN_MAX || !seen.insert((function, given)) {
                    continue;
                }
                if walked >= self.shared.limits.inlined_max {
                    self.cut(Cut::Inlined, range);
                    break;
                }
                walked += 1;
                self.main_only = main_only;
                self.put_off.chain = chain.iter().copied().chain([function]).collect();
                self.inline(function, &args, shift);
            }
        }
        self.main_only = main_only;
    }

    /// For each function the parameters that it runs, itself or through others.
    fn run_parameters(&self) -> Map<FunctionId, u32> {
        let mut runs = self.shared.runs.clone();
        let mut changed = !runs.is_empty();
        while std::mem::take(&mut changed) {
            for call in &self.shared.module.calls {
                let Target::Local(to) = call.target else { continue };
                let Some(bits) = runs.get(&to).copied() else { continue };
                let is_run =
                    |at: usize, keyword: &Option<Rc<str>>| self.is_run(to, bits, (at, call.shift), keyword.as_deref());
                let args = call.args.iter().enumerate().filter(|(at, (keyword, _))| is_run(*at, keyword));
                let more = args.fold(0, |more, (_, (_, taint))| more | taint.params);
                let have = runs.entry(call.function).or_default();
                changed |= *have | more != *have;
                *have |= more;
            }
        }
        runs
    }

    /// Whether an argument goes to a parameter that its function runs; one of another name may be among `**others`.
    fn is_run(&self, function: FunctionId, runs: u32, (at, shift): (usize, u8), keyword: Option<&str>) -> bool {
        let params = &self.shared.module.functions[function as usize].params;
        let named = |keyword: &str| params.iter().position(|param| **param == *keyword).unwrap_or(params.len());
        runs & Taint::param(keyword.map_or(at + usize::from(shift), named).min(params.len().saturating_sub(1))) != 0
    }
}

/// What of a call's arguments its function runs; nothing when none of it is known.
fn given(args: &[Arg], is_run: impl Fn(usize, Option<&str>) -> bool) -> Option<String> {
    let known = |value: &Value| value.is_constant() && !matches!(value.known, Known::None | Known::Bool(_));
    let run: Vec<&Value> = args
        .iter()
        .enumerate()
        .filter(|(at, arg)| is_run(*at, arg.keyword.as_deref()))
        .map(|(_, arg)| &arg.value)
        .collect();
    (run.iter().any(|value| known(value))).then(|| {
        let shown = |value: &Value| match value.as_data() {
            Some(data) => String::from_utf8_lossy(data).into_owned(),
            None => format!("{:?}", value.known),
        };
        run.into_iter().map(shown).collect::<Vec<_>>().join("\n")
    })
}

//! Chains: what effects amount to together, by the data of one and by what a function does with what it calls.

use std::collections::BTreeMap;

use super::facts::{Effect, EffectKind, Labels, LayerKind};
use super::link::{Chain, ChainKind, Edges, Linked, Linker, Reach, at_reach};

impl Linker {
    pub(super) fn chains(&self, edges: &Edges, reach: &[Reach], labels: &[Vec<Labels>]) -> Vec<Chain> {
        let mut chains = Vec::new();
        for (n, linked) in self.modules.iter().enumerate() {
            for (e, effect) in linked.module.effects.iter().enumerate() {
                let when = at_reach(reach[linked.first + effect.function as usize], effect);
                for kind in by_data(effect, labels[n][e], linked) {
                    chains.push(Chain { kind, module: n, effect: e, reach: when });
                }
            }
        }
        self.sequences(edges, reach, labels, &mut chains);
        chains.sort_by_key(|chain| (chain.module, chain.effect, chain.kind));
        chains.dedup_by_key(|chain| (chain.module, chain.effect, chain.kind));
        chains
    }

    /// Fetch, write, run: by what a function does and what it calls do, together.
    fn sequences(&self, edges: &Edges, reach: &[Reach], labels: &[Vec<Labels>], chains: &mut Vec<Chain>) {
        const FETCHED: u8 = 1;
        const WRITTEN: u8 = 2;
        const RUN: u8 = 4;
        let mut does = vec![0_u8; self.functions()];
        let mut last: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (n, linked) in self.modules.iter().enumerate() {
            for (e, effect) in linked.module.effects.iter().enumerate() {
                let at = linked.first + effect.function as usize;
                match effect.kind {
                    EffectKind::Download => does[at] |= FETCHED,
                    EffectKind::Write if labels[n][e].any(Labels::NETWORK) => does[at] |= FETCHED,
                    EffectKind::Write if labels[n][e].any(Labels::DECODED) || is_program(effect, linked) => {
                        does[at] |= WRITTEN;
                    }
                    EffectKind::Import if effect.text().is_empty() || !super::program::brings_modules(effect) => {}
                    EffectKind::Process | EffectKind::Load | EffectKind::Import => {
                        does[at] |= RUN;
                        last.entry(at).or_insert((n, e));
                    }
                    _ => {}
                }
            }
        }
        if last.is_empty() {
            return;
        }
        let callees: Vec<Vec<u32>> = edges
            .iter()
            .enumerate()
            .map(|(at, to)| {
                let mut callees: Vec<u32> = to.iter().map(|(to, _)| *to).filter(|to| *to as usize != at).collect();
                callees.sort_unstable();
                callees.dedup();
                callees
            })
            .collect();
        // By whose turn a function was seen last.
        let mut seen: Vec<usize> = vec![usize::MAX; does.len()];
        let (mut edge, mut next) = (Vec::new(), Vec::new());
        // Three calls deep is as far as droppers go; deeper, everything reaches everything.
        for at in 0..does.len() {
            let (mut all, mut runs) = (does[at], last.get(&at).copied());
            seen[at] = at;
            edge.clone_from(&callees[at]);
            for _ in 0..2 {
                next.clear();
                let mut unseen = |callee: &usize| std::mem::replace(&mut seen[*callee], at) != at;
                for callee in edge.iter().map(|callee| *callee as usize).filter(&mut unseen).take(64) {
                    all |= does[callee];
                    runs = runs.or_else(|| last.get(&callee).copied());
                    next.extend_from_slice(&callees[callee]);
                }
                std::mem::swap(&mut edge, &mut next);
            }
            let kind = match all {
                all if all & (FETCHED | RUN) == FETCHED | RUN => ChainKind::FetchWriteRun,
                all if all & (WRITTEN | RUN) == WRITTEN | RUN => ChainKind::WriteRun,
                _ => continue,
            };
            if let Some((module, effect)) = runs {
                chains.push(Chain { kind, module, effect, reach: reach[at] });
            }
        }
    }
}

/// Whether what is written is itself a program.
fn is_program(effect: &Effect, linked: &Linked) -> bool {
    linked.module.layers.iter().any(|layer| {
        layer.place == effect.place && !matches!(layer.kind, LayerKind::Text | LayerKind::Bytes | LayerKind::Media)
    })
}

/// Chains that one effect's data tells.
fn by_data(effect: &Effect, labels: Labels, linked: &Linked) -> Vec<ChainKind> {
    let ran =
        || linked.module.layers.iter().any(|l| l.place == effect.place && l.runs && l.path.last() != Some(&"string"));
    let mut kinds = Vec::new();
    match effect.kind {
        EffectKind::Network => {
            let private = labels.any(Labels::PRIVATE);
            let rules = [
                (private && labels.any(Labels::ENCODED), ChainKind::CollectEncodeSend),
                (private, ChainKind::CollectSend),
                (labels.any(Labels::ENVIRONMENT), ChainKind::EnvironmentSend),
                (labels.any(Labels::STORE), ChainKind::StoreSend),
                (labels.any(Labels::SECRET_PARAM), ChainKind::SecretParameterSend),
                (labels.any(Labels::OUTPUT), ChainKind::OutputSend),
            ];
            kinds.extend(rules.iter().filter(|(holds, _)| *holds).map(|(_, kind)| *kind));
        }
        EffectKind::Exec => {
            if labels.any(Labels::NETWORK) {
                kinds.push(ChainKind::FetchExec);
            }
            if labels.any(Labels::DECODED) || ran() {
                kinds.push(ChainKind::DecodeExec);
            }
        }
        EffectKind::Process => {
            if labels.any(Labels::NETWORK) {
                kinds.push(ChainKind::FetchProcess);
            }
            if labels.any(Labels::DECODED) || ran() {
                kinds.push(ChainKind::DecodeProcess);
            }
        }
        EffectKind::Clipboard if labels.any(Labels::CLIPBOARD) || !effect.text().is_empty() => {
            kinds.push(ChainKind::ClipboardReplace);
        }
        _ => {}
    }
    kinds
}

//! Effects as they are met: what is remembered of each, and what its arguments are read as.

use std::rc::Rc;

use ruff_text_size::TextRange;

use super::call::{Arg, taint_of};
use super::cut::Cut;
use super::facts::{Argument, Effect, EffectKind, Piece, Taint};
use super::value::{Known, Value};
use super::walk::Walker;

impl Walker<'_, '_> {
    /// Notes an effect; gives its index.
    pub(super) fn effect(
        &mut self,
        kind: EffectKind,
        name: Rc<str>,
        args: Vec<Arg>,
        taint: &Taint,
        range: TextRange,
    ) -> Option<usize> {
        self.sites += 1;
        let mut all = taint.clone();
        all.join(&taint_of(&args));
        let hidden = args.iter().any(|arg| {
            let text = arg.value.name();
            text.as_deref().is_some_and(|name| name.ends_with("DEVNULL") || name.ends_with("CREATE_NO_WINDOW"))
                || arg.keyword.as_deref() == Some("start_new_session")
                || arg.keyword.as_deref() == Some("preexec_fn")
                || arg.keyword.as_deref() == Some("creationflags")
        });
        if matches!(kind, EffectKind::Exec | EffectKind::Process) {
            self.runs(&args, range);
        }
        self.read_arguments(kind, &args, range);
        let limits = self.shared.limits;
        if args.len() > limits.arguments_max {
            self.cut(Cut::Arguments, range);
        }
        let max = limits.argument_bytes_max;
        let args: Vec<Argument> = args
            .into_iter()
            .take(limits.arguments_max)
            .map(|arg| Argument {
                keyword: arg.keyword,
                text: texts(&arg.value, max),
                taint: arg.value.taint,
                decoded: arg.value.peeled.is_some_and(|layers| layers.iter().any(|layer| *layer != "string")),
            })
            .collect();
        let key = (self.layer, u32::from(range.start()), kind);
        let met = self.shared.effect_at.get(&key).map_or(&[][..], Vec::as_slice);
        let same = met.iter().copied().find(|at| !tells_apart(&self.shared.module.effects[*at].args, &args));
        if let Some(at) = same {
            let effect = &mut self.shared.module.effects[at];
            // Taint met inline speaks of other parameters; only its sources count.
            effect.taint.join(&all);
            if effect.text().len() < args.iter().map(|arg| arg.shown().len()).sum() {
                effect.args = args;
            }
            return Some(at);
        }
        if self.shared.module.effects.len() >= self.shared.limits.effects_max {
            self.cut(Cut::Effects, range);
            return None;
        }
        let at = self.shared.module.effects.len();
        self.shared.effect_at.entry(key).or_default().push(at);
        let place = self.place(range);
        self.shared.module.effects.push(Effect {
            kind,
            name,
            args,
            function: self.function,
            place,
            taint: all,
            swallowed: self.swallowed,
            main_only: self.main_only,
            certain: self.branches == 0,
            hidden,
        });
        Some(at)
    }

    /// Something is run: who is given what is run, and whether that would be known if folding had gone on.
    fn runs(&mut self, args: &[Arg], range: TextRange) {
        self.ran += 1;
        // Where it runs, and with which variables, is not what is run.
        let is_run =
            |arg: &&Arg| arg.keyword.as_deref().is_none_or(|name| matches!(name, "args" | "executable" | "cmd"));
        let params = args.iter().filter(is_run).fold(0, |params, arg| params | arg.value.taint.params);
        if params != 0 {
            *self.shared.runs.entry(self.function).or_default() |= params;
        }
        let unknown = |arg: &Arg| matches!(arg.value.known, Known::Unknown) && arg.value.taint.params == 0;
        if self.shared.budget.is_spent && args.first().is_some_and(unknown) {
            self.cut(Cut::Unfolded, range);
        }
    }

    /// Arguments that are programs themselves are read as such, and texts made of pieces searched for signs.
    fn read_arguments(&mut self, kind: EffectKind, args: &[Arg], range: TextRange) {
        for arg in args {
            let mut values = vec![arg.value.clone()];
            if let Known::List(items) = &arg.value.known {
                let most = self.shared.limits.arguments_max;
                if kind == EffectKind::Process && items.len() > most {
                    self.cut(Cut::Arguments, range);
                }
                values.extend(items.iter().take(most).cloned());
            }
            for (n, value) in values.iter().enumerate() {
                let shown = super::facts::show(&value.pieces());
                if shown.len() >= 8 && !matches!(value.known, Known::Bytes(_)) {
                    self.signs_of(&shown, range);
                }
                let after_c = n > 1 && values[n - 1].as_str() == Some("-c");
                match kind {
                    EffectKind::Process => self.command(value, after_c, range),
                    EffectKind::Write if value.as_data().is_some_and(|data| data.len() >= 16) => {
                        self.run_layer(value, "file", range);
                    }
                    EffectKind::Deserialise => {
                        self.run_layer(value, "deserialise", range);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether one place is met with other arguments: `for a in (x, y): run(a)` does two things, and of what is known in part,
/// or not at all, the fullest is one of them.
fn tells_apart(before: &[Argument], now: &[Argument]) -> bool {
    let known = |arg: &Argument| !arg.text.is_empty() && arg.text.iter().all(|piece| piece.text().is_some());
    before.iter().zip(now).any(|(a, b)| known(a) && known(b) && a.text != b.text)
}

/// What is known of an argument's text, lists joined by blanks; its two ends where it is longer than `max` bytes.
fn texts(value: &Value, max: usize) -> Vec<Piece> {
    let pieces = match &value.known {
        // What is asked for stands in the request that is sent.
        Known::Made(made) if made.name.ends_with("Request()") => {
            let blank = Piece::Text(" ".into());
            made.args.iter().take(4).flat_map(|arg| arg.pieces().into_iter().chain([blank.clone()])).collect()
        }
        Known::List(items) => {
            let blank = Piece::Text(" ".into());
            items.iter().take(64).flat_map(|item| item.pieces().into_iter().chain([blank.clone()])).collect()
        }
        Known::Dict(items) => {
            let blank = Piece::Text(" ".into());
            let both = items.iter().take(64).flat_map(|(key, value)| key.pieces().into_iter().chain(value.pieces()));
            both.flat_map(|piece| [piece, blank.clone()]).collect()
        }
        _ => value.pieces(),
    };
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push(Piece::Text(squeezed(&text).map_or(text, Rc::from))),
            Piece::Hole if out.last() == Some(&Piece::Hole) => {}
            other => out.push(other),
        }
    }
    ends(&mut out, max);
    if out.iter().all(|piece| matches!(piece, Piece::Hole)) { Vec::new() } else { out }
}

/// Blanks in a row that are one: they push what is said out of what is kept.
const BLANKS_MAX: usize = 16;

/// A text with many blanks in a row, with one for each such run.
fn squeezed(text: &str) -> Option<String> {
    let blanks = " ".repeat(BLANKS_MAX);
    let mut rest = text;
    let mut out: Option<String> = None;
    while let Some(at) = rest.find(&blanks) {
        let out = out.get_or_insert_with(String::new);
        out.push_str(&rest[..=at]);
        rest = rest[at..].trim_start_matches(' ');
    }
    out.map(|out| out + rest)
}

/// Takes the middle out of a text of more than `max` bytes.
fn ends(pieces: &mut Vec<Piece>, max: usize) {
    let total: usize = pieces.iter().filter_map(Piece::text).map(str::len).sum();
    if total <= max {
        return;
    }
    let (from, to) = (max / 2, total - max / 2);
    let mut at = 0;
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces.drain(..) {
        let Piece::Text(text) = piece else {
            out.push(piece);
            continue;
        };
        let (begin, end) = (at, at + text.len());
        at = end;
        if begin < from {
            out.push(Piece::Text(super::shorten(&text, from - begin).into()));
        }
        if begin < to && end >= to {
            out.push(Piece::Text(" … ".into()));
        }
        if end > to {
            let mut cut = to.saturating_sub(begin);
            while !text.is_char_boundary(cut) {
                cut += 1;
            }
            out.push(Piece::Text(text[cut..].into()));
        }
    }
    *pieces = out;
}

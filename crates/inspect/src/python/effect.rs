//! Effects as they are met: what is remembered of each, and what its arguments are read as.

use std::rc::Rc;

use ruff_text_size::TextRange;

use super::call::{Arg, taint_of};
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
        self.read_arguments(kind, &args, range);
        let max = self.shared.limits.argument_bytes_max;
        let args: Vec<Argument> = args
            .into_iter()
            .take(16)
            .map(|arg| Argument {
                keyword: arg.keyword,
                text: texts(&arg.value, max),
                taint: arg.value.taint,
                decoded: arg.value.peeled.is_some_and(|layers| layers.iter().any(|layer| *layer != "string")),
            })
            .collect();
        let key = (self.layer, u32::from(range.start()), kind);
        if let Some(at) = self.shared.effect_at.get(&key).copied() {
            let effect = &mut self.shared.module.effects[at];
            // Taint met inline speaks of other parameters; only its sources count.
            effect.taint.join(&all);
            if effect.text().len() < args.iter().map(|arg| arg.shown().len()).sum() {
                effect.args = args;
            }
            return Some(at);
        }
        if self.shared.module.effects.len() >= self.shared.limits.effects_max {
            self.shared.notes.insert("more effects than are kept");
            return None;
        }
        let at = self.shared.module.effects.len();
        self.shared.effect_at.insert(key, at);
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

    /// Arguments that are programs themselves are read as such, and texts made of pieces searched for signs.
    fn read_arguments(&mut self, kind: EffectKind, args: &[Arg], range: TextRange) {
        for arg in args {
            let mut values = vec![arg.value.clone()];
            if let Known::List(items) = &arg.value.known {
                values.extend(items.iter().take(32).cloned());
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

/// What is known of an argument's text, lists joined by blanks; cut to `max` bytes.
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
    let mut left = max;
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let cut = super::shorten(&text, left);
                left -= cut.len().min(left);
                out.push(if cut.len() == text.len() { Piece::Text(text) } else { Piece::Text(cut.into()) });
            }
            Piece::Hole if out.last() == Some(&Piece::Hole) => {}
            other => out.push(other),
        }
    }
    if out.iter().all(|piece| matches!(piece, Piece::Hole)) { Vec::new() } else { out }
}

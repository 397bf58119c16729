//! What checks of Python share: where a place of code stands, and how it is shown.

use crate::distribution::Distribution;
use crate::finding::{Confidence, Severity};
use crate::findings::Evidence;
use crate::python::{Chain, ChainKind, Effect, EffectKind, Labels, Module, Place, Reach, Seen};

/// How little it takes for code to run, from nothing that matters up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Tests, examples, documentation, archives that are carried along.
    Aside,
    /// Somebody has to call it, or start it by its name.
    Called,
    /// Somebody has to import it.
    Imported,
    /// Building, installing, or starting the interpreter is enough.
    Installed,
}

/// Where code of this reach stands.
pub(super) fn standing(distribution: &Distribution, path: &str, reach: Reach) -> Standing {
    let Some(member) = distribution.member(path) else { return Standing::Aside };
    match reach {
        _ if distribution.is_aside(member) => Standing::Aside,
        _ if member.depth > 0 && !distribution.run_aside.contains(path) => Standing::Aside,
        // In an sdist, tools and configurations stand beside the packages, and nobody imports them.
        Reach::ImportTime if distribution.left_behind.contains(path) => Standing::Aside,
        Reach::ImportTime if distribution.is_loose(member) => Standing::Called,
        Reach::OnCall | Reach::Script if distribution.left_behind.contains(path) => Standing::Aside,
        Reach::InstallTime | Reach::StartUp => Standing::Installed,
        Reach::ImportTime => Standing::Imported,
        Reach::OnCall | Reach::Script | Reach::EntryPoint => Standing::Called,
    }
}

/// Where an effect stands.
pub(super) fn of(distribution: &Distribution, seen: &Seen<'_>) -> Standing {
    let started = seen.path.ends_with("setup.py");
    let reach = if seen.effect.main_only && !started { Reach::Script } else { seen.reach };
    standing(distribution, seen.path, reach)
}

/// Whether an effect stands in a file that runs first: that of the build, or a package's own top.
pub(super) fn is_first(distribution: &Distribution, seen: &Seen<'_>) -> bool {
    let Some(member) = distribution.member(seen.path) else { return false };
    distribution.is_startup(member) || member.name() == "__init__.py"
}

/// Whether a module reaches the network itself.
pub(super) fn reaches_out(module: &Module) -> bool {
    module.effects().iter().any(|effect| matches!(effect.kind, EffectKind::Network | EffectKind::Download))
}

/// Where a module stands as a whole: as where its top level does.
pub(super) fn of_module(distribution: &Distribution, path: &str) -> Standing {
    let reach = distribution.program.reach_of(path, 0).unwrap_or(Reach::OnCall);
    standing(distribution, path, reach)
}

/// Evidence at an effect.
pub(super) fn at(distribution: &Distribution, seen: &Seen<'_>, weight: (Severity, Confidence), why: &str) -> Evidence {
    let layer: Vec<String> = seen.layer().iter().map(|layer| (*layer).to_owned()).collect();
    let place = seen.effect.place;
    let evidence = Evidence::new(weight.0, weight.1, why).at_column(seen.path, place.line, place.column).under(&layer);
    let shown = if place.layer == 0 && layer.is_empty() { line(distribution, seen.path, place.line) } else { None };
    let shown = shown.unwrap_or_else(|| format!("{} {}", seen.effect.name, seen.effect.text()));
    let evidence = evidence.excerpt(shown.trim());
    // In a layer no source stands to be looked up: its beginning is shown.
    match (place.layer as usize).checked_sub(1).and_then(|layer| seen.module.layers().get(layer)) {
        Some(layer) => evidence.decoded(&layer.head),
        None => evidence,
    }
}

/// Evidence at a place of a module.
pub(super) fn at_place(
    distribution: &Distribution,
    (path, module): (&str, &Module),
    place: Place,
    weight: (Severity, Confidence),
    why: &str,
) -> Evidence {
    let layer: Vec<String> = module.layer_path(place.layer).iter().map(|layer| (*layer).to_owned()).collect();
    let evidence = Evidence::new(weight.0, weight.1, why).at_column(path, place.line, place.column).under(&layer);
    let shown = if place.layer == 0 { line(distribution, path, place.line) } else { None };
    evidence.excerpt(shown.unwrap_or_default().trim())
}

/// The source line, from 1; long ones from their first code on, and cut.
fn line(distribution: &Distribution, path: &str, line: u32) -> Option<String> {
    let member = distribution.member(path)?;
    let bytes = member.text.split(|byte| *byte == b'\n').nth((line as usize).checked_sub(1)?)?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]).into_owned())
}

/// Chains of some kinds, with the effect in which each ends.
pub(super) fn chains<'d>(
    distribution: &'d Distribution,
    kinds: &'d [ChainKind],
) -> impl Iterator<Item = (&'d Chain, Seen<'d>)> {
    let program = &distribution.program;
    program.chains().iter().filter(|chain| kinds.contains(&chain.kind)).map(|chain| (chain, program.chain_end(chain)))
}

/// Effects of a kind, wherever they stand.
pub(super) fn effects(distribution: &Distribution, kind: EffectKind) -> impl Iterator<Item = Seen<'_>> {
    distribution.program.effects().filter(move |seen| seen.effect.kind == kind)
}

/// Whether the code of a module holds a literal with this sign, or one that begins so when it ends in a colon.
pub(super) fn has_sign(module: &Module, sign: &str) -> bool {
    module.signs().iter().any(|found| found.sign == sign || sign.ends_with(':') && found.sign.starts_with(sign))
}

/// Signs of the hosts to which loot goes and from which droppers fetch.
pub(super) fn has_drop(module: &Module) -> bool {
    has_sign(module, "drop:") || has_bare_address(module)
}

/// Whether the code of a module names a machine by its number that anybody can reach.
pub(super) fn has_bare_address(module: &Module) -> bool {
    module.hosts().any(is_bare_address)
}

/// Whether a host is the number of a machine that anybody can reach.
pub(super) fn is_bare_address(host: &str) -> bool {
    let parts: Vec<Option<u8>> = host.split('.').map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(a), Some(b), Some(c), Some(_)] => {
            let private = a == 10 || a == 127 || a == 0 || a == 192 && b == 168 || a == 172 && (16..32).contains(&b);
            let special = a >= 224 || a == 169 && b == 254 || (a, b) == (100, 64);
            // What RFC 5737 keeps for examples, and resolvers that everybody knows.
            let example = matches!((a, b, c), (192, 0, 2) | (198, 51, 100) | (203, 0, 113));
            let resolver = matches!((a, b), (8, 8) | (1, 1) | (9, 9) | (1, 0) | (4, 4) | (8, 0));
            !(private || special || example || resolver)
        }
        _ => false,
    }
}

/// What tells who somebody is and where, without being a secret.
pub(super) const WHO: Labels = Labels::HOST;

/// What somebody could want to steal, beyond who and where.
pub(super) const LOOT: Labels = Labels(
    Labels::ENVIRONMENT.0
        | Labels::ENV_SECRET.0
        | Labels::STORE.0
        | Labels::CLIPBOARD.0
        | Labels::SCREEN.0
        | Labels::KEYBOARD.0,
);

/// Whether a text names a machine to reach: an address of which the host is known, and is not this machine.
pub(super) fn names_host(text: &str) -> bool {
    let host = |at: usize| text[at + 3..].split(['/', '?', '\n', ' ']).next().unwrap_or_default();
    let known = |host: &str| !host.is_empty() && !host.starts_with(['{', '%']);
    let local = |host: &str| host.starts_with("localhost") || host.starts_with("127.0.0.1");
    text.match_indices("://").any(|(at, _)| known(host(at)) && !local(host(at)))
}

/// Whether a process may be what was fetched or written out here: a program that stands on every machine is not, unless
/// it runs what it is given.
pub(super) fn may_start_written(seen: &Seen<'_>) -> bool {
    const RUNNERS: [&str; 16] = [
        "python",
        "pythonw",
        "sh",
        "bash",
        "zsh",
        "cmd",
        "powershell",
        "pwsh",
        "start",
        "nohup",
        "chmod",
        "wscript",
        "cscript",
        "msiexec",
        "rundll32",
        "regsvr32",
    ];
    let text = seen.effect.args.first().map(|arg| arg.shown()).unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
    let bare = first.to_ascii_lowercase();
    let brought = [".exe", ".bat", ".scr", ".vbs"].iter().any(|ending| bare.ends_with(ending));
    let named = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    // A shell's line may hold further commands.
    let further = text.contains(['&', ';', '|']) || text.contains("./");
    let runner = RUNNERS.iter().any(|runner| bare.trim_end_matches(|c: char| c.is_ascii_digit()) == *runner);
    let is_it = |path: String| {
        let file = path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        file == bare || file.strip_prefix(&bare).is_some_and(|rest| rest.starts_with('.'))
    };
    let writes = |effect: &Effect| {
        let wrote = matches!(effect.kind, EffectKind::Write | EffectKind::Download);
        wrote && effect.args.iter().any(|arg| is_it(arg.shown()))
    };
    (!named || brought || runner || further || seen.module.effects().iter().any(writes)) && !is_given_nothing(&text)
}

/// Whether a program is given all of its code in the command, and that neither imports nor opens anything: an interpreter
/// that is started to see whether it starts.
pub(super) fn is_given_nothing(command: &str) -> bool {
    const REACHES: [&str; 6] = ["import", "exec", "eval", "open", "compile", "load"];
    let mut words = command.split_whitespace().skip(1).skip_while(|word| word.starts_with('-') && *word != "-c");
    let code = words.next().filter(|word| *word == "-c").map(|_| words.collect::<Vec<_>>().join(" "));
    let plain =
        |code: &str| !code.contains(['{', '/', '\\', '|', '&', '$', '`', '<', '>']) && !mentions(code, &REACHES);
    let interpreter =
        command.split_whitespace().next().is_some_and(|first| first == "{}" || mentions(first, &["python"]));
    interpreter && code.is_some_and(|code| !code.is_empty() && plain(&code))
}

/// Whether a text holds any of these words, whatever their case.
pub(super) fn mentions(text: &str, words: &[&str]) -> bool {
    let lower = text.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

//! Every limit has a source that meets it and one that is one past it. A payload past a limit is not seen: that the limit
//! was met has to be, and the file has to be held for it (`tests/test_evil.py` asks for that).

use super::*;

/// A source that is `n` of something, and the limits of which one is `n`.
type Row = (Cut, usize, fn(usize) -> String, fn(usize) -> Limits);

fn each(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(|at| line(at) + "\n").collect()
}

fn nested(depth: usize) -> String {
    (0..depth).fold("x = 1".to_owned(), |code, _| format!("exec({code:?})"))
}

fn long(n: usize) -> String {
    let filler = "    x = 1\n".repeat(31);
    format!("def run(code):\n{filler}    exec(code)\n{}", each(n, |at| format!("run('x = {at}')")))
}

macro_rules! only {
    ($field:ident, $extra:expr) => {
        |n| Limits { $field: (n + $extra) as _, ..Limits::default() }
    };
    ($field:ident) => {
        only!($field, 0)
    };
}

const ROWS: [Row; 20] = [
    (Cut::Source, 20, |n| format!("x = 1\n#{}", "a".repeat(n - 7)), only!(source_bytes_max)),
    (Cut::Dense, 3, |n| format!("f{}{}", "(".repeat(n), ")".repeat(n)), only!(brackets_max)),
    (
        Cut::Dense,
        3,
        |n| format!("f(x{})", " + x".repeat(n)),
        |n| Limits { chain_max: 2 * n as u32 + 5, ..Limits::default() },
    ),
    (Cut::Table, 3, |n| "(".repeat(n) + &")".repeat(n), only!(brackets_max)),
    // Of expressions what stands too deep is evaluated by itself; of blocks it is not walked.
    (
        Cut::Depth,
        9,
        |n| (0..=n).map(|at| format!("{}{}\n", " ".repeat(at), if at < n { "if x:" } else { "pass" })).collect(),
        only!(depth_max, 1),
    ),
    (
        Cut::Folding,
        8,
        |n| format!("for i in range({n}): x = i"),
        |n| Limits { fold_steps_max: 10 * n, ..Limits::default() },
    ),
    (Cut::Unfolded, 99, |n| format!("x = 'a' * {n}\nexec('b'.upper())"), only!(fold_bytes_max, 1)),
    (Cut::Layers, 3, |n| each(n, |at| format!("exec('x = {at}')")), only!(layers_max)),
    (Cut::LayersDeep, 2, nested, only!(layers_deep_max)),
    (Cut::Functions, 3, |n| each(n, |at| format!("def f{at}(): pass")), only!(functions_max, 1)),
    (Cut::Functions, 3, |n| each(n, |at| format!("class C{at}: pass")), only!(functions_max)),
    (Cut::Effects, 3, |n| format!("import os\n{}", each(n, |at| format!("os.remove('{at}')"))), only!(effects_max)),
    (Cut::Calls, 3, |n| format!("def f(): pass\n{}", each(n, |_| "f()".into())), only!(calls_max)),
    (Cut::Imports, 3, |n| each(n, |at| format!("import m{at}")), only!(imports_max)),
    (Cut::Exports, 3, |n| each(n, |at| format!("x{at} = {at}")), only!(exports_max)),
    (Cut::Hosts, 3, |n| each(n, |at| format!("x = 'https://h{at}.example.invalid/'")), only!(hosts_max)),
    (Cut::Signs, 3, |n| each(n, |at| format!("def f{at}(): return '~/.ssh/'")), only!(signs_max)),
    (Cut::Later, 2, |n| format!("from a import B\n{}", each(n, |_| "exec(B)".into())), only!(later_max)),
    (Cut::Rounds, 20, |n| format!("for code in range({n}): exec('x = ' + str(code))"), only!(rounds_max)),
    (Cut::Inlined, 3, long, only!(inlined_max)),
];

#[test]
fn every_limit_is_met_one_past_it() {
    for (cut, n, source, limits) in ROWS {
        let met = |size: usize| read(source(size).as_bytes(), &limits(n)).cuts().contains_key(&cut);
        assert_eq!((met(n), met(n + 1)), (false, true), "{cut:?}: {}", source(n + 1));
    }
    let arguments = |n: usize| format!("import os\nos.system({})", "'a', ".repeat(n));
    let limits = Limits { arguments_max: 3, ..Limits::default() };
    let met = |n: usize| read(arguments(n).as_bytes(), &limits).cuts().contains_key(&Cut::Arguments);
    assert_eq!((met(3), met(4)), (false, true));
    // Each round of spreading goes one call further, as callees stand before their callers.
    let chain = |n: usize| {
        let calls: String = (0..n).rev().map(|at| format!("def f{at}(x): f{}(x)\n", at + 1)).collect();
        format!("import os\ndef f{n}(x): print(x)\n{calls}f0(os.environ)\n")
    };
    let met = |n: usize| {
        let limits = Limits::default();
        link(vec![("a.py".into(), read(chain(n).as_bytes(), &limits))], &[], &limits).cuts.contains(&Cut::Spread)
    };
    assert_eq!((met(23), met(24)), (false, true));
    let tried: Vec<Cut> = ROWS.iter().map(|row| row.0).chain([Cut::Arguments, Cut::Spread]).collect();
    assert!(Cut::ALL.iter().all(|cut| tried.contains(cut)), "a limit has no row");
}

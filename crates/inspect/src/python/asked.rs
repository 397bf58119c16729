//! What of a build is only run when somebody asks for it by name: `python setup.py publish`.
//!
//! Front ends ask for the commands of setuptools and for no others. A branch that compares the command line with another
//! word, and a command class that stands under another word alone, wait for a person.

use ruff_python_ast::{CmpOp, Expr, Stmt};
use ruff_text_size::TextRange;

use super::facts::{Call, Function, Handed, Taint, Target};
use super::walk::Walker;

/// Commands that building and installing run, or that others of these run in turn.
const BUILD_COMMANDS: [&str; 29] = [
    "alias",
    "bdist",
    "bdist_dumb",
    "bdist_egg",
    "bdist_rpm",
    "bdist_wheel",
    "build",
    "build_clib",
    "build_ext",
    "build_py",
    "build_scripts",
    "check",
    "clean",
    "develop",
    "dist_info",
    "easy_install",
    "editable_wheel",
    "egg_info",
    "install",
    "install_data",
    "install_egg_info",
    "install_headers",
    "install_lib",
    "install_scripts",
    "rotate",
    "saveopts",
    "sdist",
    "setopt",
    "setup",
];

/// Whether a word is a command's name that no front end asks for.
pub(super) fn is_asked_for(word: &str) -> bool {
    let name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    name && !BUILD_COMMANDS.contains(&word)
}

/// Whether a test holds only where such a word stands on the command line: `sys.argv[-1] == "publish"`.
fn waits(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else { return false };
    let ([operator], [right]) = (&*compare.ops, &*compare.comparators) else { return false };
    let words = |e: &Expr| match e {
        Expr::StringLiteral(text) => is_asked_for(text.value.to_str()),
        _ => false,
    };
    let several = |e: &Expr| {
        let items: &[Expr] = match e {
            Expr::Tuple(tuple) => &tuple.elts,
            Expr::List(list) => &list.elts,
            Expr::Set(set) => &set.elts,
            _ => &[],
        };
        !items.is_empty() && items.iter().all(words)
    };
    let line = |e: &Expr| e.as_attribute_expr().is_some_and(|e| e.attr.as_str() == "argv");
    let part = |e: &Expr| e.as_subscript_expr().is_some_and(|e| line(&e.value));
    match operator {
        CmpOp::Eq => part(&compare.left) && words(right) || words(&compare.left) && part(right),
        CmpOp::In => words(&compare.left) && line(right) || part(&compare.left) && several(right),
        CmpOp::NotEq | CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE | CmpOp::Is | CmpOp::IsNot | CmpOp::NotIn => {
            false
        }
    }
}

impl<'a> Walker<'a, '_> {
    /// Walks the arm of a test. One that waits for a word is a function of its own: an import reaches it, a build does not.
    pub(super) fn arm_of(&mut self, test: &Expr, body: &'a [Stmt], unsure: bool) {
        let outer = self.function;
        let limits = self.shared.limits;
        let module = &mut self.shared.module;
        let room = module.functions.len() < limits.functions_max && module.calls.len() < limits.calls_max;
        if room && outer == 0 && self.inline_depth == 0 && waits(test) {
            let id = module.functions.len() as u32;
            let place = self.place(TextRange::empty(ruff_text_size::Ranged::range(test).start()));
            let module = &mut self.shared.module;
            let (params, returns) = (Vec::new(), Taint::default());
            module.functions.push(Function { name: "<asked>".into(), params, place, handed_over: true, returns });
            let (target, handed) = (Target::Local(id), Some(Handed::Asked));
            let main_only = self.main_only;
            module.calls.push(Call { function: outer, target, args: Vec::new(), shift: 0, handed, main_only });
            self.function = id;
        }
        self.arm(body, unsure);
        self.function = outer;
    }

    /// Hands commands over to the build, but for those that stand under a word of their own.
    pub(super) fn hand_over_commands(&mut self) {
        // Who runs other commands by name may run any.
        let runs_others = ["run_command", "sub_commands", "get_command"].iter().any(|word| self.text.contains(word));
        for (class, range) in std::mem::take(&mut self.shared.commands) {
            // Where it is defined, and under that word.
            let named_once = || self.text.matches(&*self.shared.classes[class as usize].name).count() <= 2;
            let asked = !runs_others && self.shared.asked.contains(&class) && named_once();
            self.hand_over_class(class, if asked { Handed::Asked } else { Handed::Surely }, range);
        }
    }
}

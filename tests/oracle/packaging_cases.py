"""Generates cases with the answers of Python's `packaging` library, the one that pip and the public index use.

    python packaging_cases.py --count 40000 > cases.jsonl
    cargo run -p packaging --example oracle < cases.jsonl

or both in one step, as CI does (exit status 1 on any difference that the table of differences does not name):

    python packaging_cases.py --count 40000 --compare target/debug/examples/oracle

Needs a python with `packaging` and `trove-classifiers`; installs nothing, reads no network. Same seed, same
library, same cases. One line is {"kind", "in": [text, ...], "ok", "norm"}: what was asked, whether the library
takes it, and its normal form. `crates/packaging/tests/it/oracle.rs` reads the same lines.
"""

import argparse
import json
import random
import subprocess
import sys

import packaging
import trove_classifiers
from packaging import licenses, metadata, requirements, specifiers, utils, version
from packaging.licenses import _spdx

# ---------------------------------------------------------------------------------------------- answers


def name(text):
    return utils.canonicalize_name(text, validate=True)


def version_(text):
    parsed = version.Version(text)
    flags = f"{parsed.is_prerelease:d}{parsed.local is not None:d}"
    return f"{parsed} {utils.canonicalize_version(parsed)} {flags}"


def order(left, right):
    left, right = version.Version(left), version.Version(right)
    return str((left > right) - (left < right))


def specifier(text):
    return str(specifiers.SpecifierSet(text))


def requirement(text):
    """`str(Requirement)` keeps the spelling of extras; everything else is its own form."""
    parsed = requirements.Requirement(text)
    extras = ",".join(sorted({utils.canonicalize_name(extra) for extra in parsed.extras}))
    out = parsed.name + (f"[{extras}]" if extras else "") + str(parsed.specifier)
    if parsed.url:
        out += f" @ {parsed.url}" + (" " if parsed.marker else "")
    return out + (f"; {parsed.marker}" if parsed.marker else "")


def filename(text):
    if text.endswith(".whl"):
        found, ver, build, tags = utils.parse_wheel_filename(text)
        return f"{found} {ver} {''.join(map(str, build))} {','.join(sorted(map(str, tags)))}"
    found, ver = utils.parse_sdist_filename(text)
    return f"{found} {ver}"


def classifier(text):
    """As the public index asks: in the list, and not deprecated."""
    if text not in trove_classifiers.classifiers:
        raise ValueError(text)
    return text


def field(header, value):
    raw, unparsed = metadata.parse_email(f"Metadata-Version: 2.5\nName: a\nVersion: 1\n{header}: {value}\n".encode())
    if unparsed:
        raise ValueError(unparsed)
    metadata.Metadata.from_raw(raw)
    return ""


def metadata_file(text):
    """`text` stands for bytes, one character each. Answers with what was read, taken or not."""
    raw, _ = metadata.parse_email(text.encode("latin-1"))
    back = {raw_name: header for header, raw_name in metadata._EMAIL_TO_RAW_MAPPING.items()}
    read = {}
    for raw_name, value in raw.items():
        if raw_name == "keywords":
            value = [",".join(value)]
        elif raw_name == "project_urls":
            value = [f"{label}, {url}" for label, url in value.items()]
        elif isinstance(value, str):
            value = [value]
        read[back[raw_name]] = value
    norm = json.dumps(read, sort_keys=True)
    try:
        metadata.Metadata.from_email(text.encode("latin-1"))
    except Exception:
        return False, norm
    return True, norm


ANSWERS = {
    "name": name,
    "version": version_,
    "order": order,
    "specifiers": specifier,
    "requirement": requirement,
    "filename": filename,
    "license": licenses.canonicalize_license_expression,
    "classifier": classifier,
    "field": field,
}


def answered(kind, *texts):
    if kind == "metadata":
        ok, norm = metadata_file(*texts)
    else:
        try:
            ok, norm = True, ANSWERS[kind](*texts)
        except Exception:  # whatever it raises, it does not take the text
            ok, norm = False, None
    return {"kind": kind, "in": list(texts), "ok": ok, "norm": norm}


# ---------------------------------------------------------------------------------------------- texts

NOISE = list("-_.+!*,;()[]<>=~ \t@'\"/\\:#%&|0123456789abcxyzABCXYZ") + ["\n", "\r", "\u00e9", "\u0130", "\u017f", "\u2028", "\u00a0", "\u0660", "\u1e9e", "\x1c", "==", "  ", ".*", "post", "dev", "rc"]


class Texts:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice
        self.licenses = [entry["id"] for entry in _spdx.LICENSES.values()]
        self.exceptions = [entry["id"] for entry in _spdx.EXCEPTIONS.values()]
        self.classifiers = sorted(trove_classifiers.all_classifiers)

    def chance(self, one_in):
        return self.random.randrange(one_in) == 0

    def maybe(self, text, one_in=2):
        return text if self.chance(one_in) else ""

    def noisy(self, text, one_in=3):
        """The text, or the text with a few characters changed."""
        if not self.chance(one_in):
            return text
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randint(0, len(text))
            text = text[:at] + self.pick(["", self.pick(NOISE)]) + text[at + self.random.randint(0, 1):]
        return text

    def name(self):
        part = lambda: "".join(self.random.choices("abcXYZ019", k=self.random.randint(1, 4)))
        return self.pick(["", "-", "_", ".", "--", "._-"]).join(part() for _ in range(self.random.randint(1, 4)))

    def number(self):
        return self.pick(["0", "1", "2", "00", "01", "10", "123", "2024", str(self.random.randrange(10**9)), "9" * 25 if self.chance(40) else "7"])

    def case(self, text):
        return self.pick([text, text, text.upper(), text.title()])

    def version(self):
        sep = lambda: self.pick(["", ".", "-", "_"])
        out = self.maybe("v", 9) + self.maybe(self.number() + "!", 9)
        out += ".".join(self.number() for _ in range(self.pick([1, 2, 2, 3, 3, 4])))
        if self.chance(3):
            out += sep() + self.case(self.pick(["a", "b", "c", "rc", "alpha", "beta", "pre", "preview"])) + sep() + self.maybe(self.number())
        if self.chance(4):
            out += self.pick(["-" + self.number(), sep() + self.case(self.pick(["post", "rev", "r"])) + sep() + self.maybe(self.number())])
        if self.chance(5):
            out += sep() + self.case("dev") + sep() + self.maybe(self.number())
        if self.chance(7):
            out += "+" + self.pick([".", "-", "_"]).join(self.pick(["abc", "Ubuntu", "1", "01", "a1", "1a"]) for _ in range(self.random.randint(1, 3)))
        return self.maybe(" ", 20) + out + self.maybe(" \n", 40)

    def close_versions(self):
        """Two that differ little, or not at all."""
        left = self.version().strip()
        right = self.pick([left + self.pick([".0", ".dev1", ".post1", "a1", "rc1", "+a", "+1", ".0.0.1"]), self.version().strip(), left.upper(), left.replace("0", "1", 1)])
        return left, right

    def space(self):
        return self.pick(["", "", "", " ", "  ", "\t"])

    def clause(self):
        operator = self.pick(["==", "!=", "<=", ">=", "<", ">", "~=", "==="])
        ver = self.pick([self.version().strip(), ".".join(self.number() for _ in range(self.random.randint(1, 3))) + self.maybe(".*", 3)])
        return operator + self.space() + ver

    def clauses(self):
        return (self.space() + "," + self.space()).join(self.clause() for _ in range(self.pick([0, 1, 1, 1, 2, 3]))) + self.maybe(",", 12)

    def comparison(self):
        variables = ["python_version", "python_full_version", "os_name", "os.name", "sys_platform", "sys.platform", "platform_release", "platform_system", "platform_version", "platform.version", "platform_machine", "platform.machine", "platform_python_implementation", "platform.python_implementation", "python_implementation", "implementation_name", "implementation_version", "extra", "extra", "extras", "dependency_groups", "nonsense"]
        quote = self.pick("'\"")
        value = quote + self.pick(["3.8", "linux", "win32", "a b", "Foo_Bar", "x.Y", "", "a\\x62", "-x.",  "'" if quote == '"' else '"', "\u00e9", self.noisy("cp311", 4)]) + quote
        operator = self.pick(["==", "!=", "<=", ">=", "<", ">", "~=", "===", " in ", " not in ", " not  in "])
        sides = [self.pick(variables), value]
        if self.chance(4):
            sides.reverse()
        return sides[0] + self.space() + operator + self.space() + sides[1]

    def marker(self, depth=0):
        if depth < 3 and self.chance(3):
            return "(" + self.space() + self.marker(depth + 1) + self.space() + ")"
        if depth < 3 and self.chance(3):
            return self.marker(depth + 1) + self.pick([" and ", " or ", " and", "or "]) + self.marker(depth + 1)
        return self.comparison()

    def requirement(self):
        out = self.space() + self.pick([self.name()] * 4 + ["foo", "foo_", "foo.zip", "a-1.0.tar.gz"]) + self.space()
        if self.chance(3):
            out += "[" + self.space() + (self.space() + "," + self.space()).join(self.name() for _ in range(self.random.randint(0, 3))) + self.space() + "]" + self.space()
        if self.chance(6):
            out += "@" + self.space() + self.pick(["https://h.example/a.whl", "git+https://h.example/r.git@v1#egg=a", "file:///a b", "https://u:p@h.example/${X};y", "./local", "C:\\x"]) + self.pick([" ", "  ", "", "\t"])
        else:
            clauses = self.clauses()
            out += self.pick([clauses, clauses, "(" + self.space() + clauses + self.space() + ")"]) + self.space()
        if self.chance(3):
            out += ";" + self.space() + self.marker()
        return out + self.space()

    def wheel(self):
        tags = lambda values: ".".join(self.pick(values) for _ in range(self.pick([1, 1, 1, 2, 3])))
        parts = [self.name().replace("-", "_"), self.version().strip().replace("-", self.pick(["_", "-"]))]
        if self.chance(5):
            parts.append(self.pick(["1", "2abc", "0_x", "abc", "", "1.2", "01"]))
        parts += [tags(["py3", "py2", "cp311", "cp312", "pp39"]), tags(["none", "abi3", "cp311"]), tags(["any", "win_amd64", "linux_x86_64", "manylinux_2_17_x86_64", "macosx_11_0_arm64"])]
        return "-".join(parts) + self.pick([".whl"] * 9 + [".WHL"])

    def filename(self):
        return self.pick([self.wheel, lambda: self.name() + "-" + self.version().strip() + self.pick([".tar.gz"] * 8 + [".zip", ".tgz"])])()

    def license(self, depth=0):
        if depth < 3 and self.chance(3):
            return self.space() + "(" + self.license(depth + 1) + ")" + self.space()
        if depth < 4 and self.chance(2):
            return self.license(depth + 1) + self.pick([" AND ", " or ", " and ", " OR  ", " with "]) + self.license(depth + 1)
        text = self.case(self.pick(self.licenses)) if self.chance(2) else self.pick(["MIT", "mit", "Apache-2.0", "BSD-3-Clause"])
        text = self.pick([text] * 6 + [text + "+", "LicenseRef-" + self.pick(["My.Own-1", "x", "", "a_b", "A+"]), "licenseref-Foo", "Nonsense", "DocumentRef-a:MIT", "NONE", "NOASSERTION"])
        return text + self.maybe(" WITH " + self.case(self.pick(self.exceptions + ["Nonsense"])), 6)

    def field(self):
        header = self.pick(list(FIELD_VALUES))
        return header, self.noisy(self.pick(FIELD_VALUES[header]), 4)

    def metadata(self):
        """Mostly sound files with a few odd lines; bytes as characters."""
        end = self.pick(["\n"] * 8 + ["\r\n", "\r"])
        lines = [f"Metadata-Version: {self.pick(['1.0', '1.1', '1.2', '2.0', '2.1', '2.2', '2.3', '2.4', '2.5', '2.6', '3.0', '2.1', '2.1', '2.1', '2.1'])}", f"Name: {self.name()}", "Version: 1.0"]
        for _ in range(self.random.randint(0, 6)):
            header = self.pick(list(FIELD_VALUES) + ["Author", "License", "Keywords", "Platform", "Requires", "Maintainer"])
            value = self.pick(FIELD_VALUES.get(header, ["x", "UNKNOWN", "", "a, b", "h\u00e9", "two" + end + "  lines", "MIT" + end + "        " + end + "        text", " s ", "=?utf-8?q?=C3=A9?="]))
            lines.append(self.case(header) + self.pick([": "] * 9 + [":", ":\t", " : ", ":  "]) + value)
        if self.chance(6):
            lines.append(self.pick(["Description: a" + end + "        b" + end + "       |c", "Description: UNKNOWN", "Description: one"]))
        if self.chance(12):
            lines.insert(self.random.randint(0, len(lines)), self.pick([" continued", "X-Unknown: y", "no colon", ":", "From me", "From me: x", "Name: other", "\ufeff", "Content-Type: text/plain", "Author: \udcff", "\x0b", "Summary: a\x0bb"]))
        self.random.shuffle(lines) if self.chance(3) else None
        text = end.join(lines) + end
        if self.chance(2):
            text += end + self.pick(["# Title" + end + "text" + end, "UNKNOWN" + end, end, "", "  ", "h\u00e9" + end * 3, "\x00", "From x" + end, "\udcff"])
        return self.noisy(text, 12).encode("utf-8", "surrogateescape").decode("latin-1")


FIELD_VALUES = {
    "Summary": ["short", "a\n  b", "a\x0bb", "a\u2028b", "\u00e9", "a\x85b"],
    "Description-Content-Type": ["text/markdown", "text/markdown; charset=UTF-8", "text/markdown; charset=UTF-8; variant=GFM", "text/markdown;variant=CommonMark", "text/x-rst", "text/plain", "TEXT/MARKDOWN", "text/markdown; variant=gfm", "text/html", "text/markdown; charset=latin-1", "text/markdown; charset=\"utf-8\"", "text/x-rst; charset=UTF-8", "text/plain; variant=Other", "text", "text/markdown;", "text/markdown; x", "text/markdown; x=y", "markdown"],
    "Requires-Python": [">=3.8", ">=3.8,<4", ">=3.0.*", "~=3", ">= 3.6", "3.8", ">3", "==3.*", ">=3.8,", "", "UNKNOWN", ">=2.7, !=3.0.*, !=3.1.*, <4", ">=3.8 <4", "===3.8"],
    "Requires-Dist": ["a", "a>=1", "a (>=1.0)", "a (>1.0.*)", "a[b]; extra == 'c'", "a; python_version < '3'", "a @ https://h.example/x.whl", "", "UNKNOWN", "a ; extra == 'x' and (os_name == 'nt')", "a (==1.0) ; extra == 'b'", "a b", "a<2,>=1", "a>=1.0-foo"],
    "Provides-Extra": ["test", "Test_X", "a.b", "-a", "a b", "", "UNKNOWN", "dev-"],
    "Dynamic": ["Requires-Dist", "license", "NAME", "Version", "Metadata-Version", "Nonsense", "License-File", "import-name"],
    "License-Expression": ["MIT", "mit OR apache-2.0", "Nonsense", "MIT AND", "LicenseRef-x", "(MIT)", "()", "MIT WITH GCC-exception-3.1"],
    "License-File": ["LICENSE", "a/b", "../x", "/x", "a\\b", "*.txt", "a/./b", "a//b", "a/", "C:/x", "C:x", "a..b", "", ".x", "a b", "./a"],
    "Import-Name": ["a", "a.b", "_x", "a.class", "1a", "a-b", "a; private", "a;private", "a ; private ", "a; public", "\u00e9", "a..b", "", "\u00b7a", "a\u00b7", "match", "a;", "a ;", "\ufb01", "\u2118", "x\u0308", "None.a"],
    "Import-Namespace": ["a", "a.b", "class", "", "a; private"],
    "Project-URL": ["A, https://a.example", "A,https://a.example", "A, https://a.example/?x=1,2"],
    "Home-page": ["https://a.example", "UNKNOWN", ""],
    "Classifier": ["Programming Language :: Python :: 3", "UNKNOWN"],
    "Author-email": ["a@b.example", "A B <a@b.example>"],
}

# How many in a thousand each kind gets.
SHARES = {"name": 80, "version": 170, "order": 130, "specifiers": 110, "requirement": 190, "filename": 90, "license": 80, "field": 60, "metadata": 90}


def cases(seed, count):
    texts = Texts(seed)
    for kind, share in SHARES.items():
        # A seed for each kind: a new kind moves no other kind's cases.
        texts.random.seed(f"{seed} {kind}")
        seen = set()
        for _ in range(count * share // 1000 * 3):
            if len(seen) >= count * share // 1000:
                break
            if kind == "order":
                given = texts.close_versions()
            elif kind == "field":
                given = texts.field()
            elif kind == "metadata":
                given = (texts.metadata(),)
            else:
                maker = getattr(texts, {"specifiers": "clauses"}.get(kind, kind))
                given = (texts.noisy(maker()),)
            if given in seen or any("\ud800" <= c <= "\udfff" for text in given for c in text):
                continue
            seen.add(given)
            yield answered(kind, *given)
    if count >= 10_000:
        for every in texts.licenses:
            yield answered("license", every.lower())
        for every in texts.exceptions:
            yield answered("license", f"MIT with {every.lower()}")
        for every in texts.classifiers:
            yield answered("classifier", every)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--seed", default="tidewaiter")
    parser.add_argument("--compare", metavar="PROGRAM")
    arguments = parser.parse_args()
    lines = [json.dumps(case) + "\n" for case in cases(arguments.seed, arguments.count)]
    print(f"{len(lines)} cases from packaging {packaging.__version__}, seed {arguments.seed}", file=sys.stderr)
    if arguments.compare is None:
        sys.stdout.writelines(lines)
    else:
        sys.exit(subprocess.run([arguments.compare], input="".join(lines), text=True, stdout=subprocess.DEVNULL).returncode)


if __name__ == "__main__":
    main()

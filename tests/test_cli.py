"""The command line: what stands on stdout, exit codes, and who may use the data folder meanwhile."""

import os
import re
import stat
import subprocess
import time

import pytest

from harness import binary, clean_env, run, wait_until
from packages import sdist, wheel


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("serving", [True, False])
def test_every_command(make_server, serving):
    """Through the running process, and on a folder that nobody serves."""
    server = make_server().start()
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0"), sdist("demo", "1.0"))
    if not serving:
        server.stop()
    assert server.cli("user", "create", "ann", "--email", "ann@example.org", "--role", "auditor").stdout == ""
    with_password = ["user", "create", "bob", "--email", "bob@example.org", "--password-stdin"]
    assert server.cli(*with_password, input="correct horse\n").stdout == ""
    again = server.cli("user", "create", "ann", "--email", "ann@example.org", ok=False)
    assert (again.returncode, again.stdout) == (1, "") and "ann" in again.stderr
    assert server.cli("user", "create", "-", "--email", "x@y", ok=False).returncode != 0
    assert server.cli("user", "create", "cid", "--email", "no-address", ok=False).returncode == 1

    token = server.cli("token", "create", "--user", "ann", "--project", "Demo.X", "--expires", "12h")
    assert re.fullmatch(r"tidewaiter-[A-Za-z0-9_-]{60,}\n", token.stdout) and token.stderr == ""
    line = next(row for row in server.cli("token", "list").stdout.splitlines() if "\tann\t" in row).split("\t")
    assert line[2] == "demo-x" and line[4].startswith("expires ")
    assert server.cli("token", "revoke", line[0]).stdout == ""
    assert server.cli("token", "revoke", line[0], ok=False).returncode == 1
    assert "revoked" in server.cli("token", "list").stdout
    assert server.cli("token", "create", "--user", "nobody", ok=False).returncode == 1
    assert server.cli("token", "create", "--user", "ann", "--expires", "soon", ok=False).returncode == 1

    assert server.cli("index", "create", "team").stdout == ""
    assert len(server.cli("index", "list").stdout.splitlines()) == 2

    assert server.cli("project", "yank", "demo", "1.0", "--reason", "old").stdout == ""
    assert server.cli("project", "unyank", "demo", "1.0").stdout == ""
    assert server.cli("project", "yank", "demo", "--file", sdist("demo", "1.0").filename).stdout == ""
    assert server.cli("project", "role", "demo", "add", "bob", "owner").stdout == ""
    assert server.cli("project", "role", "demo", "remove", "admin").stdout == ""
    assert server.cli("project", "role", "demo", "remove", "bob", ok=False).returncode == 1
    assert server.cli("project", "remove", "demo", "2.0").stdout == "1 removed\n"
    assert server.cli("project", "remove", "demo", "2.0", ok=False).returncode == 1
    assert server.cli("project", "status", "demo", "archived", "--reason", "done").stdout == ""
    assert server.cli("project", "status", "demo", "nonsense", ok=False).returncode == 2
    for arguments in (("yank", "demo"), ("yank", "absent", "1.0"), ("yank", "demo", "9.9"), ("remove", "absent")):
        failed = server.cli("project", *arguments, ok=False)
        assert (failed.returncode, failed.stdout) == (1, "") and failed.stderr, arguments

    assert server.cli("scrub").stdout.splitlines()[0] == "main: 3 files, 0 wrong"
    assert "all well" in server.cli("doctor").stdout
    if not serving:
        server.start()
    page = lambda: server.page("demo")
    wait_until(lambda: page()["project-status"] == {"status": "archived", "reason": "done"}, what="the status")
    assert [(f["filename"], f["yanked"]) for f in page()["files"]] == [
        (wheel("demo", "1.0").filename, False),
        (sdist("demo", "1.0").filename, True),
    ]
    assert server.get("/pypi/demo/json").json()["ownership"]["roles"] == [{"role": "Owner", "user": "bob"}]


def test_a_second_server_and_a_rebuild_are_refused_within_a_second(server):
    server = server()
    for command in ("serve", "rebuild"):
        began = time.monotonic()
        done = server.cli(command, *(["--listen", "127.0.0.1:0"] if command == "serve" else []), ok=False)
        assert time.monotonic() - began < 1, command
        assert done.returncode == 1 and "served" in done.stderr and done.stdout == "", done.stderr
    assert server.get("/healthz").status == 200


def test_first_start_says_how_to_use_it(server, clients, tmp_path):
    server = server()
    text = server.out.read_text()
    for part in (server.url, "twine upload", "uv publish", "pip install", "dependency confusion", "first-token"):
        assert part in text
    assert server.token not in text and server.token not in server.log()
    assert clients.twine(server, [wheel().write(tmp_path)]).returncode == 0
    server.stop()
    server.start()
    assert "first-token" in server.out.read_text(), "it is still there to be used"
    server.stop()
    (server.data / "first-token").unlink()
    server.start()
    text = server.out.read_text()
    assert "first-token" not in text and f"token create --user admin --data {server.data}" in text


def test_secrets_stay_secret(server):
    server = server(log_level="debug")
    tokens = [server.token, server.new_token("admin"), server.user("ann")]
    for token in tokens:
        server.upload(wheel("demo", "1.0"), token=token)
        server.upload(wheel("bad", "1.0", classifier="x"), token=token)
        server.upload(wheel("demo"), token=token + "x")
        server.verb("projects/demo/yank", {"version": "7"}, token=token)
    server.cli("user", "create", "bob", "--email", "bob@example.org", "--password-stdin", input="correct horse\n")
    server.stop()
    log = server.log() + server.out.read_text()
    for secret in (*tokens, "correct horse", *(token[-30:] for token in tokens)):
        assert secret not in log
    for path in server.data.rglob("*"):
        if path.is_file() and path.name != "first-token":
            data = path.read_bytes()
            assert not any(token.encode() in data for token in tokens), f"{path} holds a token"
            assert b"correct horse" not in data


def test_file_modes(server):
    server = server()
    server.publish(wheel())
    for name in ("secret", "node", "lock", "first-token", "control.sock", "index.db", "index.db-wal", "index.db-shm"):
        assert mode(server.data / name) & 0o077 == 0, f"{name}: {mode(server.data / name):o}"


def test_configuration(make_server, tmp_path):
    config = tmp_path / "config.toml"
    data = tmp_path / "data"

    def scrub(text, **env):
        config.write_text(text)
        return run([binary(), "scrub", "--config", config, "--data", data], env=clean_env(**env))

    nothing = scrub("[upload]\nwait = '1s'\n")
    assert nothing.returncode == 1 and "no installation" in nothing.stderr, "a mistyped path is not a sound index"
    assert not data.exists()
    assert run([binary(), "index", "create", "team", "--data", data], env=clean_env()).returncode == 0
    assert scrub("[upload]\nwait = '1s'\n").returncode == 0
    for text, named in (
        ("[upload]\nwiat = '1s'\n", "upload.wiat"),
        ("nonsense = 1\n", "nonsense"),
        ("[upload]\nwait = 'soon'\n", "upload.wait"),
        ("[upload]\nfile_size = -1\n", "upload.file_size"),
        ("[upload\n", "TOML"),
        ("[log]\nformat = 'xml'\n", "log.format"),
        ("[server]\npublic_url = 'ftp://x'\n", "public_url"),
        ("[server]\ntls_key = 'x'\n", "go together"),
    ):
        failed = scrub(text)
        assert failed.returncode == 1 and named in failed.stderr and failed.stdout == "", (text, failed.stderr)
    failed = scrub("", TIDEWAITER_UPLOAD_WIAT="1s")
    assert failed.returncode == 1 and "TIDEWAITER_UPLOAD_WIAT" in failed.stderr
    assert scrub("[upload]\nwait = '1s'\n", TIDEWAITER_UPLOAD_WAIT="never").returncode == 1
    assert run([binary(), "scrub", "--config", tmp_path / "absent.toml"]).returncode == 1
    assert run([binary(), "nonsense"]).returncode == 2
    assert run([binary(), "--version"]).stdout.startswith("tidewaiter ")


def blobs(server):
    root = server.data / "blobs"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_scrub_names_what_is_wrong_and_rebuild_mends_pages(server, ledger):
    server = server(**ledger)
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0"), sdist("other"))
    server.stop()
    before = blobs(server)
    assert server.cli("rebuild").stdout.endswith(" 0 written, 0 removed, 0 moved\n")
    assert blobs(server) == before
    site = server.data / "blobs" / "main" / "site"
    (site / "simple" / "demo" / "index.json").unlink()
    (site / "simple" / "demo" / "index.html").write_text("altered")
    (site / "pypi" / "other" / "json").write_text("{}")
    (site / "simple" / "index.json").unlink()
    (site / "head.json").unlink()
    (site / "stray").write_text("stray")
    next((site / "files").rglob("*.metadata")).write_text("altered")
    found = server.cli("scrub", ok=False)
    assert found.returncode == 1
    for name in ("simple/demo/index.json", "simple/demo/index.html", "pypi/other/json"):
        assert name in found.stdout, found.stdout
    rebuilt = server.cli("rebuild").stdout
    # The head and the list come back with the publisher's lease, before the rebuild counts.
    assert " 4 written, 1 removed, 0 moved" in rebuilt, rebuilt
    assert blobs(server) == before
    assert server.cli("scrub").returncode == 0


def test_scrub_finds_a_flipped_bit_and_a_missing_file(server):
    server = server()
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0"))
    one, two = (
        next((server.data / "blobs" / "main" / "site" / "files").rglob(wheel("demo", v).filename)) for v in ("1.0", "2.0")
    )
    good = one.read_bytes()
    one.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    found = server.cli("scrub", ok=False)
    assert found.returncode == 1 and one.name in found.stdout and two.name not in found.stdout
    assert "changed" in found.stdout
    one.write_bytes(good)
    two.unlink()
    found = server.cli("scrub", ok=False)
    assert found.returncode == 1 and two.name in found.stdout and "missing" in found.stdout
    server.stop()
    rebuilt = server.cli("rebuild", ok=False)
    assert rebuilt.returncode == 1 and two.name in rebuilt.stderr


def test_scrub_finds_bytes_that_no_upload_brought(server):
    server = server()
    server.publish(wheel("demo", "1.0"))
    planted = wheel("demo", "6.6")
    folder = server.data / "blobs/main/site/files" / planted.sha256[:2] / planted.sha256
    folder.mkdir(parents=True)
    (folder / planted.filename).write_bytes(planted.data)
    found = server.cli("scrub", ok=False)
    assert found.returncode == 1 and f"{planted.filename}: no upload brought it" in found.stdout, found
    assert "1.0" not in found.stdout
    server.stop()
    server.cli("rebuild")
    assert server.cli("scrub").stdout.endswith("1 files, 0 wrong\n")


def test_a_reader_that_goes_is_no_failure(server):
    """What is printed may be long, and whoever reads it may have seen enough."""
    server = server()
    closed, out = os.pipe()
    os.close(closed)
    for arguments in (["index", "list"], ["checks", "list"], ["scrub"]):
        done = subprocess.run(
            [binary(), *arguments, "--data", server.data], env=server.env(), stdout=out, stderr=subprocess.PIPE, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done)
    os.close(out)


def test_health_and_metrics(server):
    server = server()
    server.publish(wheel())
    ready = server.get("/readyz").json()
    assert ready["ready"] is True and ready["uploads"] == "on"
    denied = {word: held for word, held in ready["sandbox"].items() if word.endswith("_denied")}
    assert denied == dict.fromkeys(["files_denied", "network_denied", "signals_denied", "exec_denied"], True)
    assert server.get("/healthz").text == "ok\n"
    metrics = server.get("/metrics").text
    assert 'tidewaiter_uploads_total{outcome="accepted"} 1' in metrics and "# EOF" in metrics

"""What the client keeps in its folder, and tells on the terminal: with several commands at once, killed ones, and passwords."""

import json
import os
import subprocess
import sys
import time

from harness import binary, die_with_parent, run, wait_until
from test_client import altering, world  # noqa: F401 (fixture)


def test_what_was_cut_off_is_cleared_away(world):  # noqa: F811
    """A process that was killed leaves files behind that nobody counts."""
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    trusted = next(world.folder.glob("state/trusted/*"))
    left = [folder / ".new-left" for folder in (world.folder / "state" / "files", trusted, trusted / "pages", trusted / "log")]
    for path in left:
        path.write_bytes(b"x" * 1_000)
    world.tidewaiter("run", world.host(), "--", "true")
    assert all(path.exists() for path in left), "somebody may be writing to them"
    for path in left:
        os.utime(path, (time.time() - 7_200, time.time() - 7_200))
    world.tidewaiter("run", world.host(), "--", "true")
    assert not any(path.exists() for path in left)


def test_a_slow_mirror_keeps_nobody_else_waiting(world):  # noqa: F811
    """Two commands with one state folder: the one whose mirror is slow does not hold it meanwhile."""
    slow_host = world.host()
    is_head = lambda path: path.endswith((".root.json", "timestamp.json"))
    slow_host.alter = lambda path, data: (time.sleep(4) if is_head(path) else None) or data
    base = [binary(), "run", "--root", world.root, "--state", world.folder / "state", "--patience", "20"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "preexec_fn": die_with_parent}
    command = [*base, "--index", slow_host.url, "--", *world.clients.pips["current"], "download", "--no-deps", "demo"]
    slow_one = subprocess.Popen([str(part) for part in command], env=world.clients.env(), cwd=world.folder, **pipes)
    try:
        wait_until(lambda: slow_host.asked, what="the slow mirror")
        good = world.new.write(world.folder / "good")
        for _ in range(2):
            assert world.tidewaiter("verify", world.host(), good).returncode == 0
        assert len(slow_host.asked) < 3, "it waited for the slow mirror"
        assert slow_one.wait(60) == 0
    finally:
        slow_one.kill()


def test_neither_of_two_at_once_goes_back(world):  # noqa: F811
    """The stale mirror answers late: what the other command has stored meanwhile is not overwritten."""
    host, stale = world.host(), world.host(world.older)
    signed = lambda data: json.loads(data)["signed"]["version"]
    version = lambda path: signed(path.read_bytes())
    new, old = (signed(one.files["/tuf/timestamp.json"]) for one in (host, stale))
    late = lambda path, data: time.sleep(1.5) or data if path.endswith("timestamp.json") else data
    stale.alter = late
    roles = world.folder / "roles"
    base = [binary(), "tuf-client", "--metadata-dir", roles]
    assert run([*base, "init", world.root]).returncode == 0
    client = lambda host: [*base, "--metadata-url", f"{host.url}tuf/", "refresh"]
    file = world.new.write(world.folder / "good")
    verify = [binary(), "verify", "--root", world.root, "--state", world.folder / "state", "--patience", "4"]
    for command, stored in [
        (client, lambda: roles / "timestamp.json"),
        (lambda host: [*verify, "--index", host.url, file], lambda: next(world.folder.glob("state/trusted/*/timestamp.json"))),
    ]:
        stale.asked.clear()
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "preexec_fn": die_with_parent}
        with subprocess.Popen([str(part) for part in command(stale)], **pipes) as slow_one:
            wait_until(lambda: "/tuf/timestamp.json" in stale.asked, what="the stale mirror")
            assert run(command(host)).returncode == 0 and version(stored()) == new
            _, told = slow_one.communicate(timeout=30)
        assert slow_one.returncode == 1 and f"goes back from version {new} to {old}" in told
        assert version(stored()) == new


def test_passwords_are_not_shown(world):  # noqa: F811
    host = world.host()
    host.url = host.url.replace("://", "://bob:s3cret@")
    base = [binary(), "run", "--index", host.url, "--state", world.folder / "first", "--"]
    done = run([*base, "true"])
    assert done.returncode == 0 and "is trusted from now on" in done.stderr and "s3cret" not in done.stderr
    altering(host, lambda path: True, lambda data: None)
    done = run([*base, *world.clients.pips["current"], "download", "demo"], cwd=world.folder, env=world.clients.env())
    assert done.returncode != 0 and "is not there" in done.stderr and "s3cret" not in done.stderr + done.stdout


def test_verification_can_be_switched_off_and_that_is_written_down(world):  # noqa: F811
    options = ["--unsafely-disable-package-verification"]
    host = world.host()
    host.url = host.url.replace("://", "://bob:s3cret@")
    script = "import os; print(os.environ['PIP_INDEX_URL'])"
    done = world.tidewaiter("run", host, "--", sys.executable, "-c", script, "http://me:t0ken@x/", options=options)
    assert done.returncode == 0 and "bob:s3cret@" in done.stdout and "nothing of what is installed" in done.stderr
    log = world.folder / "state" / "unverified.log"
    text = log.read_text()
    assert script in text and "http://127.0.0.1" in text and "http://x/" in text
    assert "s3cret" not in text and "t0ken" not in text and log.stat().st_mode & 0o077 == 0

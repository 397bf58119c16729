"""What the verifying client says when it does not serve: the cause, and a remedy that is one. Where several things can be
wrong, the sentence must not send people to the wrong one."""

import json
import time
from base64 import b64encode
from hashlib import sha256

import pytest

from harness import binary, run
from packages import wheel
from test_client import release, world  # noqa: F401 (a fixture)


def verify(world, url, package=None, *options, root=True, state="state"):  # noqa: F811
    """`tidewaiter verify` of a file: the shortest way through the client."""
    path = (package or world.new).write(world.folder / "mine")
    given = ["--root", world.root] if root else []
    return run([binary(), "verify", path, "--index", url, *given, "--state", world.folder / state, "--patience", "2", *options])


def answering(host, matches, status, *headers):
    def send(handler):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    host.alter = lambda path, data: send if matches(path) else data


def refused(done, *says, never=()):
    assert done.returncode == 1, done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("tidewaiter: ")]
    assert lines and all(any(word in line for line in lines) for word in says), done.stderr
    assert not any(word in done.stderr for word in never), done.stderr


REACH = "up and reachable"


def test_offline_without_what_was_never_fetched(world):  # noqa: F811
    host = world.host()
    refused(verify(world, host.url, None, "--offline"), "offline", "run once without --offline", never=[REACH])
    # Some of it was.
    assert verify(world, host.url).returncode == 0
    other = world.folder / "state"
    [role.unlink() for role in other.rglob("bin-*")]
    refused(verify(world, host.url, None, "--offline"), "run once without --offline", never=[REACH])
    assert host.asked and verify(world, host.url).returncode == 0
    count = len(host.asked)
    time.sleep(2)
    done = verify(world, host.url, None, "--offline", "--max-age", "1s")
    refused(done, "at most 1 s are allowed", "too old by now: run once without --offline", never=["clock of this machine"])
    assert len(host.asked) == count


@pytest.mark.parametrize(
    "status, says",
    [
        (302, ["answers 302", "redirects are not followed", "give its new address as --index"]),
        (308, ["answers 308", "redirects are not followed"]),
        (401, ["answers 401", "wants a password"]),
        (404, ["is not there", "the address that the index's operator gives out"]),
        (400, ["answers 400", "the address that the index's operator gives out"]),
        (429, ["answers 429", "try again later"]),
        (503, ["answers 503", "try again later"]),
    ],
)
@pytest.mark.parametrize("root", [True, False])
def test_a_mirror_that_answers_something_else(world, status, says, root):  # noqa: F811
    host = world.host()
    answering(host, lambda path: True, status, ("Location", "/elsewhere/"))
    refused(verify(world, host.url, root=root), *says, never=[REACH])
    assert "/elsewhere/" not in host.asked, "nobody follows"


def test_what_the_index_signs_for_and_a_mirror_holds_back(world):  # noqa: F811
    for matches in [lambda path: path.endswith("snapshot.json"), lambda path: "bin-" in path]:
        host = world.host()
        answering(host, matches, 404)
        refused(verify(world, host.url, state="held"), "does not hand it out: use another --index", never=[REACH])
    world.new = release(world.index, wheel("demo", "3.0"), "team/demo")
    world.index.commit()
    host = world.host()
    answering(host, lambda path: path.endswith("/provenance"), 404)
    done = verify(world, host.url, None, "--attestations", "pin", state="dropped")
    refused(done, "provenance of demo-3.0", "does not hand it out: use another --index", never=[REACH])
    # Of a file that has none, nothing is held back.
    done = verify(world, host.url, world.old, "--attestations", "require:demo", state="none")
    refused(done, "no attestation", "leave it out of --attestations", never=["publishers.lock"])


def test_longer_than_signed_is_other_bytes_and_past_our_own_limits_is_endless(world):  # noqa: F811
    world.new = release(world.index, wheel("demo", "3.0"), "team/demo")
    world.index.commit()
    host = world.host()
    host.alter = lambda path, data: data + b" " * 30 if path.endswith("index.json") else data
    done = verify(world, host.url, None, "--attestations", "pin")
    refused(done, "not the one that was signed for: it is longer than", "tell its operator", never=["endless"])
    # The length of a provenance is not signed; a megabyte is more than we take.
    host.alter = lambda path, data: b" " * (1 << 20) if path.endswith("/provenance") else data
    done = verify(world, host.url, None, "--attestations", "pin")
    refused(done, "provenance of demo-3.0", "is longer than", "endless data", never=["signed for"])


def test_what_is_signed_and_cannot_be_used_is_nobody_elses_fault(world):  # noqa: F811
    page = json.loads(world.index.page("demo"))
    page["name"] = "another"
    world.index.page = lambda project, honest=world.index.page: json.dumps(page).encode() if project == "demo" else honest(project)
    world.index.commit()
    host = world.host()
    done, target = world.install("pip-current", host, "demo")
    assert done.returncode != 0 and not list(target.rglob("*.py"))
    assert "the index itself has signed it so" in done.stderr and "use another --index" not in done.stderr, done.stderr


def test_a_root_that_is_none(world):  # noqa: F811
    world.root.write_bytes(world.root.read_bytes().replace(b'"version":1', b'"version":2'))
    refused(verify(world, world.host().url), "file given as --root", never=["use another --index"])


def test_nobody_there_and_nobody_safe(world):  # noqa: F811
    host = world.host()
    safe = host.url.replace("http://", "https://")
    refused(verify(world, safe), "cannot be reached safely", "--certificates FILE", never=[REACH])
    host.close()
    world.hosts.remove(host)
    refused(verify(world, host.url), "cannot be reached", REACH, never=["safely", "--certificates"])


def test_an_index_without_a_log_forks_none(world):  # noqa: F811
    name, public = b"witness.example/w", b"\x04" + bytes.fromhex(world.index.online.public["keyval"]["public"])
    key = f"{name.decode()}+{sha256(name + bytes([10]) + public).hexdigest()[:8]}+{b64encode(public).decode()}"
    done = verify(world, world.host().url, None, "--witnesses", f"1:{key}")
    refused(done, "no log that a witness could see", "ask its operator before you go on", never=["different pasts"])


def test_the_conformance_command_line_says_what_is_missing_before_it_asks(world):  # noqa: F811
    host = world.host()
    base = [binary(), "tuf-client", "--metadata-dir", world.folder / "roles"]
    url = ["--metadata-url", f"{host.url}tuf/"]
    assert run([*base, "init", world.root]).returncode == 0
    path = next(path for path in host.files if path.endswith("index.json")).removeprefix("/tuf/targets/")
    folder, _, name = path.rpartition("/")
    target = ["--target-name", f"{folder}/{name.split('.', 1)[1]}"]
    where, into = ["--target-base-url", f"{host.url}tuf/targets/"], ["--target-dir", world.folder / "new" / "targets"]
    for options, missing in [
        ([*target, *where, *into], "--metadata-url"),
        ([*url, *where, *into], "--target-name"),
        ([*url, *target, *into], "--target-base-url"),
        ([*url, *target, *where], "--target-dir"),
    ]:
        done = run([*base, *options, "download"])
        assert done.returncode == 1 and f"{missing} is missing" in done.stderr, done.stderr
    assert host.asked == []
    for _ in range(2):
        assert run([*base, *url, *target, *where, *into, "download"]).returncode == 0
    assert len(list((world.folder / "new" / "targets").iterdir())) == 1
    assert sum(path.endswith("index.json") for path in host.asked) == 1, "what is there is not fetched again"

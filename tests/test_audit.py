"""`tuf audit --mirror`: whatever a mirror shows under plain names is held against what is signed, and named."""

import json
import os
import subprocess
import time
import zlib

import pytest

from harness import JSON, binary
from packages import sdist, wheel
from signed_index import Host, unpacks_to_more
from test_attestations import attestations, place, root, started  # noqa: F401
from test_keys import Thief, audit

OLD, NEW = wheel(version="1.0"), wheel(version="2.0")
PLAIN = sdist("other")


class Relay(Host):
    """A mirror of a running server. `alter(path, accept, status, body)` returns what it answers instead."""

    def __init__(self, server):
        super().__init__({})
        self.behind, self.alter = server, lambda path, accept, status, body: (status, body)

    def answer(self, path, accept):
        answer = self.behind.get(path, **({"Accept": accept} if accept else {}))
        return self.alter(path, accept, answer.status, answer.body)


@pytest.fixture
def relay(request):
    made = []

    def make(server):
        made.append(Relay(server))
        return made[-1]

    yield make
    [one.close() for one in made]


def replaced(matches, change, accept=""):
    """Alters the bodies of what is there."""

    def alter(path, accepted, status, body):
        if status == 200 and matches(path) and accepted.startswith(accept):
            return 200, change(body)
        return status, body

    return alter


def absent(matches):
    return lambda path, accept, status, body: (404, b"") if matches(path) else (status, body)


def yanked(body):
    page = json.loads(body)
    for file in page["files"]:
        file["yanked"] = True
    return json.dumps(page).encode()


def listing(change):
    def alter(body):
        page = json.loads(body)
        change(page["projects"])
        return json.dumps(page).encode()

    return alter


def flipped(body):
    return body[:-1] + bytes([body[-1] ^ 1])


def at(end):
    return lambda path: path.endswith(end)


# What a mirror does, and what is said of it. Where two meet in one place, they are tried apart.
METADATA = f"{OLD.filename}.metadata"
TAMPERED = {
    (1, "a page as JSON"): (replaced(at("/simple/demo/"), yanked, JSON), "simple/demo/ as JSON: is not the page that is signed"),
    (2, "a page as HTML"): (
        replaced(at("/simple/demo/"), lambda body: body.replace(b"<a ", b'<a data-yanked="" '), "text/html"),
        "simple/demo/ as HTML: is not the page that is signed",
    ),
    (1, "a page that is hidden"): (absent(at("/simple/other/")), "simple/other/ as JSON: is not there"),
    (3, "a link to elsewhere"): (
        replaced(at("/simple/demo/"), lambda body: body.replace(b"../../files", b"https://evil.invalid/files"), "text/html"),
        "simple/demo/ as HTML: is not the page that is signed",
    ),
    (1, "a file under its plain name"): (
        lambda path, accept, status, body: (status, b"evil" if path.startswith("/files/") and path.endswith(".whl") else body),
        f"/{OLD.filename}: is not the file that is signed",
    ),
    (2, "a file that goes on"): (
        replaced(lambda path: path.startswith("/files/") and path.endswith(OLD.filename), lambda body: body + b"x"),
        f"/{OLD.filename}: is not the file that is signed",
    ),
    (1, "metadata"): (replaced(at(METADATA), lambda body: body + b"Requires-Dist: evil\n"), f"{METADATA}: is not the file"),
    (2, "metadata that is withheld"): (absent(at(METADATA)), f"{METADATA}: is not there"),
    (1, "provenance"): (replaced(at("/provenance"), flipped), "/provenance: is not the file that is signed"),
    (2, "provenance that is dropped"): (absent(at("/provenance")), "/provenance: is not there"),
    (1, "provenance of a file without"): (
        lambda path, accept, status, body: (200, b"{}") if path.startswith("/integrity/other/") else (status, body),
        f"{PLAIN.filename}/provenance: is served, and nobody signed for it",
    ),
    (1, "the paths of a project"): (
        replaced(at("/tuf/paths/demo.json"), lambda body: json.dumps({"targets": []}).encode()),
        "tuf/paths/demo.json: does not name the targets of the page",
    ),
    (1, "a project that is not listed"): (
        replaced(at("/simple/"), listing(lambda projects: projects.pop(0)), JSON),
        "simple/: demo is not listed",
    ),
    (2, "a project that nobody signed for"): (
        replaced(at("/simple/"), listing(lambda projects: projects.append({"_last-serial": 1, "name": "evil"})), JSON),
        "simple/: evil is listed, and nobody signed for such a project",
    ),
    (3, "another list for other installers"): (
        replaced(lambda path: path == "/simple/", lambda body: body.replace(b"demo/", b"evil/"), "text/html"),
        "simple/ as HTML: does not list what it lists as JSON",
    ),
    (4, "a list that is none"): (replaced(lambda path: path == "/simple/", lambda body: b"<html>"), "is no list of projects"),
    (1, "a checkpoint"): (replaced(at("/tlog/checkpoint"), flipped), "log: tlog/checkpoint"),
    (2, "a checkpoint that is withheld"): (absent(at("/tlog/checkpoint")), "log: tlog/checkpoint is not there"),
    (1, "a tile of hashes"): (replaced(lambda path: "/tlog/tile/0/" in path, flipped), "log: tile/0/000.p/"),
    (2, "a bundle of entries"): (replaced(lambda path: "/tlog/tile/entries/" in path, flipped), "log: tile/entries/000.p/"),
    (3, "a tile that is withheld"): (absent(lambda path: "/tlog/tile/0/" in path), "is not there"),
}


@pytest.fixture
def attested(make_server, root, tmp_path):  # noqa: F811
    server = started(lambda **settings: make_server(**settings).start(), root, tuf_bins=8)
    server.publish(OLD, attestations=attestations(tmp_path, OLD))
    server.publish(NEW, PLAIN)
    return server


def test_each_kind_of_tampering_is_named(attested, relay):
    server, mirror = attested, relay(attested)
    assert audit(server, "--mirror", mirror.url).endswith("6 files at the mirror, 0 wrong\n")
    wanted = ["/simple/", "/simple/demo/", "/tuf/paths/other.json", "/tlog/checkpoint", place(OLD)]
    assert set(wanted) <= set(mirror.asked)
    for group in sorted({group for group, _ in TAMPERED}):
        tried = {what: told for (one, what), told in TAMPERED.items() if one == group}

        def alter(path, accept, status, body, tried=tried):
            for one, _ in tried.values():
                status, body = one(path, accept, status, body)
            return status, body

        mirror.alter = alter
        found = audit(server, "--mirror", mirror.url)
        for what, (_, says) in tried.items():
            assert says in found, (what, found)
        assert int(found.rsplit(", ", 1)[1].split()[0]) >= len(tried), found


def test_a_mirror_that_is_behind_or_answers_one_form_is_not_accused(attested, relay):
    """Roles of an hour ago with pages of now, as caches have it; one form for everybody, as static hosts have it."""
    server, mirror = attested, relay(attested)
    older = {path: data for path, data in Thief(server).files.items() if path.endswith("/timestamp.json")}
    mirror.alter = lambda path, accept, status, body: (200, older[path]) if path in older else (status, body)
    server.publish(wheel(version="3.0"), wheel("later"))
    assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n")
    for form in [JSON, "text/html"]:
        def alter(path, accept, status, body, form=form):
            return (status, server.get(path, Accept=form).body) if path.startswith("/simple/") else (status, body)

        mirror.alter = alter
        assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n"), form


def test_quarantine_and_withdrawal_at_a_mirror(attested, relay):
    server, mirror = attested, relay(attested)
    assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n")
    kept = server.get("/simple/other/", Accept=JSON).body, server.get("/simple/", Accept=JSON).body
    server.cli("project", "status", "other", "quarantined")
    assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n")
    # It shows on what was taken away: the page, and the name on the list.
    was = dict(zip(["/simple/other/", "/simple/"], kept))
    mirror.alter = lambda path, accept, status, body: (status, was.get(path, body))
    found = audit(server, "--mirror", mirror.url)
    assert "simple/other/ as JSON: is not the page that is signed" in found
    assert "other is listed, and its signed page says that it is in quarantine" in found


def test_a_log_of_many_entries_is_walked_whole(make_server, relay):
    """More than a bundle of them, tiles of both levels; one of the middle is another one."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    for _ in range(140):
        server.verb("projects/demo/yank", {"version": "1.0", "reason": "x"})
        server.verb("projects/demo/unyank", {"version": "1.0"})
    mirror = relay(server)
    size = server.get("/tuf/timestamp.json").json()["signed"]["x-log"]["size"]
    assert size > 256
    assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n")
    assert {"/tlog/tile/entries/000", "/tlog/tile/0/000", "/tlog/tile/1/000.p/1"} <= set(mirror.asked)
    for path in ["/tlog/tile/entries/000", "/tlog/tile/0/000", "/tlog/tile/1/000.p/1"]:
        mirror.alter = replaced(lambda asked, path=path: asked == path, flipped)
        assert f"log: {path[6:]} is not what the ledger's entries make" in audit(server, "--mirror", mirror.url)
    # A partial one that was cleared away begins the full one: clients know that, and so does this.
    full = server.get("/tlog/tile/0/000").body
    gone = f"/tlog/tile/0/001.p/{size - 256}"
    mirror.alter = lambda path, accept, status, body: (
        (404, b"") if path == gone else (200, server.get(gone).body + full) if path == "/tlog/tile/0/001" else (status, body)
    )
    assert audit(server, "--mirror", mirror.url).endswith(", 0 wrong\n")


def test_a_tree_of_the_thiefs_is_told_even_under_an_older_version(make_server, relay):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    thief = Thief(server)
    forged = thief.role("/tuf/timestamp.json")
    forged["x-log"]["root"] = "0" * 64
    server.publish(NEW)
    thief.put("/tuf/timestamp.json", forged)
    mirror = relay(server)
    mirror.alter = lambda path, accept, status, body: (
        (200, thief.files[path]) if path == "/tuf/timestamp.json" else (status, body)
    )
    assert "log: the timestamp names another tree of" in audit(server, "--mirror", mirror.url)


@pytest.mark.parametrize("path", ["/simple/", "/tuf/paths/demo.json", "/simple/demo/"])
def test_a_mirror_that_answers_without_end_costs_little(make_server, relay, tmp_path, path):
    """A few hundred kB that unpack to a list of millions: no more is read, nor told, than an honest mirror could say."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD, PLAIN)
    item = {"/simple/": b'{"name":"a"},'}.get(path, b'"a",')
    start, end = {"/simple/": (b'{"projects":[', b'{"name":"a"}]}')}.get(path, (b'{"targets":[', b'"a"]}'))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(start), *(packer.compress(item * 100_000) for _ in range(150)), packer.compress(end)]
    bomb = b"".join(pieces) + packer.flush()
    mirror = relay(server)
    send = unpacks_to_more(bomb)
    mirror.alter = lambda asked, accept, status, body: (status, send if asked == path else body)
    begun = time.monotonic()
    command = [binary(), "tuf", "audit", "--mirror", mirror.url, "--data", server.data]
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen([str(part) for part in command], env=server.env(), stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text()
    assert process.returncode == 1 and f"mirror: {path[1:]}" in text and text.endswith("wrong\n"), text[:1_000]
    assert len(text) < 10_000 and time.monotonic() - begun < 30, text[:1_000]
    assert used.ru_maxrss < 400_000, f"{used.ru_maxrss} kB"

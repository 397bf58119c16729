"""Pages that another version of the program made, or that name another address, are published again in steps: whatever
ends it half-way, every moment between is sound, and the next start goes on."""

import sqlite3
from contextlib import closing

import pytest

from harness import authority, wait_until
from packages import wheel
from test_attestations import GITHUB, attestations
from test_durability import assert_sound, attempt
from test_kills import Reader

# Two sets of changes.
PROJECTS = [f"project-{number:02}" for number in range(70)]


def ledger(server, sql, *values):
    """On the ledger of a server that does not run."""
    with closing(sqlite3.connect(server.data / "index.db")) as connection, connection:
        return connection.execute(sql, values).fetchall()


def of_another_version(server):
    """As if another version had made every page. These bytes are what this version makes of them, but for the serial."""
    ledger(server, "UPDATE projects SET render_version = 0")
    ledger(server, "UPDATE indexes SET render_version = 0")


def log_size(server):
    return int(server.get("/tlog/checkpoint").text.splitlines()[1])


@pytest.fixture
def filled(make_server):
    server = make_server(tuf_bins=8).start()
    for project in PROJECTS:
        assert server.upload(wheel(project, "1.0")).status == 200
    wait_until(lambda: server.page(PROJECTS[-1]), what="the last page")
    return server


def behind(server):
    text = server.get("/metrics").text
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("tidewaiter_pages_behind{"))


def killed_between(server):
    """Killed in the second set, before its commit."""
    server.spawn(failpoint="publish.signed:2").wait_killed()
    (left,) = ledger(server, "SELECT COUNT(*) FROM projects WHERE render_version = 0")
    assert left == (len(PROJECTS) - 64,)


def test_another_version_though_killed(filled, tmp_path):
    server = filled
    serials = lambda: {name: server.page(name)["meta"]["_last-serial"] for name in PROJECTS}
    size, before = log_size(server), serials()
    server.stop()
    of_another_version(server)
    killed_between(server)
    server.start()
    wait_until(lambda: min(serials().values()) > max(before.values()), what="the rest to be rendered")
    assert len(set(serials().values())) == 2 and behind(server) == 0
    assert log_size(server) == size, "nothing happened that the log must say"
    (tmp_path / "reader").mkdir()
    reader = Reader(server.data / "blobs" / "main" / "site", tmp_path / "reader" / "one")
    assert reader.read(PROJECTS) == len(PROJECTS)
    assert "pages:" not in server.cli("doctor", ok=False).stdout
    # People's changes are not held up, and what follows is as always.
    server.publish(wheel(PROJECTS[0], "2.0"))
    assert_sound(server)


def test_a_rebuild_in_the_middle_finishes_it(filled):
    server = filled
    server.stop()
    of_another_version(server)
    killed_between(server)
    assert f"{len(PROJECTS) - 64} projects of 'main'" in server.cli("doctor", ok=False).stdout
    rebuilt = server.cli("rebuild")
    assert "rendered by this version first" in rebuilt.stderr
    assert rebuilt.stdout.rstrip().endswith(" 0 written, 0 removed, 0 moved"), rebuilt.stdout
    assert ledger(server, "SELECT COUNT(*) FROM projects WHERE render_version = 0") == [(0,)]
    server.start()
    assert_sound(server)


def test_what_another_version_committed_and_did_not_write(make_server, tmp_path):
    server = make_server(tuf_bins=8).start()
    server.publish(wheel("demo", "1.0"))
    server.stop()
    server.start(failpoint="publish.committed")
    attempt(lambda: server.upload(wheel("demo", "2.0")))
    server.wait_killed()
    of_another_version(server)
    # Only that version could make these pages: this one publishes them anew, before anybody is answered.
    server.start()
    assert len(server.filenames("demo")) == 2
    reader = Reader(server.data / "blobs" / "main" / "site", tmp_path / "reader")
    assert reader.read(["demo"]) == 2
    assert_sound(server)


def test_another_address_though_killed(make_server, tmp_path):
    root = tmp_path / "trusted_root.json"
    root.write_text(authority("root", "1"))
    server = make_server(attestations_trusted_root=root, server_public_url="https://one.example.org", tuf_bins=8).start()
    for name in ("first", "second", "plain"):
        server.publish(wheel(name, "0.1"))
    for name in ("first", "second"):
        server.cli("project", "publisher", name, "add", *GITHUB)
        package = wheel(name, "1.0")
        server.publish(package, attestations=attestations(tmp_path, package))
    plain = server.get("/simple/plain/", Accept="application/vnd.pypi.simple.v1+json").body
    server.stop()
    server.settings["TIDEWAITER_SERVER_PUBLIC_URL"] = "https://two.example.org"
    server.spawn(failpoint="publish.signed").wait_killed()
    assert "2 projects of 'main' name another address" in server.cli("doctor", ok=False).stdout
    server.start()
    named = lambda name: [file["provenance"] for file in server.page(name)["files"] if file["provenance"]]
    for name in ("first", "second"):
        new = lambda: len(named(name)) == 1 and named(name)[0].startswith("https://two.example.org/")
        wait_until(new, what=f"the page of {name} to name the new address")
    assert behind(server) == 0
    after = server.get("/simple/plain/", Accept="application/vnd.pypi.simple.v1+json").body
    assert after == plain, "a page that names no address stays as it is"
    assert_sound(server)

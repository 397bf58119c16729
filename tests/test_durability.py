"""What a 200 means, with the server killed at every step of every change."""

import http.client
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import wait_until
from packages import sdist, wheel

SOURCE = Path(__file__).parent.parent / "crates" / "index" / "src" / "failpoint.rs"
PLACES = re.findall(r'^    "([a-z.-]+)",$', SOURCE.read_text(), re.MULTILINE)
# No upload passes through a founding or a rotation: tests/test_tuf.py, tests/test_log.py.
FAILPOINTS = [name for name in PLACES if not name.startswith(("found.", "adopt.", "log."))]

# A start writes the site twice (recovery, then the publisher's own lease): a change's own passes come after those.
# The list is written at a start only where it is not current, which is where there is none yet.
PASS = {
    "publish.moved": 3,
    "publish.write-once": 3,
    "publish.log": 3,
    "publish.roles": 3,
    "publish.pages": 3,
    "publish.timestamp": 3,
    "publish.head": 3,
    "publish.withdrawn": 3,
    "publish.checkpointed": 2,
}
# Nothing of an upload; a yank moves no bytes.
IN_REMOVAL = [name for name in FAILPOINTS if name.startswith(("publish.", "list."))]
IN_YANK = [name for name in IN_REMOVAL if name != "publish.linked"]
BROKEN_OFF = (http.client.HTTPException, OSError)

OLD = wheel(version="1.0")
NEW = wheel(version="2.0", requires_python=">=3.8")


def start_armed(server, failpoint, fresh=False):
    # The start of a new index writes its empty list, and leaves the first sync of everything to the publisher.
    nth = {"list.written": 2, "publish.checkpointed": 1}.get(failpoint) if fresh else None
    nth = nth or PASS.get(failpoint, 1)
    server.start(failpoint=f"{failpoint}:{nth}")
    if failpoint != "publish.checkpointed":
        assert server.running(), f"{failpoint} was reached before the change"


def attempt(action):
    """The status, or None when the server died first."""
    try:
        return action().status
    except BROKEN_OFF:
        return None


def assert_sound(server):
    """Nothing is wrong, nothing is left over, and a rebuild has nothing to do."""
    scrubbed = server.cli("scrub", ok=False)
    assert scrubbed.returncode == 0, scrubbed.stdout
    server.stop()
    assert [p.name for p in (server.data / "blobs").rglob("tmp-*")] == []
    assert server.in_vault("incoming") == []
    rebuilt = server.cli("rebuild").stdout
    for line in rebuilt.splitlines():
        assert line.endswith(" 0 written, 0 removed, 0 moved"), rebuilt
    assert server.cli("scrub", ok=False).returncode == 0


def crash_upload(make_server, failpoint, existing, **settings):
    server = make_server(**settings)
    if existing:
        server.start().publish(OLD)
        server.stop()
    start_armed(server, failpoint, fresh=not existing)
    status = attempt(lambda: server.upload(NEW))
    server.wait_killed()
    assert status in (None, 200)

    server.start()
    if existing:
        assert server.fetch("demo", OLD.filename) == OLD.data
    if status == 200:
        assert server.fetch("demo", NEW.filename) == NEW.data, "an answered upload was lost"
    elif failpoint in ("upload.received", "upload.stored"):
        # Before commit 1: wholly absent, and nothing of its name is taken.
        assert NEW.filename not in server.filenames("demo")
        if not existing:
            assert server.page("demo") is None
    else:
        # Committed: it appears without anybody's doing.
        wait_until(lambda: NEW.filename in server.filenames("demo"), what="the staged file")
        assert server.fetch("demo", NEW.filename) == NEW.data
    again = server.upload(NEW)
    assert again.status == 200, again.text
    assert server.fetch("demo", NEW.filename) == NEW.data
    assert_sound(server)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_first_upload_killed(make_server, failpoint):
    crash_upload(make_server, failpoint, existing=False)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_upload_into_existing_project_killed(make_server, failpoint):
    crash_upload(make_server, failpoint, existing=True)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_upload_killed_on_postgresql(make_server, cluster, failpoint):
    crash_upload(make_server, failpoint, existing=True, ledger_url=cluster.new_database())


def crash_removal(make_server, failpoint, **settings):
    server = make_server(**settings).start()
    server.publish(OLD, NEW)
    url = next(file["url"] for file in server.page("demo")["files"] if file["filename"] == OLD.filename)
    url = url.removeprefix("../..")
    server.stop()
    start_armed(server, failpoint)
    status = attempt(lambda: server.verb("projects/demo/remove", {"file": OLD.filename}))
    server.wait_killed()
    assert status in (None, 200)

    server.start()
    # The verb commits before anything is published, so it holds whether or not its answer came.
    wait_until(lambda: server.filenames("demo") == [NEW.filename], what="the removal")
    wait_until(lambda: server.get(url).status == 404, what="the bytes to go")
    assert server.get(f"{url}.metadata").status == 404
    assert server.fetch("demo", NEW.filename) == NEW.data
    assert server.verb("projects/demo/remove", {"file": OLD.filename}).status == 409
    refused = server.upload(OLD)
    assert (refused.status, "previously used" in refused.text) == (400, True)
    assert_sound(server)


@pytest.mark.parametrize("failpoint", IN_REMOVAL)
def test_removal_killed(make_server, failpoint):
    crash_removal(make_server, failpoint)


@pytest.mark.parametrize("failpoint", ["publish.committed", "publish.head", "publish.linked"])
def test_removal_killed_on_postgresql(make_server, cluster, failpoint):
    crash_removal(make_server, failpoint, ledger_url=cluster.new_database())


@pytest.mark.parametrize("failpoint", IN_YANK)
def test_yank_killed(make_server, failpoint):
    server = make_server().start()
    server.publish(OLD, NEW)
    server.stop()
    start_armed(server, failpoint)
    status = attempt(lambda: server.verb("projects/demo/yank", {"version": "1.0", "reason": "broken"}))
    server.wait_killed()
    assert status in (None, 200)

    server.start()
    yanked = lambda: {file["filename"]: file["yanked"] for file in server.page("demo")["files"]}
    wait_until(lambda: yanked() == {OLD.filename: "broken", NEW.filename: False}, what="the yank")
    assert server.verb("projects/demo/yank", {"version": "1.0", "reason": "broken"}).status == 200
    assert server.fetch("demo", OLD.filename) == OLD.data
    assert_sound(server)


@pytest.mark.parametrize("engine,rounds", [("sqlite", 20), ("postgresql", 6)])
def test_random_kills_under_load(make_server, request, engine, rounds):
    """Kills while 30 uploads are under way; what was answered stays, the rest can be sent again."""
    chance = random.Random(8418)
    url = {} if engine == "sqlite" else {"ledger_url": request.getfixturevalue("cluster").new_database()}
    server = make_server(**url)
    answered, open_ = [], []
    for round_ in range(rounds):
        packages = [wheel(f"load-{n % 6}", f"1.{round_}.{n}") for n in range(29)] + [sdist("load-s", f"1.{round_}")]
        server.start()
        with ThreadPoolExecutor(30) as pool:
            sent = [(package, pool.submit(attempt, lambda p=package: server.upload(p))) for package in packages]
            # In the middle of the work, however fast this machine is: after so many answers.
            enough = chance.randrange(0, 26)
            wait_until(lambda: sum(outcome.done() for _, outcome in sent) >= enough, what="answers")
            server.kill()
        for package, outcome in sent:
            assert outcome.result() in (None, 200)
            (answered if outcome.result() == 200 else open_).append(package)
    assert answered and open_, "the kills came too early or too late to show anything"

    server.start()
    project = lambda package: package.fields[1][1]
    pages = {}

    def sha256s(name):
        page = server.page(name) or {"files": []}
        return {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}

    for package in answered:
        name = project(package)
        pages[name] = pages.get(name) or sha256s(name)
        assert pages[name].get(package.filename) == package.sha256, f"{package.filename}: answered 200 and lost"
    with ThreadPoolExecutor(8) as pool:
        for package, again in zip(open_, pool.map(server.upload, open_)):
            assert again.status == 200, f"{package.filename}: {again.text}"
    for name in {project(package) for package in answered + open_}:
        wanted = {p.filename: p.sha256 for p in answered + open_ if project(p) == name}
        assert sha256s(name) == wanted
    assert_sound(server)

"""The transparency log: what is done to the index, in a tree that never forks; and those who look at it."""

import json
import shutil
import sqlite3

import pytest

import merkle
from harness import binary, run, wait_until
from packages import sdist, wheel
from signed_index import Key
from test_client import HELD_BACK, World, altering, release
from test_durability import FAILPOINTS, assert_sound, attempt, start_armed

OLD = wheel(version="1.0")
NEW = wheel(version="2.0")


@pytest.fixture
def world(tmp_path, clients):
    """An index with a log: demo 1.0 and 2.0 are in it."""
    world = World(tmp_path, clients)
    for package in (world.old, world.new):
        world.index.logs("publish", package)
    world.index.commit()
    yield world
    world.close()


# The server's side.


def bound(server):
    return server.get("/tuf/timestamp.json").json()["signed"]["x-log"]


def entries_of(server):
    """Every entry, by our own arithmetic part of the tree that log and timestamp sign."""
    line = bound(server)
    size = line["size"]
    entries = []
    for at in range(0, size, 256):
        width = min(256, size - at)
        entries += merkle.unbundle(server.get("/tlog/" + merkle.tile_path("entries", at // 256, width)).body)
    assert merkle.root([merkle.leaf(entry) for entry in entries]).hex() == line["root"]
    checkpoint = merkle.open_checkpoint(server.get("/tlog/checkpoint").body, line["key"])
    assert checkpoint == (line["origin"], size, bytes.fromhex(line["root"]))
    for path, data in merkle.tiles(entries).items():
        assert server.get(f"/tlog/{path}").body == data, path
    return [dict(text.split(" ", 1) for text in entry.decode().splitlines()[1:]) for entry in entries]


def acts(server):
    return [(entry["act"], entry.get("file", entry.get("status", entry.get("role")))) for entry in entries_of(server)]


def test_what_is_done_is_in_the_log(make_server):
    server = make_server(tuf_bins=16).start()
    assert bound(server)["size"] == 0 and acts(server) == []
    token = server.user("mary")
    server.publish(OLD, NEW, token=token)
    server.verb("projects/demo/yank", {"version": "1.0", "reason": "broken"}, token=token)
    server.cli("project", "role", "demo", "add", "admin", "maintainer")
    server.cli("project", "status", "demo", "deprecated")
    server.verb("projects/demo/remove", {"file": OLD.filename}, token=token)
    wait_until(lambda: bound(server)["size"] == 7, what="the last entry")
    assert acts(server) == [
        ("owner", "owner"),
        ("publish", OLD.filename),
        ("publish", NEW.filename),
        ("yank", OLD.filename),
        ("owner", "maintainer"),
        ("status", "deprecated"),
        ("remove", OLD.filename),
    ]
    whole = entries_of(server)
    assert len({entry["account"] for entry in whole if entry["account"] != "none"}) == 1
    assert not any(word in str(whole) for word in ("mary", "admin", "example.org", "broken"))
    page = server.get("/simple/demo/", Accept="application/vnd.pypi.simple.v1+json").body
    assert whole[-1]["page"] == merkle.hashlib.sha256(page).hexdigest()
    # Two indexes of one installation share nothing.
    server.cli("index", "create", "team")
    wait_until(lambda: server.get("/i/team/tuf/timestamp.json").status == 200, what="the other log")
    other = server.get("/i/team/tuf/timestamp.json").json()["signed"]["x-log"]
    assert other["size"] == 0 and other["origin"] != bound(server)["origin"]
    assert_sound(server)


def test_the_mapping_is_shown_to_its_owner_and_can_be_erased(make_server):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD, token=server.user("mary"))
    (said,) = {entry["account"] for entry in entries_of(server)}
    shown = server.cli("log", "show", "demo", "mary").stdout.splitlines()
    account, salt, identity = [line.split(" ", 1)[1] for line in shown]
    commitment = merkle.hashlib.sha256(bytes.fromhex(salt) + identity.encode()).hexdigest()
    assert identity == "mary"
    assert account == said and account.endswith(commitment)
    server.cli("log", "erase", "demo", "mary")
    for command in ("show", "erase"):
        gone = server.cli("log", command, "demo", "mary", ok=False)
        assert gone.returncode == 1 and "mary" in gone.stderr
    server.stop()
    with sqlite3.connect(server.data / "index.db") as ledger:
        dump = "\n".join(ledger.iterdump())
    assert salt not in dump, "nothing else in the ledger keeps it"


def test_who_publishes_from_outside_is_in_the_log(make_server, tmp_path):
    """Binding, changing and dropping a publisher: entries by whom it was done, and no word of who it is."""
    server = make_server(tuf_bins=4).start()
    root = root_of(server, tmp_path)
    token = server.user("mary")
    server.publish(OLD, token=token)
    assert monitor(root, server).returncode == 1
    one, two = (
        {"kind": "GitHub", "repository": f"acme/{name}", "workflow": "release.yml", "environment": None}
        for name in ("one", "two")
    )
    for publisher, bound_now in ((one, True), (two, True), (one, False)):
        body = {"publisher": publisher, "bound": bound_now}
        assert server.verb("projects/demo/publishers", body, token=token).status == 200
    told = monitor(root, server, "--format", "json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.returncode == 1 and [event["change"] for event in events] == ["add", "add", "remove"], told
    assert {event["act"] for event in events} == {"publisher"}
    assert events[0]["whom"] == events[2]["whom"] != events[1]["whom"]
    by = {event["by"]["id"] for event in events}
    assert by == {entries_of(server)[0]["account"].split(" ")[0]}, "mary's acts"
    server.cli("project", "publisher", "demo", "remove", "--github", "acme/two", "--workflow", "release.yml")
    told = monitor(root, server)
    assert told.returncode == 1 and f"\tdemo\tremove publisher {events[1]['whom']['id']}\tby the index" in told.stdout
    whole = entries_of(server)
    assert "acme" not in str(whole) and "release.yml" not in str(whole)
    show = ("demo", "--github", "acme/two", "--workflow", "release.yml")
    account, salt, identity = [
        line.split(" ", 1)[1] for line in server.cli("log", "show", *show).stdout.splitlines()
    ]
    assert account == whole[-1]["whom"] and json.loads(identity) == two
    assert account.endswith(merkle.hashlib.sha256(bytes.fromhex(salt) + identity.encode()).hexdigest())
    server.cli("log", "erase", *show)
    assert server.cli("log", "show", *show, ok=False).returncode == 1
    assert_sound(server)


def test_headers_and_names(make_server):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    checkpoint = server.get("/tlog/checkpoint")
    assert checkpoint.headers["cache-control"] == "no-cache"
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert server.get("/tlog/checkpoint", If_None_Match=checkpoint.headers["etag"]).status == 304
    tile = server.get("/tlog/tile/0/000.p/2")
    assert "immutable" in tile.headers["cache-control"]
    assert (tile.headers["content-type"], len(tile.body)) == ("application/octet-stream", 64)
    for path in ["0/000", "0/000.p/3", "0/000.p/02", "0/0", "9/000", "data/000", "0/..%2F..%2Fcheckpoint", "entries/x000/000", ""]:
        assert server.get(f"/tlog/tile/{path}").status == 404, path


def test_full_tiles(make_server):
    """Past 256 entries: partial tiles go once they are superseded, and a rebuild makes everything again."""
    server = make_server(tuf_bins=4, tuf_superseded="0s").start()
    server.publish(*[wheel(f"many-{n}", "1.0") for n in range(4)])
    for n in range(34):
        server.cli("project", "status", "many-0", "archived" if n % 2 == 0 else "deprecated")
        for m in range(1, 4):
            server.cli("project", "yank" if n % 2 == 0 else "unyank", f"many-{m}", "1.0")
        if n % 8 == 7:
            server.cli("project", "status", "many-1", "deprecated" if n % 16 == 7 else "active")
    ledger = lambda: sqlite3.connect(server.data / "index.db").execute("SELECT COUNT(*) FROM log_entries").fetchone()[0]
    more = 0
    while ledger() < 260:
        more += 1
        server.cli("project", "yank" if more % 2 else "unyank", "many-2", "1.0")
        wait_until(lambda: bound(server)["size"] == ledger(), what="the publication")
    assert len(entries_of(server)) == ledger()
    packed = server.get("/tlog/tile/entries/000", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < 30_000
    assert_sound(server)
    log = server.data / "blobs" / "main" / "site" / "tlog"
    before = {path.relative_to(log): path.read_bytes() for path in log.rglob("*") if path.is_file()}
    (server.data / "keys").rename(server.data / "keys-elsewhere")
    (log / "tile" / "entries" / "000").write_bytes(b"damage")
    assert "entries/000: differs" in server.cli("scrub", ok=False).stdout
    server.cli("rebuild")
    shutil.rmtree(log)
    server.cli("rebuild")
    after = {path.relative_to(log): path.read_bytes() for path in log.rglob("*") if path.is_file()}
    assert all(before[name] == data for name, data in after.items())


# Those who look.


def monitor(world, server, *arguments, state="monitor"):
    base = server.url if hasattr(server, "url") else server
    command = [binary(), "monitor", "--index", base, "--root", world, "--state", world.parent / state, "--patience", "2"]
    return run([*command, "--once", *arguments])


def root_of(server, tmp_path):
    place = tmp_path / "root.json"
    place.write_bytes(server.get("/tuf/1.root.json").body)
    return place


def test_a_monitor_tells_each_event_once(make_server, tmp_path):
    server = make_server(tuf_bins=16).start()
    root = root_of(server, tmp_path)
    assert monitor(root, server).returncode == 0
    server.publish(OLD, sdist("other"))
    told = monitor(root, server, "--format", "json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.returncode == 1 and [event["index"] for event in events] == [0, 1, 2, 3]
    assert {(event["project"], event["act"]) for event in events[:2]} == {("demo", "owner"), ("demo", "publish")}
    assert events[1]["sha256"] == OLD.sha256 and events[1]["by"]["id"] == events[0]["whom"]["id"]
    assert monitor(root, server).returncode == 0
    server.verb("projects/demo/yank", {"version": "1.0"})
    told = monitor(root, server)
    assert told.returncode == 1 and told.stdout.count("\n") == 1 and f"\tdemo\tyank {OLD.filename}" in told.stdout
    # Another set of projects begins at the beginning.
    told = monitor(root, server, "--project", "Other")
    assert told.returncode == 1 and told.stdout.count("\tother\t") == 2 == told.stdout.count("\n")
    assert monitor(root, server, "--project", "other").returncode == 0
    assert monitor(root, server, "--project", "nothing-of-it").returncode == 0
    server.stop()
    told = monitor(root, server)
    assert (told.returncode, told.stdout) == (2, "") and "again later" in told.stderr


@pytest.mark.parametrize("failpoint", [name for name in FAILPOINTS if name.startswith("publish.")])
def test_the_tree_never_forks_when_the_publisher_is_killed(make_server, tmp_path, failpoint):
    server = make_server(tuf_bins=4).start()
    root = root_of(server, tmp_path)
    server.publish(OLD)
    assert monitor(root, server).returncode == 1
    server.stop()
    start_armed(server, failpoint)
    attempt(lambda: server.upload(NEW))
    server.wait_killed()
    server.start()
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="the staged file")
    told = monitor(root, server)
    assert told.returncode == 1 and told.stdout.count("\n") == 1 and NEW.filename in told.stdout, told.stderr
    assert acts(server)[1:] == [("publish", OLD.filename), ("publish", NEW.filename)]
    assert_sound(server)


@pytest.mark.parametrize("failpoint", ["log.batch", "log.signed", "log.founded"])
def test_killed_while_a_log_begins(make_server, tmp_path, failpoint):
    """A ledger whose log was never begun: what is published stands in it, each once, whenever the process dies."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD, NEW, sdist("other"))
    server.stop()
    with sqlite3.connect(server.data / "index.db") as ledger:
        for table in ("logs", "log_entries", "repositories", "offline_roles", "online_roles", "targets", "superseded"):
            ledger.execute(f"DELETE FROM {table}")
    shutil.rmtree(server.data / "blobs" / "main" / "site" / "tlog")
    shutil.rmtree(server.data / "blobs" / "main" / "site" / "tuf")
    server.spawn(failpoint=failpoint)
    server.wait_killed()
    server.start()
    wait_until(lambda: server.get("/tlog/checkpoint").status == 200, what="the log")
    assert sorted(acts(server)) == sorted(
        [("owner", "owner")] * 2 + [("publish", p.filename) for p in (OLD, NEW, sdist("other"))]
    )
    assert monitor(root_of(server, tmp_path), server).returncode == 1
    assert_sound(server)


def test_a_fork_of_the_whole_server_is_seen(make_server, tmp_path, world):
    """Two servers with one past and the same keys: whoever saw the one refuses the other."""
    server = make_server(tuf_bins=4).start()
    root = root_of(server, tmp_path)
    server.publish(OLD)
    server.stop()
    twin = make_server(tuf_bins=4)
    shutil.rmtree(twin.data, ignore_errors=True)
    shutil.copytree(server.data, twin.data)
    server.start().publish(NEW)
    assert monitor(root, server).returncode == 1
    twin.start().publish(wheel(version="3.0"), sdist("other"), wheel("third", "1.0"))
    told = monitor(root, twin)
    assert (told.returncode, told.stdout) == (2, "") and "past has been changed" in told.stderr, told
    (world.folder / "root.json").write_bytes(root.read_bytes())
    world.installs("uv-current", server, "demo", expected={"demo": "2.0"})
    done = world.refuses("uv-current", twin, "demo", says="log: refused: the proof does not join the two trees")
    assert "online key is in wrong hands" in done.stderr
    assert world.installs("uv-current", server, "demo", expected={"demo": "2.0"}).returncode == 0


# The installer's side, against an index that is not ours.


def is_log(path):
    return path.startswith("/tlog/")


def test_nothing_of_the_log_is_fetched_that_is_not_needed(world):
    host = world.host()
    world.installs("uv-current", host, "demo", expected={"demo": "2.0"})
    assert not any(map(is_log, host.asked)), host.asked
    assert len([path for path in host.asked if path.startswith("/tuf/") and "/targets/" not in path]) <= 6
    world.index.logs("publish", world.new, "other").stamp()
    host = world.host()
    world.installs("uv-current", host, "demo", expected={"demo": "2.0"})
    assert list(filter(is_log, host.asked)) == ["/tlog/tile/0/000.p/3"]


def rolled_back(world):
    world.index.log.pop()
    return "it was rolled back"


def forked(world):
    world.index.log[0] = world.index.log[0].replace(b"publish", b"unyank")
    world.index.logs("publish", world.new, "other")
    return "past has been changed"


def vanished(world):
    world.index.log = None
    return "no longer names the log"


def other_key(world):
    world.index.log_key = Key()
    return "another key signs the log"


@pytest.mark.parametrize("attack", [rolled_back, forked, vanished, other_key], ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("tool", ["pip-current", "uv-old"])
def test_another_past_is_refused(world, tool, attack):
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    good = dict(world.index.files)
    says = attack(world)
    world.index.commit()
    for _ in range(2):
        world.refuses(tool, world.host(), "demo", says=says)
    # Whoever did not see the first state cannot know; and who did goes on with the first.
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"}, state="other-state")
    assert good["/tuf/timestamp.json"] != world.index.files["/tuf/timestamp.json"]


def test_after_a_new_online_key_the_thiefs_log_is_left_behind(world):
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    forked(world)
    world.index.online = Key()
    world.index.offline_roles()
    world.index.commit()
    done = world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    assert "the holders of the root have replaced the online key" in done.stderr
    world.index.log.pop()
    world.index.commit()
    world.refuses("uv-current", world.host(), "demo", says="it was rolled back")


@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
def test_a_yank_without_an_entry_is_refused_and_one_with_an_entry_follows_the_option(world, tool):
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    world.index.projects["demo"][-1]["yanked"] = True
    world.index.logs("publish", world.new, "other").commit()
    says = f"1 files are not as they were (such as {world.new.filename}: yanked), and the log says nothing of it"
    for options in ([], ["--on-regression", "refuse"]):
        world.refuses(tool, world.host(), "demo", says=says, options=options)
    # An entry of another project, or of another file, or one that a mirror made up, says nothing.
    world.index.logs("yank", world.new, "other").logs("yank", world.old).commit()
    world.refuses(tool, world.host(), "demo", says=says)
    host = world.host()
    made_up = host.files["/tlog/tile/entries/000.p/5"]
    for old, new in [(world.old.filename, world.new.filename), (world.old.sha256, world.new.sha256)]:
        made_up = made_up.replace(old.encode(), new.encode())
    host.files["/tlog/tile/entries/000.p/5"] = made_up
    world.refuses(tool, host, "demo", says="the log does not hold this entry there")
    # The entry.
    world.index.logs("yank", world.new).commit()
    newest = "its newest release was 2.0 and is now 1.0"
    world.refuses(tool, world.host(), "demo", says=newest, options=["--on-regression", "refuse"])
    done = world.installs(tool, world.host(), "demo", expected={"demo": "1.0"})
    assert newest in done.stderr


@pytest.mark.parametrize("way", ["vanished", "mass yank"])
def test_a_mass_that_goes_without_entries_is_refused_by_default(world, way):
    world.index.projects["demo"].clear()
    packages = [release(world.index, wheel("demo", f"1.{n}")) for n in range(6)]
    for package in packages:
        world.index.logs("publish", package)
    world.index.commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "1.5"})
    if way == "vanished":
        del world.index.projects["demo"][1:]
    else:
        for entry in world.index.projects["demo"][1:]:
            entry["yanked"] = True
    world.index.commit()
    word = "gone" if way == "vanished" else "yanked"
    says = f"5 files are not as they were (such as {packages[1].filename}: {word})"
    world.refuses("uv-current", world.host(), "demo", says=says)
    for package in packages[1:]:
        world.index.logs("remove" if way == "vanished" else "yank", package)
    world.index.commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "1.0"})


def for_other_pythons(world):
    world.index.projects["demo"][-1]["requires-python"] = ">=99"
    return "described otherwise"


def decoy(world, version="2.0"):
    """The real file yanked, and one of the same version that no machine takes."""
    real = world.index.projects["demo"][-1]
    real["yanked"] = True
    name = f"demo-{version}-cp27-none-win32.whl"
    world.index.projects["demo"].append({**real, "yanked": False, "filename": name})
    return "yanked"


def newer_decoy(world):
    return decoy(world, "2.1")


@pytest.mark.parametrize("hide", [for_other_pythons, decoy, newer_decoy], ids=lambda hide: hide.__name__)
@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
def test_a_release_that_is_hidden_without_a_yank_of_all_of_it(world, tool, hide):
    """A thief of the online key leaves something of the version on the page, which this machine cannot install."""
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    word = hide(world)
    world.index.commit()
    says = f"(such as {world.new.filename}: {word}), and the log says nothing of it"
    for options in ([], ["--on-regression", "refuse"]):
        world.refuses(tool, world.host(), "demo", says=says, options=options)
    # An entry that was true once and is no more.
    world.index.logs("yank", world.new).logs("unyank", world.new).commit()
    world.refuses(tool, world.host(), "demo", says=says)
    # The log holds it: then it is its maintainers' affair, and the option's.
    world.index.logs("publish", world.new)
    if word == "yanked":
        world.index.logs("yank", world.new)
    world.index.commit()
    lost = f"of 2.0, its newest release before, 1 files are yanked, gone or described otherwise (such as {world.new.filename})"
    world.refuses(tool, world.host(), "demo", says=lost, options=["--on-regression", "refuse"])
    done = world.installs(tool, world.host(), "demo", expected={"demo": "1.0"})
    assert lost in done.stderr
    done = world.installs(tool, world.host(), "demo", expected={"demo": "1.0"}, options=["--on-regression", "refuse"])
    assert "tidewaiter:" not in done.stderr


def test_a_yank_that_is_taken_back_stands_in_the_log_too(world):
    """Who unyanks a bad release offers it to everybody."""
    world.index.projects["demo"][-1]["yanked"] = True
    world.index.logs("yank", world.new).commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "1.0"})
    world.index.projects["demo"][-1]["yanked"] = False
    world.index.commit()
    says = f"(such as {world.new.filename}: offered again), and the log says nothing of it"
    world.refuses("uv-current", world.host(), "demo", says=says)
    world.index.logs("unyank", world.new).commit()
    done = world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    assert "tidewaiter:" not in done.stderr


def other_bytes(world):
    evil = wheel("demo", "2.0", summary="evil")
    world.index.projects["demo"].pop()
    release(world.index, evil)
    return evil


def other_metadata(world):
    evil = world.index.projects["demo"][-1]
    evil["core-metadata"] = {"sha256": "0" * 64}
    return world.new


def other_bytes_after_a_while(world):
    """The real one is removed, as the log says; that its name was taken is not forgotten."""
    real = world.index.projects["demo"].pop()
    world.index.logs("remove", world.new).commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "1.0"})
    world.index.projects["demo"].append(real)
    return other_bytes(world)


@pytest.mark.parametrize("swap", [other_bytes, other_metadata, other_bytes_after_a_while], ids=lambda swap: swap.__name__)
def test_a_name_is_one_files_for_ever(world, swap):
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    evil = swap(world)
    world.index.logs("publish", evil).commit()
    says = f"refused: {world.new.filename} has other bytes or other metadata than it had before"
    for options in ([], ["--on-regression", "refuse"]):
        world.refuses("uv-current", world.host(), "demo", says=says, options=options)
    # A theft that is over: what was seen may have been the thief's, so whoever was misled goes on.
    world.index.online = Key()
    world.index.offline_roles()
    if swap is other_metadata:
        world.index.projects["demo"][-1]["core-metadata"] = False
    world.index.commit()
    done = world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    assert ("so the page is taken as it is now" in done.stderr) == (swap is not other_metadata), done.stderr
    assert "tidewaiter:" not in world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"}).stderr


def test_however_many_files_a_page_has_they_are_remembered(world):
    """More of them must not drive out the memory of those that count."""
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    real = list(world.index.projects["demo"])
    for n in range(9_000):
        world.index.projects["demo"].append({**real[0], "filename": f"demo-0.{n}+{'b' * 40}-py3-none-any.whl"})
    world.index.commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    assert next(world.folder.rglob("pages/demo.json")).stat().st_size > 1 << 20
    del world.index.projects["demo"][2:]
    real[1]["yanked"] = True
    world.index.commit()
    world.refuses("uv-current", world.host(), "demo", says="9001 files are not as they were")


def test_the_keys_are_remembered_though_the_log_stands_still(world):
    """Else a log that another key shows later would be taken for one after a recovery."""
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    world.index.online = Key()
    world.index.offline_roles()
    world.index.commit()
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    says = forked(world)
    world.index.commit()
    world.refuses("uv-current", world.host(), "demo", says=says)


def test_a_log_that_was_cleared_of_partial_tiles_and_one_that_is_damaged(world):
    world.installs("uv-current", world.host(), "demo", expected={"demo": "2.0"})
    for n in range(300):
        world.index.logs("publish", world.new, f"other-{n}")
    world.index.projects["demo"][-1]["yanked"] = True
    world.index.logs("yank", world.new).commit()
    host = world.host()
    assert "/tlog/tile/1/000.p/1" in host.files
    world.installs("uv-current", host, "demo", expected={"demo": "1.0"})
    for n in range(600):
        world.index.logs("publish", world.new, f"other-{n}")
    world.index.commit()
    altering(host := world.host(), is_log, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    world.refuses("uv-current", host, "demo", says="the log's past has been changed")
    altering(host := world.host(), is_log, lambda data: None)
    world.refuses("uv-current", host, "demo", says=HELD_BACK)
    seen = next((world.folder / "state").rglob("seen.json"))
    seen.write_bytes(b"damage")
    done = world.installs("uv-current", world.host(), "demo", expected={"demo": "1.0"})
    assert "what was remembered of it is damaged" in done.stderr


def test_a_monitor_tells_nothing_that_does_not_verify(world):
    for n in range(40_000):
        world.index.logs("publish", world.new, f"other-{n % 900}")
    world.index.commit()
    told = monitor(world.root, world.host(), "--project", "demo")
    assert (told.returncode, told.stdout.count("\n")) == (1, 2), told.stderr
    world.index.logs("publish", world.new, "another").commit()
    host = world.host()
    path = "/tlog/" + merkle.tile_path("entries", 40_002 // 256, 40_003 % 256)
    host.files[path] = host.files[path].replace(b"project another", b"project demo\nxxxxxx")
    told = monitor(world.root, host, "--project", "demo")
    assert (told.returncode, told.stdout) == (2, ""), told.stderr
    assert monitor(world.root, world.host(), "--project", "demo").returncode == 0

"""The signed repository as a stock client sees it: python-tuf's ngclient against the running server."""

import gzip
import json
import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater, UpdaterConfig

from harness import JSON, binary, run, second_client, third_client, wait_until
from packages import sdist, wheel
from test_durability import FAILPOINTS, assert_sound, attempt, start_armed

OLD = wheel(version="1.0")
NEW = wheel(version="2.0", requires_python=">=3.8")


def shard(project):
    return sha256(project.encode()).hexdigest()[:2]


def page_path(project):
    return f"simple/{shard(project)}/{project}/index.json"


def file_path(project, filename):
    return f"p/{shard(project)}/{project}/{filename}"


class Client:
    """A client with a folder of its own; every refresh is a new session, as of an installer that starts anew."""

    def __init__(self, server, folder, root=None, index=None):
        self.server, self.folder = server, folder
        self.prefix = f"/i/{index}" if index else ""
        (folder / "metadata").mkdir(parents=True)
        (folder / "targets").mkdir()
        self.root = root or server.get(f"{self.prefix}/tuf/1.root.json").body
        self.session = None

    def refresh(self):
        base = f"{self.server.url}{self.prefix}/tuf/"
        self.session = Updater(
            str(self.folder / "metadata"),
            base,
            str(self.folder / "targets"),
            f"{base}targets/",
            config=UpdaterConfig(),
            bootstrap=self.root,
        )
        self.session.refresh()
        return self

    def info(self, path):
        return self.session.get_targetinfo(path)

    def download(self, path):
        info = self.info(path)
        assert info is not None, f"{path} is no target"
        place = self.folder / "targets" / sha256(path.encode()).hexdigest()
        place.unlink(missing_ok=True)
        return Path(self.session.download_target(info, str(place))).read_bytes()

    def page(self, project):
        return json.loads(self.download(page_path(project)))

    def versions(self):
        folder = self.folder / "metadata"
        stored = {path.name: json.loads(path.read_text())["signed"]["version"] for path in folder.rglob("*.json")}
        return {name: version for name, version in stored.items() if "root_history" not in name}


@pytest.fixture
def client(tmp_path):
    made = []

    def make(server, **options):
        made.append(Client(server, tmp_path / f"client-{len(made)}", **options))
        return made[-1].refresh()

    return make


def served(server, project, index=None):
    prefix = f"/i/{index}" if index else ""
    return server.get(f"{prefix}/simple/{project}/", Accept=JSON).body


def assert_consistent(server, client, projects):
    """Whatever a fresh session names can be had, and says what the site serves."""
    client.refresh()
    for project in projects:
        info = client.info(page_path(project))
        if info is None:
            continue
        page = client.page(project)
        for file in page["files"]:
            data = client.download(file_path(project, file["filename"]))
            assert sha256(data).hexdigest() == file["hashes"]["sha256"]


@pytest.mark.parametrize("shape", ["succinct", "classic"])
def test_a_stock_client_fetches_page_and_file(make_server, client, shape):
    server = make_server(tuf_shape=shape, tuf_bins=64).start()
    server.publish(OLD, NEW, sdist("other"))
    stock = client(server)
    assert stock.download(page_path("demo")) == served(server, "demo")
    assert stock.download(file_path("demo", OLD.filename)) == OLD.data
    # What is absent is provably so: its bin is complete, and bound by the snapshot.
    assert stock.info(page_path("absent")) is None
    assert stock.info(file_path("demo", "demo-3.0-py3-none-any.whl")) is None
    paths = server.get("/tuf/paths/demo.json").json()["targets"]
    assert sorted(paths) == sorted(
        [page_path("demo"), file_path("demo", OLD.filename), file_path("demo", NEW.filename)]
    )
    assert all(stock.info(path) for path in paths)


@pytest.mark.parametrize(("other", "shape"), [(second_client, "classic"), (third_client, "classic"), (third_client, "succinct")])
def test_other_stock_clients_follow_from_the_first_root(make_server, tmp_path, other, shape):
    """sigstore-tuf, which knows classic bins alone, and tuf-js: over two rotations of the root and a rebin, once with their
    state and once from the first root alone."""
    server = make_server(tuf_shape=shape, tuf_bins=16).start()
    server.publish(OLD, sdist("other"))
    root, out = tmp_path / "1.root.json", tmp_path / "out"
    root.write_bytes(server.get("/tuf/1.root.json").body)
    out.mkdir()
    paths = [page_path("demo"), file_path("demo", OLD.filename), page_path("absent")]

    def sees(state, version):
        done = other(tmp_path / state, root, server.url, out, *paths)
        assert done.returncode == 0, done.stderr
        page = served(server, "demo")
        expected = [f"root {version}", f"{paths[0]} {len(page)}", f"{paths[1]} {len(OLD.data)}", f"{paths[2]} absent"]
        assert done.stdout.splitlines() == expected
        assert ((out / "0").read_bytes(), (out / "1").read_bytes()) == (page, OLD.data)

    sees("kept", 1)
    for version, change in enumerate([["rotate", "root"], ["rotate", "online"], ["rebin", "64"]], 2):
        server.cli("tuf", *change)
        server.publish(wheel(version=f"{version}.0"))
        sees("kept", version)
        sees(f"fresh-{version}", version)
    # Another's word, and none at all.
    root.write_bytes(root.read_bytes().replace(b'"version":1', b'"version":9'))
    done = other(tmp_path / "refused", root, server.url, out, *paths)
    assert done.returncode == 1 and "Error" in done.stderr


def test_a_thousand_succinct_bins_by_default(make_server, client):
    server = make_server().start()
    server.publish(OLD)
    stock = client(server)
    assert stock.download(page_path("demo")) == served(server, "demo")
    snapshot = json.loads((stock.folder / "metadata" / "snapshot.json").read_text())
    assert len(snapshot["signed"]["meta"]) == 1024 + 2


def test_decisions_are_in_the_signed_page(make_server, client):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD, NEW)
    stock = client(server)
    before = stock.versions()
    assert server.verb("projects/demo/yank", {"version": "1.0", "reason": "broken"}).status == 200
    stock.refresh()
    yanked = {file["filename"]: file["yanked"] for file in stock.page("demo")["files"]}
    assert yanked == {OLD.filename: "broken", NEW.filename: False}
    assert server.verb("projects/demo/remove", {"file": OLD.filename}).status == 200
    stock.refresh()
    assert [file["filename"] for file in stock.page("demo")["files"]] == [NEW.filename]
    assert stock.info(file_path("demo", OLD.filename)) is None
    assert server.cli("project", "status", "demo", "quarantined", "--reason", "look").returncode == 0
    wait_until(lambda: server.filenames("demo") == [], what="the quarantine")
    stock.refresh()
    page = stock.page("demo")
    assert (page["files"], page["project-status"]["status"]) == ([], "quarantined")
    assert stock.info(file_path("demo", NEW.filename)) is None
    assert server.cli("project", "status", "demo", "active").returncode == 0
    wait_until(lambda: server.filenames("demo") == [NEW.filename], what="the release")
    stock.refresh()
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    after = stock.versions()
    assert all(after[role] >= version for role, version in before.items())


def test_an_older_session_finds_its_pages_but_no_withdrawn_bytes(make_server, client):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    stock = client(server)
    first = stock.download(page_path("demo"))
    server.publish(NEW)
    server.verb("projects/demo/remove", {"file": OLD.filename})
    wait_until(lambda: server.filenames("demo") == [NEW.filename], what="the removal")
    # The same session still works with the snapshot that it began with.
    assert stock.download(page_path("demo")) == first
    with pytest.raises(DownloadHTTPError):
        stock.download(file_path("demo", OLD.filename))


def test_superseded_roles_and_pages_go_and_roots_stay(make_server, client):
    server = make_server(tuf_bins=16, tuf_superseded="0s").start()
    server.publish(OLD)
    server.publish(NEW)
    server.stop()
    server.start()
    snapshots = lambda: sorted(p.name for p in (server.data / "blobs/main/site/tuf").glob("*.snapshot.json"))
    wait_until(lambda: len(snapshots()) == 1, what="the old snapshots to go")
    assert server.get("/tuf/1.root.json").status == 200
    pages = list((server.data / "blobs/main/site/tuf/targets/simple").rglob("*.index.json"))
    assert len(pages) == 1
    assert client(server).download(page_path("demo")) == served(server, "demo")
    assert_sound(server)


def test_rebuild_needs_no_key_and_gives_the_same_roles(make_server, client):
    server = make_server(tuf_bins=32).start()
    server.publish(OLD, NEW, sdist("other"))
    server.stop()
    folder = server.data / "blobs" / "main" / "site" / "tuf"
    server.cli("rebuild")
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (server.data / "keys").rename(server.data / "keys-elsewhere")
    current = {json.loads(path.read_text())["signed"]["version"] for path in folder.glob("*.snapshot.json")}
    for path in folder.rglob("*.json*"):
        path.unlink()
    server.cli("rebuild")
    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert all(before[name] == data for name, data in after.items())
    gone = {str(name) for name in before} - {str(name) for name in after}
    # Only what newer versions superseded.
    assert all(re.match(r"\d+\.(snapshot|bin-[0-9a-f]+)\.json|targets/simple/", name) for name in gone), gone
    assert f"{max(current)}.snapshot.json" not in gone
    assert server.cli("scrub").returncode == 0
    # Without its keys the index serves, publishes nothing, and says why.
    server.start()
    stock = client(server)
    assert stock.download(page_path("demo")) == served(server, "demo")
    assert "published" not in server.upload(wheel(version="3.0"), timeout=60).text
    assert "the key that signs" in server.log()
    server.stop()
    (server.data / "keys-elsewhere").rename(server.data / "keys")
    server.start()
    wait_until(lambda: len(server.filenames("demo")) == 3, what="what waited for the key")


def test_scrub_finds_an_altered_role(make_server):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    server.stop()
    site = server.data / "blobs" / "main" / "site" / "tuf"
    bin_ = next(site.glob("*.bin-*.json"))
    bin_.write_bytes(bin_.read_bytes() + b" ")
    found = server.cli("scrub", ok=False)
    assert found.returncode == 1 and bin_.name in found.stdout, found.stdout
    assert "1 written" in server.cli("rebuild").stdout
    assert server.cli("scrub").returncode == 0


def test_headers_let_caches_keep_what_never_changes(make_server):
    server = make_server(tuf_bins=1024).start()
    server.publish(OLD)
    timestamp = server.get("/tuf/timestamp.json")
    assert timestamp.headers["cache-control"] == "no-cache"
    meta = timestamp.json()["signed"]["meta"]["snapshot.json"]
    snapshot = server.get(f"/tuf/{meta['version']}.snapshot.json")
    assert "immutable" in snapshot.headers["cache-control"]
    assert (len(snapshot.body), sha256(snapshot.body).hexdigest()) == (meta["length"], meta["hashes"]["sha256"])
    packed = server.get(f"/tuf/{meta['version']}.snapshot.json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == snapshot.body
    again = server.get("/tuf/timestamp.json", If_None_Match=timestamp.headers["etag"])
    assert again.status == 304
    page = served(server, "demo")
    target = f"/tuf/targets/simple/{shard('demo')}/demo/{sha256(page).hexdigest()}.index.json"
    assert (server.get(target).body, "immutable" in server.get(target).headers["cache-control"]) == (page, True)
    assert server.get(f"/tuf/targets/{page_path('demo')}").body == page
    file = f"/tuf/targets/p/{shard('demo')}/demo/{OLD.sha256}.{OLD.filename}"
    assert server.get(file).body == OLD.data
    for path in [
        "/tuf/2.root.json",
        "/tuf/root.json",
        "/tuf/..%2Fhead.json",
        "/tuf/1.%2e%2e.json",
        file.replace("/demo/", "/other/"),
        file.replace(f"/{shard('demo')}/", "/zz/"),
        file.replace(OLD.sha256, OLD.sha256.upper()),
        "/tuf/paths/absent.json",
        "/tuf/paths/..%2F..%2Fhead.json",
        f"/tuf/targets/simple/{shard('demo')}/demo/{'0' * 64}.index.json",
    ]:
        assert server.get(path).status == 404, path


def test_every_index_has_a_repository_of_its_own(make_server, client):
    server = make_server(tuf_bins=16).start()
    server.cli("index", "create", "team")
    wait_until(lambda: server.get("/i/team/tuf/timestamp.json").status == 200, what="the founding")
    token = server.cli("token", "create", "--user", "admin", "--in", "team").stdout.strip()
    server.publish(OLD)
    server.publish(NEW, token=token, index="team")
    ours, theirs = client(server), client(server, index="team")
    assert ours.root != theirs.root
    assert [file["filename"] for file in theirs.page("demo")["files"]] == [NEW.filename]
    assert theirs.download(file_path("demo", NEW.filename)) == NEW.data
    assert theirs.info(file_path("demo", OLD.filename)) is None
    assert ours.info(file_path("demo", NEW.filename)) is None


@pytest.mark.parametrize("failpoint", ["log.signed", "log.founded", "found.signed", "found.committed"])
def test_killed_while_founding(make_server, client, failpoint):
    server = make_server(tuf_bins=64)
    server.spawn(failpoint=failpoint)
    server.wait_killed()
    server.start()
    server.publish(OLD)
    assert client(server).download(page_path("demo")) == served(server, "demo")
    assert_sound(server)


@pytest.mark.parametrize("failpoint", [name for name in FAILPOINTS if name.startswith("publish.")])
def test_killed_while_publishing(make_server, client, failpoint):
    """A client that began before the crash goes on after it: versions only grow, and everything named is there."""
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    stock = client(server)
    before = stock.versions()
    server.stop()
    start_armed(server, failpoint)
    attempt(lambda: server.upload(NEW))
    server.wait_killed()
    server.start()
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="the staged file")
    assert_consistent(server, stock, ["demo"])
    assert all(stock.versions()[role] >= version for role, version in before.items())
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    assert_sound(server)


@pytest.mark.parametrize("engine,rounds", [("sqlite", 8), ("postgresql", 3)])
def test_random_kills_leave_one_line_of_versions(make_server, client, request, engine, rounds):
    chance = random.Random(458)
    url = {} if engine == "sqlite" else {"ledger_url": request.getfixturevalue("cluster").new_database()}
    server = make_server(tuf_bins=16, **url).start()
    stock, last = client(server), {}
    for round_ in range(rounds):
        packages = [wheel(f"load-{n % 4}", f"1.{round_}.{n}") for n in range(16)]
        with ThreadPoolExecutor(16) as pool:
            sent = [pool.submit(attempt, lambda p=package: server.upload(p)) for package in packages]
            enough = chance.randrange(0, 14)
            wait_until(lambda: sum(outcome.done() for outcome in sent) >= enough, what="answers")
            server.kill()
        server.start()
        assert_consistent(server, stock, [f"load-{n}" for n in range(4)])
        versions = stock.versions()
        assert all(versions.get(role, version) >= version for role, version in last.items())
        last = versions
    assert_sound(server)


def follows(server, stock):
    """A client that began with the first root still verifies everything."""
    before = stock.versions()
    stock.refresh()
    assert stock.download(page_path("demo")) == served(server, "demo")
    assert stock.download(file_path("demo", OLD.filename)) == OLD.data
    after = stock.versions()
    assert after["root.json"] > before["root.json"]
    assert after["timestamp.json"] > before["timestamp.json"]


@pytest.mark.parametrize(("running", "shape"), [(True, "succinct"), (False, "succinct"), (True, "classic")])
def test_rotations_and_a_rebin_are_followed_by_a_client_of_the_first_root(make_server, client, running, shape):
    server = make_server(tuf_bins=16, tuf_shape=shape).start()
    server.publish(OLD, sdist("other"))
    stock = client(server)

    def tuf(*arguments):
        if not running:
            server.stop()
        said = server.cli("tuf", *arguments).stdout
        if not running:
            server.start()
        return said

    assert "root becomes version 2" in tuf("rotate", "online")
    follows(server, stock)
    assert "root becomes version 3" in tuf("rotate", "root")
    follows(server, stock)
    assert "64" in tuf("rebin", "64")
    follows(server, stock)
    snapshot = json.loads((stock.folder / "metadata" / "snapshot.json").read_text())["signed"]["meta"]
    assert len(snapshot) == 64 + 2 and "bin2-3f.json" in snapshot
    server.publish(NEW)
    assert "good until" in tuf("renew")
    follows(server, stock)
    fresh = client(server)
    assert fresh.download(file_path("demo", NEW.filename)) == NEW.data
    assert stock.info(page_path("absent")) is None
    status = server.cli("tuf", "status").stdout
    assert f"64 {shape} bins" in status and "root      version 5" in status, status
    assert_sound(server)


def test_people_take_the_offline_roles_over(make_server, client, tmp_path):
    """dev to team, 2 of 3: one event, signed by two holders apart, in any order."""
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    stock = client(server)
    holders = []
    for name in ("ann", "bob", "cid"):
        key = tmp_path / f"{name}.key"
        public = tmp_path / f"{name}.pub"
        public.write_text(server_free("tuf", "key", key, "--plain").stdout)
        assert key.stat().st_mode & 0o777 == 0o600
        holders.append((key, public))
    named = [part for _, public in holders for part in ("--holder", public)]
    event = server.cli("tuf", "init", "--profile", "team", *named).stdout
    copies = []
    for key, _ in holders[:2]:
        copy = tmp_path / f"{key.stem}.event"
        copy.write_text(event)
        said = server_free("tuf", "sign", copy, "--key", key).stdout
        assert "root becomes version 2" in said
        copies.append(copy)
    stranger = tmp_path / "stranger.key"
    server_free("tuf", "key", stranger, "--plain")
    assert server_free("tuf", "sign", copies[0], "--key", stranger, ok=False).returncode == 1
    # One of two is not enough, and changes nothing.
    assert json.loads(server.cli("tuf", "submit", copies[0]).stdout)["tidewaiter-signing-event"] == 2
    stock.refresh()
    assert stock.versions()["root.json"] == 1
    server.cli("tuf", "submit", *copies, "--profile", "team")
    follows(server, stock)
    assert "profile team" in server.cli("tuf", "status").stdout
    # What was done is in force, and the server's own keys are not enough any more.
    assert "in force already" in server.cli("tuf", "submit", *copies).stdout
    assert not server.get("/tuf/3.root.json").status == 200
    assert json.loads(server.cli("tuf", "rotate", "online").stdout)["parts"]
    stock.refresh()
    assert stock.versions()["root.json"] == 2
    assert_sound(server)


def server_free(*arguments, ok=True):
    done = run([binary(), *arguments])
    assert not ok or done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("failpoint", ["adopt.signed", "adopt.committed", "publish.roles", "publish.timestamp"])
def test_killed_in_a_rebin(make_server, client, failpoint):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    stock = client(server)
    server.stop()
    # Recovery and the publisher's own lease write the site before.
    server.start(failpoint=f"{failpoint}:{3 if failpoint.startswith('publish.') else 1}")
    server.cli("tuf", "rebin", "32", ok=False)
    server.wait_killed()
    server.start()
    wait_until(lambda: "32 succinct" in server.cli("tuf", "status", ok=False).stdout, what="the rebin")
    wait_until(lambda: server.get("/tuf/2.root.json").status == 200, what="the new root")
    follows(server, stock)
    server.publish(NEW)
    stock.refresh()
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    assert_sound(server)


SIGN = """
import sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[1]))
print(key.sign(sys.stdin.buffer.read()).hex())
"""


def test_another_process_signs(make_server, client, tmp_path):
    """The online key leaves the server's hands: a command signs what it is given."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    server.stop()
    script = tmp_path / "sign.py"
    script.write_text(SIGN)
    place = server.data / "keys" / "main" / "online.key"
    private = json.loads(place.read_text())["private"]
    root = json.loads(stock.root)["signed"]
    public = root["keys"][root["roles"]["timestamp"]["keyids"][0]]
    key = {"kind": "process", "keytype": "ed25519", "scheme": "ed25519", "public": public["keyval"]["public"]}
    place.write_text(json.dumps({**key, "command": [sys.executable, str(script), private]}))
    server.start()
    server.upload(NEW)
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="the publication")
    stock.refresh()
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    # What it signs is verified before anybody sees it.
    place.write_text(json.dumps({**key, "command": ["echo", "00" * 64]}))
    server.stop()
    server.start()
    assert "published" not in server.upload(wheel(version="3.0")).text
    assert "does not verify" in server.log()

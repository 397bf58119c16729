"""`tidewaiter run`, `proxy`, `verify`: unmodified installers refuse what is not signed, whoever serves it."""

import gzip
import http.client
import json
import math
import os
import subprocess
import sys
import time
import urllib.parse
import zipfile
from io import BytesIO

import pytest

from clients import TOOLS, installed
from harness import JSON, binary, clean_env, die_with_parent, run, wait_until
from packages import wheel
from signed_index import DAY, Host, Key, SignedIndex, bin_of, canonical, file_path, hashed, page_path, provenance_of
from signed_index import sha256, unpacks_to_more, when


def metadata_of(package):
    with zipfile.ZipFile(BytesIO(package.data)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")))


def release(index, package, publisher=None):
    index.publish(package, metadata_of(package) if package.is_wheel else None, publisher)
    return package


class World:
    """An index of demo 1.0 (older state) and demo 2.0 (newer one), and one installer before it."""

    def __init__(self, folder, clients):
        self.folder, self.clients = folder, clients
        self.index = SignedIndex()
        release(self.index, wheel("other", "1.0"))
        self.oldest = dict(self.index.commit().files)
        self.old = release(self.index, wheel("demo", "1.0"))
        self.older = dict(self.index.commit().files)
        self.new = release(self.index, wheel("demo", "2.0"))
        self.index.commit()
        self.root = folder / "root.json"
        self.root.write_bytes(self.index.root)
        self.hosts = []

    def host(self, files=None):
        host = Host(self.index.files if files is None else files)
        self.hosts.append(host)
        return host

    def mirror(self, kind):
        """A mirror of the index, or one that stayed at the older state. `demo` is the release that it shows, `before`
        what its keeper has of the state before."""
        is_stale = kind == "stale-mirror"
        host = self.host(self.older if is_stale else None)
        host.demo, host.before = (self.old, self.oldest) if is_stale else (self.new, self.older)
        return host

    def close(self):
        for host in self.hosts:
            host.close()

    def tidewaiter(self, verb, host, *arguments, options=(), state="state"):
        command = [binary(), verb, "--index", host.url, "--root", self.root, "--state", self.folder / state]
        return run([*command, "--patience", "2", *options, *arguments], env=self.clients.env())

    def install(self, tool, host, *requirements, **more):
        """Runs an installer under verification. Returns what ran and the folder it installed into."""
        target = self.clients.fresh("target")
        kind, _, version = tool.partition("-")
        if kind == "pip":
            command = [*self.clients.pips[version], "install", "--no-cache-dir", "--target", target]
        else:
            command = [self.clients.uvs[version], "pip", "install", "--python", sys.executable, "--target", target]
            command += ["--no-cache"]
        return self.tidewaiter("run", host, "--", *command, *requirements, **more), target

    def installs(self, tool, host, *requirements, expected, **more):
        done, target = self.install(tool, host, *requirements, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert installed(target) == expected
        return done

    def refuses(self, tool, host, *requirements, says, **more):
        done, target = self.install(tool, host, *requirements, **more)
        refused(done, target, says)
        return done


def refused(done, target, says):
    """The installer failed, nothing is installed, and we, not the installer, say why: `says` is in a line of ours."""
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    assert not list(target.rglob("*.py")) and not installed(target), text
    ours = [line for line in done.stderr.splitlines() if line.startswith("tidewaiter: ")]
    assert any(says in line for line in ours if not line.startswith("tidewaiter: warning: ")), f"{says}\n{text}"


@pytest.fixture
def world(tmp_path, clients):
    world = World(tmp_path, clients)
    yield world
    world.close()


# The attacks. Each takes the world and a mirror of it, and alters what the mirror sends. What it returns is what must be
# said: a sentence that no other kind of attack is answered with, to its end.

OTHER_BYTES = "refused: its length or digest is not the one that was signed for"
HELD_BACK = "is not there (the index signs for it, and whoever answers at this --index does not hand it out"
NOT_OURS = "timestamp: 0 of 1 keys have signed ("


def other_bytes(sent, signed):
    """What is said of so many bytes in the place of so many."""
    return f"{OTHER_BYTES}: it is longer than {signed} bytes (" if sent > signed else f"{OTHER_BYTES} ("


def altering(host, matches, change):
    host.alter = lambda path, data: change(data) if data is not None and matches(path) else data


def newest(role, files):
    """The newest version of a role that is among these files."""
    versions = [path.removeprefix("/tuf/").removesuffix(f".{role}.json") for path in files]
    return max(int(version) for version in versions if version.isdecimal())


def pages(files):
    """Every page of demo among these files, by its path."""
    return {path: data for path, data in files.items() if "/demo/" in path and path.endswith("index.json")}


def page(host):
    """The page of demo that a mirror shows."""
    (data,) = [data for path, data in pages(host.files).items() if path not in host.before]
    return data


def tampered_file(world, host):
    altering(host, lambda path: path.endswith(".whl"), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    return f"{host.demo.filename}: {OTHER_BYTES} ("


def tampered_metadata(world, host):
    altering(host, lambda path: path.endswith(".metadata"), lambda data: data + b"Requires-Dist: evil\n")
    return f"{host.demo.filename}.metadata: {OTHER_BYTES} ("


def forged(data, change):
    """A page of the form and the length of the signed one: nothing but its digest tells it from that."""
    page = json.loads(data)
    change(page)
    forgery = canonical(page).ljust(len(data))
    assert len(forgery) == len(data) and forgery != data
    return forgery


def forged_page(change):
    def attack(world, host):
        altering(host, lambda path: path.endswith("index.json"), lambda data: forged(data, change))
        return f"page of demo: {OTHER_BYTES} ("

    return attack


def yank(page):
    page["files"][-1]["yanked"] = True


def quarantine(page):
    page["project-status"] = {"status": "quarantined"}
    # The word is longer than the one it replaces; a key that may be left out makes room.
    del page["files"][-1]["requires-python"]


def drop_newest(page):
    del page["files"][-1]


def other_digest(page):
    page["files"][-1]["hashes"]["sha256"] = "0" * 64


def hidden_project_missing(world, host):
    altering(host, lambda path: "/simple/" in path, lambda data: None)
    return f"page of demo: it {HELD_BACK}"


def hidden_project_in_bin(world, host):
    """The bin as it was before the project: signed, and of another version."""
    name = bin_of(page_path("demo"))
    version = newest(name, host.files)
    host.files[f"/tuf/{version}.{name}.json"] = world.oldest[f"/tuf/1.{name}.json"]
    return f"page of demo: refused: {name}: is version 1 where {version} belongs ("


def hidden_bin(world, host):
    name = bin_of(page_path("demo"))
    altering(host, lambda path: path.endswith(f".{name}.json"), lambda data: None)
    return f".{name}.json {HELD_BACK}"


def rollback(role):
    """One role of the state that the client has seen, in an answer that is otherwise of a later one."""

    def attack(world, host):
        files, known = world.index.files, host.files
        if role == "root":
            host.files["/tuf/2.root.json"] = files["/tuf/1.root.json"]
            return "refused: root: is version 1 where 2 belongs ("
        if role in ("targets", "bins"):
            world.index.offline_roles()
        release(world.index, wheel("demo", "3.0"))
        host.files = dict(world.index.commit().files)
        name = bin_of(page_path("demo")) if role == "bin" else role
        version, old = world.index.versions[name], newest(name, known)
        host.files[f"/tuf/{version}.{name}.json"] = known[f"/tuf/{old}.{name}.json"]
        if role == "snapshot":
            return "refused: snapshot: is not the file that was signed for: its length or digest differs ("
        return f"refused: {name}: is version {old} where {version} belongs ("

    return attack


def rollback_timestamp(world, host):
    """The state before the one that the client has seen."""
    version = lambda files: json.loads(files["/tuf/timestamp.json"])["signed"]["version"]
    says = f"refused: timestamp: timestamp goes back from version {version(host.files)} to {version(host.before)} ("
    host.files = dict(host.before)
    return says


def stamped(world, host, **how):
    """The state that a mirror shows, under another timestamp of the index's."""
    stamped = world.index.stamp(version=newest("snapshot", host.files), **how)
    host.files["/tuf/timestamp.json"] = stamped.files["/tuf/timestamp.json"]


def freeze(world, host):
    """The last good word, kept up for more than a day by one who holds no key."""
    issued = world.index.now - DAY - 60
    stamped(world, host, issued=issued, lifetime_days=7)
    return f"timestamp: refused: the index's last word is of {when(issued)}, 24 h ago; at most 24 h are allowed (--max-age)"


def dated_ahead(world, host):
    """One word, signed once with a stolen key, that would never grow old."""
    # Half an hour more, so that it is as many whole hours however long the test takes.
    issued = world.index.now + 3 * DAY + 1_800
    stamped(world, host, issued=issued, lifetime_days=300)
    return f"timestamp: refused: the index's last word is of {when(issued)}, 72 h ahead of this clock ("


def expired(world, host):
    stamped(world, host, lifetime_days=-1)
    return f"refused: timestamp: expired at {when(world.index.now - DAY)} ("


def mix_and_match(world, host):
    """The bin of one state, the page of another."""
    (other,) = [data for data in pages(world.index.files).values() if data != page(host)]
    says = other_bytes(len(other), len(page(host)))
    altering(host, lambda path: path in pages(host.files), lambda data: other)
    return f"page of demo: {says}"


def wrong_length(world, host):
    altering(host, lambda path: path.endswith(".whl"), lambda data: data[:-3])
    return f"{host.demo.filename}: {OTHER_BYTES} ("


def longer(world, host):
    altering(host, lambda path: path.endswith(".whl"), lambda data: data + b"more")
    return f"{host.demo.filename}: {other_bytes(len(host.demo.data) + 4, len(host.demo.data))}"


def endless(pattern, says):
    def attack(world, host):
        def send(handler):
            handler.send_response(200)
            handler.end_headers()
            while True:
                handler.wfile.write(b"[" * 65536)

        host.alter = lambda path, data: send if path.endswith(pattern) else data
        return says(host)

    return attack


def many_objects(world, host):
    """Few bytes on the wire, many in memory, and unsigned."""
    bomb = b'{"signed":{},"signatures":[' + b'{"a":0},' * 1_000_000 + b"{}]}"
    send = unpacks_to_more(gzip.compress(bomb, 9))
    host.alter = lambda path, data: send if ".bin-" in path else data
    return "too many values (whoever answers at this --index"


def slow(pattern, says):
    def attack(world, host):
        def send(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.3)

        host.alter = lambda path, data: send if path.endswith(pattern) else data
        return f"{says(host)} answers too slowly ("

    return attack


def redirect(world, host):
    def send(handler):
        handler.send_response(302)
        handler.send_header("Location", "/tuf/targets/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    host.alter = lambda path, data: send if path.endswith(".whl") else data
    return f"{host.demo.filename}: it answers 302 (redirects are not followed"


def other_keys(world, host):
    """Everything signed anew, by keys of the attacker's own."""
    own = SignedIndex()
    release(own, wheel("demo", "9.0"))
    host.files = dict(own.commit().commit().commit().commit().files)
    return f"refused: {NOT_OURS}"


ATTACKS = {
    "tampered-file": tampered_file,
    "tampered-metadata": tampered_metadata,
    "tampered-page": forged_page(other_digest),
    "forged-yank": forged_page(yank),
    "forged-status": forged_page(quarantine),
    "hidden-release": forged_page(drop_newest),
    "hidden-project": hidden_project_missing,
    "hidden-project-bin": hidden_project_in_bin,
    "hidden-bin": hidden_bin,
    "rollback-root": rollback("root"),
    "rollback-timestamp": rollback_timestamp,
    "rollback-snapshot": rollback("snapshot"),
    "rollback-targets": rollback("targets"),
    "rollback-bins": rollback("bins"),
    "rollback-bin": rollback("bin"),
    "freeze": freeze,
    "dated-ahead": dated_ahead,
    "expired": expired,
    "mix-and-match": mix_and_match,
    "wrong-length": wrong_length,
    "longer": longer,
    "endless-role": endless("timestamp.json", lambda host: "/tuf/timestamp.json is longer than 16384 bytes (no signed file is"),
    "endless-page": endless("index.json", lambda host: f"page of demo: {other_bytes(math.inf, len(page(host)))}"),
    "endless-file": endless(".whl", lambda host: f"{host.demo.filename}: {other_bytes(math.inf, len(host.demo.data))}"),
    "many-objects": many_objects,
    "slow-role": slow("timestamp.json", lambda host: "/tuf/timestamp.json"),
    "slow-file": slow(".whl", lambda host: f"{host.demo.filename}: it"),
    "redirect": redirect,
    "other-keys": other_keys,
}


MIRRORS = ["mirror", "stale-mirror"]


def seen(world, tool, mirror):
    """A mirror, before its keeper attacks, and an installer that has seen what it shows, nothing newer: what is older
    than the installer's memory is refused for that alone, and whatever else the keeper did would go untried."""
    host = world.mirror(mirror)
    world.installs(tool, host, "other", expected={"other": "1.0"})
    return host


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(world, tool, mirror, attack):
    host = seen(world, tool, mirror)
    says = ATTACKS[attack](world, host)
    if mirror == "stale-mirror":
        # The index goes on, and this mirror stays.
        world.index.commit()
    if attack == "tampered-metadata" and tool == "pip-old":
        # It never asks for metadata on JSON pages: there is nothing to refuse.
        world.installs(tool, host, "demo", expected={"demo": host.demo.filename.split("-")[1]})
        assert not [path for path in host.asked if path.endswith(".metadata")]
        return
    world.refuses(tool, host, "demo", says=says)


@pytest.mark.parametrize("mirror", MIRRORS)
def test_an_attack_that_does_nothing_fails_its_cell(world, mirror):
    """The table above shows something only as long as no cell is content with less than its attack: not with an honest
    answer, and not with one that is refused for another reason."""
    tool = "uv-current"
    honest = world.install(tool, seen(world, tool, mirror), "demo")
    assert installed(honest[1]), honest[0].stderr
    world.installs(tool, world.host(), "other", expected={"other": "1.0"})
    back, empty, gone = world.host(world.older), world.host({}), world.host()
    gone.close()
    world.hosts.remove(gone)
    others = [world.install(tool, host, "demo") for host in (back, empty, gone)]
    for name, attack in {**ATTACKS, **ATTESTATION_ATTACKS}.items():
        # Sentences name versions and lengths: they are made in a world of their own, of the same form.
        scratch = World(world.clients.fresh("scratch"), world.clients)
        says = attack(scratch, scratch.mirror(mirror))
        scratch.close()
        for done, target in [honest, *others]:
            if name == "rollback-timestamp" and done is others[0][0]:
                continue
            with pytest.raises(AssertionError):
                refused(done, target, says)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_honest_mirror_serves(world, tool):
    done = world.installs(tool, world.host(), "demo", "other", expected={"demo": "2.0", "other": "1.0"})
    assert "tidewaiter:" not in done.stderr
    # The second time, files come from what was verified before.
    again = world.host()
    world.installs(tool, again, "demo", expected={"demo": "2.0"})
    assert again.asked == ["/tuf/2.root.json", "/tuf/timestamp.json"]
    world.installs(tool, world.host({}), "demo", expected={"demo": "2.0"}, options=["--offline"])
    done, target = world.install(tool, world.host({}), "demo", options=["--offline"], state="nothing")
    assert done.returncode != 0 and not installed(target)


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_withdrawn_file_that_a_mirror_serves_on(world, tool, mirror):
    before = world.mirror("mirror")
    if mirror == "mirror":
        # It was installed here, and is even in the cache of verified files.
        world.installs(tool, before, "demo", expected={"demo": "2.0"})
    gone = world.index.projects["demo"].pop()
    world.index.commit()
    if mirror == "stale-mirror":
        # It shows the state in which the file was signed for; who has seen the withdrawal does not go back.
        world.installs(tool, world.host(), "other", expected={"other": "1.0"})
        for wanted in ("demo==2.0", "demo"):
            world.refuses(tool, before, wanted, says="refused: timestamp: timestamp goes back from version 4 to 3 (")
        return
    host = world.host()
    withdrawn = hashed(file_path("demo", gone["filename"]), world.new.sha256)
    assert withdrawn in host.files, "the mirror still has it"
    # With the page on which it stood: that one was signed for, and is no more.
    was, (now,) = page(before), [data for path, data in pages(host.files).items() if path not in before.files]
    altering(host, lambda path: path in pages(host.files), lambda data: was)
    says = f"page of demo: {other_bytes(len(was), len(now))}"
    world.refuses(tool, host, "demo==2.0", says=says)
    # And without: nobody asks for it, and we say what became of it.
    altering(host, lambda path: False, None)
    done, target = world.install(tool, host, "demo==2.0")
    assert done.returncode != 0 and not installed(target)
    assert "tidewaiter: warning: page of demo: its newest release was 2.0 and is now 1.0" in done.stderr, done.stderr
    world.installs(tool, host, "demo", expected={"demo": "1.0"})
    assert withdrawn not in host.asked


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_stolen_online_key_and_recovery(world, tool, mirror):
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    # The thief runs far ahead, so that what is good would look old for ever.
    thief, good = world.index, dict(world.index.files)
    kept = [list(thief.projects["demo"]), dict(thief.versions), dict(thief.bins)]
    thief.versions.update(snapshot=1_000_000, timestamp=1_000_000)
    release(thief, wheel("demo", "6.6"))
    evil = dict(thief.commit().files)
    world.installs(tool, world.host(evil), "demo", expected={"demo": "6.6"})
    # Recovery: another online key under a new root; versions start where they were.
    thief.projects["demo"], thief.versions, thief.bins = kept
    thief.files, thief.online = dict(good), Key()
    thief.offline_roles()
    thief.commit()
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    # Whoever has seen the new root believes the thief no more, nor a mirror that stayed at what was good before the theft.
    host = world.host(good if mirror == "stale-mirror" else evil)
    world.refuses(tool, host, "demo", says=f"refused: {NOT_OURS}")


@pytest.mark.parametrize("tool", TOOLS)
def test_an_absent_project_is_proven_absent(world, tool):
    done, target = world.install(tool, world.host(), "nothing-here")
    assert done.returncode != 0 and not installed(target)
    assert "page of nothing-here: there is no such project" in done.stderr, done.stderr


def unseen(text):
    """A requirements file that is too long for us to look into: the proxy has the last word."""
    return f"{text}#{' ' * (4 << 20)}\n"


@pytest.mark.parametrize("tool", TOOLS)
def test_the_installer_cannot_leave(world, tool):
    """Another index in a requirements file, or a URL: both are asked for through us, and refused by name."""
    host = world.host()
    # Trusted, or pip does not even try.
    another = "--extra-index-url http://elsewhere.invalid/simple/\n--trusted-host elsewhere.invalid\nmore-of-it\n"
    for text in [another, "x @ http://elsewhere.invalid/x-1-py3-none-any.whl\n"]:
        path = world.folder / "requirements.txt"
        path.write_text(unseen(text))
        says = "elsewhere.invalid: refused: the installer wanted to leave the verified index"
        world.refuses(tool, host, "-r", path, says=says)
    done = world.tidewaiter("run", host, "--", "pip", "install", "--index-url", host.url, "demo")
    assert done.returncode == 1 and "one place to install from" in done.stderr


def test_first_use_shows_a_fingerprint_and_remembers_it(world):
    host, state = world.host(), world.folder / "first"
    command = [binary(), "run", "--index", host.url, "--state", state, "--", sys.executable, "-c", "exit(7)"]
    first = run(command)
    assert first.returncode == 7 and sha256(world.index.root) in first.stderr
    assert run(command).stderr == ""
    host.files = dict(SignedIndex().commit().files)
    path = world.folder / world.new.filename
    path.write_bytes(b"")
    done = run([binary(), "verify", "--index", host.url, "--state", state, path])
    assert done.returncode == 1 and NOT_OURS in done.stderr, done.stderr


def test_verify(world):
    good = world.new.write(world.folder / "good")
    bad = world.folder / "bad" / world.new.filename
    bad.parent.mkdir()
    bad.write_bytes(world.new.data[:-1] + b"x")
    other = wheel("demo", "7.0").write(world.folder / "good")
    done = world.tidewaiter("verify", world.host(), good)
    assert (done.returncode, done.stdout) == (0, f"{good}: signed\n"), done.stderr
    done = world.tidewaiter("verify", world.host(), good, bad, other)
    assert done.returncode == 1 and done.stdout == f"{good}: signed\n"
    assert f"{world.new.filename}: refused" in done.stderr and "signs for no file of this name" in done.stderr


class Proxied:
    def __init__(self, world, host, *options):
        command = [binary(), "proxy", "--index", host.url, "--root", world.root, "--state", world.folder / "proxied"]
        command += ["--listen", "127.0.0.1:0", "--patience", "2", *options]
        command = [str(part) for part in command]
        pipes = {"stdout": subprocess.PIPE, "text": True, "env": clean_env(), "preexec_fn": die_with_parent}
        self.process = subprocess.Popen(command, **pipes)
        self.port = int(self.process.stdout.readline().removesuffix("/simple/\n").rpartition(":")[2])

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def close(self):
        self.process.kill()
        self.process.wait(10)


def test_the_proxy_serves_pages_files_ranges_and_metadata(world):
    host = world.host()
    proxy = Proxied(world, host)
    try:
        status, headers, body = proxy.get("/simple/Demo/", Accept=JSON)
        assert (status, headers["content-type"]) == (200, JSON)
        page = json.loads(body)
        assert [file["filename"] for file in page["files"]] == [world.old.filename, world.new.filename]
        url = urllib.parse.urljoin("/simple/demo/", page["files"][1]["url"])
        assert proxy.get("/simple/demo")[0] == 301
        html = proxy.get("/simple/demo/")[2].decode()
        assert f"#sha256={world.new.sha256}" in html and "data-core-metadata" in html
        # Before it is verified, no part of it is served: the whole comes instead.
        status, _, body = proxy.get(url, Range="bytes=0-9")
        assert (status, body) == (200, world.new.data)
        status, headers, body = proxy.get(url, Range="bytes=2-9")
        assert (status, body) == (206, world.new.data[2:10])
        assert headers["content-range"] == f"bytes 2-9/{len(world.new.data)}"
        assert proxy.get(url + ".metadata")[2] == metadata_of(world.new)
        assert proxy.get("/simple/none/")[0] == 404 and proxy.get("/simple/")[0] == 404
        assert proxy.get(url.replace(world.new.sha256, "0" * 64))[0] == 404
        assert proxy.get("http://elsewhere.invalid/x")[0] == 409
        # Many at once cost one look-up.
        host.asked.clear()
        assert proxy.get("/simple/other/")[0] == 200
        assert len([path for path in host.asked if "timestamp" in path]) <= 1
    finally:
        proxy.close()


def test_news_reach_a_running_proxy_and_withdrawals_too(world):
    host = world.host()
    proxy = Proxied(world, host)
    try:
        names = lambda: [file["filename"] for file in json.loads(proxy.get("/simple/demo/", Accept=JSON)[2])["files"]]
        assert len(names()) == 2
        release(world.index, wheel("demo", "3.0"))
        host.files = dict(world.index.commit().files)
        wait_until(lambda: len(names()) == 3, 10, "the new release")
        del world.index.projects["demo"][1]
        host.files = dict(world.index.commit().files)
        wait_until(lambda: len(names()) == 2, 10, "the withdrawal")
        path = f"/files/{world.new.sha256[:2]}/{world.new.sha256}/{world.new.filename}"
        status, _, body = proxy.get(path)
        assert status == 404 and b"no longer signs" in body
    finally:
        proxy.close()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_large_file_streams_and_its_tail_is_withheld(world, tool):
    big = release(world.index, wheel("big", files={"big/__init__.py": b"", "big/data.bin": os.urandom(3 << 20)}))
    world.index.commit()
    host = world.host()
    altering(host, lambda path: path.endswith(".whl"), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    world.refuses(tool, host, "big", says=f"{big.filename}: {OTHER_BYTES} (")
    world.installs(tool, world.host(), "big", expected={"big": "1.0"})
    proxy = Proxied(world, host)
    try:
        path = f"/files/{big.sha256[:2]}/{big.sha256}/{big.filename}"
        with pytest.raises(http.client.IncompleteRead) as broken:
            proxy.get(path)
        assert len(broken.value.partial) <= len(big.data) - (64 << 10)
    finally:
        proxy.close()


def test_no_broken_role_on_disk_is_believed_and_no_broken_file(world):
    """A disk that lies costs a download, nothing else."""
    world.installs("pip-current", world.host(), "demo", expected={"demo": "2.0"})
    for path in (world.folder / "state").rglob("*"):
        if path.is_file() and path.name != "root.json" and not path.name.startswith("."):
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    world.installs("pip-current", world.host(), "demo", expected={"demo": "2.0"})


def forwarding(server, host):
    """Every answer of the server through another host."""

    def alter(path, _):
        answer = server.get(path)
        return answer.body if answer.status == 200 else None

    host.alter = alter
    return host


@pytest.mark.parametrize("tool", TOOLS)
def test_the_real_index(world, server, tool):
    """What the server signs is what installers get, from itself and through another host."""
    server = server()
    server.publish(wheel("demo", "1.0", requires_dist=["base>=1"]), wheel("demo", "2.0"), wheel("base", "1.5+local.1"))
    world.root.write_bytes(server.get("/tuf/1.root.json").body)
    host = forwarding(server, world.host())
    world.installs(tool, server, "demo", expected={"demo": "2.0"})
    world.installs(tool, host, "demo==1.0", expected={"demo": "1.0", "base": "1.5+local.1"})
    server.cli("project", "yank", "demo", "2.0")
    wait_until(lambda: server.page("demo")["files"][1]["yanked"], what="the yank")
    world.installs(tool, host, "demo", expected={"demo": "1.0", "base": "1.5+local.1"})
    # Unyanked by a mirror alone.
    inner = host.alter
    unyanked = lambda data: data and data.replace(b'"yanked":true', b'"yanked":null')
    host.alter = lambda path, data: unyanked(inner(path, data)) if "simple/" in path else inner(path, data)
    world.refuses(tool, host, "demo", says=f"page of demo: {OTHER_BYTES} (", options=["--cache-mb", "0"])
    host.alter = inner
    server.cli("project", "remove", "demo", "1.0")
    wait_until(lambda: len(server.filenames("demo")) == 1, what="the removal")
    done, target = world.install(tool, host, "demo==1.0")
    assert done.returncode != 0 and not installed(target)


def test_the_real_index_beside_main(world, server):
    server = server()
    server.cli("index", "create", "team")
    server.publish(wheel("demo", "3.0"), index="team", token=server.new_token("admin", "--in", "team"))
    world.root.write_bytes(server.get("/i/team/tuf/1.root.json").body)
    target = world.folder / "target"
    command = [binary(), "run", "--index", f"{server.url}/i/team/simple/", "--root", world.root]
    command += ["--state", world.folder / "state", "--", *world.clients.pips["current"], "install", "--target", target, "demo"]
    done = run(command, env=world.clients.env())
    assert done.returncode == 0 and installed(target) == {"demo": "3.0"}, done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_releases_that_were_there_and_are_not(world, tool):
    """Signed, as by a thief of the online key; only memory tells."""
    world.installs(tool, world.host(), "demo", expected={"demo": "2.0"})
    world.index.projects["demo"][-1]["yanked"] = True
    world.index.commit()
    refuse = {"options": ["--on-regression", "refuse"]}
    says = "its newest release was 2.0 and is now 1.0"
    world.refuses(tool, world.host(), "demo", says=says, **refuse)
    world.refuses(tool, world.host(), "demo", says=says, **refuse)
    done = world.installs(tool, world.host(), "demo", expected={"demo": "1.0"})
    assert says in done.stderr
    world.installs(tool, world.host(), "demo", expected={"demo": "1.0"}, **refuse)


# Attestations: the index signs for the provenance of each file; here demo's files came from team/demo.

PIN = ["--attestations", "pin"]


@pytest.fixture
def attested(world):
    """The world, in which demo 3.0 is attested, and the client has seen that."""
    world.new = release(world.index, wheel("demo", "3.0"), "team/demo")
    world.index.commit()
    world.older = dict(world.index.files)
    return world


def swapped(world, host):
    altering(host, lambda path: path.endswith("/provenance"), lambda data: provenance_of("evil/demo"))
    return f"provenance of {world.new.filename}: {OTHER_BYTES} ("


def dropped(world, host):
    host.files = {path: data for path, data in host.files.items() if not path.endswith("/provenance")}
    return f"provenance of {world.new.filename}: it {HELD_BACK}"


def dropped_from_page(world, host):
    def forge(page):
        for file in page["files"]:
            file.pop("_provenance", None)

    return forged_page(forge)(world, host)


ATTESTATION_ATTACKS = {"swapped": swapped, "dropped": dropped, "dropped-from-page": dropped_from_page}


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("attack", ATTESTATION_ATTACKS)
def test_attestations_cannot_be_swapped_or_dropped(attested, tool, mirror, attack):
    world, host = attested, attested.host()
    # The installer has seen what the mirror shows, nothing newer: see `seen`.
    world.installs(tool, host, "other", expected={"other": "1.0"})
    if mirror == "stale-mirror":
        release(world.index, wheel("other", "2.0"))
        world.index.commit()
    says = ATTESTATION_ATTACKS[attack](world, host)
    world.refuses(tool, host, "demo", says=says, options=PIN)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_publisher_that_was_seen_stays(attested, tool):
    world = attested
    world.installs(tool, world.host(), "demo", expected={"demo": "3.0"}, options=PIN)
    lock = next(world.folder.rglob("publishers.lock"))
    assert json.loads(lock.read_text())["demo"]["publisher"]["repository"] == "team/demo"
    # What is older than the first attested file is not held to it.
    for entry in world.index.projects["demo"][:2]:
        entry["upload-time"] = "2020-01-01T00:00:00Z"
    world.index.commit()
    world.installs(tool, world.host(), "demo==2.0", expected={"demo": "2.0"}, options=PIN)
    # The online key signs a release of somebody else, and one of nobody.
    release(world.index, wheel("demo", "4.0"), "evil/demo")
    world.index.commit()
    world.refuses(tool, world.host(), "demo", says="it came from GitHub evil/demo", options=PIN)
    release(world.index, wheel("demo", "5.0"))
    world.index.commit()
    done = world.refuses(tool, world.host(), "demo", says="it has no attestation", options=PIN)
    assert "GitHub team/demo" in done.stderr and "publishers.lock" in done.stderr
    world.installs(tool, world.host(), "demo", expected={"demo": "5.0"}, options=["--attestations", "off"])


@pytest.mark.parametrize("tool", TOOLS)
def test_attestations_can_be_required(attested, tool):
    world, options = attested, ["--attestations", "require:demo,other"]
    world.installs(tool, world.host(), "demo", expected={"demo": "3.0"}, options=options)
    says = "--attestations requires one"
    world.refuses(tool, world.host(), "other", says=says, options=options, state="another")
    done = world.tidewaiter("run", world.host(), "--", "true", options=["--attestations", "perhaps"])
    assert done.returncode == 2 and "require:PROJECT" in done.stderr


def test_verify_asks_for_the_publisher_too(attested, tmp_path):
    world = attested
    good = tmp_path / world.new.filename
    good.write_bytes(world.new.data)
    done = world.tidewaiter("verify", world.host(), good, options=PIN)
    assert done.returncode == 0, done.stderr
    host = world.host()
    says = dropped(world, host)
    done = world.tidewaiter("verify", host, good, options=PIN, state="another")
    assert done.returncode == 1 and done.stdout == "" and says in done.stderr
    assert done.stderr.count("\n") == 1, "it is said once"

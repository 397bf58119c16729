"""Keys and people: sealed keys, tokens, standbys, profiles, theft and recovery, audits. Stock clients look on."""

import json
import os
import sqlite3
from types import SimpleNamespace

import pytest
from tuf.api.exceptions import RepositoryError

from harness import binary, clean_env, run, wait_until
from packages import sdist, wheel
from signed_index import Host, Key, sha256, sign
from test_durability import assert_sound
from test_tuf import client, file_path, follows, page_path, served  # noqa: F401

OLD = wheel(version="1.0")
NEW = wheel(version="2.0", requires_python=">=3.8")
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4321"


def alone(*arguments, ok=True, **options):
    """The program on a machine that has no installation."""
    done = run([binary(), *arguments], **options)
    assert not ok or done.returncode == 0, done.stderr
    return done


def secret(folder, name, text="correct horse battery"):
    path = folder / name
    path.write_text(f"{text}\n")
    return path


def holder(folder, name, *options):
    """A person with a key of their own: the key's file and the file of its public half."""
    key, public = folder / f"{name}.key", folder / f"{name}.pub"
    public.write_text(alone("tuf", "key", key, *(options or ["--plain"])).stdout)
    return SimpleNamespace(name=name, key=key, public=public)


def signed_by(folder, event, *people, options=()):
    """Copies of an event, each signed by one person apart."""
    copies = []
    for person in people:
        copy = folder / f"{person.name}.event"
        copy.write_text(event)
        alone("tuf", "sign", copy, "--key", person.key, *options)
        copies.append(copy)
    return copies


def online_keyids(server):
    """Whose keys signed the newest timestamp."""
    return [one["keyid"] for one in server.get("/tuf/timestamp.json").json()["signatures"]]


def keys_of(server, role, root):
    return server.get(f"/tuf/{root}.root.json").json()["signed"]["roles"][role]["keyids"]


def test_keys_are_sealed_where_there_is_a_passphrase(make_server, client, tmp_path):
    server = make_server(tuf_bins=4, tuf_passphrase_file=secret(tmp_path, "passphrase")).start()
    server.publish(OLD)
    stock = client(server)
    for path in (server.data / "keys" / "main").glob("*.key"):
        assert json.loads(path.read_text())["kind"] == "sealed"
        assert (path.stat().st_mode & 0o777, "private" in path.read_text()) == (0o600, False)
    assert "root becomes version 2" in server.cli("tuf", "rotate", "online").stdout
    follows(server, stock)
    server.stop()
    # Another passphrase: what stands is served, nothing is published, and the log says why.
    secret(tmp_path, "passphrase", "wrong horse battery")
    server.start()
    assert stock.refresh().download(page_path("demo")) == served(server, "demo")
    assert "published" not in server.upload(NEW).text
    assert "another passphrase" in server.log()
    server.stop()
    secret(tmp_path, "passphrase")
    server.start()
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="what waited for the passphrase")
    assert_sound(server)


def test_a_plain_key_is_sealed_later_and_a_holders_key_needs_its_passphrase(make_server, tmp_path):
    known = secret(tmp_path, "passphrase")
    server = make_server(tuf_bins=4, tuf_passphrase_file=known)
    server.settings.pop("TIDEWAITER_TUF_PASSPHRASE_FILE")
    server.start().publish(OLD)
    server.stop()
    for path in (server.data / "keys" / "main").glob("*.key"):
        assert json.loads(path.read_text())["kind"] == "file"
        alone("tuf", "seal", path, "--passphrase-file", known)
        assert json.loads(path.read_text())["kind"] == "sealed"
    server.settings["TIDEWAITER_TUF_PASSPHRASE_FILE"] = str(known)
    server.start().publish(NEW)
    # Nobody gets a key in clear by accident, and none is overwritten.
    assert "--plain" in alone("tuf", "key", tmp_path / "no.key", ok=False).stderr
    ann = holder(tmp_path, "ann", "--passphrase-file", known)
    assert "is there already" in alone("tuf", "key", ann.key, "--plain", ok=False).stderr
    bob, cid = holder(tmp_path, "bob"), holder(tmp_path, "cid")
    named = [part for person in (ann, bob, cid) for part in ("--holder", person.public)]
    event = server.cli("tuf", "init", "--profile", "team", *named).stdout
    [signed] = signed_by(tmp_path, event, bob)
    copy = tmp_path / "copy.event"
    copy.write_text(event)
    refused = alone("tuf", "sign", copy, "--key", ann.key, ok=False)
    assert "no passphrase was given" in refused.stderr
    with known.open() as stdin:
        said = alone("tuf", "sign", copy, "--key", ann.key, "--passphrase-stdin", stdin=stdin).stdout
    assert "1 of 2 have signed" in said
    server.cli("tuf", "submit", copy, signed)
    assert server.get("/tuf/2.root.json").status == 200


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A real token of SoftHSM in a folder of this test's own, and what makes a key in it."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    made = run(
        ["softhsm2-util", "--init-token", "--free", "--label", "tidewaiter", "--so-pin", "8765", "--pin", PIN],
        env=clean_env(),
    )
    assert made.returncode == 0, made.stderr
    pin = secret(tmp_path, "pin", PIN)
    options = ["--pkcs11", SOFTHSM, "--token", "tidewaiter", "--passphrase-file", pin]
    return SimpleNamespace(pin=pin, options=options)


@pytest.mark.parametrize("curve", ["ed25519", "ecdsa"])
def test_a_token_holds_the_online_key(make_server, client, tmp_path, token, curve):
    """Into the token by the way of a standby; from then on no file of the server holds what signs."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    in_token = holder(tmp_path, "hsm", *token.options, "--curve", curve, "--keep-pin-file")
    assert "private" not in in_token.key.read_text()
    again = alone("tuf", "key", tmp_path / "again.key", *token.options, "--curve", curve).stdout
    assert again == in_token.public.read_text(), "a key of this name is made once"
    server.cli("tuf", "standby", in_token.public)
    before = online_keyids(server)
    said = server.cli("tuf", "rotate", "online", "--standby", in_token.key).stdout
    assert "signs from now on" in said and before[0] in said
    assert online_keyids(server) != before
    server.publish(NEW)
    follows(server, stock)
    server.stop()
    server.start()
    server.publish(wheel(version="3.0"))
    follows_on = stock.refresh()
    assert len(follows_on.page("demo")["files"]) == 3
    assert_sound(server)
    # A PIN that is wrong is said, and nothing is published.
    token.pin.write_text("0000\n")
    server.start()
    assert "published" not in server.upload(wheel(version="4.0")).text
    wait_until(lambda: "the PIN is wrong" in server.log(), what="the reason")


def test_people_sign_with_their_tokens(make_server, client, tmp_path, token):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    people = [
        holder(tmp_path, "ann", *token.options, "--name", "ann"),
        holder(tmp_path, "bob", *token.options, "--name", "bob", "--curve", "ecdsa"),
        holder(tmp_path, "cid"),
    ]
    named = [part for person in people for part in ("--holder", person.public)]
    event = server.cli("tuf", "init", "--profile", "team", *named).stdout
    copies = signed_by(tmp_path, event, *people[:2], options=["--passphrase-file", token.pin])
    server.cli("tuf", "submit", *copies, "--profile", "team")
    follows(server, stock)
    wrong = secret(tmp_path, "wrong-pin", "9999")
    refused = alone("tuf", "sign", copies[0], "--key", people[0].key, "--passphrase-file", wrong, ok=False)
    assert refused.returncode == 1 and "the PIN is wrong" in refused.stderr


def make_team(server, tmp_path, profile="team"):
    people = [holder(tmp_path, name) for name in ("ann", "bob", "cid")]
    named = [part for person in people for part in ("--holder", person.public)]
    event = server.cli("tuf", "init", "--profile", profile, *named).stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[:2]), "--profile", profile)
    return people


def test_what_is_submitted_twice_is_in_force_and_blocks_nothing(make_server, client, tmp_path):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    people = make_team(server, tmp_path)
    copies = [tmp_path / f"{person.name}.event" for person in people[:2]]
    for _ in range(2):
        again = server.cli("tuf", "submit", *copies, "--profile", "team")
        assert "in force already" in again.stdout, again.stdout
    assert server.get("/readyz").json()["warnings"] == []
    assert "put aside" not in server.cli("tuf", "status").stdout
    # The next ceremony goes on.
    event = server.cli("tuf", "renew").stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[1:]))
    assert server.get("/tuf/3.root.json").status == 200
    follows(server, stock)
    assert_sound(server)


def test_a_lost_online_key_is_loud_and_no_standby(make_server, client, tmp_path):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    [lost] = online_keyids(server)
    server.stop()
    (server.data / "keys" / "main" / "online.key").rename(tmp_path / "online.key")
    server.start()
    told = server.cli("tuf", "status", ok=False)
    assert told.returncode == 1 and "standby   none" in told.stdout and f"LOST      {lost[:12]}" in told.stdout
    doctor = server.cli("doctor", ok=False)
    assert doctor.returncode == 1 and lost in doctor.stdout and "rotate online" in doctor.stdout
    assert lost in str(server.get("/readyz").json()["warnings"])
    assert "tidewaiter_tuf_warnings 1\n" in server.get("/metrics").text
    # Another one takes its place, and its trust.
    said = server.cli("tuf", "rotate", "online").stdout
    assert f"timestamp loses the key {lost}" in said
    assert lost not in keys_of(server, "timestamp", 2) and online_keyids(server) != [lost]
    assert server.cli("tuf", "status").returncode == 0
    server.publish(NEW)
    follows(server, stock)
    assert_sound(server)


def test_a_lost_key_of_the_log_is_loud(make_server, tmp_path):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    server.stop()
    key, kept = server.data / "keys" / "main" / "log.key", tmp_path / "log.key"
    key.rename(kept)
    server.start()
    assert "published" not in server.upload(NEW).text
    told = server.cli("tuf", "status", ok=False)
    assert told.returncode == 1 and "signs the log, and is not in the data folder" in told.stdout, told.stdout
    doctor = server.cli("doctor", ok=False)
    assert doctor.returncode == 1 and "the key of its log" in doctor.stdout, doctor.stdout
    assert "the key of its log" in str(server.get("/readyz").json()["warnings"])
    assert "tidewaiter_tuf_warnings 1\n" in server.get("/metrics").text
    kept.rename(key)
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="what waited for the key")
    assert server.cli("tuf", "status").returncode == 0
    assert_sound(server)


def test_a_file_that_is_no_key_sends_nobody_to_revoke_one(make_server):
    server = make_server(tuf_bins=4).start()
    junk = server.data / "keys" / "main" / "junk.key"
    junk.write_text("junk")
    told, doctor = server.cli("tuf", "status", ok=False), server.cli("doctor", ok=False)
    for done in (told, doctor):
        assert done.returncode == 1 and "junk.key: is no key" in done.stdout, done
        assert "LOST" not in done.stdout and "rotate online" not in done.stdout, done.stdout
    junk.unlink()
    assert server.cli("tuf", "status").returncode == 0
    unknown = server.cli("tuf", "status", "--in", "nosuch", ok=False)
    assert (unknown.returncode, unknown.stdout) == (1, "") and "There is no index 'nosuch'." in unknown.stderr, unknown


def test_people_who_hold_the_root_are_not_replaced_by_a_key_in_the_data_folder(make_server, client, tmp_path):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    people = {name: holder(tmp_path, name) for name in ("a", "b", "c", "t1", "t2", "b1", "b2")}
    option = lambda flag, *names: [part for name in names for part in (flag, people[name].public)]
    apart = [*option("--targets-holder", "t1", "t2"), *option("--bins-holder", "b1", "b2")]
    event = server.cli("tuf", "init", "--profile", "pep458", *option("--holder", "a", "b"), *apart).stdout
    copies = signed_by(tmp_path, event, *(people[name] for name in ("a", "b", "t1", "t2", "b1", "b2")))
    server.cli("tuf", "submit", *copies, "--profile", "pep458")
    keys = sorted((server.data / "keys" / "main").iterdir())
    rotate = lambda *options: server.cli("tuf", "rotate", "root", *options, ok=False)
    refused = rotate()
    assert refused.returncode == 1 and "--holder FILE" in refused.stderr and "--threshold N" in refused.stderr
    assert sorted((server.data / "keys" / "main").iterdir()) == keys, "no key was made"
    assert "none of them shares" in rotate(*option("--holder", "a", "t1")).stderr
    assert "none of them shares" in rotate(*option("--holder", "a"), "--threshold", "1").stderr
    root = server.get("/tuf/2.root.json").json()["signed"]
    online = root["keys"][root["roles"]["timestamp"]["keyids"][0]]
    file = tmp_path / "online.pub"
    public = {"keytype": online["keytype"], "scheme": online["scheme"], "public": online["keyval"]["public"]}
    file.write_text(json.dumps(public))
    assert "is an online key" in rotate("--holder", file, *option("--holder", "a")).stderr
    event = rotate(*option("--holder", "b", "c")).stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, people["a"], people["b"], people["c"]))
    assert server.get("/tuf/3.root.json").status == 200


def test_an_event_names_its_profile_and_who_has_signed(make_server, tmp_path):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    people = [holder(tmp_path, name) for name in ("ann", "bob", "cid")]
    named = [part for person in people for part in ("--holder", person.public)]
    made = server.cli("tuf", "init", "--profile", "team", *named)
    ids = {line.removeprefix("key id ") for line in alone("tuf", "key", tmp_path / "d.key", "--plain").stderr.split("\n")}
    assert any(len(one) == 64 for one in ids), ids
    assert json.loads(made.stdout)["profile"] == "team" and "0 of 2 have signed" in made.stderr
    copies = signed_by(tmp_path, made.stdout, *people[:2])
    assert "the profile becomes team" in alone("tuf", "show", copies[0]).stdout
    one = server.cli("tuf", "submit", copies[0])
    assert "1 of 2 have signed" in one.stderr and "nothing is changed yet" in one.stderr
    refused = server.cli("tuf", "submit", *copies, "--profile", "pep458", ok=False)
    assert refused.returncode == 1 and "made for the profile team" in refused.stderr
    # Whoever writes another profile into the file gets no further.
    for copy in copies:
        copy.write_text(copy.read_text().replace('"profile":"team"', '"profile":"pep458"'))
    refused = server.cli("tuf", "submit", *copies, ok=False)
    assert refused.returncode == 1 and "none of them shares" in refused.stderr
    assert "profile dev" in server.cli("tuf", "status").stdout
    for copy in copies:
        copy.write_text(copy.read_text().replace('"profile":"pep458"', '"profile":"team"'))
    server.cli("tuf", "submit", *copies)
    assert "profile team" in server.cli("tuf", "status").stdout
    assert_sound(server)


@pytest.mark.parametrize("text", ["", "{", '{"tidewaiter-event": 1}'])
def test_a_damaged_event_is_named_once(make_server, tmp_path, text):
    ann = holder(tmp_path, "ann")
    event = tmp_path / "broken.event"
    event.write_text(text)
    server = make_server(tuf_bins=4).start()
    for done in (
        alone("tuf", "sign", event, "--key", ann.key, ok=False),
        alone("tuf", "show", event, ok=False),
        server.cli("tuf", "submit", event, ok=False),
    ):
        assert done.returncode == 1 and done.stderr.count("broken.event") == 1, done.stderr
        assert done.stderr.count("no signing event") == 1 and len(done.stderr.strip().split("\n")) == 1, done.stderr
        reason = done.stderr.strip().rsplit("no signing event: ", 1)[1]
        assert done.stderr.count(reason) == 1


@pytest.mark.parametrize("kind", ["twice", "foreign"])
def test_what_can_never_be_taken_over_is_put_aside(make_server, client, tmp_path, kind):
    """As an older version left it, or whoever wrote the ledger: the reason is told, and the next ceremony goes on."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    people = make_team(server, tmp_path)
    server.stop()
    with sqlite3.connect(server.data / "index.db") as ledger:
        rows = ledger.execute("SELECT body FROM offline_roles WHERE role = 'root' ORDER BY version").fetchall()
        root = rows[-1 if kind == "twice" else 0][0].decode()
        left = {"profile": "team", "root": root, "targets": None, "bins": None, "actor": "operator"}
        ledger.execute("UPDATE repositories SET pending = ?", (json.dumps(left),))
    server.start()
    server.publish(NEW)
    status = server.cli("tuf", "status", ok=False)
    if kind == "foreign":
        wait_until(lambda: "put aside" in str(server.get("/readyz").json()["warnings"]), 20, what="the warning")
        status = server.cli("tuf", "status", ok=False)
        assert status.returncode == 1 and "put aside" in status.stdout and "do not follow on those in force" in status.stdout
        assert server.cli("doctor", ok=False).returncode == 1
        with sqlite3.connect(server.data / "index.db") as ledger:
            assert ledger.execute("SELECT COUNT(*) FROM audit WHERE action = 'tuf.put_aside'").fetchone() == (1,)
    else:
        assert status.returncode == 0, status.stdout
    event = server.cli("tuf", "renew").stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[1:]))
    assert "put aside" not in server.cli("tuf", "status").stdout
    follows(server, stock)
    assert_sound(server)


@pytest.mark.parametrize("lost", [False, True])
def test_a_standby_takes_over_by_one_command_and_nobodys_signature(make_server, client, tmp_path, lost):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD, sdist("other"))
    people = make_team(server, tmp_path)
    stock = client(server)
    known = secret(tmp_path, "passphrase")
    standby = holder(tmp_path, "standby", "--passphrase-file", known)
    assert "standby   none" in server.cli("tuf", "status").stdout
    event = server.cli("tuf", "standby", standby.public).stdout
    bins = sorted(path.name for path in (server.data / "blobs/main/site/tuf").glob("*.bin-*.json"))
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[1:]))
    after = sorted(path.name for path in (server.data / "blobs/main/site/tuf").glob("*.bin-*.json"))
    assert bins == after, "a key that comes on top makes no signature bad"
    status = server.cli("tuf", "status").stdout
    newest = server.get("/tuf/3.root.json").json()["signed"]["roles"]["timestamp"]
    assert newest["threshold"] == 1 and len(newest["keyids"]) == 2
    [before] = online_keyids(server)
    [other] = [keyid for keyid in newest["keyids"] if keyid != before]
    assert f"standby   {other[:12]}" in status
    if lost:
        server.stop()
        [path.unlink() for path in (server.data / "keys" / "main").glob("online*.key")]
        server.start()
        assert "published" not in server.upload(NEW).text
    refused = server.cli("tuf", "rotate", "online", "--standby", people[0].key, ok=False)
    assert refused.returncode == 1 and "is no standby" in refused.stderr
    refused = server.cli("tuf", "rotate", "online", "--standby", standby.key, ok=False)
    assert "no passphrase was given" in refused.stderr
    # The one command.
    server.cli("tuf", "rotate", "online", "--standby", standby.key, "--passphrase-file", known)
    assert online_keyids(server) == [other]
    server.upload(NEW)
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="the publication by the standby")
    stock.refresh()
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    # The old key's file may come back from a backup: it signs nothing any more, also after a restart.
    folder = server.data / "keys" / "main"
    assert lost or [path.name for path in folder.glob("*.retired")]
    [path.rename(path.with_suffix(".key")) for path in folder.glob("*.retired")]
    server.stop()
    server.start().publish(wheel(version="3.0"))
    assert online_keyids(server) == [other]
    told = server.cli("tuf", "status", ok=False)
    assert told.returncode == 1 and f"put aside {before[:12]}: still trusted" in told.stdout
    assert "still trusted" in str(server.get("/readyz").json()["warnings"])
    # People revoke it, and authorise the next standby by the same event.
    following = holder(tmp_path, "following", "--passphrase-file", known)
    root = server.get("/tuf/3.root.json").json()["signed"]

    def refused_as_standby(keyid):
        key, path = root["keys"][keyid], tmp_path / "taken.pub"
        path.write_text(json.dumps({"keytype": key["keytype"], "scheme": key["scheme"], "public": key["keyval"]["public"]}))
        done = server.cli("tuf", "standby", path, ok=False)
        assert done.returncode == 1, done.stdout
        return done.stderr

    assert "lies in the data folder" in refused_as_standby(other)
    event = server.cli("tuf", "standby", following.public).stdout
    assert f"loses the key {before}" in event
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[:2]))
    follows(server, stock)
    trusted = keys_of(server, "timestamp", 4)
    assert before not in trusted and other in trusted and len(trusted) == 2
    # What was taken away comes back by no event, wherever its file is.
    assert "was trusted before, and taken away" in refused_as_standby(before)
    assert "put aside" not in server.cli("tuf", "status").stdout
    assert_sound(server)


def test_profile_pep458_wants_independent_keys_and_clients_follow(make_server, client, tmp_path):
    server = make_server(tuf_bins=16).start()
    server.publish(OLD)
    stock = client(server)
    people = {name: holder(tmp_path, name) for name in ("a", "b", "c", "t1", "t2", "b1", "b2")}
    option = lambda flag, *names: [part for name in names for part in (flag, people[name].public)]
    root = ["tuf", "init", "--profile", "pep458", *option("--holder", "a", "b", "c")]
    assert "none of them shares" in server.cli(*root, ok=False).stderr
    shared = [*option("--targets-holder", "t1", "t2"), *option("--bins-holder", "t1", "b2")]
    assert "none of them shares" in server.cli(*root, *shared, ok=False).stderr
    single = [*option("--targets-holder", "t1", "t2"), *option("--bins-holder", "b1"), "--bins-threshold", "1"]
    assert "none of them shares" in server.cli(*root, *single, ok=False).stderr
    apart = [*option("--targets-holder", "t1", "t2"), *option("--bins-holder", "b1", "b2")]
    event = server.cli(*root, *apart).stdout
    needed = [people[name] for name in ("c", "b2", "t1", "a", "t2", "b1")]
    copies = signed_by(tmp_path, event, *needed)
    # Any order, and not one fewer.
    left = json.loads(server.cli("tuf", "submit", *copies[:-1]).stdout)
    assert any("bins" in line and "1 of 2 have signed" in line for line in left["standing"]), left["standing"]
    assert stock.refresh().versions()["root.json"] == 1
    server.cli("tuf", "submit", *reversed(copies), "--profile", "pep458")
    follows(server, stock)
    status = server.cli("tuf", "status").stdout
    assert "profile pep458" in status and "bins      version 2" in status and "2 of" in status
    # From then on the PEP's lifetimes: a bin is good for a day.
    server.publish(NEW)
    stock.refresh()
    stamp = server.get("/tuf/timestamp.json").json()["signed"]
    listed = server.get(f"/tuf/{stamp['meta']['snapshot.json']['version']}.snapshot.json").json()["signed"]["meta"]
    bins = [server.get(f"/tuf/{meta['version']}.{name}").json() for name, meta in listed.items() if "bin-" in name]
    assert len(bins) == 16 and max(one["signed"]["expires"] for one in bins) <= stamp["expires"]
    # After a theft the people of each role are named, the same ones too.
    recover = ["tuf", "recover", "--good-snapshot", stamp["meta"]["snapshot.json"]["version"]]
    assert "--targets-holder" in server.cli(*recover, ok=False).stderr
    thief = online_keyids(server)
    event = server.cli(*recover, *apart).stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *needed))
    follows(server, stock)
    assert not set(thief) & set(online_keyids(server)) and "profile pep458" in server.cli("tuf", "status").stdout
    assert_sound(server)


def test_signing_needs_one_file_and_no_network(make_server, tmp_path):
    """An event on a machine apart: the program alone, an empty environment, no socket of any kind."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    known = secret(tmp_path, "passphrase")
    ann = holder(tmp_path, "ann", "--passphrase-file", known)
    event = tmp_path / "one.event"
    people = [ann, holder(tmp_path, "bob"), holder(tmp_path, "cid")]
    named = [part for person in people for part in ("--holder", person.public)]
    event.write_text(server.cli("tuf", "init", "--profile", "team", *named).stdout)
    trace = tmp_path / "trace"
    watch = ["strace", "-f", "-qq", "-e", "trace=network", "-o", trace]
    command = [*watch, binary(), "tuf", "sign", event, "--key", ann.key, "--passphrase-file", known]
    done = run(command, env={"PATH": os.environ["PATH"]}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    calls = [line for line in trace.read_text().splitlines() if "socketpair" not in line and "exited" not in line]
    assert calls == []
    file = json.loads(event.read_text())
    assert any("root becomes version 2" in line for line in file["words"])
    assert any("1 of 2 have signed" in line for line in file["standing"])
    shown = alone("tuf", "show", event).stdout
    assert "for paper: root SHA-256 " in shown and all(line in shown for line in file["words"] + file["standing"])
    # Words that are not those of the roles are refused before anybody signs.
    file["words"][0] = file["words"][0].replace("version 2", "version 3")
    event.write_text(json.dumps(file))
    assert "description" in alone("tuf", "show", event, ok=False).stderr


class Thief:
    """Has the online key, and serves what it signs with it."""

    def __init__(self, server):
        self.site = server.data / "blobs" / "main" / "site"
        [keyid] = online_keyids(server)
        stolen = map(Key.stolen, (server.data / "keys" / "main").glob("online*.key"))
        [self.key] = [key for key in stolen if key.id == keyid]
        self.files = {f"/tuf/{one.name}": one.read_bytes() for one in (self.site / "tuf").glob("*.json")}

    def role(self, path):
        return json.loads(self.files[path])["signed"]

    def put(self, path, body):
        self.files[path] = sign(body, self.key)

    def attack(self, project, page, ahead):
        """Another page, under versions far ahead of everything."""
        timestamp = self.role("/tuf/timestamp.json")
        snapshot = self.role(f"/tuf/{timestamp['meta']['snapshot.json']['version']}.snapshot.json")
        path = page_path(project)
        for name, meta in snapshot["meta"].items():
            if not name.startswith("bin-"):
                continue
            body = self.role(f"/tuf/{meta['version']}.{name}")
            if path in body["targets"]:
                body["targets"][path] = {"length": len(page), "hashes": {"sha256": sha256(page)}}
            meta["version"] = body["version"] = body["version"] + ahead
            self.put(f"/tuf/{body['version']}.{name}", body)
        snapshot["version"] += ahead
        self.put(f"/tuf/{snapshot['version']}.snapshot.json", snapshot)
        data = self.files[f"/tuf/{snapshot['version']}.snapshot.json"]
        meta = {"version": snapshot["version"], "length": len(data), "hashes": {"sha256": sha256(data)}}
        timestamp |= {"version": timestamp["version"] + ahead, "meta": {"snapshot.json": meta}}
        self.put("/tuf/timestamp.json", timestamp)
        folder, _, name = path.rpartition("/")
        self.files[f"/tuf/targets/{folder}/{sha256(page)}.{name}"] = page
        return self


def ours(tmp_path, url, root, name="ours"):
    """Our own client, by its conformance command line."""
    folder = tmp_path / name
    options = ["tuf-client", "--metadata-dir", folder]
    if not folder.exists():
        folder.mkdir()
        first = tmp_path / f"{name}.root.json"
        first.write_bytes(root)
        alone(*options, "init", first)
    target = ["--target-name", page_path("demo"), "--target-base-url", f"{url}/tuf/targets/", "--target-dir", folder]
    return alone(*options, "--metadata-url", f"{url}/tuf/", *target, "download", ok=False)


@pytest.mark.parametrize("profile", ["dev", "team"])
@pytest.mark.parametrize("ahead", [1_000, 10_000_000])
def test_recovery_after_the_online_key_was_stolen(make_server, client, tmp_path, profile, ahead):
    """The thief pushes versions ahead (a fast-forward attack) and shows another page. Clients that believed it follow the
    new root, below the thief's versions or above."""
    server = make_server(tuf_bins=16).start()
    server.publish(OLD, sdist("other"))
    people = make_team(server, tmp_path) if profile == "team" else []
    good = server.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]
    stock = client(server)
    assert ours(tmp_path, server.url, stock.root).returncode == 0
    thief = Thief(server).attack("demo", b'{"files": [], "evil": true}', ahead)
    host = Host(thief.files)
    elsewhere = SimpleNamespace(url=host.url.rstrip("/"))
    stock.server = elsewhere
    assert stock.refresh().page("demo")["evil"], "the attack works, or the test shows nothing"
    assert ours(tmp_path, elsewhere.url, stock.root).returncode == 0
    stock.server = server
    with pytest.raises(RepositoryError):
        stock.refresh()
    assert ours(tmp_path, server.url, stock.root).returncode == 1

    server.publish(NEW)
    done = server.cli("tuf", "recover", "--good-snapshot", good)
    said = done.stdout
    if profile == "team":
        assert any("leave out 1048576" in line for line in json.loads(said)["words"])
        # Those who sign see what was found, on the server and on their own machines.
        assert "new since, uploaded" in done.stderr and NEW.filename in done.stderr
        (tmp_path / "found.event").write_text(said)
        shown = alone("tuf", "show", tmp_path / "found.event").stdout
        assert "not signed: new since, uploaded" in shown and NEW.filename in shown
        server.cli("tuf", "submit", *signed_by(tmp_path, said, people[2], people[0]))
    else:
        assert "new since, uploaded" in said and NEW.filename in said
        assert "files are as they list them" in said and "leave out 1048576" in said
    # Under the new root versions may be lower than the thief's: clients drop what the revoked key signed.
    stock.refresh()
    assert stock.download(page_path("demo")) == served(server, "demo")
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    assert ours(tmp_path, server.url, stock.root).returncode == 0
    assert min(stock.versions()[name] for name in ("timestamp.json", "snapshot.json")) > 1_048_576
    # Whatever the thief signs from now on is worth nothing.
    roots = {f"/tuf/{n}.root.json": server.get(f"/tuf/{n}.root.json").body for n in (2, 3)}
    thief.files |= {path: body for path, body in roots.items() if body and b"signatures" in body}
    again = Host(thief.attack("demo", b'{"files": [], "evil": true}', 10**9).files)
    stock.server = SimpleNamespace(url=again.url.rstrip("/"))
    with pytest.raises(RepositoryError):
        stock.refresh()
    assert "refused" in ours(tmp_path, again.url.rstrip("/"), stock.root).stderr
    assert server.cli("tuf", "audit", "--mirror", server.url).returncode == 0
    assert server.cli("tuf", "audit", "--mirror", host.url, ok=False).returncode == 1
    [one.close() for one in (host, again)]
    assert_sound(server)


def test_recovery_holds_what_contradicts_the_good_snapshot(make_server, client, tmp_path):
    """Whoever wrote the ledger too: a file's bytes under another digest, a row of the signed targets."""
    server = make_server(tuf_bins=16).start()
    server.publish(OLD, sdist("other"))
    good = server.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]
    stock = client(server)
    kept = tmp_path / "mirror"
    run(["cp", "-r", server.data / "blobs/main/site/tuf", kept])
    paper = on_paper(server, good)
    server.publish(NEW)
    server.stop()
    evil = "0" * 64
    with sqlite3.connect(server.data / "index.db") as ledger:
        ledger.execute("UPDATE files SET sha256 = ? WHERE filename = ?", (evil, OLD.filename))
        row = "INSERT INTO targets SELECT index_id, 7, 'p/00/evil/evil-1.0.tar.gz', 5, ?, NULL FROM targets LIMIT 1"
        ledger.execute(row, (evil,))
    server.start()
    told = server.cli("tuf", "audit", ok=False)
    assert told.returncode == 1
    assert "p/00/evil/evil-1.0.tar.gz: is signed, and published state knows nothing" in told.stdout
    assert OLD.filename in told.stdout
    # A bin that whoever has the online key signed anew, of the version that the good snapshot names: only paper knows.
    other, thief = tmp_path / "other", Key.stolen(server.data / "keys" / "main" / "online.key")
    run(["cp", "-r", kept, other])
    for name, meta in json.loads((kept / f"{good}.snapshot.json").read_text())["signed"]["meta"].items():
        bin_n = json.loads((other / f"{meta['version']}.{name}").read_text())["signed"]
        if any(path.endswith(OLD.filename) for path in bin_n["targets"]):
            next(file for path, file in bin_n["targets"].items() if path.endswith(OLD.filename))["hashes"]["sha256"] = evil
            (other / f"{meta['version']}.{name}").write_bytes(sign(bin_n, thief))
    for folder in (kept / "nowhere", other, kept):
        recover = ["tuf", "recover", "--good-snapshot", good, "--from", folder, "--paper", paper, "--hold-new"]
        done = server.cli(*recover, ok=False)
        assert (done.returncode == 0) == (folder == kept), done.stderr
        assert (f"{paper} is on paper: these are not the files" in done.stderr) == (folder == other), done.stderr
    assert f"ALTERED: {OLD.filename}: was {OLD.sha256}, is {evil}" in done.stdout
    assert f"held: {OLD.filename}" in done.stdout and f"held: {NEW.filename}" in done.stdout
    held = server.cli("verdicts", "show", NEW.filename).stdout
    assert "waits until a person clears it" in held and "it is not the file" not in held, held
    assert "WRONG ROW, not what published state says: p/00/evil/evil-1.0.tar.gz" in done.stdout
    assert f"snapshot {good} and its bins have the SHA-256 {paper}" in done.stdout
    assert server.filenames("demo") == []
    stock.refresh()
    assert stock.page("demo")["files"] == [] and stock.info(file_path("demo", OLD.filename)) is None
    assert stock.info("p/00/evil/evil-1.0.tar.gz") is None
    # A person clears what was new and is sound.
    server.cli("verdicts", "decide", NEW.filename, "clear")
    wait_until(lambda: server.filenames("demo") == [NEW.filename], what="the release")
    stock.refresh()
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    assert audit(server) == "main: 16 bins, 2 projects, 0 wrong\n"
    # A copy that somebody changed is no good snapshot.
    forged = json.loads((kept / f"{good}.snapshot.json").read_text())
    forged["signed"]["version"] += 1
    (kept / f"{good + 1}.snapshot.json").write_text(json.dumps(forged))
    done = server.cli("tuf", "recover", "--good-snapshot", good + 1, "--from", kept, ok=False)
    assert done.returncode == 1 and "no root of this index's ledger trusts" in done.stderr


def on_paper(server, snapshot):
    """What `tuf status` gives for paper of the snapshot in force, made once more as the page says."""
    [line] = [line for line in server.cli("tuf", "status", ok=False).stdout.splitlines() if "for paper" in line]
    _, _, _, number, *_, digest = line.split()
    assert int(number) == snapshot
    meta = server.get(f"/tuf/{snapshot}.snapshot.json").json()["signed"]["meta"]
    names = {name.removesuffix(".json"): one["version"] for name, one in meta.items()} | {"snapshot": snapshot}
    [names.pop(role) for role in ("targets", "bins")]
    files = {name: server.get(f"/tuf/{version}.{name}.json").body for name, version in names.items()}
    lines = "".join(f"{name} {names[name]} {sha256(files[name])}\n" for name in sorted(names))
    assert sha256(lines.encode()) == digest
    return digest


def audit(server, *options):
    done = server.cli("tuf", "audit", *options, ok=False)
    assert done.returncode == (0 if done.stdout.endswith(" 0 wrong\n") else 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("running", [True, False])
def test_an_audit_names_every_difference(make_server, running):
    server = make_server(tuf_bins=8).start()
    server.publish(OLD, NEW, sdist("other"))
    server.cli("tuf", "rotate", "online")
    if not running:
        server.stop()
    assert audit(server) == "main: 8 bins, 2 projects, 0 wrong\n"
    site = server.data / "blobs" / "main" / "site"
    newest = lambda pattern: max((site / "tuf").glob(pattern), key=lambda path: int(path.name.split(".")[0]))
    page = next((site / "tuf" / "targets" / "simple").rglob("demo/*.index.json"))
    for path, word in [
        (newest("*.bin-3.json"), "bin-3.json: is not what the ledger says"),
        (newest("*.snapshot.json"), "snapshot.json: is not what the ledger says"),
        (site / "tuf" / "1.root.json", "1.root.json: is not what the ledger says"),
        (site / "files" / OLD.sha256[:2] / OLD.sha256 / OLD.filename, f"{OLD.filename}: its bytes have the SHA-256"),
    ]:
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        found = audit(server)
        assert word in found and found.endswith(", 1 wrong\n"), found
        path.unlink()
        assert audit(server).endswith(", 1 wrong\n")
        path.write_bytes(whole)
    assert page.is_file() and audit(server).endswith(", 0 wrong\n")


def test_an_audit_walks_a_mirror(make_server):
    server = make_server(tuf_bins=8).start()
    server.publish(OLD, NEW, sdist("other"))
    honest = audit(server, "--mirror", server.url)
    assert honest.endswith("2 projects, 5 files at the mirror, 0 wrong\n"), honest
    thief = Thief(server)
    base = dict(thief.files)

    def mirror(files, alter=None):
        host = Host(files)
        if alter:
            host.alter = alter
        try:
            return audit(server, "--mirror", host.url)
        finally:
            host.close()

    def relay(path, data):
        return data if data is not None else (server.get(path).body if server.get(path).status == 200 else None)

    assert mirror(base, relay).endswith("5 files at the mirror, 0 wrong\n")
    other = lambda path, data: b"tampered" if path.endswith(OLD.filename) else relay(path, data)
    assert "is not the file that is signed" in mirror(base, other)
    missing = lambda path, data: None if path.endswith(NEW.filename) else relay(path, data)
    assert f"{NEW.filename}: is not there" in mirror(base, missing)
    strange = {**base, "/tuf/2.root.json": base["/tuf/1.root.json"]}
    assert "a root version 2 that the ledger does not know" in mirror(strange, relay)
    thief.attack("demo", b"{}", 5)
    assert "was never made here" in mirror(thief.files, relay)
    # The same version, signed by whoever has the key.
    twin = Thief(server)
    twin.put("/tuf/timestamp.json", twin.role("/tuf/timestamp.json") | {"x-more": "1"})
    assert "timestamp: version" in mirror(twin.files, relay)
    assert mirror(twin.files, relay).endswith(", 1 wrong\n")
    # A mirror that is behind is judged by its age, not here.
    server.publish(wheel(version="3.0"))
    assert mirror(base, relay).endswith("5 files at the mirror, 0 wrong\n")

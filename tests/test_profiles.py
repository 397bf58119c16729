"""What each profile asks of those who hold the offline roles, and what is said where a key is lost or in two places."""

import json
import sys

import pytest

from harness import binary, run, wait_until
from packages import wheel
from signed_index import Key
from test_durability import assert_sound
from test_keys import alone, holder, make_team, online_keyids, secret, signed_by
from test_tuf import client, follows  # noqa: F401 (a fixture)

OLD, NEW = wheel(version="1.0"), wheel(version="2.0")


def named(people, flag="--holder"):
    return [part for person in people for part in (flag, person.public)]


def public_of(server, folder, role="timestamp", version=1):
    """The public half of the first key of a role, as a file that might be a person's."""
    root = server.get(f"/tuf/{version}.root.json").json()["signed"]
    key = root["keys"][root["roles"][role]["keyids"][0]]
    path = folder / f"{role}-{version}.pub"
    public = {"keytype": key["keytype"], "scheme": key["scheme"], "public": key["keyval"]["public"]}
    path.write_text(json.dumps(public))
    return path


def keys(server):
    return sorted(path.name for path in (server.data / "keys" / "main").iterdir())


def test_a_persons_key_is_not_the_servers(make_server, client, tmp_path):  # noqa: F811
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    before = keys(server)
    people = [holder(tmp_path, name) for name in ("fay", "gus", "hal")]
    team = ["tuf", "init", "--profile", "team"]
    for role, says in [("timestamp", "is an online key, and cannot hold root too"), ("root", "lies in the data folder")]:
        taken = public_of(server, tmp_path, role)
        refused = server.cli(*team, *named(people[:2]), "--holder", taken, ok=False)
        assert refused.returncode == 1 and says in refused.stderr, refused.stderr
    online = public_of(server, tmp_path)
    others = [holder(tmp_path, name) for name in ("dan", "eve")]
    for flag, role in [("--targets-holder", "targets"), ("--bins-holder", "bins")]:
        more = [*named(others, flag), flag, online, flag.replace("holder", "threshold"), "2"]
        refused = server.cli(*team, *named(people), *more, ok=False)
        assert refused.returncode == 1 and f"is an online key, and cannot hold {role} too" in refused.stderr
    # Under another spelling it is the same key.
    spelt = json.loads(online.read_text())
    online.write_text(json.dumps({**spelt, "public": spelt["public"].upper()}))
    refused = server.cli(*team, *named(people[:2]), "--holder", online, ok=False)
    assert refused.returncode == 1 and "is an online key" in refused.stderr
    twice = [*named(people[:1]), "--holder", people[0].public, *named(people[1:2])]
    assert server.cli(*team, *twice, ok=False).returncode == 1, "one person twice is one person"
    # An event that was made elsewhere is held against the same rules when it comes back.
    assert keys(server) == before, "what was refused made no key"
    people = make_team(server, tmp_path)
    follows(server, stock)
    refused = server.cli("tuf", "standby", people[0].public, ok=False)
    assert refused.returncode == 1 and "holds root, and cannot be an online key too" in refused.stderr
    recover = ["tuf", "recover", "--good-snapshot", "1", *named(people[:2]), "--holder", public_of(server, tmp_path, version=2)]
    assert "is an online key" in server.cli(*recover, ok=False).stderr
    assert server.cli("tuf", "status").returncode == 0
    assert_sound(server)


@pytest.mark.parametrize("count, threshold, says", [(3, 1, "1 of 3"), (2, 2, "2 of 2"), (1, 1, "1 of 1")])
def test_a_team_is_nobody_alone_and_one_to_spare(make_server, tmp_path, count, threshold, says):
    server = make_server(tuf_bins=4).start()
    people = [holder(tmp_path, str(n)) for n in range(count)]
    refused = server.cli("tuf", "init", "--profile", "team", *named(people), "--threshold", threshold, ok=False)
    assert refused.returncode == 1 and says in refused.stderr and "two of three for instance" in refused.stderr
    # Nor by an event that names another profile than the one it was made for.
    others = [holder(tmp_path, f"other-{n}") for n in range(6)]
    apart = [*named(others[2:4], "--targets-holder"), *named(others[4:], "--bins-holder")]
    event = server.cli("tuf", "init", "--profile", "pep458", *named(others[:2]), *apart).stdout
    event = event.replace('"profile":"pep458"', '"profile":"team"')
    refused = server.cli("tuf", "submit", *signed_by(tmp_path, event, *others), ok=False)
    assert refused.returncode == 1 and "2 of 2" in refused.stderr, refused.stderr
    assert "profile dev" in server.cli("tuf", "status").stdout


def test_dev_keeps_its_keys_in_the_data_folder(make_server, client, tmp_path):  # noqa: F811
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    assert "profile dev" in server.cli("tuf", "init").stdout, "nothing to do: it says how it stands"
    ann = holder(tmp_path, "fay")
    refused = server.cli("tuf", "rotate", "root", "--holder", ann.public, "--threshold", "1", ok=False)
    assert refused.returncode == 1 and "tuf init --profile team" in refused.stderr
    version = server.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]
    refused = server.cli("tuf", "recover", "--good-snapshot", version, "--holder", ann.public, "--threshold", "1", ok=False)
    assert refused.returncode == 1 and "hand over first" in refused.stderr
    make_team(server, tmp_path)
    follows(server, stock)
    # There is no way back, and that is said rather than a status shown.
    for options in [[], ["--profile", "dev"]]:
        refused = server.cli("tuf", "init", *options, ok=False)
        assert refused.returncode == 1 and refused.stdout == ""
        assert "People hold the root of 'main' (2 of 3, profile team), and there is no way back to dev" in refused.stderr


def test_what_an_option_cannot_change_is_refused(make_server, tmp_path):
    server = make_server(tuf_bins=4).start()
    fay, passphrase = holder(tmp_path, "fay"), tmp_path / "passphrase"
    passphrase.write_text("correct horse battery")
    left = keys(server)
    for command in [
        ["rotate"],
        ["rotate", "both"],
        ["rotate", "online", "--holder", fay.public],
        ["rotate", "online", "--threshold", "3"],
        ["rotate", "online", "--passphrase-file", passphrase],
        ["rotate", "root", "--passphrase-file", passphrase],
        ["rotate", "root", "--standby", fay.key],
        ["rotate", "root", "--threshold", "3"],
        ["init", "--profile", "home"],
        ["init", "--profile", "dev", "--bins-holder", fay.public],
        ["init", "--profile", "dev", "--threshold", "1"],
        ["init", "--targets-threshold", "1"],
    ]:
        refused = server.cli("tuf", *command, ok=False)
        assert refused.returncode != 0 and refused.stdout == "", (command, refused)
    assert keys(server) == left and server.get("/tuf/2.root.json").status == 404, "something was done after all"


def test_a_lost_offline_key_is_no_person(make_server, client, tmp_path):  # noqa: F811
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    stock = client(server)
    [lost] = server.get("/tuf/1.root.json").json()["signed"]["roles"]["root"]["keyids"]
    kept = server.data / "keys" / "main" / "offline.key"
    kept.rename(tmp_path / "offline.key")
    left = keys(server)
    people = [holder(tmp_path, name) for name in ("ann", "bob", "cid")]
    for command in [
        ["rotate", "root"],
        ["rotate", "online"],
        ["renew"],
        ["rebin", "8"],
        ["init", "--profile", "team", *named(people)],
        ["standby", people[0].public],
    ]:
        refused = server.cli("tuf", *command, ok=False)
        assert refused.returncode == 1 and refused.stdout == "", (command, refused.stdout)
        assert f"The key {lost}, which holds offline roles of 'main' (profile dev)" in refused.stderr, refused.stderr
        assert "bring it back from a backup" in refused.stderr and "People hold" not in refused.stderr
    assert keys(server) == left, "no key was made"
    told = server.cli("tuf", "status", ok=False)
    assert told.returncode == 1 and f"LOST      {lost[:12]}: holds offline roles" in told.stdout
    assert lost in str(server.get("/readyz").json()["warnings"]) and lost in server.cli("doctor", ok=False).stdout
    # What is signed all day goes on meanwhile.
    server.publish(NEW)
    assert len(stock.refresh().page("demo")["files"]) == 2
    (tmp_path / "offline.key").rename(kept)
    assert "root becomes version 2" in server.cli("tuf", "rotate", "root").stdout
    assert server.cli("tuf", "status").returncode == 0
    follows(server, stock)
    assert_sound(server)


def test_a_key_in_a_file_is_of_one_kind(tmp_path):
    """A curve that is asked for is made, or refused: never another one."""
    sealed = secret(tmp_path, "passphrase")
    for how in [["--plain"], ["--passphrase-file", sealed]]:
        refused = run([binary(), "tuf", "key", tmp_path / "x.key", *how, "--curve", "ecdsa"])
        assert refused.returncode == 1 and "--curve ecdsa is for a key in a token" in refused.stderr, refused.stderr
        assert not (tmp_path / "x.key").exists()
    made = alone("tuf", "key", tmp_path / "y.key", "--plain", "--curve", "ed25519").stdout
    assert json.loads(made)["keytype"] == "ed25519"


def handed_over(make_server, folder):
    """An index of three people, a root that each keeps, and a renewal that nobody has signed."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    people = make_team(server, folder)
    root = folder / "root.json"
    root.write_bytes(server.get("/tuf/1.root.json").body)
    return server, people, root, json.loads(server.cli("tuf", "renew").stdout)


def written(folder, event, change, name="changed.event"):
    """The event with its roles changed by somebody on its way, in words that fit."""
    event = json.loads(json.dumps(event))
    for part in event["parts"]:
        part["signatures"] = []
    change(event, {part["role"]: part["signed"] for part in event["parts"]})
    path = folder / name
    path.write_text(json.dumps(event))
    return path


def told(path, *options):
    return alone("tuf", "show", path, *options, ok=False)


def test_an_event_that_says_more_than_its_words_is_refused(make_server, tmp_path):
    server, people, _, honest = handed_over(make_server, tmp_path)
    thief = Key()
    [online] = honest["parts"][0]["signed"]["roles"]["timestamp"]["keyids"]

    def material(event, signed):
        signed["root"]["keys"][online] = thief.public
        signed["bins"]["delegations"]["keys"][online] = thief.public

    def plain_names(event, signed):
        signed["root"]["consistent_snapshot"] = False

    def fewer_paths(event, signed):
        signed["targets"]["delegations"]["roles"][0]["path_hash_prefixes"] = ["0"]

    def another_role(event, signed):
        signed["root"]["roles"]["mirrors"] = {"keyids": [thief.id], "threshold": 1}

    for change, says in [
        (material, "is another one: its id is"),
        (plain_names, "says something that it is not told in words"),
        (fewer_paths, "says something that it is not told in words"),
        (another_role, "says something that it is not told in words"),
    ]:
        path = written(tmp_path, honest, change)
        for done in (
            told(path),
            alone("tuf", "sign", path, "--key", people[0].key, ok=False),
            server.cli("tuf", "submit", path, ok=False),
        ):
            assert done.returncode == 1 and says in done.stderr, (change, done.stdout, done.stderr)
    for text in ("ok\nfor paper: root SHA-256 " + "0" * 64, "ok\x1b[8A\x1b[2KROOT BECOMES HARMLESS"):
        path = written(tmp_path, honest, lambda event, signed: event.update(notes=[text]))
        assert told(path).returncode == 1 and "control characters" in told(path).stderr
    assert server.get("/tuf/3.root.json").status == 404


def test_what_stood_before_is_no_word_of_whoever_made_the_event(make_server, tmp_path):
    _, _, root, honest = handed_over(make_server, tmp_path)
    thief = Key()
    path = written(tmp_path, honest, lambda event, signed: None, "honest.event")
    said = told(path, "--root", root)
    assert said.returncode == 0 and "goes on from your root, version 1" in said.stdout
    assert "NOT CHECKED" in told(path).stdout and "NOT CHECKED" not in said.stdout
    # Everything that is trusted is told, also what stays.
    for role, keys in honest["parts"][0]["signed"]["roles"].items():
        assert all(f"root: {role} keeps the key {keyid}" in said.stdout for keyid in keys["keyids"]), role

    def into(role, key):
        role["keyids"] = [*role["keyids"], key.id]

    def trusted(event, signed):
        """Where the thief was trusted all along, it seems, and signs for the past himself."""
        past = event["previous"]
        for top, bins in ((signed["root"], signed["bins"]), (past["roots"][-1]["signed"], past["bins"]["signed"])):
            top["keys"][thief.id] = thief.public
            bins["delegations"]["keys"][thief.id] = thief.public
            [into(top["roles"][role], thief) for role in ("timestamp", "snapshot")]
            into(bins["delegations"]["succinct_roles"], thief)

    # The signatures of the past do not fit any more.
    done = told(written(tmp_path, honest, trusted, "forged.event"))
    assert done.returncode == 1 and "what it says stood before is not signed as it must be" in done.stderr, done.stderr
    # A past that is whole in itself, and made up: crates/tuf/tests/it/events.rs.


def test_an_event_for_other_roles_than_those_in_force_is_made_anew(make_server, tmp_path):
    server, people, root, honest = handed_over(make_server, tmp_path)
    late = signed_by(tmp_path, json.dumps(honest), *people[:2], options=["--root", root])
    kept = [path.read_text() for path in late]
    event = server.cli("tuf", "rotate", "online").stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[1:]))
    for path, text in zip(late, kept):
        path.write_text(text)
    refused = server.cli("tuf", "submit", *late, ok=False)
    assert refused.returncode == 1 and "do not follow on those in force" in refused.stderr, refused.stderr
    # Another index's root is none of those that it goes on from.
    other = make_server(tuf_bins=4).start()
    other.publish(OLD)
    strange = tmp_path / "other.json"
    strange.write_bytes(other.get("/tuf/1.root.json").body)
    for done in (told(late[0], "--root", strange), alone("tuf", "sign", late[0], "--key", people[2].key, "--root", strange, ok=False)):
        assert done.returncode == 1 and "does not go on from this root" in done.stderr, done.stderr
    assert_sound(server)


def test_a_recovery_brings_keys_that_nobody_had(make_server, tmp_path):
    """Those of a proposal that was never signed were in the folder when it was stolen."""
    server, people, root, _ = handed_over(make_server, tmp_path)
    server.cli("tuf", "rotate", "online")
    stolen = Key.stolen(server.data / "keys" / "main" / "online-3.key")
    assert f"unused    {stolen.id[:12]}: online-3.key" in server.cli("tuf", "status").stdout
    version = server.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]
    event = server.cli("tuf", "recover", "--good-snapshot", version).stdout
    server.cli("tuf", "submit", *signed_by(tmp_path, event, *people[:2], options=["--root", root]))
    assert stolen.id not in server.get("/tuf/3.root.json").text
    assert online_keyids(server) != [stolen.id]
    # The next proposal puts aside what can come no more.
    server.cli("tuf", "renew")
    assert "online-3.retired" in keys(server) and "unused    " + stolen.id[:12] not in server.cli("tuf", "status").stdout
    assert_sound(server)


def test_what_signs_in_another_process_cannot_hold_the_publisher_up(make_server, tmp_path):
    """It answers, and then for once closes its output and stays: said in the log, and over once the tool is mended."""
    key, hang = Key(), tmp_path / "hang"
    tool = tmp_path / "tool.py"
    tool.write_text(
        "import os, sys, time\n"
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey\n"
        "message = sys.stdin.buffer.read()\n"
        f"if os.path.exists({str(hang)!r}):\n"
        "    os.close(1)\n"
        "    time.sleep(600)\n"
        f"seed = bytes.fromhex({key.private.private_bytes_raw().hex()!r})\n"
        "print(Ed25519PrivateKey.from_private_bytes(seed).sign(message).hex())\n"
    )
    public = {"keytype": "ed25519", "scheme": "ed25519", "public": key.public["keyval"]["public"]}
    (tmp_path / "tool.pub").write_text(json.dumps(public))
    (tmp_path / "tool.key").write_text(json.dumps({"kind": "process", **public, "command": [sys.executable, str(tool)]}))
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    server.cli("tuf", "standby", tmp_path / "tool.pub")
    server.cli("tuf", "rotate", "online", "--standby", tmp_path / "tool.key")
    assert online_keyids(server) == [key.id]
    hang.touch()
    assert "published" not in server.upload(NEW).text
    wait_until(lambda: "took longer than 30 seconds" in server.log(), 60, "the reason in the log")
    hang.unlink()
    wait_until(lambda: NEW.filename in server.filenames("demo"), 90, "what waited for the tool")
    assert_sound(server)

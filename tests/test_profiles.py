"""What each profile asks of those who hold the offline roles, and what is said where a key is lost or in two places."""

import json

import pytest

from harness import run, binary
from packages import wheel
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

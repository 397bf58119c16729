"""Servers that witness each other's logs, and one that lies."""

import json
import shutil
import time
from http.server import BaseHTTPRequestHandler

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import merkle
from harness import binary, free_port, on_loopback, run, wait_until
from packages import sdist, wheel
from signed_index import DAY
from test_client import release
from test_durability import assert_sound
from test_log import bound, monitor, root_of, world  # noqa: F401 (fixture)

OLD = wheel(version="1.0")
NEW = wheel(version="2.0")


def keys_of(server):
    """The verifier keys of the log and of the witness, as the operator hands them out."""
    return dict(line.split(" ", 1) for line in server.cli("log", "keys").stdout.splitlines())


def start_at(server, port, **options):
    server.fixed = port
    server.spawn(arguments=("--listen", f"127.0.0.1:{port}"), **options)
    wait_until(server._answers, 30, "the server to answer")
    return server


def introduce(*servers):
    """Stops them, tells each of all others, and starts them where the others look for them."""
    keys, ports = [keys_of(one) for one in servers], [free_port() for _ in servers]
    for server in servers:
        server.stop()
    for n, (server, port) in enumerate(zip(servers, ports)):
        others = [m for m in range(len(servers)) if m != n]
        server.settings["TIDEWAITER_WITNESS_LOGS"] = ", ".join(keys[m]["log"] for m in others)
        asked = [f"{keys[m]['witness']} http://127.0.0.1:{ports[m]}/tlog" for m in others]
        server.settings["TIDEWAITER_WITNESS_ASK"] = ", ".join(asked)
        start_at(server, port)
    return keys


def witnessed(server):
    """The size of the tree that is served with cosignatures, and the note."""
    answer = server.get("/tlog/witnessed")
    return (int(answer.text.splitlines()[1]), answer.body) if answer.status == 200 else (None, b"")


def is_witnessed(server):
    return witnessed(server)[0] == bound(server)["size"]


def looks(root, server, policy, state, *arguments):
    return monitor(root, server, "--witnesses", policy, *arguments, state=state)


def test_two_servers_witness_each_other(make_server, tmp_path):
    one, two = make_server(tuf_bins=4).start(), make_server(tuf_bins=4).start()
    root = root_of(one, tmp_path)
    keys = introduce(one, two)
    one.publish(OLD)
    two.publish(sdist("other"))
    for server, own, other in ((one, keys[0], keys[1]), (two, keys[1], keys[0])):
        wait_until(lambda: is_witnessed(server), 30, "the witness's signature")
        size, note = witnessed(server)
        assert merkle.open_checkpoint(note, own["log"])[:2] == (bound(server)["origin"], size)
        assert abs(merkle.cosigned_at(note, other["witness"]) - time.time()) < 600
    answer = one.get("/tlog/witnessed")
    assert answer.headers["cache-control"] == "no-cache"
    # A client that asks for the witness's word, and one that asks for the word of somebody else too.
    seen = looks(root, one, f"1:{keys[1]['witness']}", "asks", "--format", "json")
    told = [json.loads(line) for line in seen.stdout.splitlines()]
    assert seen.returncode == 1 and [event["act"] for event in told] == ["owner", "publish", "seen"], seen
    assert told[-1]["witness"] == keys[1]["witness"].split("+")[0] and told[-1]["size"] == bound(one)["size"]
    both = f"2:{keys[0]['witness']},{keys[1]['witness']}"
    refused = looks(root, one, both, "asks-more")
    assert (refused.returncode, refused.stdout) == (2, ""), refused
    assert "refused: 1 of 2 witnesses had seen the log within the last half hour, and 2 are asked for" in refused.stderr
    assert looks(root, one, both.replace("2:", "1:", 1), "asks-more").returncode == 1
    # What was seen is remembered for those who work offline.
    for policy, code in ((f"1:{keys[1]['witness']}", 0), (f"1:{keys[0]['witness']}", 2)):
        assert looks(root, one, policy, "asks", "--offline").returncode == code, policy
    # Publishing never waits for a witness, and what it missed is shown to it later.
    port = two.fixed
    two.stop()
    one.publish(NEW)
    assert one.running() and not is_witnessed(one)
    start_at(two, port)
    wait_until(lambda: is_witnessed(one), 60, "the witness's signature")
    assert "the log was not cosigned" in one.log()
    assert_sound(one)
    assert_sound(two)


def test_a_witness_refuses_the_twin_that_lies(make_server, tmp_path):
    """Two servers with one past and one set of keys: what one of them showed the witness, the other cannot unsay."""
    honest, witness = make_server(tuf_bins=4).start(), make_server(tuf_bins=4).start()
    root = root_of(honest, tmp_path)
    honest.publish(OLD)
    honest.stop()
    liar = make_server(tuf_bins=4)
    shutil.rmtree(liar.data, ignore_errors=True)
    shutil.copytree(honest.data, liar.data)
    honest.start()
    keys = introduce(honest, witness)
    honest.publish(NEW)
    wait_until(lambda: is_witnessed(honest), 30, "the witness's signature")
    policy = f"1:{keys[1]['witness']}"
    assert looks(root, honest, policy, "one").returncode == 1
    # Longer than the honest log and than what the witness saw, and of another past.
    liar.settings["TIDEWAITER_WITNESS_ASK"] = honest.settings["TIDEWAITER_WITNESS_ASK"]
    liar.start()
    liar.publish(wheel(version="3.0"), sdist("other"), wheel("third", "1.0"))
    wait_until(lambda: "does not join the two trees" in liar.log(), 30, "the witness's refusal")
    assert witnessed(liar) == (None, b"")
    name = keys[1]["witness"].split("+")[0]
    doctor = liar.cli("doctor", ok=False)
    assert doctor.returncode == 1 and f"the witness {name} does not cosign the log: it answers 422" in doctor.stdout, doctor
    wait_until(lambda: name in str(liar.get("/readyz").json()["warnings"]), 30, "the warning")
    assert 'tidewaiter_witnesses_silent{index="main"} 1' in liar.get("/metrics").text
    assert "witness" not in honest.cli("doctor", ok=False).stdout and "witnesses_silent{" not in honest.get("/metrics").text
    told = looks(root, liar, policy, "another")
    assert (told.returncode, told.stdout) == (2, "") and "0 of 1 witnesses had seen the log" in told.stderr, told
    # Nothing of the lie was remembered: the same client goes on with the honest one.
    assert looks(root, honest, policy, "another").returncode == 1
    assert is_witnessed(honest)


class LogByHand:
    """A log that is not ours, whose key can sign anything."""

    def __init__(self):
        self.private = Ed25519PrivateKey.generate()
        self.origin = "log.example/by-hand"
        self.key = merkle.verifier(self.origin, self.private.public_key().public_bytes_raw())

    def shows(self, server, entries, old, proof=None, private=None, origin=None):
        note = merkle.sign_checkpoint(origin or self.origin, entries, private or self.private)
        proof = merkle.consistency(entries, old) if proof is None else proof
        return server.request("POST", "/tlog/add-checkpoint", merkle.add_checkpoint(old, proof, note))


def entries(count, word="entry"):
    return [f"{word} {n}\n".encode() for n in range(count)]


def test_a_witness_never_signs_two_pasts(make_server):
    log = LogByHand()
    server = make_server(tuf_bins=4, witness_logs=log.key).start()
    ours = keys_of(server)["witness"]

    def signed(answer, seen):
        assert answer.status == 200, answer.text
        note = merkle.sign_checkpoint(log.origin, seen, log.private) + answer.text
        assert merkle.cosigned_at(note.encode(), ours) is not None

    signed(log.shows(server, entries(3), 0), entries(3))
    signed(log.shows(server, entries(300), 3), entries(300))
    signed(log.shows(server, entries(300), 300), entries(300))

    def refusals():
        fork = [*entries(299), b"another\n"]
        longer = [*fork, *entries(5)]
        yield "a rollback", log.shows(server, entries(3), 3), 409
        yield "a rollback that claims to go on", log.shows(server, entries(200), 300), 400
        yield "a rollback from the beginning", log.shows(server, entries(3), 0), 409
        yield "a fork of the same size", log.shows(server, fork, 300), 409
        yield "a fork of the same size with a proof", log.shows(server, fork, 300, merkle.consistency(longer, 300)), 409
        yield "a longer fork", log.shows(server, longer, 300), 422
        yield "a longer fork, an honest proof", log.shows(server, longer, 300, merkle.consistency(entries(305), 300)), 422
        yield "no proof", log.shows(server, entries(305), 300, []), 422
        yield "too long a proof", log.shows(server, entries(305), 300, [b"\0" * 32] * 64), 400
        yield "an old size that is not the last", log.shows(server, entries(305), 299), 409
        yield "another key", log.shows(server, entries(305), 300, private=Ed25519PrivateKey.generate()), 403
        yield "another log", log.shows(server, entries(305), 300, origin="log.example/unknown"), 404
        for body in (b"", b"old 300\n", b"old 0300\n\n", b"\xff" * 300, b"old 300\n\n" + b"x" * (200 << 10)):
            yield body[:20], server.request("POST", "/tlog/add-checkpoint", body), 400

    for _ in range(2):
        for what, answer, status in refusals():
            assert answer.status == status, f"{what}: {answer.status} {answer.text}"
            assert "—" not in answer.body.decode(), f"{what} was signed"
            if status == 409:
                assert answer.headers["content-type"] == "text/x.tlog.size" and answer.text == "300\n", what
        # What it saw survives it.
        server.kill()
        server.start()
    signed(log.shows(server, entries(305), 300), entries(305))
    assert server.get("/tlog/add-checkpoint").status == 405


def test_what_is_signed_is_remembered_before(make_server):
    """Killed between the two: the signature was given to nobody, and no other tree gets one."""
    log = LogByHand()
    server = make_server(tuf_bins=4, witness_logs=log.key).start()
    assert log.shows(server, entries(3), 0).status == 200
    server.stop()
    server.start(failpoint="log.witnessed:1")
    with pytest.raises(OSError):
        log.shows(server, entries(4), 3)
    server.wait_killed()
    server.start()
    fork = [*entries(3), b"another\n"]
    assert log.shows(server, fork, 3).status == 409
    assert log.shows(server, fork, 4).status == 409
    assert log.shows(server, entries(4), 4).status == 200


def test_a_server_has_one_memory_whichever_index_is_asked(make_server):
    log = LogByHand()
    server = make_server(tuf_bins=4, witness_logs=log.key).start()
    server.cli("index", "create", "team")
    fork = [*entries(2), b"another\n"]

    def shows(prefix, seen, old):
        note = merkle.sign_checkpoint(log.origin, seen, log.private)
        body = merkle.add_checkpoint(old, merkle.consistency(seen, old), note)
        return server.request("POST", f"{prefix}/tlog/add-checkpoint", body)

    assert shows("", entries(3), 0).status == 200
    for prefix in ("/i/team", ""):
        for old in (0, 3):
            refused = shows(prefix, fork, old)
            assert (refused.status, refused.text) == (409, "3\n"), prefix
    # Both go on from what either has seen.
    assert shows("/i/team", entries(5), 3).status == 200
    assert shows("", entries(4), 3).status == 409
    assert shows("", entries(6), 5).status == 200


def test_what_a_witness_answers_paints_nothing(make_server):
    """Its words are shown to the operator: on one line, with nothing that a terminal acts on."""

    class Painter(BaseHTTPRequestHandler):
        def do_POST(self):
            body = b"\x1b[2J\x1b[Hall is well\nmain: everything is sound"
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    other = make_server(tuf_bins=4).start()
    other.publish(wheel(version="1.0"))
    key = keys_of(other)["witness"]
    host = on_loopback(Painter)
    server = make_server(tuf_bins=4)
    server.settings["TIDEWAITER_WITNESS_ASK"] = f"{key} http://127.0.0.1:{host.server_port}/tlog"
    server.start().publish(wheel(version="1.0"))
    wait_until(lambda: "it answers 400" in server.cli("doctor", ok=False).stdout, what="the witness's words")
    said = server.cli("doctor", ok=False).stdout
    assert "\x1b" not in said and "main: everything is sound" not in said.splitlines()
    assert "it answers 400: \\u001b[2J\\u001b[Hall is well\\u000amain: everything is sound" in said
    host.shutdown()


def test_a_recovery_gives_the_log_another_key(make_server, tmp_path):
    """Who stole the keys has the log's too, and could have witnesses cosign a past of his own, for ever."""
    one, two = make_server(tuf_bins=4).start(), make_server(tuf_bins=4).start()
    old, _ = introduce(one, two)
    one.publish(OLD)
    wait_until(lambda: is_witnessed(one), what="a signature")
    root, policy = root_of(one, tmp_path), f"1:{keys_of(two)['witness']}"
    assert looks(root, one, policy, "state").returncode == 1
    stolen = json.loads((one.data / "keys" / "main" / "log.key").read_text())["private"]
    stolen = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(stolen))
    before, size = bound(one), bound(one)["size"]
    version = one.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]
    one.cli("tuf", "recover", "--good-snapshot", version)
    after = bound(one)
    assert after["key"] != before["key"] and after["origin"] != before["origin"]
    assert (after["size"], after["root"]) == (before["size"], before["root"]), "the same entries"
    assert keys_of(one)["log"] == after["key"] and after["key"] != old["log"]
    assert one.get("/tlog/witnessed").status == 404
    # The thief's own tree is cosigned under the old name, and harms nobody: the log has another.
    seen = merkle.unbundle(one.get(f"/tlog/tile/entries/000.p/{size}").body)
    longer = [*seen, seen[-1]]
    note = merkle.sign_checkpoint(before["origin"], longer, stolen)
    taken = two.request("POST", "/tlog/add-checkpoint", merkle.add_checkpoint(size, merkle.consistency(longer, size), note))
    assert taken.status == 200, taken.text
    one.publish(NEW)
    wait_until(lambda: "it answers 404" in one.cli("doctor", ok=False).stdout, what="the witness that lacks the key")
    # With the new key in its settings, the witness goes on.
    two.stop()
    two.settings["TIDEWAITER_WITNESS_LOGS"] = keys_of(one)["log"]
    start_at(two, two.fixed)
    wait_until(lambda: is_witnessed(one), 60, what="a signature under the new key")
    done = run([binary(), "verify", NEW.write(tmp_path), "--index", one.url, "--root", root, "--state", tmp_path / "state"])
    assert done.returncode == 0 and "the holders of the root have replaced the online key" in done.stderr, done.stderr
    assert one.cli("tuf", "audit", "--mirror", one.url).stdout.endswith(" 0 wrong\n")
    for server in (one, two):
        assert_sound(server)


class ByHand:
    """A witness by hand of the log of an index that is not ours."""

    name = "witness.example"

    def __init__(self, world):  # noqa: F811
        self.world, self.private = world, Ed25519PrivateKey.generate()
        self.options = ["--witnesses", f"1:{merkle.witness_key(self.name, self.private)}"]

    def host(self, seen, seconds=0):
        """The index as it is, and the witness's word on these entries, given so many seconds from now."""
        note = merkle.sign_checkpoint("test/log", seen, self.world.index.log_key.private)
        host = self.world.host()
        at = int(time.time()) + seconds
        host.files["/tlog/witnessed"] = merkle.cosign(note, self.name, self.private, at).encode()
        return host


def test_what_the_witnesses_have_seen_in_time_and_nothing_else(world):  # noqa: F811
    """Entries that only this client is shown are believed for half an hour, however often an older tree is cosigned."""
    witness, log = ByHand(world), list(world.index.log)
    more = {"options": witness.options}
    world.installs("pip-current", witness.host(log), "demo", expected={"demo": "2.0"}, **more)
    world.index.logs("publish", release(world.index, wheel("demo", "3.0"))).commit()
    world.installs("pip-current", witness.host(log), "demo", expected={"demo": "3.0"}, **more)
    for place in (seen := list(world.folder.rglob("log/seen.json"))):
        kept = json.loads(place.read_text())
        assert kept["ahead"]["size"] == len(log) + 1 and abs(kept["ahead"]["since"] - time.time()) < 600
        kept["ahead"]["since"] -= 1_860
        place.write_text(json.dumps(kept))
    assert len(seen) == 1
    says = "the witnesses have seen 2 entries of the log, and more than half an hour ago 3 were shown here"
    world.refuses("pip-current", witness.host(log), "demo", says=says, **more)
    # A log that grows on is no way out; the witness's word is.
    world.index.logs("publish", world.new, "other").commit()
    world.refuses("pip-current", witness.host(log), "demo", says=says, **more)
    for _ in range(2):
        host = witness.host(world.index.log[:3])
        world.installs("pip-current", host, "demo", expected={"demo": "3.0"}, **more)
    assert json.loads(seen[0].read_text())["ahead"]["size"] == 4


def test_a_witnesss_word_counts_at_its_time(world):  # noqa: F811
    witness = ByHand(world)
    for seconds in (-1_900, 3_600, DAY):
        host = witness.host(world.index.log, seconds)
        world.refuses("uv-current", host, "demo", says="0 of 1 witnesses had seen", options=witness.options)
    for seconds in (-1_700, 300):
        host = witness.host(world.index.log, seconds)
        world.installs("uv-current", host, "demo", expected={"demo": "2.0"}, options=witness.options)


def test_settings_that_cannot_be_meant(make_server):
    log = LogByHand().key
    for setting, text, says in (
        ("WITNESS_LOGS", "nonsense", "not a verifier key"),
        ("WITNESS_ASK", f"{log} http://127.0.0.1:1/tlog", "this is the key of a log"),
        ("WITNESS_ASK", log, "a space, and where"),
    ):
        server = make_server()
        server.settings[f"TIDEWAITER_{setting}"] = text
        done = run([binary(), "serve", "--data", server.data], env=server.env())
        assert done.returncode == 1 and says in done.stderr, done.stderr
    for policy in ("3:x", f"1:{log}", "0:", "perhaps", "2:a,b"):
        done = run([binary(), "monitor", "--index", "http://127.0.0.1:1", "--witnesses", policy])
        assert done.returncode == 2 and "--witnesses" in done.stderr, done.stderr

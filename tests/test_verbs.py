"""What people do to a project, by command and by API: the same verbs, the same effects."""

import json

import pytest

from harness import JSON, wait_until
from packages import sdist, wheel

OLD, NEW, SOURCE = wheel("demo", "1.0"), wheel("demo", "2.0"), sdist("demo", "2.0")


class Verbs:
    """One way to give the verbs."""

    def __init__(self, server, way):
        self.server, self.way = server, way

    def __call__(self, verb, **body):
        """Whether it was done."""
        if self.way == "api":
            answer = self.server.verb(f"projects/demo/{verb}", body)
            assert answer.status in (200, 400, 404, 409), answer.text
            return answer.status == 200
        if verb == "status":
            arguments = ["status", "demo", body["status"]]
        elif verb == "roles":
            role = body.get("role")
            arguments = ["role", "demo", "add" if role else "remove", body["user"], *([role] if role else [])]
        else:
            arguments = [verb, "demo", *([body["version"]] if "version" in body else [])]
            arguments += ["--file", body["file"]] if "file" in body else []
        arguments += ["--reason", body["reason"]] if body.get("reason") else []
        return self.server.cli("project", *arguments, ok=False).returncode == 0


@pytest.fixture(params=["api", "cli"])
def stage(request, server):
    server = server()
    server.publish(OLD, NEW, SOURCE)
    return server, Verbs(server, request.param)


def yanked(server):
    return {file["filename"]: file["yanked"] for file in server.page("demo")["files"]}


def test_a_change_is_seen_when_the_verb_has_answered(stage):
    server, do = stage
    for n in range(5):
        assert do("yank", version="1.0", reason=f"r{n}")
        assert yanked(server)[OLD.filename] == f"r{n}"
    assert do("status", status="archived")
    assert server.page("demo")["project-status"]["status"] == "archived"


def test_a_token_restricted_to_a_project_gives_no_roles(server):
    server = server()
    server.publish(OLD)
    server.user("bob")
    narrow = server.new_token("admin", "--project", "demo")
    assert server.verb("projects/demo/roles", {"user": "bob", "role": "owner"}, token=narrow).status == 403
    assert server.verb("projects/demo/yank", {"version": "1.0"}, token=narrow).status == 200


def test_yank_and_unyank_a_release(stage):
    server, do = stage
    assert do("yank", version="2.0", reason="bad")
    wait_until(lambda: yanked(server) == {OLD.filename: False, NEW.filename: "bad", SOURCE.filename: "bad"}, what="yank")
    # It holds for files that come later too.
    later = wheel("demo", "2.0", build="1", files={"later.py": b""})
    server.publish(later)
    assert yanked(server)[later.filename] == "bad"
    assert 'data-yanked="bad"' in server.get("/simple/demo/").text
    assert server.get("/pypi/demo/2.0/json").json()["info"]["yanked_reason"] == "bad"
    assert server.get("/pypi/demo/json").json()["info"]["version"] == "1.0"
    assert server.fetch("demo", NEW.filename) == NEW.data
    assert not do("unyank", file=NEW.filename), "the whole release is yanked"
    assert do("unyank", version="2.0")
    wait_until(lambda: not any(yanked(server).values()), what="unyank")


def test_yank_one_file(stage):
    server, do = stage
    assert do("yank", file=SOURCE.filename)
    wait_until(lambda: yanked(server)[SOURCE.filename] is True, what="yank")
    assert yanked(server)[NEW.filename] is False
    assert do("unyank", file=SOURCE.filename)
    wait_until(lambda: yanked(server)[SOURCE.filename] is False, what="unyank")
    assert not do("yank", reason="no target")
    assert not do("yank", version="7.0") and not do("yank", file="other.whl")
    assert not do("yank", version="2.0", reason="two\nlines") and not do("yank", version="2.0", reason="x" * 513)


def test_remove(stage):
    server, do = stage
    urls = {file["filename"]: file["url"].removeprefix("../..") for file in server.page("demo")["files"]}
    assert do("remove", file=SOURCE.filename)
    wait_until(lambda: server.filenames("demo") == [OLD.filename, NEW.filename], what="removal of a file")
    wait_until(lambda: server.get(urls[SOURCE.filename]).status == 404, what="its bytes")
    assert do("remove", version="2")
    wait_until(lambda: server.page("demo")["versions"] == ["1.0"], what="removal of a release")
    assert server.get("/pypi/demo/2.0/json").status == 404
    assert do("remove")
    wait_until(lambda: server.filenames("demo") == [], what="removal of everything")
    assert not do("remove")
    assert server.get("/pypi/demo/json").status == 404
    for package in (OLD, NEW, SOURCE):
        wait_until(lambda: server.get(urls[package.filename]).status == 404, what="the bytes")
        assert server.get(urls[package.filename] + ".metadata").status == 404
        refused = server.upload(package)
        assert refused.status == 400 and "previously used" in refused.reason
    assert server.cli("scrub").returncode == 0
    server.stop()
    assert server.cli("rebuild").stdout.endswith(" 0 written, 0 removed, 0 moved\n")


def test_archived_and_deprecated(stage):
    server, do = stage
    assert do("status", status="archived", reason="see other")
    status = lambda: server.page("demo")["project-status"]
    wait_until(lambda: status() == {"status": "archived", "reason": "see other"}, what="status")
    assert '<meta name="pypi:project-status" content="archived">' in server.get("/simple/demo/").text
    refused = server.upload(wheel("demo", "3.0"))
    assert refused.status == 403 and "archived" in refused.reason
    assert server.upload(OLD).status == 200, "the same bytes again are still no error"
    assert server.fetch("demo", OLD.filename) == OLD.data
    assert do("status", status="deprecated")
    wait_until(lambda: status() == {"status": "deprecated"}, what="status")
    assert server.upload(wheel("demo", "3.0")).status == 200


def test_quarantine(stage):
    server, do = stage
    before = server.page("demo")
    urls = [file["url"].removeprefix("../..") for file in before["files"]]
    assert do("status", status="quarantined", reason="looked at")
    wait_until(lambda: server.page("demo")["project-status"]["status"] == "quarantined", what="quarantine")
    page = server.page("demo")
    assert (page["files"], page["versions"]) == ([], [])
    for url in urls:
        wait_until(lambda: server.get(url).status == 404, what="the bytes")
        assert server.get(url + ".metadata").status == 404
    for path in ("/pypi/demo/json", "/pypi/demo/1.0/json"):
        assert server.get(path).status == 404
    refused = server.upload(wheel("demo", "3.0"))
    assert refused.status == 403 and "quarantine" in refused.reason
    listed = lambda: "demo" in [project["name"] for project in server.get("/simple/", Accept=JSON).json()["projects"]]
    wait_until(lambda: not listed(), what="the list without it")
    assert "/project/demo/" not in server.get("/projects/?q=dem").text
    assert server.cli("scrub").returncode == 0
    assert do("status", status="active")
    wait_until(lambda: server.page("demo")["files"] == before["files"], what="its end")
    wait_until(listed, what="the list with it")
    assert "/project/demo/" in server.get("/projects/?q=dem").text
    for package in (OLD, NEW, SOURCE):
        wait_until(lambda: server.fetch("demo", package.filename) == package.data, what="the bytes")


def test_roles(stage):
    server, do = stage
    token = server.user("ann")
    package = wheel("demo", "3.0")
    assert server.upload(package, token=token).status == 403
    assert do("roles", user="ann", role="maintainer")
    assert server.upload(package, token=token).status == 200
    assert server.verb("projects/demo/remove", {"version": "3.0"}, token).status == 403
    owners = lambda: server.get("/pypi/demo/json").json()["ownership"]["roles"]
    wait_until(lambda: {"role": "Maintainer", "user": "ann"} in owners(), what="the role")
    assert do("roles", user="ann")
    assert not do("roles", user="ann")
    assert not do("roles", user="admin"), "the last owner stays"
    assert server.upload(wheel("demo", "4.0"), token=token).status == 403


def test_revoke_by_api(server):
    server = server()
    token = server.user("ann")
    ids = [line.split("\t")[:2] for line in server.cli("token", "list").stdout.splitlines()]
    mine = next(id_ for id_, user in ids if user == "ann")
    admins = next(id_ for id_, user in ids if user == "admin")
    assert server.verb(f"tokens/{admins}/revoke", token=token).status == 404
    assert server.verb(f"tokens/{mine}/revoke", token=token).json() == {"revoked": mine}
    assert server.verb(f"tokens/{mine}/revoke", token=token).status == 403
    assert server.upload(wheel(), token=token).status == 403
    # A restart does not forget it.
    server.stop()
    server.start()
    assert server.upload(wheel(), token=token).status == 403


def test_bad_bodies(server):
    server = server()
    server.publish(OLD)
    fields = {"Authorization": f"Bearer {server.token}"}
    for body, status in (
        ("{", 400),
        ("[]", 400),
        (json.dumps({"version": 1}), 400),
        (json.dumps({"nonsense": 1}), 400),
        (json.dumps({"version": "not a version"}), 400),
        ("{" + " " * (64 << 10) + "}", 413),
        (b"\xff", 400),
    ):
        answer = server.request("POST", "/api/v1/projects/demo/yank", body, fields)
        assert answer.status == status, (body[:40], answer.text)
    assert server.verb("projects/demo/status", {"status": "gone"}).status == 400
    assert server.verb("projects/-x-/yank", {"version": "1.0"}).status == 404
    assert server.get("/api/v1/projects/demo/yank").status == 405

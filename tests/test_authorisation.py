"""Every route that takes a token, as everybody who might come."""

import re
from pathlib import Path

import pytest

from harness import bearer, multipart, prefix
from packages import wheel

ROUTES = (Path(__file__).parent.parent / "crates" / "web" / "src" / "routes.rs").read_text()
TOKEN_ROUTES = re.findall(r'\("([^"]+)", Token, post\(', ROUTES)
READ_ROUTES = re.findall(r'\("([^"]+)", Token, get\(', ROUTES)
OPTIONAL_ROUTES = re.findall(r'\("([^"]+)", AnybodyOrToken, post\(', ROUTES)
# Who may do it: 200, or 403 (a foreign token is not found, so that ids say nothing).
NOBODY, FOREIGN, MAINTAINER, OWNER, ADMIN, WRONG = "nobody", "foreign", "maintainer", "owner", "admin", "wrong index"
BODIES = {
    "/legacy/": None,
    "/api/v1/projects/{project}/yank": {"version": "1.0"},
    "/api/v1/projects/{project}/unyank": {"version": "1.0"},
    "/api/v1/projects/{project}/remove": {"version": "1.0"},
    "/api/v1/projects/{project}/status": {"status": "deprecated"},
    "/api/v1/projects/{project}/roles": {"user": "foreign", "role": "maintainer"},
    "/api/v1/projects/{project}/publishers": {
        "publisher": {"kind": "Google", "email": "builder@example.org"},
        "bound": True,
    },
    "/api/v1/tokens/{token}/revoke": {},
    "/api/v1/notices/{notice}/read": {},
    "/api/v1/verdicts/{verdict}/decide": {"decision": "clear"},
    "/api/v1/reinspect": {},
    "/api/v1/checks/{check}": {"state": "active"},
    "/api/v1/jobs/{job}/retry": {},
}
ALLOWED = {
    "/legacy/": {MAINTAINER, OWNER, ADMIN},
    "/api/v1/projects/{project}/yank": {MAINTAINER, OWNER, ADMIN},
    "/api/v1/projects/{project}/unyank": {MAINTAINER, OWNER, ADMIN},
    "/api/v1/projects/{project}/remove": {OWNER, ADMIN},
    "/api/v1/projects/{project}/status": {OWNER, ADMIN},
    "/api/v1/projects/{project}/roles": {OWNER, ADMIN},
    "/api/v1/projects/{project}/publishers": {OWNER, ADMIN},
    "/api/v1/tokens/{token}/revoke": {OWNER, ADMIN},
    "/api/v1/notices/{notice}/read": set(),
    "/api/v1/verdicts/{verdict}/decide": {ADMIN},
    "/api/v1/reinspect": {ADMIN},
    "/api/v1/checks/{check}": {ADMIN},
    "/api/v1/jobs/{job}/retry": {ADMIN},
}
# Notices are the caller's own: nobody else's are found, and here nobody has any.
OWN = ("/api/v1/notices/{notice}/read",)
READABLE = {
    "/api/v1/uploads/{upload}": {OWNER},
    "/api/v1/notices": {FOREIGN, MAINTAINER, OWNER, ADMIN},
    "/api/v1/verdicts": {ADMIN},
    "/api/v1/verdicts/{verdict}": {ADMIN},
    "/api/v1/checks": {ADMIN},
    "/api/v1/jobs": {ADMIN},
}


def test_the_table_names_every_route():
    assert sorted(TOKEN_ROUTES) == sorted(BODIES) == sorted(ALLOWED)
    assert sorted(READ_ROUTES) == sorted(READABLE)
    assert OPTIONAL_ROUTES == ["/api/v1/check"]


@pytest.fixture(params=[None, "team"])
def stage(request, server):
    """A project in an index, its people, and a token of the other index."""
    server, index = server(), request.param
    server.cli("index", "create", "team")
    inside = ["--in", index or "main"]
    tokens = {NOBODY: None}
    for name in (OWNER, MAINTAINER, FOREIGN):
        server.user(name)
        tokens[name] = server.new_token(name, *inside)
    tokens[ADMIN] = server.new_token("admin", *inside)
    tokens[WRONG] = server.new_token("owner", "--in", "main" if index else "team")
    server.publish(wheel("demo", "1.0"), index=index, token=tokens[OWNER])
    server.cli("project", "role", "demo", "add", "maintainer", "maintainer", *inside)
    return server, index, tokens


def call(server, index, route, token, n):
    if route == "/legacy/":
        return server.upload(wheel("demo", f"2.{n}"), token=token, index=index).status
    victim = server.new_token("owner", "--in", index or "main") if "{token}" in route else ""
    ids = [line.split("\t") for line in server.cli("token", "list", "--in", index or "main").stdout.splitlines()]
    newest = max(ids, key=lambda row: row[3])[0]
    path = route.removeprefix("/api/v1/").replace("{project}", "demo").replace("{token}", newest)
    path = path.replace("{notice}", "1").replace("{verdict}", "demo-1.0-py3-none-any.whl").replace("{job}", "1")
    if "{check}" in path:
        path = path.replace("{check}", server.cli("checks", "list").stdout.partition("\t")[0])
    assert victim or "{token}" not in route
    return server.verb(path, BODIES[route], token=token, index=index).status


@pytest.mark.parametrize("route", TOKEN_ROUTES)
def test_matrix(stage, route):
    server, index, tokens = stage
    # Those who may not come first: a removal or a revocation is done once.
    for n, who in enumerate((NOBODY, WRONG, FOREIGN, MAINTAINER, OWNER, ADMIN)):
        status = call(server, index, route, tokens[who], n)
        if who in ALLOWED[route]:
            want = {200, 409} if route.endswith("/remove") and who == ADMIN else {200}
            # No job was given up.
            want = {404} if route.endswith("/retry") else want
        elif route.endswith("/revoke") and who in (FOREIGN, MAINTAINER):
            want = {404}
        elif route in OWN and who not in (NOBODY, WRONG):
            want = {404}
        else:
            want = {403}
        assert status in want, (route, who, status)


@pytest.mark.parametrize("route", READ_ROUTES)
def test_who_reads(stage, route):
    server, index, tokens = stage
    again = server.upload(wheel("demo", "1.0"), token=tokens[OWNER], index=index)
    path = route.replace("{upload}", again.headers["location"].rpartition("/")[2])
    path = path.replace("{verdict}", "demo-1.0-py3-none-any.whl")
    for who, token in tokens.items():
        status = server.request("GET", f"{prefix(index)}{path}", headers=bearer(token)).status
        hidden = 404 if "{upload}" in route and who not in (NOBODY, WRONG) else 403
        assert status == (200 if who in READABLE[route] else hidden), (route, who, status)


def test_a_stranger_learns_nothing_about_tokens(stage):
    server, index, tokens = stage
    for id_ in ("0" * 32, "nonsense", "..%2f..%2fx"):
        assert server.verb(f"tokens/{id_}/revoke", {}, token=tokens[FOREIGN], index=index).status == 404


def test_check_says_more_with_a_token(stage):
    server, index, tokens = stage
    for who, rejected in ((NOBODY, []), (FOREIGN, ["access.permission"]), (OWNER, [])):
        answer = server.check(wheel("demo", "3.0"), token=tokens[who], index=index)
        assert [r["rule"] for r in answer["rejections"]] == rejected, who
    package = wheel("demo", "3.0")
    body, kind = multipart([*package.form(), ("content", package.filename, package.data)])
    refused = server.request(
        "POST", f"{prefix(index)}/api/v1/check", body, {"Content-Type": kind, **bearer(tokens[WRONG])}
    )
    assert refused.status == 403


def test_scoped_tokens_and_quarantine(stage):
    server, index, tokens = stage
    inside = ["--in", index or "main"]
    scoped = server.new_token("owner", "--project", "elsewhere", *inside)
    for verb, body in (("yank", {"version": "1.0"}), ("remove", {}), ("status", {"status": "archived"})):
        assert server.verb(f"projects/demo/{verb}", body, token=scoped, index=index).status == 403
    assert server.verb("projects/demo/status", {"status": "quarantined"}, tokens[OWNER], index).status == 403
    server.cli("project", "status", "demo", "quarantined", *inside)
    assert server.verb("projects/demo/status", {"status": "active"}, tokens[OWNER], index).status == 403
    moderator = server.user("moderator", role="moderator") and server.new_token("moderator", *inside)
    assert server.verb("projects/demo/status", {"status": "active"}, moderator, index).status == 200
    assert server.verb("projects/demo/remove", {}, moderator, index).status == 403


def test_the_last_owner_stays(stage):
    server, index, tokens = stage
    gone = server.verb("projects/demo/roles", {"user": "owner"}, tokens[OWNER], index)
    assert gone.status == 409 and "owner" in gone.json()["detail"]
    demoted = server.verb("projects/demo/roles", {"user": "owner", "role": "maintainer"}, tokens[OWNER], index)
    assert demoted.status == 409
    assert server.verb("projects/demo/roles", {"user": "nobody-here", "role": "owner"}, tokens[OWNER], index).status == 404
    assert server.verb("projects/demo/roles", {"user": "maintainer"}, tokens[OWNER], index).status == 200
    assert server.upload(wheel("demo", "9.0"), token=tokens[MAINTAINER], index=index).status == 403

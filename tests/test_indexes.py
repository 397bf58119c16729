"""Several indexes in one installation share nothing but accounts."""

from harness import JSON, rules, wait_until
from packages import wheel


def test_two_indexes_share_nothing(server, ledger):
    server = server(**ledger)
    server.cli("index", "create", "team")
    server.cli("index", "create", "open", "--profile", "public")
    main, team = server.token, server.new_token("admin", "--in", "team")
    here, there = wheel(), wheel(files={"demo.py": b"there = 1\n"})
    assert here.filename == there.filename and here.sha256 != there.sha256
    server.publish(here)
    assert server.page("demo", "team") is None
    for n in range(3):
        server.publish(wheel("more", f"1.{n}"))
    server.publish(there, index="team", token=team)
    assert server.fetch("demo", here.filename) == here.data
    assert server.fetch("demo", here.filename, "team") == there.data
    # Serials are each index's own.
    assert server.page("demo")["meta"]["_last-serial"] == 1
    assert server.page("more")["meta"]["_last-serial"] == 4
    assert server.page("demo", "team")["meta"]["_last-serial"] == 1
    # Tokens do not cross, in either direction.
    assert server.upload(wheel("x"), token=team).status == 403
    assert server.upload(wheel("x"), token=main, index="team").status == 403
    for verb, body in (("yank", {"version": "1.0"}), ("remove", {}), ("status", {"status": "archived"})):
        assert server.verb(f"projects/demo/{verb}", body, token=team).status == 403
        assert server.verb(f"projects/demo/{verb}", body, token=main, index="team").status == 403
    # Nor do files: the other's digest is no URL here.
    url = server.page("demo", "team")["files"][0]["url"].removeprefix("../..")
    assert server.get(f"/i/team{url}").body == there.data
    assert server.get(url).status == 404
    # Verbs act on one index.
    server.cli("project", "yank", "demo", "1.0", "--in", "team", "--reason", "theirs")
    wait_until(lambda: server.page("demo", "team")["files"][0]["yanked"] == "theirs", what="the yank")
    assert server.page("demo")["files"][0]["yanked"] is False
    server.cli("project", "remove", "demo", "--in", "team")
    wait_until(lambda: server.filenames("demo", "team") == [], what="the removal")
    assert server.upload(there, token=team, index="team").status == 400
    assert server.fetch("demo", here.filename) == here.data
    server.stop()
    assert "main: " in server.cli("rebuild").stdout
    only = server.cli("rebuild", "--in", "team").stdout
    assert only.startswith("team: ") and "main" not in only and " 0 written, 0 removed, 0 moved" in only
    assert server.cli("scrub", "--in", "team").stdout == "team: 1 files, 0 wrong\n"


def test_pages_below_an_index(server):
    server = server()
    server.cli("index", "create", "team")
    token = server.new_token("admin", "--in", "team")
    server.publish(wheel("Demo"), index="team", token=token)
    assert server.get("/i/team").headers["location"] == "/i/team/"
    assert server.get("/i/team/simple/Demo/").headers["location"] == "/i/team/simple/demo/"
    assert server.get("/i/team/simple/demo").headers["location"] == "/i/team/simple/demo/"
    assert server.get("/i/team/simple").headers["location"] == "/i/team/simple/"
    assert server.get("/i/team/pypi/DEMO/json").headers["location"] == "/i/team/pypi/demo/json"
    assert server.get("/i/team/pypi/demo/json").json()["info"]["name"] == "Demo"
    wait_until(lambda: server.get("/i/team/simple/", Accept=JSON).json()["projects"], what="the list")
    assert server.get("/i/absent/simple/").status == 404
    assert server.upload(wheel(), index="absent", token=token).status == 404
    assert server.get("/i/main/simple/").status == 404


def test_profiles(server):
    server = server()
    server.cli("index", "create", "open", "--profile", "public")
    token = server.new_token("admin", "--in", "open")
    cases = [
        (wheel("local", "1.0+abc"), "version.local"),
        (wheel("plain", tag="py3-none-linux_x86_64"), "wheel.platform-tag"),
        (wheel("direct", requires_dist="x @ https://example.org/x.whl"), "requires-dist.direct-url"),
        (wheel("private", classifier="Private :: Do Not Upload"), "classifier.unknown"),
    ]
    for package, rule in cases:
        refused = server.upload(package, index="open", token=token, headers={"Accept": "application/json"})
        assert refused.status == 400 and rules(refused) == [rule], refused.text
        assert server.upload(package).status == 200, rule


def test_index_commands(server):
    server = server()
    server.cli("index", "create", "team", "--profile", "public")
    again = server.cli("index", "create", "team", ok=False)
    assert again.returncode == 1 and "team" in again.stderr and again.stdout == ""
    for name in ("main", "Bad Name", "../x", "", "a/b"):
        assert server.cli("index", "create", name, ok=False).returncode == 1, name
    listed = [line.split("\t")[:2] for line in server.cli("index", "list").stdout.splitlines()]
    assert sorted(listed) == [["main", "private"], ["team", "public"]]
    assert server.cli("index", "show", "team").stdout.startswith("team\tpublic\t")
    assert server.cli("index", "show", "absent", ok=False).returncode == 1

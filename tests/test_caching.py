"""What caches are told: by headers, one by one, and by the purge hook."""

import json
import re
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from clients import TOOLS, installed
from harness import JSON, Nginx, binary, on_loopback, run, wait_until
from packages import sdist, wheel
from test_tuf import file_path, page_path, shard

ROUTES = (Path(__file__).parent.parent / "crates" / "web" / "src" / "routes.rs").read_text()
OLD = wheel(version="1.0")
NEW = wheel(version="2.0")

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
BOUNDED = "public, max-age=31536000, s-maxage=86400, immutable"
# For people, or for one person: no shared cache keeps them.
PAGES = "a page"


def table(server):
    """Route -> (an URL of it, what caches are told, its surrogate key)."""
    digest = OLD.sha256
    timestamp = server.get("/tuf/timestamp.json").json()["signed"]
    version, size = timestamp["meta"]["snapshot.json"]["version"], timestamp["x-log"]["size"]
    from hashlib import sha256

    page = sha256(server.get("/simple/demo/", Accept=JSON).body).hexdigest()
    target = f"/tuf/targets/simple/{shard('demo')}/demo/{page}.index.json"
    return {
        "/simple/": ("/simple/", REVALIDATED, "main/list"),
        "/simple/{project}/": ("/simple/demo/", REVALIDATED, "main/project/demo"),
        "/pypi/{project}/json": ("/pypi/demo/json", REVALIDATED, "main/project/demo"),
        "/pypi/{project}/json/": ("/pypi/demo/json/", REVALIDATED, "main/project/demo"),
        "/pypi/{project}/{version}/json": ("/pypi/demo/1.0/json", REVALIDATED, "main/project/demo"),
        "/pypi/{project}/{version}/json/": ("/pypi/demo/1.0/json/", REVALIDATED, "main/project/demo"),
        "/files/{aa}/{sha256}/{filename}": (f"/files/{digest[:2]}/{digest}/{OLD.filename}", BOUNDED, f"main/file/{digest}"),
        "/tuf/{role}": (f"/tuf/{version}.snapshot.json", IMMUTABLE, "main/roles"),
        "/tuf/paths/{project}": ("/tuf/paths/demo.json", REVALIDATED, "main/project/demo"),
        "/tuf/targets/simple/{hh}/{project}/{page}": (target, IMMUTABLE, "main/project/demo"),
        "/tuf/targets/p/{hh}/{project}/{file}": (
            f"/tuf/targets/p/{shard('demo')}/demo/{digest}.{OLD.filename}",
            BOUNDED,
            f"main/file/{digest}",
        ),
        "/tlog/checkpoint": ("/tlog/checkpoint", REVALIDATED, "main/head"),
        "/tlog/tile/{*tile}": (f"/tlog/tile/0/000.p/{size}", IMMUTABLE, "main/log"),
    }


# Not of the static site: nothing that a CDN may keep without asking.
OTHERS = {"/", "/projects/", "/project/{project}/", "/project/{project}/{version}/", "/rules/", "/legacy/", "/healthz"}
OTHERS |= {"/readyz", "/metrics", "/static/{hash}/{name}", "/project/{project}", "/project/{project}/{version}", "/simple"}
OTHERS |= {"/simple/{project}", "/legacy", "/i/{index}"}
# Only there where a file has attestations: test_attestations.py.
OTHERS |= {"/integrity/{project}/{version}/{filename}/provenance"}
# Only there where witnesses were asked: test_witness.py.
OTHERS |= {"/tlog/witnessed"}


def test_every_route_tells_caches_what_it_is(make_server):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    known = table(server)
    public = set(re.findall(r'\("(/[^"]*)", (?:Policy::)?Anybody, .*get\(', ROUTES))
    assert public == set(known) | (OTHERS - {"/legacy/"}), "a route of the site needs its line in the table"
    for route, (url, told, key) in known.items():
        answer = server.get(url)
        assert answer.status == 200, (route, url)
        assert answer.headers["cache-control"] == told, route
        assert answer.headers["surrogate-key"] == f"main {key}", route
        again = server.get(url, If_None_Match=answer.headers["etag"])
        assert (again.status, again.headers["cache-control"]) == (304, told), route
    metadata = server.get(known["/files/{aa}/{sha256}/{filename}"][0] + ".metadata")
    assert (metadata.status, metadata.headers["cache-control"]) == (200, BOUNDED)
    for url, key in [("/tuf/timestamp.json", "head"), (f"/tuf/targets/simple/{shard('demo')}/demo/index.json", "project/demo")]:
        answer = server.get(url)
        assert (answer.headers["cache-control"], answer.headers["surrogate-key"]) == (REVALIDATED, f"main main/{key}")
    assert server.get("/files/00/" + "0" * 64 + "/demo-9.0.tar.gz").headers["cache-control"] == "no-store"


OPERATING = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()


def test_a_plain_web_server_over_the_site(make_server, clients, tmp_path):
    """The configuration that docs/operating.md prints, as it stands there but for port and folder."""
    server = make_server(tuf_bins=4).start()
    server.publish(OLD, sdist("demo"))
    block = next(block for block in re.findall(r"```nginx\n(.*?)```", OPERATING, re.DOTALL) if "blobs/main/site" in block)
    with Nginx(block, tmp_path / "nginx", **{"/var/lib/tidewaiter": server.data}) as plain:
        for route, (url, told, _) in table(server).items():
            answer, ours = plain.get(url), server.get(url)
            # A file is no folder: the site has the older JSON API without a slash alone.
            if not route.endswith("json/"):
                assert (answer.status, answer.headers["cache-control"]) == (200, told), route
                assert answer.body == server.get(url, Accept="text/html").body, route
        pages = {accept: plain.get("/simple/demo/", Accept=accept) for accept in (JSON, "text/html")}
        assert {accept: page.headers["content-type"] for accept, page in pages.items()} == {JSON: JSON, "text/html": "text/html"}
        for tool in TOOLS:
            done, target = clients.install(tool, plain, "demo")
            assert done.returncode == 0 and installed(target) == {"demo": "1.0"}, done.stdout + done.stderr
        root = tmp_path / "root.json"
        root.write_bytes(plain.get("/tuf/1.root.json").body)
        command = [binary(), "run", "--index", f"{plain.url}/simple/", "--root", root, "--state", tmp_path / "state", "--"]
        command += [*clients.pips["current"], "install", "--no-cache-dir", "--target", tmp_path / "verified", "demo"]
        done = run(command, env=clients.env())
        assert done.returncode == 0 and installed(tmp_path / "verified") == {"demo": "1.0"}, done.stdout + done.stderr
        mirrored = server.cli("tuf", "audit", "--mirror", f"{plain.url}/")
        assert " 0 wrong" in mirrored.stdout, mirrored.stdout


# Shown to people, out of what is published: they ask again each time, and a purge names them too.
SHOWN = {"/": "list", "/projects/": "list", "/project/demo/": "project/demo", "/project/demo/1.0/": "project/demo"}
# Where another name is the right one. Nothing could purge a redirect that somebody keeps.
MOVED = ["/simple/Demo/", "/simple/demo", "/simple", "/project/Demo/", "/project/demo", "/project/Demo/1.0/", "/legacy"]
MOVED += ["/pypi/Demo/json", "/pypi/Demo/1.0/json", "/pypi/Demo/json/", "/i/team"]
ABSENT = ["/nothing", "/simple/none/", "/simple/no*name/", "/pypi/none/json", "/pypi/demo/9.0/json", "/project/none/"]
ABSENT += ["/project/demo/9.0/", "/tuf/99.snapshot.json", "/tuf/x", "/tuf/paths/none.json", "/tuf/paths/x", "/static/x/y"]
ABSENT += ["/tlog/tile/0/999", "/tlog/tile/x", "/tlog/witnessed", "/integrity/demo/1.0/demo-1.0.tar.gz/provenance"]
ABSENT += ["/files/x/y/z", "/i/none/simple/", "/i/none/", "/tuf/targets/simple/00/demo/index.json", "/i/main/simple/"]


def test_what_is_shown_moved_or_absent_tells_caches_too(make_server):
    server = make_server(tuf_bins=4).start()
    server.publish(OLD)
    for url, key in SHOWN.items():
        answer = server.get(url)
        assert (answer.status, answer.headers["cache-control"]) == (200, REVALIDATED), url
        assert answer.headers["surrogate-key"] == f"main main/{key}", url
        again = server.get(url, If_None_Match=answer.headers["etag"])
        assert (again.status, again.headers["surrogate-key"]) == (304, f"main main/{key}"), url
    for url in MOVED:
        answer = server.get(url)
        assert (answer.status, answer.headers["cache-control"]) == (301, "no-store"), url
    for url in ABSENT:
        answer = server.get(url)
        assert answer.status == 404 and answer.headers["cache-control"] in ("no-store", REVALIDATED), url
        assert "surrogate-key" not in answer.headers, url
    for url in ["/healthz", "/readyz", "/metrics"]:
        assert server.get(url).headers["cache-control"] == "no-store", url
    refused = server.get("/api/v1/notices")
    assert refused.status == 403 and refused.headers["cache-control"] == "no-store"


def test_settings_for_shared_caches(make_server):
    server = make_server(tuf_bins=4, server_page_shared_time="2s", server_file_shared_time="10m").start()
    server.publish(OLD)
    known = table(server)
    for route, (url, told, _) in known.items():
        want = {REVALIDATED: "max-age=0, must-revalidate, s-maxage=2", BOUNDED: BOUNDED.replace("86400", "600")}
        assert server.get(url).headers["cache-control"] == want.get(told, told), route


class Hook:
    """Takes what the publisher tells, and answers as it is told to."""

    def __init__(self):
        self.told, self.answers, self.delay = [], [], 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(hook.delay)
                status = hook.answers.pop(0) if hook.answers else 200
                hook.told.append((status, said))
                try:
                    self.send_response(status)
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = on_loopback(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/purge"

    def keys(self, status=200):
        return {key for said_status, said in self.told if said_status == status for key in said["keys"]}


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def test_the_purge_hook_hears_what_changed(make_server, hook):
    server = make_server(tuf_bins=4, purge_url=hook.url).start()
    server.publish(OLD)
    wait_until(lambda: {"main/project/demo", "main/head", "main/list"} <= hook.keys(), what="the names")
    hook.told.clear()
    hook.answers = [503, 500]
    server.verb("projects/demo/remove", {"file": OLD.filename})
    wait_until(lambda: f"main/file/{OLD.sha256}" in hook.keys(), 20, what="the third try")
    refused = hook.keys(503) | hook.keys(500)
    wait_until(lambda: refused <= hook.keys(), what="what was refused to be told again")
    assert refused and [status for status, _ in hook.told if status != 200] == [503, 500]
    said = next(said for status, said in hook.told if status == 200 and f"main/file/{OLD.sha256}" in said["keys"])
    assert f"/files/{OLD.sha256[:2]}/{OLD.sha256}/{OLD.filename}" in said["paths"] and "/simple/demo/" in said["paths"]
    assert server.get(f"/files/{OLD.sha256[:2]}/{OLD.sha256}/{OLD.filename}").status == 404
    # Also where verifying clients fetch them, and nothing twice.
    folder, _, name = file_path("demo", OLD.filename).rpartition("/")
    assert f"/tuf/targets/{folder}/{OLD.sha256}.{name}" in said["paths"]
    assert f"/tuf/targets/{page_path('demo')}" in said["paths"]
    assert len(said["paths"]) == len(set(said["paths"]))


def test_a_hook_that_hangs_or_is_not_there_blocks_nothing(make_server, hook):
    hook.delay = 30
    server = make_server(tuf_bins=4, purge_url=hook.url, purge_timeout="1s").start()
    began = time.monotonic()
    server.publish(OLD, NEW)
    assert time.monotonic() - began < 5
    wait_until(lambda: "took too long" in server.log(), 10, what="the complaint")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 10
    other = make_server(tuf_bins=4, purge_command="/nonexistent/program").start()
    other.publish(OLD)
    wait_until(lambda: "/nonexistent/program" in other.log(), 10, what="the complaint")


def test_a_program_is_called(make_server, tmp_path):
    program = tmp_path / "purge"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path}/told; echo >> {tmp_path}/told\n")
    program.chmod(0o755)
    server = make_server(tuf_bins=4, purge_command=program).start()
    server.publish(OLD)
    told = tmp_path / "told"
    wait_until(lambda: told.exists() and "main/project/demo" in told.read_text(), what="the call")
    assert all({"index", "serial", "keys", "paths"} == set(json.loads(line)) for line in told.read_text().splitlines())

"""Attestations (PEP 740) end to end: signed by a test authority, uploaded by the clients that are, served, signed for."""

import hashlib
import json

import pytest

from clients import installed
from harness import authority, binary, rules, run, wait_until
from packages import sdist, wheel

REPOSITORY, WORKFLOW = "team/demo", "release.yml"
GITHUB = ["--github", REPOSITORY, "--workflow", WORKFLOW]
INTEGRITY = "application/vnd.pypi.integrity.v1+json"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "trusted_root.json"
    path.write_text(authority("root", "1"))
    return path


def attestations(folder, package, repository=REPOSITORY, workflow=WORKFLOW, seed="1"):
    """The field `attestations` of an upload, as clients make it of the files beside a distribution."""
    path = package.write(folder)
    authority("sign", seed, repository, workflow, path)
    return "[" + (folder / f"{package.filename}.publish.attestation").read_text() + "]"


def started(server, root, **settings):
    """A server with a project that is bound to its publisher."""
    made = server(attestations_trusted_root=root, **settings)
    made.publish(wheel("demo", "0.1"))
    made.cli("project", "publisher", "demo", "add", *GITHUB)
    return made


def place(package):
    return f"/integrity/demo/1.0/{package.filename}/provenance"


@pytest.mark.parametrize("client", ["uv", "twine"])
def test_the_clients_send_them(server, root, clients, tmp_path, client):
    server = started(server, root)
    packages = [wheel("demo", "1.0"), sdist("demo", "1.0")]
    paths = [package.write(tmp_path / "dist") for package in packages]
    authority("sign", "1", REPOSITORY, WORKFLOW, *paths)
    beside = [f"{path}.publish.attestation" for path in paths]
    if client == "uv":
        done = clients.uv_publish(server, [*paths, *beside])
    else:
        done = clients.twine(server, [*paths, *beside], "--attestations")
    assert done.returncode == 0, done.stdout + done.stderr
    for package in packages:
        answer = server.get(place(package))
        assert answer.status == 200 and answer.headers["content-type"] == INTEGRITY
        bundle = answer.json()["attestation_bundles"][0]
        publisher = {"kind": "GitHub", "repository": REPOSITORY, "workflow": WORKFLOW, "environment": None}
        assert bundle["publisher"] == publisher and len(bundle["attestations"]) == 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_order_of_the_parts_is_free(server, root, tmp_path, order):
    server, package = started(server, root), wheel("demo", "1.0")
    field = ("attestations", attestations(tmp_path, package))
    content = ("content", package.filename, package.data)
    parts = [*package.form(), *([field, content] if order == "before" else [content, field])]
    assert server.post_form("/legacy/", parts).status == 200
    assert server.get(place(package)).status == 200


def test_what_is_served_is_named_signed_and_rebuilt(server, root, ledger, tmp_path):
    server = started(server, root, server_public_url="https://packages.example.org", **ledger)
    package, plain = wheel("demo", "1.0"), wheel("demo", "1.1")
    server.publish(package, attestations=attestations(tmp_path, package))
    server.publish(plain)
    body = server.get(place(package)).body
    files = {file["filename"]: file for file in server.page("demo")["files"]}
    assert files[package.filename]["provenance"] == "https://packages.example.org" + place(package)
    assert files[package.filename]["_provenance"] == {"sha256": hashlib.sha256(body).hexdigest()}
    # A file without attestations is as it always was.
    assert files[plain.filename]["provenance"] is None and "_provenance" not in files[plain.filename]
    html = server.get("/simple/demo/").text
    assert html.count("data-provenance=") == 1 and f'data-provenance="{files[package.filename]["provenance"]}"' in html
    # The target of the file signs for it as well.
    shard = hashlib.sha256(b"demo").hexdigest()[:2]
    roles = [json.loads(path.read_bytes()) for path in server.data.rglob("*.json") if ".bin" in path.name]
    targets = [role["signed"]["targets"] for role in roles if "targets" in role.get("signed", {})]
    customs = {path: entry.get("custom") for found in targets for path, entry in found.items()}
    sha256 = files[package.filename]["_provenance"]["sha256"]
    assert customs[f"p/{shard}/demo/{package.filename}"] == {"provenance": {"sha256": sha256}}
    assert customs[f"p/{shard}/demo/{plain.filename}"] is None
    # Sound, rebuilt to the same bytes, and missed when it is gone.
    assert server.cli("scrub").returncode == 0
    stored = next(path for path in server.data.rglob("provenance") if path.is_file())
    stored.write_bytes(b"{}")
    assert "provenance" in server.cli("scrub", ok=False).stdout
    server.stop()
    assert "1 " in server.cli("rebuild").stdout
    assert stored.read_bytes() == body
    # Another address: the pages that name it are published again.
    server.settings["TIDEWAITER_SERVER_PUBLIC_URL"] = "https://other.example.org"
    server.start()
    named = lambda: {f["filename"]: f for f in server.page("demo")["files"]}[package.filename]["provenance"]
    wait_until(lambda: named() == "https://other.example.org" + place(package), what="the new address")
    server.cli("project", "remove", "demo", "1.0")
    assert server.get(place(package)).status == 404 and not stored.exists()


def test_representations(server, root, tmp_path):
    server = started(server, root)
    package = wheel("demo", "1.0")
    server.publish(package, attestations=attestations(tmp_path, package))
    for accept, kind in [("*/*", INTEGRITY), ("application/json", "application/json"), (INTEGRITY, INTEGRITY)]:
        answer = server.get(place(package), Accept=accept)
        assert answer.headers["content-type"] == kind
        told = answer.headers["cache-control"], answer.headers["surrogate-key"]
        assert told == ("no-cache", "main main/project/demo"), "provenance goes with its project's pages"
    refused = server.get(place(package), Accept="text/html")
    assert refused.status == 406 and "message" in refused.json()
    assert server.get(place(package).replace("demo/1.0/", "Demo/1.0.0/")).status == 200
    for missing in [place(wheel("demo", "0.1")), place(package).replace("/1.0/", "/2.0/"), "/integrity/x/1/y/provenance"]:
        answer = server.get(missing)
        assert answer.status == 404 and "message" in answer.json(), missing
    # Without an address of its own the index names none, and signs for it all the same.
    file = next(file for file in server.page("demo")["files"] if file["filename"] == package.filename)
    assert file["provenance"] is None and len(file["_provenance"]["sha256"]) == 64


def test_what_is_refused_is_said_by_rule(server, root, tmp_path):
    server = started(server, root)
    package, other = wheel("demo", "1.0"), wheel("demo", "2.0")
    good = attestations(tmp_path, package)
    cases = [
        ("[]", "form.attestations"),
        ("[" + good[1:-1] + "," + good[1:-1] + "]", "form.attestations"),
        (attestations(tmp_path, other), "attestation.unverified"),
        (attestations(tmp_path / "seed", package, seed="2"), "attestation.unverified"),
        (attestations(tmp_path / "repository", package, repository="evil/demo"), "attestation.publisher"),
        (attestations(tmp_path / "workflow", package, workflow="other.yml"), "attestation.publisher"),
    ]
    for field, rule in cases:
        dry = server.check(package, token=server.token, attestations=field)
        answer = server.upload(package, attestations=field, headers={"Accept": "application/json"})
        assert answer.status == 400 and rules(answer) == [rule], answer.text
        assert [rejection["rule"] for rejection in dry["rejections"]] == [rule]
    # With all other rejections.
    answer = server.upload(package, attestations="[]", md5_digest="0" * 32, headers={"Accept": "application/json"})
    assert set(rules(answer)) == {"form.attestations", "file.digest-mismatch"}
    assert server.filenames("demo") == [wheel("demo", "0.1").filename]
    # A binding that was taken back, and a project that has none.
    server.cli("project", "publisher", "demo", "remove", *GITHUB)
    answer = server.upload(package, attestations=good, headers={"Accept": "application/json"})
    assert rules(answer) == ["attestation.publisher"] and "No publisher is bound" in answer.text
    server.cli("project", "publisher", "demo", "add", *GITHUB)
    server.publish(package, attestations=good)


def test_an_index_without_a_trusted_root_takes_none(server):
    server = server(attestations_trusted_root="off")
    answer = server.upload(wheel(), attestations="[]")
    assert answer.status == 400 and "takes none" in answer.reason


def test_binding(server, root):
    server = server(attestations_trusted_root=root)
    server.cli("index", "create", "other")
    server.publish(wheel("demo", "1.0"))
    server.cli("project", "publisher", "demo", "add", *GITHUB, "--environment", "release")
    server.cli("project", "publisher", "demo", "add", "--google", "builder@example.org")
    listed = server.cli("project", "publisher", "demo", "list").stdout.splitlines()
    assert listed[0].startswith("GitHub team/demo, workflow release.yml, environment release\tbound ")
    assert len(listed) == 2 and listed[1].endswith("by operator")
    for wrong in [["add", "--github", "team", "--workflow", "x.yml"], ["add"], ["remove", "--google", "a@b.c"]]:
        assert server.cli("project", "publisher", "demo", *wrong, ok=False).returncode != 0
    assert server.cli("project", "publisher", "demo", "list", "--in", "other", ok=False).returncode != 0
    # By the API: the owner, with a token that is not restricted to the project.
    body = {"publisher": {"kind": "Google", "email": "builder@example.org"}, "bound": False}
    assert server.verb("projects/demo/publishers", body).status == 200
    narrow = server.new_token("admin", "--project", "demo")
    assert server.verb("projects/demo/publishers", {**body, "bound": True}, narrow).status == 403
    answer = server.get("/api/v1/projects/demo/publishers", Authorization=f"Bearer {server.token}")
    assert [row["publisher"]["kind"] for row in answer.json()["publishers"]] == ["GitHub"]
    assert server.get("/api/v1/projects/demo/publishers").status in (401, 403)


def test_the_first_file_of_a_project_can_be_attested(server, root, tmp_path):
    server = server(attestations_trusted_root=root)
    publisher = {"kind": "GitHub", "repository": REPOSITORY, "workflow": WORKFLOW, "environment": None}
    mary, eve = server.user("mary"), server.user("eve")
    package = wheel("demo", "1.0")
    good = attestations(tmp_path, package)
    unbound = server.upload(package, token=mary, attestations=good, headers={"Accept": "application/json"})
    assert rules(unbound) == ["attestation.publisher"]
    body = {"publisher": publisher, "bound": True}
    assert server.verb("projects/demo/publishers", body, mary).status == 200
    # Another's binding is not good for me, and mine not for another.
    evil = {"publisher": {**publisher, "repository": "evil/demo"}, "bound": True}
    assert server.verb("projects/demo/publishers", evil, eve).status == 200
    narrow = server.new_token("mary", "--project", "demo")
    assert server.verb("projects/demo/publishers", body, narrow).status == 403
    listed = lambda token: server.get("/api/v1/projects/demo/publishers", Authorization=f"Bearer {token}").json()["publishers"]
    assert [row["publisher"]["repository"] for row in listed(mary)] == [REPOSITORY]
    assert len(server.cli("project", "publisher", "demo", "list").stdout.splitlines()) == 2
    for token in (eve, server.token):
        answer = server.upload(package, token=token, attestations=good, headers={"Accept": "application/json"})
        assert rules(answer) == ["attestation.publisher"]
    assert server.check(package, token=mary, attestations=good)["accepted"]
    server.publish(package, token=mary, attestations=good)
    assert server.get(place(package)).json()["attestation_bundles"][0]["publisher"] == publisher
    # It is the project's now, and what eve wanted is void.
    assert [row["publisher"]["repository"] for row in listed(mary)] == [REPOSITORY]
    assert len(server.cli("project", "publisher", "demo", "list").stdout.splitlines()) == 1
    # The operator's word is good for whoever comes, until it is taken back.
    for name in ("one", "two"):
        server.cli("project", "publisher", name, "add", *GITHUB)
    server.cli("project", "publisher", "two", "remove", *GITHUB)
    assert server.cli("project", "publisher", "two", "list", ok=False).returncode == 1
    for name, status in (("one", 200), ("two", 400)):
        package = wheel(name, "1.0")
        assert server.upload(package, token=eve, attestations=attestations(tmp_path / name, package)).status == status


def test_a_lost_attestation_is_a_finding(server, root, tmp_path):
    server = started(server, root)
    server.cli("project", "remove", "demo", "0.1")
    for version in ["1.0", "1.1", "1.2"]:
        package = wheel("demo", version)
        server.publish(package, attestations=attestations(tmp_path, package))
    answer = server.upload(wheel("demo", "1.3"))
    assert answer.status == 200 and "held" in answer.text
    shown = server.cli("verdicts", "show", wheel("demo", "1.3").filename).stdout
    assert "attestation-lost" in shown and "GitHub team/demo" in shown
    # Another publisher, bound on purpose: published, and told to a person.
    server.cli("project", "publisher", "demo", "add", "--github", "team/fork", "--workflow", WORKFLOW)
    moved = wheel("demo", "1.4")
    server.publish(moved, attestations=attestations(tmp_path, moved, repository="team/fork"))
    assert "review" in server.cli("verdicts", "list").stdout


@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
def test_the_real_index_is_pinned(server, root, clients, tmp_path, tool):
    server = started(server, root)
    package = wheel("demo", "1.0")
    server.publish(package, attestations=attestations(tmp_path, package))
    target = clients.fresh("target")
    kind, _, version = tool.partition("-")
    if kind == "pip":
        command = [*clients.pips[version], "install", "--no-cache-dir", "--target", target, "demo"]
    else:
        import sys

        command = [clients.uvs[version], "pip", "install", "--no-cache", "--python", sys.executable, "--target", target, "demo"]
    verify = [binary(), "run", "--index", server.url, "--state", tmp_path / "state", "--attestations", "require:demo"]
    done = run([*verify, "--", *command], env=clients.env())
    assert done.returncode == 0 and installed(target) == {"demo": "1.0"}, done.stderr
    assert "team/demo" in next((tmp_path / "state").rglob("publishers.lock")).read_text()

"""The core once more with the ledger on PostgreSQL; crashes on it are in test_durability, indexes in test_indexes."""

import pytest

from clients import TOOLS, installed
from harness import wait_until
from packages import sdist, wheel


@pytest.fixture
def stage(make_server, cluster):
    return make_server(ledger_url=cluster.new_database()).start()


def test_clients(stage, clients, tmp_path):
    packages = [wheel("demo", "1.0"), wheel("demo", "2.0"), sdist("demo", "2.0"), wheel("base"), wheel("demo", "3.0rc1")]
    packages.append(wheel("top", requires_dist=["base", "demo<3"], requires_python=">=3.8"))
    paths = [package.write(tmp_path / "dist") for package in packages]
    assert clients.twine(stage, paths[:3]).returncode == 0
    assert clients.uv_publish(stage, paths).returncode == 0
    stage.cli("project", "yank", "demo", "2.0", "--reason", "bad")
    wait_until(lambda: any(file["yanked"] for file in stage.page("demo")["files"]), what="the yank")
    for tool in TOOLS:
        done, target = clients.install(tool, stage, "top")
        assert done.returncode == 0, done.stderr
        assert installed(target) == {"top": "1.0", "base": "1.0", "demo": "1.0"}


def test_rejections_and_registry(stage):
    stage.publish(wheel(), sdist())
    assert stage.upload(wheel()).status == 200
    assert "File already exists" in stage.upload(wheel(files={"x.py": b""})).reason
    assert "too similar" in stage.upload(wheel("dem0")).reason
    stage.verb("projects/demo/remove", {"file": sdist().filename})
    assert "previously used" in stage.upload(sdist()).reason
    token = stage.user("ann")
    assert stage.upload(wheel("demo", "2.0"), token=token).status == 403
    assert stage.verb("projects/demo/roles", {"user": "ann", "role": "owner"}).status == 200
    assert stage.upload(wheel("demo", "2.0"), token=token).status == 200


def test_nothing_is_lost_by_a_restart(stage):
    stage.publish(wheel("demo", "1.0"))
    token = stage.token
    stage.kill()
    assert stage.cli("scrub").stdout == "main: 1 files, 0 wrong\n"
    assert "postgres" in stage.cli("doctor", ok=False).stdout.lower()
    stage.start()
    assert stage.fetch("demo", wheel("demo", "1.0").filename) == wheel("demo", "1.0").data
    assert stage.upload(wheel("demo", "2.0"), token=token).status == 200


def test_a_ledger_that_is_not_there_is_said_plainly(make_server, cluster):
    server = make_server(ledger_url=f"postgres:///absent?host={cluster.folder}&user=tidewaiter").spawn()
    assert server.process.wait(30) == 1
    assert "absent" in server.err.read_text() and "ledger" in server.err.read_text()

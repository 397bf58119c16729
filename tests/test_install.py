"""pip and uv, each current and old, take packages out."""

import pytest

from clients import TOOLS, installed
from harness import wait_until
from packages import sdist, wheel

pytestmark = pytest.mark.parametrize("tool", TOOLS)


def ok(done):
    assert done.returncode == 0, done.stdout + done.stderr


def fails(done):
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_wheel_sdist_and_non_normal_names(server, clients, tool):
    server = server()
    server.publish(wheel("Some.Thing"), sdist("only-source"), wheel("for-linux", tag="py3-none-linux_x86_64"))
    done, target = clients.install(tool, server, "some_THING", "Only.Source", "for-linux")
    ok(done)
    assert installed(target) == {"some-thing": "1.0", "only-source": "1.0", "for-linux": "1.0"}
    assert (target / "some_thing" / "__init__.py").read_text() == "VERSION = '1.0'\n"


def test_extras_and_dependencies(server, clients, tool):
    server = server()
    server.publish(
        wheel("top", requires_dist=["base>=1", 'extra-dep; extra == "more"'], provides_extra=["more"]),
        wheel("base", "1.5"),
        wheel("base", "0.9"),
        wheel("extra-dep"),
    )
    done, target = clients.install(tool, server, "top")
    ok(done)
    assert installed(target) == {"top": "1.0", "base": "1.5"}
    done, target = clients.install(tool, server, "top[more]")
    ok(done)
    assert installed(target) == {"top": "1.0", "base": "1.5", "extra-dep": "1.0"}


def test_yanked_unless_pinned(server, clients, tool):
    server = server()
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0"))
    server.cli("project", "yank", "demo", "2.0", "--reason", "it eats <cats> & \"dogs\"")
    wait = lambda: [f["yanked"] for f in server.page("demo")["files"]]
    wait_until(lambda: wait()[1], what="the yank")
    done, target = clients.install(tool, server, "demo")
    ok(done)
    assert installed(target) == {"demo": "1.0"}
    done, target = clients.install(tool, server, "demo==2.0")
    ok(done)
    assert installed(target) == {"demo": "2.0"}
    assert "it eats <cats>" in done.stdout + done.stderr


def test_pre_releases(server, clients, tool):
    server = server()
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0rc1"), wheel("demo", "3.0.dev4"))
    done, target = clients.install(tool, server, "demo")
    ok(done)
    assert installed(target) == {"demo": "1.0"}
    pre = ["--pre"] if tool.startswith("pip") else ["--prerelease", "allow"]
    done, target = clients.install(tool, server, "demo", *pre)
    ok(done)
    assert installed(target) == {"demo": "3.0.dev4"}


def test_requires_python(server, clients, tool):
    server = server()
    server.publish(wheel("demo", "1.0", requires_python=">=3.6"), wheel("demo", "2.0", requires_python=">=4"))
    done, target = clients.install(tool, server, "demo")
    ok(done)
    assert installed(target) == {"demo": "1.0"}
    fails(clients.install(tool, server, "demo==2.0")[0])


def test_unknown_and_removed(server, clients, tool):
    server = server()
    text = fails(clients.install(tool, server, "nothing-here")[0])
    assert "nothing-here" in text and "500" not in text
    server.publish(wheel("demo", "1.0"), wheel("demo", "2.0"))
    server.cli("project", "remove", "demo", "2.0")
    wait_until(lambda: len(server.filenames("demo")) == 1, what="the removal")
    done, target = clients.install(tool, server, "demo")
    ok(done)
    assert installed(target) == {"demo": "1.0"}


def test_hashes_are_held(server, clients, tool, tmp_path):
    server = server()
    package = wheel("demo")
    server.publish(package)
    good = tmp_path / "good.txt"
    good.write_text(f"demo==1.0 --hash=sha256:{package.sha256}\n")
    bad = tmp_path / "bad.txt"
    bad.write_text(f"demo==1.0 --hash=sha256:{'0' * 64}\n")
    ok(clients.install(tool, server, "--require-hashes", "-r", good)[0])
    assert "hash" in fails(clients.install(tool, server, "--require-hashes", "-r", bad)[0]).lower()
    if tool.endswith("old"):
        return
    # Bytes that changed in the store are noticed by current installers without being asked.
    stored = next((server.data / "blobs" / "main" / "site" / "files").rglob(package.filename))
    server.kill()
    stored.write_bytes(wheel("demo", files={"evil.py": b""}).data)
    server.start()
    assert "hash" in fails(clients.install(tool, server, "demo")[0]).lower()


def test_second_index(server, clients, tool):
    server = server()
    server.cli("index", "create", "team")
    token = server.new_token("admin", "--in", "team")
    server.publish(wheel("demo", "1.0"))
    server.publish(wheel("demo", "9.0"), sdist("demo", "9.0"), index="team", token=token)
    for index, version in ((None, "1.0"), ("team", "9.0")):
        done, target = clients.install(tool, server, "demo", index=index)
        ok(done)
        assert installed(target) == {"demo": version}

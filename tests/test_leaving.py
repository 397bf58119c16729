"""What `tidewaiter run` guarantees: whatever a command, an environment or a file says of other places, nobody is asked but
the verified index; a server on this machine is no exception. Real pip and uv, old and new."""

import json
import socket
import sys

import pytest

from clients import TOOLS, installed
from harness import JSON, binary, clean_env, run
from packages import wheel
from test_client import Proxied, unseen, world  # noqa: F401 (fixtures)

EVIL = wheel("demo", "9.0")


@pytest.fixture
def evil(world):  # noqa: F811
    """An index on this machine that nobody signs for. It notes who asks."""
    link = f'<a href="/{EVIL.filename}">{EVIL.filename}</a>'.encode()
    return world.host({"/simple/demo/": link, "/links/": link, f"/{EVIL.filename}": EVIL.data})


def started(world, tool, *arguments, env=None, cwd=None, options=()):  # noqa: F811
    target = world.clients.fresh("target")
    kind, _, version = tool.partition("-")
    if kind == "pip":
        command = [*world.clients.pips[version], "install", "--no-cache-dir", "--target", target]
    else:
        command = [world.clients.uvs[version], "pip", "install", "--python", sys.executable, "--target", target, "--no-cache"]
    base = [binary(), "run", "--index", world.honest.url, "--root", world.root, "--state", world.folder / "state", *options]
    done = run([*base, "--", *command, *arguments], env=env or world.clients.env(), cwd=cwd)
    return done, target


@pytest.fixture(autouse=True)
def honest(world):  # noqa: F811
    world.honest = world.host()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_command_that_names_another_index_is_not_run(world, evil, tool):  # noqa: F811
    index, links = f"{evil.url}simple/", f"{evil.url}links/"
    said = [["--index-url", index], [f"--extra-index-url={index}"], ["--find-links", links], ["-i", index], ["-f", links]]
    said += [[f"-qi{index}"], ["--no-index"], [f"git+{evil.url}x"], [f"HG+{evil.url}x"], [f"-ehg+{evil.url}x"]]
    if tool.startswith("pip"):
        said += [["--index-u", index], ["--extra", index], ["--prox", evil.url], ["--isolated"], ["--no-proxy-env"]]
    else:
        said += [["--env-file", ".env"], ["--env-file=.env"]]
        said += [["--index", index], ["--default-index", index], ["--config-file", "uv.toml"]]
    for words in said:
        done, target = started(world, tool, "demo", *words)
        assert done.returncode == 1 and f"the command says {words[0]}" in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and not installed(target)
    assert evil.asked == []


@pytest.mark.parametrize("tool", TOOLS)
def test_an_environment_that_names_another_index_does_not_count(world, evil, tool, tmp_path):  # noqa: F811
    """Nor do files of settings, in any place where an installer looks."""
    index, links = f"{evil.url}simple/", f"{evil.url}links/"
    home = tmp_path / "home"
    pip, uv = home / "pip" / "pip.conf", home / "uv" / "uv.toml"
    for path, text in [
        (pip, f"[global]\nextra-index-url = {index}\nfind-links = {links}\nproxy = {evil.url}\n"),
        (home / ".pip" / "pip.conf", f"[install]\nindex-url = {index}\n"),
        (home / ".config" / "pip" / "pip.conf", f"[install]\nindex-url = {index}\n"),
        (uv, f'index-url = "{index}"\nfind-links = ["{links}"]\n'),
        (home / "uv.toml", f'[[index]]\nurl = "{index}"\n'),
        (home / "pyproject.toml", f'[tool.uv]\nextra-index-url = ["{index}"]\n'),
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = clean_env(HOME=home, XDG_CONFIG_HOME=home, PIP_CONFIG_FILE=pip, UV_CONFIG_FILE=uv)
    del env["UV_NO_CONFIG"]
    env |= {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": index, "PIP_extra_index_url": index, "PIP_FIND_LINKS": links}
    env |= {"UV_INDEX": index, "UV_INDEX_URL": index, "UV_EXTRA_INDEX_URL": index, "UV_FIND_LINKS": links}
    env |= {"UV_DEFAULT_INDEX": index, "PIP_PROXY": evil.url, "PIP_proxy": evil.url, "http_proxy": evil.url}
    env |= {"HTTP_PROXY": evil.url, "ALL_PROXY": evil.url, "NO_PROXY": "*", "no_proxy": "127.0.0.1,localhost"}
    env |= {"PIP_ISOLATED": "1", "REQUEST_METHOD": "GET", "PIP_NO_PROXY_ENV": "1", "PIP_OF_TOMORROW": "1"}
    # As requests have it: a proxy of one scheme, of one host, and of one host in one scheme.
    env |= {name: evil.url for name in ("all_proxy", "ftp_PROXY", "http://127.0.0.1_proxy", "all://127.0.0.1_proxy")}
    # Settings that lead nowhere hold on.
    env |= {"PIP_TIMEOUT": "20", "PIP_PROGRESS_BAR": "off", "UV_HTTP_TIMEOUT": "20", "UV_NO_PROGRESS": "1"}
    done, target = started(world, tool, "demo", env={k: str(v) for k, v in env.items()}, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(target) == {"demo": "2.0"} and evil.asked == []
    (line,) = done.stderr.splitlines()[:1]
    assert line.startswith("tidewaiter: not handed on") and "PIP_NO_PROXY_ENV, PIP_OF_TOMORROW" in line, line
    assert "http://127.0.0.1_proxy" in line and "TIMEOUT" not in line and "PROGRESS" not in line


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_that_names_another_index_is_not_installed_from(world, evil, tool):  # noqa: F811
    """Nothing of it: a pip that cannot reach one index installs what the others have."""
    folder = world.clients.fresh("files")
    path, more = folder / "requirements.txt", folder / "deep" / "more.txt"
    more.parent.mkdir()
    for line in (f"--extra-index-url {evil.url}simple/", f"-i{evil.url}simple/", f"--find-links={evil.url}links/"):
        path.write_text(f"other\n{line}\n")
        for words in (["-r", path], [f"--requirement={path}"], [f"-r{path}"], ["-c", path, "other"]):
            done, target = started(world, tool, *words)
            assert done.returncode == 1 and f"{path} says {line}" in done.stderr, done.stderr
            assert len(done.stderr.strip().splitlines()) == 1 and not installed(target)
        path.write_text("other\n-r deep/more.txt\n")
        more.write_text(f"# ours\n{line}\n")
        done, target = started(world, tool, "-r", path)
        assert done.returncode == 1 and f"{more} says {line}" in done.stderr and not installed(target), done.stderr
        if tool.startswith("pip"):
            done, target = started(world, tool, "other", env={**world.clients.env(), "PIP_CONSTRAINT": str(more)})
            assert done.returncode == 1 and f"{more} says {line}" in done.stderr and not installed(target), done.stderr
    assert evil.asked == []
    path.write_text(f"other # see {evil.url}\n-f {folder}\n")
    done, target = started(world, tool, "-r", path)
    assert done.returncode == 0 and installed(target) == {"other": "1.0"}, done.stdout + done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_what_an_installer_starts_cannot_leave_either(world, evil, tool):  # noqa: F811
    """`uv run pip install`: uv would give pip the variables of a file."""
    target = world.clients.fresh("target")
    kind, _, version = tool.partition("-")
    pip = [*world.clients.pips[version if kind == "pip" else "current"], "install", "--no-cache-dir", "--target", target]
    uv = [world.clients.uvs[version if kind == "uv" else "current"], "run", "--no-project", "--python", sys.executable]
    (world.folder / ".env").write_text(f"PIP_PROXY={evil.url}\nPIP_EXTRA_INDEX_URL={evil.url}simple/\n")
    env = {**world.clients.env(), "UV_ENV_FILE": str(world.folder / ".env")}
    base = [binary(), "run", "--index", world.honest.url, "--root", world.root, "--state", world.folder / "state"]
    done = run([*base, "--", *uv, "--", *pip, "demo"], env=env)
    assert done.returncode == 0 and installed(target) == {"demo": "2.0"}, done.stdout + done.stderr
    assert evil.asked == [] and "not handed on, as it may lead past the verified index: UV_ENV_FILE" in done.stderr


def test_a_pip_that_looks_at_no_environment_stays_too(world, evil):  # noqa: F811
    """As if it had an option that we do not know: the second word on the proxy holds."""
    path = world.folder / "requirements.txt"
    path.write_text(unseen(f"--extra-index-url {evil.url}simple/\ndemo\n"))
    target = world.clients.fresh("target")
    install = [*world.clients.pips["current"], "install", "--no-cache-dir", "--target", target, "-r", path]
    script = "import os, sys; os.environ['PIP_NO_PROXY_ENV'] = '1'; os.execvp(sys.argv[1], sys.argv[1:])"
    base = [binary(), "run", "--index", world.honest.url, "--root", world.root, "--state", world.folder / "state"]
    done = run([*base, "--", sys.executable, "-c", script, *install], env=world.clients.env())
    assert done.returncode != 0 and installed(target) in ({}, {"demo": "2.0"}), done.stdout + done.stderr
    assert evil.asked == [] and "refused: the installer wanted to leave" in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_a_server_on_this_machine_is_another_place_too(world, evil, tool):  # noqa: F811
    """By a line of a requirements file, under any of this machine's names; and with exceptions that the user made."""
    port = evil.url.rstrip("/").rsplit(":", 1)[1]
    path = world.folder / "requirements.txt"
    direct = [f"demo @ http://{host}:{port}/{EVIL.filename}" for host in ("127.0.0.1", "localhost", "127.1.2.3")]
    another = [f"--extra-index-url {evil.url}simple/\ndemo", f"--index-url {evil.url}simple/\ndemo"]
    another += [f"--find-links {evil.url}links/\ndemo==9.0"]
    env = {**world.clients.env(), "NO_PROXY": "127.0.0.1,localhost,127.0.0.0/8", "no_proxy": "*"}
    for line in [*direct, *another]:
        path.write_text(unseen(line + "\n"))
        done, target = started(world, tool, "-r", path, env=env)
        text = done.stdout + done.stderr
        if line.startswith("--index-url") and done.returncode == 0:
            # uv: what the environment says of the default index goes before what a file says.
            assert tool.startswith("uv") and installed(target) == {"demo": "2.0"}, text
            continue
        # pip goes on without an index that fails: what it finds then is ours, and the command fails all the same.
        assert done.returncode != 0 and installed(target) in ([{}] if line in direct else [{}, {"demo": "2.0"}]), text
        assert any("refused: the installer wanted to leave" in one for one in done.stderr.splitlines()), text
        assert f":{port}: refused" in done.stderr, text
    assert evil.asked == []
    if tool.startswith("uv"):
        return
    # The user may let it through, unverified.
    path.write_text(direct[0] + "\n")
    done, target = started(world, tool, "-r", path, env=env, options=["--allow-other-hosts"])
    assert done.returncode == 0 and installed(target) == {"demo": "9.0"}, done.stdout + done.stderr


def test_the_proxy_answers_for_its_own_address_alone(world, evil):  # noqa: F811
    proxy = Proxied(world, world.honest)
    try:
        own = f"http://127.0.0.1:{proxy.port}"
        assert json.loads(proxy.get(f"{own}/simple/demo/", Accept=JSON)[2])["name"] == "demo"
        for other in [f"{evil.url}simple/demo/", own.replace("127.0.0.1", "localhost") + "/simple/demo/", own + "1/simple/demo/"]:
            assert proxy.get(other)[0] == 409, other
        host, port = own.removeprefix("http://").split(":")
        for place in [f"{host}:{port}", evil.url.removeprefix("http://").rstrip("/")]:
            with socket.create_connection((host, int(port)), timeout=10) as line:
                line.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
                assert line.recv(100).startswith(b"HTTP/1.1 409"), place
    finally:
        proxy.close()
    assert evil.asked == []


def test_others_on_this_machine_get_nothing(world, evil):  # noqa: F811
    """Nor does a page in a browser whose name leads here; and what they try is not laid at the command's door."""
    script = """
import http.client, os, sys, urllib.parse

index, proxy = (urllib.parse.urlparse(os.environ[name]) for name in ("PIP_INDEX_URL", "http_proxy"))

def ask(path, method="GET", **headers):
    line = http.client.HTTPConnection(index.hostname, index.port)
    line.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    print(line.getresponse().status, end=" ")

word = index.path.split("/")[1]
ask(index.path + "demo/")
ask(index.path + "demo/", Host="evil.example:%d" % index.port)
ask("/simple/demo/")
ask(index.path.replace(word, word[:-1]) + "demo/")
ask("http://evil.example/", Proxy_Authorization="Basic cnVuOng=")
ask("evil.example:443", "CONNECT")
if sys.argv[1:] == ["with the word"]:
    import base64
    secret = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    ask("http://evil.example/", Proxy_Authorization="Basic " + secret)
"""
    base = [binary(), "run", "--index", world.honest.url, "--root", world.root, "--state", world.folder / "state", "--"]
    done = run([*base, sys.executable, "-c", script])
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["200", "421", "404", "404", "407", "407"], "")
    done = run([*base, sys.executable, "-c", script, "with the word"])
    assert done.returncode == 1 and done.stdout.split()[-1] == "409" and "evil.example: refused" in done.stderr
    proxy = Proxied(world, world.honest)
    try:
        for host, status in [("localhost", 200), (f"127.0.0.1:{proxy.port}", 200), ("[::1]:1", 200), ("evil.example", 421), ("", 421)]:
            assert proxy.get("/simple/demo/", Host=host)[0] == status, host
    finally:
        proxy.close()


def test_a_refusal_is_told_however_much_is_absent(world):  # noqa: F811
    script = """
import http.client, os, urllib.parse

index = urllib.parse.urlparse(os.environ["PIP_INDEX_URL"])
line = http.client.HTTPConnection(index.hostname, index.port)
for n in range(120):
    line.request("GET", f"{index.path}nothing-{n}/")
    line.getresponse().read()
os.environ["no_proxy"] = ""
import urllib.request
try:
    urllib.request.urlopen("http://evil.example/")
except urllib.error.HTTPError as error:
    print(error.code)
"""
    base = [binary(), "run", "--index", world.honest.url, "--root", world.root, "--state", world.folder / "state", "--"]
    done = run([*base, sys.executable, "-c", script])
    assert done.stdout == "409\n" and done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "evil.example: refused" in done.stderr

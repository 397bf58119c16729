"""Fixtures: servers, installers of several ages, a throw-away PostgreSQL."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients import Clients
from harness import Server
from postgres import Cluster

CURRENT_PIP = "26.3"
OLD_PIP = "22.3.1"
# Before 0.12.16 uv read pages and metadata differently.
OLD_UV = "0.12.12"
# Small, pure, and made by other people's tools.
REAL_WHEELS = ["six==1.17.0", "idna==3.10", "iniconfig==2.1.0", "pluggy==1.5.0", "packaging==24.2"]


def cache():
    path = Path(os.environ.get("TIDEWAITER_TEST_CACHE", Path.home() / ".cache" / "tidewaiter" / "tests"))
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name):
    """One process at a time: xdist's workers share the cache."""
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def venv_with(requirement):
    """A venv that holds one tool in one version, made once."""
    folder = cache() / f"{requirement.replace('==', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    with locked(folder.name):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", requirement], check=True)
            (folder / "ready").touch()
    return folder / "bin"


@pytest.fixture(scope="session")
def real_wheels():
    """Real wheels, fetched once."""
    folder = cache() / f"wheels-{hashlib.sha256(repr(REAL_WHEELS).encode()).hexdigest()[:12]}"
    with locked("wheels"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
            subprocess.run([*command, *REAL_WHEELS], check=True)
            (folder / "ready").touch()
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def pips():
    return {
        "current": [venv_with(f"pip=={CURRENT_PIP}") / "python", "-m", "pip"],
        "old": [venv_with(f"pip=={OLD_PIP}") / "python", "-m", "pip"],
    }


@pytest.fixture(scope="session")
def uvs():
    return {"current": Path(sys.executable).parent / "uv", "old": venv_with(f"uv=={OLD_UV}") / "uv"}


@pytest.fixture
def clients(tmp_path, pips, uvs):
    return Clients(tmp_path / "clients", pips, uvs)


@pytest.fixture
def make_server(tmp_path_factory):
    """Servers that are not started yet; all are killed at the end."""
    made = []

    def make(**settings):
        server = Server(Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp(), prefix="server")), **settings)
        made.append(server)
        return server

    yield make
    for one in made:
        one.kill()
        shutil.rmtree(one.logs, ignore_errors=True)


@pytest.fixture
def server(make_server):
    """Starts a server: `server()`, `server(upload_file_size="1 MB")`."""
    return lambda **settings: make_server(**settings).start()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request):
    """Settings for a fresh ledger on each engine: `server(**ledger)`."""
    if request.param == "sqlite":
        return {}
    return {"ledger_url": request.getfixturevalue("cluster").new_database()}


"""Servers to measure. Each has `upload_url`, `simple_url` (without a slash at the end), `headers`, `process`."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from load import basic, get
from machine import Process, free_port

JSON = "application/vnd.pypi.simple.v1+json"
# Taken out of the environment: the program refuses variables with its prefix that are no settings.
PROGRAM = os.environ.pop("TIDEWAITER_BIN", None)


class Tidewaiter:
    """This index, from the release binary."""

    name = "tidewaiter"

    def __init__(self, folder, wait=None, start=True):
        self.data = pathlib.Path(folder)
        self.data.mkdir(parents=True, exist_ok=True)
        self.env = {} if wait is None else {"TIDEWAITER_UPLOAD_WAIT": wait}
        self.env["TIDEWAITER_LOG_LEVEL"] = "warn"
        if start:
            self.start()

    def start(self, seconds=120):
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.upload_url, self.simple_url = f"{self.base}/legacy/", f"{self.base}/simple"
        command = [PROGRAM, "serve", "--data", self.data, "--listen", f"127.0.0.1:{port}"]
        self.process = Process(command, f"{self.data}.log", self.env)
        elapsed = self.process.wait_for(f"{self.simple_url}/", seconds, every=.001)
        # The first start answers before it has written the token.
        while not (self.data / "first-token").exists() and time.perf_counter() - self.process.started < 10:
            time.sleep(.005)
        return elapsed

    @property
    def headers(self):
        return basic("__token__", (self.data / "first-token").read_text().strip())

    @property
    def site(self):
        return self.data / "blobs/main/site"

    def stop(self):
        self.process.stop()

    def page(self, project):
        status, _, content = get(f"{self.simple_url}/{project}/", JSON)
        return json.loads(content) if status == 200 else {"files": [], "meta": {"_last-serial": 0}}

    def serial_of(self, project):
        """The serial of a project's page, without the page."""
        status, headers, _ = get(f"{self.simple_url}/{project}/", JSON, "HEAD")
        headers = {name.lower(): value for name, value in headers.items()}
        return int(headers["x-pypi-last-serial"]) if status == 200 else 0

    def wait_serial(self, project, after, seconds=300):
        """Until the project's page is one of a later serial."""
        began = time.perf_counter()
        while self.serial_of(project) <= after:
            if time.perf_counter() - began > seconds:
                self.process.failed(f"{project} stays at serial {after}")
            time.sleep(.005)

    def wait_rendered(self, seconds=600):
        """Until no page is of another version of the program, as those of a generated ledger are."""
        began = time.perf_counter()
        while b"tidewaiter_pages_behind{" in get(f"{self.base}/metrics")[2]:
            if time.perf_counter() - began > seconds:
                self.process.failed("pages stay behind")
            time.sleep(.1)
        return time.perf_counter() - began

    def wait_published(self, project, count, seconds=300):
        began = time.perf_counter()
        while len(self.page(project)["files"]) < count:
            if time.perf_counter() - began > seconds:
                self.process.failed(f"{project} does not show {count} files")
            time.sleep(.02)


class Nginx:
    """The machine's limit: nginx over a `site/` tree that we wrote."""

    name = "nginx"
    CONF = """
worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
  map $http_accept $page {{ default index.html; ~application/vnd.pypi.simple.v1\\+json index.json; }}
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {site}; location /simple/ {{ index $page; }} location /files/ {{ }} }}
}}
"""

    def __init__(self, folder, site):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        port = free_port()
        self.simple_url = f"http://127.0.0.1:{port}/simple"
        user = "user root;" if os.getuid() == 0 else ""
        conf = folder / "nginx.conf"
        conf.write_text(self.CONF.format(folder=folder, port=port, site=site, user=user))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = Process([program, "-c", conf, "-p", folder], folder / "log")
        self.process.wait_for(f"{self.simple_url}/")

    def stop(self):
        self.process.stop()


def venv(folder, requirements):
    """A Python environment, made once."""
    if not (folder / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", *requirements], check=True)


class Pypiserver:
    """pypiserver as its container runs it, with its cache: gunicorn, one gevent worker, a cached folder."""

    name = "pypiserver"

    def __init__(self, cache, folder):
        home = pathlib.Path(cache) / "pypiserver-cache"
        venv(home, ["pypiserver[cache]==2.4.2", "gunicorn", "gevent", "setuptools<81"])
        store = pathlib.Path(folder)
        store.mkdir(parents=True)
        port = free_port()
        self.upload_url, self.simple_url, self.headers = f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/simple", basic("any", "any")
        command = [home / "bin/pypi-server", "run", "-i", "127.0.0.1", "-p", port, "-P", ".", "-a", ".", "--overwrite",
                   "--disable-fallback", "--backend", "cached-dir", "--server", "gunicorn", store]
        options = "--preload --workers=1 --worker-class=gevent --no-control-socket"
        self.process = Process(command, f"{store}.log", {"GUNICORN_CMD_ARGS": options})
        self.start_ms = self.process.wait_for(f"{self.simple_url}/")

    def stop(self):
        self.process.stop()


class Devpi:
    """devpi-server with devpi-web on SQLite, one index without upstream. Uploads carry a login token, as its own client
    does it, or user and password, as twine and uv do it: each of those pays for a password hash."""

    name = "devpi"

    def __init__(self, cache, folder, password=False):
        self.home = pathlib.Path(cache) / "devpi"
        venv(self.home, ["devpi-server==6.20.3", "devpi-web==5.1.1"])
        template = pathlib.Path(cache) / "devpi-template"
        if not (template / "server").exists():
            self.make(template)
        folder = pathlib.Path(folder)
        shutil.copytree(template / "server", folder)
        self.run(folder, template / ".secret")
        if password:
            self.headers = basic("bench", "benchpw")
            return
        answer = self.ask("POST", "/+login", {"user": "bench", "password": "benchpw"})
        token = base64.b64encode(f"bench:{answer['result']['password']}".encode()).decode()
        self.headers = {"X-Devpi-Auth": token}

    def run(self, store, secret):
        self.port = free_port()
        base = f"http://127.0.0.1:{self.port}"
        self.upload_url, self.simple_url = f"{base}/bench/dev/", f"{base}/bench/dev/+simple"
        command = [self.home / "bin/devpi-server", "--serverdir", store, "--secretfile", secret, "--host", "127.0.0.1", "--port", self.port]
        self.process = Process(command, f"{store}.log")
        self.start_ms = self.process.wait_for(f"{base}/+api", every=.01)

    def ask(self, method, path, value, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, json.dumps(value), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            self.process.failed(f"{method} {path}: {answer.status} {text[:200]}")
        return json.loads(text)

    def make(self, template):
        """Once: a user and an empty index. Its password hash takes ten seconds and half a gigabyte."""
        template.mkdir(parents=True, exist_ok=True)
        secret = template / ".secret"
        old = os.umask(0o077)
        subprocess.run([self.home / "bin/devpi-gen-secret", "--secretfile", secret], check=True)
        os.umask(old)
        new = template / "new"
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run([self.home / "bin/devpi-init", "--serverdir", new, "--no-root-pypi"], check=True)
        self.run(new, secret)
        self.ask("PUT", "/bench", {"password": "benchpw", "email": "bench@example.invalid"})
        answer = self.ask("POST", "/+login", {"user": "bench", "password": "benchpw"})
        token = base64.b64encode(f"bench:{answer['result']['password']}".encode()).decode()
        self.ask("PUT", "/bench/dev", {"type": "stage", "bases": [], "volatile": False}, {"X-Devpi-Auth": token})
        self.process.stop()
        new.rename(template / "server")

    def stop(self):
        self.process.stop()


class Nora:
    """NORA on its file system store, without login, rate limit and upstream: it neither checks, syncs nor signs."""

    name = "nora"

    def __init__(self, cache, folder):
        home = pathlib.Path(cache) / "nora"
        if not (home / "bin/nora").exists():
            subprocess.run(["cargo", "install", "nora-registry", "--version", "1.4.3", "--root", home, "--target-dir",
                            home / "target"], check=True)
        store = pathlib.Path(folder)
        store.mkdir(parents=True)
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        self.upload_url, self.simple_url, self.headers = f"{base}/simple/", f"{base}/simple", {}
        env = {"NORA_HOST": "127.0.0.1", "NORA_PORT": str(port), "NORA_PUBLIC_URL": base, "NORA_STORAGE_PATH": str(store),
               "NORA_PYPI_PROXY": "", "NORA_REGISTRIES_ENABLE": "pypi", "NORA_RATE_LIMIT_ENABLED": "false",
               "NORA_AUTH_ENABLED": "false", "RUST_LOG": "warn"}
        self.process = Process([home / "bin/nora", "serve"], f"{store}.log", env, cwd=store)
        self.start_ms = self.process.wait_for(f"{self.simple_url}/")

    def stop(self):
        self.process.stop()

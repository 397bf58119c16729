"""A server of its own for every test, and what talks to it."""

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"
LIBC = ctypes.CDLL(None, use_errno=True)


def binary():
    """The program under test: built with debug assertions, because failpoints exist only there."""
    path = os.environ.get("TIDEWAITER_BIN") or str(
        Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent.parent / "target")) / "debug" / "tidewaiter"
    )
    if not Path(path).is_file():
        raise RuntimeError(f"{path} is missing: cargo build, or set TIDEWAITER_BIN")
    return path


def authority(*arguments):
    """The test authority that signs attestations (crates/attest/examples/authority.rs)."""
    path = Path(binary()).parent / "examples" / "authority"
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: cargo build -p attest --features testing --example authority")
    done = run([path, *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout


def second_client(*arguments):
    """A TUF client of other people (tests/second-client): what it prints, by line."""
    path = Path(binary()).parent / "second-client"
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: cargo build --manifest-path tests/second-client/Cargo.toml")
    return run([path, *arguments])


def third_client(*arguments):
    """Another (tests/third-client), which knows succinct bins."""
    modules = Path(binary()).parent / "third-client" / "node_modules"
    if not modules.is_dir():
        raise RuntimeError(f"{modules} is missing: cargo xtask test --only pytest makes it")
    client = Path(__file__).parent / "third-client" / "client.js"
    return run(["node", client, *arguments], env={**os.environ, "NODE_PATH": str(modules)})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def clean_env(**more):
    """An environment in which no setting of this machine changes what a client does."""
    prefixes = ("PIP_", "UV_", "TWINE_", "TIDEWAITER_", "PG", "HTTP_", "HTTPS_", "ALL_", "NO_", "PYTEST_")
    env = {k: v for k, v in os.environ.items() if not k.upper().startswith(prefixes)}
    env.update(PYTHONNOUSERSITE="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_CONFIG_FILE=os.devnull, NO_COLOR="1")
    env.update(COLUMNS="400", UV_NO_CONFIG="1", TERM="dumb", PYTHONDONTWRITEBYTECODE="1")
    env.update({key: str(value) for key, value in more.items()})
    return env


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)


def run(command, **options):
    """Runs a command to its end; its output as text."""
    options.setdefault("env", clean_env())
    options.setdefault("timeout", 120)
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, preexec_fn=die_with_parent, **options
    )


def wait_until(condition, seconds=20, what="a condition"):
    """Polls; the value that the condition ends with."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


@dataclass
class Answer:
    status: int
    reason: str
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


def on_loopback(handler):
    """An HTTP server on a port of its own, until somebody shuts it down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # How long a shutdown takes at most; by default half a second, of which hundreds of tests would make minutes.
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def multipart(parts):
    """A body and its content type. A part is (name, text) or (name, filename, bytes[, content type])."""
    boundary = uuid.uuid4().hex
    out = bytearray()
    for part in parts:
        name, value = part[0], part[-1]
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if len(part) > 2:
            kind = part[3] if len(part) > 3 else "application/octet-stream"
            value = part[2]
            out += f'; filename="{part[1]}"\r\nContent-Type: {kind}'.encode()
        out += b"\r\n\r\n" + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return bytes(out), f"multipart/form-data; boundary={boundary}"


class Host:
    """Whatever answers at a port of this machine."""

    port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, response.reason, fields, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Nginx(Host):
    """nginx with a configuration of ours, of which what says where is put in place: port and folder."""

    def __init__(self, configuration, folder, **places):
        self.port = free_port()
        for old, new in {"listen 8080": f"listen 127.0.0.1:{self.port}", **places}.items():
            assert old in configuration, old
            configuration = configuration.replace(old, str(new))
        folder.mkdir()
        scratch = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; events {{ }}\n"
            f"http {{ include /etc/nginx/mime.types; access_log off; {scratch}\n{configuration}\n}}\n"
        )
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([program, "-c", folder / "nginx.conf", "-p", folder], preexec_fn=die_with_parent)
        wait_until(self._answers, 10, "nginx")

    def _answers(self):
        assert self.process.poll() is None, "nginx ended"
        try:
            return self.get("/")
        except OSError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


class Server(Host):
    """`tidewaiter serve` on a data folder, and the commands on that folder."""

    def __init__(self, folder, **settings):
        self.data = folder / "data"
        self.logs = folder
        self.settings = {f"TIDEWAITER_{key.upper()}": str(value) for key, value in settings.items()}
        self.process = None
        self.starts = 0
        self._token = None
        self.fixed = None

    def env(self, failpoint=None):
        env = clean_env(**self.settings)
        if failpoint:
            env["TIDEWAITER_FAILPOINT"] = failpoint
        return env

    def spawn(self, failpoint=None, wrap=(), arguments=("--listen", "127.0.0.1:0")):
        """Starts without waiting."""
        self.starts += 1
        self.out = self.logs / f"stdout-{self.starts}"
        self.err = self.logs / f"stderr-{self.starts}"
        command = [*wrap, binary(), "serve", "--data", str(self.data), *arguments]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.env(failpoint),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    def start(self, failpoint=None, wrap=()):
        # What it prints then is the public address, so its port is chosen here.
        self.fixed = free_port() if "TIDEWAITER_SERVER_PUBLIC_URL" in self.settings else None
        self.spawn(failpoint, wrap, ("--listen", f"127.0.0.1:{self.fixed or 0}"))
        wait_until(self._answers, 30, "the server to answer")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}: {self.err.read_text()}")
        line = self.out.read_text().partition("\n")[0]
        if not line.startswith("Tidewaiter serves at"):
            return False
        self.port = self.fixed or int(line.rstrip("/").rpartition(":")[2])
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    @property
    def token(self):
        """The administrator's, from the first start."""
        if self._token is None:
            self._token = (self.data / "first-token").read_text().strip()
        return self._token

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """An orderly stop."""
        if self.running():
            os.kill(self.process.pid, signal.SIGTERM)
            assert self.process.wait(30) == 0, self.err.read_text()
            # Else the next start has something to finish, and a failpoint armed for it would be reached there.
            said = self.err.read_text()
            assert not any(what in said for what in ("did not stop in order", "a background loop broke off")), said

    def kill(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def wait_killed(self):
        """Waits for a failpoint to kill the server."""
        assert self.process.wait(30) == -signal.SIGKILL, self.err.read_text()
        self.kill()

    def log(self):
        return "".join(path.read_text() for path in sorted(self.logs.glob("stderr-*")))

    # Commands.

    def cli(self, *arguments, ok=True, **options):
        """A command on this installation."""
        done = run([binary(), *arguments, "--data", self.data], env=self.env(), **options)
        assert not ok or done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr}"
        return done

    def user(self, name, role=None):
        self.cli("user", "create", name, "--email", f"{name}@example.org", *(["--role", role] if role else []))
        return self.new_token(name)

    def new_token(self, user, *arguments):
        return self.cli("token", "create", "--user", user, *arguments).stdout.strip()

    # Requests.

    def page(self, project, index=None):
        """The JSON page, or None."""
        answer = self.get(f"{prefix(index)}/simple/{project}/", Accept=JSON)
        return answer.json() if answer.status == 200 else None

    def filenames(self, project, index=None):
        return [file["filename"] for file in (self.page(project, index) or {"files": []})["files"]]

    def fetch(self, project, filename, index=None):
        """A file's bytes by the URL on its page, or None."""
        for file in (self.page(project, index) or {"files": []})["files"]:
            if file["filename"] == filename:
                answer = self.get(urllib.parse.urljoin(f"{prefix(index)}/simple/{project}/", file["url"]))
                return answer.body if answer.status == 200 else None
        return None

    def post_form(self, path, parts, token="", headers=None, timeout=60):
        body, kind = multipart(parts)
        fields = {"Content-Type": kind, **bearer(self.token if token == "" else token), **(headers or {})}
        return self.request("POST", path, body, fields, timeout)

    def upload(self, package, token="", index=None, headers=None, timeout=60, **changes):
        """An upload as a client makes it; `changes` as in Package.form. `token` None: no credentials."""
        parts = [*package.form(**changes), ("content", package.filename, package.data)]
        return self.post_form(f"{prefix(index)}/legacy/", parts, token, headers, timeout)

    def in_vault(self, below=""):
        """What is kept where nobody sees it: received, inspected, held or removed."""
        folder = self.data / "blobs" / "main" / "vault" / below
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def publish(self, *packages, **options):
        """Uploads that must succeed and be visible."""
        for package in packages:
            answer = self.upload(package, **options)
            assert answer.status == 200, answer.text
            assert "published" in answer.text, answer.text

    def check(self, package, token=None, index=None, **changes):
        parts = [*package.form(**changes), ("content", package.filename, package.data)]
        return self.post_form(f"{prefix(index)}/api/v1/check", parts, token).json()

    def verb(self, path, body=None, token="", index=None):
        fields = {**bearer(self.token if token == "" else token), "Accept": "application/json"}
        return self.request("POST", f"{prefix(index)}/api/v1/{path}", json.dumps(body or {}), fields)

    def raw(self, data, timeout=30, half_close=False):
        """Bytes as they are; everything that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            out = b""
            while True:
                try:
                    part = connection.recv(65536)
                except (ConnectionResetError, TimeoutError):
                    return out
                if not part:
                    return out
                out += part


def prefix(index):
    return f"/i/{index}" if index else ""


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


def rules(answer):
    """The ids of the rules that an upload broke, from its JSON answer."""
    return [rejection["rule"] for rejection in answer.json()["rejections"]]

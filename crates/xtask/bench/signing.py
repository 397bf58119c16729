"""What signing costs: the engine beside python-tuf, an import, and what a verified install asks for and takes."""

import gzip
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

import data
from load import upload
from machine import parts
from servers import PROGRAM, Tidewaiter, venv

PARTS = ["engine", "import", "client", "overhead", "upload"]
# What people install: twenty packages that need one another.
SET = """requests==2.32.3 urllib3==2.2.3 idna==3.10 certifi==2024.8.30 charset-normalizer==3.4.0 flask==3.0.3 werkzeug==3.0.4
jinja2==3.1.4 markupsafe==3.0.2 click==8.1.7 itsdangerous==2.2.0 blinker==1.8.2 rich==13.9.2 markdown-it-py==3.0.0
mdurl==0.1.2 pygments==2.18.0 httpx==0.28.1 httpcore==1.0.9 h11==0.16.0 anyio==4.6.0 sniffio==1.3.1""".split()
ENGINE, BULK = (os.environ.pop(name, None) for name in ("TIDEWAITER_TUF_BENCH", "TIDEWAITER_TUF_BULK"))

# One upload as a repository of python-tuf makes it: the role is loaded, changed, signed, serialised. Processor time.
PYTHON_TUF = """
import sys, time, json
from datetime import datetime, timezone
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import *
bins, each, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
signer = CryptoSigner.generate_ed25519()
expires = datetime(2035, 1, 1, tzinfo=timezone.utc)
path = lambda n: f"p/aa/project-{n}/project_{n}-1.2.3-py3-none-any.whl"
targets = {path(n): TargetFile(123456, {"sha256": f"{n:064x}"}, path(n)) for n in range(each)}
bin_ = Metadata(Targets(expires=expires, targets=targets))
snapshot = Metadata(Snapshot(expires=expires, meta={f"bin-{n:04x}.json": MetaFile(1) for n in range(bins)}))
timestamp = Metadata(Timestamp(expires=expires))
for role in (bin_, snapshot, timestamp):
    role.sign(signer)
stored = bin_.to_bytes()
def commit():
    global stored, snapshot
    role = Metadata.from_bytes(stored)
    role.signed.targets[path(0)] = TargetFile(123457, {"sha256": f"{role.signed.version:064x}"}, path(0))
    role.signed.version += 1
    role.sign(signer)
    stored = role.to_bytes()
    snapshot.signed.meta["bin-0000.json"].version += 1
    snapshot.signed.version += 1
    snapshot.sign(signer)
    data = snapshot.to_bytes()
    timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version, len(data))
    timestamp.signed.version += 1
    timestamp.sign(signer)
    timestamp.to_bytes()
started, cpu, count = time.perf_counter(), time.process_time(), 0
while time.perf_counter() - started < seconds:
    commit()
    count += 1
print(json.dumps({"commits": count / (time.process_time() - cpu)}))
"""


def asked(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def engine(options, scratch):
    seconds = 3 if options.short else 10
    ours = json.loads(asked([ENGINE, 14, 1000, seconds]))
    home = pathlib.Path(options.cache) / "python-tuf-7"
    venv(home, ["tuf==7.0.1", "cryptography==50.0.2"])
    theirs = json.loads(asked([home / "bin/python", "-c", PYTHON_TUF, 16384, 1000, seconds]))["commits"]
    durable = json.loads(asked([BULK, "durable", scratch / "durable", 14, 1000, seconds]))
    shutil.rmtree(scratch / "durable")
    one, two = ours["commits_per_second_one_bin"], ours["commits_per_second_two_bins"]
    print("\ncommits a second of one core, 16,384 bins of 1,000 targets, in memory, Ed25519   (at least 200)")
    print(f"  one change            {one:8.0f}   python-tuf 7.0.1 {theirs:6.1f}   {one / theirs:5.0f} x")
    print(f"  page and file         {two:8.0f}")
    print(f"  durable, one change   {durable['one']:8.1f}   files synced before the next commit")
    print(f"  durable, sets of 64   {durable['changes_in_sets']:8.0f}   changes a second, in {durable['sets_of_64']:.2f} commits a second")
    print(f"bootstrap of 16,384 empty bins {ours['found_ms']:5.0f} ms of processor time   (at most 1,000)")
    print(f"a bin of 1,000: {ours['bin_bytes']:,} bytes, rendered in {ours['render_bin_us']:.0f} us; snapshot {ours['snapshot_bytes']:,} bytes")


def import_(options, scratch):
    count = 1_600_000 if options.short else 16_000_000
    done = json.loads(asked([BULK, "import", scratch / "import", 14, count]))
    shutil.rmtree(scratch / "import")
    rate = done["targets"] / done["seconds"]
    print(f"\nimport of {done['targets']:,} sorted targets to signed roles on disk: {done['seconds']:.1f} s, "
          f"{done['bytes'] / 1e9:.2f} GB, {rate:,.0f} targets a second   (16,000,000 in at most 60 s)")
    if options.short:
        print(f"  a tenth was measured; at this rate all would take {16_000_000 / rate:.0f} s")


class Static(http.server.ThreadingHTTPServer):
    """Files from memory, large ones packed for who takes it. Counts requests and bytes of bodies."""

    daemon_threads = True

    def __init__(self, files):
        self.files, self.packed, self.seen, self.lock = files, {}, [], threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def body(self, path, takes_gzip):
        content = self.files.get(path)
        if content is None or not takes_gzip or len(content) <= 4096:
            return content, False
        if path not in self.packed:
            self.packed[path] = gzip.compress(content, 6, mtime=0)
        return self.packed[path], True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body, is_packed = self.server.body(self.path, "gzip" in self.headers.get("Accept-Encoding", ""))
        with self.server.lock:
            self.server.seen.append((self.path, len(body or b"")))
        self.send_response(404 if body is None else 200)
        if is_packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


def signed_site(scratch, bits, count):
    """A static site of `count` installable projects, thirty releases each, among full bins."""
    files, targets = {}, []
    for number in range(count):
        name, entries = f"installed-{number:02}", []
        shard = hashlib.sha256(name.encode()).hexdigest()[:2]
        for release in range(30):
            filename, content = data.wheel(name, f"1.{release}")
            digest = hashlib.sha256(content).hexdigest()
            metadata = data.METADATA.format(name=name, version=f"1.{release}").encode()
            files[f"/files/{digest[:2]}/{digest}/{filename}"] = content
            files[f"/files/{digest[:2]}/{digest}/{filename}.metadata"] = metadata
            files[f"/tuf/targets/p/{shard}/{name}/{digest}.{filename}"] = content
            targets.append((f"p/{shard}/{name}/{filename}", len(content), digest))
            entries.append({
                "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()}, "filename": filename,
                "hashes": {"sha256": digest}, "requires-python": ">=3.8", "size": len(content), "yanked": False,
                "upload-time": "2026-01-01T00:00:00Z", "url": f"../../files/{digest[:2]}/{digest}/{filename}"})
        page = json.dumps({"files": entries, "meta": {"api-version": "1.4", "_last-serial": 1}, "name": name,
                           "versions": sorted({entry["filename"].split("-")[1] for entry in entries})}).encode()
        digest = hashlib.sha256(page).hexdigest()
        files[f"/tuf/targets/simple/{shard}/{name}/{digest}.index.json"] = page
        targets.append((f"simple/{shard}/{name}/index.json", len(page), digest))
    folder, listed = scratch / f"repository-{bits}", scratch / "targets"
    listed.write_text("".join(f"{path} {length} {digest}\n" for path, length, digest in targets))
    asked([BULK, "repository", folder, bits, 1000, listed, int(time.time())])
    for path in folder.iterdir():
        files[f"/tuf/{path.name}"] = path.read_bytes()
    shutil.rmtree(folder)
    return files


def install(tool, home, target, packages, index=None, verified=None):
    """The command line of an install without other sources; `verified`: (base, root, state)."""
    shutil.rmtree(target, ignore_errors=True)
    if tool == "pip":
        command = [home / "bin/python", "-m", "pip", "install", "-q", "--no-cache-dir", "--disable-pip-version-check"]
    else:
        command = [home / "bin/uv", "pip", "install", "-q", "--no-cache", "--python", home / "bin/python"]
    command += ["--target", target]
    if index:
        command += ["--index-url" if tool == "pip" else "--default-index", f"{index}/simple/"]
    if verified:
        base, root, state = verified
        command = [PROGRAM, "run", "--index", base, "--root", root, "--state", state, "--", *command]
    return [*command, *packages]


def client(options, scratch):
    home = pathlib.Path(options.cache) / "installers"
    venv(home, ["uv==0.13.9"])
    print("\nverified install, bins of 1,000 targets: requests and bytes of signed roles (and of pages and files)")
    for bits in (10, 14):
        server = Static(signed_site(scratch, bits, 50))
        root = scratch / "root.json"
        root.write_bytes(server.files["/tuf/1.root.json"])
        for count in (1, 50):
            state = scratch / f"state-{bits}-{count}"
            for way in ("cold", "warm"):
                server.seen.clear()
                packages = [f"installed-{number:02}" for number in range(count)]
                asked(install("uv", home, scratch / "target", packages, verified=(server.url, root, state)))
                roles = [size for path, size in server.seen if path.startswith("/tuf/") and "/targets/" not in path]
                others = [size for path, size in server.seen if not path.startswith("/tuf/") or "/targets/" in path]
                goal = "   (at most 6 and 150 kB)" if (bits, count, way) == (10, 1, "cold") else ""
                print(f"  {2 ** bits:6,} bins  {count:2} packages  {way}  {len(roles):4} requests  {sum(roles) / 1000:8.1f} kB   "
                      f"({len(others)}, {sum(others) / 1000:.1f} kB){goal}")
        server.shutdown()


def wheels(cache):
    folder = pathlib.Path(cache) / f"set-{hashlib.sha256(repr(SET).encode()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, *SET]
        subprocess.run(pip, check=True)
        (folder / "complete").touch()
    return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.whl"))]


def overhead(options, scratch):
    home = pathlib.Path(options.cache) / "installers"
    venv(home, ["uv==0.13.9"])
    packages = wheels(options.cache)
    server = Tidewaiter(scratch / "overhead", wait="30s")
    sent = upload(server.upload_url, server.headers, packages)
    if set(sent["statuses"]) != {200}:
        raise RuntimeError(f"uploads: {sent['statuses']} {sent['errors']}")
    root, state = scratch / "overhead-root.json", scratch / "overhead-state"
    root.write_bytes(fetch(f"{server.base}/tuf/1.root.json"))
    verified = (server.base, root, state)
    print(f"\ninstall of {len(packages)} real packages from this server, seconds, median of {options.runs * 2 + 1}   (at most 10 % more)")
    for tool in ("pip", "uv"):
        plain, ours = [], []
        # The first verified one fills the state folder: it is not counted.
        asked(install(tool, home, scratch / "target", SET, verified=verified))
        for _ in range(options.runs * 2 + 1):
            for times, way in ((plain, {"index": server.base}), (ours, {"verified": verified})):
                command = install(tool, home, scratch / "target", SET, **way)
                began = time.perf_counter()
                asked(command)
                times.append(time.perf_counter() - began)
        one, two = statistics.median(plain), statistics.median(ours)
        print(f"  {tool:4} plain {one:6.2f}   verified, warm {two:6.2f}   {100 * (two / one - 1):+5.1f} %")
    server.stop()


def fetch(url):
    host, port, path = parts(url)
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", path)
    return connection.getresponse().read()


def uploads(options, scratch):
    """Ten a second, begun on time whatever became of those before; the answer comes once the file is signed and visible."""
    seconds = 10 if options.short else 30
    server = Tidewaiter(scratch / "uploads", wait="30s")
    host, port, path = parts(server.upload_url)
    bodies = [data.body(*one) for one in data.tiny(0, 10 * seconds + 10)]
    times, wrong, lock = [], [], threading.Lock()

    def one(body, is_counted):
        kind, content = body
        began = time.perf_counter()
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("POST", path, content, {"Content-Type": kind, **server.headers})
        answer = connection.getresponse()
        text = answer.read()
        with lock:
            if answer.status != 200 or b"published" not in text:
                wrong.append(text[:200])
            elif is_counted:
                times.append(1000 * (time.perf_counter() - began))

    began, threads, cpu = time.perf_counter(), [], server.process.cpu()
    for number, body in enumerate(bodies):
        time.sleep(max(0, began + number / 10 - time.perf_counter()))
        threads.append(threading.Thread(target=one, args=(body, number >= 10)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    cpu = 1000 * (server.process.cpu() - cpu) / len(bodies)
    server.stop()
    if wrong:
        raise RuntimeError(f"{len(wrong)} uploads were not published: {wrong[:3]}")
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print(f"\nupload to signed and visible at 10 a second, {len(times)} uploads: p50 {at(.5):.0f} ms, p99 {at(.99):.0f} ms, "
          f"longest {times[-1]:.0f} ms   (100 and 1,000); {cpu:.0f} ms of processor time each, inspection included")


RUN = {"engine": engine, "import": import_, "client": client, "overhead": overhead, "upload": uploads}


def run(options, scratch):
    for part in options.part or PARTS:
        RUN[part](options, scratch)

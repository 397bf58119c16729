"""A signed index made here, in Python, and hosts that serve it: honest, stale, and hostile ones.

A second implementation on purpose: what `tidewaiter` signs and what it verifies are not tested against itself alone.
"""

import hashlib
import json
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import merkle
from harness import on_loopback

DAY = 86_400
BITS = 4


def canonical(value):
    """OLPC canonical JSON, for text without control characters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def when(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Key:
    def __init__(self, private=None):
        self.private = private or Ed25519PrivateKey.generate()
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self.public = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}
        self.id = sha256(canonical(self.public))

    @classmethod
    def stolen(cls, path):
        """The key in a file of the index's own."""
        return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(json.loads(path.read_text())["private"])))


def sign(body, *keys):
    signatures = [{"keyid": key.id, "sig": key.private.sign(canonical(body)).hex()} for key in keys]
    return canonical({"signatures": signatures, "signed": body})


def provenance_of(repository):
    """A provenance object as the client reads it: it trusts the index to have verified what is in it."""
    material = {"certificate": "AA==", "transparency_entries": [{}]}
    attestation = {"version": 1, "verification_material": material, "envelope": {"statement": "AA==", "signature": "AA=="}}
    publisher = {"kind": "GitHub", "repository": repository, "workflow": "release.yml", "environment": None}
    return canonical({"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [attestation]}]})


def shard(project):
    return sha256(project.encode())[:2]


def page_path(project):
    return f"simple/{shard(project)}/{project}/index.json"


def file_path(project, filename):
    return f"p/{shard(project)}/{project}/{filename}"


def hashed(path, digest):
    folder, _, name = path.rpartition("/")
    return f"/tuf/targets/{folder}/{digest}.{name}"


def bin_of(path):
    return f"bin-{int(sha256(path.encode())[:8], 16) >> (32 - BITS):x}"


class SignedIndex:
    """Projects, and everything that is served for them: `files` maps URL paths to bytes."""

    def __init__(self, now=None):
        self.now = now or int(time.time())
        self.holder, self.online = Key(), Key()
        self.files, self.projects, self.status = {}, {}, {}
        self.versions = dict.fromkeys(["root", "targets", "bins", "snapshot", "timestamp"], 0)
        self.bins = {}
        # Entries of a transparency log, once there is one; its key signs no note here, only the timestamp counts.
        self.log, self.log_key = None, Key()
        self.offline_roles()

    def common(self, role, days=365):
        version = self.versions.get(role, 0)
        kind = role if role in ("root", "snapshot", "timestamp") else "targets"
        return {"_type": kind, "spec_version": "1.0.31", "version": version, "expires": when(self.now + days * DAY)}

    def put(self, role, body, *keys):
        self.files[f"/tuf/{body['version']}.{role}.json"] = sign(body, *keys)

    def offline_roles(self, *also):
        """A new root, targets and bins; `also` are keys that must sign the root besides."""
        one = lambda key: {"keyids": [key.id], "threshold": 1}
        keys = {key.id: key.public for key in (self.holder, self.online)}
        for role in ("root", "targets", "bins"):
            self.versions[role] += 1
        roles = {"root": one(self.holder), "targets": one(self.holder)}
        roles |= {"snapshot": one(self.online), "timestamp": one(self.online)}
        self.put("root", {**self.common("root"), "consistent_snapshot": True, "keys": keys, "roles": roles}, self.holder, *also)
        digits = [f"{n:x}" for n in range(16)]
        bins = {**one(self.holder), "name": "bins", "terminating": True, "path_hash_prefixes": digits}
        delegations = {"keys": {self.holder.id: self.holder.public}, "roles": [bins]}
        self.put("targets", {**self.common("targets"), "targets": {}, "delegations": delegations}, self.holder)
        succinct = {**one(self.online), "bit_length": BITS, "name_prefix": "bin"}
        delegations = {"keys": {self.online.id: self.online.public}, "succinct_roles": succinct}
        self.put("bins", {**self.common("bins"), "targets": {}, "delegations": delegations}, self.holder)
        self.root = self.files["/tuf/1.root.json"]

    def publish(self, package, metadata=None, publisher=None):
        project = package.filename.split("-")[0].replace("_", "-").lower()
        entry = {
            "core-metadata": {"sha256": sha256(metadata)} if metadata else False,
            "filename": package.filename,
            "hashes": {"sha256": package.sha256},
            "requires-python": None,
            "provenance": None,
            "size": len(package.data),
            "upload-time": when(self.now),
            "url": f"../../files/{package.sha256[:2]}/{package.sha256}/{package.filename}",
            "yanked": False,
        }
        if publisher:
            provenance = provenance_of(publisher)
            entry["_provenance"] = {"sha256": sha256(provenance)}
            self.files[f"/integrity/{project}/{package.filename.split('-')[1]}/{package.filename}/provenance"] = provenance
        self.projects.setdefault(project, []).append(entry)
        self.files[hashed(file_path(project, package.filename), package.sha256)] = package.data
        if metadata:
            self.files[f"/files/{package.sha256[:2]}/{package.sha256}/{package.filename}.metadata"] = metadata

    def page(self, project):
        versions = sorted({entry["filename"].split("-")[1] for entry in self.projects[project]})
        return canonical(
            {
                "files": self.projects[project],
                "meta": {"_last-serial": self.versions["snapshot"] + 1, "api-version": "1.4"},
                "name": project,
                "project-status": self.status.get(project, {"status": "active"}),
                "versions": versions,
            }
        )

    def targets(self):
        found = {}
        for project, entries in self.projects.items():
            page = self.page(project)
            found[page_path(project)] = {"length": len(page), "hashes": {"sha256": sha256(page)}}
            self.files[hashed(page_path(project), sha256(page))] = page
            for entry in entries:
                path = file_path(project, entry["filename"])
                found[path] = {"length": entry["size"], "hashes": entry["hashes"]}
        return found

    def commit(self, key=None, issued=None, lifetime_days=1):
        """Signs all bins that changed, snapshot and timestamp. Returns self."""
        key, issued = key or self.online, self.now if issued is None else issued
        contents = {f"bin-{n:x}": {} for n in range(1 << BITS)}
        for path, target in self.targets().items():
            contents[bin_of(path)][path] = target
        for name, content in contents.items():
            if self.bins.get(name) != (content, key.id):
                self.bins[name] = (content, key.id)
                self.versions[name] = self.versions.get(name, 0) + 1
                self.put(name, {**self.common(name, 14), "targets": content}, key)
        self.versions["snapshot"] += 1
        meta = {f"{role}.json": {"version": self.versions[role]} for role in ["targets", "bins", *contents]}
        self.put("snapshot", {**self.common("snapshot", lifetime_days), "meta": meta}, key)
        return self.stamp(key, issued, lifetime_days)

    def log_line(self):
        """What the timestamp says of the log; its tiles are served beside it."""
        for path, data in merkle.tiles(self.log).items():
            self.files[f"/tlog/{path}"] = data
        public = bytes.fromhex(self.log_key.public["keyval"]["public"])
        tree = merkle.root([merkle.leaf(entry) for entry in self.log])
        return {"key": merkle.verifier("test/log", public), "origin": "test/log", "root": tree.hex(), "size": len(self.log)}

    def logs(self, act, package, project="demo"):
        """Appends an entry on a file."""
        self.log = self.log or []
        lines = ["tidewaiter-log/1", f"time {self.now}", f"project {project}", f"act {act}"]
        lines += [f"file {package.filename}", f"sha256 {package.sha256}", "page none", "account none"]
        self.log.append(("\n".join(lines) + "\n").encode())
        return self

    def stamp(self, key=None, issued=None, lifetime_days=1, version=None):
        """A new timestamp of the current snapshot, or of an older version of it."""
        version = version or self.versions["snapshot"]
        snapshot = self.files[f"/tuf/{version}.snapshot.json"]
        of = {"version": version, "length": len(snapshot), "hashes": {"sha256": sha256(snapshot)}}
        self.versions["timestamp"] += 1
        body = {**self.common("timestamp", lifetime_days), "meta": {"snapshot.json": of}}
        body["x-issued"] = when(self.now if issued is None else issued)
        if self.log is not None:
            body["x-log"] = self.log_line()
        self.files["/tuf/timestamp.json"] = sign(body, key or self.online)
        return self


def unpacks_to_more(packed):
    """An answer that is small on the wire: gzip of what a reader may not want to hold."""

    def send(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    return send


class Host:
    """Serves a map of paths to bytes. `alter(path, bytes or None)` returns what is sent instead: bytes, None for 404,
    or a function that writes to the handler."""

    def __init__(self, files):
        self.files, self.alter, self.asked = dict(files), lambda path, data: data, []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                host.asked.append(self.path)
                status, data = host.answer(self.path, self.headers.get("Accept", ""))
                if callable(data):
                    self.close_connection = True
                    try:
                        return data(self)
                    except (BrokenPipeError, ConnectionResetError):
                        return None
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return None

            def log_message(self, *_):
                pass

        self.server = on_loopback(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, path, accept):
        """The status, and the body or what writes it."""
        data = self.alter(path, self.files.get(path))
        return (404, b"") if data is None else (200, data)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

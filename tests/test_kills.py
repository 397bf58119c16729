"""`kill -9` in the middle of publishing, 500 times: whoever reads the site between two lives, as a plain mirror would
serve it, finds one consistent snapshot, and versions only grow."""

import json
import random
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from harness import wait_until
from packages import wheel
from test_durability import PLACES, assert_sound, attempt
from test_tuf import file_path, page_path

KILLS = 500
PARTS = 10
# In a publication, in its replay at the next start, and in what follows it.
IN_PUBLISH = [name for name in PLACES if name.startswith(("publish.", "list.written"))]


class Site(FetcherInterface):
    """The folder of an index's site, as a web server without any program would serve it."""

    def __init__(self, site):
        self.site = site

    def _fetch(self, url):
        path = unquote(urlparse(url).path).removeprefix("/")
        if path.startswith("tuf/targets/p/"):
            # The one rewrite that a mirror needs: a file lies under its hash.
            digest, _, filename = path.rpartition("/")[2].partition(".")
            path = f"files/{digest[:2]}/{digest}/{filename}"
        try:
            yield (self.site / path).read_bytes()
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{path} is not there", 404) from error


class Reader:
    """A stock client of a folder; it remembers what it has seen."""

    def __init__(self, site, folder):
        self.site, self.folder, self.last = site, folder, {}
        (folder / "metadata").mkdir(parents=True)
        (folder / "targets").mkdir()
        self.root = (site / "tuf" / "1.root.json").read_bytes()

    def read(self, projects):
        """Everything that the newest snapshot names of these; how many files."""
        base, targets = "http://site/tuf/", self.folder / "targets"
        session = Updater(
            str(self.folder / "metadata"), base, str(targets), f"{base}targets/", Site(self.site), bootstrap=self.root
        )
        session.refresh()
        count = 0
        for project in projects:
            info = session.get_targetinfo(page_path(project))
            if info is None:
                continue
            page = json.loads(Path(session.download_target(info, str(targets / "page"))).read_bytes())
            (targets / "page").unlink()
            for file in page["files"]:
                info = session.get_targetinfo(file_path(project, file["filename"]))
                assert info is not None and info.hashes["sha256"] == file["hashes"]["sha256"], file
                # Bytes that were verified once are not read again.
                session.download_target(info, str(targets / info.hashes["sha256"]))
                count += 1
        trusted = session._trusted_set
        versions = {"root": trusted.root.version, "timestamp": trusted.timestamp.version}
        versions |= {name: meta.version for name, meta in trusted.snapshot.meta.items()}
        lower = {name: version for name, version in self.last.items() if versions.get(name, 0) < version}
        assert not lower, f"went back from {lower}"
        self.last = versions
        return count


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_500_times_while_publishing(make_server, tmp_path, part):
    seed = 45_800 + part
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = make_server(tuf_bins=8, tuf_superseded="5s").start()
    server.publish(wheel("first", "1.0"))
    server.kill()
    reader = Reader(server.data / "blobs" / "main" / "site", tmp_path / "reader")
    projects, seen, died_at = ["first"], 0, set()
    for kill in range(KILLS // PARTS):
        # Each start passes the places of a replay first; then an upload's own.
        place = IN_PUBLISH[kill % len(IN_PUBLISH)]
        # The first round dies at each place's first passage, however late that is, the others wherever chance has it.
        is_first = kill < len(IN_PUBLISH)
        server.spawn(failpoint=f"{place}:{1 if is_first else chance.randrange(1, 5)}")
        project = f"load-{chance.randrange(4)}"
        package = wheel(project, f"1.{kill}")
        try:
            wait_until(server._answers, 30, "the server to answer")
            attempt(lambda: server.upload(package))
            if project not in projects:
                projects.append(project)
            if is_first:
                wait_until(lambda: not server.running(), 10, f"the kill at {place}")
        except AssertionError:
            assert server.process.poll() == -9, server.err.read_text()
        if server.running():
            server.kill()
        else:
            died_at.add(place)
        seen = max(seen, reader.read(projects))
    assert died_at == set(IN_PUBLISH)
    server.start()
    wait_until(lambda: reader.read(projects) >= max(seen, 1), what="everything that was seen")
    assert_sound(server)

"""docs/keys.md, run: every command of every runbook as it stands on the page, in order, while a stock client looks on."""

import re
import shutil
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError

from harness import binary, clean_env, run, wait_until
from packages import sdist, wheel
from signed_index import Host
from test_durability import assert_sound
from test_keys import Thief, online_keyids
from test_log import bound
from test_tuf import client, file_path, follows, page_path, served  # noqa: F401

PAGE = Path(__file__).parent.parent / "docs" / "keys.md"
OLD = wheel(version="1.0")
NEW = wheel(version="2.0", requires_python=">=3.8")


def runbooks():
    """Title to commands, one text a block."""
    sections = re.split(r"^## Runbook: (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    blocks = lambda text: re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return {title: blocks(text) for title, text in zip(sections[::2], sections[1::2])}


class Desk:
    """A folder with the people's files, where the page's commands are typed."""

    def __init__(self, server, folder):
        self.server, self.folder, self.done = server, folder, []
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "tidewaiter").symlink_to(binary())
        for name in ("ann", "bob", "cid", "dan", "eve", "standby"):
            (folder / f"{name}.pass").write_text(f"the passphrase of {name}\n")
        # What each holder fetched while all was well.
        (folder / "root.json").write_bytes(server.get("/tuf/1.root.json").body)

    def type(self, commands, **variables):
        env = clean_env(TIDEWAITER_DATA=self.server.data, **self.server.settings, **variables)
        env["PATH"] = f"{self.folder / 'bin'}:{env['PATH']}"
        done = run(["bash", "-euo", "pipefail", "-c", commands], env=env, cwd=self.folder)
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def rehearse(self, title, **variables):
        self.done.append(title)
        blocks = runbooks()[title]
        assert blocks
        return [self.type(block, **variables) for block in blocks]


def snapshot(server):
    return server.get("/tuf/timestamp.json").json()["signed"]["meta"]["snapshot.json"]["version"]


@pytest.mark.timeout(600)
def test_every_runbook_is_rehearsed_in_the_order_of_the_page(make_server, client, tmp_path):
    server = make_server(tuf_bins=16, tuf_superseded="1h").start()
    server.publish(OLD, sdist("other"))
    stock, desk = client(server), Desk(server, tmp_path / "desk")
    site = server.data / "blobs" / "main" / "site" / "tuf"

    said = desk.rehearse("the ceremony")
    assert "for paper: root SHA-256" in said[1] and "root becomes version 2" in said[1]
    assert "checked: what stood before goes on from your root, version 1" in said[1]
    assert "profile team" in said[2] and "2 of" in said[2]
    assert "standby   none" not in said[3]
    follows(server, stock)
    (server.data / "keys" / "main" / "offline.key").unlink()

    before = online_keyids(server)
    desk.rehearse("another online key")
    assert online_keyids(server) != before
    follows(server, stock)

    server.stop()
    [path.unlink() for path in (server.data / "keys" / "main").glob("online*.key")]
    server.start()
    assert "published" not in server.upload(NEW).text
    desk.rehearse("the online key is lost")
    wait_until(lambda: NEW.filename in server.filenames("demo"), what="what waited for the key")
    assert "put aside" not in server.cli("tuf", "status").stdout
    follows(server, stock)

    keys, backup = server.data / "keys" / "main", tmp_path / "keys-backup"
    witness = server.cli("log", "keys").stdout.split("witness ")[1]
    server.stop()
    shutil.copytree(server.data / "keys", backup / "keys")
    [(keys / f"{name}.key").unlink() for name in ("log", "witness")]
    server.start()
    assert server.cli("tuf", "status", ok=False).stdout.count("and is not in the data folder") == 2
    third = sdist("third")
    assert "published" not in server.upload(third).text
    said = desk.rehearse("the log's key, or the witness's, is lost", BACKUP=backup)
    wait_until(lambda: third.filename in server.filenames("third"), what="what waited for the key")
    assert "witness tidewaiter-witness/main/" in said[1] and witness not in said[1]
    assert stock.refresh().download(page_path("third")) == served(server, "third")

    desk.rehearse("a holder is lost")
    follows(server, stock)
    desk.rehearse("a role is due, or has expired")
    follows(server, stock)

    good, kept = snapshot(server), desk.folder / "good"
    paper = re.search(rf"for paper snapshot {good} and its bins: SHA-256 ([0-9a-f]+)", server.cli("tuf", "status").stdout)[1]
    shutil.copytree(site, kept)
    host = Host(Thief(server).attack("demo", b'{"files": [], "evil": true}', 10**7).files)
    stock.server = type("Elsewhere", (), {"url": host.url.rstrip("/")})
    assert stock.refresh().page("demo")["evil"]
    stock.server = server
    with pytest.raises(RepositoryError):
        stock.refresh()
    log_key = bound(server)["key"]
    said = desk.rehearse("the online key is stolen", GOOD=good, INDEX=server.url, PAPER=paper)
    assert "leave out 1048576" in said[0] and said[1].count(" 0 wrong\n") == 2
    assert (bound(server)["key"] != log_key) and f"log {bound(server)['key']}\n" in said[2]
    host.close()
    stock.refresh()
    assert stock.download(page_path("demo")) == served(server, "demo")

    desk.rehearse("a share of the root is stolen")
    follows(server, stock)

    # A backup, and then a file that the restored ledger will know nothing of; two who follow the log have seen it.
    root, file = tmp_path / "1.root.json", NEW.write(tmp_path)
    root.write_bytes(server.get("/tuf/1.root.json").body)

    def looks(verb, *arguments):
        command = [binary(), verb, "--index", server.url, "--root", root, "--state", tmp_path / verb]
        return run([*command, *arguments])

    watches, verifies = lambda: looks("monitor", "--once"), lambda: looks("verify", file)
    server.stop()
    backup = tmp_path / "backup"
    shutil.copytree(server.data, backup, ignore=shutil.ignore_patterns("*.sock"))
    server.start().publish(wheel(version="3.0"))
    stock.refresh()
    assert len(stock.page("demo")["files"]) == 3
    assert (watches().returncode, verifies().returncode) == (1, 0)
    server.stop()
    shutil.rmtree(server.data)
    shutil.copytree(backup, server.data)
    first, second = runbooks()["restore from a backup"]
    assert " 0 wrong\n" in desk.type(first)
    server.start()
    with pytest.raises(RepositoryError):
        stock.refresh()
    assert (watches().returncode, verifies().returncode) == (2, 1)
    desk.type(second, GOOD=snapshot(server))
    desk.done.append("restore from a backup")
    stock.refresh()
    assert len(stock.page("demo")["files"]) == 2
    assert stock.download(file_path("demo", NEW.filename)) == NEW.data
    server.publish(wheel(version="3.0"))
    follows_on = stock.refresh()
    assert len(follows_on.page("demo")["files"]) == 3
    # The root is above the log: a client goes on, and says why. A monitor has a place in it, and does not.
    done = verifies()
    assert done.returncode == 0 and "the holders of the root have replaced the online key" in done.stderr, done.stderr
    assert "replaced the online key" not in verifies().stderr
    done = watches()
    assert (done.returncode, done.stdout) == (2, "") and "log" in done.stderr, done
    for folder in (tmp_path / "monitor").rglob("log"):
        shutil.rmtree(folder)
    told = watches()
    assert told.returncode == 1 and wheel(version="3.0").filename in told.stdout
    assert desk.done == list(runbooks()), "a runbook that nobody rehearses"
    assert_sound(server)

"""The order of syncs, as the kernel saw it."""

import os
import re
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from harness import multipart, wait_until
from packages import wheel

CALLS = "fsync,fdatasync,syncfs,link,linkat,rename,renameat,renameat2,unlink,unlinkat,write,writev,sendto,sendmsg"


@pytest.fixture
def trace(make_server, tmp_path):
    """Calls of one upload, in order: (name, rest of the line)."""
    assert shutil.which("strace"), "this test needs strace"
    server = make_server()
    log = tmp_path / "trace"
    server.start(wrap=["strace", "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)])
    is_quiet(log)
    package = wheel()
    assert server.upload(package).status == 200
    children = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    os.kill(int(open(children).read().split()[0]), signal.SIGTERM)
    wait_until(lambda: not server.running(), what="the traced server's end")
    return package, calls(log.read_text())


def is_quiet(log):
    """Waits until what a start commits has been committed, such as which checks there are: it is no commit of an upload."""
    count, since = -1, time.monotonic()
    while time.monotonic() - since < 1.5:
        if (now := log.read_text().count("index.db-wal")) != count:
            count, since = now, time.monotonic()
        time.sleep(0.05)


def calls(text):
    """Every finished call, at the place where it ended; a call that another thread interrupts is put together."""
    begun, out = {}, []
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>").strip()
            continue
        resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", rest)
        if resumed:
            rest = begun.pop(thread, f"{resumed[1]}(") + resumed[2]
        called = re.match(r"(\w+)\((.*)", rest)
        if called and " = -1 " not in rest:
            out.append((called[1], called[2]))
    return out


def test_an_upload_is_on_disk_before_it_is_answered(trace):
    package, seen = trace

    def find(names, *parts, after=-1, absent=()):
        for at, (name, rest) in enumerate(seen):
            if at > after and name in names and all(p in rest for p in parts) and not any(a in rest for a in absent):
                return at
        listing = "\n".join(f"{name}({rest[:160]}" for name, rest in seen if name not in ("write", "writev"))
        raise AssertionError(f"no {names} with {parts} after {after}:\n{listing}")

    sync, link = ("fsync", "fdatasync"), ("link", "linkat")
    vault = f"/vault/{package.sha256[:2]}/{package.sha256}"
    site = f"/site/files/{package.sha256[:2]}/{package.sha256}"
    # 1. A name in the vault; then the bytes, the folder that holds the name, and those above it that are new.
    named = find(link, f"{vault}/{package.filename}")
    bytes_synced = find(sync, "/vault/incoming/", after=named)
    folder = find(sync, f"{vault}>", after=named)
    above = find(sync, f"/vault/{package.sha256[:2]}>", after=named)
    # 2. Commit 1, whose record is the next thing that the write-ahead log syncs.
    committed = find(sync, "index.db-wal", after=max(bytes_synced, folder, above))
    # 3. Commit 2, then the second name in the site and its folder, then the first name goes.
    moved = find(link, f"{site}/{package.filename}", after=committed)
    assert sum(1 for n, r in seen[folder:moved] if n in sync and "index.db-wal" in r) >= 2, "commit 2 is synced"
    site_folder = find(sync, f"{site}>", after=moved)
    gone = find(("unlink", "unlinkat"), f"{vault}/{package.filename}", after=site_folder)
    # Pages after bytes, the head after pages, and the answer last.
    page = find(("rename", "renameat", "renameat2"), "/site/simple/demo/index.json", after=gone)
    head = find(("rename", "renameat", "renameat2"), "/site/head.json", after=page)
    answers = [at for at, (n, r) in enumerate(seen) if n in ("write", "writev", "sendto", "sendmsg") and "is published" in r]
    assert answers and answers[0] > head
    # No commit while any of it was still unsynced: nothing of this file was promised before.
    between = [r for n, r in seen[named:max(bytes_synced, folder, above)] if n in sync and "index.db-wal" in r]
    assert between == []


@contextmanager
def delayed(server, calls, microseconds):
    """The server, with each of these system calls begun late."""
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter={microseconds}"]
    server.start(wrap=["strace", "-f", "-qq", "-e", "signal=none", "-o", "/dev/null", *inject])
    yield server
    children = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    os.kill(int(open(children).read().split()[0]), signal.SIGTERM)
    wait_until(lambda: not server.running(), what="the traced server's end")


@pytest.fixture
def slow(make_server):
    """A server whose links are all delayed, so that who comes meanwhile is in between at some time."""
    with delayed(make_server(), "link,linkat", 20_000) as server:
        yield server


def test_nobody_waits_for_the_sync_of_a_busy_disk(make_server):
    """The sync of a checkpoint waits for whatever else the machine writes; uploads and their pages do not."""
    server = make_server(upload_wait="4s")
    server.start().publish(wheel("before"))
    server.stop()
    with delayed(server, "syncfs", 6_000_000):
        for n in range(6):
            server.publish(wheel(f"during-{n}"))
            time.sleep(.4)
        assert server.cli("scrub").stdout.endswith("7 files, 0 wrong\n")


def test_the_same_bytes_at_once_are_never_lost(slow):
    """The publisher moves bytes while others who brought the same ones find that they are there already."""
    packages = [wheel(f"twice-{n}") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        for package in packages:
            answers = list(pool.map(lambda _: slow.upload(package), range(6)))
            assert [answer.status for answer in answers] == [200] * 6, [answer.text for answer in answers]
    for n, package in enumerate(packages):
        wait_until(lambda: slow.filenames(f"twice-{n}") == [package.filename], what="the page")
        assert slow.fetch(f"twice-{n}", package.filename) == package.data
    assert slow.cli("scrub").stdout.endswith("6 files, 0 wrong\n")


def test_what_is_not_accepted_leaves_no_bytes(slow):
    """Bytes are stored while the archive is read. Where that ends in a rejection, or the client hangs up at any time, they
    go again; those of others who brought the same stay."""
    refused = wheel("refused", record=lambda rows: rows[1:])
    package = wheel("kept")
    form = multipart([*package.form(), ("content", package.filename, package.data)])
    head = f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow.token}\r\nContent-Type: {form[1]}\r\n"
    request = f"{head}Content-Length: {len(form[0])}\r\n\r\n".encode() + form[0]

    def hang_up(after):
        with socket.create_connection(("127.0.0.1", slow.port)) as connection:
            connection.sendall(request)
            time.sleep(after)

    with ThreadPoolExecutor(8) as pool:
        gone = [pool.submit(hang_up, n / 1000) for n in range(0, 60, 2)]
        bad = [pool.submit(slow.upload, refused) for _ in range(6)]
        assert [answer.result().status for answer in bad] == [400] * 6
        assert slow.upload(package).status == 200
        assert [one.result() for one in gone] == [None] * 30
    wait_until(lambda: slow.filenames("kept") == [package.filename], what="the page")
    assert slow.fetch("kept", package.filename) == package.data
    assert slow.page("refused") is None
    wait_until(lambda: slow.in_vault() == [], what="the bytes to go")
    assert slow.cli("scrub").stdout.endswith("1 files, 0 wrong\n")

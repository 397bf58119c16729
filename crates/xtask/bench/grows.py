"""`bench scale` and `bench large`: what an upload and a page cost in a large index, and in a large project."""

import shutil
import sqlite3
import threading
import time

import data
import ledger
from load import get, get_times, note, quantile, upload
from servers import JSON, Tidewaiter


FOUNDING_SECONDS = 3600


def generated(folder, fills):
    """A server over a ledger filled by `ledger.fill`; its schema and first account come from a first start, and the signed
    state of what was filled from a second, which founds repository and log over it."""
    server = Tidewaiter(folder, start=False)
    server.start()
    # Readers are answered before what signs the index is founded.
    get(f"{server.base}/healthz")
    server.stop()
    began = time.perf_counter()
    for projects, files_each, prefix in fills:
        ledger.fill(server.data / "index.db", projects, files_each, prefix)
    ledger.unfound(server.data / "index.db")
    for signed in ("tuf", "tlog"):
        shutil.rmtree(server.site / signed)
    size = (server.data / "index.db").stat().st_size
    print(f"  {folder.name}: ledger of {size / 1e6:,.0f} MB generated in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    server.start(FOUNDING_SECONDS)
    get(f"{server.base}/healthz", seconds=FOUNDING_SECONDS)
    print(f"  {folder.name}: signed and logged by a start of {time.perf_counter() - began:.1f} s; resident {server.process.memory()[0]:.0f} MB, at most "
          f"{server.process.peak():.0f}", flush=True)
    server.stop()
    began = server.start()
    print(f"  {folder.name}: the next start answers after {began:.0f} ms; resident {server.process.memory()[0]:.0f} MB", flush=True)
    return server


ROUNDS = 5


def rounds(server, projects, seen):
    """Measures a little of everything each time it is asked to go on, so that two servers can take turns."""
    known = [f"gen-{number * (projects // 60):06}" for number in range(50)]
    for turn in range(ROUNDS):
        part = known[turn * 10:turn * 10 + 10]
        uploads = {"upload to a project": [data.wheel(project, "9.0") for project in part],
                   "upload of a new project": data.tiny(turn * 10, 10)}
        for row, files in uploads.items():
            result = upload(server.upload_url, server.headers, files)
            seen.setdefault(row, []).extend(result["times"])
            if note(result):
                print(f"  {row}:{note(result)}")
        pages = {
            "project page, JSON": ([f"{server.simple_url}/{project}/" for project in part], JSON),
            "project page, HTML": ([f"{server.simple_url}/{project}/" for project in part], "text/html"),
            "home page": ([f"{server.base}/"] * 4, "text/html"),
            "page of a project": ([f"{server.base}/project/{project}/" for project in part], "text/html"),
            "search by name": ([f"{server.base}/projects/?q={project}" for project in part], "text/html"),
            "the list of projects": ([f"{server.simple_url}/"] * 2, JSON),
        }
        for row, (urls, accept) in pages.items():
            seen.setdefault(row, []).extend(get_times(urls, accept))
        yield


def scale(options, folder):
    sizes = [("1,000 projects", 1_000), ("10,000 projects", 10_000) if options.short else ("100,000 projects", 100_000)]
    servers = [generated(folder / str(projects), [(projects, 10, "gen")]) for _, projects in sizes]
    time.sleep(2)
    seen = [{} for _ in sizes]
    for _ in zip(*(rounds(server, projects, rows) for server, (_, projects), rows in zip(servers, sizes, seen))):
        pass
    for (name, _), server in zip(sizes, servers):
        size = len(get(f"{server.simple_url}/", JSON)[2])
        print(f"  {name}: list of {size / 1e6:.2f} MB; resident {server.process.memory()[0]:.0f} MB, at most "
              f"{server.process.peak():.0f}", flush=True)
        server.stop()
    print(f"\n{'median; p99 in ms':28}" + "".join(f"{name:>22}" for name, _ in sizes)
          + "   ratio of medians (at most 2; the list is as long as it is)")
    for row, small in seen[0].items():
        both = [sorted(small), sorted(seen[1][row])]
        cells = "".join(f"{quantile(times, .5):13.2f};{quantile(times, .99):8.2f}" for times in both)
        print(f"{row:28}{cells}{quantile(both[1], .5) / quantile(both[0], .5):8.2f}")


def serial(server):
    with sqlite3.connect(f"file:{server.data}/index.db?mode=ro", uri=True) as connection:
        return connection.execute("SELECT serial FROM indexes WHERE name = 'main'").fetchone()[0]


def large(options, folder):
    files = 3_000 if options.short else 15_000
    server = generated(folder / "large", [(1, files, "large")])
    project = "large-000000"
    print(f"  large: pages of its generated releases are rendered {server.wait_rendered():.1f} s later; resident "
          f"{server.process.memory()[0]:.0f} MB, at most {server.process.peak():.0f}")
    print(f"\none project of {files:,} files")
    times, written, resident = [], [], [server.process.memory()[0]]
    for number in range(6):
        before, known = server.process.written(), serial(server)
        began = time.perf_counter()
        result = upload(server.upload_url, server.headers, [data.wheel(project, f"9.{number}")])
        if note(result):
            raise RuntimeError(note(result))
        server.wait_serial(project, known)
        times.append(1000 * (time.perf_counter() - began))
        if len(server.page(project)["files"]) != files + number + 1:
            raise RuntimeError("the page of the new serial lacks the file")
        resident.append(server.process.memory()[0])
        # The checkpoint that follows within a second belongs to it.
        time.sleep(2)
        written.append(tuple(after - was for after, was in zip(server.process.written(), before)))
    _, _, page = get(f"{server.simple_url}/{project}/", JSON)
    # The first also reads the ledger into memory.
    print(f"upload to visible          {sorted(times[1:])[2]:8.0f} ms   (first {times[0]:.0f}, then {', '.join(f'{one:.0f}' for one in times[1:])}; "
          "at most 1,000)")
    print(f"bytes written per upload   {sorted(written[1:])[2][0] / 1e6:8.2f} MB to write calls, {sorted(one[1] for one in written[1:])[2] / 1e6:.2f} MB "
          f"to the disk   (JSON page {len(page) / 1e6:.2f} MB)")
    first = serial(server)
    results = []
    one = lambda number: results.append(upload(server.upload_url, server.headers, [data.wheel(project, f"10.{number}")]))
    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_published(project, files + 6 + 16)
    elapsed = 1000 * (time.perf_counter() - began)
    good = sum(result["good"] for result in results)
    print(f"16 uploads at once         {serial(server) - first:8} sets of changes, {good} accepted, all visible after {elapsed:.0f} ms")
    before, first, *later = resident
    print(f"resident                   {server.process.memory()[0]:8.0f} MB   ({before:.0f} before, {first:.0f} after the first upload, then "
          f"{', '.join(f'{one:.0f}' for one in later)}; at most {server.process.peak():.0f} in between; goal 150)")
    server.stop()

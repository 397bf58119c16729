"""`bench scale` and `bench large`: what an upload and a page cost in a large index, and in a large project."""

import sqlite3
import threading
import time

import data
import ledger
from load import get, get_times, note, quantile, upload
from servers import JSON, Tidewaiter


def generated(folder, fills):
    """A server over a ledger filled by `ledger.fill`; its schema and first account come from a first start."""
    server = Tidewaiter(folder, start=False)
    server.start()
    server.stop()
    began = time.perf_counter()
    for projects, files_each, prefix in fills:
        ledger.fill(server.data / "index.db", projects, files_each, prefix)
    size = (server.data / "index.db").stat().st_size
    print(f"  {folder.name}: ledger of {size / 1e6:,.0f} MB generated in {time.perf_counter() - began:.0f} s", flush=True)
    began = server.start()
    print(f"  {folder.name}: first answer after {began:.0f} ms", flush=True)
    return server


def scale(options, folder):
    sizes = {"1,000 projects": (1_000, 10)}
    sizes |= {"10,000 projects": (10_000, 10)} if options.short else {"100,000 projects": (100_000, 10)}
    seen = {}
    for name, (projects, files_each) in sizes.items():
        server = generated(folder / name.replace(",", "").replace(" ", "-"), [(projects, files_each, "gen")])
        time.sleep(2)
        known = [f"gen-{number * (projects // 60):06}" for number in range(50)]
        uploads = {
            "upload to a project": [data.wheel(project, "9.0") for project in known],
            "upload of a new project": data.tiny(0, 50),
        }
        rows = {}
        for row, files in uploads.items():
            result = upload(server.upload_url, server.headers, files)
            rows[row] = (result["p50"], result["p99"])
            if note(result):
                print(f"  {row}:{note(result)}")
        pages = {
            "project page, JSON": ([f"{server.simple_url}/{project}/" for project in known], JSON),
            "project page, HTML": ([f"{server.simple_url}/{project}/" for project in known], "text/html"),
            "home page": ([f"{server.base}/"] * 20, "text/html"),
            "page of a project": ([f"{server.base}/project/{project}/" for project in known[:20]], "text/html"),
            "search by name": ([f"{server.base}/projects/?q={project}" for project in known[:20]], "text/html"),
        }
        for row, (urls, accept) in pages.items():
            try:
                times = get_times(urls, accept)
                rows[row] = (quantile(times, .5), quantile(times, .99))
            except RuntimeError as error:
                print(f"  {row}: {error}")
        size = len(get(f"{server.simple_url}/", JSON)[2])
        rows["the list of projects"] = tuple(quantile(get_times([f"{server.simple_url}/"] * 5, JSON), q) for q in (.5, .99))
        print(f"  {name}: list of {size / 1e6:.1f} MB; resident {server.process.memory()[0]:.0f} MB", flush=True)
        server.stop()
        seen[name] = rows
    small, large = seen
    print(f"\n{'median; p99 in ms':28}{small:>22}{large:>22}   ratio of medians (at most 2; the list is as long as it is)")
    for row in seen[small]:
        if row in seen[large]:
            cells = "".join(f"{seen[size][row][0]:13.2f};{seen[size][row][1]:8.2f}" for size in seen)
            print(f"{row:28}{cells}{seen[large][row][0] / seen[small][row][0]:8.2f}")


def serial(server):
    with sqlite3.connect(f"file:{server.data}/index.db?mode=ro", uri=True) as connection:
        return connection.execute("SELECT serial FROM indexes WHERE name = 'main'").fetchone()[0]


def large(options, folder):
    files = 3_000 if options.short else 15_000
    server = generated(folder / "large", [(1, files, "large")])
    project = "large-000000"
    print(f"\none project of {files:,} files")
    times, written = [], []
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
    print(f"resident                   {server.process.memory()[0]:8.0f} MB")
    server.stop()

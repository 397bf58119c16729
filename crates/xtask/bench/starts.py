"""`bench start`: from the start of the program to its first 200 at /simple/, and memory at rest."""

import statistics
import time

import data
from load import note, upload
from servers import Tidewaiter


def starts(server, runs):
    times, memory = [], []
    for _ in range(runs):
        times.append(server.start())
        time.sleep(.3)
        memory.append(server.process.memory())
        server.stop()
    return times, memory


def show(what, times, memory, most):
    below = statistics.median(one[1] for one in memory)
    print(f"{what:28}{statistics.median(times):8.1f} ms   (runs {', '.join(f'{one:.0f}' for one in times)}; at most {most})"
          f"   resident {statistics.median(one[0] for one in memory):.0f} MB, children {below:.0f} MB", flush=True)


def run(options, folder):
    runs = 3 if options.short else 7
    first, memory = [], []
    for number in range(runs):
        times, seen = starts(Tidewaiter(folder / f"new{number}", start=False), 1)
        first, memory = first + times, memory + seen
    print()
    show("a new folder", first, memory, 50)
    server = Tidewaiter(folder / "new0", start=False)
    show("an empty index again", *starts(server, runs), 50)
    server = Tidewaiter(folder / "full", wait="0")
    for files in (data.tiny(0, 1000), data.versions("manyver", 1000)):
        result = upload(server.upload_url, server.headers, files, 4)
        if note(result):
            print(note(result))
    server.wait_published("manyver", 1000)
    server.stop()
    show("2,000 files", *starts(server, runs), 150)

"""`bench upload`: many small files and real ones, ours beside NORA, pypiserver and devpi; and memory."""

import time

import data
from load import note, upload
from servers import Devpi, Nora, Pypiserver, Tidewaiter

DEVPI_SECONDS_MAX = 60


def run(options, folder):
    real, tiny, more = data.real(options.cache), data.tiny(0, 500), data.tiny(500, 500)
    if options.short:
        real = [one for one in real if len(one[1]) < 1 << 20]
    makers = {
        "tidewaiter, wait = 0": lambda: Tidewaiter(folder / "ours0", wait="0"),
        "tidewaiter, wait = 5 s": lambda: Tidewaiter(folder / "ours5"),
    }
    if not options.alone:
        if not options.without_nora:
            makers["nora"] = lambda: Nora(options.cache, folder / "nora")
        makers["pypiserver"] = lambda: Pypiserver(options.cache, folder / "pypiserver")
        makers["devpi, token"] = lambda: Devpi(options.cache, folder / "devpi-token")
        makers["devpi, password"] = lambda: Devpi(options.cache, folder / "devpi-password", password=True)
    rates = {}
    print(f"\n{'a second; p50; p99, ms':26}{'500 tiny, 1 conn.':>30}{'500 tiny, 4 conn.':>30}{f'{len(real)} real, 1 conn.':>30}"
          f"   resident MB: idle, after (children: together, largest)")
    for name, make in makers.items():
        server = make()
        time.sleep(2)
        idle, *_ = server.process.memory()
        limit = DEVPI_SECONDS_MAX / (4 if options.short else 1) if name.startswith("devpi") else None
        cells, notes = [], ""
        for files, connections in ((tiny, 1), (more, 4), (real, 1)):
            result = upload(server.upload_url, server.headers, files, connections, limit)
            cells.append(result["rate"])
            notes += note(result)
            print(f"{name:26}" * (len(cells) == 1) + f"{result['rate']:13,.1f};{result['p50']:7.2f};{result['p99']:8.1f}", end="", flush=True)
        if isinstance(server, Tidewaiter):
            began = time.perf_counter()
            server.wait_published("tiny-00999", 1)
            notes += f"  all published {time.perf_counter() - began:.1f} s later"
        after, below, largest = server.process.memory()
        print(f"{idle:9.0f}, {after:.0f} ({below:.0f}, {largest:.0f}){notes}", flush=True)
        rates[name] = cells
        server.stop()
    print()
    for name in makers:
        if name.startswith("tidewaiter"):
            for peer in (peer for peer in makers if not peer.startswith("tidewaiter")):
                ratios = [ours / theirs if theirs else float("nan") for ours, theirs in zip(rates[name], rates[peer])]
                print(f"{name} / {peer:15}" + "".join(f"{ratio:30.2f}" for ratio in ratios))

"""Measurements beside other indexes. Called by `cargo xtask bench`, which builds the program first."""

import argparse
import os
import sys

import grows
import inspection
import machine
import reads
import signing
import starts
import uploads

WHAT = {"read": reads.run, "upload": uploads.run, "start": starts.run, "scale": grows.scale, "large": grows.large,
        "inspect": inspection.run, "tuf": signing.run}


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__)
    parser.add_argument("what", choices=[*WHAT, "build"])
    home = os.path.expanduser("~/.cache/tidewaiter/bench")
    parser.add_argument("--cache", default=home, help="folder of installed peers and real wheels (%(default)s)")
    parser.add_argument("--short", action="store_true", help="a look, not a measurement: less of everything")
    parser.add_argument("--alone", action="store_true", help="without pypiserver, devpi and NORA")
    parser.add_argument("--without-nora", action="store_true", help="NORA is built from source, which is slow")
    parser.add_argument("--seconds", type=int, help="of one run of wrk (5)")
    parser.add_argument("--runs", type=int, help="of wrk for one cell, of which the median is shown (3)")
    parser.add_argument("--nice", type=int, default=0, help="priority of everything; below 0 needs root")
    inspect = parser.add_argument_group("inspect")
    inspect.add_argument("--only", action="append", choices=["benign", "takeovers", "malicious"], help="parts of it (all)")
    inspect.add_argument("--more", action="append", default=[], metavar="FOLDER", help="archives of source that are ordinary, too")
    inspect.add_argument("--sdists", type=int, default=300, metavar="N", help="source distributions of the same projects (%(default)s)")
    inspect.add_argument("--peer-seconds", type=int, default=600, help="time of the peer in all; what it read until then is told (%(default)s)")
    inspect.add_argument("--peer-files", type=int, default=100, help="ordinary releases that the peer reads, too (%(default)s)")
    inspect.add_argument("--malicious", metavar="REPOSITORY", help="git repository of malicious archives, read in memory")
    inspect.add_argument("--commit", default="HEAD", help="of it, not after 2024")
    parser.add_argument("--part", action="append", choices=signing.PARTS, help="tuf: parts of it (all)")
    options = parser.parse_args()
    options.seconds = options.seconds or (2 if options.short else 5)
    options.runs = options.runs or (1 if options.short else 3)
    options.cache = os.path.abspath(options.cache)
    os.nice(options.nice)
    print(f"$ cargo xtask bench {' '.join(sys.argv[1:])}\n{machine.facts()}", flush=True)
    try:
        WHAT[options.what](options, machine.scratch(options.cache))
    finally:
        machine.stop_all()
    print(f"load at the end {' '.join(f'{value:.2f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()

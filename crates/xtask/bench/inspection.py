"""`bench inspect`: what `tidewaiter inspect` says of real releases, of takeovers rebuilt in them, of a malicious cohort.

Archives are only read. Malicious ones stay in their git repository: each goes from it into a descriptor in memory.
"""

import collections
import itertools
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tarfile
import time
import venv
import zipfile

import inspection_families
import inspection_sdists
import inspection_takeovers
from servers import PROGRAM

HERE = pathlib.Path(__file__).parent
VERDICTS = ["clear", "review", "hold", "malicious"]
HELD = ("hold", "malicious")
PEER = "guarddog==3.2.0"
# What its own evaluation counts as an alarm.
PEER_ALARM = 5
SECONDS_MAX = 300
RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3, "note": 4}


def wilson(part, whole, z=1.96):
    """The 95 % bounds of a share, as percentages."""
    if not whole:
        return 0.0, 100.0
    share, scale = part / whole, 1 + z * z / whole
    middle = share + z * z / (2 * whole)
    spread = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return max(0.0, 100 * (middle - spread) / scale), min(100.0, 100 * (middle + spread) / scale)


def share(what, part, whole):
    low, high = wilson(part, whole)
    print(f"  {what:22}{part:5} of {whole:5} = {100 * part / max(whole, 1):6.2f} %   (95 %: {low:.2f} to {high:.2f})", flush=True)


def verdict_of(one):
    return one["verdict"] if one else "no answer"


def answers(files, names=(), previous=None, descriptors=()):
    """What one process of ours says of these files, by path."""
    command = [PROGRAM, "inspect", "--format", "json"]
    for name in names:
        command += ["--name", name]
    command += ["--previous", str(previous)] if previous else []
    done = subprocess.run([*command, "--", *map(str, files)], capture_output=True, text=True, errors="replace", pass_fds=descriptors)
    found = {one["file"]: one for one in map(json.loads, done.stdout.splitlines())}
    if len(found) < len(set(map(str, files))):
        print(f"  {len(files) - len(found)} without an answer: {done.stderr[-300:]}")
    return found


def in_memory(content):
    """A descriptor of these bytes that is a file nowhere."""
    descriptor = os.memfd_create("sample")
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view):]
    return descriptor


def judge_in_memory(samples, previous=None, at_once=100):
    """Verdicts of (filename, content) pairs, in their order."""
    found = []
    for first in range(0, len(samples), at_once):
        some = samples[first:first + at_once]
        descriptors = [in_memory(content) for _, content in some]
        paths = [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
        said = answers(paths, [name for name, _ in some], previous, descriptors)
        found += [said.get(path) for path in paths]
        for descriptor in descriptors:
            os.close(descriptor)
    return found


def listed(kind):
    lines = (HERE / "inspection.txt").read_text().splitlines()
    return [line.split()[1:] for line in lines if line.split()[:1] == [kind]]


def fetched(folder, *arguments):
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--exists-action", "i", "-d", folder, *arguments]
    if subprocess.run(command).returncode:
        print(f"  not fetched: {' '.join(arguments)}")


def project(path):
    return re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()


def corpora(options):
    """(ordinary wheels, their sdists, other ordinary archives, hard negatives), fetched once into the cache."""
    folder = pathlib.Path(options.cache) / "inspect"
    ordinary, hard, done = folder / "ordinary", folder / "hard", folder / "fetched"
    if not done.exists():
        for names in listed("app"):
            fetched(ordinary, *names)
            time.sleep(1)
        for name in (name for names in listed("hard") for name in names):
            fetched(hard, "--no-deps", name)
            time.sleep(1)
        done.touch()
    hard = sorted(hard.glob("*.whl"))
    apart = {project(path) for path in hard}
    wheels = [path for path in sorted(ordinary.glob("*.whl")) if project(path) not in apart]
    sources = folder / "sdists"
    if options.sdists and not (sources / "fetched").exists():
        inspection_sdists.fetch(sources, sorted({project(path) for path in wheels}), options.sdists)
        (sources / "fetched").touch()
    sdists = [path for path in sorted(sources.glob("*")) if path.name != "fetched"] if options.sdists else []
    more = [path for given in options.more for path in sorted(pathlib.Path(given).iterdir()) if path.is_file()]
    return wheels, sdists, more, hard


def python_bytes(path):
    """Bytes of Python source in an archive, by its own headers."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist() if member.filename.endswith(".py"))
    with tarfile.open(path) as archive:
        return sum(member.size for member in archive if member.name.endswith(".py"))


def timed(command):
    """(output, seconds, peak resident MB) of a command, its largest descendant included.

    The kernel counts what this program itself had at the fork, so that this is no less than its own memory.
    """
    began = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, time.perf_counter() - began, usage.ru_maxrss / 1024


def ours(path):
    output, seconds, memory = timed([PROGRAM, "inspect", "--format", "json", path])
    one = json.loads(output) if output.strip() else None
    return one, seconds, memory


def peer(options):
    """The peer's command. Without network: it would fetch lists of names from elsewhere, which it does not need."""
    folder = pathlib.Path(options.cache) / "guarddog"
    program = folder / "bin/guarddog"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin/pip", "install", "-q", PEER], check=True)
    return ["timeout", str(SECONDS_MAX), "unshare", "-rn", program, "pypi", "scan", "--output-format=json"]


def peer_score(output):
    """Its score, or nothing where it refused the file or ended without an answer."""
    try:
        found = json.loads(output)
    except ValueError:
        return None
    return None if found.get("errors") else found["risk_score"]["score"]


def reasons(one, most=4):
    findings = sorted(one["findings"], key=lambda finding: RANK[finding["severity"]])
    for finding in [finding for finding in findings if finding["severity"] in ("critical", "high", "medium")][:most]:
        place = finding["location"] or {"member": "", "line": None}
        excerpt = " ".join(finding["excerpt"].split())[:100]
        print(f"      {finding['severity']}/{finding['confidence']} {finding['check']} at {place['member']}:{place['line'] or ''}: "
              f"{excerpt!r}. {finding['why']}")
    print(*(f"      left out: {what}" for what in one["degraded"][:2]), sep="\n", end="\n" if one["degraded"] else "")


def verdicts(title, rows):
    """The table of one corpus, rows of (path, answer, ...), and everything that is not clear with its reasons."""
    count = collections.Counter(verdict_of(row[1]) for row in rows)
    print(f"\n{title}: " + ", ".join(f"{verdict} {number}" for verdict, number in sorted(count.items())))
    share("held", count["hold"] + count["malicious"] + count["no answer"], len(rows))
    share("review", count["review"], len(rows))
    for path, one, *_ in sorted(rows, key=lambda row: verdict_of(row[1])):
        if verdict_of(one) != "clear":
            print(f"    {verdict_of(one)}: {path.name}")
            reasons(one or {"findings": [], "degraded": []})


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, math.ceil(part * len(values)) - 1)]


def speed(name, rows):
    """One line of (path, seconds, memory)."""
    seconds, times = sum(row[1] for row in rows), [row[1] for row in rows]
    rate = sum(python_bytes(row[0]) for row in rows) / 1e6 / seconds
    print(f"  {name:12}{rate:9.2f} MB/s of Python {len(rows) / seconds:8.2f} files/s   p50 {1000 * statistics.median(times):7.0f} ms"
          f"   p99 {1000 * quantile(times, .99):7.0f} ms   peak {max(row[2] for row in rows):5.0f} MB", flush=True)
    return rate


def speeds(rows):
    """Ours, by the size of the upload. One process for each file, started and ended within the time."""
    print("\nspeed, one process for each file")
    for name, least, most in (("all", 0, 1 << 40), ("to 10 MB", 0, 10 << 20), ("10 to 60 MB", 10 << 20, 60 << 20), ("above 60 MB", 60 << 20, 1 << 40)):
        some = [(path, seconds, memory) for path, _, seconds, memory in rows if least <= path.stat().st_size < most]
        if some:
            speed(name, some)
    slow = sorted(rows, key=lambda row: -row[2])[:5]
    print("  slowest: " + ", ".join(f"{path.name.split('-')[0]} {seconds:.1f} s ({path.stat().st_size / 1e6:.0f} MB)" for path, _, seconds, _ in slow))


def beside(options, ordinary, hard):
    """The same files, ours and the peer's in turns, until the peer had its time; what it read until then is told."""
    command, some = peer(options), random.Random(4).sample(ordinary, min(options.peer_files, len(ordinary)))
    others = random.Random(4).sample(hard, len(hard))
    # Both kinds by turns: where the time ends, both were read.
    turns = [row for pair in itertools.zip_longest((("ordinary", path) for path in some), (("hard negatives", path) for path in others))
             for row in pair if row]
    rows = {"ours": [], PEER: []}
    alarms = {name: {"ordinary": [], "hard negatives": []} for name in rows}
    refused, read = [], collections.Counter()
    print(f"\nbeside the peer, in turns: it has {options.peer_seconds} s in all and {SECONDS_MAX} s for a file", flush=True)
    try:
        for what, path in turns:
            if sum(row[1] for row in rows[PEER]) > options.peer_seconds:
                break
            one, *mine = ours(path)
            output, *its = timed([*command, path])
            read[what] += 1
            rows["ours"].append((path, *mine))
            rows[PEER].append((path, *its))
            if verdict_of(one) not in ("clear", "review"):
                alarms["ours"][what].append(path.name.split("-")[0])
            score = peer_score(output)
            if score is None:
                refused.append(path.name.split("-")[0])
            elif score >= PEER_ALARM:
                alarms[PEER][what].append(f"{path.name.split('-')[0]} {score}")
    except KeyboardInterrupt:
        print("  interrupted: what was read until then")
    if not rows[PEER]:
        return
    print(f"  read by both: {read['ordinary']} of {len(some)} ordinary releases, {read['hard negatives']} of {len(hard)} hard negatives")
    rates = {name: speed(name, of) for name, of in rows.items()}
    print(f"  ratio       {rates['ours'] / rates[PEER]:9.1f} x its MB/s (goal 10)")
    for name, by in alarms.items():
        for what, names in by.items():
            print(f"  false alarms of {name}, {what}: {len(names)} of {read[what]}{': ' if names else ''}{', '.join(names)}")
    print(f"  refused or without an answer by the peer: {len(refused)}{': ' if refused else ''}{', '.join(refused)}")


def malicious(options):
    """Recall per structural family: one archive of each."""
    families = inspection_families.families(options.malicious, options.commit, pathlib.Path(options.cache) / "inspect")
    found, began = [], time.perf_counter()
    for first in range(0, len(families), 100):
        some = families[first:first + 100]
        contents = inspection_families.contents(options.malicious, [one["blob"] for one in some])
        found += zip(some, judge_in_memory([(one["name"], content) for one, content in zip(some, contents)]))
    total = sum(family["archives"] for family, _ in found)
    print(f"\nmalicious: {len(families)} structural families of {total} archives at {options.commit}, {time.perf_counter() - began:.0f} s")
    read = [row for row in found if inspection_families.may_be_read(row[0])]
    counted = [row for row in found if not inspection_families.may_be_read(row[0])]
    for what, rows in (("all", found), ("the half that may be read", read), ("the other half", counted)):
        count = collections.Counter(verdict_of(one) for _, one in rows)
        held = sum(count[verdict] for verdict in HELD)
        print(f"  {what}: {dict(count)}")
        share("held (goal 85 %)", held, len(rows))
        share("or review (goal 92 %)", held + count["review"], len(rows))
    weighed = sum(family["archives"] for family, one in found if verdict_of(one) in HELD)
    print(f"  weighed by archives, which three campaigns decide: held {100 * weighed / max(total, 1):.1f} %")
    checks = collections.Counter()
    for one in (one for _, one in found if verdict_of(one) in HELD):
        checks.update({finding["check"] for finding in one["findings"] if finding["severity"] in ("critical", "high")})
    print("  high or critical findings in what was held, by check: " + ", ".join(f"{check} {number}" for check, number in checks.most_common()))
    missed = [f"{family['family']} {family['blob']} {verdict_of(one)}\n" for family, one in read if verdict_of(one) not in HELD]
    listing = pathlib.Path(options.cache) / "inspect/missed.txt"
    listing.write_text("".join(missed))
    print(f"  {len(missed)} not held, of the half that may be read: {listing}")


def pair(folder, name, *versions):
    """The wheels of a project's two releases, fetched once."""
    wheel = re.sub(r"[-_.]+", "_", name)
    found = []
    for version in versions:
        if not list(folder.glob(f"{wheel}-{version}-*.whl")):
            fetched(folder, "--no-deps", f"{name}=={version}")
        found.append(next(folder.glob(f"{wheel}-{version}-*.whl")))
    return found


def takeovers(options):
    """Every published takeover, rebuilt harmless, in the next release of ten projects; and genuine next releases."""
    folder = pathlib.Path(options.cache) / "inspect/pairs"
    rows, genuine, first = collections.defaultdict(list), [], collections.Counter()
    pairs = listed("pair")
    for name, old, new, member, owner in pairs:
        previous, after = pair(folder, name, old, new)
        content = after.read_bytes()
        built = inspection_takeovers.rebuilt(content, member, owner)
        for (label, _), one in zip(built, judge_in_memory([(after.name, made) for _, made in built], previous)):
            rows[label].append(verdict_of(one))
        genuine.append((after, *judge_in_memory([(after.name, content)], previous)))
        for (label, _), one in zip(built, judge_in_memory([(after.name, made) for _, made in built])):
            first[label] += verdict_of(one) in HELD
    for name, old, new in listed("next"):
        previous, after = pair(folder, name, old, new)
        genuine.append((after, answers([after], previous=previous).get(str(after))))
    print("\ntakeovers, with the release before at hand (and held without it)")
    for label, said in rows.items():
        print(f"  {label:34}" + "".join(f"{verdict:11}" for verdict in said) + f"({first[label]} of {len(pairs)})")
    print(" " * 36 + "".join(f"{pair[0]:11}" for pair in pairs))
    share("look-alikes held", sum(v in HELD for said in rows.values() for v in said), sum(map(len, rows.values())))
    verdicts("the genuine next releases", genuine)


def run(options, _folder):
    if options.malicious:
        inspection_families.must_be_old(options.malicious, options.commit)
    if not options.only or "benign" in options.only:
        wheels, sdists, more, hard = corpora(options)
        if options.short:
            wheels, sdists = (random.Random(4).sample(some, min(60, len(some))) for some in (wheels, sdists))
        rows = [(path, *ours(path)) for path in wheels]
        verdicts("ordinary releases, wheels", rows)
        built = [(path, *ours(path)) for path in sdists]
        verdicts("ordinary releases, sdists", built)
        other = [(path, *ours(path)) for path in more]
        verdicts("ordinary releases, other source", other)
        difficult = [(path, *ours(path)) for path in hard]
        verdicts("hard negatives", difficult)
        speeds(rows + built + other + difficult)
        if not options.alone:
            beside(options, wheels if options.short else wheels + sdists + more, hard)
    if not options.only or "takeovers" in options.only:
        takeovers(options)
    if options.malicious and (not options.only or "malicious" in options.only):
        malicious(options)

"""The two clients: raw multipart uploads over kept connections, and wrk."""

import base64
import collections
import http.client
import re
import statistics
import subprocess
import threading
import time

from data import body
from machine import parts

OK = (200, 201, 204, 303)


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def upload(url, headers, files, connections=1, seconds_max=None):
    """Uploads (filename, bytes) pairs; bodies are built before the clock starts."""
    host, port, path = parts(url)
    bodies = [body(*one) for one in files]
    todo, lock = iter(range(len(bodies))), threading.Lock()
    times, statuses, errors = [], collections.Counter(), []
    began = time.perf_counter()

    def work():
        connection = http.client.HTTPConnection(host, port, timeout=180)
        while seconds_max is None or time.perf_counter() - began < seconds_max:
            with lock:
                number = next(todo, None)
            if number is None:
                break
            kind, content = bodies[number]
            start = time.perf_counter()
            # A server may have closed a kept connection: once more on a new one.
            for last in (False, True):
                try:
                    connection.request("POST", path, content, {"Content-Type": kind, **headers})
                    answer = connection.getresponse()
                    text, status = answer.read(), answer.status
                    break
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    text, status = b"", type(error).__name__
            with lock:
                times.append(1000 * (time.perf_counter() - start))
                statuses[status] += 1
                if status not in OK and len(errors) < 3:
                    errors.append(f"{files[number][0]}: {' '.join(text[:200].decode('utf-8', 'replace').split())}")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    times.sort()
    good = sum(count for status, count in statuses.items() if status in OK)
    return {"files": len(times), "good": good, "rate": good / elapsed, "p50": quantile(times, .5), "p99": quantile(times, .99),
            "statuses": dict(statuses), "errors": errors,
            "times": times}


def quantile(values, part):
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def note(result):
    """What a reader must know of a result that was not all good."""
    return "" if result["good"] == result["files"] else f"\n    {result['statuses']}, as {result['errors'][0][:200]}"


def wrk_once(url, accept="*/*", connections=16, seconds=5):
    parts(url)
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-H", f"Accept: {accept}",
                          url], capture_output=True, text=True, check=True).stdout
    number, unit = re.search(r"\s99%\s+([\d.]+)(us|ms|s|m)", out).groups()
    bad = re.search(r"Non-2xx[^:]*: (\d+)", out)
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p99": float(number) * {"us": .001, "ms": 1, "s": 1000, "m": 60000}[unit], "bad": int(bad[1]) if bad else 0}


def wrk(urls, accept, connections, seconds, runs):
    """Medians for several servers, their runs taken in turn, so that a busy minute hits all of them."""
    seen = {name: [] for name in urls}
    for _ in range(runs):
        for name, url in urls.items():
            seen[name].append(wrk_once(url, accept, connections, seconds))
    return {name: {"rate": statistics.median(one["rate"] for one in all_), "p99": statistics.median(one["p99"] for one in all_),
                   "bad": sum(one["bad"] for one in all_)} for name, all_ in seen.items() if all_}


def get(url, accept="*/*", method="GET", seconds=180):
    host, port, path = parts(url)
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    connection.request(method, path, headers={"Accept": accept})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def get_times(urls, accept="*/*"):
    """Milliseconds of each request, on one kept connection."""
    host, port, _ = parts(urls[0])
    connection = http.client.HTTPConnection(host, port, timeout=180)
    times = []
    for url in urls:
        start = time.perf_counter()
        connection.request("GET", parts(url)[2], headers={"Accept": accept})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status}")
        times.append(1000 * (time.perf_counter() - start))
    connection.close()
    return sorted(times)

"""`bench read`: pages and files, ours beside nginx over our very `site/`, pypiserver and devpi."""

import json
import re
from urllib.parse import urljoin

import data
from load import get, note, upload, wrk
from servers import JSON, Devpi, Nginx, Pypiserver, Tidewaiter

HTML = "text/html"
# Uploads of many versions to one devpi project get slower with each: stop there and say how many there are.
DEVPI_SECONDS_MAX = 45


def fill(server, sets):
    for files, connections, seconds in sets:
        result = upload(server.upload_url, server.headers, files, connections, seconds)
        if note(result):
            print(f"  {server.name}:{note(result)}")


def file_url(server, project):
    """Where the server says that the project's wheel is."""
    page = f"{server.simple_url}/{project}/"
    _, _, content = get(page, JSON)
    try:
        urls = [one["url"] for one in json.loads(content)["files"]]
    except (ValueError, KeyError):
        urls = re.findall(r'href="([^"]+)"', content.decode("utf-8", "replace"))
    return urljoin(page, next(url for url in urls if ".whl" in url).split("#")[0])


def run(options, folder):
    real = data.real(options.cache)
    real += [data.sized("sized-large", 9_600_000), data.sized("sized-small", 70_000)]
    tiny, many = data.tiny(0, 1000), data.versions("manyver", 1000)
    ours = Tidewaiter(folder / "ours", wait="0")
    fill(ours, [(real, 2, None), (tiny, 4, None), (many, 4, None)])
    ours.wait_published("manyver", 1000)
    ours.wait_published("tiny-00999", 1)
    servers = [ours, Nginx(folder / "nginx", ours.site)]
    if not options.alone:
        servers += [Pypiserver(options.cache, folder / "pypiserver"), Devpi(options.cache, folder / "devpi")]
        fill(servers[2], [(real, 1, None), (tiny, 1, None), (many, 1, None)])
        small = [one for one in real if one[0].startswith(("idna-", "sized_"))]
        fill(servers[3], [(small, 1, None), (many, 2, DEVPI_SECONDS_MAX / (9 if options.short else 1))])
    paths = {
        "small page, HTML": ("/idna/", HTML, 16), "small page, JSON": ("/idna/", JSON, 16),
        "1,000 files, HTML": ("/manyver/", HTML, 16), "1,000 files, JSON": ("/manyver/", JSON, 16),
        "list, HTML": ("/", HTML, 16), "list, JSON": ("/", JSON, 16),
        "9.6 MB file": ("sized-large", "*/*", 4), "70 kB file": ("sized-small", "*/*", 16), ".metadata": ("sized-small", "*/*", 16),
    }
    names = [server.name for server in servers]
    print(f"\n{'requests a second; p99 in ms':28}" + "".join(f"{name:>22}" for name in names) + "   ours/nginx  p99   "
          + "  ".join(f"ours/{name}" for name in names[2:]))
    for row, (where, accept, connections) in paths.items():
        urls = {}
        for server in servers:
            if where.startswith("/"):
                urls[server.name] = server.simple_url + where
            elif row != ".metadata":
                urls[server.name] = file_url(server, where)
            elif server.name in ("tidewaiter", "nginx"):
                urls[server.name] = file_url(server, where) + ".metadata"
        show(row, names, wrk(urls, accept, connections, options.seconds, options.runs))
    if not options.alone:
        _, _, page = get(servers[3].simple_url + "/manyver/", HTML)
        shown = page.count(b"<a ")
        print(f"devpi's page of many files held {shown} of 1,000, its list four: it takes uploads too slowly for more.")


def show(row, names, results):
    line = f"{row:28}"
    for name in names:
        one = results.get(name)
        bad = "!" if one and one["bad"] else " "
        line += f"{one['rate']:13,.0f};{one['p99']:7.2f}{bad}" if one else f"{'-':>22}"
    ours, nginx = results["tidewaiter"], results["nginx"]
    line += f"{ours['rate'] / nginx['rate']:11.2f} {ours['p99'] / nginx['p99']:6.2f}   "
    line += "  ".join(f"{ours['rate'] / results[name]['rate']:{len(name) + 5}.0f}" for name in names[2:] if name in results)
    print(line, flush=True)

"""Projects by the hundred thousand, straight into a SQLite ledger: the schema of the first migration, from a seed.

The rows are those of files published long ago. Their bytes are nowhere, and their pages are not in the site: what is
measured afterwards uploads to such projects, which renders their pages as any upload does.
"""

import json
import random
import sqlite3
import zlib

from data import METADATA

DAY_US = 86_400_000_000
UPLOADED_US = 1_700_000_000_000_000


def packed(text):
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflate.compress(text.encode()) + deflate.flush()


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fill(path, projects, files_each, prefix, seed=1):
    """`projects` projects of `files_each` releases with one wheel each, all visible."""
    chance = random.Random(seed)
    ledger = sqlite3.connect(path)
    ledger.execute("PRAGMA synchronous=OFF")
    ledger.execute("PRAGMA cache_size=-262144")
    index, serial = ledger.execute("SELECT id, serial FROM indexes WHERE name = 'main'").fetchone()
    account = ledger.execute("SELECT MIN(id) FROM accounts").fetchone()[0]
    top = {table: ledger.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table}").fetchone()[0] for table in ("projects", "releases", "files")}
    batch = max(1, 20_000 // files_each)
    for first in range(0, projects, batch):
        rows = {"projects": [], "roles": [], "releases": [], "files": [], "file_metadata": [], "filenames": []}
        for number in range(first, min(first + batch, projects)):
            serial += 1
            project(rows, top, chance, index, account, serial, f"{prefix}-{number:06}", files_each)
        for table, values in rows.items():
            columns = COLUMNS[table]
            marks = ", ".join("?" * len(columns.split(", ")))
            ledger.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        ledger.commit()
    ledger.execute("UPDATE indexes SET serial = ?, written_serial = ?, shown_projects = shown_projects + ?, shown_files = shown_files + ? "
                   "WHERE id = ?", (serial, serial, projects, projects * files_each, index))
    ledger.commit()
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()


def unfound(path):
    """Makes the ledger one that was never signed or logged, so that the next start founds both over what is in it."""
    ledger = sqlite3.connect(path)
    for table in ("targets", "superseded", "online_roles", "offline_roles", "repositories", "log_names", "log_entries", "logs", "commits"):
        ledger.execute(f"DELETE FROM {table}")
    ledger.commit()
    ledger.close()


COLUMNS = {
    "projects": "id, index_id, name, folded, display_name, created_us, status, changes, files_bytes, published, published_name, "
                "published_status, published_roles, serial",
    "roles": "project_id, account_id, index_id, role",
    "releases": "id, index_id, project_id, version, canonical, created_us, serial",
    "files": "id, index_id, project_id, release_id, filename, kind, python_tag, comment, size_bytes, sha256, blake2, md5, "
             "requires_python, origin, uploaded_us, uploaded_by, state, published, entry, legacy_entry",
    "file_metadata": "file_id, body",
    "filenames": "index_id, meaning, filename, sha256, claimed_us",
}


def project(rows, top, chance, index, account, serial, name, files_each):
    top["projects"] += 1
    project_id = top["projects"]
    folded = name.replace("-", "").translate(str.maketrans("lio", "110"))
    rows["projects"].append((project_id, index, name, folded, name, UPLOADED_US, "active", 0, 1000 * files_each, 1, name, "active",
                             "[]", serial))
    rows["roles"].append((project_id, account, index, "owner"))
    stem = name.replace("-", "_")
    body = packed(METADATA.format(name=name, version="1.1"))
    for number in range(1, files_each + 1):
        top["releases"] += 1
        top["files"] += 1
        file_id, version, uploaded = top["files"], f"1.{number}", UPLOADED_US + number * DAY_US // 100
        filename = f"{stem}-{version}-py3-none-any.whl"
        sha256, blake2, md5 = (f"{chance.getrandbits(bits):0{bits // 4}x}" for bits in (256, 256, 128))
        # As `render::entries` writes them.
        entry = compact({"core-metadata": False, "data-dist-info-metadata": False, "filename": filename, "hashes": {"sha256": sha256},
                         "provenance": None, "requires-python": ">=3.8", "size": 1000, "upload-time": "2023-11-14T22:13:20Z",
                         "url": f"../../files/{sha256[:2]}/{sha256}/{filename}", "yanked": False})
        legacy = compact({"comment_text": "", "core-metadata": False, "digests": {"blake2b_256": blake2, "md5": md5, "sha256": sha256},
                          "downloads": -1, "filename": filename, "has_sig": False, "md5_digest": md5, "packagetype": "bdist_wheel",
                          "python_version": "py3", "requires_python": ">=3.8", "size": 1000, "upload_time": "2023-11-14T22:13:20",
                          "upload_time_iso_8601": "2023-11-14T22:13:20Z", "url": f"/files/{sha256[:2]}/{sha256}/{filename}",
                          "yanked": False, "yanked_reason": None})
        rows["releases"].append((top["releases"], index, project_id, version, version, uploaded, 1))
        rows["files"].append((file_id, index, project_id, top["releases"], filename, "bdist_wheel", "py3", "", 1000, sha256, blake2, md5,
                              ">=3.8", "uploaded", uploaded, account, "visible", 1, entry, legacy))
        rows["file_metadata"].append((file_id, body))
        rows["filenames"].append((index, filename.lower(), filename, sha256, uploaded))

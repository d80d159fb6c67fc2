"""Makes the demo that comes with lab: `python docs/make_demo.py` trains the ladder (minutes) and thins its database.

On a machine with nothing else to do: the times are shown.

`python docs/make_demo.py runs.db` thins the ladder of a database where it is trained already.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from lab.store.demo import DEMO_TAG
from lab.store.location import files_folder
from lab.store.run_store import RunStore

DEMO = Path(__file__).parents[1] / "data" / "demo" / "demo.db"
POINTS_KEPT = 1000
"""Of a metric; neighbouring buckets are merged until no more are left."""
LARGEST_CHECKPOINT = 300_000
"""Bytes; larger models come without their weights."""


def make_demo(trained: Path, demo: Path) -> None:
    """Thins a database of a finished ladder to what the demo shows."""
    shutil.rmtree(demo.parent, ignore_errors=True)
    demo.parent.mkdir(parents=True)
    with closing(sqlite3.connect(trained)) as source, closing(sqlite3.connect(demo)) as target:
        source.backup(target)
        with target:
            target.execute("PRAGMA foreign_keys = ON")
            target.execute("DELETE FROM run WHERE status != 'finished'")
            target.execute("UPDATE run SET tags_json = ?, trained_by = 'worker'", (f'["{DEMO_TAG}"]',))
            target.execute("DELETE FROM tensor WHERE kind = 'weight-gradients'")  # which no screen draws
            target.execute("UPDATE dataset SET path = name || '.txt'")
            target.execute("DELETE FROM checkpoint WHERE kind != 'best' OR size > ?", (LARGEST_CHECKPOINT,))
            for metric_id, width, points in target.execute(
                "SELECT id, bucket_width, (SELECT count(*) FROM point WHERE metric_id = id) FROM metric"
            ).fetchall():
                merge_buckets(target, metric_id, width, -(-points // POINTS_KEPT))
            kept = [path for (path,) in target.execute("SELECT path FROM checkpoint")]
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("VACUUM")
    for path in kept:
        copy = files_folder(demo) / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files_folder(trained) / path, copy)


def merge_buckets(connection: sqlite3.Connection, metric_id: int, width: int, together: int) -> None:
    """Merges so many neighbouring buckets of a metric into one: mean value, lowest low, highest high."""
    if together < 2:
        return
    merged = connection.execute(
        "SELECT bucket / ?, max(step), avg(value), min(low), max(high), sum(nonfinite) FROM point"
        " WHERE metric_id = ? GROUP BY bucket / ?",
        (together, metric_id, together),
    ).fetchall()
    connection.execute("DELETE FROM point WHERE metric_id = ?", (metric_id,))
    connection.executemany(
        "INSERT INTO point (metric_id, bucket, step, value, low, high, nonfinite) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(metric_id, *row) for row in merged],
    )
    connection.execute("UPDATE metric SET bucket_width = ? WHERE id = ?", (width * together, metric_id))


def main() -> None:
    """Trains unless a database is given, makes the demo, and says how large it is."""
    if len(sys.argv) > 1:
        trained = Path(sys.argv[1])
        RunStore.open(trained).close()  # an older one is migrated
        make_demo(trained, DEMO)
    else:
        with tempfile.TemporaryDirectory() as folder:
            trained = Path(folder) / "runs.db"
            subprocess.run([sys.executable, "-m", "lab", "ladder", "--db", str(trained)], check=True)
            subprocess.run([sys.executable, "-m", "lab", "worker", "--stop", "--db", str(trained)], check=True)
            make_demo(trained, DEMO)
    size = sum(path.stat().st_size for path in DEMO.parent.rglob("*") if path.is_file())
    print(f"{DEMO}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""What one of many programs does to a database, all at once: `hammer.py write|read DATABASE SECONDS RUN…`.

A writer records a run and changes the queue besides; a reader reads what all of them write, and sees that none of it
ever goes back. Each prints as JSON what it did.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import RunStore

VALUES = 20
"""Of a metric, in a batch."""


def write(store: RunStore, seconds: float, run_id: str, waits: str) -> dict[str, int]:
    """Records as fast as it can, with a checkpoint, a sample, an edit and a move in the queue now and then."""
    claimed = lifecycle.claim(store, run_id)
    assert claimed is not None
    record = RunRecorder(store, run_id, claimed.attempt, claimed.steps)
    end_at = time.monotonic() + seconds
    step = batches = 0
    while time.monotonic() < end_at or not batches:
        for metric in ("train/loss", "grad_norm"):
            record.log(metric, step, [float(number) for number in range(step, step + VALUES)])
        step += VALUES
        record.progress(step=step)
        if batches % 5 == 0:
            record.sample(step, f"{run_id} at {step}")
            record.checkpoint("complete", step, lambda path, step=step: path.write_text(f"{step}"))
            store.set_notes(run_id, f"at {step}")
            lifecycle.move(store, waits, 1)
            lifecycle.pause(store, waits)
            lifecycle.resume(store, waits)
        record.flush()
        batches += 1
    record.close()
    assert lifecycle.end(store, run_id, claimed.attempt, "finished")
    return {"steps": step, "samples": (batches + 4) // 5}


def read(store: RunStore, seconds: float, run_ids: list[str]) -> dict[str, int]:
    """Reads as fast as it can; fails where what was there is gone, or is not what was written."""
    end_at = time.monotonic() + seconds
    seen = dict.fromkeys(run_ids, 0)
    reads = 0
    while time.monotonic() < end_at or not reads:
        rows = {run.id: run for run in store.runs()}
        for run_id in run_ids:
            points = store.points(run_id, "train/loss")
            assert points.steps.tolist() == list(range(len(points))) == points.values.astype(int).tolist()
            assert len(points) >= max(seen[run_id], rows[run_id].step)
            seen[run_id] = len(points)
            reads += 1
        store.data_version()
        lifecycle.waiting_runs(store)
    return {"reads": reads}


def main() -> None:
    """Does what the arguments say."""
    what, path, seconds, *run_ids = sys.argv[1:]
    store = RunStore.open(Path(path))
    did = write(store, float(seconds), *run_ids) if what == "write" else read(store, float(seconds), run_ids)
    store.close()
    print(json.dumps(did))


if __name__ == "__main__":
    main()

"""Runs written out with their metrics, config and results, for other programs: CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lab.errors import UsageError
from lab.store.run_store import RunRow, RunStore

if TYPE_CHECKING:
    import numpy as np

FORMATS = (".csv", ".jsonl")
_ABOUT = ("id", "kind", "name", "stage", "dataset", "dataset_sha256", "experiment", "parent_id", "parent_step")
_RESULTS = (
    "status", "step", "steps", "parameters", "train_loss", "val_loss", "best_val_loss", "best_step",
    "chars_per_second", "seconds", "device", "precision", "threads", "torch_version", "lab_version",
    "created_at", "started_at", "ended_at", "error",
)  # fmt: skip


def check_target(path: Path, formats: Sequence[str] = FORMATS) -> Path:
    """The file to write to, its `~` resolved. Raises `UsageError` where its name or its folder does not do."""
    path = path.expanduser()
    if path.suffix.lower() not in formats or not path.stem:
        endings = f"{', '.join(formats[:-1])} or {formats[-1]}"
        raise UsageError(f"'{path.name}' does not say its format: give it a name that ends in {endings}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}: make it, or write elsewhere")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the file a name")
    return path


def export_runs(store: RunStore, runs: Sequence[RunRow], path: Path) -> int:
    """Writes runs to a file, whole or not at all; returns its bytes.

    `.jsonl`: one object a run with `config`, `results`, `tags`, `notes`, `samples`, and of each metric the steps,
    values, lows and highs; what was not finite is null. `.csv`: one row a run and step with the run, its results and
    its config repeated, and a column for each metric; what was not recorded is empty. Raises `UsageError`.
    """
    path = check_target(path)
    write = _write_csv if path.suffix.lower() == ".csv" else _write_json_lines
    try:
        return _write_whole(path, lambda file: write(store, runs, file))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; write elsewhere") from None


def _write_whole(path: Path, write: Callable[[TextIO], None]) -> int:
    """Writes beside the file and puts it in its place."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            write(file)
            size = file.tell()
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return size


def _write_json_lines(store: RunStore, runs: Iterable[RunRow], file: TextIO) -> None:
    for run in runs:
        document = {name: getattr(run, name) for name in _ABOUT}
        document |= {
            "tags": list(run.tags),
            "notes": run.notes,
            "config": _config(run),
            "results": {name: _finite(getattr(run, name)) for name in _RESULTS},
            "metrics": {name: _metric(store, run, name) for name in store.metric_names(run.id)},
            "samples": [{"step": sample.step, "text": sample.text} for sample in store.samples(run.id)],
        }
        json.dump(document, file, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def _metric(store: RunStore, run: RunRow, name: str) -> dict[str, list[Any]]:
    points = store.points(run.id, name)
    columns = {"values": points.values, "lows": points.lows, "highs": points.highs}
    return {"steps": points.steps.tolist()} | {key: _numbers(column) for key, column in columns.items()}


def _write_csv(store: RunStore, runs: Sequence[RunRow], file: TextIO) -> None:
    metrics = sorted({name for run in runs for name in store.metric_names(run.id)})
    configs = {run.id: _config(run) for run in runs}
    fields = list(dict.fromkeys(name for config in configs.values() for name in config))
    head = [*_ABOUT, "tags", "at_step", *metrics, *(f"result.{name}" for name in _RESULTS)]
    writer = csv.writer(file)
    writer.writerow([*head, *(f"config.{name}" for name in fields)])
    for run in runs:
        about = [getattr(run, name) for name in _ABOUT] + [" ".join(run.tags)]
        results = [_finite(getattr(run, name)) for name in _RESULTS]
        config = [configs[run.id].get(name) for name in fields]
        for step, values in _rows(store, run, metrics):
            writer.writerow([_cell(value) for value in (*about, step, *values, *results, *config)])


def _rows(store: RunStore, run: RunRow, metrics: Sequence[str]) -> Iterator[tuple[int | None, list[float | None]]]:
    """Each step that something was recorded at, with every metric there; one row without a step where nothing was."""
    points = {name: store.points(run.id, name) for name in metrics}
    at = {name: dict(zip(each.steps.tolist(), _numbers(each.values), strict=True)) for name, each in points.items()}
    steps = sorted({step for each in at.values() for step in each})
    if not steps:
        yield None, [None] * len(metrics)
    for step in steps:
        yield step, [at[name].get(step) for name in metrics]


def _config(run: RunRow) -> dict[str, Any]:
    """Every field of a config, those at their usual value too. Raises `ConfigError` on nonsense."""
    return dict(run.settings)


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_finite(value) for value in values.tolist()]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value

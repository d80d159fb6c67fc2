"""What is shown, as text that can be taken along: copied, or written to a file."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.tui.snapshot import Curve, Snapshot

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

LARGEST_COPY = 74_000
"""Bytes, coded for the terminal, beyond which many terminals drop what is to be copied."""

_FACTS = (
    "id", "name", "stage", "dataset", "status", "step", "steps", "val_loss", "best_val_loss", "train_loss",
    "parameters", "chars_per_second", "seconds", "seed", "device",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """Something that can be taken along. `text` is made when it is wanted, for a file on a thread."""

    label: str
    text: Callable[[], str]
    file_name: str
    """What a file of it is called, with its suffix."""


def of_text(label: str, text: str, file_name: str) -> Shown:
    """A text that is there already."""
    return Shown(label, lambda: text, file_name)


def of_run(run: RunRow) -> list[Shown]:
    """Of one run: its row, its config, and the command that trains it again."""
    name = file_stem(run.name)
    shown = [
        Shown("row", lambda: runs_csv([run], dialect="excel-tab"), f"{name}.tsv"),
        Shown("config", lambda: json.dumps(json.loads(run.config_json), indent=2) + "\n", f"{name}-config.json"),
    ]
    if command := command_of(run):
        shown.append(of_text("command that repeats it", command, f"{name}.sh"))
    return shown


def of_curves(snapshot: Snapshot, run_ids: Iterable[str]) -> list[Shown]:
    """The curves of these runs, as far as they have been read."""
    curves = [(snapshot.by_id[run_id].name, snapshot.curves[run_id]) for run_id in run_ids if run_id in snapshot.curves]
    return [Shown("curves (CSV)", lambda: curves_csv(curves), "curves.csv")] if curves else []


def of_runs(runs: Sequence[RunRow]) -> list[Shown]:
    """The whole table of these runs."""
    return [Shown("table (CSV)", lambda: runs_csv(runs), "table.csv")] if runs else []


def runs_csv(runs: Iterable[RunRow], *, dialect: str = "excel") -> str:
    """A line a run under a line of names; losses unrounded, what is not known empty."""
    out = io.StringIO()
    writer = csv.writer(out, dialect, lineterminator="\n")
    writer.writerow([*_FACTS, "tags"])
    for run in runs:
        values = [getattr(run, name) for name in _FACTS]
        writer.writerow(["" if value is None else value for value in values] + [" ".join(run.tags)])
    return out.getvalue()


def curves_csv(curves: Iterable[tuple[str, Mapping[str, Curve]]]) -> str:
    """A line a point: run, metric, step, value; one that was not finite has no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "metric", "step", "value"])
    for name, metrics in curves:
        for metric, curve in metrics.items():
            for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
                writer.writerow([name, metric, step, value if math.isfinite(value) else ""])
    return out.getvalue()


def cells_csv(labels: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as it reads, under its labels."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(labels)
    writer.writerows(rows)
    return out.getvalue()


def command_of(run: RunRow) -> str:
    """The command that trains such a run in the foreground; empty where its stage is not one of lab's."""
    from lab.config.ladder import STAGES_BY_NAME
    from lab.errors import ConfigError
    from lab.tui.config_changes import config_changes

    stage = STAGES_BY_NAME.get(run.stage)
    try:
        config = run.config
    except ConfigError:
        return ""
    if stage is None:
        return ""
    words = ["lab", "train", run.stage]
    if config.dataset != stage.home_dataset:
        words += ["--dataset", config.dataset, "--as", config.dataset_as]
    own = ("steps", "seed")
    changes = config_changes(run.config_json)
    for name in own:
        words += [f"--{name}", changes[name]] if name in changes else []
    for name, value in changes.items():
        words += ["--set", f"{name}={value}"] if name not in (*own, "dataset", "dataset_as") else []
    return shlex.join(words)


def file_stem(name: str) -> str:
    """A name as a part of a file's name."""
    kept = "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
    return kept.strip("-.")[:60] or "run"


def write_beside(database: Path, shown: Shown) -> str:
    """Writes it beside the database, or here where that cannot be written, over nothing that is there; says where.

    Raises `UsageError` where neither place can be written. For a thread.
    """
    text = shown.text()
    reason = ""
    for folder in (database.parent, Path.cwd()):
        try:
            return f"{shown.label} written to {_write_new(folder, shown.file_name, text)}"
        except OSError as error:
            reason = f"{folder}: {error.strerror or error}"
    raise UsageError(f"{shown.label} could not be written: {reason}")


def _write_new(folder: Path, file_name: str, text: str) -> Path:
    named = Path(file_name)
    count = 1
    while True:
        path = folder / (file_name if count == 1 else f"{named.stem}-{count}{named.suffix}")
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            count += 1
            continue
        return path

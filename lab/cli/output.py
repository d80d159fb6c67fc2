"""What commands print: JSON alone on stdout, tables as wide as there is room, progress on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.store.run_store import RunRow
from lab.tui.text import literal

_PIPED_WIDTH = 200


def print_json(document: object) -> None:
    """One JSON document on stdout; NaN and infinities as null."""
    print(json.dumps(_finite(document), indent=2, ensure_ascii=False))


def say(line: str) -> None:
    """One line on stderr, control characters shown literally."""
    print(literal(line), file=sys.stderr, flush=True)


def print_table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout; `columns` are names and justifications, cells are data, shown literally."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=justify != "full")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*[Text(literal(cell)) for cell in row])
    console().print(table)


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough for a pipe."""
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def run_document(run: RunRow) -> dict[str, Any]:
    """A run as the commands' JSON has it."""
    return {
        "id": run.id,
        "name": run.name,
        "kind": run.kind,
        "stage": run.stage,
        "dataset": run.dataset,
        "dataset_sha256": run.dataset_sha256,
        "status": run.status,
        "step": run.step,
        "steps": run.steps,
        "parameters": run.parameters,
        "train_loss": run.train_loss,
        "val_loss": run.val_loss,
        "best_val_loss": run.best_val_loss,
        "best_step": run.best_step,
        "seconds": run.seconds,
        "chars_per_second": run.chars_per_second,
        "device": run.device,
        "precision": run.precision,
        "threads": run.threads,
        "seed": run.seed,
        "experiment": run.experiment,
        "parent": run.parent_id,
        "parent_step": run.parent_step,
        "attempt": run.attempt,
        "error": run.error,
        "tags": list(run.tags),
        "notes": run.notes,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "torch_version": run.torch_version,
        "lab_version": run.lab_version,
        "config_hash": run.config_hash,
        "group_hash": run.group_hash,
        "config": run.config.resolved(),
    }


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

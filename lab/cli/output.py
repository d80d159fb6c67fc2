"""What commands print: JSON alone on stdout, tables as wide as there is room, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.store.run_store import RunRow
from lab.text import literal

WRAPPED = "wrap"
"""The justification of a column of prose: left, and folded where the line ends."""
_PIPED_WIDTH = 200
_GAP = 2
_NARROWEST_PROSE = 24


def print_json(document: object) -> None:
    """One JSON document on stdout; NaN and infinities as null."""
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():  # JSON escapes the older control characters only
        text = "".join(character if character.isprintable() or character == "\n" else _escaped(character)
                       for character in text)  # fmt: skip
    print(text)


def say(line: str) -> None:
    """One line on stderr, control characters shown literally; unheard where nobody listens any more."""
    with contextlib.suppress(OSError):
        print(literal(line), file=sys.stderr, flush=True)


def print_table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, droppable: Sequence[str] = ()
) -> None:
    """A table on stdout; `columns` are names and justifications, cells are data, shown literally.

    Where the line is too short for it, the droppable columns go, the first named first, before anything is cut.
    """
    screen = console()
    cells = [[literal(cell) for cell in row] for row in rows]
    left_out = columns_left_out(columns, cells, droppable, screen.width)
    shown = [i for i, (name, _) in enumerate(columns) if name not in left_out]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, justify in (columns[i] for i in shown):
        wrapped = justify == WRAPPED
        table.add_column(
            literal(name),
            justify="left" if wrapped else justify,  # type: ignore[arg-type]
            no_wrap=not wrapped,
            overflow="fold" if wrapped else "ellipsis",
        )
    for row in cells:
        table.add_row(*[Text(row[i]) for i in shown])
    screen.print(table)


def columns_left_out(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], droppable: Sequence[str], width: int
) -> set[str]:
    """The names of the columns that must go for the rest to fit a width; prose needs no more than some of its own."""
    widths = {}
    for i, (name, justify) in enumerate(columns):
        natural = max([cell_len(name), *(cell_len(row[i]) for row in rows)])
        widths[name] = min(natural, _NARROWEST_PROSE) if justify == WRAPPED else natural
    left_out: set[str] = set()
    for name in droppable:
        kept = [width for column, width in widths.items() if column not in left_out]
        if sum(kept) + _GAP * (len(kept) - 1) <= width:
            break
        left_out.add(name)
    return left_out


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
        "config": dict(run.settings),
    }


def _escaped(character: str) -> str:
    """A character that a terminal may obey, as JSON writes it."""
    return json.dumps(character)[1:-1]  # which is ASCII alone


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

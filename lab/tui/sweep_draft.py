"""An LR sweep that a person is composing: what was typed, what it means, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import ConfigError, DatasetError, LabError, UsageError

if TYPE_CHECKING:
    from lab.store.run_store import NewRun

FIELDS = ("method", "seeds", "from", "to", "steps", "change", "dataset")
PLACEHOLDERS = {
    "method": "ramp; or runs: eleven short runs",
    "seeds": "4",
    "from": "lowest lr; 1e-5 for AdamW, 1e-3 for SGD",
    "to": "highest lr; 10",
    "steps": "of the ramp, by its range; of each run 200",
    "change": "as the stage; or batch_size=64",
    "dataset": "the stage's own; or names, or a path",
}


@dataclass(frozen=True)
class SweepDraft:
    """What stands in the fields; an empty one means as it suits the stage."""

    stage: str = "bigram"
    values: Mapping[str, str] = field(default_factory=dict)

    def with_value(self, name: str, value: str) -> SweepDraft:
        """With one field typed otherwise."""
        return SweepDraft(self.stage, {**self.values, name: value})


@dataclass(frozen=True)
class SweepCheck:
    """What a draft comes to: a sweep to queue, or what is wrong with which field."""

    draft: SweepDraft
    new: NewRun | None = None
    errors: Mapping[str, str] = field(default_factory=dict)


def check_sweep(draft: SweepDraft, database: Path) -> SweepCheck:
    """Reads a draft and the dataset it names; on a thread. Wrong input is in the result, not raised."""
    from lab.config.lr_sweep import SEEDS
    from lab.config.run_config import parse_settings
    from lab.queue.requests import RunRequest
    from lab.queue.sweep_requests import SweepRequest, compose_sweep

    values = {name: draft.values.get(name, "").strip() for name in FIELDS}
    name = ""
    try:
        numbers: dict[str, float | None] = {}
        for name in ("seeds", "from", "to", "steps"):
            numbers[name] = _number(name, values[name])
        name = "change"
        settings = parse_settings(values["change"].split())
        for key in ("seed", "dataset", "dataset_as", "stage"):
            if key in settings:
                raise UsageError(f"{key} cannot be changed here")
        dataset, as_words, _ = values["dataset"].partition(" as words")
        run = RunRequest(draft.stage, dataset, "words" if as_words else None, settings)
        seeds, steps = numbers["seeds"], numbers["steps"]
        request = SweepRequest(
            run,
            values["method"] or "ramp",
            SEEDS if seeds is None else int(seeds),
            numbers["from"],
            numbers["to"],
            None if steps is None else int(steps),
        )
        return SweepCheck(draft, compose_sweep(request, database))
    except DatasetError as error:
        return SweepCheck(draft, errors={"dataset": str(error)})
    except ConfigError as error:
        return SweepCheck(draft, errors={_field_of(str(error)): str(error)})
    except LabError as error:
        return SweepCheck(draft, errors={name: str(error)})


def _number(name: str, typed: str) -> float | None:
    if not typed:
        return None
    try:
        number = float(typed.replace(",", "").replace("_", ""))
    except ValueError:
        number = float("nan")
    if number != number or (name in ("seeds", "steps") and number != int(number if abs(number) < 1e15 else 0)):
        raise UsageError(f"{name} '{typed}' is not a {'whole ' if name in ('seeds', 'steps') else ''}number")
    return number


def _field_of(message: str) -> str:
    """The field that a refusal is about."""
    first = message.split(" ")[0].split("=")[0].removeprefix("--")
    return first if first in ("from", "to", "seeds", "steps", "method") else "from" if first == "the" else "change"

"""What happens for the first time in a database, said once in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import text
from lab.errors import ConfigError
from lab.tui.snapshot import References, Snapshot

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class FirstEvents:
    """Sees snapshots go by. What the first of them shows already is no news."""

    def __init__(self) -> None:
        self._seen = False
        self._finished = self._below = False

    def news(self, snapshot: Snapshot) -> list[str]:
        """What is to be said now; most often nothing."""
        said = []
        finished = next((run for run in snapshot.runs if run.status == "finished" and run.val_loss is not None), None)
        if finished is not None and not self._finished:
            self._finished = True
            said.append(_first_finished(finished, _references(snapshot, finished)))
        below = next((run for run in snapshot.runs if _is_below(run, _references(snapshot, run))), None)
        if below is not None and not self._below:
            self._below = True
            said.append(_first_below(below, _references(snapshot, below)))
        news = said if self._seen else []
        self._seen = True
        return news

    @property
    def over(self) -> bool:
        """Whether nothing is left to be said."""
        return self._finished and self._below


def _references(snapshot: Snapshot, run: RunRow) -> References | None:
    return snapshot.references.get((run.dataset_sha256, run.dataset_kind))


def _is_below(run: RunRow, references: References | None) -> bool:
    """Whether a run's val loss is under the counting line by more than scatter, and means something."""
    if references is None or run.val_loss is None or run.status not in ("training", "finished"):
        return False
    return run.val_loss < references.counting - 0.01 and _means_something(run)


def _means_something(run: RunRow) -> bool:
    """Whether lab trained it, on a task where the answer cannot be seen; of very many runs no config was checked."""
    try:
        return run.kind != "external" and not run.config.sees_the_answer
    except ConfigError:
        return False


def _first_finished(run: RunRow, references: References | None) -> str:
    said = f"The first rung is trained. {text.literal(run.name)} comes to val {text.loss(run.val_loss)}: "
    said += f"as unsure as choosing among {text.choices(run.val_loss)} characters"
    if references is not None:
        said += f", where guessing evenly chooses among {text.choices(references.guessing_evenly)}"
    return said + "."


def _first_below(run: RunRow, references: References | None) -> str:
    line = f" ({text.loss(references.counting)})" if references is not None else ""
    return (
        f"{text.literal(run.name)} is below the line of the bigram by counting{line}: "
        "it makes use of more than the one character before."
    )

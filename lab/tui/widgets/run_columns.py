"""The columns of the table of runs: what each shows, and what it sorts by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.text import Text

from lab import text
from lab.text import shown_value as shown_value
from lab.tui.run_colours import run_colour

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

STATUS_SIGNS: Mapping[str, tuple[str, str, str]] = {
    "queued": ("◌", "waiting", "secondary"),
    "training": ("●", "training", "primary"),
    "paused": ("‖", "paused", "warning"),
    "finished": ("✓", "finished", "success"),
    "stopped": ("■", "stopped", "text-muted"),
    "diverged": ("↯", "diverged", "error"),
    "failed": ("✗", "failed", "error"),
    "cancelled": ("–", "cancelled", "text-muted"),
}
"""Sign, word and theme colour of each status, so that colour is never the only carrier."""

_WISHES = {"pause": "pausing", "stop": "stopping", "cancel": "ending"}


@dataclass(frozen=True)
class Look:
    """What the cells of a table depend on beside the run itself."""

    now: float = 0.0
    dark: bool = True
    colours: Mapping[str, str] = field(default_factory=dict)
    """The theme's colours by name."""
    slots: Mapping[str, int] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    baseline: RunRow | None = None
    narrow: bool = False
    """Whether columns make themselves small."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Where each waiting run stands in the queue."""

    def narrowed(self) -> Look:
        """The same for a table with little room."""
        return replace(self, narrow=True)

    def colour_of(self, run_id: str) -> str:
        """A run's own colour."""
        return run_colour(self.slots.get(run_id, 0), dark=self.dark)

    def colour(self, name: str) -> str:
        """A colour of the theme."""
        return self.colours.get(name, "default")


class RunCell(Text):
    """A cell that knows its run: by it the table's rows are ordered."""

    run_id: str = ""


@dataclass(frozen=True)
class Column:
    """One column; with `flexible` it takes the room that is left."""

    key: str
    label: str
    width: int
    cell: Callable[[RunRow, Look], Text]
    sort: Callable[[RunRow], float | str | None] | None = None
    right: bool = False
    flexible: bool = False
    descending: bool = False
    """Whether sorting by it starts with the largest."""
    narrow_width: int = 0
    """Its width in a narrow table, where that is another."""
    from_width: int = 0
    """Narrower tables leave it out."""
    with_baseline: bool = False
    """Only there while a baseline is pinned."""


def _mark(run: RunRow, look: Look) -> Text:
    sign = "◆" if look.baseline is not None and run.id == look.baseline.id else "●" if run.id in look.marks else "·"
    cell = RunCell()
    cell.append(sign, look.colour_of(run.id))
    cell.run_id = run.id
    return cell


def status_text(run: RunRow, look: Look) -> Text:
    """A run's status as sign and word, with its place where it waits."""
    sign, word, colour = STATUS_SIGNS.get(run.status, ("?", text.literal(run.status), "error"))
    if run.status == "training" and run.wish:
        word = _WISHES.get(run.wish, word)
    if run.status == "queued" and run.id in look.places:
        word = f"{word} {look.places[run.id]}"
    return _plain(f"{sign} {word}", look.colour(colour))


def _name(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.name), "bold" if run.id in look.marks else "")


def _changed(run: RunRow, look: Look) -> Text:
    cell = _plain(" ".join(f"#{text.literal(tag)}" for tag in run.tags), look.colour("secondary"))
    if changes := changes_text(run.config_json):
        cell = _plain(f"{changes} ", look.colour("text-muted")) + cell
    return cell


@lru_cache(maxsize=4096)
def changes_text(config_json: str) -> str:
    """What a config sets otherwise than its stage, as `key=value` words."""
    return text.literal(" ".join(f"{key}={value}" for key, value in config_changes(config_json).items()))


def config_changes(config_json: str) -> dict[str, str]:
    """The fields that a config sets otherwise than its stage does on the same dataset; empty where that is unknown."""
    from lab.config.ladder import stage_config
    from lab.config.run_config import from_json
    from lab.errors import LabError

    try:
        config = from_json(config_json)
        usual = stage_config(config.stage, dataset=config.dataset, dataset_as=config.dataset_as)
    except LabError:
        return {}
    return {
        name: shown_value(getattr(config, name))
        for name in type(config).model_fields
        if getattr(config, name) != getattr(usual, name)
    }


def _progress(run: RunRow, look: Look) -> Text:
    if run.status in ("finished", "queued"):
        said = f"{text.si(run.steps)} steps"
        return _plain(
            said if len(said) <= 8 or not look.narrow else text.si(run.steps), look.colour("text-muted"), right=True
        )
    share = run.step / max(1, run.steps)
    _sign, _, colour = STATUS_SIGNS.get(run.status, ("", "", "text-muted"))
    done, left = text.bar(share, 3 if look.narrow else 8)
    cell = Text(justify="right")
    cell.append(done, look.colour(colour))
    cell.append(left, look.colour("border"))
    cell.append(f" {int(share * 100):>3}%")
    return cell


def _val(run: RunRow, look: Look) -> Text:
    return _plain(text.loss(run.val_loss), "", right=True)


def _difference(run: RunRow, look: Look) -> Text:
    base = look.baseline
    if base is None or base.val_loss is None or run.val_loss is None or run.id == base.id:
        return _plain(
            "baseline" if base is not None and run.id == base.id else "", look.colour("text-muted"), right=True
        )
    if (run.dataset_sha256, run.dataset_kind) != (base.dataset_sha256, base.dataset_kind):
        return _plain("other data", look.colour("text-muted"), right=True)
    difference = run.val_loss - base.val_loss
    colour = look.colour("success" if difference < 0 else "error")
    return _plain(f"{difference:+.3f}".replace("-", "−"), colour, right=True)


def _choices(run: RunRow, look: Look) -> Text:
    return _plain(text.choices(run.val_loss), "", right=True)


def _parameters(run: RunRow, look: Look) -> Text:
    return _plain(text.si(run.parameters), look.colour("text-muted"), right=True)


def _speed(run: RunRow, look: Look) -> Text:
    return _plain(text.si(run.chars_per_second), look.colour("text-muted"), right=True)


def _age(run: RunRow, look: Look) -> Text:
    return _plain(text.age(look.now - (run.ended_at or run.created_at)), look.colour("text-muted"), right=True)


def _dataset(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.dataset.rpartition("/")[2] or run.dataset), look.colour("text-muted"))


def _stage(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.stage), look.colour("text-muted"))


def _plain(said: str, style: str, *, right: bool = False) -> Text:
    cell = Text(justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    cell.append(said, style)
    return cell


COLUMNS: tuple[Column, ...] = (
    Column("mark", "", 1, _mark),
    Column("status", "status", 11, status_text),
    Column("name", "name", 15, _name, sort=lambda run: run.name.casefold(), flexible=True),
    Column("stage", "stage", 13, _stage, sort=lambda run: run.stage, from_width=140),
    Column("dataset", "dataset", 11, _dataset, sort=lambda run: run.dataset, from_width=100),
    Column("changed", "changed", 18, _changed, from_width=120, flexible=True),
    Column("progress", "progress", 13, _progress, sort=lambda run: run.step / max(1, run.steps), right=True,
           descending=True, narrow_width=8, from_width=56),
    Column("val", "val", 6, _val, sort=lambda run: run.val_loss, right=True),
    Column("difference", "Δ", 10, _difference, right=True, with_baseline=True),
    Column("choices", "choices", 8, _choices, right=True),
    Column("parameters", "params", 7, _parameters, sort=lambda run: run.parameters, right=True, from_width=76),
    Column("speed", "chars/s", 7, _speed, sort=lambda run: run.chars_per_second, right=True, descending=True,
           from_width=86),
    Column("age", "age", 5, _age, sort=lambda run: run.ended_at or run.created_at, right=True, descending=True),
)  # fmt: skip

COLUMNS_BY_KEY = {column.key: column for column in COLUMNS}
SORTS = ("", *(column.key for column in COLUMNS if column.sort))
"""What `s` goes through; the first is the order of the work: training, waiting, paused, then stored, newest first."""

_WORK_ORDER = {"training": 0, "queued": 1, "paused": 2}


def ordered(runs: list[RunRow], sort: str, *, reverse: bool) -> list[RunRow]:
    """Runs by a column; those without a value stand last either way round."""
    if not sort:
        return sorted(runs, key=_by_work, reverse=reverse)
    column = COLUMNS_BY_KEY[sort]
    key = column.sort
    assert key is not None
    known = [run for run in runs if key(run) is not None]
    known.sort(key=lambda run: (key(run), run.id), reverse=column.descending != reverse)
    return known + [run for run in runs if key(run) is None]


def _by_work(run: RunRow) -> tuple[float, ...]:
    group = _WORK_ORDER.get(run.status, 3)
    if run.status == "queued":
        return (group, run.queue_position or 0.0, 0.0)
    return (group, 0.0, (1 if group == 0 else -1) * (run.ended_at or run.created_at))

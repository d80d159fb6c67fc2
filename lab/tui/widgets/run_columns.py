"""The columns of the table of runs: what each shows, and what it sorts by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.text import Text

from lab import text
from lab.text import shown_value as shown_value
from lab.tui.config_changes import changes_text, config_changes
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
class WaitingTime:
    """Seconds until a waiting run starts, and those it then takes; None where they are not known."""

    start: float | None = None
    seconds: float | None = None


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
    times: Mapping[str, WaitingTime] = field(default_factory=dict)
    """When each waiting run starts and how long it takes, where that is known."""

    def narrowed(self) -> Look:
        """The same for a table with little room."""
        return replace(self, narrow=True)

    def colour_of(self, run_id: str) -> str:
        """A run's own colour."""
        return run_colour(self.slots.get(run_id, 0), dark=self.dark)

    def colour(self, name: str) -> str:
        """A colour of the theme."""
        return self.colours.get(name, "default")


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
    optional: bool = False
    """Only there where a person has chosen it."""
    meaning: str = ""
    """What it shows, where its head does not say it."""


def _mark(run: RunRow, look: Look) -> Text:
    sign = "◆" if look.baseline is not None and run.id == look.baseline.id else "●" if run.id in look.marks else "·"
    return _plain(sign, look.colour_of(run.id))


def status_text(run: RunRow, look: Look) -> Text:
    """A run's status as sign and word, with its place where it waits."""
    sign, word, colour = STATUS_SIGNS.get(run.status, ("?", text.literal(run.status), "error"))
    if run.status == "training" and run.wish:
        word = _WISHES.get(run.wish, word)
    if run.status == "queued" and run.id in look.places:
        place = look.places[run.id]
        word = f"{'waits' if look.narrow and place >= 10 else word} {place}"
    return _plain(f"{sign} {word}", look.colour(colour))


def _name(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.name), "bold" if run.id in look.marks else "")


def _tags(run: RunRow, look: Look) -> Text:
    return _plain(" ".join(f"#{text.literal(tag)}" for tag in run.tags), look.colour("secondary"))


def _changed(run: RunRow, look: Look) -> Text:
    cell = _tags(run, look)
    if changes := changes_text(run.config_json):
        cell = _plain(f"{changes} ", look.colour("text-muted")) + cell
    return cell


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
    """How long ago it ended; when it starts, where it waits."""
    if run.status != "queued":
        return _muted(text.age(look.now - (run.ended_at or run.created_at)), look, right=True)
    start = look.times.get(run.id, WaitingTime()).start
    if start is None:
        return _muted(text.NOTHING, look, right=True)
    return _plain(f"in {text.age(start)}" if start >= 10 else "next", look.colour("secondary"), right=True)


def _time(run: RunRow, look: Look) -> Text:
    """How long it took, or will take; what is left, where it trains."""
    if run.status == "training":
        left = run.seconds * (run.steps - run.step) / run.step if run.step else None
        said = text.NOTHING if left is None else f"{_span(left, coarse=look.narrow)} left"
        return _plain(said, look.colour("primary"), right=True)
    if run.status == "queued":
        seconds = look.times.get(run.id, WaitingTime()).seconds
        said = text.NOTHING if seconds is None else f"~{_span(seconds)}"
        return _plain(said, look.colour("secondary"), right=True)
    return _muted(_span(run.seconds) if run.seconds else text.NOTHING, look, right=True)


def _span(seconds: float, *, coarse: bool = False) -> str:
    """A duration in six cells or fewer; coarse, in three."""
    return text.duration(seconds) if seconds < (60 if coarse else 600) else text.age(seconds)


def _dataset(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.dataset.rpartition("/")[2] or run.dataset), look.colour("text-muted"))


def _stage(run: RunRow, look: Look) -> Text:
    return _plain(text.literal(run.stage), look.colour("text-muted"))


def _muted(said: str, look: Look, *, right: bool = False) -> Text:
    return _plain(said, look.colour("text-muted"), right=right)


def _plain(said: str, style: str, *, right: bool = False) -> Text:
    cell = Text(justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    cell.append(said, style)
    return cell


def _of_text(read: Callable[[RunRow], str]) -> Callable[[RunRow, Look], Text]:
    return lambda run, look: _muted(text.literal(read(run)), look)


def _first_line(run: RunRow) -> str:
    return run.notes.strip().partition("\n")[0]


COLUMNS: tuple[Column, ...] = (
    Column("mark", "", 1, _mark, meaning="● is marked, ◆ the baseline; in the run's colour"),
    Column("status", "status", 13, status_text, narrow_width=11),
    Column("name", "name", 15, _name, sort=lambda run: run.name.casefold(), flexible=True),
    Column("stage", "stage", 13, _stage, sort=lambda run: run.stage, from_width=140),
    Column("dataset", "dataset", 11, _dataset, sort=lambda run: run.dataset, from_width=100),
    Column("changed", "changed", 18, _changed, from_width=120, flexible=True,
           meaning="what differs from the stage, and #tags"),
    Column("progress", "progress", 13, _progress, sort=lambda run: run.step / max(1, run.steps), right=True,
           descending=True, narrow_width=8, from_width=56),
    Column("val", "val", 6, _val, sort=lambda run: run.val_loss, right=True, meaning="loss on text held back"),
    Column("difference", "Δ", 10, _difference, right=True, with_baseline=True, meaning="val against the baseline"),
    Column("choices", "choices", 7, _choices, right=True, meaning="e^val: as unsure as among so many"),
    Column("parameters", "params", 7, _parameters, sort=lambda run: run.parameters, right=True, from_width=88),
    Column("speed", "chars/s", 7, _speed, sort=lambda run: run.chars_per_second, right=True, descending=True,
           from_width=150),
    Column("time", "time", 11, _time, sort=lambda run: run.seconds or None, right=True, descending=True, from_width=76,
           narrow_width=8, meaning="of training: taken, left, or to be expected"),
    Column("age", "age", 6, _age, sort=lambda run: run.ended_at or run.created_at, right=True, descending=True,
           meaning="since it ended; until it starts, where it waits"),
    Column("best", "best", 6, lambda run, look: _plain(text.loss(run.best_val_loss), "", right=True),
           sort=lambda run: run.best_val_loss, right=True, optional=True, meaning="lowest val"),
    Column("train", "train", 6, lambda run, look: _plain(text.loss(run.train_loss), "", right=True),
           sort=lambda run: run.train_loss, right=True, optional=True, meaning="loss of the last batches"),
    Column("tags", "tags", 14, _tags, sort=lambda run: " ".join(run.tags) or None, optional=True),
    Column("notes", "notes", 20, _of_text(_first_line), optional=True, meaning="their first line"),
    Column("id", "id", 6, _of_text(lambda run: run.id), sort=lambda run: run.id, optional=True),
    Column("kind", "kind", 10, _of_text(lambda run: run.kind), sort=lambda run: run.kind, optional=True),
    Column("experiment", "experiment", 14, _of_text(lambda run: run.experiment or ""),
           sort=lambda run: run.experiment, optional=True),
    Column("device", "device", 7, _of_text(lambda run: run.device or ""), sort=lambda run: run.device, optional=True),
)  # fmt: skip

_OWN_COLUMNS = {column.key: column for column in COLUMNS}


@lru_cache(maxsize=256)
def column_of(key: str) -> Column:
    """The column of that key: one of `COLUMNS`, or a field of the config. Raises `KeyError` on any other."""
    if key in _OWN_COLUMNS:
        return _OWN_COLUMNS[key]
    from lab.config.run_config import RunConfig

    description = RunConfig.model_fields[key].description or ""

    def value(run: RunRow) -> object:
        return _config_value(run.config_json, key)

    def cell(run: RunRow, look: Look) -> Text:
        usual = key in config_changes(run.config_json)
        style = look.colour("accent") if usual else look.colour("text-muted")
        return _plain(text.literal(shown_value(value(run))), style, right=True)

    def sort(run: RunRow) -> float | str | None:
        found = value(run)
        return found if found is None or isinstance(found, (int, float)) else str(found)

    width = min(14, max(6, len(key)))
    return Column(key, key, width, cell, sort=sort, right=True, optional=True, meaning=description)


def all_columns() -> tuple[str, ...]:
    """The keys of every column there can be: the table's own, then the fields of the config."""
    from lab.config.run_config import RunConfig

    return (*_OWN_COLUMNS, *(key for key in RunConfig.model_fields if key not in _OWN_COLUMNS))


@lru_cache(maxsize=4096)
def _config_value(config_json: str, key: str) -> object:
    from lab.config.run_config import from_json
    from lab.errors import ConfigError

    try:
        return getattr(from_json(config_json), key)
    except ConfigError:
        return None


def columns_that_fit(wanted: Sequence[str], width: int, *, narrow: bool, baseline: bool) -> tuple[Column, ...]:
    """The wanted columns in their order, as many as fit; without any wanted, those that suit the width."""
    columns = [column_of(key) for key in wanted] if wanted else [c for c in COLUMNS if not c.optional]
    columns = [column for column in columns if baseline or not column.with_baseline]
    if not wanted:
        columns = [column for column in columns if width >= column.from_width]
        for key in _DROPPED_FIRST:
            needed = [
                min(column.width, _READABLE) if column.flexible else _own_width(column, narrow) for column in columns
            ]
            if sum(needed) + 2 * len(columns) > width:
                columns = [column for column in columns if column.key != key]
        return tuple(columns)
    room, fitting = width, []
    for column in columns:
        room -= (min(column.width, _SMALLEST_FLEXIBLE) if column.flexible else _own_width(column, narrow)) + 2
        if room >= 0:
            fitting.append(column)
    return tuple(fitting)


def column_widths(columns: Sequence[Column], width: int, *, narrow: bool, longest_name: int) -> tuple[int, ...]:
    """Each column's cells, blanks aside; the flexible ones share what is left over, down to a few cells.

    Names get no more of it than the longest of them needs.
    """
    own = [_own_width(column, narrow) for column in columns]
    spare = width - sum(own) - 2 * len(columns)
    flexible = [column for column in columns if column.flexible]
    widths = []
    for column, own_width in zip(columns, own, strict=True):
        more = 0
        if column.flexible:
            more = spare // len(flexible) if spare > 0 else spare
            if column.key == "name" and spare > 0:
                more = min(more, max(0, longest_name - own_width))
        widths.append(max(_SMALLEST_FLEXIBLE, own_width + more) if column.flexible else own_width)
    if len(flexible) > 1 and spare > 0:
        widths[columns.index(flexible[-1])] += max(0, spare - (sum(widths) - sum(own)))
    return tuple(widths)


def _own_width(column: Column, narrow: bool) -> int:
    return column.narrow_width or column.width if narrow else column.width


_DROPPED_FIRST = ("speed", "parameters", "dataset", "time", "choices", "age", "progress")
"""What gives way, so that names can be read."""
_READABLE = 14
_SMALLEST_FLEXIBLE = 8
_WORK_ORDER = {"training": 0, "queued": 1, "paused": 2}


def ordered(runs: list[RunRow], sort: str, *, reverse: bool) -> list[RunRow]:
    """Runs by a column; without one in the order of the work: training, waiting, paused, then stored, newest first.

    Those without a value stand last either way round.
    """
    if not sort:
        return sorted(runs, key=_by_work, reverse=reverse)
    column = column_of(sort)
    key = column.sort
    assert key is not None
    values = [(key(run), run) for run in runs]
    known = [(value, run.id, run) for value, run in values if value is not None]
    if len({isinstance(value, str) for value, _, _ in known}) > 1:  # `none` among numbers, by how they are written
        known = [(str(value), run_id, run) for value, run_id, run in known]
    known.sort(key=lambda each: each[:2], reverse=column.descending != reverse)
    return [run for _, _, run in known] + [run for value, run in values if value is None]


def _by_work(run: RunRow) -> tuple[float, ...]:
    group = _WORK_ORDER.get(run.status, 3)
    if run.status == "queued":
        return (group, run.queue_position or 0.0, 0.0)
    return (group, 0.0, (1 if group == 0 else -1) * (run.ended_at or run.created_at))

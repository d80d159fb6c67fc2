"""The table of the ladder: the two models that need no training, then each rung and what it bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from lab import text
from lab.analysis.intervals import Interval
from lab.queue.rungs import RungState
from lab.store.demo import DEMO_TAG
from lab.tui.shown import cells_csv
from lab.tui.snapshot import CountedBigram
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look

EVENLY, COUNTED = UNTRAINED = "guessing evenly", "bigram by counting"
MAIN_DATASET = "shakespeare"
"""The dataset of all rungs that do not say another."""
_PADDING = 1


@dataclass(frozen=True)
class LadderColumn:
    """One column; the sample, or where there is none the last, takes the room that is left."""

    key: str
    label: str
    width: int
    right: bool = False
    from_width: int = 0
    wide_width: int = 0
    """Its width where there is room for it, if that is another."""
    when_untrained: bool = True
    """Whether it tells anything before a rung is trained."""


WIDE_FROM = 108
_SAMPLE_FROM = 122
COLUMNS = (
    LadderColumn("rung", "rung", 18),
    LadderColumn("val", "val", 6, right=True, wide_width=13),
    LadderColumn("choices", "choices", 7, right=True),
    LadderColumn("delta", "Δ", 7, right=True, wide_width=13, when_untrained=False),
    LadderColumn("sample", "a sample", 12, from_width=_SAMPLE_FROM),
    LadderColumn("published", "published", 9, right=True),
    LadderColumn("parameters", "params", 6, right=True, from_width=WIDE_FROM, when_untrained=False),
    LadderColumn("time", "time", 7, right=True, from_width=WIDE_FROM, when_untrained=False),
    LadderColumn("state", "yours", 15),
)


class LadderTable(DataTable[Text]):
    """Shows the rungs; a row is known by its stage's name."""

    BORDER_TITLE = "Ladder"
    BINDINGS: ClassVar[list[BindingType]] = [  # a table's own home and end move within the row
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(
            id=id,
            cursor_type="row",
            cell_padding=_PADDING,
            cursor_foreground_priority="renderable",
            zebra_stripes=False,
        )
        self._cells: dict[str, dict[str, Text]] = {}
        self._shown: dict[str, dict[str, Text]] = {}
        self._laid_out: tuple[object, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether there is room for intervals."""
        return self._room >= WIDE_FROM

    @property
    def _room(self) -> int:
        return self.size.width or self.app.size.width

    @property
    def rung(self) -> str | None:
        """The name of what is under the cursor."""
        names = list(self._shown)
        return names[self.cursor_row] if 0 <= self.cursor_row < len(names) else None

    def move_to(self, name: str) -> None:
        """Puts the cursor on a rung, if it is there."""
        if name in self._shown:
            self.move_cursor(row=list(self._shown).index(name))

    def show(self, cells: dict[str, dict[str, Text]]) -> None:
        """Shows these rows, by what has changed in them."""
        self._cells = cells
        columns = self._columns()
        widths = self._widths(columns)
        laid_out = (tuple(cells), tuple(widths))
        if laid_out != self._laid_out:
            self._lay_out(columns, widths)
            self._laid_out = laid_out
        for name, row in cells.items():
            shown = self._shown[name]
            for column in columns:
                if shown.get(column.key) != row[column.key]:
                    self.update_cell(name, column.key, row[column.key])
                    shown[column.key] = row[column.key]

    def csv(self) -> str:
        """Every column of every row, as one reads them."""
        return cells_csv(
            [column.label for column in COLUMNS],
            [[row[column.key].plain.strip() for column in COLUMNS] for row in self._cells.values()],
        )

    def _columns(self) -> list[LadderColumn]:
        """Those that there is room for; before a rung is trained the samples have that of what is still unknown."""
        trained = any(cells["val"].plain != text.NOTHING for cells in list(self._cells.values())[len(UNTRAINED) :])
        return [column for column in COLUMNS if (self._room >= column.from_width if trained else column.when_untrained)]

    def _lay_out(self, columns: Sequence[LadderColumn], widths: Sequence[int]) -> None:
        kept = self.rung
        self.clear(columns=True)
        for column, width in zip(columns, widths, strict=True):
            label = Text(column.label, justify="right" if column.right else "left", no_wrap=True)
            self.add_column(label, width=width, key=column.key)
        self._shown = {}
        for name, row in self._cells.items():
            self.add_row(*(row[column.key] for column in columns), key=name)
            self._shown[name] = {column.key: row[column.key] for column in columns}
        if kept:
            self.move_to(kept)

    def _widths(self, columns: Sequence[LadderColumn]) -> list[int]:
        has_intervals = any("±" in row[key].plain for row in self._cells.values() for key in ("val", "delta"))
        widths = [column.wide_width if has_intervals and column.wide_width else column.width for column in columns]
        spare = self._room - sum(widths) - 2 * _PADDING * len(columns)
        flexible = next((place for place, column in enumerate(columns) if column.key == "sample"), -1)
        widths[flexible] = max(1, widths[flexible] + spare) if flexible >= 0 else widths[-1] + max(0, spare)
        return widths

    def on_resize(self, event: events.Resize) -> None:
        """Gives the columns their new room."""
        if self._cells:
            self.show(self._cells)


def ladder_cells(
    states: Sequence[RungState],
    untrained: CountedBigram | None,
    samples: Mapping[str, str],
    look: Look,
) -> dict[str, dict[str, Text]]:
    """Each row's cells by column; `samples` by stage."""
    rows = untrained_cells(untrained, look)
    for state in states:
        rows[state.stage.name] = _rung_cells(state, samples, look)
    return rows


def untrained_cells(untrained: CountedBigram | None, look: Look) -> dict[str, dict[str, Text]]:
    """The rows of the two models that need no training."""
    rows = {}
    for name in (EVENLY, COUNTED):
        row = dict.fromkeys((column.key for column in COLUMNS), Text())
        row["rung"] = _cell(name, look.colour("secondary"))
        if untrained is None:
            row["state"] = _cell("counting…", look.colour("text-muted"))
        else:
            value = untrained.guessing_evenly if name == EVENLY else untrained.counting
            sample = untrained.even_sample if name == EVENLY else untrained.counted_sample
            row["val"] = _cell(text.loss(value), "", right=True)
            row["choices"] = _cell(text.choices(value), "", right=True)
            row["state"] = _cell("no training", look.colour("text-muted"))
            row["sample"] = _cell(one_line(sample), look.colour("text-muted"))
        rows[name] = row
    return rows


def _rung_cells(state: RungState, samples: Mapping[str, str], look: Look) -> dict[str, Text]:
    muted = look.colour("text-muted")
    best = state.best
    sample = samples.get(state.stage.name, "")
    name = _cell(state.stage.name, look.colour_of(best.id) if best else muted)
    if state.stage.home_dataset != MAIN_DATASET:
        name.append(f" on {state.stage.home_dataset}", muted)
    return {
        "rung": name,
        "val": _val(state, look),
        "choices": _cell(text.choices(state.val_loss), "" if best else muted, right=True),
        "delta": delta_text(state, look),
        "published": _cell(text.loss(state.stage.published_val_loss), muted, right=True),
        "parameters": _cell(text.si(best.parameters if best else None), muted, right=True),
        "time": _cell(text.duration(state.seconds) if state.seconds is not None else text.NOTHING, muted, right=True),
        "state": state_text(state, look),
        "sample": _cell(one_line(sample), ""),
    }


def _val(state: RungState, look: Look) -> Text:
    if state.val_loss is None:
        return _cell(text.NOTHING, look.colour("text-muted"), right=True)
    cell = _cell(text.loss(state.val_loss), "bold", right=True)
    return _with_half_width(cell, state.interval, look)


def _with_half_width(cell: Text, interval: Interval | None, look: Look) -> Text:
    if interval is not None and interval.half_width is not None and not look.narrow:
        cell.append(f" ±{interval.half_width:.3f}", look.colour("text-muted"))
    return cell


def delta_text(state: RungState, look: Look) -> Text:
    """What the rung gained or lost against the one before it; coloured where there is no doubt of the sign."""
    delta = state.delta
    if delta is None:
        return Text()
    doubtful = delta.half_width is not None and abs(delta.mean) <= delta.half_width
    colour = "" if doubtful else look.colour("success" if delta.mean < 0 else "error")
    cell = _cell(f"{delta.mean:+.3f}".replace("-", "−"), colour, right=True)
    return _with_half_width(cell, delta, look)


def state_text(state: RungState, look: Look) -> Text:
    """What there is of a rung: not trained, on its way, or yours."""
    run, active = state.last, state.active
    if run is None:
        return _cell("not trained", look.colour("text-muted"))
    if active is None and state.finished:
        count = len(state.finished)
        whose = "demo" if DEMO_TAG in run.tags else "yours"
        return _cell(f"✓ {whose}" + (f" ×{count}" if count > 1 else ""), look.colour("success"))
    sign, word, colour = STATUS_SIGNS.get(run.status, ("?", text.literal(run.status), "error"))
    if run.status == "training":
        done = f"{int(100 * run.step / max(1, run.steps))}%"
        word = f"{done} · {text.loss(run.val_loss)}" if run.val_loss is not None else f"{done} training"
    if run.status == "queued" and run.id in look.places:
        word = f"{word} {look.places[run.id]}"
    return _cell(f"{sign} {word}", look.colour(colour))


def one_line(sample: str, characters: int = 200) -> str:
    """The beginning of a sample in a line, its line ends as spaces."""
    return text.literal(" ".join(sample[:characters].split()))


def _cell(said: str, style: str, *, right: bool = False) -> Text:
    cell = Text(justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    cell.append(said, style)
    return cell

"""The table of the compared groups: their figures, what is unfair beside each, and a sentence on what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.tui.comparisons import ComparisonView
from lab.tui.shown import cells_csv
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from rich.console import Console
    from textual.css.styles import RulesMap
    from textual.style import Style
    from textual.visual import RenderOptions

UNFAIR = "!"
OUTCOME_COLOURS: Mapping[str, str] = {
    "baseline": "accent",
    "better": "success",
    "worse": "error",
    "lower": "primary",
    "higher": "primary",
    "not comparable": "warning",
}
_VERDICT_WIDTH = 22
_LABEL_WIDTH = 30


@dataclass(frozen=True)
class GroupColumn:
    """One column; `touched` names the number that a warning of unfairness stands beside."""

    label: str
    width: int
    cell: Callable[[ComparisonView, int], str]
    touched: str = ""
    from_width: int = 0


def _val(comparison: ComparisonView, place: int) -> str:
    return text.interval(comparison.verdicts[place].final)


def _difference(comparison: ComparisonView, place: int) -> str:
    verdict = comparison.verdicts[place]
    if verdict.outcome == "baseline":
        return "baseline"
    return text.interval(verdict.difference, signed=True)


def _time(comparison: ComparisonView, place: int) -> str:
    seconds = comparison.verdicts[place].seconds
    return text.NOTHING if not seconds else text.duration(seconds)


def _reached_seconds(comparison: ComparisonView, place: int) -> str:
    reached = comparison.reached.get(place)
    if reached is None:
        return ""
    if not reached.runs:
        return "never"
    return text.NOTHING if reached.seconds is None else text.duration(reached.seconds)


def _reached_characters(comparison: ComparisonView, place: int) -> str:
    reached = comparison.reached.get(place)
    return text.si(reached.characters) if reached is not None and reached.runs else ""


COLUMNS = (
    GroupColumn("n", 3, lambda of, place: str(of.verdicts[place].count)),
    GroupColumn("val", 13, _val, touched="val"),
    GroupColumn("Δ", 14, _difference, touched="Δ"),
    GroupColumn("params", 7, lambda of, place: text.si(of.verdicts[place].parameters), touched="parameters",
                from_width=100),
    GroupColumn("chars/s", 7, lambda of, place: text.si(of.verdicts[place].chars_per_second), touched="chars/s",
                from_width=120),
    GroupColumn("time", 7, _time, touched="time", from_width=110),
    GroupColumn("to", 8, _reached_seconds, from_width=140),
    GroupColumn("chars", 6, _reached_characters, from_width=140),
)  # fmt: skip


class _Row(Visual):
    """One line of a list, written when it is first seen: where hundreds of runs stand by themselves, most never are."""

    def __init__(self, write: Callable[[], Text], console: Console) -> None:
        self._write = write
        self._console = console

    @cached_property
    def _line(self) -> Strip:
        return Strip(self._write().render(self._console, end=""))

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """The line, cut where it is too wide."""
        return [self._line.adjust_cell_length(width).apply_style(style.rich_style)]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """As wide as the list."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """A line, which need not be written to be known."""
        return 1


class GroupTable(Vertical):
    """The groups, the best first, under a head; the cursor stays with its group."""

    BORDER_TITLE = "Groups"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()
        self._comparison: ComparisonView | None = None
        self._look = Look()

    def compose(self) -> ComposeResult:
        """A head over the rows."""
        yield Static(id="groups-head", markup=False)
        yield SafeList(id="groups-rows", compact=True)

    @property
    def rows(self) -> OptionList:
        """The rows."""
        return self.query_one(OptionList)

    @property
    def place(self) -> int:
        """The place of the group under the cursor; that of the baseline where there is none."""
        place, comparison = self.rows.highlighted, self._comparison
        if comparison is None or not comparison.groups:
            return 0
        return comparison.baseline if place is None else min(place, len(comparison.groups) - 1)

    def show(self, comparison: ComparisonView, look: Look) -> None:
        """Shows the groups, unless they would look as before."""
        width = self.content_size.width or self.app.size.width - 4
        key = (comparison.version, width, look.dark, look.colours.get("background"))
        if key == self._shown:
            return
        before = self._group_id
        self._shown, self._comparison, self._look = key, comparison, look
        columns, label, verdict = _layout(comparison, width)
        self.query_one("#groups-head", Static).update(_head(columns, label, comparison, look), layout=False)
        rows = self.rows
        written = partial(_row, comparison, columns, (label, verdict), look)
        options = [_Row(partial(written, place), self.app.console) for place in range(len(comparison.groups))]
        if len(options) == rows.option_count:
            for place, option in enumerate(options):
                rows.replace_option_prompt_at_index(place, option)
        else:
            rows.set_options([Option(option) for option in options])
        ids = [group.first.id for group in comparison.groups]
        if options:
            rows.highlighted = ids.index(before) if before in ids else min(rows.highlighted or 0, len(ids) - 1)

    @property
    def _group_id(self) -> str | None:
        comparison = self._comparison
        if comparison is None or not comparison.groups or self.rows.highlighted is None:
            return None
        return str(comparison.groups[self.place].first.id)

    def on_resize(self, event: events.Resize) -> None:
        """The columns go by the width."""
        if self._comparison is not None:
            self.show(self._comparison, self._look)

    def csv(self) -> str:
        """The table as it reads, every column, under its heads."""
        comparison = self._comparison
        if comparison is None:
            return ""
        heads = ["group", *(_label(column, comparison) for column in COLUMNS), "verdict"]
        return cells_csv(
            heads,
            [
                [
                    group.label,
                    *(column.cell(comparison, place) for column in COLUMNS),
                    comparison.verdicts[place].sentence,
                ]
                for place, group in enumerate(comparison.groups)
            ],
        )


def _layout(comparison: ComparisonView, width: int) -> tuple[list[GroupColumn], int, int]:
    """The columns that fit, and the cells of the group's name and of the sentence."""
    columns = [_fitted(column, comparison) for column in COLUMNS if width >= column.from_width]
    left = width - 3 - sum(column.width + 2 for column in columns)
    widest = max((len(text.literal(group.label)) for group in comparison.groups), default=0)
    longest = max((len(verdict.sentence) for verdict in comparison.verdicts), default=0)
    label = max(8, min(widest, _LABEL_WIDTH, left - min(longest, _VERDICT_WIDTH) - 1))
    return columns, label, max(0, left - label - 1)


def _fitted(column: GroupColumn, comparison: ComparisonView) -> GroupColumn:
    """The column no wider than what stands in it."""
    cells = [column.cell(comparison, place) for place in range(len(comparison.groups))]
    return replace(column, width=max(len(_label(column, comparison)), *map(len, cells), 1))


def _label(column: GroupColumn, comparison: ComparisonView) -> str:
    if column.label == "to" and comparison.target is not None:
        return f"to {comparison.target:.2f}"
    return column.label


def _head(columns: list[GroupColumn], label: int, comparison: ComparisonView, look: Look) -> Text:
    said = Text(no_wrap=True, overflow="ellipsis", style=look.colour("text-muted"))
    said.append(f"   {'group':<{label}}")
    for column in columns:
        said.append(f" {_label(column, comparison):>{column.width}} ")
    said.append(" against the baseline")
    return said


def _row(
    comparison: ComparisonView, columns: list[GroupColumn], widths: tuple[int, int], look: Look, place: int
) -> Text:
    group, verdict = comparison.groups[place], comparison.verdicts[place]
    touched = {warning.touches for warning in comparison.warnings[place]}
    pinned = place == comparison.baseline
    said = Text(no_wrap=True, overflow="ellipsis")
    said.append(" ◆ " if pinned else " ● ", look.colour_of(group.first.id))
    said.append(f"{text.clip(text.literal(group.label), widths[0]):<{widths[0]}}", "bold" if pinned else "")
    for column in columns:
        cell = text.clip(column.cell(comparison, place), column.width)
        style = "bold" if column.label == "val" else "" if column.label == "Δ" else look.colour("text-muted")
        if column.label == "Δ":
            style = look.colour(OUTCOME_COLOURS.get(verdict.outcome, "text-muted"))
        said.append(f" {cell:>{column.width}}", style)
        said.append(UNFAIR if column.touched in touched else " ", f"bold {look.colour('warning')}")
    said.append(" ")
    said.append(text.clip(_sentence(comparison, place), widths[1]), _style(verdict.outcome, look))
    return said


def _sentence(comparison: ComparisonView, place: int) -> str:
    group, verdict = comparison.groups[place], comparison.verdicts[place]
    if verdict.outcome == "nothing yet" and not group.scored:
        words = dict.fromkeys(STATUS_SIGNS.get(run.status, ("", run.status, ""))[1] for run in group.runs)
        return f"{', '.join(words)}: nothing to compare yet"
    return verdict.sentence


def _style(outcome: str, look: Look) -> str:
    return look.colour(OUTCOME_COLOURS.get(outcome, "text-muted"))

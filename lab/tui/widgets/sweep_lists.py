"""What the LR finder lists: the sweeps by stage, and the rates that the one under the cursor suggests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.widgets.option_list import Option

from lab import text
from lab.tui.sweeps import SweepView, said_lr
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

_STAGE_WIDTH = 12
_RESULT_WIDTH = 8
_DATASET_WIDTH = 11


class SweepList(SafeList):
    """Every sweep: by stage from the foot of the ladder up, the newest of a stage first."""

    BORDER_TITLE = "LR sweeps"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, compact=True)
        self._rows: tuple[object, ...] = ()

    @property
    def sweep_id(self) -> str | None:
        """The run under the cursor."""
        option = self.highlighted_option
        return option.id if option is not None else None

    def show(self, views: Mapping[str, SweepView], look: Look, *, prefer: str | None = None) -> None:
        """Lists the sweeps; the cursor stays on its own, or goes to the preferred one."""
        ordered = in_order(views)
        width = max(30, self.size.width - 2)
        rows = (
            prefer,
            width,
            look.now // 60,
            *((view.run.id, view.state, look.colour_of(view.run.id)) for view in ordered),
        )
        if rows == self._rows:
            return
        self._rows = rows
        before = prefer if prefer in views else self.sweep_id
        options = []
        last = ""
        for view in ordered:
            options.append(Option(_row(view, look, named=view.run.stage != last), id=view.run.id))
            last = view.run.stage
        self.set_options(options)
        place = next((i for i, option in enumerate(options) if option.id == before), 0)
        self.highlighted = place if options else None


class RateList(SafeList):
    """The suggestions of one sweep; enter uses the one under the cursor."""

    BORDER_TITLE = "Suggested rates"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, compact=True)
        self._rows: tuple[object, ...] = ()

    @property
    def rate(self) -> float | None:
        """The rate under the cursor."""
        option = self.highlighted_option
        return float(option.id) if option is not None and option.id else None

    def show(self, view: SweepView | None, look: Look) -> None:
        """Lists what a sweep suggests, lab's own suggestion first."""
        reading = view.reading if view else None
        suggestions = dict(reading.suggestions) if reading is not None else {}
        spread = reading.spread if reading is not None else {}
        rows = (look.dark, look.colours["background"], tuple(suggestions.items()), tuple(spread.items()))
        if rows == self._rows:
            return
        self._rows = rows
        options = []
        for name, lr in suggestions.items():
            own = reading is not None and lr == reading.suggestion
            said = Text(no_wrap=True, overflow="ellipsis")
            said.append("▸ " if own else "  ", look.colour("accent"))
            said.append(f"{name:<11}", f"bold {look.colour('accent')}" if own else "")
            said.append(f"{said_lr(lr):>8}", "bold" if own else "")
            if name in spread:
                low, high = spread[name]
                said.append(f"   one seed alone {said_lr(low)} to {said_lr(high)}", look.colour("text-muted"))
            options.append(Option(said, id=repr(lr)))
        self.set_options(options)
        self.highlighted = 0 if options else None


def in_order(views: Mapping[str, SweepView]) -> Sequence[SweepView]:
    """By the stage's place on the ladder, then the newest first."""
    from lab.config.ladder import STAGES

    places = {stage.name: place for place, stage in enumerate(STAGES)}
    newest = sorted(views.values(), key=lambda view: view.run.id, reverse=True)
    return sorted(newest, key=lambda view: (places.get(view.run.stage, len(places)), view.run.stage))


def _row(view: SweepView, look: Look, *, named: bool) -> Text:
    run = view.run
    muted = look.colour("text-muted")
    said = Text(no_wrap=True, overflow="ellipsis")
    said.append("· ", look.colour_of(run.id))
    said.append(f"{text.clip(run.stage, _STAGE_WIDTH) if named else '':<{_STAGE_WIDTH}} ")
    found = view.result
    suggested = view.reading is not None and view.reading.suggestion is not None and run.ended_at is not None
    problem = {"failed": "error", "diverged": "error"}.get(run.status, "text-muted")
    said.append(f"{text.clip(found, _RESULT_WIDTH):>{_RESULT_WIDTH}}", "bold" if suggested else look.colour(problem))
    dataset = text.clip(text.literal(run.dataset), _DATASET_WIDTH)
    said.append(f"  {view.spec.method} {dataset} {text.age(look.now - run.created_at)}", muted)
    return said

"""An experiment from its file: its question, its grid, what it comes to; enter queues what is missing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from lab import text
from lab.errors import GridTooLargeError, LabError, reason_of
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.widgets.plan_text import list_text, size_text
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.config.experiment import Experiment
    from lab.queue.experiment_requests import Plan
    from lab.tui.app import LabApp

ASKER = "experiment"


class ExperimentScreen(Window[None]):
    """Shows an experiment and queues it."""

    CSS = """
    ExperimentScreen { align: center middle; }
    #experiment {
        width: 96%; max-width: 110; height: auto; max-height: 96%; padding: 0 1;
        border: round $primary; background: $surface; border-subtitle-color: $text-muted;
        scrollbar-size-vertical: 1;
    }
    #experiment Static { width: 1fr; height: auto; }
    """
    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape,q", "close", show=False),
        Binding("enter", "queue", show=False),
        Binding("ctrl+r", "again", show=False),
    ]

    @dataclass
    class Planned(Message):
        """The file has been read, and its runs are looked for among those that are stored; or what is wrong."""

        experiment: Experiment | None = None
        plan: Plan | None = None
        problem: str = ""
        too_large: GridTooLargeError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.again = False
        self.planned: ExperimentScreen.Planned | None = None

    def compose(self) -> ComposeResult:
        """One text, which scrolls."""
        with VerticalScroll(id="experiment") as box:
            box.border_title = Text(f"Experiment {text.literal(self.path.stem)}")
            box.border_subtitle = "enter queue · ctrl+r train again · esc leave"
            yield Static("reading…", id="experiment-text", markup=False)

    def on_mount(self) -> None:
        """Reads the file on a thread."""
        self.query_one("#experiment").focus()
        self.watch(self.app, "measured", self._show, init=False)
        self._plan(confirmed=False)

    def on_unmount(self) -> None:
        """Nobody wants to know any more how long these runs take."""
        self.lab.estimates.want(ASKER, ())

    def _plan(self, *, confirmed: bool) -> None:
        lab, path = self.lab, self.path

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                self.post_message(self.Planned(*plan_experiment(lab, path, confirmed=confirmed)))
            except GridTooLargeError as error:
                self.post_message(self.Planned(problem=error.said, too_large=error))
            except (LabError, SQLAlchemyError) as error:
                self.post_message(self.Planned(problem=reason_of(error)))

        self.run_worker(work, thread=True, exclusive=True, group="plan", exit_on_error=False)

    @on(Planned)
    def _planned(self, event: Planned) -> None:
        self.planned = event
        self._measure()

    def _measure(self) -> None:
        if self.planned is not None and self.planned.plan is not None:
            self.lab.estimates.want(ASKER, self.planned.plan.to_queue(again=self.again))
        self._show()

    def on_resize(self) -> None:
        """The list is as wide as there is room."""
        self._show()

    def _show(self) -> None:
        if self.is_mounted and self.planned is not None:
            self.query_one("#experiment-text", Static).update(self._said(self.planned))

    def _said(self, planned: Planned) -> Text:
        look = Look(colours=theme_colours(self.app.theme_variables))
        said = Text()
        if planned.experiment is None or planned.plan is None:
            remedy = (
                "" if planned.too_large is None or planned.too_large.final else "enter queues them if they are meant"
            )
            said.append(text.literal(planned.problem), look.colour("error"))
            said.append(f"\n{remedy or 'mend the file, then open it again'}", look.colour("text-muted"))
            return said
        experiment, plan = planned.experiment, planned.plan
        said.append(f"{text.literal(experiment.title)}\n", f"bold {look.colour('accent')}")
        said.append(f"{text.literal(experiment.question, lines=True)}\n\n" if experiment.question else "\n")
        for name, value in _parts(experiment):
            said.append(f"{name:<10}", look.colour("text-muted"))
            said.append(f"{text.literal(value)}\n")
        said.append("\n")
        wanted = plan.to_queue(again=self.again)
        time = self.lab.estimates.estimate(wanted, self.lab.snapshot).said if wanted else ""
        said.append_text(size_text(plan, again=self.again, time=time, look=look))
        said.append("\n\n")
        width = max(40, self.query_one("#experiment-text").size.width)
        said.append_text(list_text(plan, self.lab.estimates.seconds, again=self.again, look=look, width=width))
        return said

    def action_again(self) -> None:
        """Trains what is stored already again too, or not."""
        self.again = not self.again
        self._measure()

    def action_queue(self) -> None:
        """Queues what is missing."""
        lab, planned, again = self.lab, self.planned, self.again
        if planned is None:
            return
        if planned.too_large is not None and not planned.too_large.final:
            question = ConfirmScreen("Plan them all?", planned.problem, yes="they are meant", key="y")
            self.app.push_screen(question, lambda sure: self._plan(confirmed=True) if sure else None)
            return
        plan = planned.plan
        if plan is None:
            return
        if not plan.to_queue(again=again):
            said = "nothing to queue: all of it is stored already (ctrl+r trains it again)"
            lab.notify(said, severity="warning", markup=False, timeout=4)
            return
        name = text.literal(self.path.stem)
        lab.minder.retry_now()
        lab.edit(lambda: lab.edits.queue_experiment(lab.reader.store(), name, plan, again=again))
        self.dismiss()

    def action_close(self) -> None:
        """Leaves without queueing."""
        self.dismiss()


def plan_experiment(lab: LabApp, path: Path, *, confirmed: bool = False) -> tuple[Experiment, Plan]:
    """An experiment and which of its runs are stored; on a thread. Raises `LabError` with what is wrong and where."""
    from lab.config.experiment_files import errors_located, read_experiment
    from lab.queue.experiment_requests import DatasetReader, MeasuredSpeed, compose_experiment, plan

    experiment = read_experiment(path)
    read = DatasetReader(lab.database)
    measure = MeasuredSpeed(lab.inference, read, lab.database)
    with errors_located(path):
        runs = compose_experiment(experiment, read, name=path.stem, measure=measure, confirmed=confirmed)
    return experiment, plan(runs, lab.reader.store().runs())


def _parts(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """What the experiment is made of, each part under its name."""
    yield "base", ", ".join(f"{key} = {text.shown_value(value)}" for key, value in experiment.base.items()) or "–"
    for place, (key, values) in enumerate(experiment.grid.items()):
        yield "grid" if not place else "", f"{key} = {values}"
    for place, variant in enumerate(experiment.variants):
        settings = ", ".join(f"{key} = {text.shown_value(value)}" for key, value in variant.settings.items())
        yield "variants" if not place else "", f"{variant.name}: {settings or 'as the base'}"
    for place, condition in enumerate(experiment.exclude):
        yield "exclude" if not place else "", condition
    if experiment.seeds is not None:
        yield "seeds", str(experiment.seeds)
    if experiment.budget is not None:
        yield "budget", f"{experiment.budget.amount:,g} {experiment.budget.unit} a run"

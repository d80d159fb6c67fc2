"""The Ladder mode: the two models that need no training, every rung and what it bought, and what each writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import DataTable, Static

from lab.queue.rungs import RungState, common_seed, rung_states
from lab.tui.actions import Action, Situation, bindings, footer_actions
from lab.tui.edits import Edits
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.screens.strip_panes import StripPanes
from lab.tui.shown import Shown, of_run, of_text
from lab.tui.snapshot import Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.figures import Figures
from lab.tui.widgets.ladder_table import COLUMNS, LadderTable, ladder_cells
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.rung_text import code_text, figures_of, laid_out, rung_text, samples_text, untrained_text
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import NewRun, RunRow


class LadderScreen(QueueActions, StripPanes):
    """The ladder. Which rung is looked at lives in the table; what there is of each is worked out from the snapshot."""

    MODE = "ladder"
    CSS_PATH = "ladder.tcss"
    BINDINGS = bindings("ladder", priority=("next_pane", "previous_pane"))
    PANES = ("rungs", "rung", "samples")
    AUTO_FOCUS = "#rungs"

    pane: var[str] = var("rungs", init=False)

    def __init__(self) -> None:
        super().__init__()
        self.states: tuple[RungState, ...] = ()
        self.seed: int | None = None
        """Of the samples that are shown side by side."""
        self._placed = False

    def compose(self) -> ComposeResult:
        """The status bar, the panes, the key bar."""
        yield StatusBar(id="status")
        yield PaneStrip(("ladder", "rung", "samples"), id="strip")
        with Vertical(id="body"):
            yield LadderTable(id="rungs")
            yield Figures(id="figures")
            with Horizontal(id="below"):
                yield TextPane("Rung", id="rung")
                yield TextPane("Samples, from the foot up", id="samples")
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.follow("ladder", "measured")

    @on(events.ScreenResume)
    def _read_facts(self) -> None:
        """Only where somebody looks: they take 20 MB."""
        if self.is_foremost:
            self.lab.read_ladder_facts()

    # What is looked at

    @property
    def rung(self) -> RungState | None:
        """The rung under the cursor; None on a model that needs no training."""
        name = self.query_one(LadderTable).rung
        return next((state for state in self.states if state.stage.name == name), None)

    @property
    def run(self) -> RunRow | None:
        """The best run of the rung under the cursor."""
        return self.rung.best if self.rung else None

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        return Situation(
            mode=self.MODE,
            status=self.run.status if self.run else None,
            runs=len(self.lab.snapshot.runs),
            undo=self.lab.edits.next_undo,
            pane=self.pane,
            single_pane=self.single,
            zoomed=self.zoomed,
            loaded=self.lab.loaded,
            missing_rungs=sum(state.missing for state in self.states) if not self._on_request else 0,
        )

    @property
    def _on_request(self) -> bool:
        """Whether the rung under the cursor is one that climbing leaves out, and not trained."""
        return self.rung is not None and self.rung.on_request and self.run is None

    def shown(self) -> list[Shown]:
        """What the current pane shows."""
        if self.pane != "rungs":
            return [of_text(self.pane, self.query_one(f"#{self.pane}", TextPane).plain, f"{self.pane}.txt")]
        table = of_text("ladder (CSV)", self.query_one(LadderTable).csv(), "ladder.csv")
        return [table, *(of_run(self.run) if self.run is not None else [])]

    def pointed_at(self) -> list[str]:
        """The rung, or the model that needs no training."""
        name = self.query_one(LadderTable).rung or ""
        return [name, "a sample"] if self.pane == "samples" else [name]

    def in_view(self) -> list[str]:
        """The heads of the table's columns."""
        return [column.label for column in COLUMNS] + ["guessing evenly", "bigram by counting"]

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """Which pane has how much room."""
        return {"pane": self.pane, "zoomed": self.zoomed}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over."""
        if values.get("pane") in self.PANES:
            self.set_reactive(LadderScreen.zoomed, values.get("zoomed") is True)
            self.go_to(values["pane"])

    # Showing it

    def show_app(self) -> None:
        """Shows what is known now."""
        lab = self.lab
        self.states = rung_states(lab.ladder.stages, lab.ladder.group_hashes, lab.snapshot.runs)
        self.seed = common_seed(self.states)
        sampled = [state.sampled(self.seed) for state in self.states]
        self.want(Wanted(samples=tuple(run.id for run in sampled if run is not None)))
        self._ask_how_long()
        self.show_panes()
        look = self._look()
        samples = self._samples()
        table = self.query_one(LadderTable)
        table.show(ladder_cells(self.states, lab.ladder.untrained, self._samples_by_rung(samples), look))
        table.border_subtitle = self._on_its_way()
        if self.states and lab.loaded and not self._placed:
            self._placed = True
            first = next((each for each in self.states if not (each.finished or each.on_request)), self.states[0])
            table.move_to(first.stage.name)
        written = samples_text(self.states, self.seed, lab.ladder.untrained, samples, look)
        pane = self.query_one("#samples", TextPane)
        pane.border_subtitle = "" if self.seed is None else f"the same start, seed {self.seed}"
        pane.show(written, written)
        self._show_rung(look)
        self.show_bars()

    def _look(self) -> Look:
        look = self.look_of_app()
        return look if self.query_one(LadderTable).wide else look.narrowed()

    def _samples(self) -> dict[str, str]:
        read = self.lab.snapshot.samples
        return {run_id: sample.text if sample else "" for run_id, sample in read.items()}

    def _samples_by_rung(self, samples: Mapping[str, str]) -> dict[str, str]:
        runs = {state.stage.name: state.sampled(self.seed) for state in self.states}
        return {name: samples[run.id] for name, run in runs.items() if run is not None and run.id in samples}

    # How long climbing takes

    @property
    def _missing_runs(self) -> list[NewRun]:
        """What climbing would train from the beginning."""
        runs = self.lab.ladder.runs
        return [runs[state.stage.name] for state in self.states if state.missing and state.stage.name in runs]

    def _ask_how_long(self) -> None:
        """Has the missing rungs measured, unless what trains now would disturb that."""
        lab = self.lab
        if lab.loaded:
            busy = lab.snapshot.training or lab.snapshot.waiting
            lab.estimates.want("ladder", () if busy else self._missing_runs)

    def _footer_actions(self) -> list[Action]:
        """The footer's, with the time that climbing takes here; never a guess."""
        actions = footer_actions(self.situation)
        missing = self._missing_runs
        if not (self.lab.loaded and missing):
            return actions
        estimate = self.lab.estimates.estimate(missing, self.lab.snapshot)
        busy = self.lab.snapshot.training or self.lab.snapshot.waiting
        if estimate.seconds is not None:
            said = estimate.said if self.single else f"{estimate.said} here, quit any time"
        else:
            said = "" if busy else "measuring…" if estimate.said.endswith("…") else "time unknown"
            said = estimate.said if said and not self.single else said
        label = f"climb the ladder ({said})" if said else "climb the ladder"
        return [replace(action, label=label) if action.id == "climb" else action for action in actions]

    def _on_its_way(self) -> str:
        """What keeps the first run waiting: nothing is silent for long."""
        snapshot = self.lab.snapshot
        if not snapshot.waiting or any(run.step for run in snapshot.training):
            return ""
        if snapshot.queue_paused:
            return "the queue is paused"
        if self.lab.worker is None:
            return "starting the worker…" if not self.lab.problem else ""
        return "the worker is loading torch…" if not self.lab.worker_has_trained else ""

    def _show_rung(self, look: Look) -> None:
        name, rung = self.query_one(LadderTable).rung, self.rung
        large = figures_of(rung or name, self.lab.ladder.untrained) if self.in_large and not self.zoomed else ()
        self.query_one(Figures).show(large)
        pane = self.query_one("#rung", TextPane)
        if rung is not None:
            head, facts = rung_text(rung, look)
            code = code_text(self.lab.ladder.code.get(rung.stage.name), look)
            pane.show(laid_out(head, facts, code, look), (head, facts, code, look.colours))
        elif name:
            said = untrained_text(name, self.lab.ladder.untrained, look)
            pane.show(said, said)

    def show_bars(self) -> None:
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(self._footer_actions(), colours)
        self.query_one(PaneStrip).show(self.PANES.index(self.pane), colours)
        self.show_status()

    # Panes

    def show_panes(self) -> None:
        """Shows the panes that there is room for."""
        alone = self.single or self.zoomed
        self.show_size()
        self.set_class(self.single, "-single")
        self.set_class(alone, "-alone")
        shown = {pane: not alone or pane == self.pane for pane in self.PANES}
        shown["below"] = shown["rung"] or shown["samples"]
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown

    def action_unmark_all(self) -> None:
        """Leaves the zoom."""
        if self.zoomed:
            self.action_zoom()

    # Moving, climbing

    @on(DataTable.RowHighlighted, "#rungs")
    def _cursor_moved(self) -> None:
        if not self.is_whole:
            return
        self._show_rung(self._look())
        self.query_one("#rung", TextPane).scroll_home(animate=False)
        self.show_bars()

    def _move(self, table_action: str, scroll: str) -> None:
        """Moves the cursor; in a text, the text."""
        text_has_keys = self.pane != "rungs"
        target: Widget = self.query_one(f"#{self.pane}")
        getattr(target, scroll if text_has_keys else table_action)()

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._move("action_cursor_down", "action_scroll_down")

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._move("action_cursor_up", "action_scroll_up")

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._move("action_scroll_top", "action_scroll_home")

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._move("action_scroll_bottom", "action_scroll_end")

    @on(DataTable.RowSelected, "#rungs")
    async def _rung_entered(self) -> None:
        await self.run_action("climb" if self.run is None else "open_run")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter opens what is trained and climbs to what is not."""
        if action == "open_run":
            return self.run is not None
        return self.run is None if action == "climb" else super().check_action(action, parameters)

    def action_climb(self) -> None:
        """Queues what is missing of the ladder; on a rung that this leaves out, opens the composer with it."""
        lab = self.lab
        if self._on_request:
            self.action_new_run()
            return
        if not (lab.loaded and self.states):
            lab.notify("a moment: the database is being read", markup=False, timeout=3)
            return
        stages = [state.stage.name for state in self.states if state.missing]
        if not stages:
            climbed = [state for state in self.states if not state.on_request]
            done = sum(bool(state.finished) for state in climbed)
            lab.notify(f"nothing is missing: {done} of {len(climbed)} rungs are trained", markup=False, timeout=4)
            return
        lab.minder.retry_now()
        lab.edit(lambda: Edits.climb(lab.edits, lab.reader.store(), lab.database, stages))

    def action_open_demo(self) -> None:
        """Leaves an empty database for the demo."""
        if self.lab.loaded and not self.lab.snapshot.runs:
            self.lab.open_demo()

    def action_open_run(self) -> None:
        """Opens the best run of the rung under the cursor."""
        if self.run is not None:
            self.open_run(self.run.id)

    def action_new_run(self) -> None:
        """Opens the composer with the stage of the rung under the cursor."""
        from lab.tui.drafts import Draft

        rung = self.rung
        self._open_composer(Draft(rung.stage.name) if rung else Draft())

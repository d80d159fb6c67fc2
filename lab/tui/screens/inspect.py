"""The Inspect mode: what a trained model knows, view by view, for any stored run and checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static

from lab import text
from lab.config.run_config import RunConfig
from lab.errors import ConfigError
from lab.inference.figures import Page
from lab.inference.views import VIEWS_BY_NAME, View, fits, why_not
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.inspect_document import of_page
from lab.tui.inspecting import Inspecting
from lab.tui.screens.inspect_actions import InspectActions
from lab.tui.screens.inspect_pages import FIRST, PAGES, SECOND
from lab.tui.shown import Shown, of_run
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.model_lists import ModelLists
from lab.tui.widgets.page_view import PageView
from lab.tui.widgets.question_line import QuestionLine
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.view_list import ViewList

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

REDRAWS_A_SECOND = 20


class InspectScreen(InspectActions):
    """What is chosen lives in the lists; the pages come from the torch helper, and are kept."""

    MODE = "inspect"
    CSS_PATH = "inspect.tcss"
    BINDINGS = bindings("inspect", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = "#views"

    def compose(self) -> ComposeResult:
        """Views over runs on the left; the pages, and what is under the cursor, on the right."""
        yield StatusBar(id="status")
        yield PaneStrip(PAGES, id="strip")
        with Horizontal(id="inspect-body"):
            with Vertical(id="inspect-left"):
                yield ViewList(id="views")
                yield ModelLists(id="model-lists", title="Runs", on_enter="look")
            with Vertical(id="inspect-right"), Horizontal(id="inspect-pages"):
                for name, view in (("first", FIRST), ("second", SECOND)):
                    with Vertical(id=name, classes="inspect-page"):
                        yield PageView(id=view, classes="pane")
                        yield Static(id=f"{name}-under", classes="under", markup=False)
        yield QuestionLine(id="question")
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self._ticks = self.set_interval(1 / REDRAWS_A_SECOND, self._take_in, pause=True)
        self.follow()
        self.show_pages()

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """What is chosen."""
        lists = self.lists()
        return {
            "view": self.query_one(ViewList).view,
            "model": list(self.to_choose or ((lists.run_id, lists.checkpoint) if lists.run_id else ())),
            "beside": list(self.beside or ()),
            "adopted": self.adopted,
            "prompt": self.options.prompt,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over, as far as the runs are still there."""
        if isinstance(values.get("prompt"), str):
            self.set_option("prompt", values["prompt"])
        if values.get("view") in VIEWS_BY_NAME:
            self.query_one(ViewList).choose(values["view"])
        self.to_choose = self.to_choose or self.model_of(values.get("model"))
        self.beside = self.model_of(values.get("beside"))
        self.adopted = self.adopted or (values.get("adopted") if self.to_choose else None)

    # What is chosen

    @property
    def run(self) -> RunRow | None:
        """The run that is looked into."""
        return self.run_of(self.lists().run_id)

    @property
    def view(self) -> View:
        """The view under the cursor."""
        return VIEWS_BY_NAME[self.query_one(ViewList).view]

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        page = self.query_one(f"#{FIRST}", PageView).page
        return Situation(
            mode=self.MODE,
            status=self.run.status if self.run else None,
            runs=len(self.lab.snapshot.runs),
            single_pane=self.single,
            loaded=self.lab.loaded,
            zoomed=self.zoomed,
            writing=self.active,
            pane=self.tab,
            figures=len(page.figures) if page is not None else 0,
            options=frozenset(self.view.options),
        )

    def pointed_at(self) -> list[str]:
        """The view under the cursor."""
        return [self.view.name, self.run.stage if self.run else ""]

    def in_view(self) -> list[str]:
        """The numbers of the views."""
        return ["entropy", "mean distance", "explained", "probability", "interval", "surprise", "choices", "best, last"]

    def shown(self) -> list[Shown]:
        """The page and its current figure, then the run."""
        names = (FIRST, SECOND) if self.has_beside else (FIRST,)
        views = [self.query_one(f"#{name}", PageView) for name in names]
        documents = [each for view in views if view.page is not None for each in of_page(view.page, view.current)]
        return documents + (of_run(self.run) if self.run is not None else [])

    # Showing it

    def look(self) -> Look:
        """What colours depend on."""
        return self.look_of_app()

    def show_app(self) -> None:
        """Shows what is known now, and reads what there is to choose among."""
        self.read_choices()
        self.show()

    def show_choices(self) -> None:
        """Lists what was read, and asks for what is chosen by it."""
        self._show_models()
        self.show()

    def _show_models(self) -> None:
        lists, known = self.lists(), self.choices.with_checkpoints
        runs = [run for run in reversed(self.lab.snapshot.runs) if run.kind == "training" or run.id in known]
        dimmed = frozenset(run.id for run in runs) - known
        lists.show_runs(runs, self.beside[0] if self.beside else None, self.look(), dimmed=dimmed)
        listed = {run.id for run in runs}
        selected = self.lab.selected
        if selected is not None and selected != self.adopted and selected in listed:
            self.adopted, self.to_choose = selected, None
            lists.choose_run(selected)
        elif self.to_choose is not None and self.to_choose[0] in listed:
            lists.choose_run(self.to_choose[0])
        if self.choices.run_id == lists.run_id:
            lists.show_checkpoints(self.run, self.choices.checkpoints)
            if self.to_choose is not None and self.to_choose[0] == lists.run_id:
                lists.choose_checkpoint(self.to_choose[1])
                self.to_choose = None

    def show(self) -> None:
        """Shows all of it, and asks the helper for what is not there."""
        if not (self.is_mounted and self.is_whole):
            return
        self.show_pages()
        self._show_models()
        self.query_one(ViewList).show(config_of(self.run), self.look(), described=self.single)
        self.ask()
        self.show_results()
        self.show_bars()

    def show_results(self) -> None:
        """Shows the pages as far as they have come."""
        self._show_page(FIRST, self.run, self.lists().checkpoint, self.asked.get(FIRST))
        if self.beside is not None and self.has_beside:
            self._show_page(SECOND, self.run_of(self.beside[0]), self.beside[1], self.asked.get(SECOND))
        self._show_under()

    def _show_page(self, name: str, run: RunRow | None, checkpoint: str, asked: Inspecting | None) -> None:
        view, look = self.query_one(f"#{name}", PageView), self.look()
        page, said = self._page_and_state(name, run, asked, view.page)
        view.show(page, said)
        title = Text(self.view.label)
        if run is not None:
            title.append(" · ")
            title.append(text.literal(run.name), look.colour_of(run.id))
            if self.view.needs_checkpoint:
                step = page.step if page is not None and page.run_id == run.id else None
                title.append(f" · {_said_checkpoint(checkpoint, step)}")
        if asked is not None and asked.active and page is not None:
            title.append(" · computing…", look.colour("primary"))
        view.border_title = title
        view.border_subtitle = Text(f"{view.place} · [ ]" if view.place else "")

    def _page_and_state(
        self, name: str, run: RunRow | None, asked: Inspecting | None, before: Page | None
    ) -> tuple[Page | None, Text]:
        """The page to show, and what is said of one that is not there."""
        look = self.look()
        muted = look.colour("text-muted")
        if reason := self.why_nothing(name, run):
            return None, Text(reason, muted)
        alike = before is not None and run is not None and (before.view, before.run_id) == (self.view.name, run.id)
        kept = before if alike else None  # another checkpoint's page, or another prompt's, until this one is there
        if asked is None:
            return kept, Text()
        if asked.page is not None:
            return asked.page, Text()
        if asked.state == "failed":
            said = Text(f"✗ {text.literal(asked.problem)}", look.colour("error"))
            said.append("\nr asks again", muted)
            return None, said
        if asked.state == "stopped":
            return None, Text("stopped · r begins again", muted)
        return kept, Text() if kept is not None and not asked.progress[1] else _said_progress(asked, look)

    def why_nothing(self, name: str, run: RunRow | None) -> str:
        """Why a view of a run is not asked for; empty where it is."""
        if not self.lab.loaded:
            return self.lab.opening
        if run is None:
            if name == SECOND:
                return "the run is gone; space takes this page away"
            return "No runs yet. n in Runs (2) trains one; data and model can be looked into after some seconds."
        config = config_of(run)
        if config is None:
            return f"the config of {text.literal(run.name)} cannot be read: this view needs it"
        if not fits(self.view, config):
            return why_not(self.view, config)
        known = self.choices.run_id is not None
        if self.view.needs_checkpoint and known and run.id not in self.choices.with_checkpoints:
            return _no_checkpoint(run)
        return ""

    def _show_under(self) -> None:
        for name, view_id in (("first", FIRST), ("second", SECOND)):
            said = self.query_one(f"#{view_id}", PageView).under
            said.no_wrap, said.overflow = True, "ellipsis"
            self.query_one(f"#{name}-under", Static).update(said)

    def show_bars(self) -> None:
        """Shows the keys and the status."""
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(PAGES.index(self.tab), colours)
        self.show_status()

    @on(PageView.Moved)
    def _cursor_moved(self, event: PageView.Moved) -> None:
        event.view.border_subtitle = Text(f"{event.view.place} · [ ]" if event.view.place else "")
        self._show_under()

    # Choosing

    @on(OptionList.OptionHighlighted, "#views")
    def _view_chosen(self) -> None:
        self.show()

    @on(OptionList.OptionSelected, "#views")
    def _view_entered(self) -> None:
        self.action_look()

    @on(ModelLists.RunChosen)
    def _run_chosen(self) -> None:
        self.read_choices()
        self.show()

    @on(ModelLists.CheckpointChosen)
    def _checkpoint_chosen(self) -> None:
        self.show()

    # What comes in

    def _take_in(self) -> None:
        """Some times a second while something is computed: shows what has come."""
        if not self.is_whole:
            return
        if self.take_answers():
            self.show_results()
            self.show_bars()
        if not self.active:
            self._ticks.pause()

    def follow_answers(self) -> None:
        """Looks for answers until they are there."""
        self._ticks.resume()


def config_of(run: RunRow | None) -> RunConfig | None:
    """A run's config; None where it cannot be read."""
    if run is None:
        return None
    try:
        return run.config
    except ConfigError:
        return None


def _no_checkpoint(run: RunRow) -> str:
    name = text.literal(run.name)
    if run.status in ("queued", "training", "paused"):
        return f"{name} has no checkpoint yet: its first comes some seconds after it starts. Data can be seen now."
    return f"{name} has no checkpoint: choose another run, or look at Data"


def _said_checkpoint(checkpoint: str, step: int | None) -> str:
    if checkpoint not in ("best", "last"):
        return f"step {int(checkpoint):,}"
    return checkpoint if step is None else f"{checkpoint}, step {step:,}"


def _said_progress(asked: Inspecting, look: Look) -> Text:
    done, total = asked.progress
    muted = look.colour("text-muted")
    if not total:
        return Text(f"{asked.state}…", muted)
    share = done / total
    filled, left = text.bar(share, 30)
    said = Text()
    said.append(filled, look.colour("primary"))
    said.append(left, look.colour("border"))
    said.append(f" {done:,} of {total:,}", muted)
    if asked.seconds_left is not None:
        said.append(f" · {text.duration(asked.seconds_left)} left", muted)
    said.append("   esc stops it", muted)
    return said

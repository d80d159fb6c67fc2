"""The palette's lists: what can be done, and the runs, stages and experiments that it can be done with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen
from textual.widgets import Input

from lab import text
from lab.tui.actions import ACTIONS, Action
from lab.tui.screens.window import ClosesOnce
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.config.experiment_files import ExperimentFile
    from lab.tui.screens.lab_screen import LabScreen

MOST_RUNS = 20
"""Runs listed for one search; who seeks among more has the filter."""
EXPERIMENT_WORDS = "experiment grid sweep"
"""By these all experiments are found: a sweep, to many, is a grid."""
BESIDE_ACTIONS = 0.8
"""Things count for less than actions that match as well."""


VIEW_SYNONYMS = {
    "data": "dataset text vocabulary tokens ids batch unrolled",
    "anatomy": "modules tree shapes parameters flops architecture layers one-hot",
    "bigram": "heatmap heat map counts table pairs",
    "embeddings": "scatter pca neighbours vectors vowels clusters wte",
    "attention": "attention map heatmap heat map heads weights entropy distance",
    "logit-lens": "logit lens depth blocks prediction unembed",
    "knock-out": "knockout ablate ablation remove prune importance heads interval",
    "loss-map": "losses worst surprising contexts errors where difference",
    "averaging": "softmax scaled variance head size initialisation ln v lower triangular mask",
}
"""What else a view is called, by its name."""


class Commands(CommandList, SafeList):
    """What was found."""


class Palette(CommandPalette, ClosesOnce[None]):
    """A list to search: of actions and what they can be done with, or of themes."""

    def compose(self) -> ComposeResult:
        """Textual's widgets, its list made ours: what it holds changes with every key."""
        for widget in super().compose():
            yield Commands() if isinstance(widget, CommandList) else widget

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Closes it, and ends its search: that would look for a list that is gone."""
        self.workers.cancel_node(self)
        return super().dismiss(result)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Begins no search when it is closed already."""
        if not self.is_active:
            event.prevent_default()
            event.stop()


class LabCommands(Provider):
    """Every action but moving about."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in _offered(self.screen):
            yield DiscoveryHit(_title(action), partial(self.screen.run_action, action.id), help=action.help)

    async def search(self, query: str) -> Hits:
        """Those that match what is typed, in name, help or synonyms."""
        matcher = self.matcher(query)
        for action in _offered(self.screen):
            title = _title(action)
            meant = [
                word for word in _words(action) if query.casefold() in word.casefold()
            ]  # letter by letter, all would
            score = max(matcher.match(title), *(0.9 * matcher.match(word) for word in meant), 0.0)
            if score > 0:
                command = partial(self.screen.run_action, action.id)
                yield Hit(score, matcher.highlight(title), command, help=action.help)


class LabThings(Provider):
    """Runs to open, stages to compose a run of, and experiments to queue."""

    experiments: tuple[ExperimentFile, ...] = ()

    async def startup(self) -> None:
        """Reads the experiments' files on a thread."""
        from lab.config.experiment_files import list_experiments

        self.experiments = tuple(await asyncio.to_thread(list_experiments))

    async def search(self, query: str) -> Hits:
        """Those whose name, or what is said of them, matches."""
        from lab.config.ladder import STAGES
        from lab.inference.views import VIEWS

        screen = cast("LabScreen", self.screen)
        if not hasattr(screen, "open_run"):
            return  # a question is open over the mode
        found = 0
        sought = query.casefold().split()
        for run in reversed(screen.lab.snapshot.runs):
            words = f"run {run.name} {run.id} {run.stage} {' '.join(run.tags)}".casefold()
            if found < MOST_RUNS and all(word in words for word in sought):
                found += 1
                said = f"{run.status} · val {text.loss(run.val_loss)} · {text.literal(run.stage)}"
                yield self._hit(query, f"run {text.literal(run.name)}", said, partial(screen.open_run, run.id))
        for view in VIEWS:
            words = f"inspect view {view.label} {view.name} {view.shows} {VIEW_SYNONYMS.get(view.name, '')}".casefold()
            if all(word in words for word in sought):
                yield self._hit(query, f"inspect: {view.label}", view.shows, partial(screen.inspect, view=view.name))
        for stage in STAGES:
            if all(word in f"new run stage {stage.name} {stage.adds}".casefold() for word in sought):
                title = f"new run of stage {stage.name}"
                yield self._hit(query, title, stage.adds, partial(screen.compose_stage, stage.name))
        for file in self.experiments:
            question = file.experiment.question if file.experiment else file.problem
            if all(word in f"{EXPERIMENT_WORDS} {file.name} {file.title} {question}".casefold() for word in sought):
                title = f"experiment {text.literal(file.name)}"
                said = text.literal(f"{file.title}: {question}" if question else file.title)
                yield self._hit(query, title, said, partial(screen.ask_experiment, file.path))

    def _hit(self, query: str, title: str, said: str, command: Callable[[], Any]) -> Hit:
        matcher = self.matcher(query)
        score = BESIDE_ACTIONS * max(matcher.match(title), 0.5)
        return Hit(score, matcher.highlight(title), command, text=title, help=said)


def _offered(screen: Screen[Any]) -> list[Action]:
    """What the screen can do, moving about left out."""
    left_out = ("Select", "command_palette")
    mode = getattr(screen, "MODE", "")
    here = [action for action in ACTIONS if action.is_for(mode)]
    return [action for action in here if action.group not in left_out and action.id not in left_out] + [
        action
        for action in here
        if action.id in ("pin", "filter", "columns", "mark_all", "sort", "sort_reverse", "unmark_all")
    ]


def _title(action: Action) -> str:
    return f"{action.label}  {action.key_text}" if action.keys else action.label


def _words(action: Action) -> list[str]:
    return [*action.synonyms.split(), action.synonyms, action.help]

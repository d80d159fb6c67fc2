"""The modes on the digit keys. Each is loaded when it is first gone to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from textual.screen import Screen


@dataclass(frozen=True)
class Mode:
    """A screen on a digit key. `action_mode_NAME` of every screen goes to it."""

    name: str
    key: str
    label: str
    help: str
    screen: str
    """Its module under `lab.tui.screens`, and its class."""

    @property
    def action(self) -> str:
        """The id of the action that goes there."""
        return f"mode_{self.name}"

    def import_screen(self) -> type[Screen[Any]]:
        """Its screen's class."""
        module, _, screen = self.screen.partition(":")
        return cast("type[Screen[Any]]", getattr(import_module(f"lab.tui.screens.{module}"), screen))

    def load(self) -> Screen[Any]:
        """Makes the screen."""
        return self.import_screen()()


MODES: tuple[Mode, ...] = (
    Mode("ladder", "1", "Ladder", "Go to the ladder: what each rung adds, and what it bought.", "ladder:LadderScreen"),
    Mode("runs", "2", "Runs", "Go to the runs: waiting, training and stored.", "runs:RunsScreen"),
    Mode(
        "compare",
        "3",
        "Compare",
        "Go to comparing: the marked runs, what differs, and a verdict.",
        "compare:CompareScreen",
    ),
    Mode(
        "lr_finder", "4", "LR finder", "Go to the LR finder: which learning rate, and why.", "lr_finder:LRFinderScreen"
    ),
    Mode("sample", "5", "Sample", "Go to sampling: text from any stored run and checkpoint.", "sample:SampleScreen"),
    Mode(
        "inspect",
        "6",
        "Inspect",
        "Go to inspecting: what a model knows, and which of its pieces it needs.",
        "inspect:InspectScreen",
    ),
)

MODES_BY_NAME = {mode.name: mode for mode in MODES}


def loaders() -> dict[str, str | Callable[[], Screen[Any]]]:
    """What makes each mode's screen, for the application."""
    return {mode.name: mode.load for mode in MODES}

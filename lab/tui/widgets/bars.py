"""The lines at the top and the bottom: what goes on, which panes there are, and what the keys do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from lab import text
from lab.tui.actions import Action
from lab.tui.modes import MODES, MODES_BY_NAME
from lab.tui.snapshot import Snapshot

ALL_MODES_FROM = 110
"""Columns from which on the top bar names every mode."""


@dataclass
class ActionClicked(Message):
    """The name of an action was clicked."""

    action: str


@dataclass(frozen=True)
class BarFacts:
    """What the status bar tells."""

    database: Path
    snapshot: Snapshot
    colours: dict[str, str]
    loaded: bool = False
    worker: bool = False
    problem: str = ""
    mode: str = "runs"


class StatusBar(Static):
    """One line: the modes, database, device, what trains and waits, speed, problems. A click on a mode goes there."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, markup=False)
        self._facts: BarFacts | None = None

    def show(self, facts: BarFacts) -> None:
        """Shows these facts, as many as there is room for."""
        self._facts = facts
        self._redraw()

    def on_resize(self) -> None:
        """Fits the line to its new width."""
        self._redraw()

    def _redraw(self) -> None:
        if self._facts is not None:
            self.update(_status_line(self._facts, self.size.width), layout=False)

    def on_click(self, event: events.Click) -> None:
        """Goes to the mode whose name was clicked."""
        if self.size.width < ALL_MODES_FROM:
            return
        start = len(_PROGRAM)
        for mode in MODES:
            end = start + len(_mode_name(mode.key, mode.label))
            if start <= event.x < end:
                self.post_message(ActionClicked(mode.action))
            start = end


def _status_line(facts: BarFacts, width: int) -> Text:
    """The work on the left, the database on the right; the path gives way first."""
    left = Text(no_wrap=True, overflow="ellipsis")
    left.append(_PROGRAM, f"bold {facts.colours['background']} on {facts.colours['primary']}")
    left.append_text(_modes(facts, width))
    left.append_text(_work(facts))
    muted = facts.colours["text-muted"]
    if facts.problem:
        left.append("  ⚠ ", facts.colours["warning"])
        left.append(
            text.clip(text.literal(facts.problem), max(10, width - left.cell_len - 1)), facts.colours["warning"]
        )
    room = width - left.cell_len - 3
    place = f"{_short(facts.database)} · {_device(facts.snapshot)} "
    for said in (place, f"{facts.database.name} · {_device(facts.snapshot)} ", f"{facts.database.name} "):
        said = text.literal(said)
        if len(said) <= room:
            left.append(" " * (room + 3 - len(said)))
            left.append(said, muted)
            break
    return left


_PROGRAM = " lab "


def _modes(facts: BarFacts, width: int) -> Text:
    """The modes with their keys, the current one emphasised; where there is little room that one alone."""
    said = Text()
    if width < ALL_MODES_FROM:
        current = MODES_BY_NAME.get(facts.mode)
        return said.append(f" {current.label} " if current else "", f"bold {facts.colours['foreground']}")
    for mode in MODES:
        chosen = f"bold {facts.colours['foreground']} on {facts.colours['border']}"
        style = chosen if mode.name == facts.mode else facts.colours["text-muted"]
        said.append(_mode_name(mode.key, mode.label), style)
    return said


def _mode_name(key: str, label: str) -> str:
    return f" {key} {label} "


def _work(facts: BarFacts) -> Text:
    """What trains, how fast, and how many wait."""
    said, colours = Text(), facts.colours
    muted = colours["text-muted"]
    training = facts.snapshot.training
    if not facts.loaded:
        return Text("  opening…" if not facts.problem else "", muted)
    if training:
        first = training[0]
        said.append("  ● ", colours["primary"])
        said.append(text.clip(text.literal(first.name), 24))
        said.append(f" {int(100 * first.step / max(1, first.steps))}%", colours["primary"])
        if len(training) > 1:
            said.append(f" +{len(training) - 1}", colours["primary"])
        left = _seconds_left(facts.snapshot)
        if left is not None:
            said.append(f"  {text.duration(left)} left", muted)
        speed = sum(run.chars_per_second or 0 for run in training)
        if speed:
            said.append(f"  {text.si(speed)} chars/s", muted)
    if facts.snapshot.waiting:
        said.append("  ◌ ", colours["secondary"])
        said.append(f"{facts.snapshot.waiting} waiting")
        if not training and not facts.worker and not facts.problem:
            said.append(" · starting the worker", muted)
    if not training and not facts.snapshot.waiting:
        said.append("  idle", muted)
    return said


def _seconds_left(snapshot: Snapshot) -> float | None:
    """Of the run that will be done last, at its speed until now."""
    left = [
        run.seconds * (run.steps - run.step) / run.step for run in snapshot.training if run.step and run.seconds > 0
    ]
    return max(left) if left else None


def _device(snapshot: Snapshot) -> str:
    devices = dict.fromkeys(run.device for run in snapshot.training if run.device)
    return " ".join(devices) if devices else f"{text.plural(os.cpu_count() or 1, 'core')}"


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


class PaneStrip(Static):
    """The panes' names where only one is shown; a click goes there."""

    @dataclass
    class Chosen(Message):
        """A name was clicked."""

        place: int

    def __init__(self, names: Sequence[str], *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, markup=False)
        self._names = tuple(names)

    def show(self, current: int, colours: dict[str, str]) -> None:
        """Emphasises one of the names."""
        said = Text(" ")
        for i, name in enumerate(self._names):
            chosen = f"bold {colours['background']} on {colours['primary']}"
            said.append(f" {name} ", chosen if i == current else colours["text-muted"])
            said.append(" ")
        self.update(said, layout=False)

    def on_click(self, event: events.Click) -> None:
        """Goes to the pane whose name was clicked."""
        start = 1
        for i, name in enumerate(self._names):
            if start <= event.x < start + len(name) + 2:
                self.post_message(self.Chosen(i))
            start += len(name) + 3


class KeyBar(Static):
    """The keys that mean something now, at most seven; a click does what the key does."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, markup=False)
        self._spans: list[tuple[int, int, str]] = []
        self.actions: tuple[Action, ...] = ()

    def show(self, actions: Sequence[Action], colours: dict[str, str]) -> None:
        """Shows these actions, as many as there is room for."""
        said = Text(" ", no_wrap=True)
        self._spans = []
        shown = []
        for action in actions:
            start = said.cell_len
            needed = len(action.key_text) + len(action.label) + 3
            if start + needed > self.app.size.width:
                break
            said.append(action.key_text, f"bold {colours['accent']}")
            said.append(f" {action.label}  ", colours["text-muted"])
            self._spans.append((start, said.cell_len, action.id))
            shown.append(action)
        self.actions = tuple(shown)
        self.update(said, layout=False)

    def on_click(self, event: events.Click) -> None:
        """Does what was clicked."""
        for start, end, action in self._spans:
            if start <= event.x < end:
                self.post_message(ActionClicked(action))

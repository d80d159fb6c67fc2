"""The lines at the top and the bottom: what goes on, which panes there are, and what the keys do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from lab import text
from lab.queue.slots import cores
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
    said: str = ""
    """What a toast would have said, where there are none."""
    mode: str = "runs"


class _Line(Static):
    """One line, painted anew only where it says something else."""

    def say(self, said: Text) -> None:
        """Shows it."""
        if said != self.content:
            self.update(said, layout=False)


class StatusBar(_Line):
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
            self.say(_status_line(self._facts, self.size.width))

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
    """The work on the left, the database on the right; where there is little room, the least telling is left out."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(_PROGRAM, f"bold {facts.colours['background']} on {facts.colours['primary']}")
    line.append_text(_modes(facts, width))
    if facts.snapshot.is_demo:
        line.append(" ")
        line.append(" demo ", f"bold {facts.colours['background']} on {facts.colours['warning']}")
    parts = _work(facts)
    room = width - line.cell_len - 1
    if urgent := _urgent(facts):
        least = min(urgent.cell_len, room)
        if sum(part.cell_len for _, part in parts) > room - least:  # then what trains has to do with half of it
            least = max(room // 2, min(least, room - sum(part.cell_len for rank, part in parts if rank == 0)))
        room -= least
        urgent.truncate(least, overflow="ellipsis")
    fitting: list[int] = []
    for place in sorted(range(len(parts)), key=lambda place: parts[place][0]):
        if parts[place][1].cell_len <= room:
            fitting.append(place)
            room -= parts[place][1].cell_len
    for place in sorted(fitting):
        line.append_text(parts[place][1])
    line.append_text(urgent)
    database = text.literal(_short(facts.database)), text.literal(facts.database.name)
    device = f" · {_device(facts.snapshot)}"
    for place_said in (database[0] + device, database[1] + device, database[1]):
        if len(place_said) + 3 <= width - line.cell_len:
            line.append(" " * (width - 1 - line.cell_len - len(place_said)))
            line.append(f"{place_said} ", facts.colours["text-muted"])
            break
    return line


def _urgent(facts: BarFacts) -> Text:
    """What is wrong, or else what was said in passing."""
    said = Text()
    if facts.problem:
        said.append(f"  ⚠ {text.literal(facts.problem)}", facts.colours["warning"])
    elif facts.said:
        said.append(f"  » {text.literal(facts.said)}", f"bold {facts.colours['accent']}")
    return said


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


def _work(facts: BarFacts) -> list[tuple[int, Text]]:
    """What trains, how fast, and how many wait: each part with its rank, 0 for what is left out last."""
    colours, snapshot = facts.colours, facts.snapshot
    muted = colours["text-muted"]
    if not facts.loaded:
        return [] if facts.problem else [(0, Text("  opening…", muted))]
    training = snapshot.training
    if not training and not snapshot.waiting:
        return [(3, Text("  idle", muted))]
    parts: list[tuple[int, Text]] = []
    if training:
        first = training[0]
        share = f" {int(100 * first.step / max(1, first.steps))}%"
        more = f" +{len(training) - 1}" if len(training) > 1 else ""
        name = text.clip(text.literal(first.name), 24)
        parts.append((0, Text.assemble(("  ● ", colours["primary"]), name, (share + more, colours["primary"]))))
        left = _seconds_left(snapshot)
        if left is not None:
            parts.append((2, Text(f"  {text.duration(left)} left", muted)))
        speed = sum(run.chars_per_second or 0 for run in training)
        if speed:
            parts.append((3, Text(f"  {text.si(speed)} chars/s", muted)))
    if snapshot.waiting:
        held = (" · the queue is paused", colours["warning"]) if snapshot.queue_paused else ""
        parts.append((1, Text.assemble(("  ◌ ", colours["secondary"]), f"{snapshot.waiting} waiting", held)))
        if not (training or facts.worker or facts.problem or held):
            parts.append((2, Text(" · starting the worker", muted)))
    return parts


def _seconds_left(snapshot: Snapshot) -> float | None:
    """Of the run that will be done last, at its speed until now."""
    left = [
        run.seconds * (run.steps - run.step) / run.step for run in snapshot.training if run.step and run.seconds > 0
    ]
    return max(left) if left else None


def _device(snapshot: Snapshot) -> str:
    devices = dict.fromkeys(run.device for run in snapshot.training if run.device)
    return " ".join(devices) if devices else text.plural(cores(), "core")


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


class PaneStrip(_Line):
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
        self.say(said)

    def on_click(self, event: events.Click) -> None:
        """Goes to the pane whose name was clicked."""
        start = 1
        for i, name in enumerate(self._names):
            if start <= event.x < start + len(name) + 2:
                self.post_message(self.Chosen(i))
            start += len(name) + 3


class KeyBar(_Line):
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
                continue  # a shorter one may yet fit
            said.append(action.key_text, f"bold {colours['accent']}")
            said.append(f" {action.label}  ", colours["text-muted"])
            self._spans.append((start, said.cell_len, action.id))
            shown.append(action)
        self.actions = tuple(shown)
        self.say(said)

    def on_click(self, event: events.Click) -> None:
        """Does what was clicked."""
        for start, end, action in self._spans:
            if start <= event.x < end:
                self.post_message(ActionClicked(action))

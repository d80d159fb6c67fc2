"""A torch helper that says what a test wants, and checkpoints that are only named."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_helpers import lab_app, named, opened, until

from lab.inference.client import Listener
from lab.inference.protocol import InspectRequest, Likelihood, SampleRequest, Speed, SpeedRequest, Token
from lab.tui.app import LabApp
from lab.tui.screens.sample import SampleScreen
from lab.tui.widgets.run_table import RunTable


@dataclass
class FakeClient:
    """Keeps requests; a test answers them."""

    warm: bool = False
    asked: list[tuple[SampleRequest, Listener]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    measuring: list[tuple[SpeedRequest, Listener]] = field(default_factory=list)
    inspected: list[tuple[InspectRequest, Listener]] = field(default_factory=list)

    def measure(self, request: SpeedRequest, listener: Listener) -> int:
        self.measuring.append((request, listener))
        return 10_000 + len(self.measuring)

    def answer_speed(self, seconds: float, which: int = -1) -> None:
        """Says how long the config of a request trains here."""
        request, listener = self.measuring[which]
        listener.started()
        listener.speed(Speed(seconds, seconds / 1000, 50_000.0, 4225, "cpu", "fp32", request.threads))
        listener.done()

    def sample(self, request: SampleRequest, listener: Listener) -> int:
        self.asked.append((request, listener))
        return len(self.asked)

    def inspect(self, request: InspectRequest, listener: Listener) -> int:
        self.inspected.append((request, listener))
        return 20_000 + len(self.inspected)

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)

    def close(self) -> None:
        pass

    @property
    def request(self) -> SampleRequest:
        """The last request."""
        return self.asked[-1][0]

    def start(self, which: int = -1) -> None:
        self.asked[which][1].started()

    def say(self, text: str, *, which: int = -1, number: int = 0, surprise: float = 0.1) -> None:
        for character in text:
            self.asked[which][1].token(token(character, number=number, surprise=surprise))

    def finish(self, which: int = -1) -> None:
        self.asked[which][1].done()

    def fail(self, reason: str) -> None:
        self.asked[-1][1].failed(reason)


def token(character: str, *, number: int = 0, surprise: float = 0.1) -> Token:
    """A character as the helper would tell of it: it and a `#` are the likeliest."""
    share = math.exp(-surprise)
    likeliest = (Likelihood(character, share, min(1.0, share * 1.05)), Likelihood("#", 1 - share, 0.0))
    return Token(character, surprise, likeliest, number)


def add_checkpoints(path: Path, **steps: tuple[int, ...]) -> None:
    """Files named as checkpoints of runs: milestones, and the last of them the best and complete too.

    They hold a byte, which is enough where no model is read. `_` stands for `-`.
    """
    files = path.with_name(f"{path.name}.files")
    connection = sqlite3.connect(path)
    with connection:
        for name, kept in steps.items():
            (run_id,) = connection.execute("SELECT id FROM run WHERE name = ?", (name.replace("_", "-"),)).fetchone()
            (files / run_id).mkdir(parents=True, exist_ok=True)
            kinds = [("milestone", step) for step in kept[:-1]] + [("best", kept[-1]), ("complete", kept[-1])]
            for kind, step in kinds:
                place = f"{run_id}/{kind}-{step}"
                (files / place).write_bytes(b".")
                connection.execute(
                    "INSERT INTO checkpoint (run_id, step, kind, path, sha256, size, created_at)"
                    " VALUES (?, ?, ?, ?, ?, 1, 0)",
                    (run_id, step, kind, place, hashlib.sha256(b".").hexdigest()),
                )
    connection.close()


def sample_app(path: Path) -> tuple[LabApp, FakeClient]:
    """lab with a fake torch helper."""
    app, client = lab_app(path), FakeClient()
    app.inference = client  # type: ignore[assignment]
    return app, client


async def in_sample(pilot: Any, run: str = "residual-1") -> SampleScreen:
    """Goes to a run in Runs and from there to Sample; waits until its checkpoints are listed."""
    await opened(pilot)
    if pilot.app.snapshot.runs:
        pilot.app.screen.query_one(RunTable).move_to(named(pilot.app, run).id)
        await until(pilot, lambda: pilot.app.selected == named(pilot.app, run).id)
    await pilot.press("5")
    await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))
    screen = pilot.app.screen
    if screen.lab.snapshot.runs:
        await until(pilot, lambda: screen.run is not None and screen.run.name == run)
        await until(pilot, lambda: screen.query_one("#checkpoints").option_count)
        await until(pilot, lambda: screen.choices.run_id == screen.run.id)
    return screen

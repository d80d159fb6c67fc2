"""One database for all tests of the screen, copied for each; no worker is ever started, and nothing is measured."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from textual import _wait
from textual.pilot import Pilot
from tui_helpers import at_rest, make_database

from lab.inference.client import InferenceClient, Listener
from lab.inference.protocol import SpeedRequest
from lab.queue import requests
from lab.store.run_store import RunStore
from lab.tui import reader

MOST_TURNS = 40
"""After so many, a screen is taken for one that never rests."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that tests start from."""
    path = tmp_path_factory.mktemp("template") / "runs.db"
    make_database(path)
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    """A copy of the stored runs, for one test."""
    path = tmp_path / "runs.db"
    shutil.copyfile(template, path)
    return path


@pytest.fixture
def empty_database(tmp_path: Path) -> Path:
    """A database without runs."""
    path = tmp_path / "runs.db"
    RunStore.open(path).close()
    return path


@pytest.fixture(autouse=True)
def worker_starts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where a worker would have been started; it is then taken to be there."""
    starts: list[Path] = []

    def start(path: Path, **_: object) -> int:
        starts.append(path)
        return 4242

    monkeypatch.setattr(requests, "start_worker", start)
    monkeypatch.setattr(requests, "worker_pid", lambda path: 4242 if starts else None)
    monkeypatch.setattr(requests, "stop_worker", lambda path: bool(starts))
    return starts


@pytest.fixture(autouse=True)
def asked_speeds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SpeedRequest, Listener]]:
    """What the torch helper would have been asked to measure; a test may answer."""
    asked: list[tuple[SpeedRequest, Listener]] = []

    def measure(self: InferenceClient, request: SpeedRequest, listener: Listener) -> int:
        asked.append((request, listener))
        return len(asked)

    monkeypatch.setattr(InferenceClient, "measure", measure)
    return asked


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the pictures show; what is said of how long things take goes by them as well."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder and a terminal of the test's own: nobody's choices come in, and none are overwritten."""
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot looks in shorter turns whether the screen has come to rest, three of them a key; so does the reader.

    Most of a test's time it would else sleep.
    """
    monkeypatch.setattr(_wait, "SLEEP_GRANULARITY", 0.005)
    monkeypatch.setattr(_wait, "SLEEP_IDLE", 0.001)
    monkeypatch.setattr(reader, "POLL_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def comes_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a key and after a pause, what is on the screen is laid out and painted, however busy the machine is.

    The pilot itself takes a processor that does little for a screen at rest.
    """
    handled = Pilot._wait_for_screen

    async def wait(self: Pilot[object], timeout: float = 30.0) -> bool:
        heard = await handled(self, timeout)
        for _ in range(MOST_TURNS):
            if not heard or at_rest(self.app):
                break
            self.app.screen._on_timer_update()
            heard = await handled(self, timeout)
        return heard

    monkeypatch.setattr(Pilot, "_wait_for_screen", wait)

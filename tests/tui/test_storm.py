"""Storms of random keys, mouse events and resizes: the screen never breaks, never sticks, and loses no run."""

from __future__ import annotations

import asyncio
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual import events
from textual.worker import Worker
from tui_helpers import on_screen, until

from lab import text
from lab.queue import requests
from lab.queue.requests import RunRequest, compose
from lab.queue.slots import cores
from lab.store import lifecycle, trash
from lab.store.run_store import RunRow, RunStore
from lab.tui.actions import ACTIONS
from lab.tui.app import LabApp
from lab.tui.screens.help import HelpScreen
from lab.tui.screens.runs import RunsScreen
from lab.tui.widgets.run_table import RunTable

SEEDS = (1, *(pytest.param(seed, marks=pytest.mark.longest) for seed in range(2, 11)))
SHORT_STORM, LONG_STORM = 120, 1000
NARROWEST, WIDEST = (40, 10), (240, 70)
PATIENCE_SECONDS = 180.0

# What ends the program at once: a storm is about what a person does in it.
ENDING_KEYS = {"ctrl+q", "ctrl+c", "ctrl+z"}
KEYS_OF_ACTIONS = tuple(dict.fromkeys(key for action in ACTIONS for key in action.keys))
OTHER_KEYS = (
    "escape", "enter", "tab", "shift+tab", "up", "down", "left", "right", "home", "end", "pageup", "pagedown",
    "backspace", "delete", "insert", "shift+up", "shift+down", "ctrl+up", "ctrl+home", "ctrl+end", "f1", "f5", "f12",
    *(f"ctrl+{letter}" for letter in string.ascii_lowercase if f"ctrl+{letter}" not in ENDING_KEYS),
)  # fmt: skip
TYPED = (*string.ascii_letters, *string.digits, *string.punctuation, "space", "ä", "中", "🙂")

real_start, real_pid, real_stop = requests.start_worker, requests.worker_pid, requests.stop_worker


@dataclass(frozen=True)
class Input:
    """Something that a person does: a kind, and a key, or where in the window (as parts of its size) and whereto."""

    kind: str
    key: str = ""
    at: tuple[float, float] = (0, 0)
    to: tuple[float, float] = (0, 0)
    hasty: bool = False
    """Whether the next one follows before this one is worked off."""

    def __repr__(self) -> str:
        place = "" if self.key else f" {self.at[0]:.2f},{self.at[1]:.2f}"
        target = f" to {self.to[0]:.2f},{self.to[1]:.2f}" if self.kind == "drag" else ""
        return f"{self.kind} {self.key}{place}{target}{' …' if self.hasty else ''}".replace("  ", " ")


def storm(seed: int, count: int) -> Iterator[Input]:
    """What is done, the same for the same seed."""
    chance = random.Random(seed)

    def place() -> tuple[float, float]:
        return chance.random(), chance.random()

    for _ in range(count):
        kind = chance.choices(("key", "click", "wheel", "drag", "resize"), (80, 8, 5, 3, 4))[0]
        hasty = chance.random() < 0.3
        if kind == "key":
            keys = chance.choices((KEYS_OF_ACTIONS, OTHER_KEYS, TYPED, ("escape",)), (60, 15, 15, 10))[0]
            yield Input(kind, chance.choice(keys), hasty=hasty)
        elif kind == "wheel":
            yield Input(kind, at=place(), to=chance.choice(((0, 1), (0, -1), (1, 0))), hasty=hasty)
        else:
            yield Input(kind, at=place(), to=place(), hasty=hasty)


def mouse(app: LabApp, kind: type[events.MouseEvent], at: tuple[float, float], button: int = 0) -> None:
    """A mouse event as the terminal would report it."""
    x, y = int(at[0] * app.size.width), int(at[1] * app.size.height)
    event = kind(None, x, y, 0, 0, button, False, False, False, x, y)
    assert app._driver is not None
    app._driver.process_message(event)


async def do(pilot: Any, each: Input) -> None:
    """Does it, and unless it is in haste waits until the screen has worked it off."""
    app = pilot.app
    if each.kind == "key":
        await pilot.press(each.key) if not each.hasty else app.simulate_key(each.key)
    elif each.kind == "resize":
        (least_width, least_height), (most_width, most_height) = NARROWEST, WIDEST
        width = least_width + round(each.at[0] * (most_width - least_width))
        await pilot.resize_terminal(width, least_height + round(each.at[1] * (most_height - least_height)))
    elif each.kind == "wheel":
        turns = {(0, 1): events.MouseScrollDown, (0, -1): events.MouseScrollUp, (1, 0): events.MouseScrollRight}
        mouse(app, turns[each.to], each.at)
    else:
        mouse(app, events.MouseMove, each.at)
        mouse(app, events.MouseDown, each.at, button=1)
        if each.kind == "drag":
            for part in (0.3, 0.7, 1.0):
                there = tuple(a + (b - a) * part for a, b in zip(each.at, each.to, strict=True))
                mouse(app, events.MouseMove, there, button=1)
        mouse(app, events.MouseUp, each.to if each.kind == "drag" else each.at, button=1)
    if not each.hasty:
        await pilot.pause()


async def survive(pilot: Any, inputs: Sequence[Input]) -> None:
    """Does all of it. Fails with what was done where the program breaks or hangs."""
    for place, each in enumerate(inputs):
        try:
            await do(pilot, each)
            assert pilot.app._exception is None, "it broke"
        except BaseException as error:
            done = "\n".join(map(repr, inputs[: place + 1]))
            error.add_note(f"after:\n{done}\non {pilot.app.screen!r}")
            raise


async def comes_back(pilot: Any) -> None:
    """Whatever was done, one gets back to work. Fails with what the screen shows where one does not."""
    try:
        await _comes_back(pilot)
    except BaseException as error:
        error.add_note(f"the screen:\n{on_screen(pilot.app)}")
        raise


async def _comes_back(pilot: Any) -> None:
    """Some escapes and the key of the Runs lead back to the runs from wherever one is, and keys work there."""
    await pilot.resize_terminal(120, 40)
    for _ in range(8):
        await pilot.press("escape")
    await pilot.press("2")
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.loaded, PATIENCE_SECONDS)
    screen = app.screen
    for _ in range(4):  # the trash, the filter, the zoom, the marks
        await pilot.press("escape")
    table = screen.query_one(RunTable)
    if app.snapshot.runs:
        while screen.pane != "runs":
            await pilot.press("tab")
        await until(pilot, lambda: screen.run is not None and text.literal(screen.run.name)[:12] in on_screen(app))
        assert table.display
    if len(app.snapshot.runs) > 1:
        await pilot.press("g")
        await until(pilot, lambda: screen.run.id == app.selected)
        first = screen.run
        await pilot.press("j")
        await until(pilot, lambda: screen.run.id == app.selected)
        assert screen.run != first, "the cursor moves"
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(app.screen, HelpScreen))
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is screen)


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The runs that the storm deleted for good."""
    gone: set[str] = set()
    really = trash.delete_for_good

    def delete(store: RunStore, run_ids: Sequence[str]) -> int:
        gone.update(run_ids)
        return really(store, run_ids)

    monkeypatch.setattr(trash, "delete_for_good", delete)
    return gone


@pytest.fixture(autouse=True)
def weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for what is written; who wants to quit thinks better of it; what fails on a thread is not missed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(LabApp, "exit", lambda *_, **__: None)
    make = Worker.__init__

    def strict(self: Worker[Any], *arguments: Any, **settings: Any) -> None:
        make(self, *arguments, **{**settings, "exit_on_error": True})

    monkeypatch.setattr(Worker, "__init__", strict)


@pytest.fixture
def real_worker(database: Path, worker_starts: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs are trained, by a worker that ends with the test."""
    monkeypatch.setenv("LAB_CHECKPOINT_SECONDS", "0.5")
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setattr(requests, "start_worker", real_start)
    monkeypatch.setattr(requests, "worker_pid", real_pid)
    monkeypatch.setattr(requests, "stop_worker", real_stop)
    yield
    pid = real_pid(database)
    if pid is not None:
        family = psutil.Process(pid).children(recursive=True)
        real_stop(database)
        psutil.wait_procs(family, timeout=PATIENCE_SECONDS)


def stored(store: RunStore) -> dict[str, RunRow]:
    """All runs by their ids, those in the trash too."""
    return {run.id: run for run in [*store.runs(), *store.runs(trashed=True)]}


def eventually(condition: Callable[[], object]) -> None:
    """Waits for what another process does."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def train_to_the_end(store: RunStore, run_ids: Sequence[str]) -> None:
    """Gives up what else waits, lets these runs go on whatever the storm did to them, and waits for their ends."""
    path = store.database.path
    store.restore(run_ids)
    lifecycle.resume_queue(store)
    for run in stored(store).values():
        if run.id not in run_ids:
            lifecycle.cancel(store, run.id)

    def ended() -> bool:
        requests.start_worker(path)
        runs = [store.run(run_id) for run_id in run_ids]
        for run in runs:
            if run.wish or run.status == "paused":
                lifecycle.resume(store, run.id)
            if run.status in lifecycle.RETRYABLE:
                lifecycle.retry(store, run.id)
        return all(run.status == "finished" and run.step == run.steps for run in runs)

    eventually(ended)


async def test_a_short_storm(database: Path, deleted: set[str]) -> None:
    with_runs = RunStore.open(database)
    before = set(stored(with_runs))
    app = LabApp(database)
    async with app.run_test(size=(120, 40)) as pilot:
        await survive(pilot, list(storm(0, SHORT_STORM)))
        await comes_back(pilot)
    assert before - deleted <= set(stored(with_runs))
    with_runs.close()


@pytest.mark.full
@pytest.mark.skipif(cores() < 2, reason="two runs train at once on two cores")
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_storm_while_runs_train(database: Path, real_worker: None, deleted: set[str], seed: int) -> None:
    store = RunStore.open(database)
    settings = {"steps": 20_000, "eval_every": 500}
    new = compose(RunRequest("single-head", settings=settings, seeds=(1, 2)), database)
    trained = [run.id for run in store.add_runs(new)]
    for run_id in reversed(trained):
        lifecycle.arrange(store, [run_id])
    before = set(stored(store))
    app = LabApp(database)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.snapshot.training) == 2, PATIENCE_SECONDS)
        await survive(pilot, list(storm(seed, LONG_STORM)))
        await comes_back(pilot)
    assert before - deleted <= set(stored(store))
    await asyncio.to_thread(train_to_the_end, store, [run_id for run_id in trained if run_id not in deleted])
    store.close()

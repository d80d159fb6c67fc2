"""How long runs will take: remembered of finished runs, else measured; said while torch loads, and when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_helpers import FakeClient
from tui_helpers import lab_app, until

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.errors import WorkerError
from lab.queue import forecast
from lab.queue.requests import dataset_facts
from lab.store.run_store import NewRun
from lab.tui.app import LabApp
from lab.tui.estimates import LOADING, Estimates, MeasuringStarted, SpeedMeasured


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "cores", lambda: 2)


def new_run(stage: str = "bigram", **settings: object) -> NewRun:
    """A run on shakespeare."""
    dataset = load_dataset("shakespeare")
    return NewRun(stage_config(stage, settings=settings), dataset_facts(dataset))


def with_client(path: Path) -> tuple[LabApp, FakeClient]:
    app, client = lab_app(path), FakeClient()
    app.inference = client  # type: ignore[assignment]
    return app, client


async def test_what_is_not_known_is_measured_one_after_another(database: Path) -> None:
    app, client = with_client(database)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.loaded)
        runs = [new_run(steps=100), new_run(steps=100, seed=2), new_run("linear", steps=100)]
        app.estimates.want("test", runs)
        app.estimates.want("test", runs)
        assert len(client.measuring) == 1
        assert app.estimates.estimate(runs).said == LOADING
        client.measuring[0][1].started()
        await until(pilot, lambda: app.estimates.estimate(runs).said == "measuring this machine… 0 of 2")
        client.answer_speed(10.0)
        await until(pilot, lambda: len(client.measuring) == 2)
        assert app.estimates.seconds(runs[1]) == 10.0
        assert app.estimates.estimate(runs).seconds is None
        before = app.measured
        client.answer_speed(4.0)
        await until(pilot, lambda: app.measured > before)
        estimate = app.estimates.estimate(runs)
        assert (estimate.seconds, estimate.said) == (14.0, "about 14s"), (
            "two at once, the third after the first of them"
        )
        assert len(client.measuring) == 2


async def test_finished_runs_of_the_same_config_are_remembered(database: Path) -> None:
    app, client = with_client(database)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.loaded)
        runs = [new_run(steps=400, seed=7)]  # of the stored bigram's group
        app.estimates.want("test", runs)
        assert client.measuring == []
        assert app.estimates.estimate(runs).said == "about 12s"
        other = [new_run("linear", steps=400)]  # stored, but not finished: it waits
        app.estimates.want("test", other)
        assert len(client.measuring) == 1


async def test_what_cannot_be_measured_is_said_and_the_rest_goes_on(database: Path) -> None:
    app, client = with_client(database)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.loaded)
        first, second = new_run(steps=100), new_run("linear", steps=100)
        app.estimates.want("test", [first, second])
        client.measuring[0][1].failed("the torch helper died (-9); ask again")
        await until(pilot, lambda: len(client.measuring) == 2)
        client.answer_speed(3.0)
        await until(pilot, lambda: app.estimates.seconds(second) == 3.0)
        assert app.estimates.estimate([first]).said == "not measured: the torch helper died (-9); ask again"
        assert app.estimates.estimate([second]).seconds == 3.0


async def test_only_what_is_still_wanted_is_measured_next(database: Path) -> None:
    app, client = with_client(database)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.loaded)
        drafts = [new_run(steps=steps) for steps in (101, 102, 103)]
        app.estimates.want("composer", drafts[:2])
        app.estimates.want("composer", drafts[2:])
        client.answer_speed(1.0)
        await until(pilot, lambda: len(client.measuring) == 2)
        assert '"steps":103' in client.measuring[1][0].config_json


async def test_what_trains_and_waits_comes_first(database: Path) -> None:
    app, client = with_client(database)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.loaded)
        waiting = [new_run("linear", steps=400)]  # the one that waits in the database
        app.estimates.want("test", [*waiting, new_run(steps=100)])
        client.answer_speed(30.0)
        await until(pilot, lambda: len(client.measuring) == 2)
        client.answer_speed(5.0)
        await until(pilot, lambda: app.estimates.estimate([new_run(steps=100)]).seconds == 5.0)
        both = [new_run(steps=100), new_run(steps=100, seed=3)]
        assert app.estimates.estimate(both).seconds == 5.0
        assert app.estimates.estimate(both, app.snapshot).seconds == 30.0, "the second follows the first: 5 + 5 < 30"


def test_a_helper_that_does_not_start_is_said(tmp_path: Path) -> None:
    class Broken(FakeClient):
        def measure(self, *_: object) -> int:
            raise WorkerError("the torch helper cannot be started: No such file")

    estimates = Estimates(tmp_path / "runs.db", Broken, lambda message: None)  # type: ignore[arg-type, return-value]
    runs = [new_run(steps=100)]
    estimates.want("test", runs)
    assert estimates.estimate(runs).said == "not measured: the torch helper cannot be started: No such file"
    estimates.take(MeasuringStarted())
    estimates.take(SpeedMeasured(forecast.group_of(runs[0]), None, "again"))
    assert "again" in estimates.estimate(runs).said

"""`lab.open` and `lab.run`: reading from a notebook, and recording a training loop that is not lab's."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lab
from lab.analysis.run_filter import parse_filter
from lab.cli.app import run as command
from lab.config.ladder import stage_config
from lab.errors import ConfigError, RunNotFoundError, UsageError
from lab.queue.orphans import pause_orphans
from lab.reports.run_bundle import write_bundle
from lab.reports.run_export import export_runs
from lab.reports.run_import import import_bundle
from lab.store import lifecycle
from lab.store.run_store import DatasetFacts, NewRun, RunStore


@pytest.fixture(autouse=True)
def database(database_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_DB", str(database_path))
    monkeypatch.chdir(database_path.parent)
    return database_path


def test_a_loop_is_recorded_and_read_back(database: Path) -> None:
    with lab.run("mine", config={"lr": 0.1, "dataset": "shakespeare", "layers": 3}, steps=3, tags=("own",)) as run:
        for step in (1, 2, 3):
            run.log(step, loss=np.float32(4 - step), val_loss=3.5 - step)
        run.log(3, {"grad/norm": math.nan})
        run.sample(3, "KING:")
        run.note("done")
    with lab.open(database) as runs:
        (found,) = runs
        assert repr(found) == f"<run mine ({run.id}): finished at step 3, val 0.500>"
        assert found.config == {"lr": 0.1, "dataset": "shakespeare", "layers": 3}
        assert found.metrics == ["grad/norm", "train/loss", "val/loss"]
        assert found.metric("loss").values.tolist() == [3.0, 2.0, 1.0]
        assert found.metric("val/loss").steps.tolist() == [1, 2, 3]
        assert np.isnan(found.metric("grad/norm").values).all()
        assert found.samples == {3: "KING:"}
        row = found.row
        assert (row.kind, row.best_val_loss, row.best_step, row.steps, row.tags) == ("external", 0.5, 3, 3, ("own",))
        assert len(row.dataset_sha256) == 64
        assert runs["mine"].id == run.id
        assert [each.name for each in runs.matching("kind:external layers=3 lr<1")] == ["mine"]
        assert runs.matching("layers=4") == []
        with pytest.raises(UsageError, match="has no metric 'accuracy'; it has grad/norm"):
            found.metric("accuracy")


def test_it_is_seen_while_it_trains_and_hears_a_wish(store: RunStore) -> None:
    with lab.run("mine") as run:
        run.log(1, loss=1.0)
        run._recorder.drain()
        assert store.run(run.id).status == "training"
        assert len(store.points(run.id, "train/loss")) == 1
        pause_orphans(store)
        assert store.run(run.id).status == "training", "its program lives"
        assert not lifecycle.pause(store, run.id)
        assert not run.stop_asked
        assert lifecycle.stop(store, run.id)
        run.log(2, loss=1.0)
        run._recorder.drain()
        assert run.stop_asked
    assert store.run(run.id).status == "stopped"
    assert not lifecycle.retry(store, run.id), "lab cannot train it"


def test_an_error_of_the_loop_is_the_runs(store: RunStore) -> None:
    with pytest.raises(ZeroDivisionError), lab.run("mine") as run:
        run.log(1, loss=1 / 0)
    row = store.run(run.id)
    assert (row.status, row.error) == ("failed", "ZeroDivisionError: division by zero")


def test_a_program_that_dies_leaves_a_failed_run(store: RunStore, database: Path) -> None:
    code = "import lab, os; run = lab.run('mine'); run.log(1, loss=2.0); run._recorder.drain(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code], cwd=database.parent, check=False)
    (row,) = store.runs()
    assert (row.status, row.train_loss) == ("training", 2.0)
    pause_orphans(store)
    row = store.run(row.id)
    assert (row.status, row.error) == ("failed", "the program that trained it ended")


def test_two_programs_record_at_once(store: RunStore) -> None:
    with lab.run("one") as one, lab.run("other") as other:
        for step in range(5):
            one.log(step, loss=1.0)
            other.log(step, loss=2.0)
    assert [len(store.points(run.id, "train/loss")) for run in (one, other)] == [5, 5]


def test_what_cannot_be_recorded_is_said() -> None:
    with pytest.raises(UsageError, match="cannot be kept as JSON"):
        lab.run("mine", config={"model": object()})
    with pytest.raises(UsageError, match="at most 200 characters"):
        lab.run("x" * 300)
    with pytest.raises(UsageError, match="cannot be empty"):
        lab.run(" ")
    with pytest.raises(UsageError, match="steps=-1"):
        lab.run("mine", steps=-1)
    with lab.run("mine") as run:
        run.log(5, loss=1.0)
        with pytest.raises(UsageError, match="loss at step 3 comes after step 5"):
            run.log(3, loss=1.0)
        with pytest.raises(UsageError, match="loss='low' must be a number"):
            run.log(6, loss="low")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="whole number"):
            run.log(1.5, loss=1)  # type: ignore[arg-type]
    with pytest.raises(RunNotFoundError, match="there is no database"):
        lab.open("nowhere.db")


def test_every_command_knows_what_to_do_with_it(
    store: RunStore, dataset_facts: DatasetFacts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for seed, loss in ((1, 2.0), (2, 2.1)):
        with lab.run(f"mine-{seed}", config={"seed": seed, "width": 8}) as run:
            run.log(10, val_loss=loss)
        with lab.run(f"wide-{seed}", config={"seed": seed, "width": 64}) as run:
            run.log(10, val_loss=loss - 1)
    store.add_runs([NewRun(stage_config("bigram"), dataset_facts)])
    for words in (["runs"], ["show", "mine-1"], ["show", "mine-1", "--json"], ["diff", "mine-1", "bigram-1"]):
        assert command(words) == 0
    capsys.readouterr()
    assert command(["compare", "mine-1", "wide-1"]) == 0
    said = capsys.readouterr().out
    assert "width=8" in said
    assert "better by 1.00" in said
    with pytest.raises(ConfigError, match="trained by another program"):
        assert store.resolve("mine-1").config
    assert [run.name for run in store.runs() if parse_filter("lr<1")(run)] == ["bigram-1"]
    mine = store.resolve("mine-1")
    assert export_runs(store, [mine], tmp_path / "mine.csv")
    assert write_bundle(store, mine, tmp_path / "mine.labrun")
    other = RunStore.open(tmp_path / "other.db")
    assert import_bundle(other, tmp_path / "mine.labrun").settings == {"seed": 1, "width": 8}
    other.close()


def test_importing_lab_imports_nothing_heavy() -> None:
    code = (
        "import lab, sys; print([name for name in ('numpy', 'sqlalchemy', 'torch', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lab.nothing  # noqa: B018

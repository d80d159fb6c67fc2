"""The demo: whole, small, marked, of this lab's ladder; looked at in a copy."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lab.cli.app import run as run_lab
from lab.config.ladder import STAGES, ladder_stages
from lab.queue.forecast import known_seconds
from lab.queue.rungs import rung_states
from lab.store import demo as module
from lab.store.demo import DEMO_TAG, demo_copy, shipped_demo
from lab.store.location import files_folder
from lab.store.run_store import RunStore
from lab.store.schema import SCHEMA_VERSION
from lab.tui.ladder_facts import LadderFacts, with_rungs

ROOT = Path(__file__).parents[2]
LARGEST = 4_500_000


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_it_is_small_and_of_a_schema_that_this_lab_knows() -> None:
    files = [path for path in shipped_demo().parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    with closing(sqlite3.connect(f"{shipped_demo().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        assert 1 < connection.execute("PRAGMA user_version").fetchone()[0] <= SCHEMA_VERSION
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not any(path.name.endswith(("-wal", "-shm")) for path in files)


def test_it_speaks_of_no_machine() -> None:
    for path in shipped_demo().parent.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(place in content for place in (b"/home/", b"/tmp/", b"/work/", b"/root/", b"/Users/")), path


def test_every_rung_is_trained_and_says_that_it_is_of_the_demo() -> None:
    store = RunStore.open(demo_copy())
    runs = store.runs()
    facts = with_rungs(LadderFacts())
    stages = [stage for stage in STAGES if stage.name in ladder_stages(gpu=False)]
    states = rung_states(stages, facts.group_hashes, runs)
    assert [state.stage.name for state in states if not state.finished] == []
    assert all(run.tags == (DEMO_TAG,) for run in runs)
    assert known_seconds(runs) == {}, "it was trained elsewhere"
    for state in states:
        [run] = state.finished
        assert store.last_sample(run.id) is not None
        assert len(store.points(run.id, "train/loss")) > 100
        assert store.points(run.id, "train/loss").steps[-1] == run.steps
    store.close()


def test_the_small_stages_have_their_weights() -> None:
    store = RunStore.open(demo_copy())
    for run in store.runs():
        rows = store.checkpoints(run.id)
        assert rows or (run.parameters or 0) > 100_000, run.name
        for row in rows:
            content = (store.database.files / row.path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == row.sha256
    store.close()


def test_its_models_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lab(["sample", "residual-1", "--tokens", "40", "--db", str(demo_copy())]) == 0
    assert len(capsys.readouterr().out) > 40


def test_the_copy_is_the_persons_own_and_is_kept(tmp_path: Path) -> None:
    before = shipped_demo().read_bytes()
    path = demo_copy()
    assert path.is_relative_to(tmp_path / "state" / "lab")
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0
    store = RunStore.open(path)
    store.rename(store.runs()[0].id, "mine")
    store.close()
    assert demo_copy() == path
    reopened = RunStore.open(path)
    assert "mine" in [run.name for run in reopened.runs()]
    reopened.close()
    again = RunStore.open(demo_copy(anew=True))
    assert "mine" not in [run.name for run in again.runs()]
    again.close()
    assert shipped_demo().read_bytes() == before
    assert files_folder(path).is_dir()


def test_another_demo_gets_a_copy_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo_copy()
    other = tmp_path / "other" / "demo.db"
    other.parent.mkdir()
    other.write_bytes(shipped_demo().read_bytes() + b"\0")
    files_folder(other).mkdir()
    monkeypatch.setattr(module, "shipped_demo", lambda: other)
    assert demo_copy() != first
    assert first.exists()


def test_a_demo_that_cannot_be_copied_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(module.StoreError, match="the demo cannot be copied"):
        demo_copy()


def test_without_a_terminal_the_command_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lab(["demo"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_thinning_keeps_extremes_and_ends(tmp_path: Path) -> None:
    """The script of docs/ merges neighbouring buckets."""
    script = "import sys; sys.path.insert(0, 'docs'); import make_demo; make_demo.POINTS_KEPT = 50; "
    script += f"import pathlib; make_demo.make_demo(pathlib.Path({str(demo_copy())!r}), "
    script += f"pathlib.Path({str(tmp_path / 'thin' / 'demo.db')!r}))"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    thick, thin = RunStore.open(demo_copy()), RunStore.open(tmp_path / "thin" / "demo.db")
    for run in thin.runs():
        before, after = thick.points(run.id, "train/loss"), thin.points(run.id, "train/loss")
        assert 25 < len(after) <= 50
        assert after.steps[-1] == before.steps[-1]
        assert after.highs.max() == before.highs.max()
        assert after.lows.min() == before.lows.min()
    thick.close()
    thin.close()

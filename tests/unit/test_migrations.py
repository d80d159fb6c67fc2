"""Older databases: brought up to date once, whole or not at all, with a copy kept of what they were."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from lab.errors import StoreError
from lab.store.engine import migration_engine
from lab.store.histograms import read_histograms
from lab.store.migration_steps import MIGRATIONS, Migration
from lab.store.migrations import migrate
from lab.store.run_store import RunStore
from lab.store.schema import SCHEMA_VERSION

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def old_database(tmp_path: Path) -> Path:
    """A copy of the database that the first released schema made."""
    return Path(shutil.copyfile(FIXTURES / "runs-schema-1.db", tmp_path / "runs.db"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def schema(path: Path) -> set[tuple[str, ...]]:
    """Every table and index with the statement that made it, blanks aside."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
        return {(kind, name, table, " ".join(sql.split())) for kind, name, table, sql in rows}


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)


def migrate_to_two(path: Path, migrations: Mapping[int, Migration]) -> None:
    engine = migration_engine(path)
    try:
        migrate(path, engine, migrations=migrations, target=2)
    finally:
        engine.dispose()


def add_colour(connection: sa.Connection) -> None:
    """A step that fails when it is made twice."""
    connection.exec_driver_sql("ALTER TABLE run ADD COLUMN colour VARCHAR")
    connection.exec_driver_sql("UPDATE run SET colour = 'red'")


def test_there_is_a_step_from_every_released_version_to_the_next() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize("released", range(1, SCHEMA_VERSION + 1))
def test_an_old_database_comes_to_have_the_schema_of_a_new_one(released: int, tmp_path: Path) -> None:
    old = Path(shutil.copyfile(FIXTURES / f"runs-schema-{released}.db", tmp_path / "old.db"))
    RunStore.open(old).close()
    RunStore.open(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")
    assert version(old) == version(tmp_path / "new.db") == SCHEMA_VERSION


@pytest.mark.parametrize("released", range(1, SCHEMA_VERSION + 1))
def test_an_old_database_keeps_all_that_was_in_it(released: int, tmp_path: Path) -> None:
    old = Path(shutil.copyfile(FIXTURES / f"runs-schema-{released}.db", tmp_path / "runs.db"))
    store = RunStore.open(old)
    first, child, waiting = store.runs()
    assert (first.name, first.status, first.tags, first.best_step) == ("first", "finished", ("kept",), 40)
    assert (child.status, child.parent_id, child.parent_step) == ("paused", first.id, 40)
    assert (waiting.status, waiting.seed) == ("queued", 1)
    assert first.config.steps == 40
    points = store.points(first.id, "train/loss")
    assert points.steps.tolist() == list(range(1, 41))
    assert np.flatnonzero(np.isnan(points.values)).tolist() == [6]
    assert points.nonfinite.sum() == 1
    assert [sample.step for sample in store.samples(first.id)] == [20, 40]
    assert [(row.step, row.kind, row.size) for row in store.checkpoints(first.id)] == [
        (20, "complete", 7),
        (40, "complete", 7),
    ]
    assert [event.step for event in store.events(first.id)] == [20, 40]
    assert store.dataset(first.dataset_sha256, "stream") is not None
    store.close()


def test_histograms_of_this_version_are_read(tmp_path: Path) -> None:
    path = Path(shutil.copyfile(FIXTURES / f"runs-schema-{SCHEMA_VERSION}.db", tmp_path / "runs.db"))
    store = RunStore.open(path)
    weights, gradients = read_histograms(store, store.runs()[0].id)
    assert (weights.tensor, weights.kind, gradients.kind) == ("head.weight", "weights", "weight-gradients")
    assert weights.steps.tolist() == gradients.steps.tolist() == [20, 40]
    assert weights.counts[1].tolist() == [40 * (place % 3) for place in range(64)]
    assert gradients.log10_ratios.tolist() == [-2.5, -2.5]
    store.close()


def test_the_committed_database_is_what_its_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_database", FIXTURES / "make_database.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr("time.time", lambda: script.NOW)
    script.make(tmp_path / "runs.db")
    committed = FIXTURES / f"runs-schema-{SCHEMA_VERSION}.db"
    for table in ("point", "metric", "tensor", "histogram", "sample", "checkpoint", "event", "dataset"):
        assert rows(tmp_path / "runs.db", table) == rows(committed, table), table


def test_opening_a_database_of_this_version_changes_nothing(tmp_path: Path) -> None:
    path = Path(shutil.copyfile(FIXTURES / f"runs-schema-{SCHEMA_VERSION}.db", tmp_path / "runs.db"))
    before = path.read_bytes()
    RunStore.open(path).close()
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


def test_a_migration_keeps_a_copy_of_what_was(old_database: Path) -> None:
    before = {table: rows(old_database, table) for table in ("run", "point", "sample")}
    migrate_to_two(old_database, {1: add_colour})
    copy = old_database.with_name("runs.db.schema-1")
    assert version(old_database) == 2
    assert version(copy) == 1
    assert {table: rows(copy, table) for table in before} == before
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in sorted(old_database.parent.iterdir())] == ["runs.db", "runs.db.schema-1"]


def test_the_copy_is_of_this_migration_and_not_of_one_that_failed_before(old_database: Path) -> None:
    copy = old_database.with_name("runs.db.schema-1")
    shutil.copyfile(old_database, copy)
    with closing(sqlite3.connect(old_database)) as connection, connection:
        connection.execute("UPDATE run SET name = 'renamed since'")
    migrate_to_two(old_database, {1: add_colour})
    assert rows(copy, "run") != rows(FIXTURES / "runs-schema-1.db", "run")


def test_a_copy_that_was_interrupted_is_in_nobodys_way(old_database: Path) -> None:
    old_database.with_name("runs.db.schema-1.partial").write_bytes(b"half a copy")
    migrate_to_two(old_database, {1: add_colour})
    assert version(old_database.with_name("runs.db.schema-1")) == 1


def test_a_step_that_fails_leaves_the_database_as_it_was(old_database: Path) -> None:
    def fail(connection: sa.Connection) -> None:
        add_colour(connection)
        connection.exec_driver_sql("DELETE FROM sample")
        raise RuntimeError("the step has a mistake")

    schema_before, samples_before = schema(old_database), rows(old_database, "sample")
    with pytest.raises(RuntimeError, match="the step has a mistake"):
        migrate_to_two(old_database, {1: fail})
    assert version(old_database) == 1
    assert schema(old_database) == schema_before
    assert rows(old_database, "sample") == samples_before
    store = RunStore.open(old_database)
    assert len(store.runs()) == 3
    store.close()


def test_a_step_may_rebuild_a_table_that_others_refer_to(old_database: Path) -> None:
    def rebuild(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE rebuilt AS SELECT * FROM run")
        connection.exec_driver_sql("DROP TABLE run")
        connection.exec_driver_sql("ALTER TABLE rebuilt RENAME TO run")
        connection.exec_driver_sql("CREATE UNIQUE INDEX run_id ON run (id)")

    points = rows(old_database, "point")
    assert points
    migrate_to_two(old_database, {1: rebuild})
    assert rows(old_database, "point") == points


def test_a_step_that_leaves_rows_without_their_run_is_undone(old_database: Path) -> None:
    def orphan(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM run")

    with pytest.raises(StoreError, match="refers to rows it lacks"):
        migrate_to_two(old_database, {1: orphan})
    assert version(old_database) == 1
    assert len(rows(old_database, "run")) == 3


def test_steps_are_made_in_order_and_each_once(old_database: Path) -> None:
    made: list[int] = []

    def step(number: int) -> Callable[[sa.Connection], None]:
        return lambda _connection: made.append(number)

    engine = migration_engine(old_database)
    for _ in range(2):
        migrate(old_database, engine, migrations={1: step(1), 2: step(2), 3: step(3)}, target=4)
    engine.dispose()
    assert made == [1, 2, 3]
    assert version(old_database) == 4


def migrate_together(path: str, barrier: str, number: int) -> None:
    """In a process of its own: migrates a database at the same moment as others do."""
    Path(barrier, str(number)).touch()
    while len(list(Path(barrier).iterdir())) < 3:
        pass
    migrate_to_two(Path(path), {1: add_colour})


@pytest.mark.full
def test_processes_that_open_an_old_database_at_once_migrate_it_once(old_database: Path, tmp_path: Path) -> None:
    barrier = tmp_path / "barrier"
    barrier.mkdir()
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(migrate_together, str(old_database), str(barrier), number) for number in range(3)]
        for future in futures:
            future.result()
    assert version(old_database) == 2
    assert version(old_database.with_name("runs.db.schema-1")) == 1
    with closing(sqlite3.connect(old_database)) as connection:
        assert connection.execute("SELECT DISTINCT colour FROM run").fetchall() == [("red",)]


def test_a_database_of_a_newer_lab_is_refused_by_this_one(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    RunStore.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="was made by a newer lab"):
        RunStore.open(path)

"""Reading stored runs, adding new ones, and what a person edits of them: names, tags, notes, trash.

How a run's status changes is in `lifecycle.py`; what a trainer writes, in `recorder.py`.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from lab import __version__
from lab.errors import RunNotFoundError, UsageError
from lab.store.engine import Database
from lab.store.rows import EXTERNAL as EXTERNAL
from lab.store.rows import TRAINING as TRAINING
from lab.store.rows import CheckpointRow as CheckpointRow
from lab.store.rows import DatasetFacts as DatasetFacts
from lab.store.rows import EventRow as EventRow
from lab.store.rows import MetricPoints as MetricPoints
from lab.store.rows import NewRun as NewRun
from lab.store.rows import RunRow as RunRow
from lab.store.rows import SampleRow as SampleRow
from lab.store.rows import texts_of
from lab.store.run_ids import new_ids
from lab.store.schema import LARGEST_POINT_COUNT, Checkpoint, Dataset, Event, Metric, Point, Run, Sample
from lab.store.schema import LRSweep as LRSweepTable

LARGEST_NAME = 200
"""Characters in a run's name."""

LARGEST_POINTS_READ = 20 * LARGEST_POINT_COUNT
"""Points of one metric that are read; no run of lab's has so many."""

run_table = cast("sa.Table", Run.__table__)


class RunStore:
    """All runs of one database. Safe to use from several threads; every call is one short transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._watching: sa.PoolProxiedConnection | None = None
        self._watching_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> RunStore:
        """Opens, and where it is new makes, the database at a path. Raises `StoreError`."""
        return cls(Database(path))

    def close(self) -> None:
        """Lets go of the database."""
        with self._watching_lock:
            if self._watching is not None:
                self._watching.close()
                self._watching = None
        self.database.close()

    # Reading

    def runs(self, *, trashed: bool = False, kept: KeptRuns | None = None) -> list[RunRow]:
        """Every run, oldest first; with `trashed` those in the trash instead.

        One that is as it was in `kept` is the same object; `kept` then holds what was read now.
        """
        condition = run_table.c.trashed_at.is_not(None) if trashed else run_table.c.trashed_at.is_(None)
        query = sa.select(*_RUN_COLUMNS).where(condition).order_by(run_table.c.id)
        with self.database.reader.connect() as connection:
            if kept is None:
                return run_rows(connection, query)
            rows = connection.execute(query).all()
        before = kept.copy()
        kept.clear()
        for row in rows:
            known = before.get(row[0])
            kept[row[0]] = known if known is not None and known[0] == row else (row, RunRow(*row))
        return [run for _, run in kept.values()]

    def run(self, run_id: str) -> RunRow:
        """The run of that id. Raises `RunNotFoundError`."""
        with self.database.reader.connect() as connection:
            rows = run_rows(connection, sa.select(run_table).where(run_table.c.id == run_id))
        if not rows:
            raise RunNotFoundError(f"no run {run_id}; see: lab runs")
        return rows[0]

    def resolve(self, text: str) -> RunRow:
        """The run that a person means: by id, by name, or by a unique prefix of its id.

        Raises `RunNotFoundError` where there is none, or more than one.
        """
        c = run_table.c
        if not text:
            raise RunNotFoundError("no run is named; give an id or a name (see: lab runs)")
        for condition in (c.id == text, c.name == text, c.id.startswith(text.lower(), autoescape=True)):
            with self.database.reader.connect() as connection:
                rows = run_rows(
                    connection, sa.select(run_table).where(condition, c.trashed_at.is_(None)).order_by(c.id)
                )
            if len(rows) == 1:
                return rows[0]
            if rows:
                ids = ", ".join(row.id for row in rows[:6])
                raise RunNotFoundError(
                    f"'{text}' is more than one run: {ids}{', …' if len(rows) > 6 else ''}; give an id"
                )
        raise RunNotFoundError(f"no run '{text}'; see: lab runs")

    def find_by_config(self, config_hash: str) -> list[RunRow]:
        """Runs of exactly this config on this dataset, oldest first."""
        query = sa.select(run_table).where(run_table.c.config_hash == config_hash, run_table.c.trashed_at.is_(None))
        with self.database.reader.connect() as connection:
            return run_rows(connection, query.order_by(run_table.c.id))

    def metric_names(self, run_id: str) -> list[str]:
        """The metrics that a run has points of."""
        with self.database.reader.connect() as connection:
            return list(connection.scalars(sa.select(Metric.name).where(Metric.run_id == run_id).order_by(Metric.name)))

    def metric_names_of(self, run_ids: Sequence[str]) -> dict[str, frozenset[str]]:
        """The metrics that each of these runs has points of."""
        query = sa.select(Metric.run_id, Metric.name).where(Metric.run_id.in_(run_ids))
        names: dict[str, set[str]] = {run_id: set() for run_id in run_ids}
        with self.database.reader.connect() as connection:
            for run_id, name in connection.execute(query):
                names[run_id].add(name)
        return {run_id: frozenset(held) for run_id, held in names.items()}

    def points(self, run_id: str, metric: str, *, from_step: int = 0) -> MetricPoints:
        """A metric's points from a step on, by step; empty where nothing was recorded."""
        import numpy as np  # late: the screen shows its rows before it needs that

        columns = (Point.step, Point.value, Point.low, Point.high, Point.nonfinite)
        wanted = (Metric.run_id == run_id, Metric.name == metric, Point.bucket >= from_step // Metric.bucket_width)
        query = sa.select(*columns).join(Metric, Metric.id == Point.metric_id).where(*wanted).order_by(Point.bucket)
        query = query.limit(LARGEST_POINTS_READ)
        with self.database.reader.connect() as connection:
            # The driver's own tuples: thousands of SQLAlchemy's rows take longer than all the rest of reading.
            try:
                rows = connection.execute(query).cursor.fetchall()
            except sqlite3.DatabaseError as error:
                raise self.database.said(error) from None
        table = np.array(rows, dtype=float).reshape(-1, 5)  # None becomes NaN
        return MetricPoints(table[:, 0].astype(int), table[:, 1], table[:, 2], table[:, 3], table[:, 4].astype(int))

    def samples(self, run_id: str) -> list[SampleRow]:
        """What the model wrote while it trained, by step."""
        query = sa.select(Sample.step, Sample.text).where(Sample.run_id == run_id).order_by(Sample.step)
        with self.database.reader.connect() as connection:
            return [SampleRow(*row) for row in connection.execute(query)]

    def last_sample(self, run_id: str) -> SampleRow | None:
        """The newest of a run's samples."""
        query = sa.select(Sample.step, Sample.text).where(Sample.run_id == run_id).order_by(Sample.step.desc()).limit(1)
        with self.database.reader.connect() as connection:
            row = connection.execute(query).first()
        return SampleRow(*row) if row else None

    def checkpoints(self, run_id: str) -> list[CheckpointRow]:
        """A run's stored checkpoints, by step."""
        columns = [getattr(Checkpoint, field.name) for field in dataclasses.fields(CheckpointRow)]
        query = sa.select(*columns).where(Checkpoint.run_id == run_id).order_by(Checkpoint.step, Checkpoint.id)
        with self.database.reader.connect() as connection:
            return [CheckpointRow(*row) for row in connection.execute(query)]

    def with_checkpoints(self) -> frozenset[str]:
        """The ids of the runs that have a checkpoint."""
        with self.database.reader.connect() as connection:
            return frozenset(connection.scalars(sa.select(Checkpoint.run_id).distinct()))

    def events(self, run_id: str, *, limit: int = 1000) -> list[EventRow]:
        """The newest lines of a run's log, oldest first."""
        query = (
            sa.select(Event.at, Event.step, Event.level, Event.text)
            .where(Event.run_id == run_id)
            .order_by(Event.id.desc())
            .limit(limit)
        )
        with self.database.reader.connect() as connection:
            return [EventRow(*row) for row in connection.execute(query)][::-1]

    def dataset(self, sha256: str, kind: str) -> DatasetFacts | None:
        """What is kept of a dataset that some run was trained on."""
        query = sa.select(Dataset).where(Dataset.sha256 == sha256, Dataset.kind == kind)
        with self.database.reader.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        values = dict(row)
        return DatasetFacts(vocabulary=texts_of(values.pop("vocabulary_json")), **values)

    def data_version(self) -> int:
        """A number that is another one after every write to the database, whichever process made it."""
        with self._watching_lock:
            if self._watching is None:
                # Not a connection of the engine's kind: those begin a transaction, within which nothing ever changes.
                self._watching = self.database.reader.raw_connection()
            try:
                return int(self._watching.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.DatabaseError as error:
                raise self.database.said(error) from None

    # Adding

    def add_runs(self, new_runs: Sequence[NewRun]) -> list[RunRow]:
        """Stores new runs, all or none, queued ones behind those that wait. Raises `UsageError` on a bad name."""
        for new in new_runs:
            check_name(new.name)
        with self.database.writer.begin() as connection:
            ids = new_ids(connection, len(new_runs))
            position = connection.scalar(sa.select(sa.func.max(run_table.c.queue_position))) or 0.0
            for offset, (run_id, new) in enumerate(zip(ids, new_runs, strict=True), start=1):
                insert_dataset(connection, new.dataset)
                queue_position = position + offset if new.status == "queued" else None
                _insert_run(connection, run_id, new, queue_position)
            return run_rows(connection, sa.select(run_table).where(run_table.c.id.in_(ids)).order_by(run_table.c.id))

    # What a person edits

    def rename(self, run_id: str, name: str) -> None:
        """Gives a run another name. Raises `UsageError` on an empty or endless one."""
        if not name.strip():
            raise UsageError("a run's name cannot be empty")
        check_name(name)
        self._edit([run_id], name=name)

    def set_tags(self, run_id: str, tags: Iterable[str]) -> None:
        """Replaces a run's tags."""
        self._edit([run_id], tags_json=json.dumps(sorted({tag.strip() for tag in tags if tag.strip()})))

    def set_notes(self, run_id: str, notes: str) -> None:
        """Replaces a run's notes."""
        self._edit([run_id], notes=notes)

    def trash(self, run_ids: Sequence[str]) -> None:
        """Hides runs until `restore`; their data stays."""
        self._edit(run_ids, trashed_at=time.time())

    def restore(self, run_ids: Sequence[str]) -> None:
        """Takes runs back out of the trash."""
        self._edit(run_ids, trashed_at=None)

    def _edit(self, run_ids: Sequence[str], **values: object) -> None:
        with self.database.writer.begin() as connection:
            connection.execute(sa.update(run_table).where(run_table.c.id.in_(run_ids)).values(**values))


def check_name(name: str) -> None:
    """Raises `UsageError` where a run's name is too long to be one, or cannot be written down."""
    if len(name) > LARGEST_NAME:
        raise UsageError(f"a run's name has at most {LARGEST_NAME} characters, got {len(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"name {name!a} is not UTF-8; give the run another") from None


KeptRuns = dict[str, tuple[sa.Row[Any], RunRow]]
"""Runs by their ids, each with the row that it was made of."""


def run_rows(connection: sa.Connection, query: sa.Select[Any]) -> list[RunRow]:
    """The runs that a query finds, whatever columns it names."""
    return [RunRow(*row) for row in connection.execute(query.with_only_columns(*_RUN_COLUMNS))]


_RUN_COLUMNS = [run_table.c[field.name] for field in dataclasses.fields(RunRow)]


def insert_dataset(connection: sa.Connection, facts: DatasetFacts) -> None:
    """Keeps a dataset, unless it is known already."""
    values = dataclasses.asdict(facts)
    values["vocabulary_json"] = json.dumps(values.pop("vocabulary"))
    connection.execute(sa.insert(Dataset).prefix_with("OR IGNORE").values(**values))


def _insert_run(connection: sa.Connection, run_id: str, new: NewRun, queue_position: float | None) -> None:
    # Late: the screen shows its rows before it needs pydantic.
    from lab.config.lr_sweep import LR_SWEEP
    from lab.config.own_model import OWN
    from lab.store.own_sources import insert_source

    config, sweep, sha256 = new.config, new.sweep, new.dataset.sha256
    config_hash, group_hash = config.hash(sha256), config.group_hash(sha256)
    if sweep is not None:
        config_hash, group_hash = sweep.hash(config_hash), sweep.hash(group_hash)
    connection.execute(
        sa.insert(run_table).values(
            id=run_id,
            kind=LR_SWEEP if sweep else TRAINING,
            name=new.name or _next_name(connection, config.stage, f"{config.stage}-lr" if sweep else config.stage),
            stage=config.stage,
            dataset=new.dataset.name,
            dataset_kind=new.dataset.kind,
            dataset_sha256=sha256,
            config_json=config.to_json(),
            config_hash=config_hash,
            group_hash=group_hash,
            seed=config.seed,
            experiment=new.experiment,
            parent_id=new.parent_id,
            parent_step=new.parent_step,
            status=new.status,
            queue_position=queue_position,
            trained_by=new.trained_by,
            steps=sweep.total_steps if sweep else config.steps,
            lab_version=__version__,
            created_at=time.time(),
            tags_json=json.dumps(sorted(new.tags)),
        )
    )
    if sweep is not None:
        connection.execute(sa.insert(LRSweepTable).values(run_id=run_id, spec_json=sweep.to_json()))
    if config.model == OWN:
        insert_source(connection, run_id, config, new.source)


def _next_name(connection: sa.Connection, stage: str, wanted: str) -> str:
    """`wanted-N`, with N above that of any run of the stage that is called so."""
    numbers = [0]
    for name in connection.scalars(sa.select(run_table.c.name).where(run_table.c.stage == stage)):
        base, _, number = name.rpartition("-")
        if base == wanted and number.isdecimal():
            numbers.append(int(number))
    return f"{wanted}-{max(numbers) + 1}"

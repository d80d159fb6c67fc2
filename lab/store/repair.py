"""Saving what can be saved of a damaged database into a new one. The damaged file itself is only ever read.

Every page that the tables still lead to is read first, then every page that nothing leads to any more; a row is kept
where its values are of the kinds that its table has.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from lab import __version__
from lab.errors import StoreError, UsageError
from lab.store.engine import migration_engine
from lab.store.location import files_folder
from lab.store.migrations import migrate
from lab.store.pages import INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF, DamagedError, Page, Pages, Value
from lab.store.run_store import EXTERNAL
from lab.store.schema import Base
from lab.store.stored_files import is_whole
from lab.text import literal, plural

_BATCH = 20_000
_TYPES: dict[type, tuple[type, ...]] = {
    sa.String: (str,), sa.Integer: (int,), sa.Float: (int, float), sa.LargeBinary: (bytes,),
}  # fmt: skip
_OWNED = ("metric", "tensor", "sample", "checkpoint", "event", "lr_sweep", "model_source", "test_look", "inspection")
"""Tables whose rows belong to a run."""


@dataclass
class TableReport:
    """What became of a table: rows saved, rows that were seen and made no sense, and pages that could not be read."""

    name: str
    saved: int = 0
    bad_rows: int = 0
    bad_pages: int = 0
    without_run: int = 0
    """Rows left out because what they belong to is gone."""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is known to be lost."""
        return not (self.bad_rows or self.bad_pages or self.without_run)

    def said_of_loss(self) -> str:
        """What is known to be lost of it, to stand behind what was saved."""
        said = [plural(self.bad_pages, "page") + " could not be read"] if self.bad_pages else []
        said += [plural(self.bad_rows, "row") + " made no sense"] if self.bad_rows else []
        said += (
            [plural(self.without_run, "row") + " belonged to a run or named a file that is gone"]
            if self.without_run
            else []
        )
        return f"; lost: {', '.join(said)}" if said else ""


@dataclass(frozen=True)
class RunReport:
    """What a run has lost."""

    id: str
    name: str
    lost: tuple[str, ...]


@dataclass
class Repair:
    """What was saved into `path`, and what was lost, table by table and run by run."""

    path: Path
    tables: dict[str, TableReport] = field(default_factory=dict)
    runs: list[RunReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """All of it as JSON values."""
        return {
            "path": str(self.path),
            "tables": {name: asdict(report) for name, report in self.tables.items()},
            "runs": [asdict(run) for run in self.runs],
            "notes": self.notes,
        }

    def lines(self) -> Iterator[str]:
        """All of it as text."""
        yield f"saved in {literal(str(self.path))}"
        for report in self.tables.values():
            if report.saved or not report.whole:
                yield f"  {report.name}: {plural(report.saved, 'row')}{report.said_of_loss()}"
        lost_runs = [f"  {literal(run.name)} ({literal(run.id)}): {'; '.join(run.lost)}" for run in self.runs]
        yield "lost, run by run" if lost_runs else "no run is known to have lost anything"
        yield from lost_runs
        yield from self.notes


def repair(damaged: Path, target: Path) -> Repair:
    """Saves what can be saved of a database into a new one, with its checkpoints.

    Raises `UsageError` where there is a file at the target already, and `StoreError` where it cannot be written.
    """
    if os.path.lexists(target) or os.path.lexists(files_folder(target)):
        raise UsageError(f"there is already a file {target}, or its folder: move it away, or name another with --to")
    partial = target.with_name(f".{target.name}.partial")
    for left in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm"))):
        left.unlink(missing_ok=True)
    done = Repair(target)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = migration_engine(partial)
        try:
            migrate(partial, engine)
            _Saving(damaged, engine, done).save()
        finally:
            engine.dispose()
        partial.replace(target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}; name another file with --to") from None
    finally:
        partial.unlink(missing_ok=True)
    return done


class _Saving:
    """One repair, as it goes on."""

    def __init__(self, damaged: Path, engine: sa.Engine, done: Repair) -> None:
        self._damaged, self._engine, self._done = damaged, engine, done
        self._tables = {table.name: table for table in Base.metadata.sorted_tables}
        done.tables = {name: TableReport(name) for name in self._tables}
        self._kinds = {name: [_kinds(column) for column in table.columns] for name, table in self._tables.items()}

    def save(self) -> None:
        """Reads the pages, then sees that what was saved fits together, and says what is missing."""
        try:
            pages = Pages(self._damaged)
        except OSError as error:
            raise StoreError(f"{self._damaged} cannot be read: {error.strerror}") from None
        with pages:
            self._save_tables(pages)
            self._save_strays(pages)
        if not any(report.saved for report in self._done.tables.values()):
            raise StoreError(f"nothing of lab's was found in {self._damaged}: no file was written")
        with self._engine.begin() as connection:
            placeholders = self._mend_references(connection)
            gone = self._link_files(connection)
            self._report_runs(connection, placeholders, gone)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreError(f"what was saved of {self._damaged} does not fit together: nothing was kept")

    def _save_tables(self, pages: Pages) -> None:
        roots: list[tuple[str, str, int]] = []
        for page in pages.walk(1):
            if isinstance(page, Page):
                roots += [
                    (str(row[0]), str(row[1]), row[3]) for _, row in page.rows if len(row) == 5 and type(row[3]) is int
                ]
        if not roots:
            self._done.notes.append("the list of the tables is lost: rows were told apart by what they hold")
        for kind, name, root in roots:
            report = self._done.tables.get(name) if kind == "table" else None
            rows = self._rows_of_tree(pages, root, name, report)
            for batch in _batches(rows, _BATCH):
                self._insert(name, batch)

    def _rows_of_tree(self, pages: Pages, root: int, name: str, report: TableReport | None) -> Iterator[list[Value]]:
        """The rows of a table that it still leads to; of an index none, but its pages count as looked at."""
        for page in pages.walk(root):
            if report is None:
                continue
            if isinstance(page, int):
                report.bad_pages += 1
                continue
            report.bad_rows += page.bad_cells
            for row_id, row in page.rows:
                whole = self._fitted(name, row_id, row)
                if whole is not None:
                    yield whole
                elif (placed := self._placed(page, row_id, row)) is not None:  # another table's page got here
                    self._insert(placed[0], [placed[1]])
                else:
                    report.bad_rows += 1

    def _save_strays(self, pages: Pages) -> None:
        """What stands on pages that nothing leads to any more, told apart by what it holds."""
        found: dict[str, list[list[Value]]] = {name: [] for name in self._tables}
        looked_at, free = pages.used, pages.free_pages()
        for number in range(1, pages.count + 1):
            if number not in looked_at and number not in free:
                for name, row in self._strays_on(pages, number):
                    found[name].append(row)
                    if len(found[name]) == _BATCH:
                        self._insert(name, found[name])
                        found[name] = []
        for name, rows in found.items():
            if rows:
                self._insert(name, rows)

    def _strays_on(self, pages: Pages, number: int) -> Iterator[tuple[str, list[Value]]]:
        """The rows of a page, each with the table that alone can have such rows."""
        try:
            page = pages.page(number)
        except DamagedError:
            return
        if page.kind not in (TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR):
            return
        for row_id, row in page.rows:
            if (placed := self._placed(page, row_id, row)) is not None:
                yield placed

    def _placed(self, page: Page, row_id: int | None, row: list[Value]) -> tuple[str, list[Value]] | None:
        """A row with the table that can have such rows on such a page; None where no table can."""
        for name, table in self._tables.items():
            keyed = not table.dialect_options["sqlite"]["with_rowid"]
            if keyed == (page.kind != TABLE_LEAF) and len(row) == len(table.columns):
                whole = self._fitted(name, row_id, row)
                if whole is not None:
                    return name, whole
        return None

    def _fitted(self, name: str, row_id: int | None, row: list[Value]) -> list[Value] | None:
        """A row as its table has it, None where it cannot be one; an older schema may lack the last columns."""
        columns = list(self._tables[name].columns)
        if len(row) > len(columns):
            return None
        whole = [*row, *([None] * (len(columns) - len(row)))]
        for place, (column, kinds) in enumerate(zip(columns, self._kinds[name], strict=True)):
            if whole[place] is None and row_id is not None and column.primary_key and int in kinds:
                whole[place] = row_id
            if whole[place] is None and not column.nullable and place >= len(row) and column.default is not None:
                whole[place] = getattr(column.default, "arg", None)
            value = whole[place]
            if not (column.nullable if value is None else isinstance(value, kinds)):
                return None
        return whole

    def _insert(self, name: str, rows: Sequence[list[Value]]) -> None:
        table = self._tables[name]
        marks = ", ".join("?" * len(table.columns))
        with self._engine.begin() as connection:
            before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
            statement = f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})'
            connection.exec_driver_sql(statement, [tuple(row) for row in rows])
            after = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
        self._done.tables[name].saved += after - before

    def _mend_references(self, connection: sa.Connection) -> dict[str, str]:
        """Gives what belongs to a lost run a run to stand in for it, and leaves out what belongs to nothing.

        Returns the stand-ins, by id.
        """
        for child, parent, column in (("point", "metric", "metric_id"), ("histogram", "tensor", "tensor_id")):
            gone = connection.exec_driver_sql(f"DELETE FROM {child} WHERE {column} NOT IN (SELECT id FROM {parent})")
            self._done.tables[child].without_run += gone.rowcount
            self._done.tables[child].saved -= gone.rowcount
        ids: set[str] = set()
        for name in _OWNED:
            query = f"SELECT DISTINCT run_id FROM {name} WHERE run_id NOT IN (SELECT id FROM run)"
            ids |= {str(row[0]) for row in connection.exec_driver_sql(query)}
        for run_id in sorted(ids):
            connection.execute(sa.insert(self._tables["run"]).values(**_stand_in(run_id)))
        connection.exec_driver_sql("UPDATE run SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM run)")
        return {run_id: f"recovered-{run_id}" for run_id in ids}

    def _link_files(self, connection: sa.Connection) -> Counter[str]:
        """Gives the new database its own names for the checkpoints that are whole; counts the others, run by run."""
        source, target = files_folder(self._damaged), files_folder(self._done.path)
        gone: Counter[str] = Counter()
        rows = connection.exec_driver_sql("SELECT id, run_id, path, sha256, size FROM checkpoint").all()
        for row in rows:
            if is_whole(source, row.path, row.sha256, row.size):
                _link(source / row.path, target / row.path)
            else:
                connection.exec_driver_sql("DELETE FROM checkpoint WHERE id = ?", (row.id,))
                self._done.tables["checkpoint"].saved -= 1
                self._done.tables["checkpoint"].without_run += 1
                gone[row.run_id] += 1
        for path in sorted((source / "datasets").glob("*.txt")):
            _link(path, target / "datasets" / path.name)
        return gone

    def _report_runs(self, connection: sa.Connection, placeholders: dict[str, str], gone: Counter[str]) -> None:
        for run in connection.exec_driver_sql("SELECT id, name, step, kind FROM run ORDER BY id").all():
            lost = []
            if run.id in placeholders:
                lost.append("its own row is lost: its config, status and losses are unknown")
            if gone[run.id]:
                lost.append(f"{plural(gone[run.id], 'checkpoint')}, damaged or gone")
            if not self._done.tables["point"].whole or not self._done.tables["metric"].whole:
                lost += _missing_points(connection, run.id, run.step, run.id in placeholders)
            if lost:
                self._done.runs.append(RunReport(run.id, run.name, tuple(lost)))


def _missing_points(connection: sa.Connection, run_id: str, step: int, unknown_end: bool) -> list[str]:
    """Gaps in a run's metrics, judged by how far apart most of their points are."""
    said = []
    metrics = connection.exec_driver_sql(
        "SELECT id, name, bucket_width FROM metric WHERE run_id = ? ORDER BY name", (run_id,)
    ).all()
    for metric in metrics:
        buckets = list(
            connection.exec_driver_sql(
                "SELECT bucket FROM point WHERE metric_id = ? ORDER BY bucket", (metric.id,)
            ).scalars()
        )
        gaps = [after - before for before, after in pairwise(buckets)]
        usual = Counter(gaps).most_common(1)[0][0] if gaps else 0
        missing = sum(round(gap / usual) - 1 for gap in gaps if gap > usual) if usual else 0
        if usual and not unknown_end:
            missing += max(0, (step // metric.bucket_width - buckets[-1]) // usual)
        if not buckets:
            said.append(f"{metric.name}: all of its points")
        elif missing:
            said.append(f"{metric.name}: about {missing:,} of {len(buckets) + missing:,} points")
    return said


def _stand_in(run_id: str) -> dict[str, object]:
    """A run of another program's, which is a run without a config, in the place of one whose row is lost."""
    return {
        "id": run_id, "kind": EXTERNAL, "name": f"recovered-{run_id}", "stage": EXTERNAL, "dataset": "",
        "dataset_kind": "stream", "dataset_sha256": "", "config_json": "{}", "config_hash": "", "group_hash": run_id,
        "seed": 0, "status": "failed", "error": "its row was lost; recovered by lab doctor --repair", "steps": 0,
        "lab_version": __version__, "created_at": 0.0, "tags_json": '["recovered"]',
    }  # fmt: skip


def _kinds(column: sa.Column[object]) -> tuple[type, ...]:
    return next(kinds for known, kinds in _TYPES.items() if isinstance(column.type, known))


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or where that cannot be a copy; files of lab's are replaced, never changed."""
    for folder in (target.parent.parent, target.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o600)


def _batches(rows: Iterator[list[Value]], size: int) -> Iterator[list[list[Value]]]:
    batch: list[list[Value]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

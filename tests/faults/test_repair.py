"""Damaged databases: recognised when opened, never written to, and what can be saved is saved into a new file."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from processes import lab

from lab.errors import DamagedDatabaseError, NotADatabaseError, StoreError, UsageError
from lab.packaged import packaged_folder
from lab.store import engine
from lab.store.engine import migration_engine
from lab.store.health import examine
from lab.store.migrations import migrate
from lab.store.pages import Pages
from lab.store.repair import Repair, repair
from lab.store.run_store import RunStore

FIXTURES = Path(__file__).parent.parent / "fixtures"
PAGE = 4096
ROWS_ON_A_PAGE = 400
"""More than the rows of any table that are on one of its pages, or that one page leads to, in the demo."""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A copy of the demo: ten runs with 20,000 points, samples and checkpoints."""
    source = packaged_folder("data") / "demo" / "demo.db"
    path = Path(shutil.copyfile(source, tmp_path / "runs.db"))
    if source.with_name("demo.db.files").is_dir():
        shutil.copytree(source.with_name("demo.db.files"), tmp_path / "runs.db.files")
    RunStore.open(path).close()
    return path


def rows(path: Path, table: str) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute(f"SELECT * FROM {table}"))


def tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def repaired(path: Path) -> Repair:
    """Repairs a database; the damaged one is as it was, and the new one is sound."""
    beside = {file.name: file.read_bytes() for file in path.parent.glob("runs.db*") if file.is_file()}
    done = repair(path, path.with_name("saved.db"))
    assert {file.name: file.read_bytes() for file in path.parent.glob("runs.db*") if file.is_file()} == beside
    assert done.path.stat().st_mode & 0o777 == 0o600
    store = RunStore.open(done.path)
    assert examine(store).problems == []
    store.close()
    with closing(sqlite3.connect(done.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not list(path.parent.glob(".saved.db*"))
    return done


def leaves_of_points(path: Path) -> list[int]:
    """The pages that hold the points."""
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'point'").fetchone()[0]
    with Pages(path) as pages:
        level = [root]
        while below := [child for page in level for child in pages.page(page).children]:
            level = below
    return level


def overwrite(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


Damage = Callable[[Path, random.Random], list[int]]


def noise_on_pages(path: Path, dice: random.Random) -> list[int]:
    pages = dice.sample(range(2, path.stat().st_size // PAGE + 1), dice.randint(1, 8))
    for page in pages:
        overwrite(path, (page - 1) * PAGE, dice.randbytes(PAGE))
    return pages


def zeroed_pages(path: Path, dice: random.Random) -> list[int]:
    first = dice.randrange(2, path.stat().st_size // PAGE - 4)
    overwrite(path, (first - 1) * PAGE, bytes(4 * PAGE))
    return list(range(first, first + 4))


def torn_pages(path: Path, dice: random.Random) -> list[int]:
    pages = dice.sample(range(2, path.stat().st_size // PAGE + 1), dice.randint(1, 4))
    for page in pages:  # a sector of each was never written
        overwrite(path, (page - 1) * PAGE + 512 * dice.randrange(8), dice.randbytes(512))
    return pages


def swapped_pages(path: Path, dice: random.Random) -> list[int]:
    content = path.read_bytes()
    one, other = dice.sample(range(2, len(content) // PAGE + 1), 2)
    for here, there in ((one, other), (other, one)):
        overwrite(path, (here - 1) * PAGE, content[(there - 1) * PAGE : there * PAGE])
    return [one, other]


def cut_short(path: Path, dice: random.Random) -> list[int]:
    pages = path.stat().st_size // PAGE
    kept = dice.randrange(pages // 2, pages)
    os.truncate(path, kept * PAGE + dice.randrange(PAGE))
    return list(range(kept + 1, pages + 1))


def header_gone(path: Path, dice: random.Random) -> list[int]:
    overwrite(path, 0, bytes(100))
    return [1]


def first_page_gone(path: Path, dice: random.Random) -> list[int]:
    overwrite(path, 0, dice.randbytes(PAGE))
    return [1]


DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (noise_on_pages, zeroed_pages, torn_pages, swapped_pages, cut_short, header_gone, first_page_gone)
}
SEEDS = [pytest.param(seed, marks=[pytest.mark.full] if seed >= 1 else []) for seed in range(20)]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_recognised_left_alone_and_what_is_sound_is_saved(kind: str, seed: int, sound: Path) -> None:
    before = {table: rows(sound, table) for table in tables(sound)}
    pages = DAMAGES[kind](sound, random.Random(f"{kind} {seed}"))
    content = sound.read_bytes()
    try:
        RunStore.open(sound).close()
    except (DamagedDatabaseError, NotADatabaseError) as error:
        said = str(error)
    else:  # what SQLite itself cannot see: no page is other than a table's pages are
        assert kind in ("torn_pages", "swapped_pages", "noise_on_pages")
        with closing(sqlite3.connect(sound)) as connection:
            assert connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
        said = ""
    assert "\n" not in said
    assert sound.read_bytes() == content
    assert [file.stat().st_size for file in sound.parent.glob("runs.db-wal")] in ([], [0])
    done = repaired(sound)
    lost_points = before["point"] - rows(done.path, "point")
    assert len(lost_points) <= ROWS_ON_A_PAGE * len(pages)
    if kind != "torn_pages":  # a torn page may hold numbers that nobody has written
        for table in before.keys() - {"run", "checkpoint"}:
            assert rows(done.path, table) <= before[table], table
        stand_ins = {row for row in rows(done.path, "run") if "recovered" in str(row)}
        assert rows(done.path, "run") - stand_ins <= before["run"]
    if kind in ("header_gone", "first_page_gone"):
        assert {table: rows(done.path, table) for table in before} == before
    if lost_points:
        assert not done.tables["point"].whole or "the list of the tables is lost" in "".join(done.notes)


def test_nothing_is_made_of_garbage(tmp_path: Path) -> None:
    for content in (b"", b"SQLite format 3\0", random.Random(1).randbytes(50_000), b"\xff" * PAGE, b"a text\n" * 999):
        path = tmp_path / "runs.db"
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"nothing of lab's was found in .*: no file was written"):
            repair(path, tmp_path / "saved.db")
        assert [file.name for file in tmp_path.iterdir()] == ["runs.db"]


def test_a_run_whose_row_is_lost_has_its_curves_and_samples_saved(sound: Path) -> None:
    store = RunStore.open(sound)
    run = store.runs()[3]
    store.close()
    with closing(sqlite3.connect(sound)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM run WHERE id = ?", (run.id,))
    done = repaired(sound)
    [report] = [report for report in done.runs if report.id == run.id]
    assert report.name == f"recovered-{run.id}"
    assert "its own row is lost: its config, status and losses are unknown" in report.lost
    store = RunStore.open(done.path)
    saved = store.run(run.id)
    assert (saved.kind, saved.status, saved.tags) == ("external", "failed", ("recovered",))
    assert len(store.points(run.id, "train/loss")) > 100
    assert store.last_sample(run.id) is not None
    store.close()


def test_what_was_lost_is_told_run_by_run(sound: Path) -> None:
    leaves = leaves_of_points(sound)
    with Pages(sound) as pages:
        rows_by_leaf = {leaf: pages.page(leaf).rows for leaf in leaves}
    leaf, on_it = next((leaf, on_it) for leaf, on_it in rows_by_leaf.items() if len({row[0] for _, row in on_it}) == 1)
    overwrite(sound, (leaf - 1) * PAGE, bytes(PAGE))
    done = repaired(sound)
    assert done.tables["point"].bad_pages == 1
    [told] = [lost for report in done.runs for lost in report.lost if "points" in lost]
    assert f": about {len(on_it)} of " in told


def test_rows_that_are_only_in_the_log_are_saved_too(sound: Path, tmp_path: Path) -> None:
    store = RunStore.open(sound)
    run = store.runs()[0]
    store.rename(run.id, "only in the log")
    copied = tmp_path / "copy"
    copied.mkdir()
    for end in ("", "-wal"):
        shutil.copyfile(f"{sound}{end}", copied / f"runs.db{end}")
    store.close()
    overwrite(copied / "runs.db", 0, bytes(PAGE))
    done = repair(copied / "runs.db", copied / "saved.db")
    assert "only in the log" in {row[2] for row in rows(done.path, "run")}


def test_a_log_whose_end_was_never_written_is_taken_up_to_there(sound: Path, tmp_path: Path) -> None:
    store = RunStore.open(sound)
    run = store.runs()[0]
    store.rename(run.id, "whole")
    length = Path(f"{sound}-wal").stat().st_size
    store.rename(run.id, "half written")
    for end in ("", "-wal"):
        shutil.copyfile(f"{sound}{end}", tmp_path / f"copy.db{end}")
    store.close()
    os.truncate(tmp_path / "copy.db-wal", length + 1000)
    done = repair(tmp_path / "copy.db", tmp_path / "saved.db")
    assert {row[2] for row in rows(done.path, "run") if row[0] == run.id} == {"whole"}


@pytest.mark.parametrize("released", [1, 2])
def test_a_damaged_database_of_an_earlier_schema_is_saved_as_one_of_this(released: int, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(FIXTURES / f"runs-schema-{released}.db", tmp_path / "runs.db"))
    before = rows(path, "point")
    overwrite(path, 0, bytes(100))
    done = repair(path, tmp_path / "saved.db")
    store = RunStore.open(done.path)
    assert [run.name for run in store.runs()] == ["first", "bigram-1", "bigram-2"]
    assert rows(done.path, "point") == before
    store.close()


def test_checkpoints_come_along_where_they_are_whole(sound: Path) -> None:
    store = RunStore.open(sound)
    run = store.runs()[0]
    folder = store.database.files / run.id
    folder.mkdir(parents=True, exist_ok=True)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoint")
        for name, recorded in (("whole", b"weights"), ("changed", b"others!"), ("../../../outside", b"weights")):
            if "/" not in name:
                (folder / f"{name}.safetensors").write_bytes(b"weights")
            connection.exec_driver_sql(
                "INSERT INTO checkpoint (run_id, step, kind, path, sha256, size, created_at) VALUES (?,?,?,?,?,?,?)",
                (run.id, 1, "milestone", f"{run.id}/{name}.safetensors", sha256(recorded), 7, 0.0),
            )
    store.close()
    with closing(sqlite3.connect(sound)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(sound, 0, bytes(100))
    done = repaired(sound)
    [report] = [report for report in done.runs if report.id == run.id]
    assert report.lost == ("2 checkpoints, damaged or gone",)
    saved = done.path.with_name("saved.db.files") / run.id
    assert [file.name for file in saved.iterdir()] == ["whole.safetensors"]


def sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


@pytest.mark.full
def test_the_command_says_what_was_saved_and_what_was_lost(sound: Path) -> None:
    overwrite(sound, 30 * PAGE, random.Random(3).randbytes(3 * PAGE))
    status, _, complained = lab("runs", "--db", str(sound))
    assert status == 1
    assert complained.startswith(f"lab: database {sound} is damaged (")
    assert complained.endswith(f"); see: lab doctor --repair --db {sound}\n")
    assert lab("doctor", "--db", str(sound))[0] == 1
    status, said, complained = lab("doctor", "--repair", "--db", str(sound))
    target = sound.with_name("runs.repaired.db")
    assert status == 0
    assert said.startswith(f"saved in {target}\n")
    assert "could not be read" in said
    assert "lost, run by run" in said
    assert complained == f"{sound} is as it was; look at what was saved with: lab --db {target}\n"
    assert lab("runs", "--db", str(target))[0] == 0
    status, _, complained = lab("doctor", "--repair", "--db", str(sound))
    assert (status, len(complained.splitlines())) == (2, 1)
    assert "there is already a file" in complained


@pytest.mark.full
def test_the_commands_json_and_a_sound_database(sound: Path) -> None:
    status, said, complained = lab("doctor", "--repair", "--db", str(sound))
    assert (status, said) == (0, "")
    assert complained == f"{sound} is sound: there is nothing to repair\n"
    assert [file.name for file in sorted(sound.parent.glob("*.db"))] == ["runs.db"]
    overwrite(sound, 0, bytes(100))
    status, said, _ = lab("doctor", "--repair", "--json", "--to", str(sound.with_name("x.db")), "--db", str(sound))
    assert status == 0
    assert json.loads(said)["tables"]["run"]["saved"] == 10


def test_what_is_not_damaged_is_never_repaired(tmp_path: Path, sound: Path) -> None:
    (tmp_path / "saved.db").touch()
    with pytest.raises(UsageError, match="there is already a file"):
        repair(sound, tmp_path / "saved.db")


# Damage that shows only in use


def test_damage_that_is_met_later_stops_every_further_write(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for leaf in leaves_of_points(sound)[5:]:
        overwrite(sound, (leaf - 1) * PAGE, random.Random(leaf).randbytes(PAGE))
    monkeypatch.setattr(engine, "LARGEST_CHECKED", 0)  # as if it were too large to be looked through
    store = RunStore.open(sound)
    run = max(store.runs(), key=lambda run: run.id)
    with pytest.raises(DamagedDatabaseError, match="is damaged"):
        store.points(run.id, "train/loss")
    content = sound.read_bytes()
    for write in (lambda: store.rename(run.id, "new"), lambda: store.trash([run.id])):
        with pytest.raises(DamagedDatabaseError, match="see: lab doctor --repair"):
            write()
    assert [other.name for other in store.runs()]  # what is sound can still be looked at
    store.close()
    assert sound.read_bytes() == content


# Migrations


def test_a_migration_killed_at_any_statement_leaves_the_old_database_whole(tmp_path: Path) -> None:
    fixture = FIXTURES / "runs-schema-1.db"
    before = {table: rows(fixture, table) for table in tables(fixture) if table != "histogram"}
    killed = 0
    for statement in range(200):
        path = Path(shutil.copyfile(fixture, tmp_path / "runs.db"))
        child = os.fork()
        if child == 0:
            _migrate_and_die(path, statement)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        assert {table: rows(path, table) for table in before} == before
        if version == 1:  # killed before its end: all is as it was, and the next opening migrates it
            assert "tensor" not in tables(path)
        RunStore.open(path).close()
        assert {table: rows(path, table) for table in before} == before
        for file in tmp_path.iterdir():
            file.unlink()
    assert killed > 10


def _migrate_and_die(path: Path, statement: int) -> None:
    """In a child: migrates, and dies right after the n-th statement."""
    writer = migration_engine(path)
    done = [0]

    @sa.event.listens_for(writer, "after_cursor_execute")
    def die(*_: object) -> None:
        done[0] += 1
        if done[0] > statement:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate(path, writer)
    os._exit(0)

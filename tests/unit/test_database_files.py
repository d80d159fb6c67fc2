"""Which database is used, what it looks like on disk, and what is said of files that cannot be one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from lab.config.ladder import stage_config
from lab.errors import LabError, StoreError, UsageError
from lab.store import engine, migrations
from lab.store.location import find_database, run_folder
from lab.store.migrations import BUSY_TIMEOUT_SECONDS
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunStore
from lab.store.schema import APPLICATION_ID


def refusal(path: Path) -> str:
    """What is said of a database that cannot be opened; what lies there stays as it was."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LabError) as caught:
        RunStore.open(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def other_database(path: Path, *statements: str) -> Path:
    """A database that another program made."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


# Which file


def test_the_option_comes_before_the_environment_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs.db").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("LAB_DB", raising=False)
    assert find_database() == tmp_path / "runs.db"
    monkeypatch.setenv("LAB_DB", str(tmp_path / "environment.db"))
    assert find_database() == tmp_path / "environment.db"
    assert find_database("option.db") == below / "option.db"


def test_where_no_database_is_found_one_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_DB", raising=False)
    assert find_database() == tmp_path / "runs.db"
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_database_is_that_database(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "runs.db")
    assert find_database(tmp_path / "link.db") == tmp_path / "real" / "runs.db"


@pytest.mark.parametrize("path", ["x" * 300, "/no/such/folder/runs.db", "~nobody-of-that-name/runs.db", "/", "a\0b"])
def test_a_path_that_no_file_can_have_is_bad_usage(path: str) -> None:
    with pytest.raises(UsageError, match="database"):
        find_database(path)


# What it is on disk


def test_a_new_database_is_for_its_owner_alone(store: RunStore, dataset_facts: DatasetFacts) -> None:
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    files = list(store.database.path.parent.iterdir())
    assert {path.name for path in files} == {"runs.db", "runs.db-wal", "runs.db-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_database_says_whose_it_is_and_how_it_is_written(store: RunStore) -> None:
    with store.database.reader.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA application_id").scalar_one() == APPLICATION_ID
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_every_connection_checks_references_and_waits_for_others(store: RunStore) -> None:
    synchronous = {}
    for name in ("writer", "durable", "reader"):
        with getattr(store.database, name).connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 1000 * BUSY_TIMEOUT_SECONDS
            synchronous[name] = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    assert synchronous["writer"] == 1
    assert synchronous["durable"] == 2
    assert BUSY_TIMEOUT_SECONDS == 30


@pytest.mark.parametrize("name", ["what? #1 100%.db", "naïve ü.db", "it's.db", "file:x.db", ":memory:"])
def test_any_file_name_will_do(tmp_path: Path, name: str, dataset_facts: DatasetFacts) -> None:
    folder = tmp_path / "a ?folder=x"
    folder.mkdir()
    store = RunStore.open(folder / name)
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    store.close()
    assert [path.name for path in folder.iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    again = RunStore.open(folder / name)
    assert len(again.runs()) == 1
    again.close()


def test_an_empty_file_becomes_a_database(database_path: Path) -> None:
    database_path.touch()
    store = RunStore.open(database_path)
    assert store.runs() == []
    store.close()


def test_a_database_whose_maker_was_interrupted_is_finished(database_path: Path) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert database_path.stat().st_size > 0
    store = RunStore.open(database_path)
    assert store.runs() == []
    store.close()


def make_a_run(path: str, barrier_folder: str, number: int) -> str:
    """In a process of its own: opens a database that nobody has made yet, together with others."""
    facts = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)
    Path(barrier_folder, str(number)).touch()
    while len(list(Path(barrier_folder).iterdir())) < 4:
        pass
    store = RunStore.open(Path(path))
    [run] = store.add_runs([NewRun(config=stage_config("bigram"), dataset=facts)])
    store.close()
    return run.id


@pytest.mark.full
def test_several_processes_may_make_a_database_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for trial in range(6):
            folder, barrier = tmp_path / f"db{trial}", tmp_path / f"barrier{trial}"
            folder.mkdir()
            barrier.mkdir()
            path = folder / "runs.db"
            ids = [pool.submit(make_a_run, str(path), str(barrier), number) for number in range(4)]
            made = sorted(future.result() for future in ids)
            store = RunStore.open(path)
            assert [run.id for run in store.runs()] == made
            store.close()


def test_a_journal_that_another_process_is_just_setting_up_is_asked_for_again() -> None:
    class Refusing:
        """A connection that SQLite refuses twice at once, as it does when two processes ask for the same journal."""

        refusals = 2

        def execute(self, _statement: str) -> None:
            if self.refusals:
                self.refusals -= 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error

    connection = Refusing()
    migrations._write_ahead(connection)  # type: ignore[arg-type]
    assert connection.refusals == 0


# What cannot be a database


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is a folder; give the path of a file" in refusal(tmp_path)


def test_a_database_needs_a_folder_that_is_there(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'missing'}" in refusal(tmp_path / "missing" / "runs.db")
    assert not (tmp_path / "missing").exists()


def test_a_pipe_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file; choose another with --db" in refusal(tmp_path / "pipe")


def test_a_file_of_another_kind_is_left_alone(text_file: Callable[..., Path]) -> None:
    path = text_file("a shopping list: more than a hundred bytes of it, to be sure " * 4)
    assert refusal(path) == f"{path} is not a database of lab's; choose another file with --db"


def test_a_database_of_another_program_is_left_alone(database_path: Path) -> None:
    other_database(database_path, "CREATE TABLE song (title TEXT)")
    assert refusal(database_path) == (
        f"{database_path} is a database of another program; choose another file with --db"
    )


def test_a_marked_database_of_another_program_is_left_alone(database_path: Path) -> None:
    other_database(database_path, "PRAGMA application_id = 7", "CREATE TABLE song (title TEXT)")
    assert "is a database of another program" in refusal(database_path)


def test_a_database_of_a_newer_lab_is_left_alone(database_path: Path) -> None:
    RunStore.open(database_path).close()
    other_database(database_path, "PRAGMA user_version = 99")
    message = refusal(database_path)
    assert message.startswith(f"database {database_path} was made by a newer lab (schema 99;")
    assert message.endswith("update lab, or choose another with --db")
    assert not database_path.with_name("runs.db.schema-99").exists()


def test_a_damaged_header_is_said_to_be_damage(database_path: Path) -> None:
    RunStore.open(database_path).close()
    content = bytearray(database_path.read_bytes())
    content[16:68] = os.urandom(52)
    content[16:18] = b"\x00\x07"  # no page is that long
    database_path.write_bytes(content)
    assert f"database {database_path} is damaged" in refusal(database_path)
    assert f"lab doctor --repair --db {database_path}" in refusal(database_path)


def test_damage_of_a_page_is_said_when_the_database_is_opened(database_path: Path, dataset_facts: DatasetFacts) -> None:
    store = RunStore.open(database_path)
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)] * 50)
    store.close()
    with closing(sqlite3.connect(database_path)) as connection:
        [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run'").fetchone()
    content = bytearray(database_path.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\xa5" * 4096
    database_path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged .*; see: lab doctor --repair --db"):
        RunStore.open(database_path)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of a user without privileges, whom this process becomes for a while where it is root."""
    folder = Path(tempfile.mkdtemp())
    if os.getuid() != 0:
        yield folder
    else:
        if not hasattr(os, "setresuid"):
            pytest.skip("root cannot lay down its privileges on this system")
        os.chown(folder, 65534, 65534)
        os.setresuid(65534, 65534, 0)
        try:
            yield folder
        finally:
            os.setresuid(0, 0, 0)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_written_is_said_so(as_nobody: Path) -> None:
    path = as_nobody / "runs.db"
    RunStore.open(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="cannot be written: Permission denied; choose another with --db"):
        RunStore.open(path)


def test_a_folder_that_may_not_be_written_is_said_so(as_nobody: Path) -> None:
    RunStore.open(as_nobody / "runs.db").close()
    as_nobody.chmod(0o500)
    with pytest.raises(StoreError, match="its folder cannot be written; choose another with --db"):
        RunStore.open(as_nobody / "runs.db")
    with pytest.raises(StoreError, match="cannot be written: Permission denied; choose another with --db"):
        RunStore.open(as_nobody / "another.db")
    assert [path.name for path in as_nobody.iterdir()] == ["runs.db"]


# Beside other programs


def test_a_write_waits_for_another_programs(store: RunStore, dataset_facts: DatasetFacts) -> None:
    [run] = store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts, status="paused")])
    # It holds the lock until it is told that this process is about to write.
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.readline()\n"
        "connection.execute(\"UPDATE run SET name = 'by the other program'\")\n"
        "connection.execute('COMMIT')\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(store.database.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    seen: list[str] = []
    writer = threading.Thread(target=lambda: store.rename(run.id, "then by lab"))
    watcher = threading.Thread(target=lambda: seen.append(store.run(run.id).name))
    writer.start()
    watcher.start()
    watcher.join()  # readers never wait
    assert writer.is_alive()
    other.communicate(b"go\n", timeout=60)
    writer.join()
    assert seen == [run.name]
    assert store.run(run.id).name == "then by lab"


def test_a_lock_that_is_never_released_is_said_plainly(
    database_path: Path, monkeypatch: pytest.MonkeyPatch, dataset_facts: DatasetFacts
) -> None:
    RunStore.open(database_path).close()
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.01)
    store = RunStore.open(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="was locked by another program for 30 seconds; end that one first"):
            store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    store.close()


def test_what_cannot_be_recorded_ends_the_run_with_a_plain_word(store: RunStore, dataset_facts: DatasetFacts) -> None:
    from lab.store import lifecycle

    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    run = lifecycle.claim(store)
    assert run is not None
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("DROP TABLE sample")
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    recorder.sample(1, "text")
    with pytest.raises(StoreError, match=r"is damaged .no such table: sample.; see: lab doctor --repair"):
        recorder.close()


def test_a_run_folder_lies_beside_its_database(database_path: Path) -> None:
    assert run_folder(database_path, "abc123") == database_path.parent / "runs.db.files" / "abc123"

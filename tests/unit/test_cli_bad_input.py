"""Bad input: one line that names the thing and the remedy, the right exit status, nothing written, no traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli.app import run
from lab.queue.file_lock import FileLock
from lab.store.location import worker_lock
from lab.store.run_store import RunStore

PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 40
HOSTILE = "[bold]x[/bold]\nsecond\x1b[31m\x9b31m"
SHOWN = r"[bold]x[/bold]\nsecond\x1b[31m\x9b31m"

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where these commands run: a folder with a text in it, and no database."""
    move_into(tmp_path, monkeypatch)
    return tmp_path


def move_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has commands run in a folder."""
    monkeypatch.setenv("LAB_DB", str(folder / "runs.db"))
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.chdir(folder)
    (folder / "prose.txt").write_text(PROSE)


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that cannot be done, and returns its one line; nothing may be written."""

    def command(*arguments: str, status: int = 2) -> str:
        before = contents(folder)
        assert run(list(arguments)) == status
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.startswith("lab: ")
        assert written.err.endswith("\n")
        assert len(written.err.splitlines()) == 1
        assert contents(folder) == before
        return written.err.removeprefix("lab: ").removesuffix("\n")

    return command


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".worker"))
    }


def test_a_database_is_not_made_by_looking_for_runs(refused: Refused, folder: Path) -> None:
    nothing = f"there are no runs in {folder / 'runs.db'} yet; start with: lab ladder"
    for arguments in (
        ("show", "x"),
        ("sample", "x"),
        ("continue", "x"),
        ("queue", "pause", "x"),
        ("queue", "move", "x", "1"),
    ):
        assert refused(*arguments) == nothing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs"], "there are no runs in DB yet; start with: lab ladder\n"),
        (["runs", "status:failed"], "there are no runs in DB yet; start with: lab ladder\n"),
        (["queue", "list"], "nothing trains or waits; queue a run with: lab queue add STAGE\n"),
        (["worker", "--stop"], "no worker is at work\n"),
    ],
)
def test_lists_of_a_missing_database_are_empty_and_make_none(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr() == ("", said.replace("DB", str(folder / "runs.db")))
    assert [path.name for path in folder.iterdir()] == ["prose.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("trian bigram", "no such command 'trian': did you mean 'train'?"),
        ("nonsense", "no such command 'nonsense' (see: lab --help)"),
        ("queue", "missing command (see: lab queue --help)"),
        ("queue ad", "no such command 'ad': did you mean 'add'?"),
        ("train", "missing argument 'STAGE|FILE.py:CLASS' (see: lab train --help)"),
        ("train bigram more", "got unexpected extra argument(s) (more) (see: lab train --help)"),
        ("train bigram --stepz 3", "no such option: --stepz: did you mean --steps?"),
        ("runs --where stage=x", "no such option: --where (see: lab runs --help)"),
        (
            "train bigram lr=3 seed=2",
            "got unexpected extra argument(s) (lr=3 seed=2): did you mean --set lr=3?",
        ),
        ("doctor lr=3", "got unexpected extra argument(s) (lr=3) (see: lab doctor --help)"),
        ("train bigram --xyz", "no such option: --xyz (see: lab train --help)"),
        ("train bigram --steps", "option '--steps' requires an argument"),
        ("train bigram --steps abc", "--steps abc: must be a valid integer (see: lab train --help)"),
        ("sample x --top-p abc", "--top-p abc: must be a valid number (see: lab sample --help)"),
        ("ladder --seeds 0", "--seeds 0: must be greater than or equal to 1 (see: lab ladder --help)"),
        ("worker --slots 0", "--slots 0: must be greater than or equal to 1 (see: lab worker --help)"),
        ("queue move x first", "PLACE first: must be a valid integer (see: lab queue move --help)"),
    ],
)
def test_what_cannot_be_parsed_is_named_with_where_to_look(refused: Refused, arguments: str, said: str) -> None:
    assert refused(*arguments.split()) == said


@pytest.mark.parametrize("command", ["train", "queue add"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("bigrm", "unknown stage 'bigrm': did you mean 'bigram'?"),
        ("bigram --dataset nams", "no dataset 'nams': did you mean 'names'?"),
        ("bigram --dataset no/such.txt", "no dataset 'no/such.txt': give the path of a text file"),
        ("bigram --dataset .", "dataset '.' is a folder; give the path of a text file"),
        ("bigram --as lines", "--as lines: must be 'stream' or 'words'"),
        ("bigram --steps 0", "steps=0 must be greater than or equal to 1"),
        ("bigram --steps -5", "steps=-5 must be greater than or equal to 1"),
        ("bigram --seed -1", "seed=-1 must be greater than or equal to 0"),
        ("bigram --seed 99999999999999999999", "seed=99999999999999999999 must be less than 2147483648"),
        ("bigram --set lr=-1", "lr=-1 must be greater than"),
        ("bigram --set lr=nan", "lr=nan must be a finite number"),
        ("bigram --set lr", "'lr' is not KEY=VALUE; write for example lr=3e-4"),
        ("bigram --set learning_rate=1", "unknown key 'learning_rate': did you mean 'lr'?"),
        ("multi-head --set heads=5", "heads=5 must divide embedding_dim=32"),
        ("bigram --set batch_size=abc", "batch_size=abc must be a valid integer"),
    ],
)
def test_a_config_that_cannot_be_is_explained(refused: Refused, command: str, arguments: str, said: str) -> None:
    assert refused(*command.split(), *arguments.split()).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; give a text of at least a few hundred characters"),
        (b" \n\n ", "is empty"),
        (b"abc\xff\xfe" * 100, "is not UTF-8 (byte 3); convert it, for example with iconv -t utf-8"),
        (b"aaaa" * 500, "is made of one character; there is nothing to learn"),
        (b"to be or not to be", "too few for context_length=8; set context_length below 2"),
    ],
)
@pytest.mark.parametrize(
    "command", ["train bigram --dataset", "queue add bigram --dataset", "dataset add", "dataset show"]
)
def test_a_text_that_cannot_be_trained_on_is_refused(
    refused: Refused, folder: Path, command: str, content: bytes, said: str
) -> None:
    (folder / "text.txt").write_bytes(content)
    if command == "dataset add" and b"not to be" in content:
        pytest.skip("how long a context will be is not known yet")
    assert said in refused(*command.split(), "text.txt")


def test_names_that_cannot_be_are_refused_before_anything_is_written(refused: Refused) -> None:
    for command in (["train"], ["queue", "add"]):
        assert refused(*command, "bigram", "--name", "x" * 201) == "a run's name has at most 200 characters, got 201"
        assert refused(*command, "bigram", "--name", "\udcff") == "name '\\udcff' is not UTF-8; give the run another"


def test_rungs_that_cannot_be_climbed_are_refused(refused: Refused) -> None:
    assert refused("ladder", "--stages", "bigram,foo").startswith("unknown stage 'foo': one of: bigram, linear, ")
    assert refused("ladder", "--stages", "bigram,bigram") == "--stages bigram,bigram names a rung twice"
    assert refused("ladder", "--dataset", "nams") == "no dataset 'nams': did you mean 'names'?"


def test_filters_and_orders_that_mean_nothing_are_refused(refused: Refused) -> None:
    assert refused("runs", "stge:x").startswith("no field 'stge': did you mean 'stage'?")
    assert refused("runs", "val<low").startswith("val<: 'low' is not a number; for example val<2.1")
    assert refused("runs", "--sort", "beauty").startswith("--sort beauty: must be one of id, name, ")


# Of a run that is there


TRAIN = ["train", "bigram", "--dataset", "prose.txt", "--steps", "20"]


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny run in it, bigram-1."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        move_into(folder, patch)
        assert run(TRAIN) == 0
    return folder


@pytest.fixture
def trained(folder: Path, trained_folder: Path) -> None:
    """That run, to go on from."""
    shutil.copytree(trained_folder, folder, dirs_exist_ok=True)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nothing"], "no run 'nothing'; see: lab runs"),
        (["show", ""], "no run is named; give an id or a name (see: lab runs)"),
        (["sample", "bigram-1", "--prompt", "zürich 9"], "lacks '9', 'c', 'z', 'ü'; it has"),
        (
            ["sample", "bigram-1", "--checkpoint", "999"],
            "run bigram-1 has no checkpoint '999'; it has best, last and the steps",
        ),
        (["sample", "bigram-1", "--tokens", "0"], "--tokens 0 --count 1: both must be at least 1"),
        (["sample", "bigram-1", "--seed", "-1"], "--seed -1: must be from 0 to"),
        (["sample", "bigram-1", "--temperature", "nan"], "temperature=nan must be between 0"),
        (["sample", "bigram-1", "--top-k", "0"], "top-k=0 must be at least 1"),
        (["sample", "bigram-1", "--top-p", "1.5"], "top-p=1.5 must be above 0 and at most 1"),
        (["continue", "bigram-1", "--steps", "0"], "steps=0 must be at least 1"),
        (["continue", "bigram-1", "--set", "model=mlp"], ""),
        (["continue", "bigram-1", "--set", "dataset=names"], "these changes do not keep the shapes and the dataset"),
        (["continue", "bigram-1", "--set", "lr=-1"], "lr=-1 must be"),
        (["continue", "bigram-1", "--name", "x" * 201], "a run's name has at most 200 characters"),
        (["queue", "pause", "bigram-1"], "run bigram-1 is finished: it cannot be paused"),
        (["queue", "retry", "bigram-1"], "run bigram-1 is finished: it cannot be tried again"),
        (["queue", "move", "bigram-1", "1"], "run bigram-1 is finished, not waiting; there is nothing to move"),
        (["queue", "move", "bigram-1", "0"], "place 0: the first in the queue is 1"),
    ],
)
def test_what_a_run_cannot_do_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


@pytest.mark.usefixtures("trained")
def test_a_prompts_foreign_characters_are_named(refused: Refused) -> None:
    said = refused("sample", "bigram-1", "--prompt", "zü\x1b")
    assert "'z'" in said
    assert "'ü'" in said


def test_changes_that_do_not_keep_the_shapes_are_refused(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "multi-head", "--dataset", "prose.txt", "--steps", "5", "--name", "a"]) == 0
    capsys.readouterr()
    for change in ("embedding_dim=64", "layers=2", "context_length=16", "norm=pre"):
        said = refused("continue", "a", "--set", change)
        assert said == "these changes do not keep the shapes and the dataset of a; train a new run"


def test_a_run_whose_text_has_changed_is_not_continued(
    refused: Refused, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(TRAIN) == 0
    capsys.readouterr()
    (folder / "prose.txt").write_text(PROSE + "more")
    assert "has changed since run bigram-1 was made: put the old text back" in refused("continue", "bigram-1")


# Of the database


def test_a_foreign_or_newer_database_is_refused(refused: Refused, folder: Path) -> None:
    (folder / "letter").write_text("a letter to my aunt, " * 50)
    assert "is not a database of lab's; choose another file with --db" in refused("runs", "--db", "letter", status=1)
    with sqlite3.connect(folder / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    for command in (["runs"], ["train", "bigram", "--dataset", "prose.txt"], ["worker", "--until-empty"]):
        said = refused(*command, "--db", "other.db", status=1)
        assert "is a database of another program; choose another file with --db" in said
    RunStore.open(folder / "newer.db").close()
    with sqlite3.connect(folder / "newer.db") as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    said = refused("runs", "--db", "newer.db", status=1)
    assert "newer" in said


def test_a_path_where_no_database_can_be_is_refused(refused: Refused, folder: Path) -> None:
    assert refused("runs", "--db", ".") == "database . is a folder; give the path of a file"
    assert (
        refused("--db", "no/such/runs.db", "runs") == f"database no/such/runs.db: there is no folder {folder}/no/such"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_that_cannot_be_written_is_refused(refused: Refused, folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    said = refused("train", "bigram", "--dataset", "prose.txt", "--db", "locked/runs.db", status=1)
    assert said.endswith("choose another with --db")


def test_a_second_worker_is_refused(refused: Refused, folder: Path) -> None:
    RunStore.open(folder / "runs.db").close()
    with FileLock(worker_lock(folder / "runs.db")):
        said = refused("worker", status=1)
    assert said == (
        f"a worker (process {os.getpid()}) already trains {folder / 'runs.db'}; stop it with: lab worker --stop"
    )


# What is data is shown literally


def test_hostile_names_are_shown_literally(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert run(list(arguments)) in (0, 2)
        return "".join(capsys.readouterr())

    add = ("bigram", "--dataset", "prose.txt", "--steps", "5", "--name")
    for output in (
        said("train", *add, HOSTILE),
        said("show", HOSTILE),
        said("runs"),
        said("queue", "add", *add, HOSTILE + "2"),
        said("queue", "list"),
        said("queue", "pause", HOSTILE + "2"),
        said("queue", "pause", HOSTILE),
        said("show", HOSTILE + "3"),
    ):
        assert SHOWN[:30] in output
        assert not set(output) & set("\x1b\x9b")
    assert "\\u009b31m" in said("runs", "--json")


def test_hostile_texts_and_samples_are_shown_literally(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "hostile.txt").write_text("[red]\x1b[31mab\x07 \x9b2J" * 200)
    (folder / "[bold]\x1b[1m.txt").write_text(PROSE)
    for arguments in (
        ["train", "bigram", "--dataset", "hostile.txt", "--steps", "30", "--name", "a"],
        ["train", "bigram", "--dataset", "[bold]\x1b[1m.txt", "--steps", "30"],
        ["sample", "a", "--tokens", "300"],
        ["show", "a"],
        ["runs"],
        ["dataset", "show", "hostile.txt"],
        ["dataset", "show", "[bold]\x1b[1m.txt"],
    ):
        assert run(arguments) == 0
        written = "".join(capsys.readouterr())
        assert not set(written) & set("\x1b\x9b\x07"), arguments
    assert run(["sample", "a", "--tokens", "300"]) == 0
    assert "\\x1b" in capsys.readouterr().out


def test_a_terminal_that_cannot_show_a_character_shows_its_number() -> None:
    assert run(["queue", "add", "bigram", "--dataset", "prose.txt", "--name", "ω"]) == 0
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "lab", "runs"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u03c9" in done.stdout

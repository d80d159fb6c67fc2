"""What comes from a stranger is data: none of it runs, reaches the terminal, leaves its folder or fills the memory."""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from processes import ENVIRONMENT

from lab.cli.app import run
from lab.errors import CheckpointError, LabError, StoreError
from lab.store import lifecycle, trash
from lab.store.location import run_folder
from lab.store.recorder import begin_attempt
from lab.store.run_store import RunStore
from lab.store.stored_files import is_whole, make_folder, remove_checkpoint, stored_file
from tests.hostile import ATTACK, OUTSIDE, add_checkpoints, add_strangers, controls, poison

PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 40
PACKAGE = Path(__file__).parents[2] / "lab"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of two short runs, one of them trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "prose.txt").write_text(PROSE)
    database = ["--db", str(folder / "runs.db")]
    assert (
        run(["train", "bigram", "--dataset", str(folder / "prose.txt"), "--steps", "20", "--name", "a", *database]) == 0
    )
    assert run(["queue", "add", "bigram", "--dataset", str(folder / "prose.txt"), "--steps", "20", *database]) == 0
    return folder


@pytest.fixture
def hostile(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it in which every text is an attack; the current folder."""
    folder = tmp_path / "in" / "here"
    folder.parent.mkdir()
    shutil.copytree(trained, folder)
    poison(folder / "runs.db")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LAB_DB", raising=False)
    return folder


def ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path / "runs.db")) as connection:
        return [run_id for (run_id,) in connection.execute("SELECT id FROM run ORDER BY id DESC")]


def outside(folder: Path) -> dict[str, bytes]:
    """What lies beside and above the folder of a database: nothing may ever come to it, or go."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.parent.parent.rglob("*"))
        if not path.is_relative_to(folder)
    }


# The terminal


def commands(folder: Path, named: list[str]) -> list[list[str]]:
    """Every command that shows or takes something of a database."""
    looking = [["runs"], ["runs", "--sort", "val_loss"], ["runs", "name:a"], ["queue", "list"], ["doctor"],
               ["dataset", "list"], ["compare", "bigram"], ["lr-find", "bigram", "--list"]]  # fmt: skip
    of_one = [["show"], ["sample", "--tokens", "20"], ["compare"], ["queue", "pause"], ["queue", "resume"],
              ["queue", "cancel"], ["queue", "retry"], ["queue", "stop"], ["queue", "move"], ["test", "--yes"],
              ["export", "--to", "x.csv"], ["export", "--to", "x.jsonl"], ["export", "--to", "x.labrun"],
              ["report", "--to", "x.md"], ["report", "--to", "x.html"], ["diff", named[0]],
              ["inspect"]]  # fmt: skip
    of_each = [[*words[:2], name, *words[2:]] if words[0] == "queue" else [words[0], name, *words[1:]]
               for name in named for words in of_one]  # fmt: skip
    plain = ATTACK.replace("\x00", "")
    wrong = [["show", plain], ["train", ATTACK], ["queue", "add", "-f", ATTACK[:40]], ["dataset", "show", plain],
             ["runs", ATTACK], ["import", ATTACK[:20]]]  # fmt: skip
    return [*looking, *of_each, *wrong]


def test_no_command_lets_a_control_character_through(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ids(hostile)
    before = outside(hostile)
    shown = 0
    for words in commands(hostile, named):
        for as_json in ([], ["--json"]):
            capsys.readouterr()
            status = run([*words, *as_json])
            written = capsys.readouterr()
            assert status in (0, 1, 2), words
            assert controls(written.out + written.err) == set(), (words, as_json)
            assert len(written.err.splitlines()) <= 3 or status == 0, (words, written.err)
            shown += "]52;c" in written.out
            if as_json and status == 0 and written.out:
                json.loads(written.out)
    assert shown > 10  # it was there to be seen
    assert not (hostile / "gone").exists()
    assert outside(hostile) == before


@pytest.mark.full
def test_no_command_falls_over_what_lab_would_never_store(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strangers = add_strangers(hostile / "runs.db")
    add_checkpoints(hostile / "runs.db", strangers[0])
    before = outside(hostile)
    for words in commands(hostile, strangers):
        capsys.readouterr()
        status = run(words)
        written = capsys.readouterr()
        assert status in (0, 1, 2), words
        assert controls(written.out + written.err) == set(), words
        assert len(written.err.splitlines()) <= 3 or status == 0, (words, written.err)
    assert outside(hostile) == before


@pytest.mark.parametrize("content", [
    f'title = """{ATTACK.encode("unicode_escape").decode()}"""', f"{ATTACK}", f"[base]\n{ATTACK} = 1",
    '[base]\nstage = "\\u001b[31m\\u202e"', '"\\u001b[2J" = 1',
    'title = "\\u001b]52;c;x\\u0007"\nquestion = "\\u009b2J"',
])  # fmt: skip
def test_no_experiment_lets_a_control_character_through(
    content: str, hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hostile / "e.toml").write_text(content, errors="replace")
    for words in (["queue", "add", "-f", "e.toml"], ["queue", "add", "-f", "e.toml", "--dry-run"]):
        capsys.readouterr()
        assert run(words) in (1, 2)
        written = capsys.readouterr()
        assert controls(written.out + written.err) == set()
        assert len(written.err.splitlines()) == 1


def test_a_page_of_html_made_of_an_attack_runs_nothing(hostile: Path) -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><a href=javascript:alert(1)>"
    with closing(sqlite3.connect("runs.db")) as connection, connection:
        connection.execute("UPDATE run SET name = ?, notes = ?, experiment = ?, error = ?", (script,) * 4)
        connection.execute("UPDATE sample SET text = ?", (script,))
        connection.execute("UPDATE event SET text = ?", (script,))
    assert run(["report", ids(hostile)[-1], "--to", "x.html"]) == 0
    page = Path("x.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<a href=javascript" not in page


# Code


_NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "yaml", "pandas"}
_NEVER_CALLED = {"eval", "exec", "compile", "__import__", "loads_pickle"}


def test_nothing_that_could_run_a_stranger_s_code_is_used_anywhere() -> None:
    """No pickle is imported, no text is evaluated; `torch.load` and `numpy.load` are not called, nor is a shell."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                names = (
                    {called} if called in ("torch.load", "np.load", "numpy.load", "os.system", "os.popen") else set()
                )
                if isinstance(node.func, ast.Name) and node.func.id in _NEVER_CALLED:
                    names.add(node.func.id)
                names |= {"shell=True"} & {ast.unparse(keyword) for keyword in node.keywords}
            else:
                continue
            bad = names & (
                _NEVER | _NEVER_CALLED | {"torch.load", "np.load", "numpy.load", "os.system", "os.popen", "shell=True"}
            )
            found += [f"{path.relative_to(PACKAGE)}: {name}" for name in bad]
    # The one reads lab's own source of the models; the other runs a person's own model, once `trusted_source` lets it.
    lab_s_own = {"tui/model_code.py: eval", "tui/model_code.py: compile"}
    assert set(found) <= {*lab_s_own, "models/own.py: exec", "models/own.py: compile"}


def test_a_checkpoint_that_is_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    import pickle

    import torch

    from lab.training.checkpoint import read_checkpoint

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    (tmp_path / "a.safetensors").write_bytes(pickle.dumps(Attack()))
    torch.save({"model": Attack()}, tmp_path / "b.safetensors")
    for name in ("a", "b"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_checkpoint(tmp_path / f"{name}.safetensors")
    assert not (tmp_path / "it ran").exists()


def test_a_database_with_a_trigger_or_a_view_is_not_opened(hostile: Path) -> None:
    for statement in (
        "CREATE TRIGGER t AFTER UPDATE ON run BEGIN DELETE FROM point; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
    ):
        path = Path(shutil.copyfile("runs.db", "other.db"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        with pytest.raises(StoreError, match="which lab never makes"):
            RunStore.open(path)


# Paths


def test_no_path_of_a_database_leads_outside_its_folder(hostile: Path) -> None:
    victim = hostile.parent / "outside.safetensors"
    victim.write_bytes(b"mine")
    store = RunStore.open(Path("runs.db"))
    run_id = ids(hostile)[0]
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE run SET status = 'queued', queue_position = 1 WHERE id = ?", (run_id,))
    add_checkpoints(hostile / "runs.db", run_id)
    claimed = lifecycle.claim(store, run_id)
    assert claimed is not None
    before = outside(hostile)
    for name in OUTSIDE[:6]:
        with pytest.raises(CheckpointError, match="outside its folder"):
            stored_file(store.database.files, name)
        assert not is_whole(store.database.files, name, "0" * 64, 4)
        remove_checkpoint(store.database.files, run_id, name)
    remove_checkpoint(store.database.files, "..", "../outside.safetensors")
    begin_attempt(store, run_id, claimed.attempt, 0)
    assert outside(hostile) == before
    store.close()


@pytest.mark.parametrize("run_id", ["..", "../..", "/tmp", "", "a/b", ".", "\x1b[31m", "x" * 500, "a\x00"])
def test_a_run_with_another_id_than_lab_gives_touches_no_file(run_id: str, hostile: Path) -> None:
    store = RunStore.open(Path("runs.db"))
    before = outside(hostile)
    inside = sorted(path for path in hostile.rglob("*") if path.is_file() and ".files" in str(path))
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("UPDATE run SET id = ?, trashed_at = 1 WHERE id = ?", (run_id, ids(hostile)[0]))
    for act in (
        lambda: run_folder(store.database.path, run_id),
        lambda: trash.delete_for_good(store, [run_id]),
        lambda: trash.contents(store, [run_id]),
    ):
        with pytest.raises(StoreError, match="is no run's id"):
            act()
    assert outside(hostile) == before
    assert sorted(path for path in hostile.rglob("*") if path.is_file() and ".files" in str(path)) == inside
    store.close()


def test_links_in_the_folder_of_a_database_are_not_followed(hostile: Path) -> None:
    target = hostile.parent / "mine"
    target.mkdir()
    (target / "x.safetensors").write_bytes(b"mine")
    (target / "file").write_text("mine")
    files = hostile / "runs.db.files"
    (files / "linked").symlink_to(target)
    (files / ".room").symlink_to(target / "file")
    (files / ".reserve").symlink_to(target / "file")
    before = outside(hostile)
    with pytest.raises(StoreError, match="is a link to elsewhere"):
        make_folder(files, "linked")
    with pytest.raises(CheckpointError, match="outside its folder"):
        stored_file(files, "linked/x.safetensors")
    for suffix in (".worker", ".worker.log"):
        (hostile / f"runs.db{suffix}").unlink(missing_ok=True)
        (hostile / f"runs.db{suffix}").symlink_to(target / "file")
    assert run(["worker", "--until-empty"]) == 1
    for suffix in (".worker", ".worker.log"):
        (hostile / f"runs.db{suffix}").unlink()
    assert run(["worker", "--until-empty"]) == 0
    assert outside(hostile) == before


# Memory


@pytest.mark.full
def test_a_hundred_megabytes_in_one_field_are_refused_in_one_line(hostile: Path) -> None:
    with closing(sqlite3.connect("runs.db")) as connection, connection:
        connection.execute("UPDATE run SET config_json = ?", ("[" + "1," * 50_000_000 + "1]",))
    for words in (["runs"], ["show", ids(hostile)[0]], ["queue", "list"], ["worker", "--until-empty"]):
        process = in_little_memory(*words)
        assert process.returncode == 1, words
        assert len(process.stderr.splitlines()) <= 1, process.stderr
        assert "holds a value of more than 64 MB" in process.stderr + process.stdout


def in_little_memory(*words: str) -> subprocess.CompletedProcess[str]:
    """A command that may have 4 GB of addresses, of which torch alone reserves one."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30)),
    )


def test_a_config_that_is_no_config_is_refused_whatever_its_size(hostile: Path) -> None:
    from lab.config.run_config import LARGEST_CONFIG, from_json

    for text in ("[" * 100_000, "{" * 1000, "[1]", "null", '"' + "x" * LARGEST_CONFIG + '"', '{"steps": 1e999}', "NaN"):
        with pytest.raises(LabError) as refused:
            from_json(text)
        assert len(str(refused.value)) < 500


def test_a_metric_with_absurdly_many_points_is_read_in_part(hostile: Path) -> None:
    with closing(sqlite3.connect("runs.db")) as connection, connection:
        metric = connection.execute("SELECT id FROM metric WHERE name = 'train/loss'").fetchone()[0]
        connection.execute("DELETE FROM point WHERE metric_id = ?", (metric,))
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
            "INSERT INTO point SELECT ?, i * 1000000007, i, 1, 1, 1, 0 FROM n", (metric,),
        )  # fmt: skip
    store = RunStore.open(Path("runs.db"))
    [run_id] = [run.id for run in store.runs() if store.metric_names(run.id)]
    assert len(store.points(run_id, "train/loss")) <= 100_000
    store.close()


def lying_header(header: dict[str, Any], data: bytes = b"", stated: int | None = None) -> bytes:
    """A safetensors file whose header says what it likes."""
    text = json.dumps(header).encode()
    return (len(text) if stated is None else stated).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("content", [
    lying_header({}, stated=2**63), lying_header({}, stated=2**31), lying_header({}),
    lying_header({"model/a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    lying_header({"model/a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}),
    lying_header({"model/a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
    lying_header({"model/a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    lying_header({"__metadata__": {"lab": "[" * 100_000}}), lying_header({"__metadata__": {"lab": "{}"}}),
    lying_header({"__metadata__": {"lab": json.dumps({"config": "{}", "vocabulary": 7, "state": 1})}}),
])  # fmt: skip
def test_a_checkpoint_that_lies_about_itself_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    from lab.training.checkpoint import read_checkpoint

    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_checkpoint_whose_config_is_of_a_giant_builds_no_giant(tmp_path: Path) -> None:
    import torch

    from lab.config.ladder import stage_config
    from lab.training.checkpoint import LoopState, checkpoint_writer, read_checkpoint

    config = stage_config("layernorm", settings={"embedding_dim": 65_536, "layers": 256, "heads": 4})
    checkpoint_writer(config, ("a", "b"), LoopState(), {"model": {"a": torch.zeros(1)}})(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the model"):
        read_checkpoint(tmp_path / "x.safetensors").model()


# Who may read it


@pytest.mark.full
def test_all_that_is_stored_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "prose.txt").write_text(PROSE)
    words = ["train", "bigram", "--dataset", "prose.txt", "--steps", "20"]
    subprocess.run([sys.executable, "-m", "lab", *words], cwd=tmp_path, env=ENVIRONMENT, check=True, umask=0,
                   capture_output=True)  # fmt: skip
    subprocess.run([sys.executable, "-m", "lab", "dataset", "add", "prose.txt"], cwd=tmp_path, env=ENVIRONMENT,
                   check=True, umask=0, capture_output=True)  # fmt: skip
    made = [path for path in tmp_path.rglob("*") if path.name != "prose.txt"]
    assert {path.suffix for path in made} >= {".db", ".safetensors", ".lock", ".txt"}
    for path in made:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_package_has_no_other_place_where_it_deletes_folders() -> None:
    """Whoever adds one has to see that it cannot be led astray."""
    places = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"rmtree|removedirs", path.read_text())
    }
    assert places == {"store/trash.py", "store/demo.py", "reports/run_import.py"}

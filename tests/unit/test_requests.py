"""What a person may ask of the queue: runs composed and checked before anything is written, and a worker found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.config.ladder import STAGES_BY_NAME, stage_config
from lab.datasets.dataset import add_dataset
from lab.errors import ConfigError, DatasetError, LabError, WorkerError
from lab.queue import requests
from lab.queue.file_lock import FileLock
from lab.queue.requests import RunRequest, compose, dataset_of, start_worker, stop_worker, worker_pid
from lab.store.location import dataset_library, worker_lock, worker_log
from lab.store.run_store import RunStore


def refusal(database: Path, error: type[LabError] = ConfigError, **request: Any) -> str:
    """What is said of a request that cannot be met; nothing is written."""
    with pytest.raises(error) as caught:
        compose(RunRequest(**request), database)
    assert list(database.parent.glob("runs.db*")) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_stage_alone_is_one_run_on_its_home_dataset(database_path: Path) -> None:
    [run] = compose(RunRequest("bigram"), database_path)
    assert run.config == stage_config("bigram")
    assert (run.dataset.name, run.dataset.kind, len(run.dataset.vocabulary)) == ("shakespeare", "stream", 63)
    assert run.dataset.counting_loss == pytest.approx(2.4863, abs=5e-5)
    [mlp] = compose(RunRequest("mlp"), database_path)
    assert (mlp.config.dataset, mlp.config.dataset_as, mlp.config.context_length) == ("names", "words", 3)


@pytest.mark.parametrize("stage", STAGES_BY_NAME)
@pytest.mark.parametrize("dataset", ["shakespeare", "names"])
def test_every_stage_can_be_asked_for_on_both_datasets(database_path: Path, stage: str, dataset: str) -> None:
    [run] = compose(RunRequest(stage, dataset=dataset), database_path)
    assert run.config.dataset == run.dataset.name == dataset


def test_seeds_make_one_run_each(database_path: Path) -> None:
    runs = compose(RunRequest("bigram", seeds=(1, 2, 3), name=" mine ", tags=("a",)), database_path)
    assert [run.config.seed for run in runs] == [1, 2, 3]
    assert {(run.name, run.tags) for run in runs} == {("mine", ("a",))}
    assert len({run.config.group_hash(run.dataset.sha256) for run in runs}) == 1


def test_settings_change_the_stages_config(database_path: Path) -> None:
    [run] = compose(RunRequest("multi-head", settings={"heads": "2", "lr": "1e-2"}), database_path)
    assert run.config == stage_config("multi-head", settings={"heads": 2, "lr": 1e-2})


def test_a_dataset_may_be_named_among_the_settings(database_path: Path) -> None:
    [run] = compose(RunRequest("bigram", settings={"dataset": "names"}), database_path)
    assert run.config.dataset == run.dataset.name == "names"
    assert run.config.dataset_as == run.dataset.kind == "words"
    assert run.config.context_length == 16


def test_a_file_by_path_is_cut_as_it_is_said(database_path: Path, names_file: Path) -> None:
    [stream] = compose(RunRequest("bigram", dataset=str(names_file)), database_path)
    [words] = compose(RunRequest("bigram", dataset=str(names_file), dataset_as="words"), database_path)
    [set_words] = compose(
        RunRequest("bigram", dataset=str(names_file), settings={"dataset_as": "words"}), database_path
    )
    assert (stream.config.dataset_as, words.config.dataset_as) == ("stream", "words")
    assert stream.config.dataset == words.config.dataset == str(names_file)
    assert set_words == words


def test_a_dataset_of_the_library_is_known_by_name(database_path: Path, names_file: Path) -> None:
    add_dataset(names_file, "words", dataset_library(database_path))
    [run] = compose(RunRequest("bigram", dataset="few-names"), database_path)
    assert (run.config.dataset, run.config.dataset_as) == ("few-names", "words")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"stage": "bigrm"}, "unknown stage 'bigrm': did you mean 'bigram'?"),
        ({"stage": "bigram", "settings": {"learning_rate": 1}}, "unknown key 'learning_rate': did you mean 'lr'?"),
        ({"stage": "bigram", "settings": {"steps": 0}}, "steps=0 must be greater than or equal to 1"),
        ({"stage": "bigram", "settings": {"lr": "nan"}}, "lr=nan must be a finite number"),
        ({"stage": "multi-head", "settings": {"heads": 5}}, "heads=5 must divide embedding_dim=32"),
        ({"stage": "bigram", "settings": {"stage": "mlp"}}, "stage=mlp cannot be set on the stage 'bigram'"),
        ({"stage": "bigram", "settings": {"dataset_as": "lines"}}, "dataset_as=lines must be 'stream' or 'words'"),
        ({"stage": "bigram", "seeds": (-1,)}, "seed=-1 must be greater than or equal to 0"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(database_path: Path, request_: dict[str, Any], message: str) -> None:
    assert refusal(database_path, **request_).startswith(message)


def test_a_dataset_that_does_not_fit_is_refused(database_path: Path, prose_file: Path, names_file: Path) -> None:
    short = refusal(
        database_path, DatasetError, stage="bigram", dataset=str(prose_file), settings={"context_length": 400}
    )
    assert "too few for context_length=400" in short
    long_word = refusal(database_path, DatasetError, stage="bigram", dataset="names", settings={"context_length": 8})
    assert "does not fit context_length=8; set context_length=16 or more" in long_word
    assert refusal(database_path, DatasetError, stage="bigram", dataset="nams").endswith("did you mean 'names'?")


def test_the_dataset_of_a_run_is_read_again_and_a_changed_one_refused(database_path: Path, prose_file: Path) -> None:
    store = RunStore.open(database_path)
    [run] = store.add_runs(compose(RunRequest("bigram", dataset=str(prose_file)), database_path))
    assert dataset_of(run, database_path).sha256 == run.dataset_sha256
    prose_file.write_text(prose_file.read_text() + "more")
    with pytest.raises(DatasetError, match="has changed since run bigram-1 was made: put the old text back"):
        dataset_of(run, database_path)
    store.close()


# The worker


def test_a_database_without_a_worker_says_so(database_path: Path) -> None:
    assert worker_pid(database_path) is None
    assert not stop_worker(database_path)


def test_a_worker_that_is_there_is_not_started_again(database_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with FileLock(worker_lock(database_path)):
        assert worker_pid(database_path) == os.getpid()
        assert start_worker(database_path) == os.getpid()


def test_a_worker_that_does_not_start_is_quoted(
    database_path: Path, text_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = text_file('#!/bin/sh\necho "a warning" >&2\necho "$@" >&2\nexit 1\n', "python")
    executable.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(executable))
    with pytest.raises(WorkerError) as caught:
        start_worker(database_path, slots=3)
    # -P, so that a folder named lab beside the database is not taken for lab.
    assert str(caught.value) == (
        f"the worker did not start: -P -m lab worker --db {database_path} "
        f"--idle-seconds {requests.WORKER_IDLE_SECONDS} --slots 3 (see {worker_log(database_path)})"
    )
    assert worker_log(database_path).stat().st_mode & 0o777 == 0o600


def test_a_worker_that_says_nothing_is_said_to(database_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(WorkerError, match="the worker did not start: it said nothing"):
        start_worker(database_path)


def test_stopping_asks_the_worker_and_waits_for_its_end(database_path: Path) -> None:
    hold = (
        "import signal, sys; from pathlib import Path; from lab.queue.file_lock import FileLock\n"
        "with FileLock(Path(sys.argv[1])): print('held', flush=True); signal.pause()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", hold, str(worker_lock(database_path))], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "held\n"
    assert worker_pid(database_path) == worker.pid
    assert stop_worker(database_path)
    assert worker_pid(database_path) is None
    worker.communicate(timeout=60)
    assert worker.returncode < 0

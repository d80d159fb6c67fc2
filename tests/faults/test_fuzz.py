"""Every format that lab reads from a file, mutilated at random: refused in lab's own words, or read; never a crash."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lab.config.experiment_files import read_experiment
from lab.config.ladder import stage_config
from lab.config.run_config import from_json
from lab.datasets.dataset import load_dataset
from lab.errors import LabError
from lab.packaged import packaged_folder
from lab.reports.run_bundle import write_bundle
from lab.reports.run_import import import_bundle
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunStore
from lab.training.checkpoint import LoopState, checkpoint_writer, read_checkpoint
from lab.tui.remembered import RememberedFile

AT_LEAST, WITH_FULL = 60, 1000
Reader = Callable[[Path], object]


def mutilated(content: bytes, dice: random.Random) -> bytes:
    """A file after one to six accidents: bytes changed, cut out, doubled, put in, swapped, or its end gone."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        if not data:
            return bytes(data)
        at, length = dice.randrange(len(data)), dice.choice((1, 1, 2, 8, 100))
        accident = dice.randrange(7)
        if accident == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif accident == 1:
            data[at : at + length] = dice.randbytes(length)
        elif accident == 2:
            del data[at : at + length]
        elif accident == 3:
            data[at:at] = data[at : at + length]
        elif accident == 4:
            del data[at:]
        elif accident == 5:
            data[at:at] = dice.choice(
                (b"\x1b[2J", b"\x00", b"\xff\xfe", b"9" * 400, b"[" * 3000, b"1e999", b"-1", b"null")
            )
        else:
            data[at : at + 8] = dice.choice((b"\xff" * 8, b"\x00" * 8, b"\x7f" + b"\xff" * 7))
    return bytes(data)


def a_bundle(folder: Path) -> Path:
    """A run passed on, with a checkpoint, points, a sample and a log."""
    store = RunStore.open(folder / "source.db")
    facts = DatasetFacts("5" * 64, "stream", "shakespeare", "/t.txt", 1000, ("\n", " ", "a", "b"), 1.25)
    store.add_runs([NewRun(stage_config("bigram", settings={"steps": 20}), facts)])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    recorder.log("train/loss", 1, [2.5] * 20)
    recorder.sample(20, "KING:")
    recorder.event(20, "evaluated")
    recorder.checkpoint("complete", 20, a_checkpoint_writer())
    recorder.close()
    lifecycle.end(store, run.id, run.attempt, "finished")
    write_bundle(store, store.run(run.id), folder / "x.labrun")
    store.close()
    return folder / "x.labrun"


def a_checkpoint_writer() -> Callable[[Path], None]:
    config = stage_config("bigram", settings={"steps": 20})
    weights = {"model": {"logits.weight": torch.zeros(4, 4)}, "random": {"cpu": torch.zeros(8, dtype=torch.uint8)}}
    return checkpoint_writer(config, ("\n", " ", "a", "b"), LoopState(step=20), weights)


def remembered(path: Path) -> None:
    file = RememberedFile(path)
    file.read()
    file.group("runs").get("marks")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str, Reader]]:
    """A sound file of each format, the end of its name, and what reads it."""
    folder = tmp_path_factory.mktemp("sound")
    a_checkpoint_writer()(folder / "x.safetensors")
    taken = RunStore.open(folder / "taken.db")
    toml = sorted(packaged_folder("experiments").glob("*.toml"))[0]
    config = stage_config("layernorm").to_json().encode()
    screen = b'{"runs": {"marks": ["a", 1], "columns": {"x": [null, 2.5]}}, "theme": "dark", "mode": "compare"}'
    return {
        "experiment": (toml.read_bytes(), ".toml", read_experiment),
        "bundle": (a_bundle(folder).read_bytes(), ".labrun", lambda path: import_bundle(taken, path)),
        "checkpoint": ((folder / "x.safetensors").read_bytes(), ".safetensors", read_checkpoint),
        "config": (config, ".json", lambda path: from_json(path.read_text(errors="replace"))),
        "dataset": (b"To be, or not to be: that is the question.\n" * 30, ".txt", lambda path: load_dataset(str(path))),
        "words": (b"emma\nolivia\nava\nmia\n" * 20, ".txt", lambda path: load_dataset(str(path), "words")),
        "screen": (screen, ".json", remembered),
    }


@pytest.mark.parametrize("name", ["experiment", "bundle", "checkpoint", "config", "dataset", "words", "screen"])
def test_a_mutilated_file_is_read_or_refused_in_one_line(
    name: str, samples: dict[str, tuple[bytes, str, Reader]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    content, ending, read = samples[name]
    sound = tmp_path / f"sound{ending}"
    sound.write_bytes(content)
    read(sound)
    path = tmp_path / f"x{ending}"
    for seed in range(WITH_FULL if request.config.getoption("--full") else AT_LEAST):
        path.write_bytes(mutilated(content, random.Random(f"{name} {seed}")))
        refused = ""
        with contextlib.suppress(LabError):
            try:
                read(path)
            except LabError as error:
                refused = str(error)
                raise
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {type(error).__name__}: {error}") from error
        assert len(refused.splitlines()) <= 1 or name == "experiment", (seed, refused)
        assert len(refused) < 8000, (seed, len(refused))  # what was written may be quoted; commands cut it

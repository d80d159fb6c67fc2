"""Checkpoints come back as they were written, and what is no checkpoint is refused in one line."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from training_helpers import assert_same_weights, token_batch

from lab.config.ladder import stage_config
from lab.errors import CheckpointError
from lab.models.build import build_model
from lab.training.checkpoint import LoopState, checkpoint_writer, load_weights, read_checkpoint, weights_of

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = stage_config("layernorm", settings={"embedding_dim": 8, "layers": 1, "lr": 1 / 3})
VOCABULARY = ("\n", " ", "a", "é", "😀", '"', "\\")
STATE = LoopState(
    first_step=3,
    step=40,
    seconds=1.25,
    training_seconds=1 / 3,
    smoothed_loss=2 / 3,
    smoothed_count=40,
    train_loss=1e-300,
    val_loss=math.pi,
    best_val_loss=None,
    best_step=38,
    open_buckets={"lr": {"number": 3, "total": 0.1}},
)


def sections() -> dict[str, dict[str, torch.Tensor]]:
    model = build_model(CONFIG, len(VOCABULARY))
    return {
        "model": weights_of(model),
        "best": weights_of(build_model(CONFIG.replace(seed=1), len(VOCABULARY))),
        "optimizer": {"head.weight.mean": torch.randn(3, 2), "head.weight.step": torch.tensor(40.0)},
        "random": {"cpu": torch.get_rng_state()},
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole checkpoint."""
    written = tmp_path / "complete.safetensors"
    checkpoint_writer(CONFIG, VOCABULARY, STATE, sections())(written)
    return written


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, sha256)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_checkpoint_comes_back_as_it_was_written(path: Path) -> None:
    checkpoint = read_checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert checkpoint.config == CONFIG
    assert checkpoint.vocabulary == VOCABULARY
    assert asdict(checkpoint.state) == asdict(STATE)
    expected = sections()
    assert checkpoint.sections.keys() == expected.keys()
    for name in ("model", "best"):
        assert_same_weights(checkpoint.sections[name], expected[name])
    assert checkpoint.sections["random"]["cpu"].dtype == torch.uint8
    assert checkpoint.sections["optimizer"]["head.weight.step"].shape == ()


def test_its_model_predicts_what_the_stored_one_did(path: Path) -> None:
    tokens, _ = token_batch(CONFIG, len(VOCABULARY))
    model = read_checkpoint(path).model()
    assert not model.training
    expected = build_model(CONFIG, len(VOCABULARY)).eval()
    assert torch.equal(model(tokens)[0], expected(tokens)[0])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_can_be_kept(tmp_path: Path, loss: float) -> None:
    checkpoint_writer(CONFIG, VOCABULARY, LoopState(val_loss=loss), {"model": {}})(tmp_path / "c")
    kept = read_checkpoint(tmp_path / "c").state.val_loss
    assert kept is not None
    assert str(kept) == str(loss)


def test_a_tied_weight_is_kept_once(tmp_path: Path) -> None:
    config = CONFIG.replace(tied_embeddings=True)
    model = build_model(config, len(VOCABULARY))
    checkpoint_writer(config, VOCABULARY, STATE, {"model": weights_of(model)})(tmp_path / "c")
    again = read_checkpoint(tmp_path / "c").model()
    assert again.head.weight is again.token_embedding.weight
    assert torch.equal(again.head.weight, model.head.weight)


def test_weights_are_copies(path: Path) -> None:
    model = build_model(CONFIG, len(VOCABULARY))
    kept = weights_of(model)
    before = kept["head.bias"].clone()
    with torch.no_grad():
        model.head.bias += 1
    assert torch.equal(kept["head.bias"], before)


def test_the_state_is_kept_as_it_was_when_the_writer_was_made(tmp_path: Path) -> None:
    state = LoopState(step=5)
    write = checkpoint_writer(CONFIG, VOCABULARY, state, {"model": {}})
    state.step = 99
    write(tmp_path / "c")
    assert read_checkpoint(tmp_path / "c").state.step == 5


# What is refused


def test_a_checkpoint_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.safetensors").endswith("is gone")
    assert refusal(tmp_path / "none.safetensors", "0" * 64).endswith("is gone")


@pytest.mark.parametrize("place", [20, -1])
def test_a_changed_byte_is_found(path: Path, place: int) -> None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert refusal(path, sha256).endswith("is damaged: its SHA-256 is not the one recorded")


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 2000, -1])
def test_a_file_cut_short_is_refused_with_and_without_its_sha256(path: Path, kept: int) -> None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:kept])
    assert "is damaged" in refusal(path, sha256)
    assert "cannot be read" in refusal(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)


def test_another_programs_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "is no checkpoint of lab's" in refusal(path)
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "pt"})
    assert "is no checkpoint of lab's" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: "not json",
        lambda header: [],
        lambda header: header | {"config": "{}"},
        lambda header: header | {"config": json.dumps({"stage": "x", "model": "of a later lab"})},
        lambda header: header | {"config": 3},
        lambda header: header | {"state": {"of a later": "lab"}},
        lambda header: header | {"vocabulary": None},
        lambda header: {key: value for key, value in header.items() if key != "state"},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["lab"])
    changed = change(header)
    encoded = changed if isinstance(changed, str) else json.dumps(changed)
    save_file({"model/head.bias": torch.zeros(2)}, path, metadata={"lab": encoded})
    assert "cannot be read" in refusal(path)


def test_tensors_of_an_unknown_section_are_refused(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({"elsewhere/head.bias": torch.zeros(2)}, path, metadata=metadata)
    assert "cannot be read" in refusal(path)


def test_weights_of_other_shapes_are_named() -> None:
    model = build_model(CONFIG, len(VOCABULARY))
    before = weights_of(model)
    with pytest.raises(CheckpointError, match=r"head\.weight is \(9, 8\), not \(7, 8\)"):
        load_weights(model, weights_of(model) | {"head.weight": torch.zeros(9, 8)})
    with pytest.raises(CheckpointError, match=r"extra is in only one of them"):
        load_weights(model, before | {"extra": torch.zeros(1)})
    del before["head.bias"]
    with pytest.raises(CheckpointError, match=r"head\.bias is in only one of them"):
        load_weights(model, before)


class _Bomb:
    """What a pickle would run on being read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Bomb.went_off, ())

    @staticmethod
    def went_off() -> None:
        raise AssertionError("a pickle was read")


def test_no_pickle_is_ever_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    monkeypatch.setattr(torch, "load", _Bomb.went_off)
    monkeypatch.setattr(torch, "save", _Bomb.went_off)
    checkpoint_writer(CONFIG, VOCABULARY, STATE, sections())(path)
    assert read_checkpoint(path).state.step == 40
    path.write_bytes(pickle.dumps(_Bomb()))
    assert "cannot be read" in refusal(path)

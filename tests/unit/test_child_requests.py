"""Going on from a stored run: what is kept, what may be changed, and what is refused before anything is queued."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.config.ladder import STAGES_BY_NAME, stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import load_dataset
from lab.errors import CheckpointError, ConfigError, UsageError
from lab.models.build import build_shapes
from lab.queue.child_requests import ChildRequest, compose_child
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunRow, RunStore

CHANGES: dict[str, tuple[Any, ...]] = {
    "context_length": (5, 16), "embedding_dim": (16, 64), "hidden_dim": (50,), "layers": (0, 1, 2),
    "heads": (1, 2, 8), "head_dim": (4, 8, 32), "feed_forward_multiple": (0, 1, 2), "activation": ("gelu", "tanh"),
    "dropout": (0.0, 0.3), "residual": (True, False), "norm": ("none", "pre", "post"), "norm_kind": ("rms",),
    "qk_norm": (True,), "logit_softcap": (15.0,), "positions": ("none", "learned", "rotary"),
    "attention": ("uniform",), "value_projection": (False,), "attention_scale": ("none",), "causal_mask": (False,),
    "output_projection": (True, False), "bias": (False,), "tied_embeddings": (True,), "init": ("normal",),
    "last_layer_scale": (0.1,), "residual_scale": (0.5,), "optimizer": ("sgd", "muon"), "lr": (1e-4,),
    "schedule": ("cosine",), "grad_clip": (1.0,), "batch_size": (8,), "seed": (1,), "compile": (True,),
}  # fmt: skip
"""Values of every field that could touch the weights, and of some that do not."""
WITHOUT_WEIGHTS = {
    "stage", "model", "dataset", "dataset_as", "activation_gain", "warmup_steps", "decay_start", "decay_to",
    "weight_decay", "steps", "overfit_one_batch", "precision", "eval_every", "eval_examples", "diagnostics_every",
    "adamw_lr", "beta2", "momentum", "source_sha256",
}  # fmt: skip
"""The other fields: of the data, the optimiser and how it is watched; and `model`, which starts every layout.

`source_sha256` is the code of a model of one's own, which no change of a setting exchanges.
"""


def test_every_field_is_known_to_touch_the_weights_or_not_to() -> None:
    assert CHANGES.keys() | WITHOUT_WEIGHTS == RunConfig.model_fields.keys()


def shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in build_shapes(config, 27).named_parameters()}


@pytest.mark.parametrize("layers", [None, 2])
@pytest.mark.parametrize("stage", STAGES_BY_NAME)
def test_equal_layouts_are_equal_names_and_shapes_of_weights(stage: str, layers: int | None) -> None:
    kind: Any = "words" if stage == "mlp" else "stream"
    settings = {"context_length": 3 if stage == "mlp" else 8} | ({"layers": layers} if layers else {})
    try:
        config = stage_config(stage, dataset="names", dataset_as=kind, settings=settings)
    except ConfigError:
        pytest.skip(f"{stage} has no such layers")
    mine = shapes(config)
    for name, values in CHANGES.items():
        for value in values:
            try:
                changed = config.replace(**{name: value})
            except ConfigError:
                continue
            same_layout, same = changed.weights_layout == config.weights_layout, shapes(changed) == mine
            assert same or not same_layout, (stage, name, value)
            if config.layers:  # without a layer, some changes are refused that would do no harm
                assert same == same_layout, (stage, name, value)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = RunStore.open(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def parent(store: RunStore) -> RunRow:
    """A run that has ended, with two checkpoints."""
    dataset = load_dataset("names")
    config = stage_config("residual", dataset="names", dataset_as="words", settings={"steps": 40})
    (run,) = store.add_runs([NewRun(config, dataset_facts(dataset))])
    claimed = lifecycle.claim(store)
    assert claimed is not None
    recorder = RunRecorder(store, run.id, claimed.attempt, run.steps)
    recorder.checkpoint("best", 30, lambda path: path.write_bytes(b"best"))
    recorder.checkpoint("complete", 40, lambda path: path.write_bytes(b"complete"))
    recorder.close()
    lifecycle.end(store, run.id, claimed.attempt, "finished")
    return store.run(run.id)


def test_a_child_goes_on_from_the_last_or_any_checkpoint_with_other_settings(store: RunStore, parent: RunRow) -> None:
    child = compose_child(ChildRequest(parent), store)
    assert (child.parent_id, child.parent_step, child.config.steps) == (parent.id, 40, 80)
    request = ChildRequest(parent, "best", 5, {"lr": "1e-4", "dropout": 0.2}, " gentle ")
    child = compose_child(request, store)
    assert (child.parent_step, child.config.steps, child.name) == (30, 35, "gentle")
    assert (child.config.lr, child.config.dropout) == (1e-4, 0.2)
    (row,) = store.add_runs([child])
    assert (row.status, row.parent_id, row.parent_step) == ("queued", parent.id, 30)


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({"checkpoint": "7"}, UsageError, "has no checkpoint '7'; it has best, last and the steps 30, 40"),
        ({"more_steps": 0}, ConfigError, "steps=0 must be at least 1"),
        ({"settings": {"lr": "-1"}}, ConfigError, "lr=-1"),
        ({"settings": {"layers": 1}}, ConfigError, "do not keep the shapes"),
        ({"settings": {"dataset": "shakespeare"}}, ConfigError, "do not keep the shapes and the dataset"),
        ({"settings": {"warmup_steps": 90}}, ConfigError, "warmup_steps=90 must be below steps=80"),
        ({"name": "x" * 201}, UsageError, "at most 200 characters"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    store: RunStore, parent: RunRow, request_: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        compose_child(ChildRequest(parent, **request_), store)
    assert len(store.runs()) == 1


def test_a_run_without_a_checkpoint_has_no_child(store: RunStore) -> None:
    dataset = load_dataset("names")
    config = stage_config("bigram", dataset="names", dataset_as="words")
    (run,) = store.add_runs([NewRun(config, dataset_facts(dataset))])
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        compose_child(ChildRequest(run), store)


def test_composing_a_child_needs_no_torch() -> None:
    code = "import sys, lab.queue.child_requests; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

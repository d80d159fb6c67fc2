"""Breaking one thing: what is offered for which config, what the twin shares, and what is said of the race."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparison_helpers import MadeRun
from typer.testing import CliRunner

from lab.analysis.race import standing
from lab.cli.app import app, parser
from lab.config.breakage import BREAKAGES, find_breakage, twins_of
from lab.config.ladder import STAGES, stage_config
from lab.config.lr_sweep import LRSweep
from lab.config.run_config import RunConfig
from lab.datasets.dataset import load_dataset
from lab.errors import UsageError
from lab.queue.break_requests import BROKEN_TAG, chosen_offer, compose_twin, offers_of, pairs_with
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.run_store import NewRun, RunRow, RunStore
from lab.training.batches import Batches


def names(config: RunConfig, **options: Any) -> list[str]:
    return [twin.breakage.name for twin in twins_of(config, **options)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_each_offer_changes_something_and_leaves_the_batches_as_they_are(stage: Any) -> None:
    kind = "words" if stage.home_dataset == "names" else "stream"
    config = stage_config(stage.name, dataset_as=kind)
    offered = twins_of(config)
    assert offered, "there is always something to break"
    drawn = ("seed", "batch_size", "context_length", "dataset", "dataset_as", "steps", "overfit_one_batch")
    for twin in offered:
        assert twin.config.hash("text") != config.hash("text"), twin.breakage.name
        assert [getattr(twin.config, key) for key in drawn] == [getattr(config, key) for key in drawn]
        assert twin.config.stage == config.stage


def test_only_what_the_stage_has_is_offered() -> None:
    assert "no-residual" in names(stage_config("residual"))
    assert "no-residual" not in names(stage_config("blocks"))
    assert "no-norm" not in names(stage_config("residual"))
    assert "normal-init" not in names(stage_config("mlp", dataset_as="words")), "it starts so"
    assert names(stage_config("bigram")) == ["loud-last-layer", "lr-x10", "lr-div10", "plain-sgd"]
    assert "no-mask" not in names(stage_config("linear")), "nothing there looks at other positions"
    modern = names(stage_config("modern"))
    assert "no-muon" in modern
    assert "no-decay" in modern
    assert "uniform-attention" not in modern, "it has queries and keys of one length"


def test_of_a_run_that_went_on_from_a_checkpoint_only_what_keeps_the_shapes() -> None:
    offered = names(stage_config("layernorm"), keeping_shapes=True)
    assert "no-residual" in offered
    assert not {"no-norm", "no-positions", "uniform-attention", "no-feed-forward"} & set(offered)


def test_a_tenfold_lr_is_a_round_number() -> None:
    (twin,) = [twin for twin in twins_of(stage_config("scaled")) if twin.breakage.name == "lr-x10"]
    assert twin.config.lr == 3e-3


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_what_to_expect_fits_a_line(breakage: Any) -> None:
    assert len(breakage.expect) <= 70
    assert find_breakage(breakage.name) == find_breakage(breakage.label.upper()) == breakage


def test_a_wrong_name_is_told_the_near_miss() -> None:
    with pytest.raises(UsageError, match="did you mean 'no-residual'"):
        find_breakage("no-residul")
    with pytest.raises(UsageError, match="one of: no-residual, no-norm"):
        find_breakage("zzz")


def test_the_twin_sees_the_same_batches() -> None:
    dataset, config = load_dataset("shakespeare"), stage_config("layernorm")
    for twin in twins_of(config):
        pairs = [Batches(each, dataset, torch.device("cpu")).batch(7) for each in (config, twin.config)]
        assert torch.equal(pairs[0][0], pairs[1][0]), twin.breakage.name
        assert torch.equal(pairs[0][1], pairs[1][1])


# In the store


def add(store: RunStore, stage: str = "residual", **settings: Any) -> RunRow:
    dataset = load_dataset("shakespeare")
    config = stage_config(stage, settings={"steps": 20, **settings})
    return store.add_runs([NewRun(config, dataset_facts(dataset))])[0]


def test_a_twin_is_queued_once_and_found_again_from_both_sides(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "runs.db")
    run = add(store)
    other_seed = add(store, seed=5)
    offer = chosen_offer(run, store.runs(), "no residual")
    assert offer.stored is None
    (twin,) = store.add_runs([compose_twin(run, offer, store)])
    assert (twin.name, twin.tags, twin.seed) == ("residual-1-no-residual", (BROKEN_TAG,), run.seed)
    again = chosen_offer(run, store.runs(), "no-residual")
    assert again.stored == twin
    assert chosen_offer(other_seed, store.runs(), "no-residual").stored is None
    (pair,) = pairs_with(twin, store.runs())
    assert (pair.original, pair.twin, pair.breakage.name) == (run.id, twin.id, "no-residual")
    assert pairs_with(run, store.runs()) == []
    lifecycle.cancel(store, twin.id)
    assert chosen_offer(run, store.runs(), "no-residual").stored is None, "what was given up is no twin"
    with pytest.raises(UsageError, match="'no-norm' changes nothing in residual-1"):
        chosen_offer(run, store.runs(), "no-norm")
    store.close()


def test_an_lr_sweep_cannot_be_broken(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "runs.db")
    facts = dataset_facts(load_dataset("shakespeare"))
    (sweep,) = store.add_runs(
        [NewRun(stage_config("bigram"), facts, sweep=LRSweep(lowest=1e-3, highest=1.0, steps=20))]
    )
    with pytest.raises(UsageError, match="of kind lr-sweep"):
        offers_of(sweep, store.runs())
    store.close()


# What is said


@dataclass(frozen=True)
class Raced(MadeRun):
    """A run that may be under way."""

    at: int = 5000

    @property
    def step(self) -> int:
        return self.at


def pair(end: float, **of_twin: Any) -> tuple[Raced, Raced]:
    residual = stage_config("residual")
    config = of_twin.pop("config", residual.replace(residual=False))
    return Raced(residual, 2.07, name="residual-1"), Raced(config, end, name="twin", **of_twin)


def test_the_verdict_at_the_end_is_plain_and_says_what_it_rests_on() -> None:
    worse = standing(*pair(2.28))
    assert (worse.said, worse.over) == ("worse by 0.21 (one seed; the same batches)", True)
    assert standing(*pair(1.95)).said == "better by 0.12 (one seed; the same batches)"
    assert standing(*pair(2.075)).said == "no difference that one seed could show: +0.005 (one seed; the same batches)"
    assert standing(*pair(2.28, at=2500)).said.endswith("the same batches; 2,500 steps against 5,000)")


def test_a_model_that_reads_the_answer_wins_nothing() -> None:
    said = standing(*pair(0.02, config=stage_config("residual").replace(causal_mask=False))).said
    assert "means nothing: without its mask it reads the answer" in said


def test_a_twin_that_breaks_down_is_said_so() -> None:
    assert (
        standing(*pair(9.0, status="diverged", at=700)).said == "twin diverged at step 700; residual-1 ended at 2.070"
    )
    failed = standing(*pair(9.0, status="failed", at=700))
    assert "nothing to compare" in failed.said
    assert failed.over


def test_while_it_trains_the_two_are_compared_at_the_same_step() -> None:
    original, twin = pair(0.0, status="training", at=400)
    steps = np.array([0, 200, 400, 600])
    curves = {original.id: (steps, np.array([4.1, 3.0, 2.5, 2.3])), twin.id: (steps[:3], np.array([4.1, 3.4, np.nan]))}
    found = standing(original, twin, curves)
    assert found.said == "at step 200: twin is behind by 0.40"
    assert not found.over
    waiting = standing(*pair(0.0, status="queued", at=0), {})
    assert waiting.said == "twin waits to begin"


# The command


def lab(database: Path, *words: str) -> Any:
    parser()  # gives the app its commands
    return CliRunner().invoke(app, [*words, "--db", str(database)])


def test_lab_break_lists_queues_once_and_then_tells_how_it_stands(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    store = RunStore.open(database)
    add(store)
    listed = json.loads(lab(database, "break", "residual-1", "--json").stdout)
    assert [each["what"] for each in listed["breakages"]][:2] == ["no-residual", "no-scale"]
    assert listed["breakages"][0]["changes"] == {"residual": False}
    assert len(store.runs()) == 1, "listing queues nothing"
    plain = lab(database, "break", "residual-1")
    assert "gradients reach the first layers weak" in " ".join(plain.stdout.split())
    queued = lab(database, "break", "residual-1", "no-residual")
    assert "residual-1-no-residual" in queued.stdout
    assert "no worker is at work" in queued.stderr
    again = lab(database, "break", "residual-1", "no-residual")
    assert "residual-1 and residual-1-no-residual wait to begin" in again.stdout
    assert [run.name for run in store.runs()] == ["residual-1", "residual-1-no-residual"]
    store.close()

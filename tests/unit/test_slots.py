"""How many threads a run takes: estimated from its config, without building its model."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lab.config.ladder import STAGES_BY_NAME, stage_config
from lab.models.build import build_model
from lab.queue.slots import approximate_parameters, approximate_step_arithmetic, cores, threads_for

SMALL = [name for name in STAGES_BY_NAME if not name.startswith(("scaled", "modern"))]


@pytest.mark.parametrize("stage", SMALL)
def test_small_stages_train_on_one_thread_so_that_several_train_at_once(stage: str) -> None:
    assert threads_for(stage_config(stage), 65, slots=8) == 1


def test_a_large_stage_takes_every_slot() -> None:
    assert threads_for(stage_config("scaled"), 65, slots=8) == 8
    assert threads_for(stage_config("scaled"), 65, slots=1) == 1


@pytest.mark.parametrize("stage", STAGES_BY_NAME)
def test_the_estimate_counts_the_weights_of_the_models_matrix_products(stage: str) -> None:
    model = build_model(stage_config(stage), 65)
    matrices = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.dim() == 2 and ("embedding" not in name or stage == "bigram")
    )
    assert approximate_parameters(stage_config(stage), 65) == pytest.approx(matrices, rel=0.02)


def test_arithmetic_grows_with_the_tokens_of_a_batch() -> None:
    one, four = (stage_config("layernorm", settings={"batch_size": size}) for size in (1, 4))
    assert approximate_step_arithmetic(four, 65) == 4 * approximate_step_arithmetic(one, 65)
    window = stage_config("mlp")  # predicts one character from a whole window
    assert approximate_step_arithmetic(window, 27) == 6 * approximate_parameters(window, 27) * window.batch_size


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_only_the_processors_that_this_process_may_use_count() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from lab.queue.slots import cores; print(cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1\n"
    assert cores() >= 1

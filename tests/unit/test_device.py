"""Where and how a run is computed: what a person says goes, what is measured decides the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.errors import UsageError
from lab.models.build import build_model
from lab.training import device
from lab.training.device import SMALL_MODEL, Resources, best_device, resolve

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL, LARGE = SMALL_MODEL // 2 - 1, SMALL_MODEL
CONFIG = stage_config("layernorm", settings={"embedding_dim": 8, "layers": 1})


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_DEVICE", raising=False)


def build() -> nn.Module:
    return build_model(CONFIG, 10)


def unused() -> nn.Module:
    raise AssertionError("nothing was to be measured")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine one with other devices."""

    def change(*, cuda: bool = False, mps: bool = False, bf16: bool = True) -> None:
        monkeypatch.setattr(device, "imitates_bf16", lambda kind: kind == "cpu" and not bf16)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return change


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str]]]:
    """Says how long a training pass takes by device, or precision; returns what was asked about."""

    def change(**by: float) -> list[tuple[str, str]]:
        asked: list[tuple[str, str]] = []

        def measured(config: RunConfig, model: Any, resources: Resources) -> float:
            asked.append((resources.device, resources.precision))
            return by.get(resources.device if "cuda" in by or "mps" in by else resources.precision, 1.0)

        monkeypatch.setattr(device, "_seconds_per_pass", measured)
        monkeypatch.setattr(nn.Module, "to", lambda module, place: module)
        return asked

    return change


# Which device


@pytest.mark.parametrize(
    ("here", "best"),
    [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda"), ({"cuda": True, "mps": True}, "cuda")],
)
def test_the_best_device_is_the_fastest_kind_here(
    machine: Callable[..., None], here: dict[str, bool], best: str
) -> None:
    machine(**here)
    assert best_device() == best


@pytest.mark.parametrize("said", ["cpu", "CPU", " cpu "])
def test_lab_device_has_the_last_word(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    machine(cuda=True)
    monkeypatch.setenv("LAB_DEVICE", said)
    assert best_device() == "cpu"


@pytest.mark.parametrize("said", ["cuda", "tpu", "cpu,cuda"])
def test_a_lab_device_that_is_not_here_is_refused(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    machine(mps=True)
    monkeypatch.setenv("LAB_DEVICE", said)
    with pytest.raises(UsageError, match=f"^LAB_DEVICE={said} is not here; this machine has mps, cpu$"):
        best_device()


@pytest.mark.parametrize(("cpu_seconds", "chosen"), [(0.5, "cpu"), (2.0, "cuda")])
def test_a_small_model_goes_where_it_was_measured_faster(
    machine: Callable[..., None], seconds: Callable[..., list[tuple[str, str]]], cpu_seconds: float, chosen: str
) -> None:
    machine(cuda=True)
    asked = seconds(cuda=1.0, cpu=cpu_seconds)
    assert resolve(CONFIG, build, SMALL, 1).device == chosen
    assert {where for where, _ in asked} == {"cuda", "cpu"}


def test_a_large_model_goes_to_the_gpu_unmeasured(machine: Callable[..., None]) -> None:
    machine(cuda=True)
    assert resolve(CONFIG, unused, LARGE, 1) == Resources("cuda", "bf16", 1)


def test_what_a_person_said_is_not_measured(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    machine(cuda=True)
    monkeypatch.setenv("LAB_DEVICE", "cuda")
    assert resolve(CONFIG, unused, SMALL, 1) == Resources("cuda", "bf16", 1)


# Which precision


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("parameters", [SMALL, LARGE])
def test_the_configs_precision_goes(machine: Callable[..., None], precision: str, parameters: int) -> None:
    machine()
    config = CONFIG.replace(precision=precision)
    assert resolve(config, unused, parameters, 2) == Resources("cpu", precision, 2)


def test_a_small_model_on_the_cpu_is_fp32_unmeasured(machine: Callable[..., None]) -> None:
    machine()
    assert resolve(CONFIG, unused, SMALL, 1) == Resources("cpu", "fp32", 1)


@pytest.mark.parametrize(("bf16_seconds", "precision"), [(0.5, "bf16"), (0.95, "fp32"), (2.0, "fp32")])
def test_a_large_model_on_the_cpu_is_bf16_only_where_that_was_measured_clearly_faster(
    machine: Callable[..., None],
    seconds: Callable[..., list[tuple[str, str]]],
    bf16_seconds: float,
    precision: str,
) -> None:
    machine()
    seconds(fp32=1.0, bf16=bf16_seconds)
    assert resolve(CONFIG, build, LARGE, 2) == Resources("cpu", precision, 2)


def test_a_gpu_that_knows_no_bf16_computes_in_fp32(machine: Callable[..., None]) -> None:
    machine(cuda=True, bf16=False)
    assert resolve(CONFIG, unused, LARGE, 1).precision == "fp32"


def test_a_processor_that_imitates_bf16_computes_in_fp32_without_measuring(
    machine: Callable[..., None], seconds: Callable[..., list[tuple[str, str]]]
) -> None:
    machine(bf16=False)
    asked = seconds(fp32=1.0, bf16=0.5)
    assert resolve(CONFIG, build, LARGE, 1).precision == "fp32"
    assert asked == []


def test_precisions_are_compared_on_part_of_a_large_batch(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    batches: list[int] = []

    def measured(config: RunConfig, model: Any, resources: Resources) -> float:
        batches.append(config.batch_size)
        return 1.0

    monkeypatch.setattr(device, "_seconds_per_pass", measured)
    resolve(CONFIG.replace(batch_size=64, context_length=256), build, LARGE, 1)
    resolve(CONFIG.replace(batch_size=1, context_length=8192), build, LARGE, 1)
    assert batches == [16, 16, 1, 1]


def test_measuring_uses_the_threads_that_training_will(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def measured(*_: object) -> float:
        seen.append(torch.get_num_threads())
        return 1.0

    monkeypatch.setattr(device, "_seconds_per_pass", measured)
    monkeypatch.setattr(device, "imitates_bf16", lambda kind: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_num_threads(2)
    resolve(CONFIG, build, LARGE, 1)
    assert seen == [1, 1]


@pytest.mark.parametrize("stage", ["layernorm", "mlp"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_pass_is_really_timed(monkeypatch: pytest.MonkeyPatch, stage: str, precision: str) -> None:
    monkeypatch.setattr(device, "_MEASURED_SECONDS", 0.0)
    config = stage_config(stage, settings={"embedding_dim": 8})
    model = build_model(config, 10)
    passed = device._seconds_per_pass(config, model, Resources("cpu", precision, 1))
    assert passed == float("inf")  # there was time for the warm-up alone
    assert all(parameter.grad is not None for parameter in model.parameters())
    monkeypatch.setattr(device, "_MEASURED_SECONDS", 0.01)
    assert 0 < device._seconds_per_pass(config, model, Resources("cpu", precision, 1)) < 10


# Using them


def test_threads_are_set_for_the_whole_process() -> None:
    Resources("cpu", "fp32", 2).apply()
    assert torch.get_num_threads() == 2
    Resources("cpu", "fp32", 1).apply()
    assert torch.get_num_threads() == 1


def test_a_run_begun_on_a_device_that_is_gone_says_so(machine: Callable[..., None]) -> None:
    machine()
    with pytest.raises(UsageError, match="begun on cuda, which is not here"):
        Resources("cuda", "bf16", 1).apply()


def test_fp32_casts_nothing_and_bf16_the_products() -> None:
    assert isinstance(Resources("cpu", "fp32", 1).autocast(), nullcontext)
    linear = nn.Linear(4, 4)
    with Resources("cpu", "bf16", 1).autocast():
        assert linear(torch.zeros(1, 4)).dtype == torch.bfloat16
        _, loss = build()(torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.long))
    assert loss.dtype == torch.float32


@pytest.mark.gpu
def test_a_gpu_is_found_and_weighed_against_the_cpu() -> None:
    assert best_device() == "cuda"
    resources = resolve(CONFIG, build, SMALL, 1)
    assert resources.device in ("cuda", "cpu")
    large = resolve(stage_config("scaled"), unused, LARGE, 1)
    assert large.device == "cuda"
    large.apply()
    assert torch.get_float32_matmul_precision() == "high"

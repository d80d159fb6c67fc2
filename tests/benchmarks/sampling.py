"""Speed of writing: from the scaled model within its window, and many names at once."""

from __future__ import annotations

import torch

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.inference.sampling import sample_texts
from lab.models.build import build_model
from lab.models.mlp import MLP
from lab.training.device import Resources
from lab.training.loop import TrainingLoop
from tests.benchmarks.baselines import lecture_loop, lecture_mlp
from tests.benchmarks.measure import Comparison, compare
from tests.memory_recorder import MemoryRecorder

CHARACTERS, NAMES, LONGEST_NAME = 250, 1000, 60


def scaled_text(repetitions: int) -> Comparison:
    """A text of `scaled` that fits its window, against recomputing the window for each character; one thread."""
    torch.set_num_threads(1)
    dataset = load_dataset("shakespeare")
    config = stage_config("scaled")
    model = build_model(config, dataset.vocabulary_size).eval()
    lecture = lecture_loop.LectureModel("layernorm", dataset.vocabulary_size, lecture_loop.SCALED).eval()

    def ours() -> None:
        [text] = sample_texts(model, config, dataset.tokenizer, tokens=CHARACTERS)
        assert len(text) == CHARACTERS

    def baseline() -> None:
        assert lecture.generate(torch.zeros(1, 1, dtype=torch.long), CHARACTERS).shape == (1, CHARACTERS + 1)

    note = f"{CHARACTERS} characters, one thread"
    return compare("sample scaled", ours, baseline, repetitions=repetitions, target="≥ 10×", note=note)


def many_names(repetitions: int) -> Comparison:
    """A thousand names from one trained `mlp`, drawn together, against one after another; one thread."""
    torch.set_num_threads(1)
    dataset = load_dataset("names")
    settings = {"steps": 3000, "eval_every": 3000, "eval_examples": 64, "diagnostics_every": 0}
    config = stage_config("mlp", dataset="names", dataset_as="words", settings=settings)
    loop = TrainingLoop(config, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1))
    loop.run()
    model = loop.model
    assert isinstance(model, MLP)
    hidden, head = model.hidden[0], model.head
    trained = [model.token_embedding.weight, hidden.weight.t(), hidden.bias, head.weight.t(), head.bias]
    characters = "".join(dataset.tokenizer.vocabulary)
    lengths: dict[str, float] = {}

    def ours() -> None:
        names = sample_texts(model, config, dataset.tokenizer, tokens=LONGEST_NAME, count=NAMES)
        lengths["ours"] = sum(map(len, names)) / NAMES

    def baseline() -> None:
        names = lecture_mlp.sample_names([part.detach() for part in trained], characters, NAMES)
        lengths["theirs"] = sum(map(len, names)) / NAMES

    compared = compare("sample names", ours, baseline, repetitions=repetitions, target="≥ 50×", note=f"{NAMES:,} names")
    assert abs(lengths["ours"] - lengths["theirs"]) < 0.7, f"names of different models: {lengths}"
    return compared

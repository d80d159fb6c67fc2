"""What the ladder is measured by and recognised by; read on a thread, without torch and without the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.message import Message

from lab.errors import LabError
from lab.tui.snapshot import CountedBigram

if TYPE_CHECKING:
    from lab.config.ladder import Stage
    from lab.store.run_store import NewRun
    from lab.tui.model_code import Excerpt

SAMPLE_SEED = 1337


@dataclass(frozen=True)
class LadderFacts:
    """What stands on the ladder whatever has been trained."""

    untrained: CountedBigram | None = None
    stages: tuple[Stage, ...] = ()
    """The rungs that suit this machine, from the foot up."""
    group_hashes: Mapping[str, str] = field(default_factory=dict)
    """Of each stage's own config on its home dataset: by it a run is known to be of the rung, whatever its seed."""
    runs: Mapping[str, NewRun] = field(default_factory=dict)
    """What climbing would train of each stage; by these its time is estimated."""
    code: Mapping[str, tuple[Excerpt, ...]] = field(default_factory=dict)
    """The lines of model code that each stage turns on."""


@dataclass
class LadderFactsRead(Message):
    """The ladder's facts are known, or more of them than before."""

    facts: LadderFacts


def read_ladder_facts(post: Callable[[Message], object]) -> None:
    """Counts pairs and says so at once; then recognises the rungs, and then reads their code, which takes longer."""
    facts = LadderFacts(untrained=counted_bigram())
    post(LadderFactsRead(facts))
    facts = with_rungs(facts)
    post(LadderFactsRead(facts))
    post(LadderFactsRead(with_code(facts)))


def with_code(facts: LadderFacts) -> LadderFacts:
    """The facts with the lines of model code that each stage turns on."""
    from lab.tui.model_code import stage_code

    return replace(facts, code={stage.name: stage_code(stage.name) for stage in facts.stages})


def with_rungs(facts: LadderFacts) -> LadderFacts:
    """The facts with every rung's group hash; a dataset that cannot be read leaves its rungs without one."""
    from lab.analysis.intervals import t_quantile
    from lab.config.ladder import STAGES, ladder_stages, stage_config
    from lab.datasets.dataset import load_dataset
    from lab.queue.requests import dataset_facts
    from lab.queue.slots import has_gpu
    from lab.store.run_store import NewRun

    t_quantile(1)  # imports SciPy here, and not while the screen draws
    datasets = {}
    for name in {stage.home_dataset for stage in STAGES}:
        try:
            datasets[name] = load_dataset(name)
        except LabError:
            continue
    hashes, runs = {}, {}
    kept = {name: dataset_facts(dataset) for name, dataset in datasets.items()}
    for stage in STAGES:
        home = datasets.get(stage.home_dataset)
        if home is not None:
            config = stage_config(stage.name, dataset=home.name, dataset_as=home.kind)
            hashes[stage.name] = config.group_hash(home.sha256)
            runs[stage.name] = NewRun(config, kept[stage.home_dataset])
    suited = ladder_stages(gpu=has_gpu(), modern=True)
    stages = tuple(stage for stage in STAGES if stage.name in suited)
    return replace(facts, stages=stages, group_hashes=hashes, runs=runs)


def counted_bigram(name: str = "shakespeare", characters: int = 300) -> CountedBigram | None:
    """What guessing evenly and a bigram by counting make of a shipped dataset; None where it cannot be read."""
    import numpy as np

    from lab.datasets.counting import counted_bigram as probabilities_of
    from lab.datasets.counting import counting_loss, guessing_evenly
    from lab.datasets.dataset import load_dataset

    try:
        dataset = load_dataset(name)
    except LabError:
        return None
    vocabulary = dataset.vocabulary_size
    generator = np.random.default_rng(SAMPLE_SEED)
    evenly = generator.integers(vocabulary, size=characters)
    table = probabilities_of(dataset).cumsum(axis=1)
    written = [dataset.tokenizer.start_id]
    for threshold in generator.random(characters):
        written.append(min(int(np.searchsorted(table[written[-1]], threshold)), vocabulary - 1))
    return CountedBigram(
        dataset=dataset.name,
        vocabulary_size=vocabulary,
        guessing_evenly=guessing_evenly(vocabulary),
        counting=counting_loss(dataset),
        even_sample=dataset.tokenizer.decode([int(i) for i in evenly]),
        counted_sample=dataset.tokenizer.decode(written[1:]),
    )

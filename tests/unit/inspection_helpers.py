"""What the tests of inspection share: an untrained tiny model to look into, without a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.inference.figures import Figure, Page
from lab.inference.inspection.inspector import nobody_asks
from lab.inference.inspection.pages import PAGES
from lab.inference.inspection.subject import Subject
from lab.inference.loaded import LoadedModel
from lab.inference.views import InspectOptions
from lab.models.build import build_model
from tests.unit.training_helpers import tiny_config

STAGES = ("bigram", "linear", "mlp", "single-head", "multi-head", "blocks", "residual", "layernorm", "modern")


class NoStore:
    """Stands for the database of a model that is in none."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def dataset(self, database: str, run: Any) -> Dataset:
        return self._dataset

    def store(self, database: str) -> Any:
        return SimpleNamespace(checkpoints=lambda run_id: [SimpleNamespace(step=7), SimpleNamespace(step=3)])


def subject_of(dataset: Dataset, stage: str = "", config: RunConfig | None = None, **settings: Any) -> Subject:
    """A stage's tiny model with its initial weights, as if it had been trained for 7 steps."""
    config = config or tiny_config(stage, dataset, **settings)
    model = build_model(config, dataset.vocabulary_size).eval()
    checkpoint = SimpleNamespace(vocabulary=dataset.tokenizer.vocabulary, config=config)
    run = SimpleNamespace(id="1a", name=f"{config.stage}-1", dataset=dataset.name, dataset_sha256=dataset.sha256)
    loaded = LoadedModel(cast("Any", SimpleNamespace(step=7, sha256="0")), cast("Any", checkpoint), model)
    return Subject("", cast("Any", run), config, loaded, cast("Any", NoStore(dataset)))


def page_for(subject: Subject, view: str, **options: Any) -> Page:
    """A view of it."""
    return PAGES[view](subject, InspectOptions(**options), nobody_asks)


def figure(page: Page, beginning: str) -> Any:
    """The first figure whose title begins so."""
    found: list[Figure] = [each for each in page.figures if each.title.startswith(beginning)]
    assert found, f"no figure {beginning!r} among {[each.title for each in page.figures]}"
    return found[0]

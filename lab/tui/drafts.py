"""A run that a person is composing: what was typed, what it means, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lab.errors import ConfigError, DatasetError, LabError, UsageError
from lab.tui.widgets.run_columns import config_changes

if TYPE_CHECKING:
    from lab.queue.requests import RunRequest
    from lab.store.run_store import NewRun, RunRow, RunStore

MOST_SEEDS = 100
FIELDS = ("change", "steps", "seeds", "dataset", "name")


@dataclass(frozen=True)
class Draft:
    """What stands in the composer's fields; an empty one means as the stage has it."""

    stage: str = "bigram"
    change: str = ""
    steps: str = ""
    seeds: str = ""
    dataset: str = ""
    name: str = ""

    @classmethod
    def of_stage(cls, run: RunRow) -> Draft:
        """A new run of the stage of another one."""
        from lab.config.ladder import STAGES_BY_NAME

        return cls(stage=run.stage) if run.stage in STAGES_BY_NAME else cls()

    @classmethod
    def of_run(cls, run: RunRow) -> Draft:
        """A run that differs from its stage as another one does."""
        draft = cls.of_stage(run)
        if draft.stage != run.stage:
            return draft
        changes = config_changes(run.config_json)
        steps, seed = changes.pop("steps", ""), changes.pop("seed", "")
        from lab.config.ladder import find_stage

        dataset = "" if run.dataset == find_stage(run.stage).home_dataset else run.config.dataset
        if dataset and run.config.dataset_as == "words" and run.dataset not in ("shakespeare", "names"):
            dataset += " as words"
        change = " ".join(f"{key}={value}" for key, value in changes.items())
        return cls(run.stage, change, steps, seed, dataset)


@dataclass(frozen=True)
class Check:
    """What a draft comes to: runs to queue, or what is wrong with which field."""

    draft: Draft
    runs: tuple[NewRun, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    twins: tuple[str, ...] = ()
    """Names of stored runs with exactly such a config."""


def check(draft: Draft, database: Path, store: RunStore) -> Check:
    """Reads a draft and the dataset it names; on a thread. Wrong input is in the result, not raised."""
    from lab.queue.requests import compose

    errors: dict[str, str] = {}
    request = _request(draft, errors)
    if errors or request is None:
        return Check(draft, errors=errors)
    try:
        runs = tuple(compose(request, database))
    except DatasetError as error:
        return Check(draft, errors={"dataset": str(error)})
    except ConfigError as error:
        return Check(draft, errors={_field_of(str(error)): str(error)})
    except LabError as error:
        return Check(draft, errors={"change": str(error)})
    twins = [row.name for run in runs for row in store.find_by_config(run.config.hash(run.dataset.sha256))]
    return Check(draft, runs, twins=tuple(twins))


def _request(draft: Draft, errors: dict[str, str]) -> RunRequest | None:
    from lab.config.run_config import parse_settings
    from lab.queue.requests import RunRequest
    from lab.store.run_store import check_name

    settings: dict[str, Any] = {}
    seeds: list[int] = []
    try:
        settings = parse_settings(draft.change.split())
        for key in ("seed", "steps", "dataset", "dataset_as", "stage"):
            if key in settings:
                where = {"seed": "seeds", "dataset_as": "dataset"}.get(key, key)
                raise UsageError(f"{key} has its own place: {where}")
    except UsageError as error:
        errors["change"] = str(error)
    if draft.steps.strip():
        settings["steps"] = draft.steps.strip().replace(",", "").replace("_", "")
    try:
        seeds = parse_seeds(draft.seeds)
    except UsageError as error:
        errors["seeds"] = str(error)
    try:
        check_name(draft.name)
    except UsageError as error:
        errors["name"] = str(error)
    if errors:
        return None
    dataset, as_words, _ = draft.dataset.strip().partition(" as words")
    dataset = dataset.removesuffix(" as stream")
    return RunRequest(
        stage=draft.stage,
        dataset=dataset,
        dataset_as="words" if as_words else None,
        settings=settings,
        seeds=seeds,
        name=draft.name.strip(),
    )


def parse_seeds(text: str) -> list[int]:
    """Seeds from `1337`, `1 2 3`, `1, 2` or `1..5`. Raises `UsageError` on anything else."""
    seeds: list[int] = []
    for word in re.split(r"[,\s]+", text.strip()):
        found = re.fullmatch(r"(\d{1,10})(?:\.\.(\d{1,10}))?", word)
        if word and not found:
            raise UsageError(f"'{word}' is not a seed; write 1337, or 1 2 3, or 1..5")
        if found:
            first, last = int(found[1]), int(found[2] or found[1])
            if last < first or last - first >= MOST_SEEDS:
                raise UsageError(f"'{word}': from the smaller to the larger, at most {MOST_SEEDS} seeds")
            seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds) or len(seeds) > MOST_SEEDS:
        raise UsageError(f"each seed once, at most {MOST_SEEDS} of them")
    return seeds


def _field_of(message: str) -> str:
    """The composer's field that an error of a config is about."""
    for name in ("steps", "seed", "dataset"):
        if message.startswith(f"{name}="):
            return "seeds" if name == "seed" else name
    return "change"


def complete_setting(stage: str, text: str) -> str | None:
    """What the last word being typed may become: a key that the stage's model reads, or one of a key's values."""
    from lab.config.ladder import find_stage, stage_changes
    from lab.config.run_config import RunConfig, models_that_read

    before, space, word = text.rpartition(" ")
    if not word:
        return None
    key, equals, value = word.partition("=")
    model = stage_changes(find_stage(stage)).get("model")
    own = ("stage", "model", "dataset", "dataset_as", "seed", "steps")
    for name, info in RunConfig.model_fields.items():
        if name in own or model not in models_that_read(info):
            continue
        if not equals and name.startswith(key):
            return f"{before}{space}{name}="
        if equals and name == key:
            options = [str(option) for option in get_args(info.annotation) if isinstance(option, str)]
            options = ["on", "off"] if info.annotation is bool else options
            fitting = [option for option in options if option.startswith(value)]
            return f"{before}{space}{key}={fitting[0]}" if fitting and value != fitting[0] else None
    return None

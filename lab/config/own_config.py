"""The config of a model of a person's own: what its constructor asks for, with its own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.config.fields import field_value
from lab.config.ladder import WORDS_CONTEXT_LENGTH
from lab.config.own_model import CONFIG, OWN, VOCABULARY_SIZE, Constructor, OwnSource, constructor_of
from lab.config.run_config import DatasetKind, RunConfig, from_mapping
from lab.errors import ConfigError


def own_config(
    source: OwnSource, *, dataset: str, dataset_as: DatasetKind, settings: Mapping[str, Any] | None = None
) -> RunConfig:
    """The config of a model of one's own: the constructor's own defaults, with some fields set otherwise.

    Raises `ConfigError`, also on a setting that the constructor does not ask for.
    """
    constructor, settings = constructor_of(source), dict(settings or {})
    for key in ("stage", "model", "source_sha256"):
        if key in settings:
            raise ConfigError(f"{key} cannot be set: it is {source.class_name} of {source.file_name}")
    for key in settings:
        if not constructor.reads(key):
            raise ConfigError(
                f"{key} is set, and {source.class_name}'s constructor does not ask for it: "
                f"add a parameter '{key}' to its __init__"
            )
    return from_mapping(own_values(source, dataset=dataset, dataset_as=dataset_as) | settings)


def own_values(source: OwnSource, *, dataset: str, dataset_as: DatasetKind) -> dict[str, Any]:
    """What a model of one's own sets on a dataset, not yet checked. Raises `ConfigError`."""
    values: dict[str, Any] = {"model": OWN, "stage": source.class_name, "source_sha256": source.sha256}
    values |= {"dataset": dataset, "dataset_as": dataset_as}
    if dataset_as == "words":
        values["context_length"] = WORDS_CONTEXT_LENGTH
    return values | _own_defaults(source, constructor_of(source))


def usual_own_config(config: RunConfig) -> RunConfig:
    """The config of the same model with nothing set: what it is shown against, as a rung is against its stage."""
    named = ("model", "stage", "source_sha256", "dataset", "dataset_as")
    return from_mapping({name: getattr(config, name) for name in named})


def _own_defaults(source: OwnSource, constructor: Constructor) -> dict[str, Any]:
    """The defaults of a constructor's parameters that are fields of a config."""
    found = {}
    for parameter, default in constructor.defaults.items():
        name = constructor.asked[parameter]
        if name in (VOCABULARY_SIZE, CONFIG) or default is None:
            continue
        try:
            found[name] = field_value(name, default)
        except ConfigError as error:
            said = f"{source.file_name}: the default of '{parameter}' in {source.class_name}"
            raise ConfigError(f"{said}: {error}") from None
    return found

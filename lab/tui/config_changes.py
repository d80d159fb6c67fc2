"""What a run sets otherwise than its stage does, as people type it."""

from __future__ import annotations

from functools import lru_cache

from lab import text
from lab.text import shown_value


@lru_cache(maxsize=4096)
def changes_text(config_json: str) -> str:
    """What a config sets otherwise than its stage, as `key=value` words."""
    return text.literal(" ".join(f"{key}={value}" for key, value in config_changes(config_json).items()))


def config_changes(config_json: str) -> dict[str, str]:
    """The fields that a config sets otherwise than its stage does on the same dataset; empty where that is unknown."""
    from lab.config.ladder import stage_config
    from lab.config.own_config import usual_own_config
    from lab.config.run_config import from_json
    from lab.errors import LabError

    try:
        config = from_json(config_json)
        if config.model == "own":
            usual = usual_own_config(config)
        else:
            usual = stage_config(config.stage, dataset=config.dataset, dataset_as=config.dataset_as)
    except LabError:
        return {}
    return {
        name: shown_value(getattr(config, name))
        for name in type(config).model_fields
        if getattr(config, name) != getattr(usual, name)
    }

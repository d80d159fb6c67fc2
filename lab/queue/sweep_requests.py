"""What a person may ask of the LR finder, without torch: a stage, a dataset, a method, seeds and a range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab.config.lr_sweep import SEEDS, sweep_for
from lab.errors import ConfigError
from lab.queue.requests import RunRequest, compose
from lab.store.run_store import NewRun


@dataclass(frozen=True)
class SweepRequest:
    """What a person fills in; None leaves it to what suits the stage's optimiser."""

    run: RunRequest
    method: str = "ramp"
    seeds: int = SEEDS
    lowest: float | None = None
    highest: float | None = None
    steps: int | None = None


def compose_sweep(request: SweepRequest, database: Path) -> NewRun:
    """The sweep that a request asks for, as a new run of kind `lr-sweep`. Raises what `compose` does."""
    settings = dict(request.run.settings or {})
    if "lr" in settings:
        raise ConfigError(f"lr={settings['lr']}: the sweep sets it; give the range with --from and --to")
    if "steps" in settings:
        raise ConfigError(f"steps={settings['steps']}: give the steps of the sweep with --steps")
    new = compose(request.run, database)[0]
    spec = sweep_for(
        new.config,
        method=request.method,
        lowest=request.lowest,
        highest=request.highest,
        seeds=request.seeds,
        steps=request.steps,
    )
    return replace(new, sweep=spec)

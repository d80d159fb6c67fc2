"""What an LR sweep tries: a range of learning rates, by one rising ramp or by many short runs, over several seeds."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.config.run_config import RunConfig
from lab.errors import ConfigError

SweepMethod = Literal["ramp", "runs"]

LR_SWEEP = "lr-sweep"
"""The kind of run that a sweep is."""
SEEDS = 4
RATES = 11
"""Fixed rates of the method `runs`."""
STEPS_PER_DECADE = 165
FEWEST_RAMP_STEPS, MOST_RAMP_STEPS = 200, 1000
"""Of a ramp whose steps are not given: by the decades that it climbs."""
STEPS_OF_A_RUN = 200
"""Of each run of the method `runs`, unless given."""
NARROWEST = 3.0
"""The highest rate over the lowest: within less there is nothing to see."""
DEFAULT_RANGES: dict[str, tuple[float, float]] = {
    "adamw": (1e-5, 10.0),
    "sgd": (1e-3, 10.0),
    "muon": (1e-4, 10.0),
}


class LRSweep(BaseModel):
    """The spec of a sweep; the learning rate of each of its steps is a function of it.

    `ramp` trains each seed once, while lr rises exponentially from `lowest` to `highest`. `runs` trains each seed from
    its initial weights anew for `steps` steps at each of `rates` learning rates, evenly spaced in log lr.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: SweepMethod = "ramp"
    lowest: float = Field(ge=1e-12, le=1e4)
    highest: float = Field(ge=1e-12, le=1e4)
    seeds: int = Field(SEEDS, ge=1, le=32)
    steps: int = Field(ge=1, le=100_000)
    rates: int = Field(RATES, ge=3, le=100)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.highest <= self.lowest:
            raise ValueError(
                f"the range from {self.lowest:g} to {self.highest:g} does not rise; give the lower lr first"
            )
        if self.highest < NARROWEST * self.lowest:
            raise ValueError(
                f"the range from {self.lowest:g} to {self.highest:g} is too narrow; it must span a factor of "
                f"{NARROWEST:g} or more"
            )
        if self.method == "ramp" and not 20 <= self.steps <= 5000:
            raise ValueError(f"steps={self.steps}: a ramp has from 20 to 5,000")
        return self

    @property
    def points(self) -> int:
        """Points of each seed's curve: steps of the ramp, or rates."""
        return self.steps if self.method == "ramp" else self.rates

    @property
    def total_steps(self) -> int:
        """Steps that each seed is trained, all together."""
        return self.steps if self.method == "ramp" else self.steps * self.rates

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rate of each point, rising."""
        decades = math.log10(self.highest / self.lowest)
        return tuple(self.lowest * 10 ** (decades * i / (self.points - 1)) for i in range(self.points))

    def point_of(self, step: int) -> int:
        """The point, from 0, that a step belongs to, counted from 1 over the whole sweep."""
        return step - 1 if self.method == "ramp" else (step - 1) // self.steps

    def step_of(self, point: int) -> int:
        """The step at which a point, from 0, is recorded: the last that belongs to it."""
        return point + 1 if self.method == "ramp" else (point + 1) * self.steps

    def member_seeds(self, config: RunConfig) -> tuple[int, ...]:
        """The seeds, the config's own first."""
        return tuple(config.seed + i for i in range(self.seeds))

    def to_json(self) -> str:
        """The spec as one line of JSON, read back by `sweep_from_json`."""
        return self.model_dump_json()

    def hash(self, of_config: str) -> str:
        """The hash of the sweep of a config, from that of the config; a sweep is never taken for its config's run."""
        return hashlib.sha256(f"{of_config} {self.to_json()}".encode()).hexdigest()


def sweep_metric(seed: int) -> str:
    """The metric that holds the losses of one seed of a sweep."""
    return f"sweep/loss/{seed}"


def at_rate(config: RunConfig, lr: float) -> dict[str, float]:
    """What a config is changed by for another learning rate: a second rate, where it has one, keeps its ratio."""
    if config.adamw_lr is None:
        return {"lr": lr}
    return {"lr": lr, "adamw_lr": config.adamw_lr * lr / config.lr}


def sweep_for(
    config: RunConfig,
    *,
    method: str = "ramp",
    lowest: float | None = None,
    highest: float | None = None,
    seeds: int = SEEDS,
    steps: int | None = None,
) -> LRSweep:
    """A sweep that suits a config, where nothing else is asked for. Raises `ConfigError`."""
    default = DEFAULT_RANGES[config.optimizer]
    low, high = (default[0] if lowest is None else lowest), (default[1] if highest is None else highest)
    if steps is None:
        rises = all(math.isfinite(lr) and lr > 0 for lr in (low, high)) and high > low
        wanted = STEPS_PER_DECADE * math.log10(high / low) if rises else 0
        ramp = round(min(max(wanted, FEWEST_RAMP_STEPS), MOST_RAMP_STEPS))
        steps = ramp if method == "ramp" else STEPS_OF_A_RUN
    config.replace(seed=config.seed + max(0, seeds - 1))  # such as one past the last there is
    sweep = _validated({"method": method, "lowest": low, "highest": high, "seeds": seeds, "steps": steps})
    if sweep.method == "runs":
        config.replace(steps=sweep.steps)  # such as a warm-up that is longer
    return sweep


def sweep_from_json(text: str) -> LRSweep:
    """A spec from its JSON. Raises `ConfigError` where it is none."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"the spec of the LR sweep is not JSON: {error}") from None
    return _validated(values)


_OPTIONS = {"lowest": "--from", "highest": "--to", "seeds": "--seeds", "steps": "--steps"}


def _validated(values: Any) -> LRSweep:
    try:
        return LRSweep.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explained(detail) for detail in error.errors())) from None


def _explained(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0])
    rule = (message[:1].lower() + message[1:]).replace("input should be ", "must be ")
    rule = rule.replace("0.000000000001", "1e-12")
    return f"{_OPTIONS.get(field, field)} {detail['input']}: {rule}"

"""The config of a run: everything that determines what is trained and how, frozen, validated and hashable."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from lab.config.field_rules import check_mlp, check_own, check_training, check_transformer
from lab.errors import ConfigError

ModelFamily = Literal["bigram", "mlp", "transformer", "own"]
DatasetKind = Literal["stream", "words"]

_ALL: tuple[ModelFamily, ...] = ("bigram", "mlp", "transformer", "own")
_EMBEDDED: tuple[ModelFamily, ...] = ("mlp", "transformer")
_TRANSFORMER: tuple[ModelFamily, ...] = ("transformer",)

# Fields that a later version adds enter here with the value that means "as before", and are left out of the hash at
# that value, so that the hashes of older runs stay what they were.
NEUTRAL_VALUES_OF_LATER_FIELDS: dict[str, object] = {
    "norm_kind": "layer",
    "qk_norm": False,
    "logit_softcap": 0.0,
    "adamw_lr": None,
    "beta2": 0.999,
    "momentum": 0.95,
    "source_sha256": None,
}

FIELDS_WITHOUT_INFLUENCE = ("dataset", "diagnostics_every")
"""Left out of the hash, since no number of a run depends on them: where the text lies (its contents are hashed), and
how often diagnostics look on, which never changes what is trained."""

FEWEST_EVALUATED_CHARACTERS = 512
"""Below this the loss of an evaluation, even of the shortest run, would say nothing."""

# What people who come from nanoGPT, makemore or the W&B habit call our fields.
SYNONYMS = {
    "learning_rate": "lr",
    "max_lr": "lr",
    "block_size": "context_length",
    "context": "context_length",
    "sequence_length": "context_length",
    "n_embd": "embedding_dim",
    "d_model": "embedding_dim",
    "n_hidden": "hidden_dim",
    "n_head": "heads",
    "n_heads": "heads",
    "head_size": "head_dim",
    "n_layer": "layers",
    "n_layers": "layers",
    "max_iters": "steps",
    "max_steps": "steps",
    "iterations": "steps",
    "batch": "batch_size",
    "optim": "optimizer",
    "wd": "weight_decay",
    "clip": "grad_clip",
    "warmup": "warmup_steps",
    "eval_interval": "eval_every",
    "corpus": "dataset",
    "projection": "output_projection",
    "mask": "causal_mask",
}


def _setting(default: Any, description: str, *, models: tuple[ModelFamily, ...] = _ALL, **rules: Any) -> Any:
    """One field of a config, with the model families that read it."""
    return Field(default, description=description, json_schema_extra={"models": list(models)}, **rules)


class RunConfig(BaseModel):
    """Everything that determines a run.

    The stage is a label; the sizes and switches say what is built, so an ablation is a config that differs from its
    stage's in one field. A config never changes: `replace` makes another.

    Raises `ConfigError`, through `from_mapping`, `from_json` and `replace`, with the field, the value and the rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stage: str = Field(description="the rung of the ladder that this config starts from", min_length=1)
    model: ModelFamily = Field(description="which family of model is built")

    # Data
    dataset: str = _setting("shakespeare", "name of a dataset, or the path of a text file", min_length=1)
    dataset_as: DatasetKind = _setting("stream", "how the text is cut: one stream, or a word a line")
    context_length: int = _setting(8, "characters that the model sees at once (T)", ge=1, le=65_536)

    # Sizes
    embedding_dim: int = _setting(32, "numbers per character (C)", models=_EMBEDDED, ge=1, le=65_536)
    hidden_dim: int = _setting(200, "neurons in each hidden layer of the MLP", models=("mlp",), ge=1, le=65_536)
    layers: int = _setting(1, "blocks of a transformer, or hidden layers of an MLP", models=_EMBEDDED, ge=0, le=256)
    heads: int = _setting(1, "attention heads in each layer", models=_TRANSFORMER, ge=1, le=1024)
    head_dim: int | None = _setting(
        None, "width of one head; embedding_dim / heads unless given", models=_TRANSFORMER, ge=1, le=65_536
    )
    feed_forward_multiple: int = _setting(
        0, "width of the feed-forward layer over its input's; 0 leaves it out", models=_TRANSFORMER, ge=0, le=64
    )

    # Switches
    activation: Literal["relu", "gelu", "tanh", "relu_squared"] = _setting("relu", "the nonlinearity", models=_EMBEDDED)
    activation_gain: float | None = _setting(
        None,
        "factor on the Kaiming init of layers before a nonlinearity; by the nonlinearity unless given",
        models=_EMBEDDED,
        gt=0,
        le=1e6,
    )
    dropout: float = _setting(0.0, "share of activations dropped in training", models=_EMBEDDED, ge=0, lt=1)
    residual: bool = _setting(False, "skip connections around attention and feed-forward", models=_TRANSFORMER)
    norm: Literal["none", "pre", "post"] = _setting("none", "where a norm stands in a block", models=_TRANSFORMER)
    norm_kind: Literal["layer", "rms"] = _setting(
        "layer", "layer norm, or RMS norm without weights", models=_TRANSFORMER
    )
    qk_norm: bool = _setting(False, "queries and keys are brought to one length", models=_TRANSFORMER)
    positions: Literal["none", "learned", "rotary"] = _setting(
        "none", "position embeddings, or queries and keys turned by their place", models=_TRANSFORMER
    )
    attention: Literal["learned", "uniform"] = _setting(
        "learned", "weights from queries and keys, or an even average of what came before", models=_TRANSFORMER
    )
    value_projection: bool = _setting(True, "heads read a projection of their input", models=_TRANSFORMER)
    attention_scale: Literal["1/sqrt(d)", "none", "sqrt(d)"] = _setting(
        "1/sqrt(d)", "factor on q·k before the softmax (sqrt(d) is the classic bug)", models=_TRANSFORMER
    )
    causal_mask: bool = _setting(True, "no looking ahead; off, the model sees the answer", models=_TRANSFORMER)
    output_projection: bool = _setting(
        False, "a linear layer from the heads, and from the feed-forward, back to C", models=_TRANSFORMER
    )
    bias: bool = _setting(True, "additive biases in linear layers and norms", models=_EMBEDDED)
    tied_embeddings: bool = _setting(False, "the head shares the token embedding's weights", models=_EMBEDDED)
    logit_softcap: float = _setting(
        0.0, "logits bent towards ± this bound; 0 leaves them", models=_TRANSFORMER, ge=0, le=1e6
    )

    # Initialisation
    init: Literal["torch", "normal", "kaiming"] = _setting("torch", "torch's defaults, N(0, 1), or Kaiming")
    last_layer_scale: float = _setting(1.0, "factor on the initial weights of the last layer", ge=0, le=1e6)
    residual_scale: float = _setting(
        1.0, "factor on the initial output projections of each block", models=_TRANSFORMER, ge=0, le=1e6
    )

    # Optimisation
    optimizer: Literal["adamw", "sgd", "muon"] = _setting(
        "adamw", "what applies the gradients; muon does to the matrices of blocks, and AdamW to the rest"
    )
    lr: float = _setting(1e-3, "learning rate, the peak of its schedule", gt=0, le=1e6)
    adamw_lr: float | None = _setting(None, "under muon, AdamW's learning rate; lr unless given", gt=0, le=1e6)
    beta2: float = _setting(0.999, "AdamW's memory of squared gradients", ge=0, lt=1)
    momentum: float = _setting(0.95, "Muon's memory of gradients", ge=0, lt=1)
    schedule: Literal["constant", "step", "cosine", "linear"] = _setting("constant", "how lr changes over the run")
    warmup_steps: int = _setting(0, "steps over which lr rises from 0", ge=0)
    decay_start: float = _setting(0.0, "share of the run after which lr decays", ge=0, le=1)
    decay_to: float = _setting(0.1, "share of lr that the decay ends at", ge=0, le=1)
    weight_decay: float = _setting(0.01, "decoupled under AdamW, L2 under SGD", ge=0, le=1e6)
    grad_clip: float = _setting(0.0, "largest gradient norm; 0 clips nothing", ge=0, le=1e9)
    batch_size: int = _setting(32, "examples in a step (B)", ge=1, le=1_048_576)
    steps: int = _setting(5000, "optimiser steps", ge=1, le=1_000_000_000)
    overfit_one_batch: bool = _setting(False, "every step sees the first batch again")

    # How it is computed and watched
    precision: Literal["auto", "fp32", "bf16"] = _setting("auto", "arithmetic of the forward pass")
    compile: bool = _setting(False, "torch.compile the model")
    seed: int = _setting(1337, "of the initial weights, the batches and the dropout", ge=0, lt=2**31)
    eval_every: int | None = _setting(None, "steps between evaluations; about 25 a run unless given", ge=1)
    eval_examples: int | None = _setting(None, "examples in each evaluation; by the run's size unless given", ge=1)
    diagnostics_every: int | None = _setting(
        None, "steps between looks inside the model; at each evaluation unless given, 0 never", ge=0
    )

    source_sha256: str | None = _setting(
        None, "SHA-256 of the file of a model of one's own", models=("own",), pattern="^[0-9a-f]{64}$"
    )

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.model == "transformer":
            check_transformer(self)
        if self.model == "own":
            check_own(self)
        for name, field in type(self).model_fields.items():
            read = self.model == "own" or self.model in models_that_read(field)  # the constructor may ask for any
            if not read and getattr(self, name) != field.default:
                raise ValueError(f"{name}={_shown(getattr(self, name))} does not apply to a {self.model} model")
        if self.model == "mlp":
            check_mlp(self)
        check_training(self)
        return self

    @property
    def attention_width(self) -> int:
        """Width of all heads side by side: heads × head_dim."""
        return self.heads * (self.head_dim or self.embedding_dim // self.heads)

    @property
    def final_width(self) -> int:
        """Width of what the transformer's last layer reads."""
        if self.layers and not self.output_projection:
            return self.attention_width
        return self.embedding_dim

    @property
    def sees_the_answer(self) -> bool:
        """Whether a position can read the characters after it, so that its loss means nothing."""
        return self.model == "transformer" and self.layers > 0 and not self.causal_mask

    @property
    def predicts_every_position(self) -> bool:
        """Whether each position of a window is an example (else only what follows the whole window)."""
        return self.model != "mlp"

    @property
    def weights_layout(self) -> tuple[object, ...]:
        """What the names and shapes of the weights follow from: with equal ones, weights go over from run to run."""
        layout: tuple[object, ...] = (self.model,)
        if self.model != "bigram":
            layout += (self.embedding_dim, self.layers, self.bias, self.tied_embeddings)
        if self.model == "mlp":
            # Dropout layers stand between hidden ones, and so change the later ones' names.
            layout += (self.context_length, self.hidden_dim, self.layers > 1 and self.dropout > 0)
        if self.model == "transformer":
            layout += (self.attention_width, self.feed_forward_multiple, self.output_projection)
            layout += (self.norm if self.norm_kind == "layer" else "none",)  # RMS norm has no weights here
            layout += (self.attention, self.value_projection)
            layout += (self.context_length if self.positions == "learned" else None,)
        if self.model == "own":
            fields = type(self).model_fields.items()
            own = (name for name, field in fields if models_that_read(field) != _ALL and name != "dropout")
            layout += (self.context_length, *(getattr(self, name) for name in own))
        return layout

    @property
    def evaluation_interval(self) -> int:
        """Steps between evaluations: about 25 of them in a run."""
        return self.eval_every or max(1, round(self.steps / 25))

    @property
    def diagnostics_interval(self) -> int:
        """Steps between looks inside the model; 0 where there are none."""
        return self.evaluation_interval if self.diagnostics_every is None else self.diagnostics_every

    @property
    def evaluation_examples(self) -> int:
        """Examples of each split in one evaluation.

        A training step costs about three forward passes of its batch. Evaluations pass over two splits once each, so
        this many examples keep all evaluations together within a tenth of the training's arithmetic.
        """
        if self.eval_examples:
            return self.eval_examples
        evaluations = math.ceil(self.steps / self.evaluation_interval)
        fewest = FEWEST_EVALUATED_CHARACTERS // (self.context_length if self.predicts_every_position else 1)
        return max(1, fewest, round(0.1 * 3 * self.steps * self.batch_size / (2 * evaluations)))

    def resolved(self) -> dict[str, Any]:
        """The config as plain JSON values, with what is derived filled in."""
        values = self.model_dump(mode="json")
        values["eval_every"] = self.evaluation_interval
        values["eval_examples"] = self.evaluation_examples
        values["diagnostics_every"] = self.diagnostics_interval
        if self.model == "transformer":
            values["head_dim"] = self.attention_width // self.heads
        return values

    def hash(self, dataset_sha256: str) -> str:
        """SHA-256 over what determines the run: the resolved config and the dataset's contents, not its place."""
        return _digest(self._hashed_values() | {"dataset_sha256": dataset_sha256})

    def group_hash(self, dataset_sha256: str) -> str:
        """Like `hash`, the same for configs that are equal but for the seed."""
        values = self._hashed_values() | {"dataset_sha256": dataset_sha256}
        del values["seed"]
        return _digest(values)

    def _hashed_values(self) -> dict[str, Any]:
        neutral, unhashed = NEUTRAL_VALUES_OF_LATER_FIELDS, FIELDS_WITHOUT_INFLUENCE
        return {
            name: value
            for name, value in self.resolved().items()
            if name not in unhashed and not (name in neutral and value == neutral[name])
        }

    def replace(self, **changes: Any) -> RunConfig:
        """Another config with some fields changed, validated again."""
        return from_mapping(self.model_dump() | changes)

    def to_json(self) -> str:
        """The config as one line of JSON, read back by `from_json`."""
        return self.model_dump_json()


def models_that_read(field: FieldInfo) -> tuple[ModelFamily, ...]:
    """The model families for which a field of the config means something."""
    extra = field.json_schema_extra
    return tuple(extra["models"]) if isinstance(extra, dict) else _ALL  # type: ignore[arg-type]


def from_mapping(values: Mapping[str, Any]) -> RunConfig:
    """A validated config from plain values, as they come from JSON, TOML or `--set`.

    Raises `ConfigError` on unknown keys (with the near miss), values out of range and sizes that contradict.
    """
    check_keys(values)
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("; ".join(explained(detail) for detail in error.errors())) from None


LARGEST_CONFIG = 2**20
"""Characters of a config as JSON."""


def from_json(text: str) -> RunConfig:
    """A validated config from its JSON. Raises `ConfigError` as `from_mapping` does, and on broken or endless JSON."""
    if len(text) > LARGEST_CONFIG:
        raise ConfigError(f"the config is longer than any can be: {len(text):,} characters")
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"the config is not JSON: {error}") from None
    except RecursionError:
        raise ConfigError("the config is not JSON of any use: it is nested too deep") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the config must be a JSON object, got {type(values).__name__}")
    return from_mapping(values)


def check_keys(values: Mapping[str, Any]) -> None:
    """Raises `ConfigError` on the first key that is no field of a config, naming the near miss."""
    known = RunConfig.model_fields
    for key in values:
        if key not in known:
            named = next(iter(difflib.get_close_matches(key.lower(), [*known, *SYNONYMS], n=1)), key.lower())
            near = named if named in known else SYNONYMS.get(named)
            hint = f": did you mean '{near}'?" if near else f"; known keys: {', '.join(known)}"
            raise ConfigError(f"unknown key '{key}'{hint}")


def parse_settings(settings: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Values from `KEY=VALUE` words; `none` stands for a field left to be derived.

    Raises `ConfigError` on a word without `=` and on an unknown key.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(f"'{setting}' is not KEY=VALUE; write for example lr=3e-4")
        check_keys({key: text})
        values[key] = None if text.strip().lower() == "none" and may_be_derived(key) else text.strip()
    return values


def may_be_derived(key: str) -> bool:
    """Whether a field can be left to be derived from the others."""
    return RunConfig.model_fields[key].default is None


def explained(detail: Any) -> str:
    """One error of pydantic's as `field=value rule`."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0])
    if detail["type"] == "missing":
        return f"{field} is missing"
    rule = message[:1].lower() + message[1:]
    for said, better in (("input should be ", "must be "), ("string should have ", "must have ")):
        rule = rule.replace(said, better)
    return f"{field}={_shown(detail['input'])} {rule}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _digest(values: Mapping[str, Any]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()

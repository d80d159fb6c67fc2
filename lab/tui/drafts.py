"""Runs that a person is composing: what was typed, what it means, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lab.errors import ConfigError, DatasetError, GridTooLargeError, LabError, UsageError
from lab.text import literal, plural, shown_value
from lab.tui.config_changes import config_changes

if TYPE_CHECKING:
    from lab.config.experiment import Experiment
    from lab.config.named_model import NamedModel
    from lab.config.own_model import OwnSource
    from lab.config.run_config import RunConfig
    from lab.config.value_list import Values
    from lab.queue.experiment_requests import DatasetReader, Plan
    from lab.store.run_store import NewRun, RunRow, RunStore

FIELDS = ("model", "change", "seeds", "steps", "dataset", "name")
OWN = "own"
"""The stage of a draft whose model is a class of one's own."""
OWN_PLACES = {"seed": "seeds", "steps": "steps", "dataset": "dataset", "dataset_as": "dataset", "stage": "the stages"}
"""The keys that are not set among the changes, and where they are."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "data": ("context_length", "batch_size", "overfit_one_batch"),
    "model": (
        *("embedding_dim", "hidden_dim", "layers", "heads", "head_dim", "feed_forward_multiple", "activation"),
        *(
            "dropout",
            "residual",
            "norm",
            "norm_kind",
            "qk_norm",
            "positions",
            "attention",
            "value_projection",
            "attention_scale",
        ),
        *("causal_mask", "output_projection", "bias", "tied_embeddings", "init", "activation_gain"),
        *("last_layer_scale", "residual_scale", "logit_softcap"),
    ),
    "optimiser": (
        "optimizer",
        "lr",
        "adamw_lr",
        "beta2",
        "momentum",
        "weight_decay",
        "grad_clip",
        "precision",
        "compile",
    ),
    "schedule": ("schedule", "warmup_steps", "decay_start", "decay_to"),
    "evaluation": ("eval_every", "eval_examples", "diagnostics_every"),
}
"""The fields of a config as the composer folds them away; what is in none comes last."""

_ASSIGNMENT = re.compile(r"(?:^|(?<=[\s;]))([A-Za-z_][\w-]*)\s*=")
_WORD_AFTER_VALUE = re.compile(r"^(.*[^,\s])\s+(?!log\b|linear\b)([A-Za-z_]\S*)$")


@dataclass(frozen=True)
class Draft:
    """What stands in the composer's fields; an empty one means as the stage has it."""

    stage: str = "bigram"
    """A rung, or `OWN`: what `model` names."""
    model: str = ""
    """A model of one's own, as FILE.py:CLASS; the file is found from the working folder."""
    kept: OwnSource | None = None
    """The file of such a model as a run has it, which stands for `model` as long as that names it."""
    change: str = ""
    steps: str = ""
    seeds: str = ""
    dataset: str = ""
    name: str = ""

    @classmethod
    def of_stage(cls, run: RunRow, source: OwnSource | None = None) -> Draft:
        """A new run of the stage of another one; `source` is the file of its own model."""
        from lab.config.ladder import STAGES_BY_NAME

        if source is not None:
            return cls(OWN, source.word, source)
        return cls(stage=run.stage) if run.stage in STAGES_BY_NAME else cls()

    @classmethod
    def of_run(cls, run: RunRow, source: OwnSource | None = None, **changes: object) -> Draft:
        """A run that differs from its stage as another one does, and by what is changed on top, such as `lr=1e-3`."""
        draft = cls.of_stage(run, source)
        if source is None and draft.stage != run.stage:
            return draft
        settings = config_changes(run.config_json) if source is None else _set_otherwise(run.config, source)
        steps, seed = settings.pop("steps", ""), settings.pop("seed", "")
        dataset = "" if run.dataset == draft.named_model().home_dataset else run.config.dataset
        if dataset and run.config.dataset_as == "words" and run.dataset not in ("shakespeare", "names"):
            dataset += " as words"
        settings |= {key: shown_value(value) for key, value in changes.items()}
        change = " ".join(f"{key}={value}" for key, value in settings.items())
        return replace(draft, change=change, steps=steps, seeds=seed, dataset=dataset)

    @property
    def word(self) -> str:
        """What names the model: a rung, or FILE.py:CLASS."""
        return self.model.strip() if self.stage == OWN else self.stage

    @property
    def is_kept(self) -> bool:
        """Whether the model is the one that a run has kept, whatever its file holds now."""
        return self.kept is not None and self.stage == OWN and self.word == self.kept.word

    def named_model(self) -> NamedModel:
        """The model. Raises `ConfigError` or `UsageError` where its file does not do."""
        from lab.config.named_model import NamedModel, named_model
        from lab.config.own_model import names_own_model

        if self.kept is not None and self.is_kept:
            return NamedModel(self.kept.class_name, self.kept)
        if self.stage == OWN and not names_own_model(self.word):
            raise UsageError("name a file and the class in it: my_model.py:MyModel")
        return named_model(self.word)

    def with_setting(self, key: str, value: str) -> Draft:
        """The same with one setting changed, or taken out where nothing is left of it."""
        settings, rest = typed_settings(self.change)
        settings.pop(key, None)
        if value.strip():
            settings[key] = value.strip()
        words = [f"{name}={text}" for name, text in settings.items()]
        return replace(self, change=" ".join([*words, rest] if rest else words))


@dataclass(frozen=True)
class Check:
    """What a draft comes to: runs to queue, or what is wrong with which field, and with which key of the config."""

    draft: Draft
    model: NamedModel | None = None
    experiment: Experiment | None = None
    plan: Plan | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    key_errors: Mapping[str, str] = field(default_factory=dict)
    too_large: GridTooLargeError | None = None

    @property
    def runs(self) -> tuple[NewRun, ...]:
        """All runs that the draft describes, stored already or not."""
        return self.plan.runs if self.plan is not None else ()

    @property
    def twins(self) -> tuple[str, ...]:
        """Names of stored runs with exactly such a config."""
        return tuple(row.name for row in (self.plan.stored if self.plan is not None else ()) if row is not None)


def check(
    draft: Draft, read: DatasetReader, stored: Sequence[RunRow], *, confirmed: bool = False, experiment_name: str = ""
) -> Check:
    """Reads a draft and the dataset it names; on a thread. Wrong input is in the result, not raised."""
    from lab.queue.experiment_requests import compose_experiment, plan

    errors: dict[str, str] = {}
    key_errors: dict[str, str] = {}
    try:
        model = draft.named_model()
    except UsageError as error:
        return Check(draft, errors={"model": str(error)})
    experiment = _experiment(draft, model, errors, key_errors)
    if experiment is None:
        return Check(draft, model, errors=errors, key_errors=key_errors)
    named = experiment_name or None
    try:
        runs = compose_experiment(experiment, read, name=named, find_model=lambda _: model, confirmed=confirmed)
    except GridTooLargeError as error:
        return Check(draft, model, experiment, too_large=error)
    except DatasetError as error:
        return Check(draft, model, errors={"dataset": str(error)})
    except LabError as error:
        return Check(draft, model, errors={"change": str(error).removesuffix(_REMEDY_OF_FILES)})
    if not experiment.grid:
        runs = [replace(run, name=draft.name.strip()) for run in runs]
    return Check(draft, model, experiment, plan(runs, stored))


_REMEDY_OF_FILES = " (a condition under exclude leaves it out)"


def queue_draft(store: RunStore, draft: Draft, plan: Plan, *, again: bool) -> str:
    """Queues what a draft comes to, and says what; whoever names the file of a model wants it run here.

    Raises `UsageError` where nothing of it is missing, and what `queue_plan` does.
    """
    from lab.queue.experiment_requests import queue_plan
    from lab.queue.requests import let_own_models_run

    if not draft.is_kept:
        let_own_models_run(plan.to_queue(again=again))
    rows = queue_plan(store, plan, again=again)
    if not rows:
        raise UsageError("all of it is stored already (ctrl+r trains it again)")
    names = ", ".join(literal(row.name) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
    kept = len(plan.runs) - len(rows)
    reused = f"; {plural(kept, 'run')} stored already" if kept else ""
    return f"queued {plural(len(rows), 'run')}: {names}{reused}"


def _set_otherwise(config: RunConfig, source: OwnSource) -> dict[str, str]:
    """The fields that a config sets otherwise than the constructor of its own model does by itself."""
    from lab.config.own_config import own_config

    usual = own_config(source, dataset=config.dataset, dataset_as=config.dataset_as)
    names = [name for name in type(config).model_fields if getattr(config, name) != getattr(usual, name)]
    return {name: shown_value(getattr(config, name)) for name in names}


def _experiment(
    draft: Draft, model: NamedModel, errors: dict[str, str], key_errors: dict[str, str]
) -> Experiment | None:
    """The draft as an experiment; None where something is wrong, which is then said of its field and its key."""
    from lab.config.experiment import Experiment, Variant
    from lab.config.own_model import from_folder
    from lab.config.value_list import values_from_text
    from lab.store.run_store import check_name

    values: dict[str, Values] = {}
    seeds: Values | None = None
    _read_changes(draft, values, errors, key_errors)
    for key, typed in (("steps", draft.steps), ("seeds", re.sub(r"(?<=\d)\s+(?=\d)", ", ", draft.seeds.strip()))):
        try:
            if typed.strip() and key == "steps":
                values["steps"] = values_from_text("steps", typed)
            elif typed.strip():
                seeds = values_from_text("seed", typed)
        except ConfigError as error:
            errors[key] = str(error)
    try:
        check_name(draft.name)
    except UsageError as error:
        errors["name"] = str(error)
    if errors:
        return None
    base = {key: next(iter(each)) for key, each in values.items() if len(each) == 1}
    grid = {key: each for key, each in values.items() if len(each) > 1}
    dataset, as_words, _ = draft.dataset.strip().partition(" as words")
    if dataset.removesuffix(" as stream"):
        base["dataset"] = dataset.removesuffix(" as stream")
    if as_words:
        base["dataset_as"] = "words"
    named = draft.name.strip()
    said = ", ".join(f"{key} = {each}" for key, each in grid.items())
    return Experiment(
        title=_one_line(named or (f"{model.stage}: {said}" if said else model.stage)),
        base={"stage": from_folder(draft.word, Path.cwd()), **base},
        grid=grid,
        variants=(Variant(named, {}),) if named else (),
        seeds=seeds,
    )


def _read_changes(draft: Draft, values: dict[str, Values], errors: dict[str, str], key_errors: dict[str, str]) -> None:
    """What the changes set; a key may go by its synonyms."""
    from lab.config.fields import known_key
    from lab.config.value_list import values_from_text

    settings, rest = split_settings(draft.change)
    for typed, text in settings.items():
        key = typed
        try:
            key = known_key(typed)
            if key == "model":
                raise UsageError("model is decided by the stage: choose another stage")
            if key in OWN_PLACES:
                raise UsageError(f"{key} has its own place: {OWN_PLACES[key]}")
            if key in values:
                raise UsageError(f"{key} stands there twice")
            values[key] = values_from_text(key, text)
        except UsageError as error:
            errors.setdefault("change", str(error))
            key_errors[key] = str(error)
    if rest:
        errors.setdefault("change", f"'{rest}' is not KEY=VALUE; write for example lr=3e-4")


def split_settings(change: str) -> tuple[dict[str, str], str]:
    """Values by key from `lr = 1e-3, 3e-4 heads=8`, as they were typed; and what is no KEY=VALUE."""
    found = list(_ASSIGNMENT.finditer(change))
    settings: dict[str, str] = {}
    rest = [change[: found[0].start()].strip() if found else change.strip()]
    ends = [following.start() for following in found[1:]] + [len(change)]
    for assignment, end in zip(found, ends if found else (), strict=True):
        key, value = assignment[1], change[assignment.end() : end].strip(" \t;")
        if rest[-1] and _is_known(f"{rest[-1]} {key}"):  # block size=16
            key = f"{rest.pop()} {key}"
        trailing = _WORD_AFTER_VALUE.match(value)
        rest.append(trailing[2] if trailing else "")
        settings[key] = trailing[1] if trailing else value
    return settings, " ".join(word for word in rest if word)


def _is_known(key: str) -> bool:
    from lab.config.fields import known_key

    try:
        return bool(known_key(key))
    except ConfigError:
        return False


def typed_settings(change: str) -> tuple[dict[str, str], str]:
    """As `split_settings`, each key by its own name where it is known by another."""
    from lab.config.fields import known_key

    settings, rest = split_settings(change)
    named: dict[str, str] = {}
    for key, value in settings.items():
        try:
            named[known_key(key)] = value
        except ConfigError:
            named[key] = value
    return named, rest


def _one_line(text: str) -> str:
    """A text that can be a title."""
    from lab.config.experiment import LARGEST_TITLE

    return "".join(character if character.isprintable() else " " for character in text)[:LARGEST_TITLE]


def usual_values(model: NamedModel) -> Mapping[str, object]:
    """What each field is where nothing is changed, on the model's home dataset."""
    from lab.config.run_config import RunConfig

    home = model.home_dataset
    defaults = {name: info.default for name, info in RunConfig.model_fields.items()}
    return defaults | model.values(dataset=home, dataset_as="words" if home == "names" else "stream")


def group_keys(model: NamedModel) -> dict[str, list[str]]:
    """The keys of each group that the model reads."""
    from lab.config.run_config import RunConfig

    grouped = {key for keys in GROUPS.values() for key in keys}
    others = tuple(key for key in RunConfig.model_fields if key not in {*grouped, *OWN_PLACES, "model"})
    last = list(GROUPS)[-1]
    return {
        group: [key for key in (*keys, *(others if group == last else ())) if model.reads(key)]
        for group, keys in GROUPS.items()
    }


def complete_setting(model: NamedModel, text: str) -> str | None:
    """What the last word being typed may become: a key that the model reads, or one of a key's values."""
    from lab.config.run_config import RunConfig

    before, space, word = text.rpartition(" ")
    if not word:
        return None
    key, equals, value = word.partition("=")
    for name in (key for keys in group_keys(model).values() for key in keys):
        info = RunConfig.model_fields[name]
        if not equals and name.startswith(key):
            return f"{before}{space}{name}="
        if equals and name == key:
            options = [str(option) for option in get_args(info.annotation) if isinstance(option, str)]
            options = ["on", "off"] if info.annotation is bool else options
            listed, comma, last = value.rpartition(",")
            fitting = [option for option in options if option.startswith(last)]
            whole = f"{before}{space}{key}={listed}{comma}{fitting[0]}" if fitting else None
            return whole if fitting and last != fitting[0] else None
    return None

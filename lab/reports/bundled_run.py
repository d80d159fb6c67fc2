"""What must be true of a run that comes from elsewhere: of its rows, and of its checkpoints."""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any, get_args

from lab.analysis.lr_suggestion import reading_of
from lab.config.diagnostics import BINS, KINDS, Edges
from lab.config.lr_sweep import LR_SWEEP, sweep_from_json
from lab.config.own_model import OWN, source_sha256
from lab.config.run_config import RunConfig, from_json
from lab.errors import BundleError, ConfigError, UsageError
from lab.queue.slots import approximate_parameters
from lab.store.external_runs import external_hash
from lab.store.histograms import unpack_counts
from lab.store.lifecycle import ENDED
from lab.store.run_store import EXTERNAL, TRAINING, RunStore, check_name, run_table
from lab.store.whole_run import Values

LARGEST_HEADER = 16 * 2**20
"""Bytes of a safetensors header: what the tensors are, and the optimiser's and the loop's state."""
_CHECKPOINT_KINDS = ("complete", "best", "milestone")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNITS_IN_A_TOKEN = 8
"""Characters that an entry of a vocabulary may have."""


def check_run(store: RunStore, values: Values) -> str | None:
    """Raises `BundleError` where the run's rows contradict each other, or it is here already; returns its parent's id,
    if that run is here too.
    """
    run = values["run"]
    try:
        check_name(run["name"])
    except UsageError as error:
        raise BundleError(str(error)) from None
    if run["status"] not in (*ENDED, "paused"):
        raise BundleError(f"its status is {run['status']!a}, and not that of a run that has ended or is paused")
    if min(run["step"], run["steps"], run["attempt"], run["parent_step"] or 0, run["parameters"] or 0) < 0:
        raise BundleError("it counts steps or parameters below 0")
    _check_texts(run)
    _check_config(values)
    _check_dataset(values["dataset"], run)
    _check_series(values)
    for row in values["checkpoints"]:
        if (
            row["kind"] not in _CHECKPOINT_KINDS
            or not 0 <= row["step"] < 10**12
            or not _SHA256.fullmatch(row["sha256"])
        ):
            raise BundleError("it names a checkpoint of no kind that lab knows")
    for known in [row for trashed in (False, True) for row in store.runs(trashed=trashed)]:
        if (known.config_hash, known.created_at) == (run["config_hash"], run["created_at"]):
            where = ", in the trash" if known.trashed_at is not None else ""
            raise BundleError(f"its run is here already: {known.name} ({known.id}){where}")
    here = run_table.c.id == run["parent_id"]
    with store.database.reader.connect() as connection:
        found = connection.execute(run_table.select().where(here)).mappings().first() if run["parent_id"] else None
    same_text = found is not None and found["dataset_sha256"] == run["dataset_sha256"]
    return run["parent_id"] if same_text and found is not None and found["created_at"] <= run["created_at"] else None


def _check_texts(run: Values) -> None:
    tags = json.loads(run["tags_json"])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BundleError("its tags are no list of words")
    if not re.fullmatch(r"[0-9a-z]{1,32}", run["id"]):
        raise BundleError("its id is none of lab's")


def _check_config(values: Values) -> None:
    """The hashes are those of the config, so that the run stands for what it says it is."""
    run = values["run"]
    sha256, kind = run["dataset_sha256"], run["kind"]
    if kind not in (TRAINING, LR_SWEEP, EXTERNAL):
        raise BundleError(f"it is of the kind {kind!a}, which this lab does not know")
    if (kind == LR_SWEEP) != (len(values["lr_sweep"]) == 1):
        raise BundleError("it is an LR sweep without what it tries, or the other way round")
    if kind == EXTERNAL:
        if values["model_source"]:
            raise BundleError("it was trained elsewhere, and yet has the file of a model")
        settings = json.loads(run["config_json"])
        if not isinstance(settings, dict) or run["group_hash"] != external_hash(settings, sha256, with_seed=False):
            raise BundleError("its config is not the one that its hash is of")
        return
    config = _config(run["config_json"])
    _check_source(config, values["model_source"])
    hashes = config.hash(sha256), config.group_hash(sha256)
    if kind == LR_SWEEP:
        spec = sweep_from_json(values["lr_sweep"][0]["spec_json"])
        hashes = spec.hash(hashes[0]), spec.hash(hashes[1])
        result = values["lr_sweep"][0]["result_json"]
        try:
            if result is not None:
                reading_of(json.loads(result))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BundleError("what was read off its LR sweep makes no sense") from None
    if (run["config_hash"], run["group_hash"]) != hashes or (run["seed"], run["stage"]) != (config.seed, config.stage):
        raise BundleError("its config is not the one that its hash is of")


def _check_source(config: RunConfig, sources: list[Values]) -> None:
    """The file of a model of one's own is there, once, and is the one that the config names; it is not run."""
    if len(sources) != (config.model == OWN):
        raise BundleError("it has the file of a model that it does not need, or lacks the one that it needs")
    for source in sources:
        known = {source["sha256"], config.source_sha256, source_sha256(source["text"])}
        if len(known) > 1 or source["class_name"] != config.stage or not source["file_name"].isprintable():
            raise BundleError("the file of its model is not the one that it was trained with")


def _config(text: str) -> RunConfig:
    try:
        return from_json(text)
    except ConfigError as error:
        raise BundleError(f"its config does not do: {error}") from None


def _check_dataset(dataset: Values | None, run: Values) -> None:
    if run["kind"] == EXTERNAL and dataset is None:
        return
    if dataset is None or (dataset["sha256"], dataset["kind"]) != (run["dataset_sha256"], run["dataset_kind"]):
        raise BundleError("it says nothing of the dataset that it was trained on")
    if dataset["kind"] not in ("stream", "words") or not _SHA256.fullmatch(dataset["sha256"]):
        raise BundleError("its dataset is of no kind that lab knows")
    vocabulary = json.loads(dataset["vocabulary_json"])
    fits = isinstance(vocabulary, list) and all(isinstance(token, str) for token in vocabulary)
    if not fits or not 1 < len(vocabulary) == len(set(vocabulary)) or max(map(len, vocabulary)) > _UNITS_IN_A_TOKEN:
        raise BundleError("its vocabulary is no list of characters")


def _check_series(values: Values) -> None:
    for name, unique in (("metrics", ("name",)), ("tensors", ("name", "kind"))):
        keys = [tuple(each[key] for key in unique) for each in values[name]]
        if len(set(keys)) < len(keys):
            raise BundleError(f"it has two {name} of one name")
        for each in values[name]:
            buckets = [row["bucket"] for row in each["rows"]]
            steps = [row["step"] for row in each["rows"]]
            if buckets != sorted(set(buckets)) or steps != sorted(steps) or min([*buckets, *steps], default=0) < 0:
                raise BundleError(f"its {name} do not go forward")
    if any(each["bucket_width"] < 1 for each in values["metrics"]):
        raise BundleError("its metrics have buckets of no width")
    if len({row["step"] for row in values["samples"]}) < len(values["samples"]):
        raise BundleError("it has two samples of one step")
    for each in values["tensors"]:
        if each["kind"] not in KINDS or each["edges"] not in get_args(Edges):
            raise BundleError("its diagnostics are of no kind that lab knows")
        for row in each["rows"]:
            _check_bins(row["bins"])


def _check_bins(packed: bytes) -> None:
    try:
        counts = unpack_counts(packed)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        raise BundleError("its histograms cannot be read") from None
    if len(counts) != BINS or counts.min() < 0:
        raise BundleError("its histograms cannot be read")


def check_checkpoint(path: Path, values: Values) -> None:
    """Raises `BundleError` where a checkpoint is no safetensors file of the run's own config, or is too small for the
    model that this config says would be built.
    """
    if values["run"]["kind"] == EXTERNAL:
        raise BundleError("it was trained elsewhere, and yet has a checkpoint")
    header = _header(path)
    metadata = header.pop("__metadata__", None)
    try:
        said = json.loads(metadata["lab"])
        same = from_json(said["config"]) == from_json(values["run"]["config_json"])
        weights = [math.prod(entry["shape"]) for name, entry in header.items() if name.startswith("model/")]
        fitting = all(0 <= each <= path.stat().st_size for each in weights)
        vocabulary = len(said["vocabulary"])
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError):
        raise BundleError("a checkpoint says nothing of its run") from None
    config = _config(values["run"]["config_json"])
    needed = approximate_parameters(config, vocabulary)
    if config.positions == "learned":
        needed += config.context_length * config.embedding_dim
    if config.model == OWN:
        needed = 0  # nobody knows without running its code
    if not same or not fitting or not needed <= sum(weights) * 2 + 1000:
        raise BundleError("a checkpoint is of another config than the run's")


def _header(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise BundleError("a checkpoint is no safetensors file")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise BundleError("a checkpoint is no safetensors file") from None
    if not isinstance(header, dict):
        raise BundleError("a checkpoint is no safetensors file")
    return header

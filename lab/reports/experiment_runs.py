"""The runs that answer an experiment: those queued for it, and those that stand for its configs from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.analysis.comparison import parts
from lab.config.experiment import Experiment
from lab.config.experiment_files import find_experiment, read_experiment
from lab.errors import ConfigError, DatasetError, ExperimentError
from lab.queue.experiment_requests import DatasetReader, compose_experiment, plan
from lab.store.run_store import RunRow, RunStore

MOST_PARTS = 16


def experiment_named(word: str) -> Experiment | None:
    """The experiment of that name, where its file is still to be found and can be read."""
    try:
        return read_experiment(find_experiment(word))
    except ExperimentError:
        return None


def experiment_meant(words: Sequence[str], stored: Sequence[RunRow]) -> Experiment | None:
    """The experiment that is asked about, where one is named by itself."""
    names = {run.experiment for run in stored} - {run.name for run in stored}
    name = words[0].removesuffix(".toml") if len(words) == 1 else ""
    return experiment_named(name) if name in names else None


def runs_of_experiment(store: RunStore, stored: Sequence[RunRow], name: str) -> list[RunRow]:
    """The stored runs of an experiment in the order of its grid, those of equal configs that others queued among them.

    Runs that are its own but no longer in its grid come last; where there is no such file these are all there are.
    What was cancelled is left out.
    """
    own = [run for run in stored if run.experiment == name and run.status != "cancelled"]
    experiment = experiment_named(name) if own else None
    if experiment is None:
        return own
    try:
        planned = compose_experiment(experiment, DatasetReader(store.database.path), confirmed=True)
    except (ConfigError, DatasetError):  # a budget of seconds, a text that is gone: its own runs are known anyway
        return own
    answering = {run.id: run for run in plan(planned, stored).stored if run is not None}
    hashes = {run.config_hash for run in answering.values()}
    left = [run for run in own if run.config_hash not in hashes]
    return [*answering.values(), *left]


def parts_of(
    runs: Sequence[RunRow], experiment: Experiment | None, within: Sequence[str] | None
) -> Mapping[str, Sequence[RunRow]]:
    """The runs in the parts in which they are compared: `within` each value of some settings.

    Of an experiment, unless given, within each combination of its grid but for the last key, which is what it compares;
    variants are compared within each combination of the whole grid.
    """
    keys = within
    if keys is None:
        grid = [key for key in experiment.grid if any(key in run.settings for run in runs)] if experiment else []
        keys = grid if experiment and experiment.variants else grid[:-1]
    found = parts(runs, keys)
    alone = within is None and any(len({run.group_hash for run in members}) < 2 for members in found.values())
    chosen = parts(runs, ()) if alone or len(found) > MOST_PARTS else found
    by_id = {run.id: run for run in runs}
    return {name: [by_id[run.id] for run in members] for name, members in chosen.items()}

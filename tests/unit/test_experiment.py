"""Experiments: read from TOML, expanded, written back; and what is wrong with one, by line and column."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config import experiment_files
from lab.config.expansion import expand
from lab.config.experiment import Budget, Experiment, Variant, experiment_of
from lab.config.experiment_files import (
    experiment_from_text,
    experiment_text,
    find_experiment,
    list_experiments,
    path_for,
    read_experiment,
    write_experiment,
)
from lab.config.ladder import stage_config
from lab.config.run_config import DatasetKind, RunConfig
from lab.config.value_list import Values, values_from_text, values_of
from lab.datasets.dataset import SHIPPED, load_dataset
from lab.errors import ConfigError, ExperimentError, GridTooLargeError
from lab.models.build import build_model
from lab.packaged import packaged_folder
from lab.queue.experiment_requests import DatasetReader, compose_experiment, plan
from lab.store.run_store import RunStore

DEPTH = """
title = "What residuals buy"
question = "More at greater depth?"
seeds = "1..3"
exclude = ["residual = on and layers < 4"]

[base]
stage = "residual"

[grid]
layers = [2, 4, 8]
residual = [false, true]
"""


def find_dataset(name: str, kind: DatasetKind | None) -> tuple[str, DatasetKind]:
    return name, kind or SHIPPED[name]


def read(text: str) -> Experiment:
    return experiment_from_text(text, "x.toml", Path())


def experiment(rest: str = "", stage: str = "residual") -> Experiment:
    return read(f'title = "x"\n{rest}\n[base]\nstage = "{stage}"\n')


# Expanding


def test_a_grid_is_every_combination_that_no_condition_excludes_seed_by_seed() -> None:
    depth = read(DEPTH)
    runs = expand(depth, find_dataset)
    assert depth.combinations == 18
    assert len(runs) == 15
    assert [run.name for run in runs[:5]] == [
        "residual/layers=2/residual=off/seed=1",
        "residual/layers=4/residual=off/seed=1",
        "residual/layers=4/residual=on/seed=1",
        "residual/layers=8/residual=off/seed=1",
        "residual/layers=8/residual=on/seed=1",
    ]
    assert [run.seed for run in runs] == [1] * 5 + [2] * 5 + [3] * 5
    first = runs[0].config
    assert first == stage_config("residual", settings={"layers": 2, "residual": False, "seed": 1})


def test_variants_are_settings_that_go_together() -> None:
    runs = expand(
        read(
            'title = "x"\n[[variants]]\nname = "plain"\nstage = "blocks"\n[[variants]]\nname = "all"\n'
            'stage = "residual"\n[grid]\nlr = "1e-3, 3e-3"\n'
        ),
        find_dataset,
    )
    assert [run.name for run in runs] == ["plain/lr=1e-3", "plain/lr=3e-3", "all/lr=1e-3", "all/lr=3e-3"]
    assert [run.config.stage for run in runs] == ["blocks", "blocks", "residual", "residual"]
    assert [run.config.residual for run in runs] == [False, False, True, True]
    assert {run.seed for run in runs} == {1337}


def test_stages_can_be_a_grid_each_on_its_home_dataset() -> None:
    runs = expand(read('title = "x"\n[grid]\nstage = ["bigram", "mlp"]\n'), find_dataset)
    assert [(run.name, run.config.dataset, run.config.dataset_as) for run in runs] == [
        ("bigram", "shakespeare", "stream"),
        ("mlp", "names", "words"),
    ]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("steps = 70", {8: 70, 32: 70}), ("characters = 64_000", {8: 1000, 32: 250}), ("seconds = 10", {8: 230, 32: 59})],
)
def test_a_budget_decides_the_steps_of_each_run(budget: str, steps: dict[int, int]) -> None:
    asked = read(f'title = "x"\n[base]\nstage = "bigram"\n[grid]\nbatch_size = [8, 32]\n[budget]\n{budget}\n')
    runs = expand(asked, find_dataset, measure=lambda config, source: 1500.0)
    assert {run.config.batch_size: run.config.steps for run in runs} == steps


def test_a_budget_of_seconds_needs_a_measured_speed() -> None:
    with pytest.raises(ConfigError, match="needs the speed of this machine"):
        expand(read('title = "x"\n[base]\nstage = "bigram"\n[budget]\nseconds = 10\n'), find_dataset)


def test_the_mlp_counts_one_character_an_example() -> None:
    assert Budget(3200, "characters").steps(stage_config("mlp"), None) == 100


def test_a_grid_of_a_million_runs_is_refused_before_it_is_made() -> None:
    large = experiment('seeds = "1..1000000"')
    with pytest.raises(GridTooLargeError, match="1,000,000 runs: give fewer values, or confirm"):
        expand(large, find_dataset)
    endless = read(
        'title = "x"\n[base]\nstage = "bigram"\n[grid]\nlr = "1e-9..1 log 900000000"\nsteps = "1..900000000"\n'
    )
    with pytest.raises(GridTooLargeError, match="810,000,000,000,000,000 runs: give fewer values") as error:
        expand(endless, find_dataset, confirmed=True)
    assert error.value.final


def test_more_than_a_thousand_runs_can_be_meant() -> None:
    many = experiment('seeds = "1..1001"', "bigram")
    with pytest.raises(GridTooLargeError):
        expand(many, find_dataset)
    assert len(expand(many, find_dataset, confirmed=True)) == 1001


def test_a_condition_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="`heads = 4` leaves none of 1 combination"):
        expand(experiment('exclude = ["heads = 4"]'), find_dataset)


def test_a_combination_that_breaks_a_rule_is_named() -> None:
    asked = read('title = "x"\n[base]\nstage = "residual"\n[grid]\nheads = [3, 4]\n')
    with pytest.raises(ConfigError, match=r"^residual/heads=3: heads=3 must divide embedding_dim=32"):
        expand(asked, find_dataset)
    without = read('title = "x"\nexclude = "heads = 3"\n[base]\nstage = "residual"\n[grid]\nheads = [3, 4]\n')
    assert [run.config.heads for run in expand(without, find_dataset)] == [4]


def test_two_combinations_with_the_same_config_are_an_error() -> None:
    twice = 'title = "x"\n[base]\nstage = "blocks"\n[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nheads = 4\n'
    with pytest.raises(ConfigError, match="b has the same config as a"):
        expand(read(twice), find_dataset)


# What is wrong with a file

WRONG = [
    ("title = ", "x.toml:1:8: invalid value, at the end of the file"),
    ('title = "x"\n[base\n', "x.toml:2:6: expected ']'"),
    ('title = "x"\ntitle = "y"', "x.toml:2:12: cannot overwrite a value"),
    ('title = "x"\nsedes = 1\n[base]\nstage = "mlp"', "x.toml:2:1: unknown key 'sedes': did you mean 'seeds'?"),
    ('title = "x"\n[base]\n  stagee = "mlp"', "x.toml:3:3: unknown key 'stagee': did you mean 'stage'?"),
    ('title = "x"\n[grid]\nlearning_rate = 1', "x.toml:3:1: unknown key 'learning_rate': did you mean 'lr'?"),
    ('title = "x"\n[base]\nstage = "mpl"', "x.toml:3:1: unknown stage 'mpl': did you mean 'mlp'?"),
    ('title = "x"\n[base]\nlr = 1', "x.toml:2:2: no stage is named"),
    ('[base]\nstage = "mlp"', "x.toml: an experiment needs a title"),
    ('title = 3\n[base]\nstage = "mlp"', "x.toml:1:1: title must be a text"),
    ('title = "x"\n[base]\nstage = "mlp"\nseed = 1', "x.toml:4:1: seed has its own place"),
    ('title = "x"\n[base]\nmodel = "mlp"', "x.toml:3:1: model is decided by the stage"),
    ('title = "x"\nseeds = [1, 1]\n[base]\nstage = "mlp"', "x.toml:2:1: seed: 1 stands there twice"),
    ('title = "x"\nexclude = ["lr >"]\n[base]\nstage = "mlp"', "x.toml:2:1: condition `lr >`, at its end: expected"),
    ('title = "x"\nexclude = 3\n[base]\nstage = "mlp"', "x.toml:2:1: exclude must be a list"),
    ('title = "x"\ngrid = 3', "x.toml:2:1: grid must be a table"),
    ('title = "x"\n[base]\nstage = "mlp"\n[grid]\nlr = []', "x.toml:5:1: lr has no values"),
    ('title = "x"\n[base]\nstage = "mlp"\n[grid]\nlr = [0]', "x.toml:5:1: lr=0 must be greater than 0"),
    ('title = "x"\n[base]\nstage = "mlp"\nlr = 1\n[grid]\nlr = [1]', "x.toml:4:1: lr is set by the grid too"),
    ('title = "x"\n[base]\nstage = "mlp"\n[budget]\nsteps = 2.5', "x.toml:5:1: steps must be a whole number above 0"),
    ('title = "x"\n[base]\nstage = "mlp"\n[budget]\nsteps = 2\nseconds = 2', "x.toml:6:1: a budget is one of"),
    ('title = "x"\n[base]\nstage = "mlp"\n[budget]\nhours = 2', "x.toml:5:1: unknown key 'hours'"),
    (
        'title = "x"\n[base]\nstage = "mlp"\nsteps = 3\n[budget]\nsteps = 2',
        "x.toml:4:1: steps is decided by the budget",
    ),
    ('title = "x"\n[base]\nstage = "mlp"\n[[variants]]\nlr = 1', "x.toml:4:3: a variant needs a name"),
    (
        'title = "x"\n[base]\nstage = "mlp"\n[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nnorm = "prae"',
        "x.toml:8:1: norm=prae must be",
    ),
    ('title = "x"\n[[variants]]\nname = "a"\n[[variants]]\nname = "a"', "x.toml:5:1: two variants are named 'a'"),
    ('title = "x"\nbase.stage = "mlp"\ngrid.lr = [0]', "x.toml:3:1: lr=0 must be greater than 0"),
    ('title = "x"\n[grid]\nstage = ["mlp", "mpl"]', "x.toml:3:1: unknown stage 'mpl': did you mean 'mlp'?"),
    ('title = "x"\n[base]\nstage = "/nowhere/mine.py:Mine"', "x.toml:3:1: model /nowhere/mine.py cannot be read: No"),
    ('title = "x"\n[base]\nstage = "/nowhere/mine.py"', "x.toml:3:1: model /nowhere/mine.py cannot be read: No"),
    ("a = " + "[" * 5000, "x.toml"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_line_and_column(text: str, said: str) -> None:
    with pytest.raises(ExperimentError) as error:
        read(text)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@given(st.text(max_size=80))
def test_any_text_is_an_experiment_or_an_error(text: str) -> None:
    try:
        read(f'title = "x"\n{text}')
    except ExperimentError:
        return


# Written and read back

SETTINGS = {
    "lr": st.floats(1e-9, 1e6),
    "layers": st.integers(0, 256),
    "residual": st.booleans(),
    "norm": st.sampled_from(["none", "pre", "post"]),
    "head_dim": st.none() | st.integers(1, 512),
    "dataset": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
        lambda text: text == text.strip() and text != ""
    ),
}
LINES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cn"]), min_size=1, max_size=30
)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Experiments whose base, variants and grid set different keys."""
    of_grid, of_variants, of_base = ["lr", "norm"], ["layers", "residual"], ["head_dim", "dataset"]
    grid: dict[str, Values] = {}
    for key in draw(st.lists(st.sampled_from(of_grid), unique=True)):
        grid[key] = values_of(key, draw(st.lists(SETTINGS[key], min_size=1, max_size=4, unique=True)))
    if draw(st.booleans()):
        grid["weight_decay"] = values_from_text("weight_decay", "0, 1e-3..1e-1 log 5")
    names = draw(st.lists(LINES, max_size=3, unique=True))
    keys = draw(st.lists(st.sampled_from(of_variants), unique=True))
    in_base = draw(st.lists(st.sampled_from(of_base), unique=True))
    return Experiment(
        title=draw(LINES),
        question=draw(st.just("") | LINES),
        base={"stage": "residual"} | {key: draw(SETTINGS[key]) for key in in_base},
        grid=grid,
        variants=tuple(Variant(name, {key: draw(SETTINGS[key]) for key in keys}) for name in names),
        exclude=tuple(draw(st.lists(st.sampled_from(["heads = 4", "lr > 1 or norm = pre"]), unique=True))),
        seeds=draw(st.none() | st.just(values_from_text("seed", "1..3, 9")) | st.just(values_of("seed", [7]))),
        budget=draw(st.none() | st.builds(Budget, st.integers(1, 10**12), st.sampled_from(["steps", "characters"]))
                    | st.builds(Budget, st.floats(1e-3, 1e6), st.just("seconds"))),
    )  # fmt: skip


@given(experiments())
def test_what_is_written_is_read_back_the_same(given_one: Experiment) -> None:
    assert read(experiment_text(given_one)) == given_one
    assert experiment_of(given_one.to_mapping(), Path()) == given_one


@given(experiments())
def test_the_combinations_are_counted_as_they_are_made(given_one: Experiment) -> None:
    counted = math.prod(len(list(values)) for values in given_one.grid.values())
    assert given_one.combinations == counted * max(1, len(given_one.variants)) * len(list(given_one.seeds or [1]))


# Files


def test_one_s_own_experiments_come_first_and_hide_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = read(DEPTH)
    write_experiment(mine, path_for("heads"))
    write_experiment(mine, path_for("of my own"))
    (tmp_path / "experiments" / "broken.toml").write_text("title = ")
    found = list_experiments()
    assert [(each.name, each.own) for each in found[:3]] == [("broken", True), ("heads", True), ("of my own", True)]
    assert "broken.toml:1:8: invalid value" in found[0].problem
    assert (found[1].title, found[1].combinations) == ("What residuals buy", 18)
    assert not any(each.own for each in found[3:])
    assert [each.name for each in found].count("heads") == 1
    assert read_experiment(find_experiment("heads")) == mine
    assert find_experiment("residual-depth") == packaged_folder("experiments") / "residual-depth.toml"
    assert find_experiment("experiments/heads.toml").resolve() == path_for("heads")
    write_experiment(mine, tmp_path / "here.toml")
    assert find_experiment("here").resolve() == tmp_path / "here.toml"
    with pytest.raises(ExperimentError, match="no experiment 'residul-depth': did you mean 'residual-depth'"):
        find_experiment("residul-depth")


def test_a_file_is_never_replaced_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_experiment(read(DEPTH), path_for("mine"))
    with pytest.raises(ExperimentError, match="there is already a file"):
        write_experiment(experiment(), path_for("mine.toml"))
    assert read_experiment(path_for("mine")).title == "What residuals buy"
    write_experiment(experiment(), path_for("mine"), replace=True)
    assert read_experiment(path_for("mine")).title == "x"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 200, "a\nb"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ExperimentError, match="is no name for a file"):
        path_for(name)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_experiment(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(ExperimentError, match="is not UTF-8"):
        read_experiment(tmp_path / "latin.toml")
    monkeypatch.setattr(experiment_files, "LARGEST_FILE", 3)
    with pytest.raises(ExperimentError, match="larger than"):
        read_experiment(tmp_path / "latin.toml")


# Those that come with lab

READER = DatasetReader(Path("runs.db"))
SHIPPED_FILES = sorted(packaged_folder("experiments").glob("*.toml"))


def test_there_are_experiments() -> None:
    assert len(SHIPPED_FILES) >= 15


@pytest.mark.parametrize("path", SHIPPED_FILES, ids=lambda path: path.stem)
def test_a_shipped_experiment_expands_and_its_models_are_built(path: Path) -> None:
    asked = read_experiment(path)
    runs = compose_experiment(asked, READER, name=path.stem)
    assert asked.question.endswith("?") or asked.question.count("?")
    assert "here: lab queue add -f " + path.stem in path.read_text().splitlines()[0]
    assert 2 <= len(runs) <= 60
    assert len({run.name for run in runs}) == len(runs)
    assert len({run.config.hash(run.dataset.sha256) for run in runs}) == len(runs)
    assert {run.experiment for run in runs} == {path.stem}
    built: set[RunConfig] = set()
    for run in runs:
        shape = run.config.replace(seed=1, lr=1.0, steps=1, eval_every=None, warmup_steps=0)
        if shape not in built:
            build_model(shape, len(run.dataset.vocabulary))
            built.add(shape)


# As a request to the queue


def test_what_is_stored_stands_for_a_run_with_the_same_config(store: RunStore) -> None:
    runs = compose_experiment(read(DEPTH), READER, name="depth")
    first, second, *_ = store.add_runs([runs[0], runs[3]])
    planned = plan(runs, store.runs())
    assert [row.id if row else None for row in planned.stored] == [first.id, None, None, second.id, *[None] * 11]
    assert len(planned.missing) == 13
    assert len(planned.to_queue(again=True)) == 15
    assert {run.experiment for run in store.runs()} == {"depth"}


def test_each_dataset_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.datasets import dataset

    asked: list[str] = []

    def counted(name: str, kind: DatasetKind | None, **rest: object) -> object:
        asked.append(name)
        return load_dataset(name, kind)

    monkeypatch.setattr(dataset, "load_dataset", counted)
    compose_experiment(read(DEPTH), DatasetReader(tmp_path / "runs.db"))
    assert len(asked) <= 2

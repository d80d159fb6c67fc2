"""The ladder reproduces what the lecture's own procedure finds on the same texts; it takes minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full

# The loss on the whole validation split, after the lecture's own code and settings, one seed.
REFERENCE = {
    "bigram": 2.4885,
    "linear": 2.5132,
    "single-head": 2.4234,
    "multi-head": 2.2714,
    "feed-forward": 2.2566,
    "blocks": 2.3246,
    "residual": 2.0834,
    "layernorm": 2.0699,
}
SCATTER = {"blocks": 0.08}
USUAL_SCATTER = 0.03


def lab(database: Path, *words: str) -> Any:
    """What a command says with --json."""
    command = [sys.executable, "-m", "lab", *words, "--db", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def losses(document: Any) -> dict[str, float]:
    return {entry["stage"]: entry["val_loss"] for entry in document["stages"]}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for the whole file, so that what is trained is not trained again; its worker is stopped in the end."""
    path = tmp_path_factory.mktemp("ladder") / "runs.db"
    yield path
    lab(path, "worker", "--stop")


@pytest.fixture(scope="module")
def climbed(database: Path) -> dict[str, float]:
    """The stages on Shakespeare, trained with the lecture's seed."""
    return losses(lab(database, "ladder", "--stages", ",".join(REFERENCE), "--json"))


def test_every_stage_ends_where_the_lectures_own_code_does(climbed: dict[str, float]) -> None:
    assert climbed.keys() == REFERENCE.keys()
    for stage, expected in REFERENCE.items():
        assert climbed[stage] == pytest.approx(expected, abs=SCATTER.get(stage, USUAL_SCATTER)), stage


def test_depth_alone_makes_it_worse(climbed: dict[str, float]) -> None:
    assert climbed["blocks"] > climbed["feed-forward"]


def test_skips_repair_depth_and_norms_add_to_it_over_three_seeds(database: Path, climbed: dict[str, float]) -> None:
    document = lab(database, "ladder", "--stages", "blocks,residual,layernorm", "--seeds", "3", "--json")
    assert all(len(entry["runs"]) == 3 for entry in document["stages"])
    means = losses(document)
    assert means["residual"] < means["blocks"] - 0.1
    assert means["layernorm"] < means["residual"]


def test_the_mlp_on_names_ends_where_the_lectures_does(database: Path) -> None:
    document = lab(database, "ladder", "--stages", "mlp", "--json")
    assert losses(document)["mlp"] <= 2.18


def test_nothing_is_found_wrong_but_with_what_is_built_ill(database: Path, climbed: dict[str, float]) -> None:
    lab(database, "ladder", "--stages", "mlp,scaled-cpu", "--json")
    found = {
        run["stage"]: {finding["rule"] for finding in lab(database, "show", run["id"], "--json")["findings"]}
        for run in lab(database, "runs", "--json")
        if run["seed"] == 1337
    }
    assert found.keys() == climbed.keys() | {"mlp", "scaled-cpu"}
    ill = {"mlp": {"first-loss", "saturated"}, "blocks": {"vanishing"}}
    assert {stage: rules for stage, rules in found.items() if rules} == ill

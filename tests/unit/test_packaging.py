"""The wheel carries what lab needs, so that it works from any folder once installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.full
def test_an_installed_wheel_finds_its_datasets_and_experiments_from_any_folder(tmp_path: Path) -> None:
    wheels, installed, elsewhere = tmp_path / "wheels", tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(REPOSITORY)], check=True)
    wheel = next(wheels.glob("ladderlab-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)

    def lab(*words: str) -> str:
        command = [sys.executable, "-m", "lab", *words]
        # PYTHONPATH comes before the editable installation that the tests themselves run from.
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=elsewhere, env=environment
        ).stdout

    assert str(installed / "lab" / "packaged" / "data" / "names.txt") in lab("dataset", "show", "names")
    assert (installed / "lab" / "packaged" / "experiments").is_dir()
    assert '"status": "finished"' in lab("train", "bigram", "--steps", "20", "--json")

"""The rules that the code keeps, checked by the tools that know them, so that one command tests all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "sqlalchemy", "textual", "plotext", "pydantic", "numpy")


def passes(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imported_by(code: str, *, saying: str = "") -> set[str]:
    """Which heavy packages a fresh process has imported after it ran some code and said something."""
    code += f"\nimport sys\nprint('\\n', *[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert saying in done.stdout
    return set(done.stdout.splitlines()[-1].split())


def test_ruff_finds_nothing() -> None:
    passes(sys.executable, "-m", "ruff", "check", "lab", "tests")


def test_the_code_is_formatted() -> None:
    passes(sys.executable, "-m", "ruff", "format", "--check", "lab", "tests")


def test_the_types_agree() -> None:
    passes(sys.executable, "-m", "mypy")


def test_every_package_imports_only_what_it_may() -> None:
    passes(str(Path(sys.executable).with_name("lint-imports")))


@pytest.mark.parametrize(
    ("module", "may_import"),
    [
        ("lab.config.run_config", {"pydantic"}),
        ("lab.config.ladder", {"pydantic"}),
        ("lab.datasets.dataset", {"numpy"}),
        ("lab.datasets.counting", {"numpy"}),
        ("lab.store.location", set()),
        ("lab.queue.file_lock", set()),
        ("lab.store.run_store", {"sqlalchemy"}),
        ("lab.store.recorder", {"pydantic", "numpy", "sqlalchemy"}),
        ("lab.queue.orphans", {"sqlalchemy"}),
        ("lab.queue.requests", {"pydantic", "numpy", "sqlalchemy"}),
        ("lab.config.lr_sweep", {"pydantic"}),
        ("lab.analysis.lr_suggestion", {"numpy"}),
        ("lab.queue.sweep_requests", {"pydantic", "numpy", "sqlalchemy"}),
        ("lab.queue.forecast", {"pydantic", "numpy", "sqlalchemy"}),
        ("lab.queue.worker", {"pydantic", "numpy", "sqlalchemy"}),
    ],
)
def test_importing_a_module_imports_no_more_than_it_needs(module: str, may_import: set[str]) -> None:
    assert imported_by(f"import {module}") <= may_import


def test_help_imports_neither_torch_nor_the_database_nor_the_screen() -> None:
    code = (
        "import sys\n"
        "from lab.__main__ import main\n"
        "sys.argv = ['lab', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
    )
    assert not imported_by(code, saying="Usage") & {"torch", "sqlalchemy", "textual", "plotext"}


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "lab").rglob("*.py"))
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}

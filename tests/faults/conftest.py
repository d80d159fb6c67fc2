"""Databases for the tests of faults: one for each test, or one for a module's, with the worker that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import Laboratory, laboratory, left_behind


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Laboratory]:
    """A database for one test, which starts its own worker."""
    with laboratory(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A database for the tests of a module that leave the worker at work."""
    with laboratory(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="module")
def worker(shared: Laboratory) -> Iterator[psutil.Process]:
    """The worker of the shared database."""
    with shared.worker() as process:
        yield process


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, shared: Laboratory, worker: psutil.Process) -> dict[str, Any]:
    """What the module's `RUN` leaves behind where nothing happens to it."""
    run_id = shared.add(**request.module.RUN)
    shared.wait_for(run_id, "finished")
    return left_behind(shared.store, run_id)

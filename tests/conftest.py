"""What all tests share: the `--full` option, the markers, and small texts, datasets and databases."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

from lab.datasets.dataset import Dataset, load_dataset
from lab.store.run_store import DatasetFacts, RunStore

# Other work on the machine is no reason for a property to fail.
settings.register_profile("lab", deadline=None)
settings.load_profile("lab")

# A text that an epoch of a tiny model goes through in no time, and yet of more than one kind of character.
PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 40
NAMES = ("emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia", "harper", "evelyn") * 12


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options that run the long tests too."""
    parser.addoption("--full", action="store_true", help="run the tests that take long, too")
    parser.addoption("--longest", action="store_true", help="run those too that take the better part of an hour")
    parser.addoption("--storm", type=int, metavar="N", help="kill N processes in tests/faults, rather than a few")
    parser.addoption("--storm-seed", type=int, default=1, metavar="S", help="which storm; the same comes again")


@pytest.hookimpl(tryfirst=True)  # before `-m full` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what was not asked for, or what this machine cannot run, and says why."""
    _leave_one_look_each(items)
    if not config.getoption("--full"):
        _skip(items, "full", "takes long; runs with --full")
    if not config.getoption("--longest"):
        _skip(items, "longest", "takes very long; runs with --longest")
    if any(item.get_closest_marker("gpu") for item in items) and not _cuda():
        _skip(items, "gpu", "needs CUDA, which this machine lacks")


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """One worker more than there are cores: one or another always waits, for a process, a lock or a timer.

    Not with `--full`: what takes long there is training, which waits for nothing.
    """
    return (yield) + (0 if config.getoption("--full") else 1)


def pytest_collection_finish() -> None:
    """What was imported stays, and is not looked through for garbage; what tests make is, less often than by default.

    A screen is made of so many objects that the default takes some of the time of its tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    """What is left goes with the process: to look through it once more takes a second and more."""
    gc.freeze()


def _leave_one_look_each(items: list[pytest.Item]) -> None:
    """Of a test of the screen in several sizes or themes one runs always, here this and there that."""
    looks: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        if "tui" in item.path.parts and parameters.keys() & {"size", "theme"}:
            rest = str({key: value for key, value in parameters.items() if key not in ("size", "theme")})
            looks.setdefault((item.nodeid.partition("[")[0], rest), []).append(item)
    for (name, rest), alike in looks.items():
        kept = crc32(f"{name} {rest}".encode()) % len(alike)
        for item in (*alike[:kept], *alike[kept + 1 :]):
            item.add_marker(pytest.mark.full)


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))


def _cuda() -> bool:
    import torch  # imported only where a test that needs it was collected

    return torch.cuda.is_available()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Models of a few numbers are computed fastest by one thread, and the same on any machine."""
    import torch  # imported only where a test needs it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    """Where a test may make its database; nothing is there yet."""
    return tmp_path / "runs.db"


@pytest.fixture
def store(database_path: Path) -> Iterator[RunStore]:
    """An empty database, opened."""
    opened = RunStore.open(database_path)
    yield opened
    opened.close()


@pytest.fixture
def dataset_facts() -> DatasetFacts:
    """What a database keeps of a small dataset."""
    return DatasetFacts(
        sha256="5" * 64,
        kind="stream",
        name="shakespeare",
        path="/texts/shakespeare.txt",
        characters=1000,
        vocabulary=("\n", " ", "a", "b"),
        counting_loss=1.25,
    )


@pytest.fixture
def text_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a text (or bytes) to a new file and returns its path."""

    def write(content: str | bytes = PROSE, name: str = "text.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def prose_file(text_file: Callable[..., Path]) -> Path:
    """A small stream: 3,400 characters of prose."""
    return text_file(PROSE, "prose.txt")


@pytest.fixture
def names_file(text_file: Callable[..., Path]) -> Path:
    """A small list of 120 words."""
    return text_file("\n".join(NAMES) + "\n", "few-names.txt")


@pytest.fixture
def prose(prose_file: Path) -> Dataset:
    """A small stream, read."""
    return load_dataset(str(prose_file), "stream")


@pytest.fixture
def few_names(names_file: Path) -> Dataset:
    """A small dataset of words, read."""
    return load_dataset(str(names_file), "words")

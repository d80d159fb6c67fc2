"""Where experiments are, and reading and writing their files; what is wrong is said with its line and column."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.config.experiment import Experiment, KeyedError, experiment_of
from lab.errors import ExperimentError
from lab.packaged import packaged_folder

FOLDER = "experiments"
LARGEST_FILE = 2**20
"""Bytes of an experiment's file."""

_TOML_PLACE = re.compile(
    r"^(?P<said>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|(?P<end>end of document))\)$"
)
_HEADER = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"""\s*(?P<key>[A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_."'-]+)*)\s*=""")


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment that lies in a file; or, where it cannot be read, why not."""

    name: str
    path: Path
    own: bool
    """Whether it is the person's, not one that came with lab."""
    experiment: Experiment | None = None
    problem: str = ""

    @property
    def title(self) -> str:
        """Its title; its name where it has none."""
        return self.experiment.title if self.experiment else self.name

    @property
    def combinations(self) -> int | None:
        """How many runs it has, before its conditions exclude any."""
        return self.experiment.combinations if self.experiment else None


def own_folder() -> Path:
    """Where a person's own experiments go: `experiments` in the current folder."""
    return Path.cwd() / FOLDER


def list_experiments() -> list[ExperimentFile]:
    """A person's own experiments, then those that came with lab, by name; one's own hides another of its name."""
    found: dict[str, ExperimentFile] = {}
    shipped = packaged_folder(FOLDER)
    for folder, own in ((own_folder(), own_folder().resolve() != shipped.resolve()), (shipped, False)):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            if path.stem not in found:
                found[path.stem] = _read_for_list(path, own)
    return list(found.values())


def _read_for_list(path: Path, own: bool) -> ExperimentFile:
    try:
        return ExperimentFile(path.stem, path, own, read_experiment(path))
    except ExperimentError as error:
        return ExperimentFile(path.stem, path, own, problem=str(error))


def find_experiment(name_or_path: str) -> Path:
    """The file of an experiment, by path, with or without its ending, or by name, one's own first.

    Raises `ExperimentError` with the near miss.
    """
    try:
        for path in (Path(name_or_path), Path(f"{name_or_path}.toml")):
            if (file := path.expanduser()).is_file():
                return file
    except (OSError, RuntimeError, ValueError) as error:
        raise ExperimentError(f"{name_or_path}: {getattr(error, 'strerror', None) or error}") from None
    name = name_or_path.removesuffix(".toml")
    names: list[str] = []
    for folder in (own_folder(), packaged_folder(FOLDER)):
        files = {file.stem: file for file in sorted(folder.glob("*.toml"))} if folder.is_dir() else {}
        if name in files:
            return files[name]
        names += files
    near = difflib.get_close_matches(Path(name).name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "give the path of a .toml file, or one of: " + ", ".join(names)
    raise ExperimentError(f"no experiment '{name_or_path}': {hint}")


def read_experiment(path: Path) -> Experiment:
    """An experiment from its file. Raises `ExperimentError` with the file, the line and the column."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ExperimentError(f"{path} is larger than an experiment's file can be ({LARGEST_FILE >> 10} kB)")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path} is not UTF-8 (byte {error.start})") from None
    return experiment_from_text(text, str(path), path.parent)


def experiment_from_text(text: str, name: str, folder: Path) -> Experiment:
    """An experiment from TOML; the files of models that it names are found from `folder`.

    Raises `ExperimentError` as `name:line:column: what is wrong`.
    """
    try:
        return experiment_of(tomllib.loads(text.replace("\r\n", "\n")), folder.absolute())
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(_syntax_error(text, name, str(error))) from None
    except RecursionError:
        raise ExperimentError(f"{name}: nested too deep") from None
    except KeyedError as error:
        raise ExperimentError(located(error, text, name)) from None


@contextmanager
def errors_located(path: Path) -> Iterator[None]:
    """What is wrong with the runs of an experiment becomes an `ExperimentError` with the place in its file."""
    try:
        yield
    except KeyedError as error:
        raise ExperimentError(located(error, path.read_text(encoding="utf-8"), str(path))) from None


def located(error: KeyedError, text: str, name: str) -> str:
    """An error with the place in a file's text that its keys lead to, as `name:line:column: what is wrong`."""
    place = _place_of(text, error.keys)
    return f"{name}:{place[0]}:{place[1]}: {error}" if place else f"{name}: {error}"


def experiment_text(experiment: Experiment) -> str:
    """An experiment as TOML; read back it is the same."""
    import tomli_w

    return tomli_w.dumps(experiment.to_mapping())


def write_experiment(experiment: Experiment, path: Path, *, replace: bool = False) -> None:
    """Writes an experiment's file. Raises `ExperimentError` where there is one already, unless it is to be replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(experiment_text(experiment))
    except FileExistsError:
        raise ExperimentError(f"there is already a file {path}") from None
    except OSError as error:
        raise ExperimentError(f"{path} cannot be written: {error.strerror}") from None


def path_for(name: str) -> Path:
    """Where an experiment of that name is saved. Raises `ExperimentError` where it is no plain file name."""
    stem = name.strip().removesuffix(".toml")
    if not re.fullmatch(r"\w[\w .-]{0,99}", stem):
        raise ExperimentError(f"'{stem}' is no name for a file: use letters, digits, - and _")
    return own_folder() / f"{stem}.toml"


def _syntax_error(text: str, name: str, message: str) -> str:
    """`name:line:column: what TOML's parser said`."""
    found = _TOML_PLACE.match(message)
    if found is None:
        return f"{name}: {message}"
    said = found["said"][:1].lower() + found["said"][1:]
    if found["end"]:
        lines = text.rstrip().splitlines() or [""]
        return f"{name}:{len(lines)}:{len(lines[-1]) + 1}: {said}, at the end of the file"
    return f"{name}:{found['line']}:{found['column']}: {said}"


def _place_of(text: str, keys: tuple[str | int, ...]) -> tuple[int, int] | None:
    """Line and column of a key, or of the last of the tables that lead to it; counted from 1."""
    wanted = [str(key) for key in keys]
    table: list[str] = []
    counts: dict[str, int] = {}
    best: tuple[int, tuple[int, int]] = (0, (0, 0))
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        assignment = None if header else _ASSIGNMENT.match(line)
        if header:
            name = header["name"].strip("'\" ")
            table = name.split(".")
            if header["open"] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = [name, str(counts[name])]
            here, column = table, header.start("name") + 1
        elif assignment:
            here = [*table, *(part.strip("'\" ") for part in assignment["key"].split("."))]
            column = assignment.start("key") + 1
        else:
            continue
        if here == wanted[: len(here)] and len(here) > best[0]:
            best = (len(here), (number, column))
    return best[1] if best[0] else None

"""`lab doctor`: device, versions, the database's health and size, and how to mend what is wrong."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli import options
from lab.errors import DamagedDatabaseError, NotADatabaseError, StoreError, UsageError

_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "sshfs", "9p", "afp", "fuse.sshfs")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor")(doctor)


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Save what can be saved of a damaged database into a new file.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="That file; DATABASE.repaired.db unless given.")
    ] = None,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Say what lab runs on, and whether its database is sound.

    And what lab promises of it. `--repair` never writes to a damaged file, but saves what it can into a new one.
    """
    from lab.cli.output import print_json
    from lab.packaged import promise
    from lab.store.location import find_database

    path = find_database(database)
    if repair:
        _repair(path, to, as_json)
        return
    if to is not None:
        raise UsageError("--to names the file that --repair writes: give both")
    document = {"machine": _machine(), "database": _database(path), "promise": promise()}
    problems: list[str] = document["database"]["problems"]
    if as_json:
        print_json(document)
    else:
        _print(document, problems)
    if problems:
        raise typer.Exit(1)


def _print(document: dict[str, dict[str, Any]], problems: list[str]) -> None:
    from lab.text import literal

    for title, facts in document.items():
        print(title)
        for name, value in facts.items():
            if name != "problems":
                print(f"  {name.replace('_', ' ')}: {_said(name, value)}")
    print("problems" if problems else "no problems found")
    for problem in problems:
        print(f"  {literal(problem)}")


def _said(name: str, value: object) -> str:
    """A fact as text; what counts bytes with its unit."""
    from lab.text import literal, si

    if isinstance(value, dict):
        said = {literal(str(key).replace("_", " ")): _said(f"{name} {key}", each) for key, each in value.items()}
        return ", ".join(f"{key} {each}" for key, each in said.items())
    if isinstance(value, int) and "bytes" in name:
        return f"{si(value)}B"
    return literal(str(value))


def _repair(path: Path, to: Path | None, as_json: bool) -> None:
    """Repairs a damaged database into a new file, and says what was lost."""
    from lab.cli.output import print_json, say
    from lab.cli.stored import opened
    from lab.queue.requests import worker_pid
    from lab.store.health import examine
    from lab.store.repair import repair

    if not path.is_file():
        raise UsageError(f"there is no database {path}")
    try:
        with opened(path) as store:
            sound = not examine(store).problems
    except DamagedDatabaseError:
        sound = False
    except NotADatabaseError as error:  # the very mark that tells may be what is damaged
        say(f"{error}; what looks like lab's in it is saved")
        sound = False
    if sound:
        say(f"{path} is sound: there is nothing to repair")
        return
    if worker_pid(path) is not None:
        raise UsageError(f"a worker is at work on {path}: end it first with: lab worker --stop")
    done = repair(path, to or path.with_name(f"{path.name.removesuffix('.db')}.repaired.db"))
    if as_json:
        print_json(done.document())
        return
    for line in done.lines():
        print(line)
    say(f"{path} is as it was; look at what was saved with: lab --db {done.path}")


def _machine() -> dict[str, Any]:
    from importlib.metadata import version

    import psutil

    from lab import __version__
    from lab.queue.slots import cores
    from lab.training.device import best_device

    packages = ("torch", "textual", "plotext", "sqlalchemy", "numpy", "pydantic")
    return {
        "lab": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": best_device(),
        "installed_in": str(Path(sys.prefix)),
    }


def _database(path: Path) -> dict[str, Any]:
    from lab.cli.stored import opened
    from lab.queue.requests import worker_pid
    from lab.store.health import examine
    from lab.store.sizes import checkpoint_bytes, file_bytes, table_bytes, trash_facts

    facts: dict[str, Any] = {"path": str(path), "exists": path.exists(), "problems": []}
    file_system = _file_system(path)
    facts["file_system"] = file_system
    if any(file_system.startswith(name) for name in _NETWORK_FILE_SYSTEMS):
        facts["problems"].append(f"{path} lies on a network file system ({file_system}): keep it on a local disk")
    if not path.exists():
        return facts
    facts["bytes"] = path.stat().st_size
    facts["bytes_by_kind"] = table_bytes(path)
    facts["bytes_of_files"] = file_bytes(path)
    facts["worker"] = worker_pid(path)
    try:
        with opened(path) as store:
            health = examine(store)
            facts["bytes_by_kind"] |= checkpoint_bytes(store)
            facts["trash"] = trash_facts(store)
    except StoreError as error:
        facts["problems"].append(str(error))
        return facts
    facts |= health.counts
    facts["problems"] += health.problems
    return facts


def _file_system(path: Path) -> str:
    import psutil

    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"

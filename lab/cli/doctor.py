"""`lab doctor`: device, versions, the database's health and size, and how to mend what is wrong."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import typer

from lab.cli import options
from lab.errors import StoreError

_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "sshfs", "9p", "afp", "fuse.sshfs")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor")(doctor)


def doctor(as_json: options.AsJson = False, database: options.Database = None) -> None:
    """Say what lab runs on, and whether its database is sound.

    Where it is not, it says what to do.
    """
    from lab.cli.output import print_json
    from lab.store.location import find_database
    from lab.text import literal

    path = find_database(database)
    document = {"machine": _machine(), "database": _database(path)}
    problems: list[str] = document["database"]["problems"]
    if as_json:
        print_json(document)
    else:
        for title, facts in document.items():
            print(title)
            for name, value in facts.items():
                if name != "problems":
                    print(f"  {name.replace('_', ' ')}: {literal(str(value))}")
        print("problems" if problems else "no problems found")
        for problem in problems:
            print(f"  {literal(problem)}")
    if problems:
        raise typer.Exit(1)


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
    from lab.store.location import files_folder

    facts: dict[str, Any] = {"path": str(path), "exists": path.exists(), "problems": []}
    file_system = _file_system(path)
    facts["file_system"] = file_system
    if any(file_system.startswith(name) for name in _NETWORK_FILE_SYSTEMS):
        facts["problems"].append(f"{path} lies on a network file system ({file_system}): keep it on a local disk")
    if not path.exists():
        return facts
    facts["bytes"] = path.stat().st_size
    facts["checkpoint_bytes"] = sum(file.stat().st_size for file in files_folder(path).rglob("*") if file.is_file())
    facts["worker"] = worker_pid(path)
    try:
        with opened(path) as store:
            health = examine(store)
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

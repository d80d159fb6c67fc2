"""The files of people's own models: kept with the runs, and which of them may be run on this machine.

A run may come from anybody, and its model's code with it. So code is run only where this machine's user has said so,
for exactly this text: by naming the file in a command, or with `lab trust`. That is kept in the user's config folder,
by the text's SHA-256, never in a database.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lab.config.own_model import OWN, OwnSource
from lab.errors import OwnModelError, UsageError
from lab.store.location import user_config_folder
from lab.store.run_store import RunRow, RunStore
from lab.store.schema import ModelSource

_LARGEST_FILE = 10_000_000


def stored_source(store: RunStore, run: RunRow) -> OwnSource:
    """The file of a run's own model, as it was when the run was made.

    Raises `OwnModelError` where the run has none, or the text is not the one that its config names.
    """
    query = sa.select(ModelSource.file_name, ModelSource.class_name, ModelSource.text)
    with store.database.reader.connect() as connection:
        row = connection.execute(query.where(ModelSource.run_id == run.id)).first()
    if row is None:
        raise OwnModelError(f"run {run.name} has no file of a model of its own")
    source = OwnSource(*row)
    if source.sha256 != run.config.source_sha256:
        raise OwnModelError(f"the file that is kept with run {run.name} is not the one that it was trained with")
    return source


def trusted_source(store: RunStore, run: RunRow) -> OwnSource:
    """The same, where it may be run here. Raises `OwnModelError` where nobody has said so."""
    source = stored_source(store, run)
    if not is_trusted(source.sha256):
        raise OwnModelError(
            f"{run.name} is a model of somebody's own: its code ({source.class_name} in {source.file_name}) has never "
            f"been run here. Read it with: lab trust {run.id}, which then asks whether it may be"
        )
    return source


def check_may_run(store: RunStore, run: RunRow) -> None:
    """Raises `OwnModelError` where a run's model is somebody's own, and may not be run here."""
    if run.config.model == OWN:
        trusted_source(store, run)


def check_trusted(source: OwnSource) -> None:
    """Raises `OwnModelError` where the file of a model may not be run here."""
    if not is_trusted(source.sha256):
        raise OwnModelError(
            f"the code of {source.class_name} in {source.file_name} has never been run here as it is now. "
            f"Read it with: lab trust {source.word}, which then asks whether it may be"
        )


# What may be run


def trust_path() -> Path:
    """Where it is kept what may be run on this machine."""
    return user_config_folder() / "trusted-models.json"


def is_trusted(sha256: str) -> bool:
    """Whether a text of that SHA-256 may be run."""
    return sha256 in _trusted()


def trust(source: OwnSource) -> None:
    """Lets a text be run from now on. Raises `UsageError` where that cannot be kept."""
    known = _trusted()
    if source.sha256 in known:
        return
    known[source.sha256] = {"file": source.file_name, "class": source.class_name, "at": time.time()}
    path = trust_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".trusted-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(known, file, indent=1)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written, where it is kept which models may be run: {error.strerror}"
        ) from None


def _trusted() -> dict[str, Any]:
    """By SHA-256; nothing where the file is missing, damaged, or can be written by others."""
    path = trust_path()
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return {}
            found = json.loads(file.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""What was computed of a checkpoint for a view, kept where it took a while."""

from __future__ import annotations

import time

import sqlalchemy as sa

from lab.store.run_store import RunStore
from lab.store.schema import Inspection


def kept_inspection(store: RunStore, run_id: str, checkpoint_sha256: str, view: str) -> str | None:
    """The result as JSON; None where there is none. `view` names the view and all that it was asked for."""
    query = sa.select(Inspection.result_json).where(
        Inspection.run_id == run_id, Inspection.checkpoint_sha256 == checkpoint_sha256, Inspection.view == view
    )
    with store.database.reader.connect() as connection:
        return connection.scalar(query)


def keep_inspection(store: RunStore, run_id: str, checkpoint_sha256: str, view: str, result_json: str) -> None:
    """Keeps a result, in place of an earlier one of the same."""
    values = {"run_id": run_id, "checkpoint_sha256": checkpoint_sha256, "view": view}
    values |= {"result_json": result_json, "created_at": time.time()}  # type: ignore[dict-item]
    with store.database.writer.begin() as connection:
        connection.execute(sa.insert(Inspection).prefix_with("OR REPLACE").values(**values))

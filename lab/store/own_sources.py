"""The file of a model of one's own, as a row beside its run."""

from __future__ import annotations

import sqlalchemy as sa

from lab.config.own_model import OwnSource
from lab.config.run_config import RunConfig
from lab.errors import UsageError
from lab.store.schema import ModelSource


def insert_source(connection: sa.Connection, run_id: str, config: RunConfig, source: OwnSource | None) -> None:
    """Keeps the file of a run's own model. Raises `UsageError` where no run has it."""
    columns = (ModelSource.file_name, ModelSource.class_name, ModelSource.text)
    known = sa.select(*columns).where(ModelSource.sha256 == config.source_sha256).limit(1)
    if source is None and (row := connection.execute(known).first()) is not None:
        source = OwnSource(*row)
    if source is None or source.sha256 != config.source_sha256:
        raise UsageError(f"the file of {config.stage} is not here: name it as FILE.py:{config.stage}")
    values = {"file_name": source.file_name, "class_name": config.stage, "sha256": source.sha256, "text": source.text}
    connection.execute(sa.insert(ModelSource).values(run_id=run_id, **values))

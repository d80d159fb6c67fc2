"""How a database of each released schema is brought to the next. A step, once released, is never edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

Migration = Callable[[sa.Connection], None]

_TABLES_OF_2 = (
    "DROP TABLE histogram",  # no lab had written to it
    """
    CREATE TABLE tensor (
        id INTEGER NOT NULL,
        run_id VARCHAR NOT NULL,
        name VARCHAR NOT NULL,
        kind VARCHAR NOT NULL,
        edges VARCHAR NOT NULL,
        PRIMARY KEY (id),
        UNIQUE (run_id, name, kind),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE histogram (
        tensor_id INTEGER NOT NULL,
        bucket INTEGER NOT NULL,
        step INTEGER NOT NULL,
        first_step INTEGER NOT NULL,
        snapshots INTEGER NOT NULL,
        bins BLOB NOT NULL,
        mean DOUBLE,
        std DOUBLE,
        low DOUBLE,
        high DOUBLE,
        saturated DOUBLE,
        dead DOUBLE,
        log10_ratio DOUBLE,
        PRIMARY KEY (tensor_id, bucket),
        FOREIGN KEY(tensor_id) REFERENCES tensor (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE lr_sweep (
        run_id VARCHAR NOT NULL,
        spec_json VARCHAR NOT NULL,
        result_json VARCHAR,
        PRIMARY KEY (run_id),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE model_source (
        run_id VARCHAR NOT NULL,
        file_name VARCHAR NOT NULL,
        class_name VARCHAR NOT NULL,
        sha256 VARCHAR NOT NULL,
        text VARCHAR NOT NULL,
        PRIMARY KEY (run_id),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE test_look (
        id INTEGER NOT NULL,
        run_id VARCHAR NOT NULL,
        at DOUBLE NOT NULL,
        step INTEGER NOT NULL,
        loss DOUBLE NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_test_look_run_id ON test_look (run_id)",
    """
    CREATE TABLE inspection (
        run_id VARCHAR NOT NULL,
        checkpoint_sha256 VARCHAR NOT NULL,
        "view" VARCHAR NOT NULL,
        result_json VARCHAR NOT NULL,
        created_at DOUBLE NOT NULL,
        PRIMARY KEY (run_id, checkpoint_sha256, "view"),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE setting (
        name VARCHAR NOT NULL,
        value VARCHAR NOT NULL,
        PRIMARY KEY (name)
    )
    """,
)


def _to_2(connection: sa.Connection) -> None:
    """Histograms of merged snapshots; LR sweeps, models of a person's own, looks at the test split, inspections."""
    for statement in _TABLES_OF_2:
        connection.exec_driver_sql(statement.strip())


MIGRATIONS: Mapping[int, Migration] = {1: _to_2}
"""A database of version n is brought to n + 1 by the step n."""

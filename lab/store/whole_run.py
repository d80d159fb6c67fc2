"""One run with all that was recorded of it, as plain JSON values and back: what a bundle holds of the database."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import sqlalchemy as sa

from lab.errors import BundleError
from lab.store.run_store import RunStore, run_table
from lab.store.schema import (
    Base,
    Checkpoint,
    Dataset,
    Event,
    Histogram,
    LRSweep,
    Metric,
    ModelSource,
    Point,
    Sample,
    Tensor,
    TestLook,
)

Values = dict[str, Any]

PARTS: Mapping[str, tuple[type[Base], tuple[str, ...]]] = {
    "samples": (Sample, ("id", "run_id")),
    "events": (Event, ("id", "run_id")),
    "checkpoints": (Checkpoint, ("id", "run_id", "path")),
    "test_looks": (TestLook, ("id", "run_id")),
    "lr_sweep": (LRSweep, ("run_id",)),
    "model_source": (ModelSource, ("run_id",)),
}
"""Tables whose rows belong to a run, and the columns that mean something in one database only."""
SERIES: Mapping[str, tuple[type[Base], tuple[str, ...], str, type[Base]]] = {
    "metrics": (Metric, ("id", "run_id"), "metric_id", Point),
    "tensors": (Tensor, ("id", "run_id"), "tensor_id", Histogram),
}
"""Tables whose rows have rows of their own, kept under `rows` as one list a column."""
OWN_AFFAIRS = ("queue_position", "wish", "trained_by", "failures", "trashed_at")
"""Columns of a run that say how it stands in one database's queue."""
_LARGEST_INTEGER = 2**63 - 1


def read_whole_run(store: RunStore, run_id: str) -> Values:
    """All that is recorded of a run, as it stands at one moment."""
    with store.database.reader.connect() as connection:
        run = connection.execute(sa.select(run_table).where(run_table.c.id == run_id)).mappings().one()
        of_dataset = sa.select(Dataset).where(
            Dataset.sha256 == run["dataset_sha256"], Dataset.kind == run["dataset_kind"]
        )
        dataset = connection.execute(of_dataset).mappings().first()
        parts = {name: _rows(connection, model, left_out, run_id) for name, (model, left_out) in PARTS.items()}
        series = {name: _series(connection, *spec, run_id) for name, spec in SERIES.items()}
    found: Values = {"run": {name: run[name] for name in columns(run_table, OWN_AFFAIRS)}}
    # Where the text lay on this machine is nobody else's business.
    found["dataset"] = {**dataset, "path": ""} if dataset else None
    return found | parts | series


def _rows(connection: sa.Connection, model: type[Base], left_out: Iterable[str], run_id: str) -> list[Values]:
    table = table_of(model)
    query = sa.select(*[table.c[name] for name in columns(table, left_out)]).where(table.c.run_id == run_id)
    ordered = query.order_by(table.c.id) if "id" in table.c else query
    return [_plain(row) for row in connection.execute(ordered).mappings()]


def _series(
    connection: sa.Connection, model: type[Base], left_out: Iterable[str], key: str, of: type[Base], run_id: str
) -> list[Values]:
    table, inner = table_of(model), table_of(of)
    found = []
    for outer in connection.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)).mappings():
        names = columns(inner, (key,))
        query = sa.select(*[inner.c[name] for name in names]).where(inner.c[key] == outer["id"])
        rows = [_plain(row) for row in connection.execute(query.order_by(inner.c.bucket)).mappings()]
        values: Values = {name: outer[name] for name in columns(table, left_out)}
        found.append(values | {"rows": {name: [row[name] for row in rows] for name in names}})
    return found


def _plain(row: Mapping[Any, Any]) -> Values:
    return {
        str(name): base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row.items()
    }


# Back again


def insert_whole_run(connection: sa.Connection, run_id: str, values: Values, paths: Mapping[int, str]) -> None:
    """Stores a run under an id, of `checked_values`; `paths` are the checkpoints' files by their place."""
    own = {"queue_position": None, "wish": None, "trained_by": "worker", "failures": 0, "trashed_at": None}
    connection.execute(sa.insert(run_table).values(**(values["run"] | own | {"id": run_id})))
    if values["dataset"] is not None:
        connection.execute(sa.insert(Dataset).prefix_with("OR IGNORE").values(**values["dataset"]))
    for name, (model, _) in PARTS.items():
        rows = [row | {"run_id": run_id} for row in values[name]]
        if name == "checkpoints":
            rows = [row | {"path": paths[place]} for place, row in enumerate(rows)]
        if rows:
            connection.execute(sa.insert(model), rows)
    for name, (model, _, key, inner) in SERIES.items():
        for each in values[name]:
            outer = {column: value for column, value in each.items() if column != "rows"}
            new = sa.insert(table_of(model)).values(**outer, run_id=run_id).returning(table_of(model).c.id)
            new_id = connection.execute(new).scalar_one()
            rows = [{key: new_id, **row} for row in each["rows"]]
            if rows:
                connection.execute(sa.insert(table_of(inner)), rows)


def checked_values(document: object) -> Values:
    """What a document says of a run, each value of its column's type; `rows` become one mapping each.

    Raises `BundleError` naming the first thing that is wrong.
    """
    whole = _mapping(document, "the run", {"run", "dataset", *PARTS, *SERIES})
    found: Values = {"run": _checked(whole["run"], "run", run_table, OWN_AFFAIRS)}
    dataset = whole["dataset"]
    found["dataset"] = None if dataset is None else _checked(dataset, "dataset", table_of(Dataset), ())
    for name, (model, left_out) in PARTS.items():
        table = table_of(model)
        found[name] = [_checked(row, name, table, left_out) for row in _list(whole[name], name)]
    for name, (model, left_out, key, inner) in SERIES.items():
        found[name] = [_checked_series(each, name, model, left_out, key, inner) for each in _list(whole[name], name)]
    return found


def _checked_series(
    each: object, name: str, model: type[Base], left_out: Iterable[str], key: str, of: type[Base]
) -> Values:
    table, inner = table_of(model), table_of(of)
    names = columns(inner, (key,))
    outer = _mapping(each, name, {*columns(table, left_out), "rows"})
    lists = _mapping(outer["rows"], name, set(names))
    series = [_list(lists[column], name) for column in names]
    if len({len(values) for values in series}) > 1:
        raise BundleError(f"its {name} have columns of unequal length")
    rows = [
        {column: _value(value, inner.c[column], name) for column, value in zip(names, row, strict=True)}
        for row in zip(*series, strict=True)
    ]
    return {column: _value(outer[column], table.c[column], name) for column in columns(table, left_out)} | {
        "rows": rows
    }


def _checked(row: object, what: str, table: sa.Table, left_out: Iterable[str]) -> Values:
    names = columns(table, left_out)
    values = _mapping(row, what, set(names))
    return {name: _value(values[name], table.c[name], what) for name in names}


def _value(value: object, column: sa.Column[Any], what: str) -> object:
    """A value, if it is of its column's type."""
    kind = column.type.python_type
    if value is None and column.nullable:
        return None
    if kind is int and type(value) is int and abs(value) <= _LARGEST_INTEGER:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(cast("float", value)):
        return float(cast("float", value))
    if kind is str and isinstance(value, str) and _can_be_stored(value):
        return value
    if kind is bytes and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass  # said below, like every other value that does not do
    raise BundleError(f"its {what} have a {column.name} that is no {kind.__name__}")


def _can_be_stored(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mapping(value: object, what: str, keys: set[str]) -> Values:
    if not isinstance(value, dict) or value.keys() != keys:
        raise BundleError(f"its {what} lack fields, or have other ones")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BundleError(f"its {what} are no list")
    return value


def columns(table: sa.Table, left_out: Iterable[str]) -> list[str]:
    """The names of a table's columns but for some."""
    return [column.name for column in table.columns if column.name not in left_out]


def table_of(model: type[Base]) -> sa.Table:
    """The table behind a model."""
    return cast("sa.Table", model.__table__)

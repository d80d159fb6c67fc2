"""The ids of runs: short, and in the order in which they were made."""

from __future__ import annotations

import re
import time

import sqlalchemy as sa

from lab.errors import StoreError
from lab.store.schema import Run

_ID_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_ID_EPOCH = 1_735_689_600  # 2025-01-01
_ID_LENGTH = 6


def new_ids(connection: sa.Connection, count: int) -> list[str]:
    """Ids that sort by creation, whatever the clock does: seconds since 2025, or one above the last."""
    own = sa.and_(sa.func.length(Run.id) == _ID_LENGTH, Run.id.op("GLOB")(f"[{_ID_DIGITS}]" * _ID_LENGTH))
    newest = connection.scalar(sa.select(sa.func.max(Run.id)).where(own))
    first = max(int(time.time()) - _ID_EPOCH, _id_number(newest) + 1 if newest else 0)
    if first + count > 32**_ID_LENGTH:
        raise StoreError("there are no more ids for runs: a run in this database was not made by lab")
    return [_id_text(first + i) for i in range(count)]


def _id_text(number: int) -> str:
    digits = ""
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, 32)
        digits = _ID_DIGITS[digit] + digits
    return digits


def _id_number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + _ID_DIGITS.index(digit)
    return number


def free_id(connection: sa.Connection, wanted: str) -> str:
    """An id for a run that comes from elsewhere: its own where that is one, and free, and no later than now."""
    alike = re.fullmatch(f"[{_ID_DIGITS}]{{{_ID_LENGTH}}}", wanted)
    taken = connection.scalar(sa.select(Run.id).where(Run.id == wanted))
    if alike and taken is None and _id_number(wanted) <= time.time() - _ID_EPOCH:
        return wanted
    return new_ids(connection, 1)[0]

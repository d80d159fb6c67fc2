"""The pages of an SQLite file, read without SQLite: what is sound of a file that SQLite refuses, and how large what is.

The format: https://www.sqlite.org/fileformat2.html. Nothing here writes, and nothing trusts what a page says of itself.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from lab.store.wal import committed_frames

Value = None | int | float | str | bytes
TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
_KINDS = (TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR)
_DEFAULT_PAGE_SIZE = 4096
LARGEST_RECORD = 64 * 2**20
"""Bytes of one row; what claims to be larger is damaged."""
_DEEPEST = 12
_SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}


class DamagedError(ValueError):
    """What is read makes no sense."""


@dataclass
class Page:
    """What was found on one page of a b-tree: its rows, the pages below it, and how many cells made no sense."""

    kind: int
    children: list[int] = field(default_factory=list)
    rows: list[tuple[int | None, list[Value]]] = field(default_factory=list)
    """Of a table's leaf with their row ids; of an index, whose interior pages hold rows too, without."""
    bad_cells: int = 0


class Pages:
    """An SQLite file and its write-ahead log, page by page."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        size = path.stat().st_size
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        self.size, reserved = self._layout()
        self._usable = self.size - reserved
        self._newer = committed_frames(path.with_name(path.name + "-wal"), self.size)
        own = size // self.size
        self.count = min(max([own, *self._newer]), own + len(self._newer))
        self.used: set[int] = set()
        """Pages that some walk has come by."""

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._file.close()

    def _layout(self) -> tuple[int, int]:
        """The size of a page, and how much at its end is reserved; as lab's files have it where the head is damaged."""
        head = self._map[:100]
        if len(head) < 100 or head[:16] != b"SQLite format 3\0":
            return _DEFAULT_PAGE_SIZE, 0
        stated = int.from_bytes(head[16:18], "big")
        stated = 65536 if stated == 1 else stated
        if stated < 512 or stated & (stated - 1) or head[20] > stated - 480:
            return _DEFAULT_PAGE_SIZE, 0
        return stated, head[20]

    def data(self, number: int) -> bytes:
        """A page's bytes, the newest. Raises `DamagedError` where there is none."""
        if number in self._newer:
            return self._newer[number]
        data = bytes(self._map[(number - 1) * self.size : number * self.size]) if number >= 1 else b""
        if len(data) < self.size:
            raise DamagedError(f"there is no page {number}")
        return data

    def page(self, number: int, *, rows: bool = True) -> Page:
        """What a page of a b-tree holds. Raises `DamagedError` where it is none."""
        data = self.data(number)
        start = 100 if number == 1 else 0
        kind, cells = data[start], int.from_bytes(data[start + 3 : start + 5], "big")
        if kind not in _KINDS:
            raise DamagedError(f"page {number} is no page of a table")
        interior = kind in (TABLE_INTERIOR, INDEX_INTERIOR)
        first = start + (12 if interior else 8)
        if first + 2 * cells > self._usable:
            raise DamagedError(f"page {number} claims to hold {cells} cells")
        page = Page(kind)
        for place in range(cells):
            at = int.from_bytes(data[first + 2 * place : first + 2 * place + 2], "big")
            try:
                if interior:
                    page.children.append(self._child(data, at))
                if kind != TABLE_INTERIOR and rows:
                    page.rows.append(self._row(data, at + (4 if interior else 0), kind))
            except (DamagedError, IndexError, struct.error, UnicodeDecodeError):
                page.bad_cells += 1
        if interior:
            page.children.append(int.from_bytes(data[start + 8 : start + 12], "big"))
        return page

    def walk(self, root: int) -> Iterator[Page | int]:
        """The pages of a b-tree from its root on; a page that cannot be read comes as its number."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if not 1 <= number <= self.count or number in self.used:
                yield number
                continue
            self.used.add(number)
            try:
                page = self.page(number)
            except DamagedError:
                yield number
                continue
            waiting += reversed(page.children)
            yield page

    def tree_pages(self, root: int) -> int:
        """How many pages a b-tree has; its leaves, all equally deep, are counted without being read.

        Raises `DamagedError` where it is none.
        """
        height, first = 0, root
        while (children := self.page(first, rows=False).children) and height <= _DEEPEST:
            height, first = height + 1, children[0]
        if height > _DEEPEST:
            raise DamagedError("a table is deeper than any can be")
        return self._pages_below(root, height)

    def _pages_below(self, number: int, height: int) -> int:
        if height == 0:
            return 1
        if height == 1:  # a pointer for each cell, and one more: the head of the page tells how many
            return 2 + int.from_bytes(self.data(number)[103 if number == 1 else 3 :][:2], "big")
        children = self.page(number, rows=False).children
        return 1 + sum(self._pages_below(child, height - 1) for child in children)

    def free_pages(self) -> set[int]:
        """Pages that hold nothing any more; none where their list is damaged."""
        free: set[int] = set()
        try:
            header = self.data(1)
            trunk = int.from_bytes(header[32:36], "big")
            while trunk:
                data = self.data(trunk)
                following, leaves = struct.unpack_from(">II", data)
                if trunk in free or leaves > self._usable // 4 - 2:
                    return set()
                free |= {trunk, *struct.unpack_from(f">{leaves}I", data, 8)}
                trunk = following
        except (DamagedError, struct.error):
            return set()
        return free

    def _child(self, data: bytes, at: int) -> int:
        if at < 8:
            raise DamagedError("a cell lies within the head of its page")
        return int.from_bytes(data[at : at + 4], "big")

    def _row(self, data: bytes, at: int, kind: int) -> tuple[int | None, list[Value]]:
        if at < 8:
            raise DamagedError("a cell lies within the head of its page")
        size, at = varint(data, at)
        row_id = None
        if kind == TABLE_LEAF:
            row_id, at = varint(data, at)
        return row_id, record(self._payload(data, at, size, kind))

    def _payload(self, data: bytes, at: int, size: int, kind: int) -> bytes:
        """A row's bytes, those on overflow pages too."""
        if not 0 < size <= LARGEST_RECORD:
            raise DamagedError(f"a row claims to have {size} bytes")
        usable = self._usable
        most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return self._cut(data, at, size)
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
        parts, left = [self._cut(data, at, local)], size - local
        following = int.from_bytes(self._cut(data, at + local, 4), "big")
        seen: set[int] = set()
        while left:
            if following in seen:
                raise DamagedError("a row's pages form a circle")
            seen.add(following)
            page = self.data(following)
            parts.append(page[4 : 4 + min(left, usable - 4)])
            left -= len(parts[-1])
            following = int.from_bytes(page[:4], "big")
        self.used |= seen
        return b"".join(parts)

    def _cut(self, data: bytes, at: int, size: int) -> bytes:
        if at + size > self._usable:
            raise DamagedError("a cell runs over the end of its page")
        return data[at : at + size]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, as a signed one, and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    value = value << 8 | data[at + 8]
    return value - 2**64 if value >= 2**63 else value, at + 9


def record(payload: bytes) -> list[Value]:
    """The values of a row. Raises `DamagedError` where the bytes are none."""
    head, at = varint(payload, 0)
    if not at <= head <= len(payload):
        raise DamagedError("the head of a row is longer than the row")
    kinds: list[int] = []
    while at < head:
        kind, at = varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = head
    for kind in kinds:
        size = (kind - 12) // 2 if kind >= 12 else _SIZES.get(kind)
        if size is None or size < 0 or at + size > len(payload):
            raise DamagedError("a value runs over the end of its row")
        values.append(_value(kind, payload[at : at + size]))
        at += size
    if at != len(payload):
        raise DamagedError("a row is longer than its values")
    return values


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    if kind in (8, 9):
        return kind - 8
    if kind < 7:
        return int.from_bytes(data, "big", signed=True)
    return data.decode("utf-8") if kind % 2 else data

"""The write-ahead log of an SQLite file: the pages that its committed transactions have written."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
"""With the lowest bit set, the sums are over big-endian numbers."""
LARGEST_LOG = 2**30


def committed_frames(path: Path, page_size: int) -> dict[int, bytes]:
    """Each page as the last whole transaction left it; whatever follows a frame whose sums are wrong is left out."""
    try:
        if path.stat().st_size > LARGEST_LOG:
            return {}
        data = path.read_bytes()
    except OSError:
        return {}
    if len(data) < _HEADER.size:
        return {}
    magic, _, size, _, salt_1, salt_2, *stated = _HEADER.unpack_from(data)
    if magic & ~1 != _MAGIC or size != page_size:
        return {}
    order = ">" if magic & 1 else "<"
    sums = _sums(order, data[:24], (0, 0))
    if list(sums) != stated:
        return {}
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for at in range(_HEADER.size, len(data) - _FRAME.size - page_size + 1, _FRAME.size + page_size):
        number, commits, *rest = _FRAME.unpack_from(data, at)
        page = data[at + _FRAME.size : at + _FRAME.size + page_size]
        sums = _sums(order, data[at : at + 8] + page, sums)
        if rest != [salt_1, salt_2, *sums]:
            break
        pending[number] = page
        if commits:
            committed |= {kept: content for kept, content in pending.items() if kept <= commits}
            pending = {}
    return committed


def _sums(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    """SQLite's two sums over pairs of numbers of four bytes each."""
    first, second = before
    numbers = struct.unpack(f"{order}{len(data) // 4}I", data)
    for place in range(0, len(numbers), 2):
        first = (first + numbers[place] + second) & 0xFFFFFFFF
        second = (second + numbers[place + 1] + first) & 0xFFFFFFFF
    return first, second

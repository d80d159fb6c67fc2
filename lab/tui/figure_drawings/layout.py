"""Where the figures of a page stand: those of one group beside each other, all as large as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len

from lab import text
from lab.tui.figure_drawings.base import FigureDrawing, FigureLook, Size

GAP = 2
"""Columns between figures beside each other."""
_TITLE = 1
_LONGEST_TITLE = 46
"""Cells that a title may widen its figure to."""
_OF_SCREEN, _LARGE_SCREEN = 0.75, 30
"""What one group of figures takes of a large screen at most, where the page is longer than that."""


_MUCH_SHORTER, _HARDLY = 0.85, 1.3


@dataclass(frozen=True)
class Placed:
    """A figure's place on the page: its title in the first row, its drawing under it."""

    number: int
    x: int
    y: int
    size: Size
    """Of the drawing alone."""
    title: str
    width: int
    """With the room that the title needs."""

    @property
    def bottom(self) -> int:
        """The row under it."""
        return self.y + _TITLE + self.size.height


@dataclass
class _Block:
    """Figures that belong beside each other, with the sizes that each can have."""

    kind: type[FigureDrawing]
    numbers: list[int] = field(default_factory=list)
    sizes: list[Sequence[Size]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    @property
    def levels(self) -> int:
        return max(len(sizes) for sizes in self.sizes)


def lay_out(drawings: Sequence[FigureDrawing], look: FigureLook, width: int, height: int) -> list[Placed]:
    """Places for all figures in a page of such a width; what does not fit into its height is scrolled to.

    Where all of them fit on one screen they grow in turn, those of one kind together, for as long as they still do.
    """
    blocks = _blocks(drawings, look, width)
    page = _Page(blocks, width, height)
    levels = [block.levels - 1 for block in blocks]
    if page.bottom(levels) > height:
        return page.place(page.shortened(page.own_levels()))[0]
    growing = set(range(len(blocks)))
    while growing:
        for kind in dict.fromkeys(blocks[i].kind for i in sorted(growing)):
            alike = [i for i in growing if blocks[i].kind is kind]
            step = max(levels[i] for i in alike) - 1
            larger = [min(level, step) if i in alike and step >= 0 else level for i, level in enumerate(levels)]
            if larger != levels and page.fits(larger) and page.bottom(larger) <= height:
                levels = larger
            else:
                growing -= set(alike)
    return page.place(levels)[0]


def _blocks(drawings: Sequence[FigureDrawing], look: FigureLook, width: int) -> list[_Block]:
    blocks: list[_Block] = []
    before = ""
    for number, drawing in enumerate(drawings):
        group = drawing.figure.group
        if not blocks or not group or group != before:
            blocks.append(_Block(type(drawing)))
        blocks[-1].numbers.append(number)
        blocks[-1].sizes.append(drawing.sizes(look, width))
        blocks[-1].titles.append(text.literal(drawing.figure.title))
        before = group
    return blocks


class _Page:
    """Blocks in a page of such a width, of which such a height is seen at once."""

    def __init__(self, blocks: Sequence[_Block], width: int, height: int) -> None:
        self._blocks, self._width, self._height = blocks, width, height

    def bottom(self, levels: Sequence[int]) -> int:
        """How long the page is with every block in one of its sizes."""
        return self.place(levels)[1]

    def fits(self, levels: Sequence[int]) -> bool:
        """Whether every figure is seen whole in the width."""
        return all(
            sizes[min(level, len(sizes) - 1)].width <= self._width
            for block, level in zip(self._blocks, levels, strict=True)
            for sizes in block.sizes
        )

    def own_level(self, block: _Block) -> int:
        """The largest size by which a block leaves some of the screen to others, or else its smallest."""
        alone = _Page([block], self._width, self._height)
        shared = len(self._blocks) > 1 and self._height >= _LARGE_SCREEN
        limit = int(self._height * _OF_SCREEN) if shared else self._height
        fitting = (level for level in range(block.levels) if alone.fits([level]) and alone.whole(block, level) <= limit)
        return next(fitting, block.levels - 1)

    def own_levels(self) -> list[int]:
        """The same of every block, those of one kind alike."""
        own = [self.own_level(block) for block in self._blocks]
        kinds = [block.kind for block in self._blocks]
        return [max(level for level, kind in zip(own, kinds, strict=True) if kind is each) for each in kinds]

    def shortened(self, levels: list[int]) -> list[int]:
        """Smaller sizes for those kinds that make the page much shorter by standing beside others."""
        for kind in dict.fromkeys(block.kind for block in self._blocks if block.kind.gives_way):
            for level in range(max(block.levels for block in self._blocks)):
                smaller = [
                    max(before, level) if block.kind is kind else before
                    for block, before in zip(self._blocks, levels, strict=True)
                ]
                if self.bottom(smaller) <= _MUCH_SHORTER * self.bottom(levels):
                    levels = smaller
        return levels

    def whole(self, block: _Block, level: int) -> int:
        """How long a block is where nothing of it is cut."""
        return _Page([block], self._width, 10**6).bottom([level])

    def place(self, levels: Sequence[int]) -> tuple[list[Placed], int]:
        """The figures from left to right in rows, and the row under the last of them."""
        placed: list[Placed] = []
        x = y = bottom = 0
        for block, level in zip(self._blocks, levels, strict=True):
            for place, (number, sizes, title) in enumerate(zip(block.numbers, block.sizes, block.titles, strict=True)):
                size = self._cut(sizes[min(level, len(sizes) - 1)])
                needed = min(self._width, max(size.width, min(cell_len(title) + 2, _LONGEST_TITLE)))
                near = place > 0 or (bool(placed) and _belongs(placed[-1], size))
                if x > 0 and x + GAP + needed <= self._width and near:
                    x += GAP
                elif placed:
                    x, y = 0, bottom + 1
                placed.append(Placed(number, x, y, size, title, needed))
                x += needed
                bottom = max(bottom, placed[-1].bottom)
        return placed, bottom

    def _cut(self, size: Size) -> Size:
        """A size that is no larger than the screen, or hardly: what is just too high is scrolled to."""
        most = max(3, self._height - _TITLE)
        return Size(min(size.width, self._width), size.height if size.height <= _HARDLY * most else most)


def _belongs(before: Placed, size: Size) -> bool:
    """Whether a figure is about as high as the one that it would stand beside."""
    return size.height <= max(8, 2 * before.size.height)

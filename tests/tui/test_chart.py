"""The chart: ranges, ticks and labels; and that nothing plotext aborts on ever reaches it."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np

from lab.tui.chart_cells import spread
from lab.tui.chart_content import ChartContent, Line, Palette, Reference
from lab.tui.chart_frame import render_chart

PALETTE = Palette("#444444", "#888888", "#7fd1c7")
STEPS = np.arange(0.0, 5000.0, 10)
CURVE = 2 + 2 * np.exp(-STEPS / 300)


def drawn(*lines: Line, width: int = 80, height: int = 20, **options: object) -> str:
    """The chart's text."""
    content = ChartContent((), lines, nothing="nothing here", **options)  # type: ignore[arg-type]
    rows = render_chart(content, PALETTE, width, height)
    assert len(rows) == height
    text = ["".join(segment.text for segment in row) for row in rows]
    assert all(len(line) <= width for line in text)
    return "\n".join(text)


def braille(text: str) -> int:
    """Cells that a line goes through."""
    return sum("⠀" < character <= "⣿" for character in text)


NAN, INF = math.nan, math.inf
HOSTILE_LINES = {
    "nan amid numbers": ([0, 1, 2, 3, 4], [1, 2, NAN, 4, 5]),
    "infinite": ([0, 1, 2, 3], [1, INF, -INF, 2]),
    "nothing but nan": ([0, 1, 2], [NAN, NAN, NAN]),
    "empty": ([], []),
    "one point": ([5], [2.0]),
    "one point between nan": ([0, 1, 2], [NAN, 2.0, NAN]),
    "all equal": ([0, 1, 2, 3], [2.0, 2.0, 2.0, 2.0]),
    "all zero": ([0, 0, 0], [0.0, 0.0, 0.0]),
    "zero and negative": ([0, 1, 2], [0.0, -1.0, 1.0]),
    "huge": ([0, 1e300], [1e-300, 1e300]),
    "nan in x": ([NAN, 1, 2], [1, 2, 3]),
    "a spike of the largest float": (list(range(50)), [2.0] * 49 + [1.7e308]),
}


def test_what_plotext_aborts_on_is_drawn_or_left_out() -> None:
    """In a process of its own, since plotext would end this one; it names each kind once it is through."""
    code = (
        "import numpy as np\n"
        "from math import nan, inf\n"
        "from lab.tui.chart_content import *\n"
        "from lab.tui.chart_frame import render_chart\n"
        f"kinds = {HOSTILE_LINES!r}\n"
        "for kind, (x, y) in kinds.items():\n"
        "    line = Line(np.array(x, dtype=float), np.array(y, dtype=float), '#ff0000', 'a line 1.0')\n"
        "    for log_x, log_y, whole in np.ndindex(2, 2, 2):\n"
        "        for size in ((60, 12), (21, 5), (1, 1), (120, 30)):\n"
        "            content = ChartContent((), [line], [Reference('r', 2.0)], log_x=bool(log_x),\n"
        "                                   log_y=bool(log_y), whole_range=bool(whole), nothing='nothing')\n"
        "            rows = render_chart(content, Palette('#444444', '#888888', '#7fd1c7'), *size)\n"
        "            assert len(rows) == size[1], (kind, len(rows), size)\n"
        "    print(kind, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == list(HOSTILE_LINES), done.stderr
    assert done.returncode == 0


def test_draws_a_curve_with_round_ticks_and_its_label_at_its_end() -> None:
    text = drawn(Line(STEPS, CURVE, "#ff0000", "residual-1 2.000"))
    assert braille(text) > 40
    assert "residual-1 2.000" in text
    for tick in ("0", "1k", "2k", "3k", "4k", "5k", "step"):
        assert tick in text.splitlines()[-1]


def test_leaves_the_first_steps_out_of_the_range_unless_asked() -> None:
    line = Line(STEPS, CURVE, "#ff0000", "a 2.0")
    assert "4.0" not in drawn(line)
    assert "4.0" in drawn(line, whole_range=True)


def test_references_are_drawn_where_they_are_or_named_at_the_edge() -> None:
    references = [Reference("bigram by counting 2.49", 2.49), Reference("guessing evenly 4.14", 4.14)]
    text = drawn(Line(STEPS, CURVE, "#ff0000", "a 2.0"), references=references)
    assert "┈ bigram by counting 2.49" in text
    assert "↑ guessing evenly 4.14" in text.splitlines()[0]


def test_labels_never_lie_over_each_other() -> None:
    lines = [Line(STEPS, CURVE + i * 1e-6, "#ff0000", f"run-{i} 2.000") for i in range(8)]
    text = drawn(*lines)
    assert all(f"run-{i} 2.000" in text for i in range(8))
    assert spread([5, 5, 5], 10) == [4, 5, 6]
    assert spread([9, 9, 9], 10) == [7, 8, 9]
    assert spread([0, 0, 9, 9], 10) == [0, 1, 8, 9]


def test_a_legend_where_there_is_no_room_at_the_ends() -> None:
    lines = [Line(STEPS, CURVE + i, f"#ff00{i}0", f"a-long-name-{i} 2.000") for i in range(3)]
    text = drawn(*lines, width=44, height=14)
    assert "━ a-long-name-0 2.000" in text.splitlines()[0]
    many = [Line(STEPS, CURVE + i, "#ff0000", f"run-{i} 2.000") for i in range(40)]
    assert "+" in drawn(*many, width=60, height=12).split("│")[0]


def test_says_why_there_is_nothing() -> None:
    assert "nothing here" in drawn()
    assert "nothing here" in drawn(Line(np.zeros(3), np.full(3, math.nan), "#ff0000", "a"))


def test_a_spike_is_seen_however_narrow_the_chart() -> None:
    x = np.arange(5000.0)
    y = np.full(5000, 2.0)
    flat = braille(drawn(Line(x, y, "#ff0000", "a 2.0"), whole_range=True))
    y[2503] = 9.0
    assert braille(drawn(Line(x, y, "#ff0000", "a 2.0"), whole_range=True)) > flat + 10

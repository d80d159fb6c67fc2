"""Style sheets: each is parsed once, whatever screens are opened; another theme has them parsed anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from textual.css import stylesheet
from tui_helpers import lab_app, opened, until

from lab.tui.modes import MODES
from lab.tui.screens.composer import ComposerScreen
from lab.tui.theme import LIGHT


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """How often each source was parsed."""
    counts: Counter[Any] = Counter()
    parse = stylesheet.parse

    def counted(scope: str, css: str, read_from: Any, *arguments: Any, **more: Any) -> Any:
        counts[read_from] += 1
        return parse(scope, css, read_from, *arguments, **more)

    monkeypatch.setattr(stylesheet, "parse", counted)
    return counts


async def test_new_screens_have_nothing_parsed_again(database: Path, parsed: Counter[Any]) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        for mode in MODES:
            await pilot.press(mode.key)
            await until(pilot, lambda mode=mode: mode.name == app.screen.MODE)
        await pilot.press("2", "n")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen))
        # Where a widget that others are derived from comes to stand by itself, Textual ranks its sheet anew.
        assert max(parsed.values()) <= 4
        assert sum(parsed.values()) < 2 * len(parsed)


async def test_another_theme_changes_the_colours(database: Path, parsed: Counter[Any]) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        runs = await opened(pilot)
        before = runs.styles.background
        known = len(parsed)
        parsed.clear()
        app.theme = LIGHT.name
        await until(pilot, lambda: runs.styles.background != before)
        assert len(parsed) >= known
        assert max(parsed.values()) == 1

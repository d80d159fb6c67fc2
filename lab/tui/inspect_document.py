"""A page of an inspection as text that can be taken along: its figures as CSV."""

from __future__ import annotations

from lab.inference.figures import Page
from lab.tui.shown import Shown


def of_page(page: Page, current: int) -> list[Shown]:
    """The current figure and the whole page."""
    return []

"""A page of an inspection as text that can be taken along."""

from __future__ import annotations

from dataclasses import replace

from lab.inference.figures import Page
from lab.tui.shown import Shown, file_stem

TEXT_WIDTH = 100
"""Columns of a page as text."""


def of_page(page: Page, current: int) -> list[Shown]:
    """The current figure and the whole page, as CSV, as a picture and as text."""
    stem = f"{file_stem(page.run_name or 'run')}-{page.view}"
    if page.step is not None:
        stem += f"-{page.step}"
    figure = replace(page, figures=page.figures[current : current + 1])
    shown = [
        Shown("figure (CSV)", lambda: _csv(figure), f"{stem}-figure-{current + 1}.csv"),
        Shown(f"{page.view} (CSV)", lambda: _csv(page), f"{stem}.csv"),
        Shown(f"{page.view} (SVG)", lambda: _svg(page), f"{stem}.svg"),
        Shown(f"{page.view} (text)", lambda: _text(page), f"{stem}.txt"),
    ]
    return shown if len(page.figures) > 1 else shown[1:]


def _csv(page: Page) -> str:
    from lab.reports.figure_csv import page_csv

    return page_csv(page)


def _svg(page: Page) -> str:
    from lab.reports.figure_svg import page_svg

    return page_svg(page)


def _text(page: Page) -> str:
    from lab.reports.figure_text import page_lines

    return "\n".join(page_lines(page, TEXT_WIDTH)) + "\n"

"""A document of a few kinds of block, as Markdown or as one HTML page; texts in it are data, and stay literal."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lab.text import literal

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #24292f; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #d0d7de; vertical-align: top; }
pre { background: #f6f8fa; padding: .75rem; overflow-x: auto; white-space: pre-wrap; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #57606a; }
"""


@dataclass(frozen=True)
class Heading:
    """A line above what belongs together, of level 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A text of one paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Lines, one below the other."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Columns by name, and their rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A chart, and a line below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Verbatim:
    """A text as it was written."""

    text: str


Block = Heading | Paragraph | Bullets | Table | Figure | Verbatim


def as_markdown(blocks: Sequence[Block]) -> str:
    """Markdown with its charts in it: they stand at the end of the file, so that the text reads as text."""
    parts: list[str] = []
    charts: list[str] = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append(f"{'#' * level} {_markdown(text)}")
            case Paragraph(text):
                parts.append(_markdown(text))
            case Bullets(lines):
                parts.append("\n".join(f"- {_markdown(line)}" for line in lines))
            case Table(columns, rows):
                lines = [_row(columns), "|" + " --- |" * len(columns), *(_row(row) for row in rows)]
                parts.append("\n".join(lines))
            case Figure(svg, caption):
                charts.append(f"[chart-{len(charts) + 1}]: data:image/svg+xml;base64,{_base64(svg)}")
                parts.append(f"![{_markdown(caption)}][chart-{len(charts)}]\n\n*{_markdown(caption)}*")
            case Verbatim(text):
                shown = literal(text, lines=True)
                fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
                parts.append(f"{fence}text\n{shown}\n{fence}")
    return "\n\n".join([*parts, *charts]) + "\n"


def as_html(blocks: Sequence[Block], title: str) -> str:
    """One HTML page that needs nothing else: no script, no other file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_html(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_html_block(block) for block in blocks)
        + "\n</body>\n</html>\n"
    )


def _html_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_html(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_html(text)}</p>"
        case Bullets(lines):
            return "<ul>" + "".join(f"<li>{_html(line)}</li>" for line in lines) + "</ul>"
        case Table(columns, rows):
            head = "".join(f"<th>{_html(name)}</th>" for name in columns)
            body = "\n".join("<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            return (
                f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
            )
        case Figure(svg, caption):
            return f"<figure>\n{svg}<figcaption>{_html(caption)}</figcaption>\n</figure>"
        case Verbatim(text):
            return f"<pre>{escape(literal(text, lines=True))}</pre>"


def _html(text: str) -> str:
    return escape(literal(text))


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", literal(text))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"


def _base64(svg: str) -> str:
    return base64.b64encode(svg.encode()).decode()

"""`lab inspect`: what a trained model knows, and which of its pieces it needs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.inference.figures import Page
    from lab.inference.views import InspectOptions, View
    from lab.store.run_store import RunRow

_FORMATS = (".svg", ".csv", ".json", ".txt")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("inspect")(inspect)


def inspect(
    run_name: options.RunName,
    view_name: Annotated[
        str, typer.Argument(metavar="VIEW", help="Such as attention; without one, those that fit.")
    ] = "",
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last|STEP", help="Which of the run's models.")
    ] = "best",
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="S", help="The text that is looked at.")] = None,
    layer: Annotated[int | None, typer.Option("--layer", metavar="N", help="One layer alone, from 1.")] = None,
    head: Annotated[int | None, typer.Option("--head", metavar="N", help="One head alone, from 1.")] = None,
    position: Annotated[
        int | None, typer.Option("--position", metavar="N", help="Whose attention is listed; the last unless given.")
    ] = None,
    head_size: Annotated[int | None, typer.Option("--head-size", metavar="D", help="Of the scores shown.")] = None,
    character: Annotated[str | None, typer.Option("--character", metavar="C", help="Whose neighbours.")] = None,
    pieces: Annotated[
        str | None, typer.Option("--pieces", metavar="parts|heads|positions|dimensions", help="What is knocked out.")
    ] = None,
    replacement: Annotated[
        str | None, typer.Option("--replacement", metavar="zero|mean", help="What stands in a piece's place.")
    ] = None,
    other: Annotated[str | None, typer.Option("--with", metavar="RUN", help="A second run, side by side.")] = None,
    other_checkpoint: Annotated[
        str | None, typer.Option("--with-checkpoint", metavar="best|last|STEP", help="The second one's checkpoint.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Ends in .svg, .csv, .json or .txt.")] = None,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Look into a trained model; without a view, list those that fit."""
    from lab.cli.stored import stored_runs
    from lab.inference.views import find_view
    from lab.reports.run_export import check_target

    path = check_target(to, _FORMATS) if to else None
    given = {
        "prompt": prompt, "layer": layer, "head": head, "position": position, "head_size": head_size,
        "character": character, "pieces": pieces, "replacement": replacement, "other": other,
        "other_checkpoint": other_checkpoint,
    }  # fmt: skip
    with stored_runs(database) as store:
        run = store.resolve(run_name)
        if not view_name:
            _list_views(run, as_json)
            return
        view = find_view(view_name)
        asked = _options(view, {name: value for name, value in given.items() if value is not None})
        page = _page(str(store.database.path), run, view, checkpoint, asked)
    _put(page, path, as_json)


def _options(view: View, given: dict[str, object]) -> InspectOptions:
    """What was asked for. Raises `UsageError` on an option that the view does not take."""
    from lab.inference.views import InspectOptions

    for name in given:
        if name not in view.options:
            takes = ", ".join(_flag(each) for each in view.options) or "no options"
            raise UsageError(f"{_flag(name)} does not apply to the view {view.name}, which takes {takes}")
    return InspectOptions(**given)  # type: ignore[arg-type]


def _flag(option: str) -> str:
    return "--" + option.replace("other", "with").replace("_", "-")


def _list_views(run: RunRow, as_json: bool) -> None:
    from lab.cli.output import print_json, print_table, say
    from lab.inference.views import VIEWS, fits, why_not

    views = [view for view in VIEWS if fits(view, run.config)]
    left_out = [view for view in VIEWS if view not in views]
    if as_json:
        print_json([{"view": view.name, "shows": view.shows, "options": [_flag(o) for o in view.options]}
                    for view in views])  # fmt: skip
        return
    rows = [(view.name, view.shows, " ".join(_flag(option) for option in view.options)) for view in views]
    print_table((("view", "left"), ("shows", "wrap"), ("options", "wrap")), rows)
    for view in left_out:
        say(f"not {view.name}: {why_not(view, run.config)}")


def _page(database: str, run: RunRow, view: View, checkpoint: str, asked: InspectOptions) -> Page:
    from lab.inference.inspection.inspector import Inspector
    from lab.inference.loaded import LoadedModels, use_threads_for
    from lab.inference.protocol import InspectRequest

    use_threads_for(run)
    with _progress(view.label) as tell, contextlib.closing(LoadedModels()) as models:
        return Inspector(models).page(InspectRequest(database, run.id, view.name, checkpoint, asked), tell)


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr, which appears with the first news; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


def _put(page: Page, path: Path | None, as_json: bool) -> None:
    """The page on stdout, or in a file, and then where it is."""
    from lab.cli.output import console, print_json
    from lab.inference.figures import page_document
    from lab.reports.figure_text import PLAIN, Ink, page_lines

    if path is not None:
        size = _write(page, path)
        if as_json:
            print_json({"path": str(path), "bytes": size})
        else:
            print(f"{page.title}: {path}")
    elif as_json:
        print_json(page_document(page))
    else:
        print("\n".join(page_lines(page, console().width, Ink() if _shows_blocks() else PLAIN)))


def _shows_blocks() -> bool:
    try:
        "░█▁▲".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _write(page: Page, path: Path) -> int:
    """Writes the file by the format that its name ends in; returns its bytes. Raises `UsageError`."""
    import json

    from lab.inference.figures import page_document
    from lab.reports.figure_csv import page_csv
    from lab.reports.figure_svg import page_svg
    from lab.reports.figure_text import page_lines

    formats: dict[str, Callable[[Page], str]] = {
        ".svg": page_svg,
        ".csv": page_csv,
        ".json": lambda page: json.dumps(page_document(page), ensure_ascii=False, allow_nan=False) + "\n",
        ".txt": lambda page: "\n".join(page_lines(page, 200)) + "\n",
    }
    data = formats[path.suffix.lower()](page).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; write elsewhere") from None
    return len(data)

"""Models of one's own, from the command line: letting one be run here, and its first step beside a rung's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.store.run_store import NewRun
    from lab.training.first_step import FirstSteps

MOST_UNMATCHED = 6


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("trust")(trust_model)


def trust_model(
    run_or_file: Annotated[str, typer.Argument(metavar="RUN|FILE.py:CLASS", help="A run of somebody's own model.")],
    yes: Annotated[bool, typer.Option("--yes", help="It may be run, without being asked.")] = False,
    database: options.Database = None,
) -> None:
    """Read the code of a run's own model, and let it be run here.

    A run that was imported, or is in somebody else's database, does not run its code before that.
    """
    from lab.cli.output import say
    from lab.cli.stored import stored_runs
    from lab.config.own_model import names_own_model, read_own_model
    from lab.store.model_sources import is_trusted, stored_source, trust
    from lab.text import literal

    if names_own_model(run_or_file):
        source = read_own_model(run_or_file)
    else:
        with stored_runs(database) as store:
            source = stored_source(store, store.resolve(run_or_file))
    named = f"{source.class_name} in {source.file_name} (SHA-256 {source.sha256[:12]}…)"
    if is_trusted(source.sha256):
        say(f"{named} may be run here already")
        return
    if not yes:
        print(literal(source.text, lines=True))
        if not sys.stdin.isatty():
            raise UsageError(f"{named} may do on this machine whatever you may. Let it be run with --yes")
        if not typer.confirm(f"Let {named} be run here? It may do whatever you may.", err=True):
            raise UsageError("nothing was let in")
    trust(source)
    say(f"{named} may be run here from now on")


def compared_first_step(new: NewRun, against: str, database: Path, as_json: bool) -> FirstSteps:
    """The first step of a run beside that of a rung on the same batch; printed, unless it goes into a document.

    Raises `ConfigError` where there is no such rung, and `OwnModelError`.
    """
    from lab.cli.output import say
    from lab.config.ladder import stage_config
    from lab.models.own import explained, let_in, prints_told
    from lab.queue.requests import read_dataset
    from lab.training.first_step import compare_first_steps

    config = new.config
    shared = {"context_length": config.context_length, "batch_size": config.batch_size, "seed": config.seed}
    reference = stage_config(against, dataset=config.dataset, dataset_as=config.dataset_as, settings=shared)
    dataset = read_dataset(config.dataset, config.dataset_as, database)
    if new.source is None:
        found = compare_first_steps(config, reference, dataset)
    else:
        let_in(new.source)
        with prints_told(say), explained(new.source):
            found = compare_first_steps(config, reference, dataset)
    if not as_json:
        _print(found)
    return found


def _print(found: FirstSteps) -> None:
    from lab.cli.output import print_table, say
    from lab.text import plural

    say(f"first step of {found.stage} against {found.reference}, same seed and batch")
    rows = [
        ["parameters", f"{found.parameters:,}", f"{found.reference_parameters:,}"],
        ["loss", f"{found.loss:.5f}", f"{found.reference_loss:.5f}"],
    ]
    if found.same_weights_loss is not None:
        rows.append(["loss, same weights", f"{found.same_weights_loss:.5f}", f"{found.reference_loss:.5f}"])
    print_table([("", "left"), (found.stage, "right"), (found.reference, "right")], rows)
    tensors = [
        [
            each.name,
            "×".join(map(str, each.shape)) or "1",
            f"{each.reference} (by {each.found_by})" if each.reference else "none of its shape",
            _number(each.gradient),
            _number(each.reference_gradient),
            _number(each.gap),
        ]
        for each in found.tensors
    ]
    columns = [("gradient of", "left"), ("shape", "left"), (found.reference, "left")]
    columns += [("size", "right"), ("its size", "right"), ("gap, same weights", "right")]
    print_table(columns, tensors, droppable=("shape",))
    if found.unmatched:
        listed = ", ".join(found.unmatched[:MOST_UNMATCHED]) + (", …" if len(found.unmatched) > MOST_UNMATCHED else "")
        say(f"{found.reference} has {plural(len(found.unmatched), 'tensor')} besides: {listed}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2e}"

"""`lab export`, `lab report` and `lab import`: runs out to other programs and people, and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli import options
from lab.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("export")(export)
    app.command("report")(report)
    app.command("import")(import_runs)


def export(
    named: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs, stages, experiments or filters.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Ends in .csv, .jsonl, or for one run .labrun.")],
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Write runs to a file: CSV, JSON lines, or .labrun.

    A .labrun file holds one run complete, with its checkpoints.
    """
    from lab.cli.output import print_json
    from lab.cli.stored import stored_runs
    from lab.reports.compared_runs import runs_meant
    from lab.reports.run_bundle import SUFFIX, write_bundle
    from lab.reports.run_export import check_target, export_runs
    from lab.text import plural, si

    path = check_target(to, (".csv", ".jsonl", SUFFIX))
    with stored_runs(database) as store:
        runs = runs_meant(store, named, alone=True, sweeps=True)
        if path.suffix.lower() == SUFFIX:
            if len(runs) != 1:
                raise UsageError(f"a {SUFFIX} file holds one run, and these are {len(runs)}: write each to its own")
            size = write_bundle(store, runs[0], path)
        else:
            size = export_runs(store, runs, path)
    if as_json:
        print_json({"path": str(path), "runs": [run.id for run in runs], "bytes": size})
    else:
        print(f"{plural(len(runs), 'run')} in {path}, {si(size)}B")


def report(
    named: Annotated[list[str], typer.Argument(metavar="EXPERIMENT|RUN…", help="A run stands for all its seeds.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Ends in .md or .html.")],
    within: Annotated[
        list[str] | None,
        typer.Option("--within", metavar="KEY", help="A part for each value of it; an experiment's own unless given."),
    ] = None,
    baseline: Annotated[str, typer.Option("--baseline", metavar="RUN", help="What the others are compared with.")] = "",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Write a report on an experiment or on runs to one file.

    The question, verdicts, charts, what is unfair, configs and samples.
    """
    from lab.cli.output import print_json
    from lab.cli.stored import stored_runs
    from lab.reports.compared_runs import runs_meant
    from lab.reports.experiment_runs import experiment_meant
    from lab.reports.report import FORMATS, write_report
    from lab.reports.run_export import check_target
    from lab.text import plural, si

    path = check_target(to, FORMATS)
    with stored_runs(database) as store:
        base = store.resolve(baseline).id if baseline else None
        runs = runs_meant(store, [*named, *([base] if base else [])])
        experiment = experiment_meant(named, store.runs())
        size = write_report(store, runs, path, experiment=experiment, within=within, baseline_id=base)
    if as_json:
        print_json({"path": str(path), "runs": [run.id for run in runs], "bytes": size})
    else:
        print(f"a report on {plural(len(runs), 'run')} in {path}, {si(size)}B")


def import_runs(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=".labrun files.")],
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Take in runs from .labrun files, from anybody.

    Each is checked in full first, and kept whole or not at all.
    """
    from lab.cli.output import print_json
    from lab.cli.stored import opened
    from lab.reports.run_import import import_bundle
    from lab.store.location import find_database
    from lab.text import literal, loss

    for path in files:
        if not path.expanduser().is_file():
            raise UsageError(f"there is no file {path}")
    with opened(find_database(database)) as store:
        runs = []
        for path in files:
            runs.append(import_bundle(store, path.expanduser()))
            if not as_json:
                print(f"{literal(runs[-1].name)} ({runs[-1].id}): {runs[-1].status}, val {loss(runs[-1].val_loss)}")
    if as_json:
        print_json({"runs": [run.id for run in runs]})

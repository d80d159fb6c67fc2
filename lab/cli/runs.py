"""`lab runs` and `lab show`: stored runs, as a table or as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, RunStore

SORT_KEYS = ("id", "name", "stage", "dataset", "status", "step", "steps", "parameters", "val_loss", "best_val_loss",
             "train_loss", "chars_per_second", "seconds", "created_at", "seed")  # fmt: skip


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("runs")(list_runs)
    app.command("show")(show)


def list_runs(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FILTER]", help="Such as: stage:residual 'val<2.1' tag:base")
    ] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help="Such as val_loss; -val_loss reverses.")] = "id",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """List stored runs."""
    from lab.analysis.run_filter import parse_filter
    from lab.cli.output import print_json, print_table, run_document, say
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    matches = parse_filter(" ".join(words or []))
    key = sort.removeprefix("-")
    if key not in SORT_KEYS:
        raise UsageError(f"--sort {sort}: must be one of {', '.join(SORT_KEYS)}")
    path = find_database(database)
    store = RunStore.open(path)
    try:
        runs = [run for run in store.runs() if matches(run)]
    finally:
        store.close()
    known = [run for run in runs if getattr(run, key) is not None]
    known.sort(key=lambda run: getattr(run, key), reverse=sort.startswith("-"))
    runs = known + [run for run in runs if getattr(run, key) is None]
    if as_json:
        print_json([run_document(run) for run in runs])
    elif runs:
        print_table(_COLUMNS, [_cells(run) for run in runs])
    else:
        say(f"no such runs in {path}" if words else f"no runs in {path} yet; start with: lab ladder")


def show(run_name: options.RunName, as_json: options.AsJson = False, database: options.Database = None) -> None:
    """Show one run: its figures, its config, what it wrote, and its log."""
    from lab.cli.output import print_json, run_document
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    store = RunStore.open(find_database(database))
    try:
        run = store.resolve(run_name)
        if as_json:
            document = run_document(run)
            document["metrics"] = store.metric_names(run.id)
            document["checkpoints"] = [
                {"step": row.step, "kind": row.kind, "size": row.size, "sha256": row.sha256}
                for row in store.checkpoints(run.id)
            ]
            document["samples"] = [{"step": row.step, "text": row.text} for row in store.samples(run.id)]
            document["log"] = [
                {"at": row.at, "step": row.step, "level": row.level, "text": row.text} for row in store.events(run.id)
            ]
            print_json(document)
        else:
            _print(store, run)
    finally:
        store.close()


_COLUMNS = [("id", "left"), ("name", "left"), ("status", "left"), ("dataset", "left"), ("steps", "right")] + [
    (name, "right") for name in ("val", "choices", "best", "parameters", "chars/s", "time", "age")
]


def _cells(run: RunRow) -> list[str]:
    from lab.tui.text import age, choices, clip, duration, loss, si

    steps = si(run.steps) if run.step in (0, run.steps) else f"{si(run.step)}/{si(run.steps)}"
    return [
        run.id,
        clip(run.name, 32),
        run.status,
        clip(run.dataset, 24),
        steps,
        loss(run.val_loss),
        choices(run.val_loss),
        loss(run.best_val_loss),
        si(run.parameters),
        si(run.chars_per_second),
        duration(run.seconds),
        age(time.time() - run.created_at),
    ]


def _print(store: RunStore, run: RunRow) -> None:
    from lab.cli.output import print_table
    from lab.tui.text import literal

    print_table(_COLUMNS, [_cells(run)])
    if run.error:
        print(f"\n{literal(run.error)}")
    print("\nconfig")
    for key, value in run.config.resolved().items():
        print(f"  {key} = {literal(str(value))}")
    checkpoints = ", ".join(f"{row.kind} at {row.step:,}" for row in store.checkpoints(run.id))
    print(f"\ncheckpoints\n  {checkpoints or 'none yet'}")
    sample = store.last_sample(run.id)
    if sample is not None:
        print(f"\nsample at step {sample.step:,}")
        print("\n".join(f"  {line}" for line in literal(sample.text, lines=True).splitlines()))
    events = store.events(run.id)
    if events:
        print("\nlog")
        for event in events:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
            print(f"  {at}  step {event.step:,}  {literal(event.text)}")

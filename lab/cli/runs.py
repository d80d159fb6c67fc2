"""`lab runs` and `lab show`: stored runs, as a table or as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

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
        list[str] | None, typer.Argument(metavar="FILTER", help="Such as: stage:residual 'val<2.1 -tag:quick'")
    ] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help="Such as val_loss; -val_loss reverses.")] = "id",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """List stored runs."""
    from lab.analysis.run_filter import parse_filter
    from lab.cli.output import print_json, print_table, run_document, say
    from lab.cli.stored import nothing_stored, opened
    from lab.store.location import find_database

    matches = parse_filter(" ".join(words or []))
    key = sort.removeprefix("-")
    if key not in SORT_KEYS:
        raise UsageError(f"--sort {sort}: must be one of {', '.join(SORT_KEYS)}")
    path = find_database(database)
    runs: list[RunRow] = []
    if path.exists():
        with opened(path) as store:
            runs = [run for run in store.runs() if matches(run)]
    known = [run for run in runs if getattr(run, key) is not None]
    known.sort(key=lambda run: getattr(run, key), reverse=sort.startswith("-"))
    runs = known + [run for run in runs if getattr(run, key) is None]
    if as_json:
        print_json([run_document(run) for run in runs])
    elif runs:
        print_table(_COLUMNS, [_cells(run) for run in runs], droppable=_LESS_ASKED_FOR)
    else:
        say(f"no such runs in {path}" if words and path.exists() else nothing_stored(path))


def show(run_name: options.RunName, as_json: options.AsJson = False, database: options.Database = None) -> None:
    """Show one run: its figures, findings, config, samples, log."""
    from lab.cli.output import print_json
    from lab.cli.stored import stored_runs

    with stored_runs(database) as store:
        run = store.resolve(run_name)
        if as_json:
            print_json(_document(store, run))
        else:
            _print(store, run)


def _document(store: RunStore, run: RunRow) -> dict[str, object]:
    from lab.cli.output import run_document
    from lab.reports.run_findings import findings_of
    from lab.store.test_looks import looks_at

    return run_document(run) | {
        "test_looks": [
            {"at": look.at, "step": look.step, "loss": look.loss} for look in looks_at(store, [run.id]).get(run.id, ())
        ],
        "sweep": _sweep(store, run),
        "findings": [finding.document() for finding in findings_of(store, run)],
        "metrics": store.metric_names(run.id),
        "checkpoints": [
            {"step": row.step, "kind": row.kind, "size": row.size, "sha256": row.sha256}
            for row in store.checkpoints(run.id)
        ],
        "samples": [{"step": row.step, "text": row.text} for row in store.samples(run.id)],
        "log": [{"at": row.at, "step": row.step, "level": row.level, "text": row.text} for row in store.events(run.id)],
    }


_COLUMNS = [("id", "left"), ("name", "left"), ("status", "left"), ("dataset", "left"), ("steps", "right")] + [
    (name, "right") for name in ("val", "choices", "best", "parameters", "chars/s", "time", "age")
]
_LESS_ASKED_FOR = ("chars/s", "age", "time", "best", "parameters", "dataset", "choices")
"""What goes first where the line is short."""


def _cells(run: RunRow) -> list[str]:
    from lab.text import age, choices, clip, duration, loss, si

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


def _facts(run: RunRow) -> dict[str, str]:
    """The figures of one run, each on a line of its own."""
    from lab.config.lr_sweep import LR_SWEEP
    from lab.text import NOTHING, age, choices, duration, loss, si

    best_at = f" at step {run.best_step:,}" if run.best_step is not None else ""
    val = f"{loss(run.val_loss)} ({choices(run.val_loss)} choices), best {loss(run.best_val_loss)}{best_at}"
    where = f"{run.device}, {run.precision}, {run.threads} threads" if run.device else NOTHING
    facts = {
        "kind": "an LR sweep" if run.kind == LR_SWEEP else "",
        "status": f"{run.status} at step {run.step:,} of {run.steps:,}" + (f", {run.error}" if run.error else ""),
        "stage": run.stage,
        "dataset": f"{run.dataset} (SHA-256 {run.dataset_sha256[:12]}…)",
        "val": val if run.kind != LR_SWEEP else "",
        "parameters": f"{run.parameters:,}" if run.parameters else NOTHING,
        "speed": f"{si(run.chars_per_second)} chars/s",
        "time": f"{duration(run.seconds)}, made {age(time.time() - run.created_at)} ago",
        "on": where + (f", torch {run.torch_version}" if run.torch_version else ""),
        "parent": f"{run.parent_id} at step {run.parent_step:,}" if run.parent_id else "",
        "tags": ", ".join(run.tags),
        "notes": run.notes,
    }
    return {name: value for name, value in facts.items() if value}


def _sweep(store: RunStore, run: RunRow) -> dict[str, Any] | None:
    """What was read off an LR sweep, where it is one and has ended."""
    from lab.config.lr_sweep import LR_SWEEP
    from lab.store.lr_sweeps import stored_sweep

    if run.kind != LR_SWEEP:
        return None
    sweep = stored_sweep(store, run)
    return {"method": sweep.spec.method, "seeds": sweep.spec.seeds, **sweep.result} if sweep.result else None


def _print(store: RunStore, run: RunRow) -> None:
    from lab.cli.compare import said_of_looks
    from lab.cli.lr_find import reading_lines
    from lab.reports.run_findings import findings_of
    from lab.store.location import run_log
    from lab.store.test_looks import looks_at
    from lab.text import literal

    print(f"{literal(run.name)} ({run.id})")
    for name, value in _facts(run).items():
        print(f"  {name}: {literal(value)}")
    looks = looks_at(store, [run.id]).get(run.id)
    if looks:
        print(f"  test: {said_of_looks(looks)} at step {looks[-1].step:,}")
    sweep = _sweep(store, run)
    if sweep is not None:
        print(f"\n{sweep['method']}, {sweep['seeds']} seeds")
        print("\n".join(reading_lines(sweep)))
    for finding in findings_of(store, run):
        print(f"\nfinding: {literal(finding.text)}")
        print(f"  {literal(finding.evidence)}\n  what helps: {literal(finding.remedy)}")
    print("\nconfig")
    for key, value in run.settings.items():
        print(f"  {literal(key)} = {literal(str(value))}")
    checkpoints = ", ".join(f"{row.kind} at {row.step:,}" for row in store.checkpoints(run.id))
    print(f"\ncheckpoints\n  {literal(checkpoints) or 'none yet'}")
    sample = store.last_sample(run.id)
    if sample is not None:
        print(f"\nsample at step {sample.step:,}")
        print("\n".join(f"  {line}" for line in literal(sample.text, lines=True).split("\n")))
    events = store.events(run.id)
    if events:
        print("\nlog")
        for event in events:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
            print(f"  {at}  step {event.step:,}  {literal(event.text)}")
    written = run_log(store.database.path, run.id)
    if written.is_file() and written.stat().st_size:
        print(f"\nwhat its trainers wrote besides: {literal(str(written))}")

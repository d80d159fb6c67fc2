"""`lab lr-find`: an LR sweep in the foreground, and the learning rate that it suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("lr-find")(lr_find)


def lr_find(
    stage: options.StageName,
    dataset: options.DatasetName = "",
    dataset_as: options.DatasetAs = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="ramp|runs",
            help="One rising ramp a seed, or a short run of each seed at each of eleven rates.",
        ),
    ] = "ramp",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="How many; their median and band are read.")] = 4,
    lowest: Annotated[
        float | None, typer.Option("--from", metavar="LO", help="Lowest lr; 1e-5 for AdamW, 1e-3 for SGD.")
    ] = None,
    highest: Annotated[float | None, typer.Option("--to", metavar="HI", help="Highest lr; 10.")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Of the ramp (by its range), or of each run (200).")
    ] = None,
    settings: options.Settings = None,
    name: options.Name = "",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Find the learning rate by raising it while a stage trains.

    Several seeds tell where the loss falls and where it breaks. Kept as a run of kind lr-sweep. Ctrl-C pauses it; it
    begins again with: lab queue resume.
    """
    from lab.cli.train import run_request
    from lab.queue.requests import let_own_models_run
    from lab.queue.sweep_requests import SweepRequest, compose_sweep
    from lab.store.location import find_database

    if method not in ("ramp", "runs"):
        raise UsageError(f"--method {method}: must be 'ramp' or 'runs'")
    path = find_database(database)
    wanted = run_request(stage, dataset, dataset_as, None, None, settings, name)
    new = compose_sweep(SweepRequest(wanted, method, seeds, lowest, highest, steps), path)
    let_own_models_run([new])
    raise typer.Exit(_sweep_in_foreground(path, new, as_json))


def _sweep_in_foreground(path: Any, new: Any, as_json: bool) -> int:
    """Trains a new sweep in this process and says what it suggests; returns the exit status."""
    from dataclasses import replace

    from lab.cli.outcome import INTERRUPTED
    from lab.cli.output import print_json, say
    from lab.cli.stored import opened
    from lab.cli.train import train_claimed
    from lab.queue.file_lock import FileLock
    from lab.store.location import run_lock
    from lab.store.lr_sweeps import stored_sweep

    with opened(path) as store:
        run = store.add_runs([replace(new, status="paused", trained_by="command")])[0]
        with FileLock(run_lock(path, run.id)):
            train_claimed(store, run, len(new.dataset.vocabulary))
        sweep = stored_sweep(store, store.run(run.id))
    ended, result = sweep.run, sweep.result
    if result is not None:
        if as_json:
            print_json({"run": ended.id, "method": sweep.spec.method, "seeds": sweep.spec.seeds, **result})
        else:
            _print(ended, result)
        return 0
    if ended.status == "paused":
        say(f"paused at step {ended.step:,}; it begins again with: lab queue resume {ended.id}")
        return INTERRUPTED
    say(f"{ended.name} ({ended.id}): {ended.status}" + (f": {ended.error}" if ended.error else ""))
    return 1


def _print(run: RunRow, result: dict[str, Any]) -> None:
    from lab.cli.output import say
    from lab.config.lr_sweep import at_rate
    from lab.text import duration, literal

    print(f"{literal(run.name)} ({run.id}): {run.status} at step {run.step:,} in {duration(run.seconds)}")
    print("\n".join(reading_lines(result)))
    if result["suggestion"] is None:
        return
    if result["remark"]:
        say(result["remark"])
    rates = " ".join(f"--set {key}={lr:.2g}" for key, lr in at_rate(run.config, result["suggestion"]).items())
    stage = run.stage if run.config.model != "own" else f"FILE.py:{run.stage}"
    say(f"use it with: lab train {stage} --dataset {run.config.dataset} {rates}")


def reading_lines(result: dict[str, Any]) -> list[str]:
    """What was read off a sweep: each suggestion with its spread over seeds, and where the rates are useful."""
    if result["suggestion"] is None:
        return [f"  no suggestion: {result['reason']}"]
    lines = []
    for name, lr in result["suggestions"].items():
        over_seeds = result["spread"].get(name)
        spread = f"  seeds {over_seeds[0]:.2g} to {over_seeds[1]:.2g}" if over_seeds else ""
        chosen = "suggestion" if lr == result["suggestion"] else ""
        lines.append(f"  {chosen:10}  {name:10}  {lr:8.2g}{spread}")
    low, high = result["useful"]
    return [*lines, f"  {'useful':10}  from {low:.2g} to {high:.2g}, the edge of stability"]

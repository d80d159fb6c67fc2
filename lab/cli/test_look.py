"""`lab test`: the loss on the test split, which is looked at knowingly, and every look counted."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("test")(look_at_test_split)


def look_at_test_split(
    run_name: options.RunName,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last|STEP", help="Which of the run's models.")
    ] = "last",
    yes: Annotated[bool, typer.Option("--yes", help="Look without being asked.")] = False,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Look at a run's loss on the test split.

    Each look is recorded and counted beside the figure ever after: choose by val, look here once.
    """
    from lab.cli.compare import confirmed_or_refused
    from lab.cli.output import print_json, say
    from lab.cli.stored import stored_runs
    from lab.store.checkpoints import sound_checkpoint
    from lab.store.test_looks import looks_at, record_look
    from lab.text import choices, literal, loss, plural

    with stored_runs(database) as store:
        run = store.resolve(run_name)
        row, damage = sound_checkpoint(store, run, checkpoint)
        if damage:
            say(damage)
        before = looks_at(store, [run.id]).get(run.id, [])
        from lab.inference.test_split import check_has_test_split, loss_on_test_split
        from lab.models.own import explained_where_own, prints_told

        check_has_test_split(store, run)
        seen = f"It has been looked at {plural(len(before), 'time')}. " if before else ""
        confirmed_or_refused(f"Look at {literal(run.name)}'s loss on the test split? {seen}The look is recorded.", yes)
        with prints_told(say), explained_where_own(run.config):
            measured = loss_on_test_split(store, run, row)
        record_look(store, run.id, row.step, measured)
        count = len(before) + 1
    if as_json:
        print_json({"run": run.id, "step": row.step, "test_loss": measured, "val_loss": run.val_loss, "looks": count})
    else:
        print(
            f"{literal(run.name)} ({run.id}): test {loss(measured)} ({choices(measured)} choices) "
            f"at step {row.step:,}, val {loss(run.val_loss)}; {plural(count, 'look')} so far"
        )

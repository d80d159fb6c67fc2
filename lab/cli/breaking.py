"""`lab break`: one thing in a run broken, trained on the same batches, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options

if TYPE_CHECKING:
    from lab.queue.break_requests import Offer
    from lab.store.run_store import RunRow, RunStore


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("break")(break_run)


def break_run(
    run_name: options.RunName,
    what: Annotated[str, typer.Argument(metavar="[WHAT]", help="What to break, such as no-residual.")] = "",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Break one thing in a run: queue its twin, on the same batches.

    Without WHAT, list what can be broken and what to expect. Where the twin is there already, say how it stands.
    """
    from lab.cli.stored import stored_runs
    from lab.queue.break_requests import chosen_offer, offers_of

    with stored_runs(database) as store:
        run = store.resolve(run_name)
        if not what:
            _list(store, run, offers_of(run, store.runs()), as_json)
            return
        _race(store, run, chosen_offer(run, store.runs(), what), as_json)


def _list(store: RunStore, run: RunRow, offers: Sequence[Offer], as_json: bool) -> None:
    from lab.cli.output import WRAPPED, print_json, print_table, say

    if as_json:
        print_json({"run": run.id, "breakages": [_offered(store, run, offer) for offer in offers]})
        return
    rows = [
        [
            offer.breakage.name,
            _changed(run, offer),
            offer.breakage.expect,
            _standing(store, run, offer.stored) if offer.stored else "",
        ]
        for offer in offers
    ]
    print_table([("what", "left"), ("changes", WRAPPED), ("expect", WRAPPED), ("its twin", WRAPPED)], rows)
    say(f"queue the twin of one with: lab break {run.id} {offers[0].breakage.name}")


def _race(store: RunStore, run: RunRow, offer: Offer, as_json: bool) -> None:
    from lab.cli.output import print_json, run_document, say
    from lab.cli.queue import say_where_none_trains, say_where_paused
    from lab.queue.break_requests import compose_twin
    from lab.text import literal

    twin = offer.stored
    if twin is None:
        (twin,) = store.add_runs([compose_twin(run, offer, store)])
    if as_json:
        print_json({**_offered(store, run, offer), "twin": run_document(twin)})
        return
    print(f"{twin.id}  {literal(twin.name)}  {literal(_changed(run, offer))}")
    if offer.stored is None:
        say(f"expect: {offer.breakage.expect}")
        say(f"watch the two with b in lab; afterwards: lab break {run.id} {offer.breakage.name}")
        say_where_paused(store)
        say_where_none_trains(store.database.path)
    else:
        print(literal(_standing(store, run, twin)))


def _offered(store: RunStore, run: RunRow, offer: Offer) -> dict[str, Any]:
    twin = offer.stored
    return {
        "what": offer.breakage.name,
        "label": offer.breakage.label,
        "expect": offer.breakage.expect,
        "changes": _changes(run, offer),
        "twin": twin.id if twin else None,
        "standing": _standing(store, run, twin) if twin else None,
    }


def _changes(run: RunRow, offer: Offer) -> dict[str, Any]:
    old, new = run.config, offer.twin.config
    return {name: getattr(new, name) for name in type(new).model_fields if getattr(new, name) != getattr(old, name)}


def _changed(run: RunRow, offer: Offer) -> str:
    from lab.text import shown_value

    return " ".join(f"{key}={shown_value(value)}" for key, value in _changes(run, offer).items())


def _standing(store: RunStore, run: RunRow, twin: RunRow) -> str:
    from lab.analysis.race import standing

    points = {each.id: store.points(each.id, "val/loss") for each in (run, twin)}
    return standing(run, twin, {run_id: (held.steps, held.values) for run_id, held in points.items()}).said

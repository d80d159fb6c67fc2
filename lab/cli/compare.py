"""`lab compare` and `lab diff`: what came of runs against a baseline, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.analysis.comparison import Comparison
    from lab.analysis.intervals import Interval
    from lab.analysis.verdict import Verdict
    from lab.reports.compared_runs import Reached
    from lab.store.run_store import RunRow
    from lab.store.test_looks import Look

MOST_GROUPS_SIDE_BY_SIDE = 6
"""Of whose settings the differing ones are shown as a table."""

RunsMeant = Annotated[
    list[str], typer.Argument(metavar="RUN|STAGE|EXPERIMENT…", help="A run stands for all its seeds; filters do too.")
]
Within = Annotated[
    list[str] | None, typer.Option("--within", metavar="KEY", help="A comparison for each value of it; repeatable.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("compare")(compare)
    app.command("diff")(diff)


def compare(
    named: RunsMeant,
    baseline: Annotated[str, typer.Option("--baseline", metavar="RUN", help="What the others are compared with.")] = "",
    by: Annotated[str, typer.Option("--by", metavar="KEY", help="Group by a setting, not by all but the seed.")] = "",
    within: Within = None,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Compare its last value, not val.")] = "val",
    reach: Annotated[
        float | None, typer.Option("--reach", metavar="LOSS", help="Time and characters until val was that low.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="A run stands for itself, without its other seeds.")] = False,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Compare runs, in groups of seeds, with a baseline.

    Means with intervals, a verdict in a sentence, and what is unfair about the comparison. An experiment is compared
    part by part, within each combination of its grid but for the last key.
    """
    from lab.analysis.comparison import across_parts
    from lab.cli.output import print_json
    from lab.cli.stored import stored_runs
    from lab.reports.compared_runs import VAL, compare_stored, reached, runs_meant
    from lab.reports.experiment_runs import experiment_meant, parts_of
    from lab.store.test_looks import looks_at

    with stored_runs(database) as store:
        base = store.resolve(baseline) if baseline else None
        runs = runs_meant(store, [*named, *([base.id] if base else [])], alone=alone)
        by_id = {run.id: run for run in store.runs()}
        experiment = None if by or base else experiment_meant(named, store.runs())
        compared: dict[str, Comparison] = {}
        documents = []
        for title, rows in parts_of(runs, experiment, within).items():
            found = compared[title] = compare_stored(
                store, rows, by=by or None, baseline_id=base.id if base else None, metric=metric, lone=bool(title)
            )
            looks = looks_at(store, [run.id for run in rows])
            times = [reached(store, group, reach, by_id) for group in found.groups] if reach is not None else []
            if as_json:
                documents.append(document(found, title, metric, looks, times))
            else:
                _print(found, title, metric, looks, times, reach)
    across = across_parts(compared) if metric == VAL else {}
    if as_json:
        for each in documents:
            _add_across(each, across)
        print_json(documents if within or len(documents) > 1 else documents[0])
    else:
        _print_across(across)


def diff(
    one: options.RunName,
    other: Annotated[str, typer.Argument(metavar="RUN", help="Another run.")],
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Show only what differs between the configs of two runs."""
    from lab.analysis.config_diff import config_diff
    from lab.cli.output import print_json, print_table
    from lab.cli.stored import stored_runs

    with stored_runs(database) as store:
        runs = [store.resolve(one), store.resolve(other)]
    rows = config_diff([_settings(run) for run in runs])
    if as_json:
        values = {row.key: [None if _missing(value) else value for value in row.values] for row in rows}
        print_json({"runs": [run.id for run in runs], "differences": values})
    elif rows:
        cells = [[row.key, *(_shown(value) for value in row.values)] for row in rows]
        print_table([("", "left"), (_named(runs[0]), "left"), (_named(runs[1]), "left")], cells)
    else:
        print("their configs are the same")


def _settings(run: RunRow) -> dict[str, Any]:
    return {"stage": run.stage, **run.settings, "dataset_sha256": run.dataset_sha256[:12] or None}


def _named(run: RunRow) -> str:
    return f"{run.name} ({run.id})"


def _missing(value: object) -> bool:
    from lab.analysis.config_diff import MISSING

    return value is MISSING


def _shown(value: object) -> str:
    from lab.text import NOTHING, shown_value

    return NOTHING if _missing(value) else shown_value(value)


def document(
    found: Comparison, title: str, metric: str, looks: Mapping[str, Sequence[Look]], times: Sequence[Reached]
) -> dict[str, Any]:
    """A comparison as JSON values."""
    groups = []
    for i, (verdict, warnings) in enumerate(zip(found.verdicts, found.unfair, strict=True)):
        groups.append(
            {
                "group": verdict.group.label,
                "baseline": verdict.group == found.baseline,
                "runs": [run.id for run in verdict.group.runs],
                "n": verdict.count,
                "final": _interval(verdict.final),
                "best": _interval(verdict.best),
                "difference": _interval(verdict.difference),
                "paired": verdict.paired,
                "p": verdict.p,
                "outcome": verdict.outcome,
                "sentence": verdict.sentence,
                "parameters": verdict.parameters,
                "chars_per_second": verdict.chars_per_second,
                "seconds": verdict.seconds,
                "test_looks": sum(len(looks.get(run.id, ())) for run in verdict.group.runs),
                "unfair": [each.document() for each in warnings],
                **({"reached": vars(times[i])} if times else {}),
            }
        )
    differences = {each.key: [None if _missing(v) else v for v in each.values] for each in found.differences}
    return {"part": title, "metric": metric, "groups": groups, "differences": differences}


def _interval(value: Interval | None) -> dict[str, Any] | None:
    return {"mean": value.mean, "half_width": value.half_width, "n": value.count} if value else None


def _print(
    found: Comparison,
    title: str,
    metric: str,
    looks: Mapping[str, Sequence[Look]],
    times: Sequence[Reached],
    reach: float | None,
) -> None:
    from lab.cli.output import WRAPPED, print_table
    from lab.text import duration, interval, literal, si

    if title:
        print(f"{literal(title)}")
    columns = [("group", "left"), ("n", "right"), (metric, "right"), ("best", "right"), ("Δ", "right")]
    columns += [(name, "right") for name in ("parameters", "chars/s", "time")]
    if reach is not None:
        columns += [(f"time to {reach:g}", "right"), (f"chars to {reach:g}", "right")]
    tested = any(looks.values())
    columns += [("test", "left")] if tested else []
    columns += [("verdict", WRAPPED)]
    rows = []
    for i, verdict in enumerate(found.verdicts):
        row = [
            verdict.group.label,
            str(verdict.count),
            interval(verdict.final),
            interval(verdict.best),
            interval(verdict.difference, signed=True) if verdict.difference else "",
            si(verdict.parameters),
            si(verdict.chars_per_second),
            duration(verdict.seconds or 0),
        ]
        row += _reached_cells(times[i], len(verdict.group.runs)) if times else []
        row += [said_of_looks([look for run in verdict.group.runs for look in looks.get(run.id, ())])] if tested else []
        rows.append([*row, verdict.sentence])
    print_table(columns, rows, droppable=("best", "chars/s", "time", "parameters"))
    _print_differences(found)
    for verdict, warnings in zip(found.verdicts, found.unfair, strict=True):
        for each in warnings:
            label = literal(verdict.group.label)
            print(f"unfair: {label}: {each.touches}: {literal(each.text)} (fair: {each.remedy})")
    print()


def _add_across(document: dict[str, Any], across: Mapping[str, Mapping[str, Verdict]]) -> None:
    """Adds to the groups of a part how their differences stand against those of the first part."""
    for group in document["groups"]:
        verdict = across.get(group["group"], {}).get(document["part"])
        if verdict is not None:
            group["across_parts"] = {
                "difference": _interval(verdict.final),
                "against_first": _interval(verdict.difference),
                "p": verdict.p,
                "sentence": verdict.sentence,
            }


def _print_across(across: Mapping[str, Mapping[str, Verdict]]) -> None:
    from lab.cli.output import WRAPPED, print_table
    from lab.text import interval

    rows = [
        [label, part, interval(verdict.final, signed=True), verdict.sentence]
        for label, verdicts in across.items()
        for part, verdict in verdicts.items()
    ]
    if rows:
        columns = [("from part to part", "left"), ("", "left"), ("Δ", "right"), (f"Δ against {rows[0][1]}", WRAPPED)]
        print_table(columns, rows)


def _reached_cells(time: Reached, runs: int) -> list[str]:
    from lab.text import NOTHING, duration, si

    if not time.runs:
        return [NOTHING, NOTHING]
    some = f" ({time.runs} of {runs})" if time.runs < runs else ""
    return [(duration(time.seconds) if time.seconds is not None else NOTHING) + some, si(time.characters)]


def said_of_looks(looks: Sequence[Look]) -> str:
    """The last figure of the test split, and how often it was looked at; nothing where it never was."""
    from lab.text import loss, plural

    return f"{loss(looks[-1].loss)} ({plural(len(looks), 'look')})" if looks else ""


def _print_differences(found: Comparison) -> None:
    """What differs between the groups, beyond what their labels say."""
    from lab.cli.output import print_table

    rows = [[each.key, *(_shown(value) for value in each.values)] for each in found.differences]
    if not rows or len(found.groups) > MOST_GROUPS_SIDE_BY_SIDE:
        return
    print()
    print_table([("only what differs", "left"), *((group.label, "left") for group in found.groups)], rows)
    print()


def confirmed_or_refused(question: str, yes: bool) -> None:
    """Asks at a terminal; elsewhere only `--yes` will do. Raises `UsageError` where it is not meant."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Say so with --yes")
    if not typer.confirm(question, err=True):
        raise UsageError("nothing was looked at")

"""A report on an experiment or on some runs: question, verdicts, charts, configs and samples, readable by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lab import __version__
from lab.analysis.alignment import band
from lab.analysis.comparison import Comparison, across_parts
from lab.analysis.config_diff import MISSING, differing
from lab.analysis.groups import Group
from lab.config.experiment import Experiment
from lab.errors import UsageError
from lab.reports.compared_runs import compare_stored
from lab.reports.document import Block, Bullets, Figure, Heading, Paragraph, Table, Verbatim, as_html, as_markdown
from lab.reports.experiment_runs import experiment_named, parts_of
from lab.reports.svg import Curve, curves, intervals
from lab.store.run_store import RunRow, RunStore
from lab.store.test_looks import Look, looks_at
from lab.text import NOTHING, choices, interval, literal, loss, plural, shown_value, si

FORMATS = (".md", ".html")
MOST_CURVES = 12
MOST_SAMPLES = 12
SAMPLE_CHARACTERS = 400
_HOW = (
    "Intervals are 95 %, by Student's t. Δ is val less the baseline's: run by run where the batches were the same, "
    "else by Welch. A verdict is corrected for the number of comparisons in its table (Holm)."
)


def write_report(
    store: RunStore,
    runs: Sequence[RunRow],
    path: Path,
    *,
    experiment: Experiment | None = None,
    within: Sequence[str] | None = None,
    baseline_id: str | None = None,
) -> int:
    """Writes a report on runs to a `.md` or `.html` file, whole or not at all; returns its bytes.

    They are compared in parts, `within` each value of some settings; of an experiment, unless given, all of its grid
    but the last key. Raises `UsageError` and what comparing raises.
    """
    title, blocks = report(store, runs, experiment=experiment, within=within, baseline_id=baseline_id)
    text = as_html(blocks, title) if path.suffix.lower() == ".html" else as_markdown(blocks)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}; write elsewhere") from None
    return path.stat().st_size


def report(
    store: RunStore,
    runs: Sequence[RunRow],
    *,
    experiment: Experiment | None = None,
    within: Sequence[str] | None = None,
    baseline_id: str | None = None,
) -> tuple[str, list[Block]]:
    """The title and the blocks of a report; the experiment, unless given, is that which all runs were queued for."""
    names = {run.experiment for run in runs}
    if experiment is None and len(names) == 1:
        experiment = experiment_named(names.pop() or "")
    title = experiment.title if experiment else "A comparison of " + plural(len(runs), "run")
    blocks: list[Block] = [Heading(1, title)]
    if experiment and experiment.question:
        blocks.append(Paragraph(experiment.question))
    scored = sum(run.val_loss is not None for run in runs)
    datasets = ", ".join(dict.fromkeys(run.dataset for run in runs if run.dataset)) or "an unnamed dataset"
    said = f"{plural(len(runs), 'run')} on {datasets}, {scored} with a val loss; losses are nats a character."
    blocks.append(Paragraph(said))
    looks = looks_at(store, [run.id for run in runs])
    compared = {}
    for name, rows in parts_of(runs, experiment, within).items():
        base = baseline_id if any(run.id == baseline_id for run in rows) else None
        compared[name] = compare_stored(store, rows, baseline_id=base, lone=True)
        blocks += _part(store, compared[name], name, looks)
    blocks += _across(compared)
    blocks += _configs(runs)
    blocks += _samples(store, runs)
    blocks += _runs(runs, looks)
    blocks.append(Paragraph(f"Written by lab {__version__}. {_HOW}"))
    return title, blocks


def _part(store: RunStore, compared: Comparison, name: str, looks: Mapping[str, Sequence[Look]]) -> list[Block]:
    blocks: list[Block] = [Heading(2, name or "What came of it"), _verdicts(compared, looks)]
    chart = curves([_curve(store, group) for group in compared.groups[:MOST_CURVES]], "step", "val")
    if chart:
        more = f"; the first {MOST_CURVES} groups" if len(compared.groups) > MOST_CURVES else ""
        blocks.append(
            Figure(
                chart, f"val over the run, on the part of its split that is scored there: mean and 95 % interval{more}"
            )
        )
    chart = intervals([(verdict.group.label, verdict.final) for verdict in compared.verdicts], "val at the end")
    if chart and len(compared.groups) > 1:
        blocks.append(Figure(chart, "val at the end: mean and 95 % interval of each group"))
    warnings = [
        f"{verdict.group.label}: {each.touches}: {each.text}. Fair would be: {each.remedy}."
        for verdict, found in zip(compared.verdicts, compared.unfair, strict=True)
        for each in found
    ]
    if warnings:
        blocks += [Heading(3, "What is unfair"), Bullets(warnings)]
    if compared.differences:
        rows = [[each.key, *(_shown(value) for value in each.values)] for each in compared.differences]
        labels = [group.label for group in compared.groups]
        blocks += [Heading(3, "Only what differs"), Table(["setting", *labels], rows)]
    return blocks


def _across(compared: Mapping[str, Comparison]) -> list[Block]:
    """Whether what a group gains is another amount from part to part."""
    rows = [
        [label, part, interval(verdict.final, signed=True), verdict.sentence]
        for label, verdicts in across_parts(compared).items()
        for part, verdict in verdicts.items()
    ]
    if not rows:
        return []
    said = f"Δ of each part against Δ of {next(iter(compared))}, run by run where the batches were the same."
    return [Heading(2, "From part to part"), Paragraph(said), Table(["group", "part", "Δ", "Δ is"], rows)]


def _verdicts(compared: Comparison, looks: Mapping[str, Sequence[Look]]) -> Table:
    columns = ["group", "n", "val", "choices", "best", "Δ", "parameters", "chars/s", "verdict"]
    tested = any(looks.get(run.id) for group in compared.groups for run in group.runs)
    rows = []
    for verdict in compared.verdicts:
        row = [
            verdict.group.label,
            str(verdict.count),
            interval(verdict.final),
            choices(verdict.final.mean if verdict.final else None),
            interval(verdict.best),
            interval(verdict.difference, signed=True) if verdict.difference else "",
            si(verdict.parameters),
            si(verdict.chars_per_second),
            verdict.sentence,
        ]
        if tested:
            seen = [look for run in verdict.group.runs for look in looks.get(run.id, ())]
            row.insert(-1, f"{loss(seen[-1].loss)} ({plural(len(seen), 'look')})" if seen else "")
        rows.append(row)
    return Table([*columns[:-1], "test", columns[-1]] if tested else columns, rows)


def _curve(store: RunStore, group: Group) -> Curve:
    """The mean of the val curves of those that ended well; of all where none did."""
    points = [store.points(run.id, "val/loss") for run in group.scored or group.runs]
    drawn = [(each.steps.astype(float), each.values) for each in points if np.isfinite(each.values).any()]
    return Curve(group.label, band(drawn))


def _configs(runs: Sequence[RunRow]) -> list[Block]:
    """What all of the runs have in common; what differs stands with each part."""
    differ = {*differing([run.settings for run in runs]), "seed"}
    rows = [[key, shown_value(value)] for key, value in runs[0].settings.items() if key not in differ]
    return [Heading(2, "What all runs have in common"), Table(["setting", "value"], rows)] if rows else []


def _samples(store: RunStore, runs: Sequence[RunRow]) -> list[Block]:
    """What one run of each config wrote at its end."""
    blocks: list[Block] = []
    seen: set[str] = set()
    for run in runs:
        if run.group_hash in seen or len(seen) >= MOST_SAMPLES:
            continue
        seen.add(run.group_hash)
        sample = store.last_sample(run.id)
        if sample is not None:
            said = f"{run.name}, step {sample.step:,}, val {loss(run.val_loss)}"
            blocks += [Heading(3, said), Verbatim(sample.text[:SAMPLE_CHARACTERS].strip("\n"))]
    return [Heading(2, "What they write"), *blocks] if blocks else []


def _runs(runs: Sequence[RunRow], looks: Mapping[str, Sequence[Look]]) -> list[Block]:
    rows = [
        [run.name, run.id, str(run.seed), run.status, f"{run.step:,}", loss(run.val_loss), run.config_hash[:12],
         str(len(looks[run.id])) if run.id in looks else NOTHING]
        for run in runs
    ]  # fmt: skip
    columns = ["name", "id", "seed", "status", "steps", "val", "config", "test looks"]
    return [Heading(2, "The runs"), Table(columns, [[literal(cell) for cell in row] for row in rows])]


def _shown(value: object) -> str:
    return NOTHING if value is MISSING else shown_value(value)

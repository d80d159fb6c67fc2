"""A comparison of stored runs: their groups, the verdict on each, what is unfair, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.analysis.config_diff import Difference, config_diff
from lab.analysis.fairness import Unfairness, same_text, unfair
from lab.analysis.groups import Comparable, Group, group_runs, replicate
from lab.analysis.verdict import Outcome, Verdict, judge

_NOT_ASKED_FOR = ("seed", "eval_every", "eval_examples", "diagnostics_every")
"""Settings that no comparison is about: left out of what differs."""


@dataclass(frozen=True)
class Comparison:
    """Groups against one of them; `verdicts` and `unfair` are in the order of `groups`."""

    groups: tuple[Group, ...]
    baseline: Group
    verdicts: tuple[Verdict, ...]
    unfair: tuple[tuple[Unfairness, ...], ...]
    differences: tuple[Difference, ...]


def compare(
    runs: Sequence[Comparable],
    *,
    by: str | None = None,
    baseline_id: str | None = None,
    values: Mapping[str, float] | None = None,
    words: tuple[Outcome, Outcome] = ("better", "worse"),
    by_id: Mapping[str, Comparable] | None = None,
) -> Comparison:
    """Compares runs, of which there must be one, in groups, with that of the baseline run or else with the first.

    `values` are what is compared, by run id: val unless given. `by_id` holds the runs that others went on from.
    Raises `ConfigError` on a setting to group by that no config has.
    """
    return compare_groups(group_runs(runs, by), baseline_id=baseline_id, values=values, words=words, by_id=by_id)


def compare_groups(
    groups: Sequence[Group],
    *,
    baseline_id: str | None = None,
    values: Mapping[str, float] | None = None,
    words: tuple[Outcome, Outcome] = ("better", "worse"),
    by_id: Mapping[str, Comparable] | None = None,
) -> Comparison:
    """Compares groups, of which there must be one, with that of the baseline run or else with the first."""
    base = next((group for group in groups if any(run.id == baseline_id for run in group.runs)), groups[0])
    verdicts = judge(groups, base, values, comparable=lambda group: same_text(group, base), words=words)
    differences = config_diff([group.first.settings for group in groups])
    return Comparison(
        tuple(groups),
        base,
        tuple(verdicts),
        tuple(tuple(unfair(group, base, by_id)) for group in groups),
        tuple(each for each in differences if each.key not in _NOT_ASKED_FOR),
    )


def parts(runs: Sequence[Comparable], within: Sequence[str]) -> dict[str, list[Comparable]]:
    """The runs by their values of some settings, each part to be compared by itself; all in one without settings.

    Raises `ConfigError` on a setting that no config has.
    """
    found: dict[str, list[Comparable]] = {"": list(runs)}
    for key in within:
        split: dict[str, list[Comparable]] = {}
        for name, members in found.items():
            for group in group_runs(members, key):
                split[f"{name} {group.label}".strip()] = list(group.runs)
        found = split
    return found


def across_parts(compared: Mapping[str, Comparison]) -> dict[str, dict[str, Verdict]]:
    """Whether a difference is another one from part to part: of each group that all parts have, each part's verdict.

    What is judged is Δ of val, run by run against the run of the baseline that saw the same batches, in each part
    against that in the first. Groups that have no such pairs are left out, as is all where there is but one part.
    """
    sides = [(found.baseline, {group.label: group for group in found.groups}) for found in compared.values()]
    if len(sides) < 2 or len({base.label for base, _ in sides}) > 1:
        return {}
    found = {}
    for label in sides[0][1]:
        groups = [groups[label] for base, groups in sides if label in groups and label != base.label]
        deltas: dict[str, float] = {}
        for (base, _), group in zip(sides, groups, strict=False):
            deltas |= _paired_differences(group, base)
        if len(groups) == len(sides) and all(group.values(deltas) for group in groups):
            verdicts = judge(groups, groups[0], deltas, words=("lower", "higher"))
            found[label] = dict(zip(compared, verdicts, strict=True))
    return found


def _paired_differences(group: Group, base: Group) -> dict[str, float]:
    """Val of each run less that of the baseline's with the same batches, by run."""
    of_base = {replicate(run, base.by): run.val_loss for run in base.scored}
    pairs = [(run, of_base.get(replicate(run, group.by))) for run in group.scored]
    return {run.id: run.val_loss - other for run, other in pairs if run.val_loss is not None and other is not None}

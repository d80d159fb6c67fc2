"""A comparison of stored runs: their groups, the verdict on each, what is unfair, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.analysis.config_diff import Difference, config_diff
from lab.analysis.fairness import Unfairness, same_text, unfair
from lab.analysis.groups import Comparable, Group, group_runs
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

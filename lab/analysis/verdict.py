"""What came of each group against the baseline: means, differences with intervals, and one sentence."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lab.analysis.groups import Comparable, Group
from lab.analysis.intervals import Interval, difference_interval, holm, mean_interval, p_value, seeds_needed
from lab.config.lr_sweep import LR_SWEEP

Outcome = Literal[
    "baseline", "better", "worse", "lower", "higher", "no difference", "too few seeds", "not comparable", "nothing yet"
]
SIGNIFICANT = 0.05
SMALLEST_SAID = 0.0005
"""Below this a difference would be said as 0.000."""


@dataclass(frozen=True)
class Verdict:
    """What came of a group. Losses are nats a character; `difference` is this group's final val less the baseline's.

    `p` is corrected for the number of comparisons. `paired` says that the differences were taken run by run, of runs
    that saw the same batches.
    """

    group: Group
    outcome: Outcome
    sentence: str
    final: Interval | None = None
    best: Interval | None = None
    difference: Interval | None = None
    paired: bool = False
    p: float | None = None

    @property
    def count(self) -> int:
        """Runs that the means are over."""
        return self.final.count if self.final else 0

    @property
    def parameters(self) -> int | None:
        """Of the group's model."""
        return self.group.first.parameters

    @property
    def chars_per_second(self) -> float | None:
        """Mean over the runs."""
        known = [run.chars_per_second for run in self.group.runs if run.chars_per_second]
        return statistics.fmean(known) if known else None

    @property
    def seconds(self) -> float | None:
        """Mean time that a run took."""
        return statistics.fmean(run.seconds for run in self.group.scored) if self.group.scored else None


def val_losses(runs: Sequence[Comparable]) -> dict[str, float]:
    """The val loss at the end of each run that has one, by id."""
    return {run.id: run.val_loss for run in runs if run.val_loss is not None}


def judge(
    groups: Sequence[Group],
    baseline: Group,
    values: Mapping[str, float] | None = None,
    *,
    comparable: Callable[[Group], bool] = lambda group: True,
    words: tuple[Outcome, Outcome] = ("better", "worse"),
) -> list[Verdict]:
    """The verdict on each group. `values` are what is compared, by run id: val unless given.

    `comparable` is false of a group whose difference to the baseline would mean nothing; `words` are what a smaller
    and a larger value is called.
    """
    numbers = val_losses([run for group in (*groups, baseline) for run in group.runs]) if values is None else values
    verdicts = [_compared(group, baseline, numbers, comparable(group)) for group in groups]
    tested = [i for i, verdict in enumerate(verdicts) if verdict.p is not None]
    corrected = holm([verdicts[i].p or 0.0 for i in tested])
    for i, p in zip(tested, corrected, strict=True):
        verdicts[i] = _said(replace(verdicts[i], p=p), len(tested), words)
    return verdicts


def _compared(group: Group, baseline: Group, numbers: Mapping[str, float], comparable: bool) -> Verdict:
    """All but what depends on the other comparisons."""
    own, other = group.values(numbers), baseline.values(numbers)
    best = mean_interval([run.best_val_loss for run in group.scored if run.best_val_loss is not None])
    bare = Verdict(group, "baseline", "the baseline", mean_interval(list(own.values())), best)
    if not own:
        sweep = group.first.kind == LR_SWEEP
        said = "an LR sweep has no val to compare" if sweep else "nothing to compare yet"
        return replace(bare, outcome="nothing yet", sentence=said)
    if group is baseline or group == baseline:
        return bare
    if not comparable:
        return replace(bare, outcome="not comparable", sentence="not comparable with the baseline")
    difference = difference_interval(own, other)
    if difference is None:
        sweep = baseline.first.kind == LR_SWEEP
        said = "the baseline is an LR sweep, which has no val" if sweep else "the baseline has not finished"
        return replace(bare, outcome="nothing yet", sentence=said)
    paired = own.keys() == other.keys()
    p = p_value(difference)
    if p is None:
        sentence = f"too few seeds: n = {len(own)} against {len(other)}"
        return replace(bare, outcome="too few seeds", sentence=sentence, difference=difference, paired=paired)
    return replace(bare, difference=difference, paired=paired, p=p)


def _said(verdict: Verdict, comparisons: int, words: tuple[Outcome, Outcome]) -> Verdict:
    """The outcome and the sentence, once p is corrected."""
    difference, p = verdict.difference, verdict.p
    assert difference is not None
    assert difference.half_width is not None
    assert p is not None
    size, reach = abs(difference.mean), difference.half_width
    if p < SIGNIFICANT and difference.mean:
        outcome = words[difference.mean > 0]
        return replace(verdict, outcome=outcome, sentence=f"{outcome} by {_decimals(size, reach)}")
    seen = f"no difference seen at n = {difference.count} (±{_figure(reach)})"
    if reach < size:
        seen = f"no difference that stands among {comparisons} comparisons ({difference.mean:+.3f} ±{_figure(reach)})"
        seen = seen.replace("-", "−") + "; more seeds would settle it"
        return replace(verdict, outcome="no difference", sentence=seen)
    return replace(verdict, outcome="no difference", sentence=seen + _smaller_effect(difference))


def _smaller_effect(difference: Interval) -> str:
    """How many seeds would show the difference that was seen, were it real; or half of what can be seen now."""
    reach = difference.half_width or 0.0
    for effect in (abs(difference.mean), reach / 2):
        seeds = seeds_needed(difference, effect) if SMALLEST_SAID <= effect < reach else None
        if seeds is not None:
            return f"; one of {_figure(effect)} needs about {seeds} seeds"
    return ""


def _decimals(size: float, reach: float) -> str:
    """0.27 ± 0.02; with a third decimal where the second would not do."""
    digits = 2 if reach >= 0.0095 else 3
    return f"{size:.{digits}f} ± {reach:.{digits}f}"


def _figure(value: float) -> str:
    return f"{value:.2f}" if value >= 0.0095 else f"{value:.3f}"

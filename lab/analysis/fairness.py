"""What is unfair about comparing a group with the baseline: each warning with the number it touches, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lab.analysis.groups import EXTERNAL, SCORED, Comparable, Group
from lab.config.ladder import STAGES_BY_NAME
from lab.text import plural, si

Touched = Literal["val", "Δ", "parameters", "chars/s", "time"]
PARAMETERS_APART = 2.0
BUDGET_APART = 1.01
"""Budgets that differ by no more than a hundredth count as one."""


@dataclass(frozen=True)
class Unfairness:
    """One thing that is unfair: the number that it touches, what it is, and what would make it fair."""

    touches: Touched
    text: str
    remedy: str

    def document(self) -> dict[str, str]:
        """The warning as JSON values."""
        return {"touches": self.touches, "text": self.text, "remedy": self.remedy}


def unfair(group: Group, baseline: Group, by_id: Mapping[str, Comparable] | None = None) -> list[Unfairness]:
    """What is unfair about a group against the baseline, and about its own figures.

    `by_id` holds the parents of runs that went on from others, whose steps count too.
    """
    found = [*_of_itself(group)]
    if group == baseline:
        return found
    for rule in _RULES:
        found += rule(group.first, baseline.first)
    found += _budget(group, baseline, by_id or {})
    found += _seeds(group, baseline)
    return found


def same_text(group: Group, baseline: Group) -> bool:
    """Whether two groups are scored on the same split of the same text, so that their losses compare at all."""
    one, other = group.first, baseline.first
    unknown = not one.dataset_sha256 or not other.dataset_sha256  # an external run's own affair
    return unknown or (one.dataset_sha256, one.dataset_kind) == (other.dataset_sha256, other.dataset_kind)


def characters_seen(run: Comparable, by_id: Mapping[str, Comparable]) -> float | None:
    """Characters that a run was trained on, those of the runs that it went on from counted; None where unknown."""
    total, at, seen = 0.0, run.step, set()
    while True:
        each = _characters_per_step(run)
        if each is None:
            return None
        seen.add(run.id)
        parent = by_id.get(run.parent_id or "")
        from_step = run.parent_step or 0
        if parent is None or parent.id in seen:
            return total + at * each
        total += (at - from_step) * each
        run, at = parent, from_step


def _characters_per_step(run: Comparable) -> float | None:
    batch, context = run.settings.get("batch_size"), run.settings.get("context_length")
    if not isinstance(batch, int) or not isinstance(context, int):
        return None
    every_position = run.kind == EXTERNAL or run.config.predicts_every_position
    return float(batch * (context if every_position else 1))


def _of_itself(group: Group) -> Iterator[Unfairness]:
    if any(run.kind != EXTERNAL and run.config.sees_the_answer for run in group.runs):
        yield Unfairness("val", "it sees the answer: no mask, so its loss means nothing", "turn causal_mask on")
    for status in ("diverged", "failed"):
        count = sum(run.status == status for run in group.runs)
        if count and group.scored:
            said = f"{count} of {plural(len(group.runs), 'run')} {status} and left out of the mean"
            yield Unfairness("val", said, "read the mean as that of the runs that survived")
    left = sum(run.status not in (*SCORED, "diverged", "failed", "cancelled") for run in group.runs)
    if left and group.scored:
        yield Unfairness("val", f"{left} of {plural(len(group.runs), 'run')} not finished", "wait for the queue")


def _dataset(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    if not run.dataset_sha256 or not base.dataset_sha256:
        if run.dataset_sha256 != base.dataset_sha256:
            yield Unfairness("Δ", "nobody knows whether both were scored on one text", "name the dataset in the config")
    elif run.dataset_sha256 != base.dataset_sha256:
        said = f"another text ({run.dataset} against {base.dataset})"
        if run.dataset == base.dataset:
            said = f"{run.dataset} has changed between the two"
        yield Unfairness("Δ", f"{said}: their losses do not compare", f"train both on {base.dataset}")
    elif run.dataset_kind != base.dataset_kind:
        said = f"another split: cut as {run.dataset_kind} against {base.dataset_kind}"
        yield Unfairness("Δ", said, f"train it with dataset_as={base.dataset_kind}")


def _context(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    own, other = run.settings.get("context_length"), base.settings.get("context_length")
    if own != other and isinstance(own, int) and isinstance(other, int):
        easier = "more" if own > other else "less"
        said = f"val is scored with {easier} context ({own} characters against {other})"
        yield Unfairness("Δ", said, "count it as part of what is compared, or set context_length alike")
    if EXTERNAL in (run.kind, base.kind):
        return
    if run.config.predicts_every_position != base.config.predicts_every_position:
        said = "val is scored from full windows in one, from every position of a window in the other, which is harder"
        yield Unfairness("Δ", said, "compare models that are scored alike")


def _version(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    if run.lab_version != base.lab_version:
        said = f"trained by lab {run.lab_version}, the baseline by {base.lab_version}"
        yield Unfairness("Δ", said, "train both again with one lab")


def _parameters(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    own, other = run.parameters, base.parameters
    if own and other and max(own, other) > PARAMETERS_APART * min(own, other):
        said = f"{max(own, other) / min(own, other):.1f} × the parameters ({si(own)} against {si(other)})"
        if own < other:
            said = f"{si(own)} parameters against {si(other)}"
        yield Unfairness("parameters", said, "set embedding_dim, hidden_dim or layers so that they match")


def _device(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    if run.device and base.device and run.device != base.device:
        yield Unfairness("chars/s", f"on {run.device} against {base.device}", f"train both on {base.device}")


def _also_changed(run: Comparable, base: Comparable) -> Iterator[Unfairness]:
    """What the ladder itself changes beside what it names, on the way from the baseline's rung to this one."""
    stage = STAGES_BY_NAME.get(run.stage)
    way = []
    while stage is not None and stage.name != base.stage:
        way.append(stage)
        stage = STAGES_BY_NAME.get(stage.stands_on or "")
    for each in way if stage is not None else ():
        if each.also_changed:
            yield Unfairness(
                "Δ", f"{each.name} also changed: {each.also_changed}", "train a control that changes one thing"
            )


def _budget(group: Group, baseline: Group, by_id: Mapping[str, Comparable]) -> Iterator[Unfairness]:
    run, base = group.first, baseline.first
    counted = "" if not (run.parent_id or base.parent_id) else ", the steps of the run it went on from counted"
    own, other = characters_seen(run, by_id), characters_seen(base, by_id)
    if own and other and max(own, other) > BUDGET_APART * min(own, other):
        said = f"another budget: {si(own)} characters against {si(other)}{counted}"
        yield Unfairness("Δ", said, "train both on the same number of characters")
    elif (own is None or other is None) and max(run.step, base.step) > BUDGET_APART * min(run.step, base.step):
        said = f"another budget: {run.step:,} steps against {base.step:,}{counted}"
        yield Unfairness("Δ", said, "train both for the same number of steps")


def _seeds(group: Group, baseline: Group) -> Iterator[Unfairness]:
    own, other = ({run.seed for run in each.scored} for each in (group, baseline))
    if not own or not other or own == other or EXTERNAL in (group.first.kind, baseline.first.kind):
        return
    missing = sorted(other - own)
    remedy = (
        f"train it with seed {', '.join(map(str, missing))} too" if missing else "train the baseline with its seeds"
    )
    yield Unfairness("Δ", f"other seeds ({_listed(own)} against {_listed(other)}): not compared run by run", remedy)


def _listed(seeds: set[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered))


_RULES: tuple[Callable[[Comparable, Comparable], Iterator[Unfairness]], ...] = (
    _dataset,
    _context,
    _version,
    _parameters,
    _device,
    _also_changed,
)

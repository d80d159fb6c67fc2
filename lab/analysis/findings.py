"""What is wrong with a run, if anything, in plain words: a few rules over what was recorded of it.

Each rule is a function of what was seen, its thresholds named at the head of its file, and yields at most one finding,
the worst place. They are set so that the shipped stages, which train well, give none, but for what the lectures
themselves build ill: the first loss and the saturated tanh of `mlp`, the gradients of `blocks`, and a `scaled` that
overfits.
"""

from __future__ import annotations

from collections.abc import Callable

from lab.analysis import rules_inside, rules_losses
from lab.analysis.seen import Finding, Seen

RULES: tuple[Callable[[Seen], Finding | None], ...] = (
    rules_losses.first_loss,
    rules_inside.saturated,
    rules_inside.shrinking,
    rules_inside.vanishing,
    rules_inside.peaked_attention,
    rules_inside.dead,
    rules_inside.large_updates,
    rules_losses.above_known_curve,
    rules_losses.sees_the_answer,
    rules_losses.overfitting,
    rules_losses.underfitting,
    rules_losses.one_batch,
)


def findings(seen: Seen) -> list[Finding]:
    """What is wrong with a run, what shows first first; nothing where all is well, or nothing is known yet."""
    found = [finding for rule in RULES if (finding := rule(seen)) is not None]
    return sorted(found, key=lambda finding: finding.step)

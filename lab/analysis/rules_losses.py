"""Rules of the findings that read a run's losses: where they start, how train and val part, what they come to."""

from __future__ import annotations

import math

import numpy as np

from lab.analysis.seen import Finding, Seen

FIRST_LOSS_ABOVE_GUESSING = 1.0
"""Nats that the loss of the initial weights may lie above ln V. Logits of deviation 1 cost half a nat."""
OVERFITTING_GAP = 0.2
OVERFITTING_RISE = 0.01
"""Nats between train and val, and of val above its lowest, from which a run overfits."""
UNDERFITTING_GAP = 0.1
UNDERFITTING_FALL = 0.1
"""Nats between train and val at most, and nats by which val still fell over the last fifth of the run."""
ABOVE_KNOWN_CURVE = 0.4
"""Nats that val may lie above what the stage had at the same step when it was last known to be right."""
TOO_GOOD = 0.5
"""Val in nats a character below which no model of a text comes by honest means."""
ONE_BATCH_LOSS = 0.2
"""Nats above the least possible within which one batch counts as overfitted."""
ONE_BATCH_STEPS = 200
"""Steps after which it should be."""
UNAVOIDABLE_LOSS = 0.01
"""Nats of a batch's least possible loss from which it is said."""
FEWEST_EVALUATIONS = 5


def first_loss(seen: Seen) -> Finding | None:
    """A model that knows nothing should guess evenly; one that is sure of itself is wrong (makemore, part 3)."""
    steps, _, val = seen.losses()
    guessing = math.log(seen.vocabulary_size)
    if not seen.from_start or not len(steps) or steps[0] > 1 or val[0] <= guessing + FIRST_LOSS_ABOVE_GUESSING:
        return None
    unnormed = seen.config.residual and seen.config.norm == "none"  # each skip adds to what the last layer reads
    logits = next((of for of in seen.of_kind("activations") if of.tensor == "head"), None)
    spread = f"; its logits deviate by {logits.stds[0]:.1f}" if logits is not None and len(logits) else ""
    return Finding(
        "first-loss",
        f"first loss {val[0]:.1f} against guessing evenly {guessing:.2f}: the last layer is too large at init",
        f"val at step {steps[0]:,} is {val[0]:.2f}, ln V is {guessing:.2f}{spread}",
        "head",
        int(steps[0]),
        "scale it down: --set last_layer_scale=0.1"
        + (", or keep what it reads at its size: --set norm=pre" if unnormed else ""),
    )


def overfitting(seen: Seen) -> Finding | None:
    """Val rises while train goes on falling: what is learned now holds for the training text alone."""
    steps, train, val = seen.losses()
    if len(steps) < FEWEST_EVALUATIONS or seen.config.overfit_one_batch:
        return None
    lowest = int(np.argmin(val))
    recent_train, recent_val = float(train[-3:].mean()), float(val[-3:].mean())
    rises = recent_val - val[lowest] >= OVERFITTING_RISE and recent_train < train[lowest]
    if lowest >= len(val) - 3 or not rises or recent_val - recent_train < OVERFITTING_GAP:
        return None
    return Finding(
        "overfitting",
        f"train {train[-1]:.2f}, val {val[-1]:.2f} rising: overfitting since step {steps[lowest]:,}",
        f"val was lowest at step {steps[lowest]:,} with {val[lowest]:.3f}; since then train fell from "
        f"{train[lowest]:.3f} to {recent_train:.3f} and val rose to {recent_val:.3f} (means of three evaluations)",
        "",
        int(steps[lowest]),
        "use the best checkpoint; more dropout, weight_decay or text, fewer steps, or a smaller model",
    )


def underfitting(seen: Seen) -> Finding | None:
    """Train and val together and both falling at the end: the run was too short, or the model is too small."""
    steps, train, val = seen.losses()
    if not seen.ended or len(steps) < FEWEST_EVALUATIONS or seen.config.overfit_one_batch:
        return None
    before = int(np.searchsorted(steps, 0.8 * steps[-1], side="right")) - 1
    fell = val[before] - val[-1], train[before] - train[-1]
    if min(fell) <= UNDERFITTING_FALL or abs(val[-1] - train[-1]) > UNDERFITTING_GAP:
        return None
    return Finding(
        "underfitting",
        f"train {train[-1]:.2f} ≈ val {val[-1]:.2f}, both still falling: underfitting",
        f"over the last fifth of the run val fell by {fell[0]:.2f} and train by {fell[1]:.2f}",
        "",
        int(steps[-1]),
        "train on (lab continue), raise lr, or grow the model",
    )


def above_known_curve(seen: Seen) -> Finding | None:
    """A model with a bug still learns, only not as well as it should: its loss alone looks like any other."""
    compared = seen.above_known()
    if compared is None:
        return None
    step, value, above = compared
    if above <= ABOVE_KNOWN_CURVE:
        return None
    return Finding(
        "above-known-curve",
        f"val {value:.2f} is {above:.1f} above the known curve of {seen.config.stage} at the same step",
        f"at step {step:,} that stage had {value - above:.2f} on this text",
        "",
        step,
        "look for a bug: scale and mask of the attention, the targets' shift, lr",
    )


def sees_the_answer(seen: Seen) -> Finding | None:
    """A loss that no honest model reaches was read off the input."""
    steps, _, val = seen.losses()
    unmasked = seen.config.sees_the_answer
    suspect = np.flatnonzero((steps > 0) & (unmasked | (val < TOO_GOOD)))
    if seen.config.overfit_one_batch or not len(suspect):
        return None
    first, last = suspect[0], suspect[-1]
    why = "causal_mask=false lets each position read what follows" if unmasked else "does a position see what follows?"
    return Finding(
        "sees-the-answer",
        f"val {val[last]:.2f} means nothing: {why}"
        if unmasked
        else f"val {val[last]:.2f} is too good to be true: {why}",
        f"val is {val[last]:.2f} at step {steps[last]:,}; a text has at least {TOO_GOOD} nats a character to learn",
        "",
        int(steps[first]),
        "--set causal_mask=true" if unmasked else "look at the mask and the targets, and for repetition in the text",
    )


def one_batch(seen: Seen) -> Finding | None:
    """A model that trains at all can learn one batch by heart, as far as the batch allows."""
    losses, least = seen.metrics.get("train/loss"), seen.metrics.get("one_batch_least_loss")
    if not seen.config.overfit_one_batch or losses is None or least is None or not len(least.values):
        return None
    if not len(losses.values) or losses.steps[-1] < ONE_BATCH_STEPS:
        return None
    step, loss, floor = int(losses.steps[-1]), float(losses.values[-1]), float(least.values[-1])
    evidence = f"the batch's loss is {loss:.3f} at step {step:,}; no model comes below {floor:.3f}"
    if loss > floor + ONE_BATCH_LOSS:
        return Finding(
            "one-batch",
            f"one batch will not overfit: its loss is {loss:.2f}, where {floor:.2f} is possible",
            evidence,
            "",
            step,
            "more steps or a higher lr; if neither helps, look for a bug, or grow the model",
        )
    if floor > UNAVOIDABLE_LOSS:
        return Finding(
            "one-batch-floor",
            f"one batch cannot reach zero: equal contexts have different targets, which cost {floor:.2f}",
            evidence,
            "",
            step,
            "nothing is wrong; a longer context, or a smaller batch, has fewer of them",
        )
    return None

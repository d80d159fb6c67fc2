"""What is wrong with a stored run, by what was recorded of it."""

from __future__ import annotations

import numpy as np

from lab.analysis.findings import findings
from lab.analysis.known_curves import Curve, known_curve
from lab.analysis.seen import Finding, Seen
from lab.config.diagnostics import Kind
from lab.store.histograms import TensorHistograms, read_histograms
from lab.store.run_store import RunRow, RunStore

_METRICS = ("train/loss", "train/eval_loss", "val/loss", "one_batch_least_loss")
_KINDS: tuple[Kind, ...] = ("activations", "gradients", "updates", "attention-entropy")


def findings_of(store: RunStore, run: RunRow, histograms: list[TensorHistograms] | None = None) -> tuple[Finding, ...]:
    """The findings of a run as it stands, the earliest first; none for what is no training run.

    `histograms` are all of its histograms, where the caller has read them already.
    """
    dataset = store.dataset(run.dataset_sha256, run.dataset_kind)
    if run.kind != "training" or dataset is None:
        return ()
    seen = Seen(
        config=run.config,
        vocabulary_size=len(dataset.vocabulary),
        metrics={name: _finite(store, run.id, name) for name in _METRICS},
        histograms=read_histograms(store, run.id, kinds=_KINDS) if histograms is None else histograms,
        known=known_curve(run.config, run.dataset_sha256),
        ended=run.status == "finished",
        from_start=run.parent_id is None,
    )
    return tuple(findings(seen))


def _finite(store: RunStore, run_id: str, metric: str) -> Curve:
    """A metric's points without those that are not numbers."""
    points = store.points(run_id, metric)
    finite = np.isfinite(points.values)
    return Curve(points.steps[finite], points.values[finite])

"""The models that need no training, and their losses on the texts that come with lab."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lab.datasets.counting import counted_bigram, counting_loss, guessing_evenly, pair_counts
from lab.datasets.dataset import Dataset, load_dataset


def test_guessing_evenly_costs_the_logarithm_of_the_vocabulary() -> None:
    assert guessing_evenly(63) == pytest.approx(4.1431, abs=1e-4)
    assert guessing_evenly(27) == pytest.approx(3.2958, abs=1e-4)


def test_pairs_are_counted_by_row_before_and_column_after() -> None:
    counts = pair_counts(np.array([0, 1, 0, 1, 1, 2]), 3)
    assert counts.tolist() == [[0, 2, 0], [1, 1, 1], [0, 0, 0]]


def test_a_character_never_seen_before_another_is_followed_by_all_evenly(prose: Dataset) -> None:
    table = counted_bigram(prose)
    assert table.shape == (prose.vocabulary_size, prose.vocabulary_size)
    assert table.sum(axis=1) == pytest.approx(1)
    assert (table > 0).all()


def test_the_loss_is_the_mean_surprise_over_the_pairs_of_the_split(prose: Dataset) -> None:
    table, ids = counted_bigram(prose), prose.splits["val"]
    surprises = [-math.log(table[before, after]) for before, after in itertools.pairwise(ids)]
    assert counting_loss(prose) == pytest.approx(sum(surprises) / len(surprises))


@pytest.mark.parametrize(("name", "loss"), [("shakespeare", 2.4863), ("names", 2.4629)])
def test_the_bigram_by_counting_scores_what_the_readme_says(name: str, loss: float) -> None:
    assert counting_loss(load_dataset(name)) == pytest.approx(loss, abs=5e-5)


def test_the_train_split_is_scored_a_little_better_than_val() -> None:
    shakespeare = load_dataset("shakespeare")
    assert counting_loss(shakespeare, "train") < counting_loss(shakespeare, "val")

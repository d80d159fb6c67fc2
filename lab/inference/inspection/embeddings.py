"""Embeddings: where training has put the characters, and who has become whose neighbour."""

from __future__ import annotations

import unicodedata
from typing import cast

import torch
from torch import Tensor, nn

from lab.errors import UsageError
from lab.inference.figures import Bars, Cell, Choice, Figure, Page, Scatter, Table, number, numbers
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions
from lab.store.run_store import CheckpointRow

NEIGHBOURS = 5
CLASSES = ("vowel", "consonant", "capital", "digit", "punctuation", "blank", "start/end")


def embeddings_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """The characters in the plane (by PCA, where there are more dimensions), their neighbours, and how classes lie.

    Raises `UsageError` where the character that is asked for is not in the vocabulary.
    """
    weights = cast("nn.Embedding", subject.model.token_embedding).weight.detach().float()  # (V, C)
    classes = tuple(
        character_class(each, subject.config.dataset_as == "words") for each in subject.tokenizer.vocabulary
    )
    distances = torch.cdist(weights, weights)
    points, shares, names = in_the_plane(weights)
    nearest = distances.fill_diagonal_(torch.inf).argsort(dim=-1, stable=True)[:, : min(NEIGHBOURS, len(classes) - 1)]
    figures: list[Figure] = [
        Scatter(
            f"{len(classes)} characters, embedding of {weights.shape[1]}",
            subject.characters,
            numbers(points[:, 0].tolist()),
            numbers(points[:, 1].tolist()),
            classes,
            *names,
            neighbours=tuple(tuple(row) for row in nearest.tolist()),
            distances=tuple(numbers(row) for row in distances.gather(1, nearest).tolist()),
        ),
        class_distances(weights, classes),
        _neighbours(subject, distances, nearest, classes, options.character),
    ]
    if len(shares) > 2:
        labels = tuple(str(i) for i in range(1, len(shares) + 1))
        figures.append(Bars("explained share by component", labels, numbers(shares.tolist()), unit="share"))
    steps = tuple(str(step) for step in sorted({row.step for row in _checkpoints(subject)}))
    return Page(
        view="embeddings",
        title=f"Embeddings of {subject.name}",
        look_at="Characters that can stand in each other's place come to lie together: the vowels first. Step through "
        "the checkpoints to see the clusters form out of noise.",
        figures=tuple(figures),
        notes=_notes(weights, shares),
        choices=(
            Choice("checkpoint", steps, str(subject.step)),
            Choice("character", ("", *subject.characters), options.character),
        ),
    )


def character_class(character: str, words: bool) -> str:
    """What kind of character it is; the boundary of words is start/end. Accents are passed over: é is a vowel."""
    if character == "\n":
        return "start/end" if words else "blank"
    base = unicodedata.normalize("NFD", character)[0]
    if base.isspace():
        return "blank"
    if base.isdigit():
        return "digit"
    if not base.isalpha():
        return "punctuation"
    if base.isupper():
        return "capital"
    return "vowel" if base in "aeiou" else "consonant"


def in_the_plane(weights: Tensor) -> tuple[Tensor, Tensor, tuple[str, str]]:
    """Points (V, 2) of weights (V, C), the explained shares of all components, and what to call the axes.

    Two dimensions stay as they are; more are turned so that the first two hold as much of the variance as two can.
    """
    v, c = weights.shape
    centred = weights - weights.mean(dim=0)
    if not centred.isfinite().all():
        return torch.full((v, 2), torch.nan), torch.full((min(v, c),), torch.nan), ("", "")
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    shares = s.square() / s.square().sum().clamp(min=torch.finfo(s.dtype).tiny)
    if c <= 2:
        flat = torch.cat([weights, torch.zeros(v, 2 - c)], dim=1)
        return flat, shares, ("dimension 1", "dimension 2")
    names = tuple(f"component {i + 1} ({float(shares[i]):.0%})" for i in range(2))
    return (u * s)[:, :2], shares, cast("tuple[str, str]", names)


def class_distances(weights: Tensor, classes: tuple[str, ...]) -> Table:
    """Mean distance within each class, to the consonants, and to all others: whether the class is a cluster."""
    rows: list[tuple[Cell, ...]] = []
    for name in CLASSES:
        inside = torch.tensor([each == name for each in classes])
        consonants = torch.tensor([each == "consonant" for each in classes])
        if inside.sum() > 1:
            within = mean_between(weights, inside, inside)
            rows.append(
                (
                    name,
                    int(inside.sum()),
                    number(within),
                    None if name == "consonant" else number(mean_between(weights, inside, consonants)),
                    number(mean_between(weights, inside, ~inside)),
                )
            )
    columns = ("class", "characters", "mean distance within", "to the consonants", "to all others")
    return Table("how the classes lie, in all dimensions", columns, tuple(rows))


def mean_between(weights: Tensor, some: Tensor, others: Tensor) -> float:
    """The mean distance of pairs of different characters, one of each mask (V,); NaN where there is no pair."""
    distances = torch.cdist(weights[some], weights[others])
    same = torch.arange(len(weights))[some][:, None] == torch.arange(len(weights))[others]
    return float(distances[~same].mean())


def _neighbours(subject: Subject, distances: Tensor, nearest: Tensor, classes: tuple[str, ...], wanted: str) -> Table:
    """The nearest of every character, or all others of the one that was asked for."""
    if wanted:
        return _all_neighbours(subject, distances, classes, wanted)
    rows: list[tuple[Cell, ...]] = [
        (
            subject.characters[i],
            classes[i],
            " ".join(subject.characters[j] for j in row),
            number(float(distances[i, row[0]])) if row else None,
        )
        for i, row in enumerate(nearest.tolist())
    ]
    return Table("nearest neighbours", ("character", "class", "nearest", "distance"), tuple(rows))


def _all_neighbours(subject: Subject, distances: Tensor, classes: tuple[str, ...], wanted: str) -> Table:
    known = {character: i for i, character in enumerate(subject.characters)} | subject.tokenizer.ids
    if wanted not in known:
        raise UsageError(f"character '{wanted}' is not in the vocabulary: {' '.join(subject.characters[:120])}")
    i = known[wanted]
    order = distances[i].argsort(stable=True).tolist()
    rows = tuple((subject.characters[j], classes[j], number(float(distances[i, j]))) for j in order if j != i)
    return Table(f"nearest to {subject.characters[i]}", ("character", "class", "distance"), rows)


def _notes(weights: Tensor, shares: Tensor) -> tuple[str, ...]:
    if weights.shape[1] == 1:
        return ("The embedding has one dimension: the other axis is empty.",)
    if weights.shape[1] == 2:
        return ("Both dimensions of the embedding, as they are.",)
    return (f"Two of {weights.shape[1]} dimensions, by PCA: they hold {float(shares[:2].sum()):.0%} of the variance.",)


def _checkpoints(subject: Subject) -> list[CheckpointRow]:
    return subject.models.store(subject.database).checkpoints(subject.run.id)

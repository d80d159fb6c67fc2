"""Every number of a view is that of a direct computation with torch."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.datasets.counting import counting_loss, pair_counts
from lab.datasets.dataset import Dataset
from lab.inference.figures import Table
from lab.inference.inspection.averaging import by_attention, by_loops, by_matrix, by_softmax, score_samples
from lab.inference.inspection.bigram import pair_loss
from lab.inference.inspection.character_losses import character_losses
from lab.inference.inspection.embeddings import character_class, in_the_plane
from lab.inference.inspection.inspector import nobody_asks
from lab.inference.inspection.logit_lens import lens_losses
from lab.inference.inspection.loss_map import line_kinds, place_in_word, spread_out
from lab.inference.inspection.pieces import blocks_of, pieces_of, removal, run_without
from lab.inference.inspection.single_characters import next_character_table
from lab.inference.inspection.subject import Subject
from lab.inference.inspection.trace import attention_weights, read_stream, trace_transformer
from lab.training.evaluate import Split
from tests.unit.inspection_helpers import figure, page_for, subject_of

pytestmark = pytest.mark.usefixtures("one_thread")

SWITCHES: tuple[dict[str, object], ...] = (
    {},
    {"positions": "rotary"},
    {"qk_norm": True},
    {"attention": "uniform"},
    {"causal_mask": False},
    {"value_projection": False},
    {"norm": "post"},
    {"norm_kind": "rms"},
    {"residual": False},
    {"tied_embeddings": True},
    {"logit_softcap": 3.0},
    {"attention_scale": "sqrt(d)"},
)
CPU = torch.device("cpu")


def column(table: Table, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


def val_loss(subject: Subject, model: nn.Module | None = None) -> float:
    return Split(subject.config, subject.dataset, "val", CPU).loss(model or subject.model)


def stirred(subject: Subject) -> Subject:
    """Its weights moved off their initial values, so that norms and biases are something else than 1 and 0."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in subject.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return subject


# Attention and the stream


@pytest.mark.parametrize("settings", SWITCHES)
def test_attention_weights_give_the_modules_own_output(settings: dict[str, Any], prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm", **settings))
    tokens = torch.from_numpy(prose.splits["val"][:8].copy())[None]
    trace = trace_transformer(subject.model, tokens)
    for block, x, weights in zip(blocks_of(subject.model), trace.streams[:-1], trace.attention, strict=True):
        read = block.attention_norm(x) if block.norm == "pre" else x
        value = block.attention.read(read)[2]
        rebuilt = block.attention.output((weights @ value).transpose(1, 2).flatten(2))
        torch.testing.assert_close(rebuilt, block.attention(read))
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    torch.testing.assert_close(read_stream(subject.model, trace.streams[-1]), subject.model(tokens)[0])


def test_the_attention_page_is_softmax_of_the_weights_own_products(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "residual"))
    prompt = "To be, o"
    ids = torch.from_numpy(prose.tokenizer.encode(prompt))
    model = cast("Any", subject.model)
    x = model.token_embedding.weight[ids] + model.position_embedding.weight  # (T, C)
    query, key, _ = (x @ model.blocks[0].attention.projections.weight.T).chunk(3, dim=-1)
    page = page_for(subject, "attention", prompt=prompt)
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        scores = query[:, own] @ key[:, own].T / math.sqrt(4)
        weights = scores.masked_fill(torch.ones(8, 8).triu(1).bool(), -torch.inf).softmax(-1).detach()
        shown = figure(page, f"layer 1 head {head + 1}").values
        for i in range(8):
            assert shown[i][: i + 1] == pytest.approx(weights[i, : i + 1].tolist(), rel=1e-4, abs=1e-6)
            assert shown[i][i + 1 :] == (None,) * (7 - i)
        entropy = -(weights * weights.clamp(min=1e-30).log()).sum(-1).mean()
        distance = sum(float(weights[i, j]) * (i - j) for i in range(8) for j in range(i + 1)) / 8
        assert figure(page, "entropy").values[head] == pytest.approx(float(entropy), rel=1e-4)
        assert figure(page, "mean distance").values[head] == pytest.approx(distance, rel=1e-4)
    one = figure(page_for(subject, "attention", prompt=prompt, layer=1, head=2, position=5), "position 5")
    assert column(one, "weight") == sorted(column(one, "weight"), reverse=True)
    assert sum(column(one, "weight")) == pytest.approx(1, rel=1e-4)
    assert column(one, "weight")[0] == pytest.approx(float(weights[4].max()), rel=1e-4)


def test_the_logit_lens_ends_in_the_models_own_prediction(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    page = page_for(subject, "logit-lens", prompt="To be, o")
    tokens = torch.from_numpy(prose.tokenizer.encode("To be, o"))[None]
    likely = subject.model(tokens)[0][0].softmax(-1)
    shown = figure(page, "the likeliest")
    assert shown.rows == ("embedding", "block 1", "block 2")
    assert shown.values[-1] == pytest.approx(likely.max(-1).values.tolist(), rel=1e-4)
    assert shown.texts[-1] == tuple(subject.characters[i] for i in likely.argmax(-1).tolist())
    came = likely[:-1].gather(1, tokens[0, 1:, None])[:, 0]
    assert figure(page, "how likely").values[-1] == pytest.approx(came.tolist(), rel=1e-4)
    decided = figure(page, "where it was decided")
    for place, since in enumerate(column(decided, "since")):
        depth = shown.rows.index(since)
        said = [row[place] for row in shown.texts]
        assert set(said[depth:]) == {said[-1]}
        assert depth == 0 or said[depth - 1] != said[-1]
    losses, count = lens_losses(subject, nobody_asks)
    split = Split(subject.config, prose, "val", CPU)
    assert float(losses[-1]) == pytest.approx(split.loss(subject.model, split.evenly_spaced(count)), rel=1e-5)


# Tables of pairs, embeddings


def test_a_bigrams_learned_table_is_its_softmax_and_its_loss_that_of_the_split(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "bigram"))
    table = next_character_table(subject.model, subject.config, prose.vocabulary_size, prose.tokenizer.start_id)
    torch.testing.assert_close(table, cast("Any", subject.model).head.weight.softmax(-1))
    losses = figure(page_for(subject, "bigram"), "cross-entropy")
    assert column(losses, "counted")[1] == pytest.approx(counting_loss(prose), rel=1e-5)
    # The split's last partial window is left out there, and nothing here.
    assert column(losses, "learned")[1] == pytest.approx(val_loss(subject), rel=0.02)
    ids = torch.from_numpy(prose.splits["val"].copy())
    direct = F.cross_entropy(subject.model(ids[None, :-1])[0][0], ids[1:]).detach()
    assert column(losses, "learned")[1] == pytest.approx(float(direct), rel=1e-5)


def test_a_window_of_one_character_is_filled_up_with_starts(few_names: Dataset) -> None:
    subject = stirred(subject_of(few_names, "mlp"))
    table = next_character_table(subject.model, subject.config, few_names.vocabulary_size, few_names.tokenizer.start_id)
    a = few_names.tokenizer.ids["a"]
    torch.testing.assert_close(table[a], subject.model(torch.tensor([[0, 0, a]]))[0][0, 0].softmax(-1))
    worst = figure(page_for(subject, "bigram"), "where they disagree")
    apart = [abs(value) for value in column(worst, "difference × share of the first")]
    assert apart == sorted(apart, reverse=True)


def test_pairs_cost_what_they_surprise() -> None:
    ids = np.array([0, 1, 1, 0, 1])
    table = np.array([[0.25, 0.75], [0.5, 0.5]])
    assert pair_loss(table, pair_counts(ids, 2)) == pytest.approx(-(2 * math.log(0.75) + 2 * math.log(0.5)) / 4)


def test_two_dimensions_stay_and_more_are_turned_by_their_variance() -> None:
    flat = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(in_the_plane(flat)[0], flat)
    deep = torch.randn(30, 6, generator=torch.Generator().manual_seed(2)) * torch.tensor([5.0, 3, 1, 1, 0.5, 0.1])
    points, shares, _ = in_the_plane(deep)
    variances = torch.linalg.eigvalsh(torch.cov(deep.T)).flip(0)
    torch.testing.assert_close(shares, variances / variances.sum())
    torch.testing.assert_close(points.var(dim=0), variances[:2])


def test_embeddings_are_the_models_own_with_their_distances(few_names: Dataset) -> None:
    subject = subject_of(few_names, "mlp", embedding_dim=2)
    page = page_for(subject, "embeddings")
    weights = cast("Any", subject.model).token_embedding.weight.detach()
    scatter = figure(page, "")
    assert scatter.x == pytest.approx(weights[:, 0].tolist(), rel=1e-5)
    assert scatter.y == pytest.approx(weights[:, 1].tolist(), rel=1e-5)
    vowels = [i for i, kind in enumerate(scatter.classes) if kind == "vowel"]
    consonants = [i for i, kind in enumerate(scatter.classes) if kind == "consonant"]
    assert {scatter.labels[i] for i in vowels} == set("aeio")
    within = [float((weights[i] - weights[j]).norm()) for i in vowels for j in vowels if i != j]
    across = [float((weights[i] - weights[j]).norm()) for i in vowels for j in consonants]
    classes = figure(page, "how the classes lie")
    assert classes.rows[0][0] == "vowel"
    assert column(classes, "mean distance within")[0] == pytest.approx(np.mean(within), rel=1e-4)
    assert column(classes, "to the consonants")[0] == pytest.approx(np.mean(across), rel=1e-4)
    for i, near in enumerate(scatter.neighbours):
        distances = [float((weights[i] - weights[j]).norm()) for j in near]
        assert distances == sorted(distances)
        assert scatter.distances[i] == pytest.approx(distances, rel=1e-4)
        others = set(range(len(weights))) - {i, *near}
        assert all(float((weights[i] - weights[j]).norm()) >= distances[-1] - 1e-6 for j in others)
    assert (
        figure(page_for(subject, "embeddings", character="a"), "nearest to a").rows[0][0]
        == (scatter.labels[scatter.neighbours[scatter.labels.index("a")][0]])
    )


def test_characters_have_classes() -> None:
    said = {each: character_class(each, words=False) for each in "aéZ7! \nß"}
    assert said == {
        "a": "vowel", "é": "vowel", "Z": "capital", "7": "digit", "!": "punctuation", " ": "blank", "\n": "blank",
        "ß": "consonant",
    }  # fmt: skip
    assert character_class("\n", words=True) == "start/end"


# Knock-out


def without(subject: Subject, name: str, *, group: str = "parts", replacement: str = "zero") -> float:
    """The val loss that the page gives without a piece."""
    table = figure(page_for(subject, "knock-out", pieces=group, replacement=replacement), "the most needed")
    return float(column(table, "val loss")[column(table, "without").index(name)])


def changed(subject: Subject, change: Any) -> nn.Module:
    """A copy of the model with something of it changed for good."""
    model = copy.deepcopy(subject.model)
    with torch.no_grad():
        change(model)
    return model


def _zero_head(model: Any) -> None:
    model.blocks[1].attention.output.weight[:, 4:8] = 0


def _zero_feed_forward(model: Any) -> None:
    for parameter in model.blocks[0].feed_forward.output.parameters():
        parameter.zero_()


def _zero_attention(model: Any) -> None:
    for parameter in model.blocks[1].attention.output.parameters():
        parameter.zero_()


def _drop_block(model: Any) -> None:
    del model.blocks[0]


def _drop_skips(model: Any) -> None:
    for block in model.blocks:
        block.residual = False


def _drop_norms(model: Any) -> None:
    model.final_norm = nn.Identity()
    for block in model.blocks:
        block.attention_norm = block.feed_forward_norm = nn.Identity()


def _drop_norm(model: Any) -> None:
    model.blocks[1].feed_forward_norm = nn.Identity()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("as trained", lambda model: None),
        ("head 2.2", _zero_head),
        ("feed-forward 1", _zero_feed_forward),
        ("attention 2", _zero_attention),
        ("block 1", _drop_block),
        ("all skip connections", _drop_skips),
        ("all norms", _drop_norms),
        ("norm of feed-forward 2", _drop_norm),
    ],
)
def test_without_a_piece_the_loss_is_that_of_a_model_changed_by_hand(name: str, change: Any, prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    assert without(subject, name) == pytest.approx(val_loss(subject, changed(subject, change)), rel=1e-4)


def test_without_a_dimension_or_a_position_too(prose: Dataset, few_names: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))

    def zero_dimension(model: Any) -> None:
        model.token_embedding.weight[:, 3] = 0

    def zero_position(model: Any) -> None:
        model.position_embedding.weight[5] = 0

    def mean_position(model: Any) -> None:
        model.position_embedding.weight[5] = model.position_embedding.weight.mean(dim=0)

    expected = val_loss(subject, changed(subject, zero_dimension))
    assert without(subject, "dimension 4", group="dimensions") == pytest.approx(expected, rel=1e-4)
    expected = val_loss(subject, changed(subject, zero_position))
    assert without(subject, "position 6", group="positions") == pytest.approx(expected, rel=1e-4)
    expected = val_loss(subject, changed(subject, mean_position))
    assert without(subject, "position 6", group="positions", replacement="mean") == pytest.approx(expected, rel=1e-4)
    mlp = stirred(subject_of(few_names, "mlp"))

    def zero_slot(model: Any) -> None:  # the columns of the first layer that read the last place of the window
        model.hidden[0].weight[:, -4:] = 0

    expected = val_loss(mlp, changed(mlp, zero_slot))
    assert without(mlp, "position 3", group="positions") == pytest.approx(expected, rel=1e-4)


def test_a_mean_stands_in_for_what_a_part_writes_on_average(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    written: list[Tensor] = []
    model = cast("Any", subject.model)
    handle = model.blocks[1].feed_forward.register_forward_hook(lambda m, i, o: written.append(o.flatten(0, 1)))
    val_loss(subject)
    handle.remove()
    mean = torch.cat(written).mean(dim=0)

    def constant(model: Any) -> None:
        model.blocks[1].feed_forward.output.weight.zero_()
        model.blocks[1].feed_forward.output.bias.copy_(mean)

    expected = val_loss(subject, changed(subject, constant))
    assert without(subject, "feed-forward 2", replacement="mean") == pytest.approx(expected, rel=1e-4)


def test_without_skips_one_by_one_is_without_them_all(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "residual"))
    tokens = torch.from_numpy(prose.splits["val"][:32].copy()).view(4, 8)
    every = [piece for piece in pieces_of(subject.config, "parts") if piece.kind == "skip" and not piece.several]
    hooks = [hook for piece in every for hook in removal(piece, subject.model, subject.config, None)]
    found = run_without(hooks, lambda: subject.model(tokens)[0])
    torch.testing.assert_close(found, changed(subject, _drop_skips)(tokens)[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(subject.model(tokens)[0], subject.model(tokens)[0])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject.model.modules())


def test_the_interval_is_that_of_paired_windows(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    table = figure(page_for(subject, "knock-out"), "the most needed")
    place = column(table, "without").index("attention 1")

    def zero(model: Any) -> None:
        for parameter in model.blocks[0].attention.output.parameters():
            parameter.zero_()

    windows = torch.from_numpy(prose.splits["val"].copy()).unfold(0, 9, 8)

    def by_window(model: nn.Module) -> Tensor:
        logits = model(windows[:, :-1])[0]
        return F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none").mean(dim=1).detach()

    difference = by_window(changed(subject, zero)) - by_window(subject.model)
    assert column(table, "Δ")[place] == pytest.approx(float(difference.mean()), rel=1e-3)
    half = 1.96 * float(difference.std()) / math.sqrt(len(difference))
    assert column(table, "±")[place] == pytest.approx(half, rel=1e-3)


def test_heads_go_in_the_order_of_least_harm(prose: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    page = page_for(subject, "knock-out", pieces="heads")
    order = [name for name in column(figure(page, "the greedy order"), "head") if name != "as trained"]
    assert sorted(order) == ["head 1.1", "head 1.2", "head 2.1", "head 2.2"]

    def loss_without(names: list[str]) -> float:
        def zero(model: Any) -> None:
            for name in names:
                layer, head = (int(each) - 1 for each in name.split()[1].split("."))
                model.blocks[layer].attention.output.weight[:, 4 * head : 4 * head + 4] = 0

        return val_loss(subject, changed(subject, zero))

    removed: list[str] = []
    for name in order:
        losses = {each: loss_without([*removed, each]) for each in order if each not in removed}
        assert losses[name] == pytest.approx(min(losses.values()), abs=1e-5)
        removed.append(name)
    assert column(figure(page, "the greedy order"), "val loss")[-1] == pytest.approx(loss_without(order), rel=1e-4)


# The loss map


@pytest.mark.parametrize("stage", ["bigram", "mlp", "layernorm"])
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_the_losses_of_characters_add_up_to_the_splits(
    stage: str, kind: str, prose: Dataset, few_names: Dataset
) -> None:
    subject = stirred(subject_of(prose if kind == "stream" else few_names, stage))
    losses = character_losses(subject, nobody_asks)
    assert losses.losses.mean() == pytest.approx(val_loss(subject), rel=1e-5)
    page = page_for(subject, "loss-map")
    bars, shares = figure(page, "loss by target"), figure(page, "its share")
    i = int(losses.targets[5])
    place = bars.labels.index(subject.characters[i])
    mine = losses.losses[losses.targets == i]
    assert bars.values[place] == pytest.approx(mine.mean(), rel=1e-4)
    assert shares.values[place] == pytest.approx(mine.sum() / losses.losses.sum(), rel=1e-4)
    assert sum(value or 0 for value in shares.values) == pytest.approx(1, rel=1e-3)
    by_context = figure(page, "loss by position")
    last = losses.losses[losses.context == losses.context.max()]
    assert by_context.values[0][-1] == pytest.approx(last.mean(), rel=1e-4)


def test_each_characters_loss_is_what_the_model_says_there(prose: Dataset, few_names: Dataset) -> None:
    subject = stirred(subject_of(prose, "layernorm"))
    losses = character_losses(subject, nobody_asks)
    ids = torch.from_numpy(prose.splits["val"].copy())
    i = 29  # in the fourth window of 8, the sixth character that is predicted
    logits = subject.model(ids[None, 24:32])[0][0].detach()
    assert losses.losses[i] == pytest.approx(float(F.cross_entropy(logits[5], ids[30])), rel=1e-4)
    assert losses.context[i] == 6
    mlp = stirred(subject_of(few_names, "mlp"))
    losses = character_losses(mlp, nobody_asks)
    ids = torch.from_numpy(few_names.splits["val"].copy())
    direct = F.cross_entropy(mlp.model(torch.tensor([[0, 0, int(ids[1])]]))[0][:, 0].detach(), ids[2:3])
    assert losses.losses[1] == pytest.approx(float(direct), rel=1e-4)


def test_two_runs_are_compared_character_by_character(prose: Dataset) -> None:
    from dataclasses import replace

    one, other = stirred(subject_of(prose, "residual")), subject_of(prose, "layernorm")
    page = page_for(replace(one, other=other), "loss-map")
    mine, theirs = character_losses(one, nobody_asks), character_losses(other, nobody_asks)
    adds = figure(page, "the same, by what it adds")
    assert sum(value or 0 for value in adds.values) == pytest.approx(
        mine.losses.mean() - theirs.losses.mean(), abs=1e-4
    )


def test_lines_and_words_are_told_apart(prose: Dataset, few_names: Dataset) -> None:
    text = "\nGREMIO:\nGood morrow, Neighbour.\n\nFirst Lord:\nNo: why?\n"
    kinds = line_kinds(text)
    assert "".join(c for c, is_it in zip(text, kinds["speaker"], strict=True) if is_it) == "GREMIO:First Lord:"
    assert "".join(c for c, is_it in zip(text, kinds["verse"], strict=True) if is_it) == (
        "Good morrow, Neighbour.No: why?"
    )
    subject = subject_of(prose, "bigram")
    val = prose.tokenizer.decode(prose.splits["val"].tolist())
    places = place_in_word(subject)
    at = val.index("question")
    assert places[at : at + 9].tolist() == [*range(1, 9), 0]
    names = place_in_word(subject_of(few_names, "bigram"))
    first = few_names.tokenizer.decode(few_names.splits["val"].tolist()).split("\n")[1]
    assert names[: len(first) + 2].tolist() == list(range(len(first) + 2))


def test_what_is_largest_is_taken_apart() -> None:
    assert spread_out(np.array([1.0, 9, 8, 1, 7, 1, np.nan]), 3, 2) == [1, 4, 6]


# Anatomy and averaging


@pytest.mark.parametrize("stage", ["bigram", "linear", "mlp", "layernorm", "modern"])
def test_parameters_and_flops_add_up(stage: str, prose: Dataset) -> None:
    subject = subject_of(prose, stage)
    config, v = subject.config, prose.vocabulary_size
    table = figure(page_for(subject, "anatomy"), "the modules")
    parameters = sum(parameter.numel() for parameter in subject.model.parameters())
    assert column(table, "parameters")[0] == parameters
    b, t, c = config.batch_size, config.context_length, config.embedding_dim
    expected = {
        "bigram": 0,
        "linear": 2 * b * t * c * v,
        "mlp": 2 * b * (t * c * config.hidden_dim + config.hidden_dim * v),
    }.get(stage)
    if expected is None:
        block = 2 * b * t * (3 * c * c + c * c + 2 * 4 * c * c) + 2 * 2 * b * t * t * c
        expected = config.layers * block + 2 * b * t * c * v
    assert (column(table, "FLOPs")[0] or 0) == expected
    by_kind = figure(page_for(subject, "anatomy"), "by kind")
    assert sum(column(by_kind, "parameters")) == parameters
    assert sum(column(by_kind, "FLOPs")) == expected


def test_shapes_are_named(prose: Dataset) -> None:
    table = figure(page_for(subject_of(prose, "layernorm"), "anatomy"), "the modules")
    shapes = dict(zip(column(table, "module"), column(table, "writes"), strict=True))
    v = prose.vocabulary_size
    assert shapes["token_embedding"] == "(B=4, T=8, C=8)"
    assert shapes["query"] == "(B=4, nh=2, T=8, hs=4)"
    assert shapes["weights"] == "(B=4, nh=2, T=8, T=8)"
    assert shapes["hidden"] == "(B=4, T=8, 4 × C=32)"
    assert shapes["head"] == f"(B=4, T=8, V={v})"


def test_one_hot_times_table_is_indexing(prose: Dataset) -> None:
    for stage in ("bigram", "mlp", "layernorm"):
        page = page_for(subject_of(prose, stage), "anatomy")
        assert figure(page, "one-hot @ table").values == figure(page, "table[ids]").values
        assert figure(page, "one-hot times table").rows[0] == ("largest difference", 0.0)


def test_the_first_three_versions_are_one_and_the_fourth_is_attention() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 8, 6, generator=generator)
    torch.testing.assert_close(by_matrix(x), by_loops(x))
    torch.testing.assert_close(by_softmax(x), by_loops(x))
    query, key, value = (torch.randn(6, 5, generator=generator) for _ in range(3))
    fused = F.scaled_dot_product_attention(x @ query, x @ key, x @ value, is_causal=True)
    torch.testing.assert_close(by_attention(x, query, key, value), fused)


def test_scores_vary_with_the_head_size_unless_they_are_scaled(prose: Dataset) -> None:
    page = page_for(subject_of(prose, "layernorm"), "averaging", head_size=24)
    variance = figure(page, "variance")
    assert 24.0 in variance.x
    for size, plain, scaled in zip(variance.x, *variance.values, strict=True):
        scores = score_samples([int(each) for each in variance.x])[variance.x.index(size)]
        assert plain == pytest.approx(float(scores.var()), rel=1e-4)
        assert plain == pytest.approx(size, rel=0.15)
        assert scaled == pytest.approx(1, abs=0.15)
    unscaled, scaled = figure(page, "softmax of q·k, d").values, figure(page, "softmax of q·k / √d").values
    assert max(unscaled) > max(scaled)
    scores = score_samples([24])[0][0]
    assert scaled == pytest.approx((scores / math.sqrt(24)).softmax(-1).tolist(), rel=1e-4)


def test_first_losses_are_those_of_the_first_batch(prose: Dataset) -> None:
    from lab.models.build import build_model
    from lab.training.batches import Batches

    subject = subject_of(prose, "mlp", init="normal")
    bars = figure(page_for(subject, "averaging"), "first loss")
    model = build_model(subject.config, prose.vocabulary_size)
    tokens, targets = Batches(subject.config, prose, CPU).batch(1)
    direct = float(cast("Tensor", model(tokens, targets)[1]).detach())
    assert bars.values[bars.labels.index("this run's own")] == pytest.approx(direct, rel=1e-5)
    assert bars.values[bars.labels.index("N(0, 1)")] == pytest.approx(direct, rel=1e-5)
    assert bars.reference == pytest.approx(math.log(prose.vocabulary_size), rel=1e-5)
    assert abs(bars.values[bars.labels.index("N(0, 1), last layer × 0.01")] - bars.reference) < 0.1


def test_the_data_page_shows_the_first_batch(prose: Dataset) -> None:
    from lab.training.batches import Batches

    subject = subject_of(prose, "layernorm")
    page = page_for(subject, "data")
    tokens, targets = Batches(subject.config, prose, CPU).batch(1)
    assert column(figure(page, "the batch"), "ids")[0] == " ".join(str(each) for each in tokens[0].tolist())
    rows = figure(page, "unrolled").rows
    assert [row[-1] for row in rows[:8]] == targets[0].tolist()
    assert rows[2][2] == subject.shown(tokens[0, :3].tolist())
    assert sum(column(figure(page, "the vocabulary"), "in train")) == len(prose.splits["train"])


def test_attention_weights_of_a_uniform_head_are_an_even_average(prose: Dataset) -> None:
    subject = subject_of(prose, "layernorm", attention="uniform")
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))
    weights = attention_weights(blocks_of(subject.model)[0].attention, x)
    torch.testing.assert_close(weights[0, 0], torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None])

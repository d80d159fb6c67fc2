"""Dropout in fewer random numbers, and attention with it in pieces: what they compute, and how often they drop."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lab.models import dropout
from lab.models.dropout import Dropout, drawn_to_stay, scaled_dot_product_attention

SHAPES = [(1, 1, 1, 2), (3, 2, 8, 4), (5, 3, 64, 4), (2, 2, 150, 8)]
"""B, nh, T, hs: one position, one piece of several examples, and pieces that the context does not fill."""


def heads(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for _ in range(3)]


def by_place(like: Tensor, p: float) -> Tensor:
    """A mask by the row of a piece and the key, in place of a drawn one: known wherever a piece begins."""
    rows = torch.arange(like.shape[-2]).unsqueeze(1)
    return (rows + torch.arange(like.shape[-1])) % 3 > 0


def plainly(query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool, p: float) -> Tensor:
    """What the pieces compute, over all positions at once."""
    t = query.shape[2]
    scores = query @ key.transpose(-2, -1) * 0.3
    if is_causal:
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -math.inf)
    stays = torch.cat([by_place(piece, p) for piece in torch.zeros(t, t).split(dropout.QUERIES_TOGETHER)])
    return (F.softmax(scores, dim=-1) * stays / (1 - p)) @ value


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("together", [2**17, 1])
def test_attention_in_pieces_is_attention_with_its_gradients(
    shape: tuple[int, ...], is_causal: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropout, "drawn_to_stay", by_place)
    monkeypatch.setattr(dropout, "WEIGHTS_TOGETHER", together)
    given = heads(shape)
    ours = scaled_dot_product_attention(*given, dropout_p=0.25, is_causal=is_causal, scale=0.3)
    plain = plainly(*given, is_causal=is_causal, p=0.25)
    torch.testing.assert_close(ours, plain)
    back = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(torch.autograd.grad(ours, given, back), torch.autograd.grad(plain, given, back))


def test_what_nothing_is_dropped_of_is_torchs_own() -> None:
    given = heads((3, 2, 8, 4))
    ours = scaled_dot_product_attention(*given, dropout_p=0.0, is_causal=True, scale=0.5)
    assert torch.equal(ours, F.scaled_dot_product_attention(*given, is_causal=True, scale=0.5))
    x = torch.randn(4, 5)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert not Dropout(1.0)(x).any()


def test_attention_drops_as_much_as_it_should_on_the_average() -> None:
    torch.manual_seed(3)
    query, key, value = (each.detach() for each in heads((2, 2, 70, 4)))
    drawn = [scaled_dot_product_attention(query, key, value, dropout_p=0.3, is_causal=True, scale=0.5)
             for _ in range(500)]  # fmt: skip
    mean, spread = torch.stack(drawn).mean(dim=0), torch.stack(drawn).std(dim=0) / math.sqrt(500)
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.5)
    assert ((mean - expected).abs() / spread).max() < 5.5
    assert spread.min() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_attention_keeps_the_precision_it_is_given(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "drawn_to_stay", by_place)
    given = heads((3, 2, 80, 8), dtype)
    ours = scaled_dot_product_attention(*given, dropout_p=0.25, is_causal=True, scale=0.3)
    assert ours.dtype == dtype
    exact = [each.detach().double().requires_grad_() for each in given]
    plain = plainly(*exact, is_causal=True, p=0.25)
    close = {"rtol": 0.05, "atol": 0.05} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(ours.double(), plain, **close)
    gradients = torch.autograd.grad(ours.sum(), given)
    assert [each.dtype for each in gradients] == [dtype] * 3
    for ours_back, plain_back in zip(gradients, torch.autograd.grad(plain.sum(), exact), strict=True):
        torch.testing.assert_close(ours_back.double(), plain_back, **close)


def test_under_autocast_all_is_brought_to_its_precision_as_torchs_own_does() -> None:
    query, key, value = (each.detach().float().requires_grad_() for each in heads((3, 2, 70, 4)))
    with torch.autocast("cpu", torch.bfloat16):
        ours = scaled_dot_product_attention(
            query.bfloat16(), key.bfloat16(), value, dropout_p=0.3, is_causal=True, scale=0.5
        )
        torchs = F.scaled_dot_product_attention(query.bfloat16(), key.bfloat16(), value, is_causal=True, scale=0.5)
    assert ours.dtype == torchs.dtype == torch.bfloat16
    gradients = torch.autograd.grad(ours.sum(), (query, key, value))
    assert [each.dtype for each in gradients] == [torch.float32] * 3
    assert all(torch.isfinite(each).all() for each in gradients)


@pytest.mark.parametrize("p", [1e-4, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("count", [1, 3, 40_000])
def test_as_many_stay_as_should(p: float, count: int) -> None:
    torch.manual_seed(4)
    stays = torch.stack([drawn_to_stay(torch.empty(count), p) for _ in range(1000 if count < 10 else 10)]).double()
    scatter = math.sqrt(p * (1 - p) / stays.numel())
    assert abs(stays.mean().item() - (1 - p)) < 4.5 * scatter
    neighbours = (stays[:, 1:] * stays[:, :-1]).mean().item() if count > 1 else (1 - p) ** 2
    assert abs(neighbours - (1 - p) ** 2) < 12 * scatter, "one says nothing of the next"


def test_dropout_scales_what_is_left_and_the_gradient_alike() -> None:
    torch.manual_seed(5)
    x = torch.randn(100, 7, requires_grad=True)
    y = Dropout(0.2)(x)
    left = y != 0
    torch.testing.assert_close(y, left * x / 0.8)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, left / 0.8)


def draw_values() -> Tensor:
    return Dropout(0.3)(torch.ones(50, 6))


def draw_weights() -> Tensor:
    return scaled_dot_product_attention(*heads((3, 2, 70, 4)), dropout_p=0.3, is_causal=True, scale=1.0)


@pytest.mark.parametrize("draw", [draw_values, draw_weights])
def test_a_seed_decides_what_is_dropped(draw: Callable[[], Tensor]) -> None:
    torch.manual_seed(6)
    first, second = draw(), draw()
    torch.manual_seed(6)
    assert torch.equal(draw(), first)
    assert torch.equal(draw(), second)
    assert not torch.equal(first, second)

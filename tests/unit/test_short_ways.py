"""The pieces with a way back of their own compute what torch's do, and so do their gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lab.models.short_ways import rms_norm, squared_relu


@pytest.mark.parametrize("shape", [(5,), (3, 8), (2, 3, 4, 6)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_an_rms_norm_and_its_gradient_are_torchs(shape: tuple[int, ...], scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator) * scale).requires_grad_()
    upstream = torch.randn(shape, generator=generator)
    expected = F.rms_norm(x, shape[-1:])
    found = rms_norm(x)
    [by_torch] = torch.autograd.grad(expected, x, upstream)
    [by_us] = torch.autograd.grad(found, x, upstream)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(by_us, by_torch, rtol=1e-4, atol=1e-5 / scale)


def test_an_rms_norm_of_nothing_is_nothing() -> None:
    x = torch.zeros(2, 4, requires_grad=True)
    rms_norm(x).sum().backward()
    assert torch.equal(rms_norm(x), torch.zeros(2, 4))
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_an_rms_norm_in_bf16_sums_in_fp32() -> None:
    x = torch.full((2, 1000), 3.0, dtype=torch.bfloat16, requires_grad=True)
    normed = rms_norm(x)
    assert normed.dtype == torch.bfloat16
    assert torch.allclose(normed.float(), torch.ones(2, 1000), atol=0.01)
    normed.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


def test_a_squared_relu_and_its_gradient_are_torchs() -> None:
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    upstream = torch.randn(4, 9, generator=torch.Generator().manual_seed(2))
    expected = F.relu(x).square()
    found = squared_relu(x)
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(y, x, upstream)[0] for y in (found, expected)))


def test_gradients_are_those_of_small_differences() -> None:
    x = torch.randn(3, 7, dtype=torch.double, generator=torch.Generator().manual_seed(3), requires_grad=True)
    assert torch.autograd.gradcheck(rms_norm, (x,))
    assert torch.autograd.gradcheck(squared_relu, (x,))

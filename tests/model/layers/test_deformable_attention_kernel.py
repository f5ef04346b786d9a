"""The C kernel against the plain PyTorch path: values and gradients over random shapes, threads and vector widths."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from uniperceiver.model.layers import deformable_attention_kernel
from uniperceiver.model.layers.deformable_attention import (
    DeformableAttention,
    sample_levels,
    sample_levels_with_bags,
    sample_levels_with_grids,
)
from uniperceiver.model.layers.deformable_attention_kernel import (
    Kernel,
    can_sample,
    describe_kernel,
    has_kernel,
    loaded_kernel,
    sample_levels_with_kernel,
)

needs_kernel = pytest.mark.skipif(not has_kernel(), reason="the package was installed without a C compiler")
Shapes = list[tuple[int, int]]
CASES = [  # batch, shapes, queries, heads, channels of a head, points
    (2, [(5, 7), (3, 2), (1, 1)], 11, 3, 5, 2),
    (1, [(1, 1)], 3, 1, 1, 1),
    (1, [(9, 7)], 150, 2, 32, 4),
    (2, [(9, 7), (4, 3)], 5, 2, 16, 4),
    (1, [(30, 20), (1, 9)], 2, 2, 48, 3),
    (1, [(30, 20)], 2, 1, 40, 20),
    (3, [(6, 1), (2, 3), (8, 8), (4, 4), (2, 2)], 40, 1, 64, 5),
    (1, [(60, 60), (30, 30)], 3, 4, 16, 4),
]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    torch.manual_seed(0)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def inputs(batch: int, shapes: Shapes, queries: int, heads: int, width: int, points: int) -> tuple[Tensor, ...]:
    """Value, locations (a sixth of them outside of the picture), weights and the gradient of the result."""
    value = torch.randn(batch, sum(h * w for h, w in shapes), heads, width)
    locations = torch.rand(batch, queries, heads, len(shapes), points, 2) * 1.2 - 0.1
    weights = torch.randn(batch, queries, heads, len(shapes), points)
    return value, locations, weights, torch.randn(batch, queries, heads * width)


def flat(shapes: Shapes) -> list[int]:
    return [size for shape in shapes for size in shape]


def gradients(out: Tensor, leaves: list[Tensor], grad_out: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, leaves, grad_out)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    scale = max(float(expected.detach().abs().max()), 1.0)
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)


@needs_kernel
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("case", CASES)
def test_kernel_equals_pytorch(case: tuple[int, Shapes, int, int, int, int], lanes: int) -> None:
    if lanes > loaded_kernel().lanes:
        pytest.skip("the processor has no such vectors")
    shapes = case[1]
    *leaves, grad_out = inputs(*case)
    leaves = [x.requires_grad_() for x in leaves]
    expected = sample_levels_with_grids(leaves[0], shapes, leaves[1], leaves[2])
    spec = importlib.util.find_spec(f"{DeformableAttention.__module__.rpartition('.')[0]}._deformable_attention_kernel")
    assert spec is not None
    assert spec.origin is not None
    kernel = Kernel(spec.origin, lanes)
    value, locations, weights = (x.detach() for x in leaves)
    assert_equal(kernel.forward(value, flat(shapes), locations, weights), expected)
    found = kernel.backward(grad_out, value, flat(shapes), locations, weights)
    for ours, theirs in zip(found, gradients(expected, leaves, grad_out), strict=True):
        assert_equal(ours, theirs)


@needs_kernel
def test_number_of_threads_does_not_change_a_bit() -> None:
    shapes = [(20, 15), (6, 5)]
    *leaves, grad_out = inputs(1, shapes, 70, 2, 32, 4)
    results = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        leaves = [x.detach().requires_grad_() for x in leaves]
        out = sample_levels_with_kernel(leaves[0], flat(shapes), leaves[1], leaves[2])
        results.append((out, *gradients(out, leaves, grad_out)))
    for result in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(result, results[0], strict=True))


@needs_kernel
def test_memory_layout_does_not_matter() -> None:
    shapes = [(4, 5)]
    value, locations, weights, grad_out = inputs(2, shapes, 6, 2, 8, 3)
    expected = sample_levels_with_kernel(value, flat(shapes), locations, weights)
    strided = [x.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for x in (value, locations, weights)]
    assert not any(x.is_contiguous() for x in strided)
    out = sample_levels_with_kernel(strided[0], flat(shapes), strided[1], strided[2])
    assert torch.equal(out, expected)
    transposed = grad_out.transpose(1, 2).contiguous().transpose(1, 2)
    for one, other in zip(
        gradients(out, strided, transposed), gradients(*rerun(strided, shapes), grad_out), strict=True
    ):
        assert torch.equal(one, other)


def rerun(leaves: list[Tensor], shapes: Shapes) -> tuple[Tensor, list[Tensor]]:
    return sample_levels_with_kernel(leaves[0], flat(shapes), leaves[1], leaves[2]), leaves


@needs_kernel
def test_no_queries_and_no_pictures_give_nothing() -> None:
    for batch, queries in ((2, 0), (0, 3)):
        value, locations, weights, _ = inputs(batch, [(4, 5)], queries, 2, 8, 3)
        value.requires_grad_()
        out = sample_levels(value, [(4, 5)], locations, weights)
        assert out.shape == (batch, queries, 16)
        out.sum().backward()
        assert value.grad is not None
        assert not value.grad.any()


@pytest.mark.parametrize("sampling", [sample_levels, sample_levels_with_bags])
def test_far_away_is_zero_and_what_is_no_number_stays_so(sampling: Callable[..., Tensor]) -> None:
    value, locations, weights, _ = inputs(1, [(4, 5)], 4, 1, 8, 1)
    locations[0, 0], locations[0, 1], locations[0, 2] = 1e9, -1e30, float("nan")
    out = sampling(value, [(4, 5)], locations, weights)
    assert not out[0, :2].any()
    assert out[0, 2].isnan().all()
    assert out[0, 3].isfinite().all()


@needs_kernel
def test_operator_is_registered_as_pytorch_asks() -> None:
    value, locations, weights, _ = inputs(1, [(4, 5)], 3, 2, 8, 2)
    leaves = [x.requires_grad_() for x in (value, locations, weights)]
    torch.library.opcheck(sample_levels_with_kernel, (leaves[0], [4, 5], leaves[1], leaves[2]))


@needs_kernel
def test_bfloat16_comes_back_as_such() -> None:
    value, locations, weights, _ = inputs(1, [(4, 5)], 3, 2, 8, 2)
    out = sample_levels(value.bfloat16(), [(4, 5)], locations, weights)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), sample_levels(value, [(4, 5)], locations, weights), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("case", CASES)
def test_bags_equal_grids(case: tuple[int, Shapes, int, int, int, int]) -> None:
    value, locations, weights, _ = inputs(*case)
    expected = sample_levels_with_grids(value, case[1], locations, weights)
    assert_equal(sample_levels_with_bags(value, case[1], locations, weights), expected)


@pytest.mark.parametrize("sampling", [sample_levels_with_bags, sample_levels_with_grids])
def test_pytorch_takes_no_queries(sampling: Callable[..., Tensor]) -> None:
    value, locations, weights, _ = inputs(2, [(4, 5), (2, 2)], 0, 2, 8, 3)
    assert sampling(value, [(4, 5), (2, 2)], locations, weights).shape == (2, 0, 16)


def test_gradients_of_the_pytorch_path() -> None:
    value, locations, weights, _ = inputs(1, [(3, 4), (2, 2)], 2, 2, 3, 2)
    leaves = [x.double().requires_grad_() for x in (value, locations, weights)]
    torch.autograd.gradcheck(lambda v, x, w: sample_levels(v, [(3, 4), (2, 2)], x, w), leaves)


def test_without_the_kernel_plain_pytorch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deformable_attention_kernel, "load_kernel", lambda: None)
    value, locations, weights, _ = inputs(1, [(4, 5)], 3, 2, 8, 2)
    assert not can_sample(value)
    assert "PyTorch" in describe_kernel()
    out = sample_levels(value, [(4, 5)], locations, weights)
    torch.testing.assert_close(out, sample_levels_with_grids(value, [(4, 5)], locations, weights))
    with pytest.raises(RuntimeError, match="reinstall uniperceiver with a C compiler"):
        loaded_kernel()

"""oneDNN's products against PyTorch's own, and when which is taken."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver import linear as subject
from uniperceiver.linear import QuickLinear, Trial, compare_products, describe_products, in_parts, linear

needs_onednn = pytest.mark.skipif(compare_products(subject.MANY_ROWS) is None, reason="this PyTorch has no oneDNN")


@pytest.fixture
def onednn_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor on which the default is slow."""
    monkeypatch.setattr(subject, "compare_products", lambda rows: Trial(default=2.0, onednn=1.0, error=0.0))


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@needs_onednn
@pytest.mark.usefixtures("onednn_wins")
@pytest.mark.parametrize("rows", [(), (1,), (2,), (5, 3), (64,), (65,), (7, 100), (2, 3, 40)])
@pytest.mark.parametrize(("inputs", "outputs"), [(512, 768), (96, 40)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_equals_the_plain_product(rows: tuple[int, ...], inputs: int, outputs: int, has_bias: bool) -> None:
    x, weight = random(*rows, inputs), random(outputs, inputs)
    bias = random(outputs) if has_bias else None
    expected = F.linear(x, weight, bias)
    with torch.no_grad():
        for _ in range(3):  # the second and third time with a matrix in oneDNN's order
            found = linear(x, weight, bias)
            assert found.shape == expected.shape
            assert float((found - expected).abs().max() / expected.abs().max()) < subject.LARGEST_ERROR


@needs_onednn
@pytest.mark.usefixtures("onednn_wins")
def test_a_strided_input_and_a_slice_of_a_matrix() -> None:
    x, weight = random(512, 300).T, random(1200, 512)[200:1000]
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.usefixtures("onednn_wins")
def test_a_changed_matrix_is_reordered_again() -> None:
    x, weight = random(4, 512), random(512, 512)
    with torch.no_grad():
        for _ in range(2):
            linear(x, weight)
        weight.mul_(2)
        for _ in range(3):
            torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=1e-4, atol=1e-3)


@needs_onednn
@pytest.mark.usefixtures("onednn_wins")
def test_a_kept_order_goes_with_its_matrix() -> None:
    weight = random(512, 512)
    before = len(subject._PACKED)
    with torch.no_grad():
        for _ in range(2):
            linear(random(4, 512), weight)
    assert len(subject._PACKED) == before + 1
    del weight
    assert len(subject._PACKED) == before


@pytest.mark.usefixtures("onednn_wins")
@pytest.mark.parametrize("case", ["gradient", "autocast", "double", "nothing", "no numbers"])
def test_other_cases_take_pytorchs_way(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("oneDNN was asked")

    monkeypatch.setattr(subject, "_onednn", refuse)
    x, weight = random(300, 512), random(512, 512).requires_grad_()
    if case == "double":
        x, weight = x.double(), weight.double()
    with torch.set_grad_enabled(case == "gradient"), torch.autocast("cpu", enabled=case == "autocast"):
        x = x[:0] if case == "nothing" else x.to("meta") if case == "no numbers" else x
        out = linear(x, weight.to(x.device))
    assert out.shape == (*x.shape[:-1], 512)
    assert out.requires_grad == (case == "gradient")
    assert out.dtype == {"autocast": torch.bfloat16, "double": torch.float64}.get(case, torch.float32)


def test_a_slow_or_an_inexact_product_is_refused() -> None:
    assert Trial(default=2.0, onednn=1.0, error=1e-6).onednn_wins
    assert not Trial(default=1.0, onednn=1.0, error=0.0).onednn_wins
    assert not Trial(default=2.0, onednn=1.0, error=1e-3).onednn_wins


@needs_onednn
@pytest.mark.parametrize("rows", [subject.MANY_ROWS, subject.FEW_ROWS, subject.TWO_ROWS])
def test_the_measurement_finds_both_equal(rows: int) -> None:
    trial = compare_products(rows)
    assert trial is not None
    assert trial is compare_products(rows)
    assert trial.error < 1e-5
    assert min(trial.default, trial.onednn) > 0


@needs_onednn
@pytest.mark.parametrize("rows", [2, 8, 512])
def test_two_few_and_many_rows_are_decided_apart_and_reported(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    quicker = {rows: Trial(default=2.0, onednn=1.0, error=0.0)}
    slower = Trial(default=1.0, onednn=2.0, error=0.0)
    monkeypatch.setattr(subject, "compare_products", lambda number: quicker.get(number, slower))
    taken: list[int] = []
    onednn = subject._onednn
    monkeypatch.setattr(subject, "_onednn", lambda x, *rest: taken.append(len(x)) or onednn(x, *rest))
    weight = random(768, 768)
    with torch.no_grad():
        for number in (2, 2, 8, 8, 512):
            linear(random(number, 768), weight)
    assert taken == [rows]
    described = {2: "of two oneDNN (", 8: "of few rows oneDNN (", 512: "processors: oneDNN ("}
    assert [number for number, said in described.items() if said in describe_products()] == [rows]


def test_layers_are_replaced_with_their_names_and_parameters() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ModuleDict({"inner": nn.Linear(6, 2, bias=False)}), nn.GELU())
    before = dict(network.named_parameters())
    subject.use_quick_products(network)
    assert all(parameter is before[name] for name, parameter in network.named_parameters())
    assert list(before) == [name for name, _ in network.named_parameters()]
    assert isinstance(network[0], QuickLinear)
    x = random(3, 4)
    torch.testing.assert_close(network[0](x), F.linear(x, network[0].weight, network[0].bias))
    assert copy.deepcopy(network)[0].weight is not network[0].weight


@pytest.mark.parametrize("shape", [(10, 3), (2, 5, 3), (1, 3), (0, 3)])
def test_parts_give_what_the_whole_gives(shape: tuple[int, ...]) -> None:
    seen: list[int] = []

    def double(x: Tensor) -> Tensor:
        seen.append(x.shape[:-1].numel())
        return x * 2

    x = random(*shape)
    with torch.no_grad():
        torch.testing.assert_close(in_parts(double, x, 4), x * 2)
    assert max(seen) <= 4
    seen.clear()
    in_parts(double, x, 4)
    assert seen == [x.shape[:-1].numel()]  # with gradients in one piece


def test_shapes_that_do_not_fit_have_pytorchs_error() -> None:
    with torch.no_grad(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(torch.randn(4096, 64), torch.randn(128, 65))

"""MT-AdamW against the algorithms it degenerates to, and its statistics."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from uniperceiver.training.mt_adamw import MTAdamW

SHAPES = ((3, 4), (5,), (2, 2, 2), ())


def make_parameters(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def make_gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    return [(step + 1) * torch.randn(shape, generator=generator) for shape in SHAPES]


def norm(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients]).norm()


def give(parameters: list[nn.Parameter], gradients: list[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else gradient.clone()


def groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"params": parameters[:2], "lr": 0.02}, {"params": parameters[2:], "weight_decay": 0.3}]


def test_one_task_is_adamw_on_normalised_gradients() -> None:
    ours, theirs = make_parameters(), make_parameters()
    settings = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}
    mt, adamw = MTAdamW(groups(ours), **settings), torch.optim.AdamW(groups(theirs), **settings)
    for step in range(12):
        gradients = make_gradients(step)
        give(ours, gradients)
        give(theirs, [g / norm(gradients) for g in gradients])
        assert mt.step(sampling_ratio=1.0, scale=1.0) == pytest.approx(float(norm(gradients)))
        adamw.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_parameters_together_are_updated_as_one_after_the_other() -> None:
    """A GPU updates them together, with the same code."""
    ours, theirs = make_parameters(), make_parameters()
    apart, together = (MTAdamW([{"params": p}], lr=0.01, weight_decay=0.1) for p in (ours, theirs))
    for step in range(3):
        for parameters in (ours, theirs):
            give(parameters, [None if step == 1 else make_gradients(step)[0], *make_gradients(step)[1:]])
        norm_of_all = apart.step(sampling_ratio=0.25, scale=2.0)
        (group,) = together.param_groups
        group["t"] += 1
        with torch.no_grad():
            together._move(group["params"], group, 2.0 / norm_of_all, 0.25)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_rule_of_section_4_4() -> None:
    """Two steps of different tasks, written out with the paper's letters."""
    (theta,) = parameters = [nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))]
    alpha, beta1, beta2, eps, decay = 0.1, 0.1, 0.001, 1e-8, 0.01
    optimizer = MTAdamW(parameters, lr=alpha, betas=(1 - beta1, 1 - beta2), eps=eps, weight_decay=decay)
    m, n, expected = torch.zeros(3), torch.zeros(3), theta.detach().clone()
    tasks = [(0.25, 2.0, torch.tensor([3.0, 0.0, 4.0])), (0.75, 0.5, torch.tensor([-1.0, 2.0, 2.0]))]
    for t, (s, omega, gradient) in enumerate(tasks, start=1):
        g = omega * gradient / gradient.norm()
        m = (1 - beta1) * m + beta1 / s * g
        n = (1 - beta2) * n + beta2 / s * g**2
        m_hat, n_hat = m / (1 - (1 - beta1) ** t), n / (1 - (1 - beta2) ** t)
        expected = (1 - alpha * decay) * expected - alpha * m_hat / (n_hat.sqrt() + eps)
        give(parameters, [gradient])
        optimizer.step(sampling_ratio=s, scale=omega)
        torch.testing.assert_close(theta.detach(), expected)


def test_scaling_a_loss_changes_nothing() -> None:
    ours, theirs = make_parameters(), make_parameters()
    first, second = MTAdamW(ours, lr=0.01), MTAdamW(theirs, lr=0.01)
    for step in range(3):
        give(ours, make_gradients(step))
        give(theirs, [1e4 * g for g in make_gradients(step)])
        first.step(sampling_ratio=0.3, scale=1.0)
        second.step(sampling_ratio=0.3, scale=1.0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_moments_are_unbiased_over_the_draws() -> None:
    """With constant gradients g_k, corrected m estimates Σ g_k and n estimates Σ g_k², however rarely k is drawn."""
    ratios = torch.tensor([0.6, 0.3, 0.1])
    tasks = torch.eye(3) * torch.tensor([1.0, -1.0, 1.0])
    parameter = nn.Parameter(torch.zeros(3))
    beta = 0.002
    optimizer = MTAdamW([parameter], lr=0.0, betas=(1 - beta, 1 - beta))
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(ratios, 6000, replacement=True, generator=generator).tolist()
    means = torch.zeros(2, 3)
    for step, task in enumerate(draws):
        parameter.grad = tasks[task].clone()
        optimizer.step(sampling_ratio=float(ratios[task]), scale=1.0)
        if step >= 2000:
            state = optimizer.state[parameter]
            means += torch.stack([state["m"], state["n"]]) / (1 - (1 - beta) ** (step + 1)) / 4000
    torch.testing.assert_close(means[0], tasks.sum(dim=0), rtol=0, atol=0.15)
    torch.testing.assert_close(means[1], tasks.square().sum(dim=0), rtol=0, atol=0.15)


def test_the_expected_first_moments_are_exact() -> None:
    """Over all draws of a first and a second step, weighted with their probabilities, m and n are unbiased."""
    ratios, tasks = [0.7, 0.3], [torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])]
    expected = torch.zeros(2, 2)
    for i in range(2):
        for j in range(2):
            parameter = nn.Parameter(torch.zeros(2))
            optimizer = MTAdamW([parameter], lr=0.0, betas=(0.9, 0.9))
            for task in (i, j):
                parameter.grad = tasks[task].clone()
                optimizer.step(sampling_ratio=ratios[task], scale=1.0)
            state = optimizer.state[parameter]
            expected += ratios[i] * ratios[j] * torch.stack([state["m"], state["n"]]) / (1 - 0.9**2)
    torch.testing.assert_close(expected[0], tasks[0] + tasks[1])
    torch.testing.assert_close(expected[1], tasks[0] ** 2 + tasks[1] ** 2)


def test_a_missing_gradient_is_a_zero_gradient() -> None:
    ours, theirs = make_parameters(), make_parameters()
    first, second = MTAdamW(ours, lr=0.01), MTAdamW(theirs, lr=0.01)
    for step in range(4):
        gradients = make_gradients(step)
        absent = step % len(gradients)
        give(ours, [None if i == absent else g for i, g in enumerate(gradients)])
        give(theirs, [torch.zeros_like(g) if i == absent else g for i, g in enumerate(gradients)])
        first.step(sampling_ratio=0.5, scale=1.0)
        second.step(sampling_ratio=0.5, scale=1.0)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("absent", [True, False])
def test_without_gradient_only_decays(absent: bool) -> None:
    """All gradients missing, or all zero: the moments decay, nothing becomes NaN, weight decay goes on."""
    parameters = make_parameters()
    optimizer = MTAdamW(parameters, lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    give(parameters, make_gradients(0))
    optimizer.step(sampling_ratio=0.5, scale=1.0)
    before = {name: optimizer.state[parameters[0]][name].clone() for name in ("m", "n")}
    give(parameters, [None if absent else torch.zeros(shape) for shape in SHAPES])
    assert optimizer.step(sampling_ratio=0.5, scale=1.0) == 0
    torch.testing.assert_close(optimizer.state[parameters[0]]["m"], 0.9 * before["m"])
    torch.testing.assert_close(optimizer.state[parameters[0]]["n"], 0.99 * before["n"])
    assert all(p.isfinite().all() for p in parameters)

    fresh = make_parameters()
    still = MTAdamW(fresh, lr=0.1, weight_decay=0.5)
    still.step(sampling_ratio=0.5, scale=1.0)
    for a, b in zip(fresh, make_parameters(), strict=True):
        torch.testing.assert_close(a, 0.95 * b)


def test_the_first_update_is_the_sign_over_the_root_of_the_ratio() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    optimizer = MTAdamW([parameter], lr=0.01, weight_decay=0.0)
    parameter.grad = torch.tensor([5.0, -2.0, 1.0])
    optimizer.step(sampling_ratio=0.04, scale=1.0)
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.05, 0.05, -0.05]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(value: float) -> None:
    parameters = make_parameters()
    names = ("first", "second", "third", "fourth")
    optimizer = MTAdamW(list(zip(names, parameters, strict=True)), lr=0.1)
    give(parameters, make_gradients(0))
    optimizer.step(sampling_ratio=0.5, scale=1.0)
    before, state = [p.detach().clone() for p in parameters], copy.deepcopy(optimizer.state_dict())
    gradients = make_gradients(1)
    gradients[1][2] = value
    give(parameters, gradients)
    with pytest.raises(FloatingPointError, match="second is not finite"):
        optimizer.step(sampling_ratio=0.5, scale=1.0)
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    assert all(torch.equal(after["state"][i][k], state["state"][i][k]) for i in range(4) for k in ("m", "n"))


def test_resumed_is_uninterrupted_bit_for_bit() -> None:
    through, parameters = make_parameters(), make_parameters()
    whole, first = MTAdamW(groups(through), lr=0.01), MTAdamW(groups(parameters), lr=0.01)
    for step in range(6):
        give(through, make_gradients(step))
        whole.step(sampling_ratio=0.4, scale=2.0)
    for step in range(3):
        give(parameters, make_gradients(step))
        first.step(sampling_ratio=0.4, scale=2.0)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = [nn.Parameter(p.detach().clone()) for p in parameters]
    second = MTAdamW(groups(resumed), lr=0.5)
    second.load_state_dict(torch.load(file, weights_only=True))
    for step in range(3, 6):
        give(resumed, make_gradients(step))
        second.step(sampling_ratio=0.4, scale=2.0)
    assert all(torch.equal(a, b) for a, b in zip(through, resumed, strict=True))


def test_bad_settings_are_refused() -> None:
    parameters = make_parameters()
    with pytest.raises(ValueError, match="betas"):
        MTAdamW(parameters, lr=0.1, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="eps"):
        MTAdamW(parameters, lr=0.1, eps=0.0)
    optimizer = MTAdamW(parameters, lr=0.1)
    for ratio, scale in ((0.0, 1.0), (1.5, 1.0), (0.5, 0.0), (0.5, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="sampling ratio"):
            optimizer.step(sampling_ratio=ratio, scale=scale)
    parameters[1].requires_grad_(False)
    with pytest.raises(ValueError, match=r"frozen.*parameter 1 of shape \(5,\)"):
        MTAdamW(parameters, lr=0.1)

"""A linear head changes nothing until it is trained, and is found by its classes alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from uniperceiver.config import LinearHeadConfig, ModelConfig
from uniperceiver.model.linear_head import LinearHead
from uniperceiver.model.uni_perceiver import UniPerceiver

NAMES = ("cat", "dog", "red car")


def test_a_fresh_head_gives_the_similarities() -> None:
    head = LinearHead(LinearHeadConfig(NAMES), 8)
    x, similarities = torch.randn(2, 8), torch.randn(2, 3)
    assert torch.equal(head(x, similarities), similarities)


def test_logits_of_some_classes_are_theirs_among_all() -> None:
    head = LinearHead(LinearHeadConfig(NAMES), 8)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    x, similarities, some = torch.randn(2, 8), torch.randn(2, 3), torch.tensor([2, 0])
    torch.testing.assert_close(head(x, similarities[:, some], some), head(x, similarities)[:, some])
    expected = head.similarity_weight * similarities + x @ head.weight.T + head.bias
    torch.testing.assert_close(head(x, similarities), expected)


def test_a_model_finds_the_head_of_its_classes(tiny_model_config: ModelConfig) -> None:
    heads = (LinearHeadConfig(NAMES), LinearHeadConfig(NAMES[:2]))
    model = UniPerceiver(replace(tiny_model_config, heads=heads))
    assert model.head_for(list(NAMES)) is model.heads[0]
    assert model.head_for(NAMES[:2]) is model.heads[1]
    assert model.head_for(("dog", "cat")) is None
    assert model.deployed_parameters() - UniPerceiver(tiny_model_config).deployed_parameters() == 5 * 41 + 2

"""Extending gives a model what a configuration has beyond its own, and leaves the rest as it was."""

from __future__ import annotations

from dataclasses import replace

import torch

from uniperceiver.config import LinearHeadConfig, LoraConfig, ModelConfig, PromptConfig
from uniperceiver.model.extending import extend
from uniperceiver.model.uni_perceiver import UniPerceiver


def test_the_extended_model_is_one_of_the_new_configuration(tiny_model_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = UniPerceiver(tiny_model_config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    decoder = replace(tiny_model_config.decoder, prompts=PromptConfig(2, for_targets=True))
    config = replace(tiny_model_config, decoder=decoder, heads=(LinearHeadConfig(("cat", "dog")),))
    extend(model, config)
    assert model.config == config
    shapes = {name: tensor.shape for name, tensor in UniPerceiver(config).state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    more = replace(config, heads=(*config.heads, LinearHeadConfig(("yes", "no", "three"))))
    extend(model, more)
    assert [len(head.classes) for head in model.heads] == [2, 3]


def test_low_rank_updates_are_added_once(tiny_model_config: ModelConfig) -> None:
    model = UniPerceiver(tiny_model_config)
    config = replace(tiny_model_config, decoder=replace(tiny_model_config.decoder, lora=LoraConfig(2)))
    extend(model, config)
    extend(model, config)
    assert model.state_dict().keys() == UniPerceiver(config).state_dict().keys()

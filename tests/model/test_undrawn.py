from __future__ import annotations

import torch

from uniperceiver.config import ModelConfig, load_config
from uniperceiver.model.undrawn import undrawn_model
from uniperceiver.model.uni_perceiver import UniPerceiver


def test_a_model_to_fill_draws_nothing_and_has_everything(tiny_model_config: ModelConfig) -> None:
    torch.manual_seed(0)
    drawn = UniPerceiver(tiny_model_config)
    state = torch.get_rng_state()
    model = undrawn_model(tiny_model_config)
    assert torch.equal(torch.get_rng_state(), state)
    shapes = {name: tensor.shape for name, tensor in drawn.state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes
    model.load_state_dict(drawn.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), drawn.buffers(), strict=True))


def test_buffers_that_no_file_has_are_made() -> None:
    """A Swin's tables of places are not in its state dict."""
    model = undrawn_model(load_config("swin_base"))
    in_no_file = dict(model.named_buffers()).keys() - model.state_dict().keys()
    places = [buffer for name, buffer in model.named_buffers() if name in in_no_file and "position_index" in name]
    assert places
    assert all((int(p.min()), int(p.max())) == (0, (2 * 12 - 1) ** 2 - 1) for p in places)

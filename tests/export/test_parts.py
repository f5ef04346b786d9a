"""A fixed set of labels with the linear head that prompt tuning has added for it."""

from __future__ import annotations

import torch

from uniperceiver.config import LinearHeadConfig
from uniperceiver.export.parts import Names
from uniperceiver.likelihood import log_likelihood, similarity
from uniperceiver.model.linear_head import LinearHead


def test_names_are_a_likelihood_with_or_without_a_head() -> None:
    x, y, temperature = torch.randn(2, 8), torch.randn(3, 8), torch.tensor(0.1)
    torch.testing.assert_close(Names(y, temperature)(x), log_likelihood(x, y, temperature).exp())
    head = LinearHead(LinearHeadConfig(("cat", "dog", "tree")), 8)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    expected = head(x, similarity(x, y, temperature)).softmax(dim=-1)
    torch.testing.assert_close(Names(y, temperature, head)(x), expected)

"""The typed results of the proposal network: rows of a stage, masks from embeddings, rows at an index."""

from __future__ import annotations

import torch

from uniperceiver.model.proposals.outputs import Stage, mask_logits, take


def test_rows_of_a_stage_are_rows_of_all_its_tensors() -> None:
    stage = Stage(torch.randn(2, 5, 1), torch.rand(2, 5, 4), torch.randn(2, 5, 3))
    first, rest = stage.rows(0, 2), stage.rows(2, None)
    for name in ("logits", "boxes", "mask_embeddings"):
        parts = torch.cat([getattr(first, name), getattr(rest, name)], dim=1)
        assert torch.equal(parts, getattr(stage, name))


def test_a_mask_is_the_product_of_its_embedding_and_every_place_of_the_features() -> None:
    embeddings, features = torch.randn(2, 3, 4), torch.randn(2, 4, 5, 6)
    masks = mask_logits(embeddings, features)
    assert masks.shape == (2, 3, 5, 6)
    torch.testing.assert_close(masks[1, 2, 3, 4], embeddings[1, 2] @ features[1, :, 3, 4])


def test_take_gives_each_image_its_own_rows() -> None:
    rows = torch.arange(12).reshape(2, 3, 2)
    assert take(rows, torch.tensor([[2, 0], [1, 1]])).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]

"""Whole batches erased and mixed: what stays, and which shares the labels get."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.data.batch_augmentation import erase, mix


def pictures() -> torch.Tensor:
    """Four pictures of one value each."""
    return torch.arange(4.0)[:, None, None, None].expand(4, 3, 32, 32).clone()


def test_erasing_leaves_all_but_a_rectangle() -> None:
    torch.manual_seed(0)
    pixels = pictures()
    erased = erase(pixels, 1.0)
    for picture, before in zip(erased, pixels, strict=True):
        rows, columns = (picture != before).all(dim=0).nonzero(as_tuple=True)
        height, width = int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)
        assert 0 < len(rows) == height * width < 0.4 * 32 * 32
    assert torch.equal(erase(pixels, 0.0), pixels)
    assert torch.equal(pixels, pictures())


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_labels_are_mixed_as_the_pixels_are(mixup: float, cutmix: float) -> None:
    """Picture i has the value i, so its mean says how much of its neighbour is in it."""
    for seed in range(8):
        torch.manual_seed(seed)
        mixed, shares = mix(pictures(), torch.arange(4), 5, mixup, cutmix)
        assert shares.shape == (4, 5)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), shares @ torch.arange(5.0), atol=1e-5, rtol=1e-5)


def test_both_kinds_are_drawn() -> None:
    is_cut = set()
    for seed in range(20):
        torch.manual_seed(seed)
        mixed, _ = mix(pictures(), torch.arange(4), 4, 0.8, 1.0)
        is_cut.add(len(mixed[1].unique()) == 2)
    assert is_cut == {True, False}


def test_frames_of_a_clip_are_treated_alike() -> None:
    torch.manual_seed(1)
    clips = pictures()[:, None].expand(4, 2, 3, 32, 32)
    mixed, _ = mix(clips, torch.arange(4), 4, 0.0, 1.0)
    assert mixed.shape == clips.shape
    assert torch.equal(mixed[:, 0], mixed[:, 1])
    is_changed = (erase(clips, 1.0) != clips).all(dim=2)
    assert torch.equal(is_changed[:, 0], is_changed[:, 1])


def test_mixing_wants_a_kind() -> None:
    with pytest.raises(ValueError, match="mixup or cutmix"):
        mix(pictures(), torch.arange(4), 4, 0.0, 0.0)

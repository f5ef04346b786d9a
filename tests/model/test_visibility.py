"""Who sees whom, written out as a picture of the mask."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.model.segments import Segment
from uniperceiver.model.visibility import blocked_keys

PICTURE = Segment(torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.bool), "image")
QUESTION = Segment(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.bool), "text", torch.tensor([[0]]))
CAPTION = Segment(
    tokens=torch.zeros(1, 4, 4),
    is_padding=torch.zeros(1, 4, dtype=torch.bool),
    modality="text",
    positions=torch.tensor([[0, 1, 0, 1]]),
    is_slot=torch.tensor([[False, False, True, True]]),
    causal=True,
)


def drawn(segments: list[Segment], padding: tuple[int, ...] = ()) -> list[str]:
    """A row for every token of <SPE> ‖ segments: a dot where it sees a token, a cross where not."""
    is_padding = torch.zeros(1, 1 + sum(segment.tokens.shape[1] for segment in segments), dtype=torch.bool)
    is_padding[0, list(padding)] = True
    blocked = blocked_keys(segments, is_padding)
    assert blocked is not None
    return ["".join("x" if hidden else "." for hidden in row) for row in blocked[0, 0].tolist()]


def test_words_see_earlier_words_and_slots_nothing_of_each_other() -> None:
    """<SPE>, two patches, a question, two words, their slots: nothing before a caption sees any of it."""
    assert drawn([PICTURE, QUESTION, CAPTION]) == [
        "....xxxx",
        "....xxxx",
        "....xxxx",
        "....xxxx",
        ".....xxx",
        "......xx",
        "....xx.x",
        ".....xx.",
    ]


def test_nobody_sees_padding() -> None:
    assert drawn([PICTURE, QUESTION], padding=(2,)) == ["..x."]  # one row for all
    assert drawn([PICTURE, CAPTION], padding=(2,))[0] == "..xxxxx"
    assert drawn([PICTURE, CAPTION], padding=(2,))[4] == "..x..xx"


def test_two_causal_segments_do_not_see_each_other() -> None:
    assert drawn([CAPTION, CAPTION])[1] == "..xxxxxxx"
    assert drawn([CAPTION, CAPTION])[5] == ".xxxx.xxx"


def test_without_padding_and_causal_text_no_mask_is_made() -> None:
    assert blocked_keys([PICTURE, QUESTION], torch.zeros(1, 4, dtype=torch.bool)) is None


def test_causal_segments_need_positions() -> None:
    picture = Segment(PICTURE.tokens, PICTURE.is_padding, "image", causal=True)
    with pytest.raises(ValueError, match="causal segment needs positions, got a image"):
        blocked_keys([picture], torch.zeros(1, 3, dtype=torch.bool))

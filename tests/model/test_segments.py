"""Routing bits: derived from the task's four booleans and the stream, they give v1's table."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.model.segments import Modality, Segment, Side, TaskAttributes, task_streams

IMAGE, TEXT, IMAGE_AND_TEXT = TaskAttributes(True, False), TaskAttributes(False, True), TaskAttributes(True, True)


@pytest.mark.parametrize(
    ("attributes", "modality", "side", "causal", "expected"),
    [
        pytest.param(IMAGE, "image", "input", False, "10011000", id="classification and retrieval: image input"),
        pytest.param(TEXT, "text", "input", False, "01010100", id="masked LM and GLUE: input"),
        pytest.param(IMAGE_AND_TEXT, "image", "input", False, "11011000", id="captioning: image rows"),
        pytest.param(IMAGE_AND_TEXT, "text", "input", True, "11010101", id="captioning: text rows"),
        pytest.param(IMAGE, "text", "target", False, "10010110", id="class names, retrieval: text target"),
        pytest.param(IMAGE_AND_TEXT, "text", "target", False, "11010110", id="vocabulary"),
        pytest.param(TEXT, "text", "target", False, "01010110", id="not in v1: vocabulary of masked LM by derivation"),
        pytest.param(IMAGE_AND_TEXT, "text", "input", False, "11010100", id="not in v1: question of VQA"),
    ],
)
def test_bits_of_section_6(
    attributes: TaskAttributes, modality: Modality, side: Side, causal: bool, expected: str
) -> None:
    assert attributes.bits(modality, side, causal) == tuple(map(int, expected))


def test_streams_are_those_of_v1_and_two_more() -> None:
    """Section 6: six rows; then questions about a picture, and texts alone word by word."""
    table = {"10011000", "01010100", "11011000", "11010101", "10010110", "11010110"}
    streams = ["".join(map(str, bits)) for bits in task_streams(targets_have_image_bit=True)]
    assert len(streams) == len(set(streams))
    assert set(streams) == table | {"11010100", "01010101"}
    by_derivation = {"".join(map(str, bits)) for bits in task_streams(targets_have_image_bit=False)}
    assert by_derivation == set(streams) | {"01010110"}


def test_bits_of_an_image_target() -> None:
    assert TaskAttributes(False, True, True, False).bits("image", "target", False) == (0, 1, 1, 0, 1, 0, 1, 0)


def test_rows_selects_every_field() -> None:
    positions = torch.arange(6).view(3, 2)
    segment = Segment(torch.randn(3, 2, 4), positions > 4, "text", positions, positions == 0, causal=True)
    index = torch.tensor([2, 0])
    rows = segment.rows(index)
    for name in ("tokens", "is_padding", "positions", "is_slot"):
        assert torch.equal(vars(rows)[name], vars(segment)[name][index])
    assert (rows.modality, rows.causal) == ("text", True)

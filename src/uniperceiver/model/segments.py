"""Token sequences between the encoders f and the unified decoder g, and the bits that route them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from torch import Tensor

Modality = Literal["image", "text"]
Side = Literal["input", "target"]
Bits = tuple[int, ...]
"""The eight routing bits of a stream."""


@dataclass(frozen=True)
class Segment:
    """A sequence of encoded tokens of one modality: the output of f, the input of g."""

    tokens: Tensor
    """(B, L, D)."""
    is_padding: Tensor
    """(B, L) bool."""
    modality: Modality
    positions: Tensor | None = None
    """(B, L) int64, places in the text; None for images, whose tokens carry their place already (Eq. 3 and 9)."""
    is_slot: Tensor | None = None
    """(B, L) bool; None where there are no slots."""
    causal: bool = False
    """True: tokens follow `causal_is_blocked` among themselves; no token of a non-causal segment sees them."""

    def rows(self, index: Tensor) -> Self:
        """The sequences given by an index (R,)."""
        return replace(
            self,
            tokens=self.tokens[index],
            is_padding=self.is_padding[index],
            positions=None if self.positions is None else self.positions[index],
            is_slot=None if self.is_slot is None else self.is_slot[index],
        )


@dataclass(frozen=True)
class TaskAttributes:
    """The four of the eight routing bits that the task fixes; the other four follow from the segment.

    Bits in the order of spec/uni_perceiver_v1_moe.md, section 6: input has vision, input has text, target is vision,
    target is text, this stream is vision, this stream is text, this stream is a target, this stream is causal.
    """

    input_image: bool
    input_text: bool
    target_image: bool = False
    target_text: bool = True

    def bits(self, modality: Modality, side: Side, causal: bool) -> Bits:
        """The eight routing bits of one stream of tokens."""
        task = (self.input_image, self.input_text, self.target_image, self.target_text)
        return tuple(map(int, (*task, modality == "image", modality == "text", side == "target", causal)))


def task_streams(targets_have_image_bit: bool) -> list[Bits]:
    """The routing bits of every stream of tokens that a task can have, each once.

    Inputs are pictures, texts or both, with the texts read at once or word by word; targets are texts.
    ``targets_have_image_bit`` is that of `MoEConfig`.
    """
    streams: list[Bits] = []
    for image, text in ((True, False), (True, True), (False, True)):
        attributes = TaskAttributes(input_image=image, input_text=text)
        of_targets = replace(attributes, input_image=image or targets_have_image_bit)
        streams.append(of_targets.bits("text", "target", causal=False))
        if image:
            streams.append(attributes.bits("image", "input", causal=False))
        if text:
            streams += [attributes.bits("text", "input", causal) for causal in (False, True)]
    return list(dict.fromkeys(streams))


@dataclass(frozen=True)
class Decoded:
    """What g makes of a sequence: already normalised and projected, ready for Eq. (6)."""

    spe: Tensor
    """(B, D), the representation of the whole sequence, read at <SPE>."""
    segments: tuple[Tensor, ...]
    """One (B, L_i, D) per segment that went in, in order."""

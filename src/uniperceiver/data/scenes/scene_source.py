"""The scenes of a configuration: which names and cut-outs it draws from, and the layout of every number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.categories import choices_of, choose_categories
from uniperceiver.data.scenes.composition import Scene, paint, paint_frames
from uniperceiver.data.scenes.cutouts import open_cutouts
from uniperceiver.data.scenes.layout import Layout, SceneRules, lay_out
from uniperceiver.data.scenes.motion import DIRECTIONS, MovingLayout, lay_out_clip
from uniperceiver.data.scenes.motion_sentences import motion_captions
from uniperceiver.data.scenes.photographs import open_photographs
from uniperceiver.data.scenes.questions import Question, questions
from uniperceiver.data.scenes.sentences import captions, statements

SCALE = (0.16, 0.5)
"""An object's longer side in sides of the scene."""
SINGLE_SCALE = (0.4, 0.85)
"""The same where it is alone in the picture."""
CLIP_SCALE = (0.16, 0.35)
"""The same in clips, where what moves needs room."""
RESOLUTIONS = (128, 256)
"""Pixels a side at which cut-outs are kept: the first for scenes of up to twice as many, the other for larger ones."""


class SceneSource:
    """Layouts and pictures by number, and what is said of them. All views of one scene come from here."""

    def __init__(self, config: ScenesConfig) -> None:
        """Open the cut-outs and divide names and instances.

        Raises:
            CutoutError: cut-outs or backgrounds that cannot be used, or fewer names than asked for.
            ModuleNotFoundError: ``openmoji`` without its package.
        """
        self.config = config
        self.cutouts = open_cutouts(config.cutouts, RESOLUTIONS[config.size > 2 * RESOLUTIONS[0]])
        found = [cutout.name for cutout in self.cutouts]
        drawn = choose_categories(found, config.names, config.held_out, config.held_out_have_relatives, config.seed)
        self.names = drawn.training if config.categories == "training" else drawn.held_out
        split = None if config.share_instances else config.split
        self._choices = choices_of(self.cutouts, self.names, split, config.seed)
        self._photographs = open_photographs(config.backgrounds)
        photographed = config.photographed if config.backgrounds else 0.0
        self._rules = SceneRules(config.size, config.objects, SCALE, config.occlusion, config.tinted, photographed)
        self._key = f"{config.seed}/{config.split}/{config.categories}"

    def __len__(self) -> int:
        return self.config.images

    def scene_id(self, index: int) -> str:
        """What a scene is called in records: the same in every view, different in every part of the data."""
        part = self.config.split if self.config.categories == "training" else f"{self.config.split}-held-out"
        return f"{part}-{index}"

    def layout(self, index: int) -> Layout:
        """What is where in scene ``index``."""
        _check(index, len(self))
        return lay_out(self._choices, self._rules, f"scene/{self._key}/{index}")

    def single(self, index: int) -> Layout:
        """One large object; the classes take turns."""
        _check(index, len(self))
        rules = replace(self._rules, scale=SINGLE_SCALE)
        return lay_out(self._choices, rules, f"single/{self._key}/{index}", label=index % len(self.names))

    def clip(self, index: int) -> MovingLayout:
        """What moves where in clip ``index``; the directions take turns."""
        _check(index, len(self))
        rules = replace(self._rules, scale=CLIP_SCALE)
        direction = list(DIRECTIONS)[index % len(DIRECTIONS)]
        return lay_out_clip(self._choices, rules, f"clip/{self._key}/{index}", direction, self.config.frames)

    def paint(self, layout: Layout) -> Scene:
        """The picture of a layout of this source."""
        return paint(layout, self.cutouts, self._photographs)

    def paint_frames(self, clip: MovingLayout, numbers: Sequence[int]) -> np.ndarray:
        """Frames of a clip of this source by number, (T, size, size, 3) uint8 RGB."""
        return paint_frames(clip, numbers, self.cutouts, self._photographs)

    def captions(self, index: int) -> tuple[str, ...]:
        """`sentences.CAPTIONS` captions of scene ``index``."""
        return captions(self.layout(index))

    def motion_captions(self, index: int) -> tuple[str, ...]:
        """`sentences.CAPTIONS` captions of clip ``index``."""
        return motion_captions(self.clip(index))

    def texts(self, index: int) -> tuple[str, ...]:
        """Captions, then `sentences.STATEMENTS` statements about scene ``index``."""
        layout = self.layout(index)
        return (
            *captions(layout),
            *statements(layout, f"statements/{self._key}/{index}"),
        )

    def questions(self, index: int) -> list[Question]:
        """The questions about scene ``index``, with answers."""
        layout = self.layout(index)
        return questions(layout, self.names, self.config.questions, f"questions/{self._key}/{index}")


def _check(index: int, length: int) -> None:
    if not 0 <= index < length:
        raise IndexError(f"scene {index} of {length}")

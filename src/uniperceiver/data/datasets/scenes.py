"""Scenes composed from cut-outs as data sets: one class per view, all of them of the same scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from uniperceiver.config import ScenesConfig
from uniperceiver.config.scenes import FRAMES_A_SECOND
from uniperceiver.data.datasets.video_files import wanted_frames
from uniperceiver.data.records import (
    AnnotatedImage,
    AnsweredQuestion,
    CaptionedImage,
    CaptionedVideo,
    LabelledImage,
    LabelledVideo,
    ObjectReference,
    QuestionedImage,
    TextRecord,
)
from uniperceiver.data.scenes.motion import MOTIONS
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.sentences import CAPTIONS, STATEMENTS
from uniperceiver.run_lengths import encoded


class SceneView:
    """What the views share: the scenes and their names."""

    def __init__(self, config: ScenesConfig) -> None:
        """Open the cut-outs.

        Raises:
            CutoutError: cut-outs that cannot be used, or fewer names than asked for.
            ModuleNotFoundError: ``openmoji`` without its package.
        """
        self.source = SceneSource(config)
        self.names = self._names()

    def _names(self) -> tuple[str, ...]:
        """What labels number."""
        return self.source.names

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        config = self.source.config
        return (
            f"scenes of {config.cutouts}, {config.view} of {config.split} ({len(self)} records, "
            f"{len(self.source.names)} {config.categories.replace('_', '-')} names, seed {config.seed})"
        )


class SceneObjects(SceneView):
    """Pictures with their objects."""

    def __getitem__(self, index: int) -> AnnotatedImage:
        layout = self.source.layout(index)
        scene = self.source.paint(layout)
        return AnnotatedImage(
            image=_tensor(scene.image),
            image_id=self.source.scene_id(index),
            boxes=torch.from_numpy(scene.boxes()),
            masks=torch.from_numpy(scene.masks),
            labels=torch.tensor([placed.label for placed in layout.objects], dtype=torch.int64),
            has_mask=torch.ones(len(layout.objects), dtype=torch.bool),
            is_crowd=torch.zeros(len(layout.objects), dtype=torch.bool),
            original_size=(layout.size, layout.size),
        )

    def objects(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Boxes (n, 4) relative to their picture, in [0, 1], and labels (n,) of each scene, without painting any.

        The boxes are those of whole objects: what lies over an object takes nothing from its box here.
        """
        for index in range(len(self)):
            layout = self.source.layout(index)
            boxes = np.array([placed.box for placed in layout.objects], dtype=np.float64) / layout.size
            yield boxes, np.array([placed.label for placed in layout.objects], dtype=np.int64)

    def reference(self, record: AnnotatedImage) -> ObjectReference:
        """What is annotated of a record of this data set, however the record has been transformed since."""
        original = self[int(record.image_id.rpartition("-")[2])]
        masks = original.masks.numpy()
        return ObjectReference(
            image_id=original.image_id,
            size=original.original_size,
            boxes=original.boxes.numpy().astype(np.float64),
            masks=[encoded(mask) for mask in masks],
            labels=original.labels.numpy(),
            is_crowd=original.is_crowd.numpy(),
            areas=masks.sum(axis=(1, 2)).astype(np.float64),
        )


class SceneLabels(SceneView):
    """Pictures of one object each, with its class; the classes take turns."""

    def __getitem__(self, index: int) -> LabelledImage:
        layout = self.source.single(index)
        image = _tensor(self.source.paint(layout).image)
        return LabelledImage(image, f"single-{self.source.scene_id(index)}", layout.objects[0].label)


class SceneCaptions(SceneView):
    """Pictures with captions."""

    def __getitem__(self, index: int) -> CaptionedImage:
        image = _tensor(self.source.paint(self.source.layout(index)).image)
        return CaptionedImage(image, self.source.scene_id(index), self.source.captions(index))

    def texts(self) -> Iterator[str]:
        """Every caption, without painting a picture."""
        for index in range(len(self)):
            yield from self.source.captions(index)

    def shown_names(self, record: CaptionedImage | CaptionedVideo) -> frozenset[str]:
        """The names of what a record of this data set shows."""
        return frozenset(self.source.layout(int(record.image_id.rpartition("-")[2])).counts())


class SceneQuestions(SceneView):
    """Pictures with a question; the questions about one scene follow each other."""

    def __len__(self) -> int:
        return len(self.source) * self.source.config.questions

    def __getitem__(self, index: int) -> QuestionedImage:
        scene, number = divmod(index, self.source.config.questions)
        asked = [AnsweredQuestion(text, (answer,)) for text, answer in self.source.questions(scene)]
        own = asked.pop(number)
        image = _tensor(self.source.paint(self.source.layout(scene)).image)
        return QuestionedImage(image, self.source.scene_id(scene), own.question, own.answers, tuple(asked))

    def answers(self) -> Iterator[tuple[str, ...]]:
        """The answer to every question, without painting a picture."""
        for scene in range(len(self.source)):
            yield from ((question.answer,) for question in self.source.questions(scene))


class SceneTexts(SceneView):
    """Sentences: the captions of every scene and statements about it."""

    def __len__(self) -> int:
        return len(self.source) * (CAPTIONS + STATEMENTS)

    def __getitem__(self, index: int) -> TextRecord:
        scene, number = divmod(index, CAPTIONS + STATEMENTS)
        return TextRecord(self.source.texts(scene)[number])

    def texts(self) -> Iterator[str]:
        """Every sentence."""
        for scene in range(len(self.source)):
            yield from self.source.texts(scene)


class SceneClips(SceneView):
    """What the views of clips share: frames, sampled as those of a video file (`wanted_frames`)."""

    def clip_id(self, index: int) -> str:
        """What a clip is called in records."""
        return f"clip-{self.source.scene_id(index)}"

    def views(self, index: int) -> Tensor:
        """(V, T, 3, size, size) uint8 RGB; a random start is drawn from torch's default generator."""
        config = self.source.config
        numbers = wanted_frames(config.frames, FRAMES_A_SECOND, config.sampling)
        frames = torch.from_numpy(self.source.paint_frames(self.source.clip(index), numbers)).permute(0, 3, 1, 2)
        return frames.unflatten(0, (config.sampling.frames, config.sampling.clips)).transpose(0, 1)


class SceneMotions(SceneClips):
    """Clips with the class of their motion; the classes take turns."""

    def _names(self) -> tuple[str, ...]:
        return MOTIONS

    def __getitem__(self, index: int) -> LabelledVideo:
        return LabelledVideo(self.views(index), self.clip_id(index), self.source.clip(index).label)


class SceneMotionCaptions(SceneClips):
    """Clips with captions."""

    def __getitem__(self, index: int) -> CaptionedVideo:
        return CaptionedVideo(self.views(index), self.clip_id(index), self.source.motion_captions(index))

    def texts(self) -> Iterator[str]:
        """Every caption, without painting a frame."""
        for index in range(len(self)):
            yield from self.source.motion_captions(index)

    def shown_names(self, record: CaptionedImage | CaptionedVideo) -> frozenset[str]:
        """The names of what a record of this data set shows."""
        return frozenset(self.source.clip(int(record.image_id.rpartition("-")[2])).middle.counts())


Scenes = SceneObjects | SceneLabels | SceneCaptions | SceneQuestions | SceneTexts | SceneMotions | SceneMotionCaptions

VIEWS: dict[str, type[Scenes]] = {
    "objects": SceneObjects,
    "labels": SceneLabels,
    "captions": SceneCaptions,
    "questions": SceneQuestions,
    "texts": SceneTexts,
    "motions": SceneMotions,
    "motion_captions": SceneMotionCaptions,
}


def open_scenes(config: ScenesConfig) -> Scenes:
    """The view that a configuration names.

    Raises:
        CutoutError: cut-outs that cannot be used, or fewer names than asked for.
        ModuleNotFoundError: ``openmoji`` without its package.
    """
    return VIEWS[config.view](config)


def _tensor(image: np.ndarray) -> Tensor:
    """(3, H, W), a view whose colours lie together in memory, as `images.to_rgb_tensor` gives it."""
    return torch.from_numpy(image).permute(2, 0, 1)

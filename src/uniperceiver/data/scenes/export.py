"""Scenes written to disk in the formats of COCO, Karpathy and VQAv2, for any program to read; clips as videos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from uniperceiver.config import ScenesConfig
from uniperceiver.data.datasets.video_files import import_av
from uniperceiver.data.scenes.clip_export import write_clips
from uniperceiver.data.scenes.composition import Scene
from uniperceiver.data.scenes.cutouts import attributions
from uniperceiver.data.scenes.layout import Layout
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.sources import CutoutError
from uniperceiver.run_lengths import encoded

PEOPLE = 10
"""Answers to a question in VQAv2; here they agree."""


@dataclass(frozen=True)
class Part:
    """A part of the data that is written, e.g. ``train``."""

    name: str
    source: SceneSource
    first_id: int
    """Picture ids run on from part to part."""
    first_category: int


def compose(config: ScenesConfig, out: Path, clips: int = 0) -> list[Path]:
    """Write ``config.images`` training scenes, and a tenth as many, at least one, each for val, test and, if names are
    held out, novel; whatever ``config`` says of view, split and categories.

    Pictures go to ``out/images/PART``; ``out/annotations`` gets ``instances_PART.json``, ``questions_PART.json``,
    ``answers_PART.json`` and ``texts_PART.txt`` for each part, and ``captions.json`` for all. With ``clips``, as many
    training clips and a tenth as many for each other part go to ``out/clips`` (`write_clips`).

    Returns:
        The annotation files.

    Raises:
        CutoutError: ``out`` holds files already, or the cut-outs cannot be used.
        ModuleNotFoundError: cut-outs of a package that is not installed.
        ImportError: clips without the extra ``video``.
    """
    if clips:
        import_av()  # before anything is written
    if out.exists() and any(out.iterdir()):
        raise CutoutError(f"{out} is not empty: give a new folder")
    parts = _parts(config)
    annotations = out / "annotations"
    annotations.mkdir(parents=True)
    written: list[Path] = []
    captions: list[dict[str, Any]] = []
    for part in parts:
        contents = _write_part(part, out / "images" / part.name, captions)
        for name, content in contents.items():
            written.append(annotations / f"{name}_{part.name}.json")
            written[-1].write_text(json.dumps(content), encoding="utf-8")
        texts = (text for index in range(len(part.source)) for text in part.source.texts(index))
        written.append(annotations / f"texts_{part.name}.txt")
        written[-1].write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    written.append(annotations / "captions.json")
    written[-1].write_text(json.dumps({"dataset": "scenes", "images": captions}), encoding="utf-8")
    if clips:
        for part in _parts(replace(config, images=clips)):
            written += write_clips(part.source, part.name, out / "clips")
    if said := attributions(config.cutouts):
        (out / "LICENSE.txt").write_text("".join(f"{text}\n" for text in said), encoding="utf-8")
    return written


def _parts(config: ScenesConfig) -> list[Part]:
    tenth = max(1, config.images // 10)
    wanted: list[tuple[str, ScenesConfig]] = [("train", replace(config, split="train", categories="training"))]
    wanted += [
        ("val", replace(config, split="val", categories="training", images=tenth)),
        ("test", replace(config, split="test", categories="training", images=tenth)),
    ]
    if config.held_out:
        wanted.append(("novel", replace(config, split="test", categories="held_out", images=tenth)))
    parts: list[Part] = []
    next_id = 1
    for name, settings in wanted:
        source = SceneSource(settings)
        first_category = 1 if settings.categories == "training" else 1 + len(parts[0].source.names)
        parts.append(Part(name, source, next_id, first_category))
        next_id += len(source)
    return parts


def _write_part(part: Part, folder: Path, captions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Write the pictures of a part, add its captions to ``captions``, and give the contents of its other files."""
    folder.mkdir(parents=True)
    source = part.source
    categories = [
        {"id": part.first_category + label, "name": name, "supercategory": ""}
        for label, name in enumerate(source.names)
    ]
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    answered: list[dict[str, Any]] = []
    for index in range(len(source)):
        picture = part.first_id + index
        layout = source.layout(index)
        scene = source.paint(layout)
        file = f"{picture:012d}.png"
        Image.fromarray(scene.image).save(folder / file, compress_level=1)
        images.append({"id": picture, "file_name": file, "width": layout.size, "height": layout.size})
        objects += [
            row | {"id": 100 * picture + number} for number, row in enumerate(_objects(part, picture, layout, scene))
        ]
        captions.append(_captions(source.captions(index), picture, part.name, file))
        for number, (text, answer) in enumerate(source.questions(index)):
            key = {"image_id": picture, "question_id": 1000 * picture + number}
            asked.append(key | {"question": text})
            answered.append(key | _answers(text, answer))
    return {
        "instances": {"images": images, "annotations": objects, "categories": categories},
        "questions": {"task_type": "Open-Ended", "data_subtype": part.name, "questions": asked},
        "answers": {"data_subtype": part.name, "annotations": answered},
    }


def _objects(part: Part, picture: int, layout: Layout, scene: Scene) -> Iterator[dict[str, Any]]:
    for placed, mask, box in zip(layout.objects, scene.masks, scene.boxes().tolist(), strict=True):
        yield {
            "image_id": picture,
            "category_id": part.first_category + placed.label,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "area": int(mask.sum()),
            "segmentation": encoded(mask),
            "iscrowd": 0,
        }


def _captions(captions: tuple[str, ...], picture: int, part: str, file: str) -> dict[str, Any]:
    numbers = [100 * picture + number for number in range(len(captions))]
    return {
        "imgid": picture,
        "filepath": part,
        "filename": file,
        "split": part,
        "sentids": numbers,
        "sentences": [
            {"raw": text, "tokens": text.replace(",", "").replace(":", "").split(), "imgid": picture, "sentid": number}
            for text, number in zip(captions, numbers, strict=True)
        ],
    }


def _answers(question: str, answer: str) -> dict[str, Any]:
    kind = "yes/no" if answer in {"yes", "no"} else "number" if answer.isdecimal() else "other"
    return {
        "question_type": " ".join(question.split()[:2]),
        "answer_type": kind,
        "multiple_choice_answer": answer,
        "answers": [
            {"answer_id": person, "answer": answer, "answer_confidence": "yes"} for person in range(1, PEOPLE + 1)
        ],
    }

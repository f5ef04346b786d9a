"""JSON annotations recognised by what they hold: COCO, Karpathy, VQAv2, Visual Genome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from uniperceiver.config import (
    CocoCaptionsConfig,
    CocoInstancesConfig,
    KarpathyCaptionsConfig,
    VideoCaptionsConfig,
    VisualGenomeConfig,
    VqaConfig,
)
from uniperceiver.data.datasets.annotation_files import read_json
from uniperceiver.data.datasets.vqa import image_number, pictures_by_id
from uniperceiver.data.images import VIDEO_SUFFIXES
from uniperceiver.data.recognition.found import Part, RecognitionError, Split, split_along
from uniperceiver.data.recognition.picture_folders import folders_near, picture_folder
from uniperceiver.data.recognition.videos import OF_CAPTIONS, video_captions_part

KARPATHY: dict[Split, tuple[str, ...]] = {"train": ("train", "restval"), "val": ("val",), "test": ("test",)}
"""Part → the splits of a Karpathy JSON that are read as it."""
MSRVTT: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("validate", "val"), "test": ("test",)}
"""The same of MSR-VTT's."""
LOOKED_FOR = (
    "COCO instances or captions (images, annotations), Karpathy captions (images with sentences), VQAv2 (questions, "
    "and annotations with answers), Visual Genome regions (a list with regions), MSR-VTT (videos and sentences)"
)


def json_parts(files: Sequence[Path]) -> list[Part]:
    """The data sets in JSON files; files of other content are none.

    Raises:
        RecognitionError: questions without their answers, or pictures that are not found.
        DatasetError: not JSON.
    """
    parts: list[Part] = []
    questions: dict[Path, list[Any]] = {}
    answers: dict[Path, list[Any]] = {}
    for file in files:
        content = read_json(file)
        if isinstance(content, list) and content and isinstance(content[0], dict) and "regions" in content[0]:
            parts.append(_visual_genome(file, content))
        elif _has(content, "questions", "question"):
            questions[file] = _objects(content["questions"])
        elif _has(content, "annotations", "answers"):
            answers[file] = _objects(content["annotations"])
        elif _has(content, "videos", "video_id") and _has(content, "sentences", "caption"):
            parts += _msrvtt(file, _objects(content["videos"]))
        elif _has(content, "images", "sentences"):
            parts += _karpathy(file, _objects(content["images"]))
        elif _has(content, "annotations", "bbox") and _has(content, "categories", "name"):
            if "keypoints" in content["categories"][0]:
                continue  # COCO's person_keypoints: the people of its instances once more
            images = picture_folder(file, _file_names(content))
            config = CocoInstancesConfig(str(file), str(images))
            parts.append(Part(config, file, split_along(file), config.kind))
        elif _has(content, "annotations", "caption") and _names_videos(content):
            parts.append(video_captions_part(VideoCaptionsConfig(str(file), ""), split_along(file)))
        elif _has(content, "annotations", "caption") and "images" in content:
            captions = CocoCaptionsConfig(str(file), str(picture_folder(file, _file_names(content))))
            parts.append(Part(captions, file, split_along(file), captions.kind))
    return parts + [_questions(file, asked, answers) for file, asked in questions.items()]


def _has(content: Any, key: str, field: str) -> bool:
    """Whether ``content`` has a list ``key`` whose first entry has ``field``."""
    entries = content.get(key) if isinstance(content, dict) else None
    return isinstance(entries, list) and bool(entries) and isinstance(entries[0], dict) and field in entries[0]


def _objects(entries: Any) -> list[dict[str, Any]]:
    """What is not an object, or no list of any, its data set will name when it is opened."""
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _file_names(content: dict[str, Any]) -> list[str]:
    return [str(entry.get("file_name")) for entry in _objects(content.get("images", []))]


def _names_videos(content: dict[str, Any]) -> bool:
    files = _file_names(content)
    return bool(files) and files[0].lower().endswith(VIDEO_SUFFIXES)


def _msrvtt(file: Path, entries: list[dict[str, Any]]) -> list[Part]:
    present = {str(entry.get("split")) for entry in entries}
    chosen = [(split, name) for split, names in MSRVTT.items() for name in names if name in present]
    whole = VideoCaptionsConfig(str(file), "", sampling=OF_CAPTIONS)
    parts = [video_captions_part(replace(whole, split=name), split) for split, name in chosen]
    return parts or [video_captions_part(whole, split_along(file))]


def _visual_genome(file: Path, content: list[Any]) -> Part:
    folders = [path for path in sorted(file.parent.iterdir()) if path.is_dir() and any(path.glob("*.jpg"))]
    if not folders:
        raise RecognitionError(
            f"{file} is Visual Genome's, but beside it is no folder of .jpg files (VG_100K, VG_100K_2)"
        )
    config = VisualGenomeConfig(str(file), tuple(map(str, folders)))
    return Part(config, file, split_along(file), config.kind)


def _karpathy(file: Path, entries: list[Any]) -> list[Part]:
    names = [str(Path(str(entry.get("filepath", "")), str(entry.get("filename")))) for entry in entries]
    images = str(picture_folder(file, names))
    present = {str(entry.get("split")) for entry in entries}
    parts = []
    for split, wanted in KARPATHY.items():
        chosen = tuple(name for name in wanted if name in present)
        if chosen:
            config = KarpathyCaptionsConfig(str(file), images, chosen)
            parts.append(Part(config, file, split, config.kind))
    if not parts:
        raise RecognitionError(f"{file} has the splits {sorted(present)}: none of train, restval, val, test")
    return parts


def _questions(file: Path, asked: list[Any], answers: dict[Path, list[Any]]) -> Part:
    wanted = {str(entry.get("question_id")) for entry in asked}
    fitting = [path for path, given in answers.items() if wanted <= {str(entry.get("question_id")) for entry in given}]
    if len(fitting) != 1:
        raise RecognitionError(
            f"{file} asks questions, but {len(fitting)} JSON files answer them all: expected one beside it, with "
            "`annotations` that have `question_id` and `answers`"
        )
    config = VqaConfig(str(file), str(fitting[0]), str(_folder_of_ids(file, asked)))
    return Part(config, file, split_along(file), config.kind)


def _folder_of_ids(file: Path, asked: list[Any]) -> Path:
    numbers = {number for entry in asked if (number := image_number(entry.get("image_id"))) is not None}
    for folder in folders_near(file):
        if numbers <= set(pictures_by_id([folder])):
            return folder
    raise RecognitionError(f"no folder near {file} holds its {len(numbers)} pictures, named by their ids")

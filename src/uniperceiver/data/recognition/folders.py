"""Folders recognised by their layout: YOLO, Pascal VOC, saved Hugging Face data sets, one folder per class."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uniperceiver.config import HuggingFaceConfig, ImageFolderConfig, VocConfig, YoloConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, read_json_object
from uniperceiver.data.datasets.hugging_face import saved_features, saved_folder
from uniperceiver.data.datasets.image_folder import class_folders, read_names
from uniperceiver.data.datasets.yolo import label_file, read_data_yaml
from uniperceiver.data.images import PICTURE_SUFFIXES
from uniperceiver.data.recognition.found import WORDS, Part, RecognitionError, Split, split_of
from uniperceiver.data.recognition.tables import TEXT_COLUMNS

SENTENCE_COLUMNS = (
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
)
"""Columns of two texts that a class is about, as the Hugging Face copies of GLUE have them."""
NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names", "names.txt")


def voc_parts(root: Path) -> list[Part]:
    """Pascal VOC, where a folder has ``Annotations`` with XML files and ``JPEGImages``; masks where all have them."""
    if not (root / "JPEGImages").is_dir() or not any((root / "Annotations").glob("*.xml")):
        return []
    has_masks = any((root / "SegmentationObject").glob("*.png"))
    lists = root / "ImageSets" / ("Segmentation" if has_masks else "Main")
    splits = [name for name in ("train", "val", "test") if (lists / f"{name}.txt").is_file()]
    if not splits:
        splits = [name for name in ("trainval",) if (lists / f"{name}.txt").is_file()]
    if not splits:
        everything = VocConfig(str(root), masks=_all_have_masks(root))
        return [Part(everything, root / "Annotations", None, everything.kind)]
    return [
        Part(VocConfig(str(root), split=name, masks=has_masks), lists / f"{name}.txt", split_of(name), "voc")
        for name in splits
    ]


def _all_have_masks(root: Path) -> bool:
    masks = {path.stem for path in (root / "SegmentationObject").glob("*.png")}
    return {path.stem for path in (root / "Annotations").glob("*.xml")} <= masks


def yolo_parts(root: Path) -> list[Part]:
    """YOLO, where a ``data.yaml`` names folders, or pictures have txt files and there is a file of class names.

    Raises:
        RecognitionError: txt files without class names, or a ``data.yaml`` whose folders are missing.
    """
    names = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if names is not None and names.suffix in {".yaml", ".yml"}:
        return data_yaml_parts(names)
    folders = [path for path in _picture_folders(root) if _has_labels(path)]
    if not folders:
        return []
    if names is None:
        raise RecognitionError(
            f"{root} holds YOLO txt files, but no class names: looked for {', '.join(NAME_FILES)} in it"
        )
    return [Part(YoloConfig(str(path), str(names)), path, _split_below(path, root), "yolo") for path in folders]


def data_yaml_parts(file: Path) -> list[Part]:
    """The parts that a YOLO ``data.yaml`` names under ``train``, ``val`` and ``test``.

    Raises:
        RecognitionError: none, several folders in one, or a folder that is not there.
    """
    content = read_data_yaml(file)
    if "names" not in content:
        raise RecognitionError(f"{file} is no YOLO data.yaml: looked for `names`, `train` and `val`")
    parts = []
    splits: tuple[Split, ...] = ("train", "val", "test")
    for split in splits:
        given = content.get(split)
        if given is None:
            continue
        if not isinstance(given, str):
            raise RecognitionError(f"{file}: `{split}` is {given!r}: only one folder or list of pictures can be read")
        images = _resolved(file, content, given)
        if images is None and split == "test":
            continue  # many files name a test folder that is not published
        if images is None:
            raise RecognitionError(
                f"{file}: `{split}` is {given!r}, which is neither near {file.parent} nor in its `path`"
            )
        parts.append(Part(YoloConfig(str(images), str(file)), images, split, "yolo"))
    if not parts:
        raise RecognitionError(f"{file} names no pictures: looked for `train`, `val`, `test`")
    return parts


def _resolved(file: Path, content: dict[str, Any], given: str) -> Path | None:
    """The place that a ``data.yaml`` means: absolute, in its ``path``, or near it (some write ``../train/images``)."""
    stated = Path(str(content.get("path", "")))
    inside = Path(*[part for part in Path(given).parts if part not in {"..", "/"}])
    for place in (file.parent / stated / given, stated / given, file.parent / inside):
        if place.exists():
            return place
    return None


def _picture_folders(root: Path) -> Iterator[Path]:
    """The folders that hold pictures: ``root``, one below it, or one like ``images/train`` or ``train/images``."""
    below = [path for path in sorted(root.iterdir()) if path.is_dir()]
    parts = [path for path in below if _is_part(path.name)]
    deeper = [path / name for path in parts for name in sorted(os.listdir(path)) if _is_part(name)]
    for folder in (root, *below, *filter(Path.is_dir, deeper)):
        if next(_pictures(folder), None) is not None:
            yield folder


def _is_part(name: str) -> bool:
    return name == "images" or split_of(name) is not None


def _pictures(folder: Path) -> Iterator[Path]:
    return (folder / name for name in os.listdir(folder) if Path(name).suffix.lower() in PICTURE_SUFFIXES)


def _has_labels(folder: Path) -> bool:
    files = (label_file(path, folder, None) for path in itertools.islice(_pictures(folder), 50))
    return any(_begins_with_numbers(file) for file in files if file.is_file())


def _begins_with_numbers(file: Path) -> bool:
    with file.open("rb") as lines:
        fields = lines.readline(2**10).split()[:5]
    return len(fields) == 5 and all(re.fullmatch(rb"[-+.0-9eE]+", field) for field in fields)


def _split_below(path: Path, root: Path) -> Split | None:
    names = path.relative_to(root).parts
    return next((split for split in map(split_of, names) if split is not None), None)


def hugging_face_parts(root: Path) -> list[Part]:
    """A saved Hugging Face data set, by its columns: a picture with classes, captions or questions; or texts.

    Raises:
        RecognitionError: no such columns.
    """
    if (root / "dataset_dict.json").is_file():
        splits: list[str | None] = [str(s) for s in read_json_object(root / "dataset_dict.json", "splits")["splits"]]
    elif (root / "state.json").is_file() and (root / "dataset_info.json").is_file():
        splits = [None]
    else:
        return []
    parts = []
    for split in splits:
        folder = saved_folder(root, split)
        for config in _views(root, split, saved_features(folder)):
            parts.append(Part(config, folder, None if split is None else split_of(split), config.view))
    return parts


def _views(root: Path, split: str | None, features: dict[str, Any]) -> list[HuggingFaceConfig]:
    pictures = [name for name, feature in features.items() if _type(feature) == "Image"]
    classes = [name for name, feature in features.items() if _type(feature) == "ClassLabel"]
    texts = [name for name in TEXT_COLUMNS if name in features]
    answers = [name for name in ("answers", "answer") if name in features]
    path = str(root)
    found: list[HuggingFaceConfig] = []
    if len(pictures) == 1 and len(classes) == 1:
        found.append(HuggingFaceConfig(path, "labels", classes[0], image=pictures[0], split=split))
    if len(pictures) == 1 and "question" in features and answers:
        found.append(HuggingFaceConfig(path, "questions", answers[0], image=pictures[0], split=split))
    elif len(pictures) == 1 and texts:
        found.append(HuggingFaceConfig(path, "captions", texts[0], image=pictures[0], split=split))
    if not pictures and len(classes) == 1:
        pair = next((pair for pair in SENTENCE_COLUMNS if set(pair) <= set(features)), None)
        first, second = pair or ((texts or ["sentence"])[0], None)
        if first in features:
            found.append(HuggingFaceConfig(path, "labelled_texts", classes[0], text=first, second=second, split=split))
    if not pictures and texts:
        found.append(HuggingFaceConfig(path, "texts", texts[0], split=split))
    if not found:
        raise RecognitionError(
            f"{root} has the columns {', '.join(features)}: looked for one Image with one ClassLabel, with question "
            f"and answers, or with a text ({', '.join(TEXT_COLUMNS)}); or a text alone"
        )
    return found


def _type(feature: Any) -> str:
    return str(feature.get("_type")) if isinstance(feature, dict) else ""


def class_folder_parts(root: Path) -> list[Part]:
    """One folder of pictures per class, in ``root`` or in its folders ``train``, ``val`` and ``test``."""
    parted = [path for path in class_folders(root) if path.name.lower() in WORDS and _has_class_folders(path)]
    if parted:
        return [_class_folders(path, root, split_of(path.name)) for path in parted]
    return [_class_folders(root, root, None)] if _has_class_folders(root) else []


def _has_class_folders(root: Path) -> bool:
    folders = class_folders(root)
    with_pictures = [path for path in folders if any(p.suffix.lower() in PICTURE_SUFFIXES for p in path.iterdir())]
    return len(with_pictures) >= 2 and len(with_pictures) == len(folders)


def _class_folders(root: Path, around: Path, split: Split | None) -> Part:
    config = ImageFolderConfig(str(root), names=_names_table(root, around))
    return Part(config, root, split, config.kind)


def _names_table(root: Path, around: Path) -> str | None:
    """A CSV in ``around`` that names every class folder of ``root``."""
    folders = {path.name for path in class_folders(root)}
    for file in sorted(around.glob("*.csv")):
        try:
            if folders <= set(read_names(file)):
                return str(file)
        except DatasetError:
            continue  # a table of something else
    return None

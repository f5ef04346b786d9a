"""Which formats lie in a folder, by the content of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from uniperceiver.data.datasets.image_list import first_listed
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import read_json
from uniperceiver.data.doctor.pairs import Rows, has_pair, read_rows
from uniperceiver.data.doctor.webdataset import SHARD_ENDINGS
from uniperceiver.data.doctor.yolo import label_files
from uniperceiver.data.images import PICTURE_SUFFIXES
from uniperceiver.data.recognition.tables import is_table

LISTED = 5
"""Lines of a text file that tell whether it lists pictures."""


@dataclass
class Survey:
    """The files of a data set, by format."""

    instances: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    coco_captions: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    karpathy: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    questions: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    visual_genome: list[tuple[Path, list[dict[str, Any]]]] = field(default_factory=list)
    pairs: list[tuple[Path, Rows]] = field(default_factory=list)
    voc: list[Path] = field(default_factory=list)
    yolo: list[Path] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)
    image_lists: list[Path] = field(default_factory=list)
    plain_texts: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    is_image_folder: bool = False


def survey(root: Path, files: list[Path], diagnosis: Diagnosis) -> Survey:
    """Sort ``files`` into formats. Text files count as such only where nothing else was found."""
    found = Survey(images=[path for path in files if path.suffix.lower() in PICTURE_SUFFIXES])
    found.shards = [path for path in files if path.name.lower().endswith(SHARD_ENDINGS)]
    texts = [path for path in files if path.suffix == ".txt"]
    for path in files:
        if path.suffix == ".json":
            _sort_json(path, found, diagnosis)
        elif is_table(path) or (path in texts and _begins_as_table(path)):
            rows = read_rows(path, diagnosis)
            if rows is None:
                diagnosis.leave(path)
            else:
                found.pairs.append((path, rows))
        elif path.suffix == ".xml" and _is_voc(path):
            found.voc.append(path)
        elif path.suffix == ".txt" and first_listed(path, LISTED):
            found.image_lists.append(path)
    found.yolo = label_files(texts, found.images)
    tables = (_json_files(found), found.visual_genome, found.pairs, found.voc, found.yolo, found.image_lists)
    is_empty = not (any(tables) or found.shards)
    found.is_image_folder = is_empty and any(image.parent != root for image in found.images)
    if is_empty and not found.images:
        found.plain_texts = texts
    return found


def _json_files(found: Survey) -> list[tuple[Path, dict[str, Any]]]:
    return [*found.instances, *found.coco_captions, *found.karpathy, *found.questions, *found.answers]


def files_below(root: Path) -> list[Path]:
    """All files, in the order of their names; hidden ones are left out."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _sort_json(path: Path, found: Survey, diagnosis: Diagnosis) -> None:
    content = read_json(path, diagnosis)
    if content is None:
        return  # not JSON: that is a finding
    if _is_list_with(content, "regions"):
        found.visual_genome.append((path, content))
    elif _is_list_of_pairs(content):
        found.pairs.append((path, [(f"entry {number}", row) for number, row in enumerate(content)]))
    elif isinstance(content, dict):
        images, annotations = _first(content, "images"), _first(content, "annotations")
        if "questions" in content:
            found.questions.append((path, content))
        elif "question_id" in annotations or "answers" in annotations:
            found.answers.append((path, content))
        elif "sentences" in images:
            found.karpathy.append((path, content))
        elif "caption" in annotations:
            found.coco_captions.append((path, content))
        elif "images" in content and ("categories" in content or "annotations" in content):
            found.instances.append((path, content))
        else:
            diagnosis.leave(path)
    else:
        diagnosis.leave(path)


def _is_list_of_pairs(content: Any) -> bool:
    return _is_list_with(content) and has_pair(content[0])


def _is_list_with(content: Any, *keys: str) -> bool:
    """Whether JSON is a list of objects, at least one, whose first has ``keys``."""
    if not isinstance(content, list) or not content or not all(isinstance(row, dict) for row in content):
        return False
    return set(keys) <= set(content[0])


def _first(content: dict[str, Any], key: str) -> dict[str, Any]:
    """The first object in a list, which tells what the others are; {} where there is none."""
    rows = content.get(key)
    return next((row for row in rows if isinstance(row, dict)), {}) if isinstance(rows, list) else {}


def _begins_as_table(path: Path) -> bool:
    """Whether a text file begins with a table's header, as Flickr8k's captions.txt does."""
    with path.open("rb") as file:
        header = file.readline(1000).decode("utf-8", errors="replace")
    return has_pair([name.strip().lower() for name in header.replace("\t", ",").split(",")])


def _is_voc(path: Path) -> bool:
    """Whether an XML file is an annotation; a broken one may well be."""
    try:
        return next(ElementTree.iterparse(path, events=["start"]))[1].tag == "annotation"
    except (ElementTree.ParseError, LookupError, ValueError):
        return True

"""What a folder or file is, by its content."""

from __future__ import annotations

from pathlib import Path

from uniperceiver.data.recognition import glue, image_lists, json_annotations, tables
from uniperceiver.data.recognition.folders import (
    class_folder_parts,
    data_yaml_parts,
    hugging_face_parts,
    voc_parts,
    yolo_parts,
)
from uniperceiver.data.recognition.found import FoundData, Part, RecognitionError, paired
from uniperceiver.data.recognition.glue import glue_parts
from uniperceiver.data.recognition.image_lists import image_list_part, image_list_parts, is_image_list
from uniperceiver.data.recognition.json_annotations import json_parts
from uniperceiver.data.recognition.shards import is_shard, shard_parts
from uniperceiver.data.recognition.tables import is_table, table_part, text_part, text_parts

LOOKED_FOR = f"""{json_annotations.LOOKED_FOR}, in .json files here or in annotations/;
{tables.LOOKED_FOR}, in .csv, .tsv or .jsonl files; {glue.LOOKED_FOR};
WebDataset shards (.tar, .tar.gz) of pictures with .cls or .txt;
YOLO (data.yaml, or txt files and classes.txt); Pascal VOC (Annotations/*.xml, JPEGImages);
{image_lists.LOOKED_FOR};
Hugging Face datasets saved to disk (state.json or dataset_dict.json);
one folder of pictures per class, also in train/ and val/; texts (.txt)"""


def recognise(path: Path) -> list[FoundData]:
    """The data sets in a folder or file, at least one, each with a part to train on and one to evaluate on.

    Layouts and annotation files come first; only where there is none are folders taken for classes, and text files for
    texts.

    Raises:
        RecognitionError: nothing was recognised, or several things that exclude each other.
        FileNotFoundError: there is no such file or folder.
        DatasetError: a file that is broken.
    """
    if not path.exists():
        raise FileNotFoundError(f"--data {path} does not exist")
    parts = _in_folder(path) if path.is_dir() else _in_file(path)
    if not parts:
        raise RecognitionError(f"{path} is no data set that is known. Looked for:\n{LOOKED_FOR}")
    return paired(parts)


def _in_file(path: Path) -> list[Part]:
    if path.suffix == ".json":
        return json_parts(_with_siblings(path))
    if path.suffix in {".yaml", ".yml"}:
        return data_yaml_parts(path)
    if is_shard(path):
        return shard_parts([path])
    if is_table(path) or (path.suffix == ".txt" and tables.lists_videos(path)):
        part = table_part(path)
        return [] if part is None else [part]
    if path.suffix != ".txt":
        return []
    return [image_list_part(path) if is_image_list(path) else text_part(path)]


def _with_siblings(path: Path) -> list[Path]:
    """A JSON file, with those beside it where it asks or answers questions, which lie in two files."""
    is_half = b'"question_id"' in path.read_bytes()[: 2**16]
    return sorted(path.parent.glob("*.json")) if is_half else [path]


def _in_folder(path: Path) -> list[Part]:
    layouts = hugging_face_parts(path) or voc_parts(path) or yolo_parts(path) or glue_parts(path)
    if layouts:
        return layouts
    places = [place for place in (path, path / "annotations") if place.is_dir()]
    files = sorted(file for place in places for file in place.iterdir() if file.is_file())
    parts = json_parts([file for file in files if file.suffix == ".json"])
    parts += shard_parts([file for file in files if is_shard(file)])
    parts += [part for part in map(table_part, filter(is_table, files)) if part is not None]
    parts += image_list_parts(path)
    return parts or class_folder_parts(path) or text_parts(path)

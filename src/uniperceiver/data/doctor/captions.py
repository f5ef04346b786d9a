"""Captions in JSON: COCO's file, and Karpathy's with its splits."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.coco_images import check_images, coco_part
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import entries
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, folder_with, split_named
from uniperceiver.data.doctor.texts import TextCheck


def check_coco_captions(
    content: dict[str, Any], source: Path, root: Path, images: Path | None, diagnosis: Diagnosis
) -> list[Part]:
    """Look at a parsed ``captions_*.json``."""
    part = coco_part("COCO captions", source, root)
    sizes = check_images(content, part, root, images, diagnosis)
    captions: dict[Any, list[str]] = {number: [] for number in sizes}
    seen: set[str] = set()
    for row in entries(content, "annotations", ("image_id", "caption"), source, diagnosis):
        where = f"annotation {row.get('id')}"
        if "id" in row and str(row["id"]) in seen:
            diagnosis.add(Kind.REPEATED_OBJECT_ID, source, where)
        seen.add(str(row.get("id")))
        if not isinstance(row["caption"], str):
            diagnosis.add(Kind.BAD_ENTRY, source, f"{where} has the caption {row['caption']!r}")
        elif not isinstance(row["image_id"], int | str) or row["image_id"] not in captions:
            diagnosis.add(Kind.UNKNOWN_IMAGE, source, f"{where}: image {row['image_id']!r}")
        else:
            captions[row["image_id"]].append(row["caption"])
    texts = TextCheck(source, diagnosis)
    for number, said in captions.items():
        texts.look_at_captions(said, f"image {number}")
    texts.finish()
    return [part]


def check_karpathy(
    content: dict[str, Any], source: Path, root: Path, images: Path | None, diagnosis: Diagnosis
) -> list[Part]:
    """Look at a parsed ``dataset_*.json``: one part for each split."""
    rows = entries(content, "images", ("filename", "split", "sentences"), source, diagnosis)
    rows = [row for row in rows if _is_named(row, source, diagnosis)]
    names = [str(Path(row.get("filepath", "")) / row["filename"]) for row in rows]
    folder = folder_with(names, source, root, images)
    parts: dict[str, Part] = {}
    texts: dict[str, TextCheck] = defaultdict(lambda: TextCheck(source, diagnosis))
    for row, name in zip(rows, names, strict=True):
        split = split_named(row["split"])
        part = parts.setdefault(split, Part("Karpathy captions", source, split))
        part.records += 1
        if os.path.isfile(folder / name):
            part.images[folder / name] = None
            part.folder = folder
        else:
            diagnosis.add(Kind.MISSING_IMAGE, folder / name, f"of {source.name}")
        sentences = row["sentences"] if isinstance(row["sentences"], list) else []
        said = [sentence.get("raw") for sentence in sentences if isinstance(sentence, dict)]
        if len(said) != len(sentences) or not all(isinstance(text, str) for text in said):
            diagnosis.add(Kind.BAD_ENTRY, source, f"{name} has sentences without `raw`")
            continue
        texts[split].look_at_captions([str(text) for text in said], name)
    for check in texts.values():
        check.finish()
    return list(parts.values())


def _is_named(row: dict[str, Any], source: Path, diagnosis: Diagnosis) -> bool:
    """Whether file, folder and split of Karpathy's entry are strings."""
    given = (row["filename"], row.get("filepath", ""), row["split"])
    if row["filename"] and all(isinstance(value, str) for value in given):
        return True
    diagnosis.add(Kind.BAD_ENTRY, source, f"an image has filename, filepath and split {given}")
    return False

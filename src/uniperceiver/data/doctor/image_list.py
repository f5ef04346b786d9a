"""Lists of pictures with a class number, as ImageNet's ``meta/train.txt``."""

from __future__ import annotations

import os
from pathlib import Path

from uniperceiver.data.datasets.image_list import listed
from uniperceiver.data.doctor.class_lists import find_names
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, folder_with, split_of
from uniperceiver.data.doctor.texts import read_text


def check_image_list(source: Path, root: Path, images: Path | None, diagnosis: Diagnosis) -> list[Part]:
    """Look at the lines of a list; blank ones are none."""
    found = find_names(root, diagnosis)
    part = Part("image list", source, split_of(source, root), names={} if found is None else found[1])
    files: dict[str, str] = {}
    for number, line in enumerate(read_text(source, diagnosis).splitlines(), start=1):
        if not line.strip():
            continue
        part.records += 1
        where, row = f"line {number}", listed(line)
        if row is None:
            diagnosis.add(Kind.BAD_ENTRY, source, f"{where}: {line[:40]!r} is not a path and a class number")
            continue
        file, label = row
        files.setdefault(file, where)
        part.examples[label] += 1
        if part.names and label not in part.names:
            diagnosis.add(Kind.CLASS_BEYOND_NAMES, source, f"{where}: class {label} of {len(part.names)}")
    folder = folder_with(list(files), source, root, images)
    for file, where in files.items():
        if os.path.isfile(folder / file):
            part.images[folder / file] = None
            part.folder = folder
        else:
            diagnosis.add(Kind.MISSING_IMAGE, folder / file, f"{where} of {source.name}")
    return [part]

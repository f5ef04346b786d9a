"""Lists of class names that lie beside YOLO and VOC annotations."""

from __future__ import annotations

from pathlib import Path

import yaml

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.texts import read_text

LIST_FILES = ("classes.txt", "labels.txt", "labelmap.txt", "obj.names", "predefined_classes.txt")
"""Files with one class name a line."""


def names_of_yaml(path: Path, diagnosis: Diagnosis) -> dict[int, str] | None:
    """The ``names`` of a YOLO data.yaml, a list or a mapping from numbers; None where the file has none."""
    try:
        content = yaml.safe_load(read_text(path, diagnosis))
    except yaml.YAMLError as error:
        diagnosis.add(Kind.UNREADABLE_FILE, path, f"not YAML: {str(error).splitlines()[0]}")
        return None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        return None
    for number, name in names.items():
        if name is None or isinstance(name, bool):
            diagnosis.add(Kind.BAD_ENTRY, path, f"the name of class {number} is {name} in YAML: write it in quotes")
    return {number: str(name) for number, name in names.items()}


def names_of_list(path: Path, diagnosis: Diagnosis) -> dict[int, str]:
    """Class names, one a line."""
    return {number: line.strip() for number, line in enumerate(read_text(path, diagnosis).rstrip().splitlines())}


def find_names(root: Path, diagnosis: Diagnosis) -> tuple[Path, dict[int, str]] | None:
    """The first list of names in ``root`` or one folder below it, and the file that holds it."""
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            names = names_of_yaml(path, diagnosis)
            if names:
                return path, names
        for name in LIST_FILES:
            if (folder / name).is_file():
                return folder / name, names_of_list(folder / name, diagnosis)
    return None

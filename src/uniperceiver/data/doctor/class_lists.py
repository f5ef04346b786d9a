"""Lists of class names that lie beside YOLO and VOC annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from uniperceiver.data.datasets.yolo import NumbersAsWritten, has_alias, is_name
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.texts import read_text

LIST_FILES = ("classes.txt", "labels.txt", "labelmap.txt", "obj.names", "predefined_classes.txt")
"""Files with one class name a line."""


def names_of_yaml(path: Path, diagnosis: Diagnosis) -> dict[int, str] | None:
    """The ``names`` of a YOLO data.yaml, a list or a mapping from numbers; None where the file has none."""
    text = read_text(path, diagnosis)
    try:
        content = yaml.load(text, NumbersAsWritten)
    except yaml.YAMLError as error:
        diagnosis.add(Kind.UNREADABLE_FILE, path, f"not YAML: {str(error).splitlines()[0]}")
        return None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(str(number).isdecimal() for number in names):
        return None
    if has_alias(text):
        diagnosis.add(Kind.BAD_ENTRY, path, "a YAML alias (*name): write the value itself")
    for number, name in names.items():
        if not is_name(name):
            problem = f"the name of class {number} is {_as_text(name)} in YAML: write it in quotes"
            diagnosis.add(Kind.BAD_ENTRY, path, problem)
    return {int(number): _as_text(name) for number, name in names.items()}


def _as_text(name: Any) -> str:
    """A name; of a list its type alone, for aliases can make it endless."""
    return f"a {type(name).__name__}" if isinstance(name, list | dict) else str(name)


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

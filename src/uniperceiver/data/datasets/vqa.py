"""VQAv2: questions about pictures, ten answers each."""

from __future__ import annotations

import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import FoldConfig, VqaConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold, read_json_object, require_fields
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import read_image
from uniperceiver.data.records import AnsweredQuestion, QuestionedImage

_COCO_STEM = re.compile(r".*(?<!\d)(\d{12})")


class Vqa:
    """One question per record, in the order of the questions file."""

    def __init__(self, config: VqaConfig) -> None:
        """Join questions with annotations and find the pictures.

        Raises:
            DatasetError: an unreadable file, a question without answers or picture, two files for one picture.
        """
        self.source = Path(config.questions)
        self.folder = Path(config.images)
        entries = list(self._index(Path(config.annotations), config.fold))
        self._rows = JsonRows(entries)
        self._about: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        for index, (image_id, *_) in enumerate(entries):
            self._about[image_id].append(index)
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no question")

    def _index(self, annotations: Path, fold: FoldConfig | None) -> Iterator[tuple[str, str, str, list[str]]]:
        answers: dict[int, list[str]] = {}
        for position, entry in enumerate(read_json_object(annotations, "annotations")["annotations"]):
            require_fields(entry, f"{annotations}: annotations[{position}]", "question_id", "answers")
            answers[entry["question_id"]] = [str(answer["answer"]) for answer in entry["answers"]]
        pictures = pictures_by_id(self.folder)
        order: dict[int, int] = {}
        for position, entry in enumerate(read_json_object(self.source, "questions")["questions"]):
            require_fields(entry, f"{self.source}: questions[{position}]", "question_id", "image_id", "question")
            number, image_id = entry["question_id"], int(entry["image_id"])
            if not answers.get(number):
                raise DatasetError(f"{annotations} has no answers to question {number} of {self.source}")
            if image_id not in pictures:
                raise DatasetError(f"{self.source}: question {number} needs picture {image_id}, not in {self.folder}")
            if is_in_fold(order.setdefault(image_id, len(order)), fold):
                yield str(image_id), pictures[image_id], str(entry["question"]), answers[number]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> QuestionedImage:
        image_id, file, question, answers = self._rows[index]
        others = tuple(self._asked(other) for other in self._about[image_id] if other != index)
        return QuestionedImage(read_image(self.folder / file), image_id, question, tuple(answers), others)

    def _asked(self, index: int) -> AnsweredQuestion:
        _, _, question, answers = self._rows[index]
        return AnsweredQuestion(question, tuple(answers))

    def answers(self) -> Iterator[tuple[str, ...]]:
        """The answers to every question, without reading a picture."""
        return (tuple(self._rows[index][3]) for index in range(len(self)))

    def __repr__(self) -> str:
        return f"vqa {self.source} ({len(self)} questions)"


def pictures_by_id(folder: Path) -> dict[int, str]:
    """Image id → file name, for files whose stem is the id or ends in it in 12 digits, as COCO's do.

    Raises:
        DatasetError: no such folder, or two files for one id.
    """
    if not folder.is_dir():
        raise DatasetError(f"no folder of pictures {folder}")
    files: dict[int, str] = {}
    for name in sorted(os.listdir(folder)):
        stem = Path(name).stem
        match = _COCO_STEM.fullmatch(stem)
        if match is None and not stem.isdecimal():
            continue
        image_id = int(match[1] if match else stem)
        if image_id in files:
            raise DatasetError(f"{folder} has two files for picture {image_id}: {files[image_id]} and {name}")
        files[image_id] = name
    return files

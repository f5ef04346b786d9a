"""VQAv2: questions about pictures, ten answers each."""

from __future__ import annotations

import os
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from uniperceiver.config import FoldConfig, LastQuestionsConfig, VqaConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    filled_text,
    is_in_fold,
    read_json_object,
    read_text,
    require_fields,
    require_id,
)
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import read_image
from uniperceiver.data.records import AnsweredQuestion, QuestionedImage

LARGEST_ANSWER_FILE = 2**20
"""Bytes; the 3,129 answers of v1 have some 30,000."""
LONGEST_ID = 18
"""Digits of an image id."""
_COCO_STEM = re.compile(r".*(?<!\d)(\d{12})")

_Row = tuple[str, str, str, list[str], int | str, str | None]
"""Image id, file, question, answers, question id, type of answer."""


class Vqa:
    """One question per record, in the order of the questions files."""

    def __init__(self, config: VqaConfig) -> None:
        """Join questions with annotations and find the pictures.

        Raises:
            DatasetError: an unreadable file, a question without answers or picture, two files for one picture.
        """
        self.source = Path(config.questions)
        entries = [entry for part in _parts(config) for entry in _questions(part)]
        self._rows = JsonRows(entries)
        self._about: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        for index, (_, file, *_) in enumerate(entries):
            self._about[file].append(index)
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no question")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> QuestionedImage:
        image_id, file, question, answers, question_id, answer_type = self._rows[index]
        others = tuple(self._asked(other) for other in self._about[file] if other != index)
        return QuestionedImage(read_image(file), image_id, question, tuple(answers), others, question_id, answer_type)

    def _asked(self, index: int) -> AnsweredQuestion:
        _, _, question, answers, *_ = self._rows[index]
        return AnsweredQuestion(question, tuple(answers))

    def answers(self) -> Iterator[tuple[str, ...]]:
        """The answers to every question, without reading a picture."""
        return (tuple(self._rows[index][3]) for index in range(len(self)))

    def __repr__(self) -> str:
        return f"vqa {self.source} ({len(self)} questions)"


def _parts(config: VqaConfig) -> Iterator[VqaConfig]:
    yield config
    for more in config.also:
        yield from _parts(more)


def _questions(config: VqaConfig) -> Iterator[_Row]:
    """The questions of one file that belong to the fold."""
    source = Path(config.questions)
    asked = read_json_object(source, "questions")["questions"]
    for position, entry in enumerate(asked):
        _check_question(entry, f"{source}: questions[{position}]")
    answered = None if config.annotations is None else _annotations(Path(config.annotations))
    folders = [Path(folder) for folder in ((config.images,) if isinstance(config.images, str) else config.images)]
    pictures = pictures_by_id(folders)
    for entry in _in_fold(asked, config.fold, source):
        number, image_id = entry["question_id"], int(entry["image_id"])
        answers, answer_type = ([], None) if answered is None else answered.get(number, ([], None))
        if answered is not None and not answers:
            raise DatasetError(f"{config.annotations} has no answers to question {number} of {source}")
        if image_id not in pictures:
            looked = " or ".join(map(str, folders))
            raise DatasetError(f"{source}: question {number} needs picture {image_id}, not in {looked}")
        yield str(image_id), pictures[image_id], entry["question"], answers, number, answer_type


def _check_question(entry: Any, where: str) -> None:
    require_fields(entry, where, "question_id", "image_id", "question")
    require_id(entry, "question_id", where)
    filled_text(entry, "question", where)
    if image_number(entry["image_id"]) is None:
        raise DatasetError(f"{where} has the image_id {str(entry['image_id'])[:60]!r}: expected a number")


def image_number(given: Any) -> int | None:
    """The number that an image id is, perhaps written as a text; None: it is none."""
    text = str(given)
    return int(text) if text.isdecimal() and len(text) <= LONGEST_ID else None


def _annotations(path: Path) -> dict[int | str, tuple[list[str], str | None]]:
    """Question id → answers and their type."""
    found: dict[int | str, tuple[list[str], str | None]] = {}
    for position, entry in enumerate(read_json_object(path, "annotations")["annotations"]):
        where = f"{path}: annotations[{position}]"
        require_fields(entry, where, "question_id", "answers")
        require_id(entry, "question_id", where)
        if entry["question_id"] in found:
            raise DatasetError(f"{where} answers question {entry['question_id']}, as one before it does")
        if not isinstance(entry["answers"], list):
            raise DatasetError(f"{where} should have a list of answers, got {str(entry['answers'])[:60]!r}")
        for answer in entry["answers"]:
            require_fields(answer, f"{where}, one of its answers", "answer")
            if isinstance(answer["answer"], bool) or not isinstance(answer["answer"], str | int | float):
                raise DatasetError(f"{where} has the answer {str(answer['answer'])[:60]!r}: expected a text")
        answer_type = str(entry["answer_type"]) if "answer_type" in entry else None
        found[entry["question_id"]] = [str(answer["answer"]) for answer in entry["answers"]], answer_type
    return found


def _in_fold(
    asked: Sequence[dict[str, Any]], fold: FoldConfig | LastQuestionsConfig | None, source: Path
) -> Iterator[dict[str, Any]]:
    if isinstance(fold, LastQuestionsConfig):
        numbers = [entry["question_id"] for entry in asked]
        if not all(isinstance(number, int) for number in numbers):
            raise DatasetError(f"{source} has question ids that are no numbers: `last` takes those with the largest")
        last = set(sorted(numbers)[-fold.last :])
        yield from (entry for entry in asked if (entry["question_id"] in last) == fold.held_out)
        return
    order: dict[int, int] = {}
    for entry in asked:
        if is_in_fold(order.setdefault(int(entry["image_id"]), len(order)), fold):
            yield entry


def pictures_by_id(folders: Sequence[Path]) -> dict[int, str]:
    """Image id → path, for files whose stem is the id or ends in it in 12 digits, as COCO's do.

    Raises:
        DatasetError: no such folder, or two files for one id.
    """
    files: dict[int, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"no folder of pictures {folder}")
        for name in sorted(os.listdir(folder)):
            stem = Path(name).stem
            match = _COCO_STEM.fullmatch(stem)
            if match is None and not stem.isdecimal():
                continue
            image_id, path = int(match[1] if match else stem), str(folder / name)
            if image_id in files:
                raise DatasetError(f"there are two files for picture {image_id}: {files[image_id]} and {path}")
            files[image_id] = path
    return files


def read_answers(path: Path) -> tuple[str, ...]:
    """The answers of a text file, one a line, in its order; blank lines are left out.

    Raises:
        DatasetError: an unreadable file, one of more than `LARGEST_ANSWER_FILE` bytes, no answer, or one twice.
    """
    answers = tuple(line.strip() for line in read_text(path, LARGEST_ANSWER_FILE).splitlines() if line.strip())
    if not answers:
        raise DatasetError(f"{path} holds no answer: write one a line")
    repeated = next((answer for answer, number in Counter(answers).items() if number > 1), None)
    if repeated is not None:
        raise DatasetError(f"{path} has the answer {repeated!r} twice: leave one of them out")
    return answers

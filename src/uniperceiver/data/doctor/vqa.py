"""VQAv2's questions and answers, in two files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from uniperceiver.data.datasets.vqa import image_number
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import entries
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, split_of
from uniperceiver.data.doctor.texts import TextCheck

JsonFile = tuple[Path, dict[str, Any]]
"""A file and its content."""
_COCO_STEM = re.compile(r"(?:.*\D)?(\d{12})|(\d+)")


def check_vqa(
    questions: Sequence[JsonFile], answers: Sequence[JsonFile], root: Path, images: Iterable[Path], diagnosis: Diagnosis
) -> list[Part]:
    """Look at files of questions, each with the file of answers that shares most question ids."""
    answered = [(path, _answers(path, content, diagnosis)) for path, content in answers]
    image_of = {number: path for path in images if (number := _number(path)) is not None}
    parts = []
    for path, content in questions:
        part = Part("VQA", path, split_of(path, root))
        asked = _check_questions(content, part, image_of, diagnosis)
        best = max(answered, key=lambda file: len(set(file[1]) & asked), default=None)
        if best is not None:
            _check_answers(asked, best[0], best[1], path, diagnosis)
        elif part.split != "test":  # answers to test questions are not published
            diagnosis.add(Kind.NO_ANSWER, path, "no file of answers to these questions")
        parts.append(part)
    return parts


def _number(path: Path) -> int | None:
    found = _COCO_STEM.fullmatch(path.stem)
    return int(found[1] or found[2]) if found else None


def _answers(path: Path, content: dict[str, Any], diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Question id → answers."""
    found: dict[str, list[str]] = {}
    for row in entries(content, "annotations", ("question_id", "answers"), path, diagnosis):
        number = str(row["question_id"])
        if number in found:
            diagnosis.add(Kind.REPEATED_QUESTION_ID, path, f"question {number}")
        given = row["answers"] if isinstance(row["answers"], list) else []
        found[number] = [str(one.get("answer", "")) if isinstance(one, dict) else str(one) for one in given]
    return found


def _check_questions(content: dict[str, Any], part: Part, image_of: dict[int, Path], diagnosis: Diagnosis) -> set[str]:
    """Ids of the questions of a file; their images go into ``part``."""
    asked: set[str] = set()
    texts = TextCheck(part.source, diagnosis)
    for row in entries(content, "questions", ("question_id", "image_id", "question"), part.source, diagnosis):
        number = str(row["question_id"])
        if number in asked:
            diagnosis.add(Kind.REPEATED_QUESTION_ID, part.source, f"question {number}")
        asked.add(number)
        texts.look_at(str(row["question"]), f"question {number}")
        image_id = image_number(row["image_id"])
        image = None if image_id is None else image_of.get(image_id)
        if image is None:
            diagnosis.add(Kind.MISSING_IMAGE, part.source, f"question {number} needs image {str(row['image_id'])[:60]}")
        else:
            part.images[image] = None
    part.records = len(asked)
    return asked


def _check_answers(
    asked: set[str], path: Path, answers: dict[str, list[str]], questions: Path, diagnosis: Diagnosis
) -> None:
    for number in sorted(asked):
        if not answers.get(number):
            diagnosis.add(Kind.NO_ANSWER, questions, f"question {number} in {path.name}")
        elif not all(answer.strip() for answer in answers[number]):
            diagnosis.add(Kind.EMPTY_TEXT, path, f"an answer to question {number}")
    for number in sorted(set(answers) - asked):
        diagnosis.add(Kind.UNKNOWN_QUESTION, path, f"question {number}")

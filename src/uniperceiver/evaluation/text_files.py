"""Files of captions and of answers in the official formats, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uniperceiver.evaluation.caption_scores import caption_scores
from uniperceiver.evaluation.file_scores import (
    FileScores,
    PredictionFileError,
    one_each,
    read_annotations,
    read_file,
    read_predictions,
)
from uniperceiver.evaluation.java_caption_scores import JavaMetric, java_caption_score
from uniperceiver.evaluation.vqa_accuracy import vqa_accuracy


def score_captions(
    predictions: Path, annotations: Path, split: str | None = None, java: Sequence[JavaMetric] = ()
) -> FileScores:
    """BLEU, ROUGE-L and CIDEr-D, and the Java metrics asked for.

    Args:
        predictions: a list of ``image_id`` and ``caption``, one for each image.
        annotations: COCO's captions file, or Karpathy's, whose image id is ``cocoid`` or else ``imgid``.
        split: of Karpathy's file.
        java: METEOR, SPICE or both.

    Raises:
        PredictionFileError: broken files; missing, surplus or repeated images.
    """
    references = _references(annotations, split)
    rows = read_predictions(predictions, "image_id", "caption")
    one_each([row["image_id"] for row in rows], list(references), "images", predictions)
    caption_of = {row["image_id"]: str(row["caption"]) for row in rows}
    captions, truth = [caption_of[image] for image in references], list(references.values())
    metrics = caption_scores(captions, truth).named()
    metrics |= {metric: java_caption_score(metric, captions, truth) for metric in java}
    per_image = sum(map(len, truth)) / len(truth)
    protocol = (
        f"pycocoevalcap's numbers after PTB tokenisation, {per_image:.1f} references an image, document frequencies "
        "from these references; cider_d (0 to 10) is what papers print as CIDEr."
    )
    return FileScores(metrics, len(captions), "images", protocol)


def _references(annotations: Path, split: str | None) -> dict[Any, list[str]]:
    """Image id → captions, in the order of the file."""
    content = read_file(annotations)
    images = content.get("images") if isinstance(content, dict) else None
    is_karpathy = isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]
    if is_karpathy:
        found = _karpathy_references(annotations, split)
    elif split is not None:
        raise PredictionFileError(f"{annotations} has no splits: leave out --split, which is for Karpathy's files")
    else:
        found = {row["id"]: [] for row in read_annotations(annotations, "images", "id")}
        for row in read_annotations(annotations, "annotations", "image_id", "caption"):
            found.setdefault(row["image_id"], []).append(row["caption"])
    bare = [image for image, captions in found.items() if not captions]
    if bare or not found:
        raise PredictionFileError(f"{annotations}: {len(bare)} of {len(found)} images have no caption {bare[:3]}")
    return found


def _karpathy_references(annotations: Path, split: str | None) -> dict[Any, list[str]]:
    rows = read_annotations(annotations, "images", "split", "sentences")
    splits = sorted({row["split"] for row in rows})
    if split not in splits:
        raise PredictionFileError(f"{annotations} has the splits {', '.join(splits)}: name one of them with --split")
    return {
        row.get("cocoid", row.get("imgid")): [sentence["raw"] for sentence in row["sentences"]]
        for row in rows
        if row["split"] == split
    }


def score_answers(predictions: Path, annotations: Path) -> FileScores:
    """VQA accuracy, in all and by type of answer where the annotations say it.

    Args:
        predictions: a list of ``question_id`` and ``answer``, one for each question.
        annotations: VQAv2's annotations.

    Raises:
        PredictionFileError: broken files; missing, surplus or repeated questions.
    """
    rows = read_predictions(predictions, "question_id", "answer")
    truth = read_annotations(annotations, "annotations", "question_id", "answers")
    one_each([row["question_id"] for row in rows], [row["question_id"] for row in truth], "questions", predictions)
    answer_of = {row["question_id"]: str(row["answer"]) for row in rows}
    _check_people(truth, annotations)
    metrics = {"accuracy": _accuracy(truth, answer_of)}
    for kind in sorted({str(row["answer_type"]) for row in truth if "answer_type" in row}):
        chosen = [row for row in truth if row.get("answer_type") == kind]
        metrics[f"accuracy_{kind.replace('/', '_')}"] = _accuracy(chosen, answer_of)
    protocol = (
        "Official VQA accuracy after normalisation: min(1, agreeing people / 3), averaged over leaving out each person."
    )
    return FileScores(metrics, len(truth), "questions", protocol)


def _check_people(truth: list[dict[str, Any]], path: Path) -> None:
    for row in truth:
        answers = row["answers"] if isinstance(row["answers"], list) else []
        if not answers or not all(isinstance(answer, dict) and "answer" in answer for answer in answers):
            raise PredictionFileError(
                f"{path}: question {row['question_id']} should have a list of objects with `answer`, at least one, got "
                f"{str(row['answers'])[:60]!r}"
            )


def _accuracy(truth: list[dict[str, Any]], answer_of: dict[Any, str]) -> float:
    people = [[str(answer["answer"]) for answer in row["answers"]] for row in truth]
    return vqa_accuracy([answer_of[row["question_id"]] for row in truth], people)

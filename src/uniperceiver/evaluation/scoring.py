"""What evaluation keeps of each kind of prediction, and the metrics it computes from it at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from uniperceiver.data.records import CaptionedImage, LabelledImage, ObjectReference, QuestionedImage
from uniperceiver.evaluation.accuracy import accuracy_by_target, constant_accuracy, most_frequent, top_k_accuracy
from uniperceiver.evaluation.average_precision import (
    AveragePrecision,
    CompressedDetection,
    Region,
    average_precision,
    boxes_as_masks,
    compress,
)
from uniperceiver.evaluation.caption_scores import CaptionScores, caption_scores, central_caption
from uniperceiver.evaluation.recall import chance_recall, retrieval_recall
from uniperceiver.evaluation.vqa_accuracy import normalise_answer, vqa_accuracy
from uniperceiver.predictions import Answer, Caption, Classification, Detection, Embeddings, FilledMask


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of one task on one data set."""

    metrics: dict[str, float]
    """Name → value in [0, 1] (CIDEr-D: [0, 10]); nan where the data have nothing to measure it on."""
    baselines: dict[str, float]
    """Under the same names: what an answer that never looks at the input reaches."""
    main: str
    """The metric to quote."""
    count: int
    unit: str
    """What was counted: images, questions, …"""
    protocol: str
    """How the numbers came about, in a sentence or two."""
    per_class: dict[str, float] = field(default_factory=dict)
    """Class name → its ``per_class_metric``, of the classes that occur."""
    per_class_metric: str = ""


class Scorer(Protocol):
    """Takes in predictions batch by batch, keeping little, and computes the metrics at the end."""

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[Any]) -> None:
        """Take in one batch: its transformed records, the batch made of them, one prediction per record."""
        ...

    def result(self) -> EvaluationResult:
        """The metrics over everything taken in."""
        ...


class ClassificationScorer:
    """Top-1 and top-5 accuracy."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names`` of the classes, in the order of the labels."""
        self.names = names
        self.ranked: list[np.ndarray] = []
        self.targets: list[int] = []

    def add(self, records: Sequence[LabelledImage], batch: Any, predictions: Sequence[Classification]) -> None:
        """Keep the first five labels."""
        self.ranked += [prediction.labels[:5] for prediction in predictions]
        self.targets += [record.label for record in records]

    def result(self) -> EvaluationResult:
        """Top-1 and top-5; the baseline names the most frequent classes."""
        firsts = [int(labels[0]) for labels in self.ranked]
        return EvaluationResult(
            metrics={f"top{k}": top_k_accuracy(self.ranked, self.targets, k) for k in (1, 5)},
            baselines={f"top{k}": constant_accuracy(self.targets, k) for k in (1, 5)},
            main="top1",
            count=len(self.targets),
            unit="images",
            protocol="Accuracy of the most likely class and of the five most likely. Baseline: the most frequent "
            "classes of the evaluated images.",
            per_class={self.names[label]: share for label, share in accuracy_by_target(firsts, self.targets).items()},
            per_class_metric="top1",
        )


class MaskedWordScorer:
    """Top-1 and top-5 accuracy of hidden words."""

    def __init__(self) -> None:
        self.ranked: list[tuple[str, ...]] = []
        self.targets: list[str] = []

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[list[FilledMask]]) -> None:
        """Keep the first five words of every hidden one.

        Raises:
            ValueError: a text brought its own slots, so that nobody knows what was hidden.
        """
        for hidden, filled in zip(batch.references, predictions, strict=True):
            if len(hidden) != len(filled):
                raise ValueError(
                    f"{len(filled)} words were predicted in a text of which {len(hidden)} are known: evaluation hides "
                    "words itself, so give texts without mask tokens"
                )
            self.ranked += [words.words[:5] for words in filled]
            self.targets += hidden

    def result(self) -> EvaluationResult:
        """Top-1 and top-5; the baseline says the most frequent words."""
        return EvaluationResult(
            metrics={f"top{k}": top_k_accuracy(self.ranked, self.targets, k) for k in (1, 5)},
            baselines={f"top{k}": constant_accuracy(self.targets, k) for k in (1, 5)},
            main="top1",
            count=len(self.targets),
            unit="hidden tokens",
            protocol="Words are hidden as in training, with a fixed seed; accuracy per hidden token. Baseline: the "
            "most frequent hidden tokens.",
        )


class CaptionScorer:
    """BLEU, ROUGE-L and CIDEr-D."""

    def __init__(self, training: Iterable[str] | None) -> None:
        """``training``: captions from which the trivial caption is taken; None: the references."""
        self.training = training
        self.captions: list[str] = []
        self.references: list[tuple[str, ...]] = []

    def add(self, records: Sequence[CaptionedImage], batch: Any, predictions: Sequence[Caption]) -> None:
        """Keep the texts."""
        self.captions += [prediction.text for prediction in predictions]
        self.references += [record.captions for record in records]

    def result(self) -> EvaluationResult:
        """All scores; the baseline says one caption of every image."""
        every = [caption for row in self.references for caption in row] if self.training is None else self.training
        constant = central_caption(list(every))
        return EvaluationResult(
            metrics=_named(caption_scores(self.captions, self.references)),
            baselines=_named(caption_scores([constant] * len(self.references), self.references)),
            main="cider_d",
            count=len(self.captions),
            unit="images",
            protocol="pycocoevalcap's BLEU, ROUGE-L and CIDEr-D (the one reported as CIDEr), document frequencies from "
            f"the references of these images. Baseline: {constant!r} for every image.",
        )


class RetrievalScorer:
    """Recall at 1, 5 and 10, both ways."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []

    def add(self, records: Sequence[CaptionedImage], batch: Any, predictions: Sequence[Embeddings]) -> None:
        """Keep the embeddings."""
        self.images += [prediction.image for prediction in predictions]
        self.texts += [prediction.texts for prediction in predictions]

    def result(self) -> EvaluationResult:
        """Recalls; the baseline is chance."""
        image_of_text = np.repeat(np.arange(len(self.images)), [len(texts) for texts in self.texts])
        return EvaluationResult(
            metrics=retrieval_recall(np.stack(self.images), np.concatenate(self.texts), image_of_text),
            baselines=chance_recall(image_of_text),
            main="image_to_text_r1",
            count=len(self.images),
            unit="images",
            protocol=f"All {len(image_of_text)} captions against all {len(self.images)} images; an image is right when "
            "any of its captions is found. Baseline: chance.",
        )


class AnswerScorer:
    """VQA accuracy."""

    def __init__(self, training: Iterable[Sequence[str]] | None) -> None:
        """``training``: answers from which the trivial answer is taken; None: the references."""
        self.training = training
        self.answers: list[str] = []
        self.references: list[tuple[str, ...]] = []

    def add(self, records: Sequence[QuestionedImage], batch: Any, predictions: Sequence[Answer]) -> None:
        """Keep the most likely answer."""
        self.answers += [prediction.answers[0] for prediction in predictions]
        self.references += [record.answers for record in records]

    def result(self) -> EvaluationResult:
        """Accuracy; the baseline gives one answer to every question."""
        rows = self.references if self.training is None else self.training
        constant = str(most_frequent([normalise_answer(answer) for row in rows for answer in row], 1)[0])
        return EvaluationResult(
            metrics={"accuracy": vqa_accuracy(self.answers, self.references)},
            baselines={"accuracy": vqa_accuracy([constant] * len(self.references), self.references)},
            main="accuracy",
            count=len(self.answers),
            unit="questions",
            protocol="Official VQA accuracy: min(1, agreeing people / 3), averaged over leaving out each person. "
            f"Baseline: {constant!r} for every question.",
        )


class DetectionScorer:
    """COCO box and mask AP."""

    def __init__(self, data: AnnotatedData, training: AnnotatedData | None = None) -> None:
        """``training`` gives the boxes of the trivial baseline; None: ``data`` itself, which flatters it."""
        self.data = data
        self.training = data if training is None else training
        self.detections: dict[str, CompressedDetection] = {}
        self.references: list[ObjectReference] = []

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[Detection]) -> None:
        """Keep boxes and run-length masks."""
        for record, prediction in zip(records, predictions, strict=True):
            self.references.append(self.data.reference(record))
            self.detections[record.image_id] = compress(prediction)

    def result(self) -> EvaluationResult:
        """Box AP; mask AP where masks were predicted; both also without regard to the class."""
        has_masks = all(detection.masks is not None for detection in self.detections.values())
        regions: tuple[Region, ...] = ("box", "mask") if has_masks else ("box",)
        named = {region: average_precision(self.detections, self.references, region) for region in regions}
        metrics: dict[str, float] = {}
        for region, scores in named.items():
            metrics |= _prefixed(scores, region)
        for region in regions:
            any_class = average_precision(self.detections, self.references, region, class_agnostic=True)
            metrics |= _prefixed(any_class, f"agnostic_{region}")
        constant = mean_boxes(self.training.objects(), self.references)
        baselines: dict[str, float] = {}
        for region in regions:
            baselines |= _prefixed(average_precision(constant, self.references, region), region)
        return EvaluationResult(
            metrics=metrics,
            baselines=baselines,
            main="box_ap",
            count=len(self.references),
            unit="images",
            protocol="COCO evaluation, at most 100 objects per image, crowds ignored, sizes by annotated area. Masks "
            "ranked by score times mask score. Baseline: the training data's mean box of every class, filled, scored "
            "by its frequency.",
            per_class={self.data.names[label]: ap for label, ap in named["box"].ap50_of_class.items()},
            per_class_metric="box_ap50",
        )


class AnnotatedData(Protocol):
    """A data set of annotated images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        ...

    def reference(self, record: Any) -> ObjectReference:
        """What was annotated of a record."""
        ...

    def objects(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Relative boxes (n, 4) and labels (n,) of every image, without crowds."""
        ...


def mean_boxes(
    objects: Iterable[tuple[np.ndarray, np.ndarray]], references: Sequence[ObjectReference]
) -> dict[str, CompressedDetection]:
    """The detections of one who never looks: the mean box of each class in every image, scored by its frequency.

    ``objects`` are relative boxes (n, 4) and labels (n,) of images, those of the training data. The most frequent
    classes come first. A mask fills its box.
    """
    rows = list(objects)
    boxes, labels = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:100]
    means = np.array([boxes[labels == label].mean(axis=0) for label in classes[order]]).reshape(-1, 4)
    scores = counts[order] / max(1, len(labels))
    found: dict[str, CompressedDetection] = {}
    for reference in references:
        inside = means * _corners(reference)
        filled = boxes_as_masks(inside, reference.size)
        found[reference.image_id] = CompressedDetection(inside, scores, classes[order], filled, np.ones(len(scores)))
    return found


def _corners(reference: ObjectReference) -> np.ndarray:
    height, width = reference.size
    return np.array([width, height, width, height], dtype=np.float64)


def _named(scores: CaptionScores) -> dict[str, float]:
    bleu = {f"bleu{order}": value for order, value in enumerate(scores.bleu, start=1)}
    return bleu | {"rouge_l": scores.rouge_l, "cider_d": scores.cider_d}


def _prefixed(scores: AveragePrecision, prefix: str) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in asdict(scores).items() if isinstance(value, float)}

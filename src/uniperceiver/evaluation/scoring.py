"""What evaluation keeps of each kind of prediction, and the metrics it computes from it at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from uniperceiver.data.records import CaptionedImage, LabelledImage, Video
from uniperceiver.evaluation.accuracy import accuracy_by_target, constant_accuracy, top_k_accuracy
from uniperceiver.evaluation.recall import KARPATHY_TEST, chance_recall, fold_chance, fold_recall, retrieval_recall
from uniperceiver.predictions import Classification, Embeddings, FilledMask


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
    predictions: Sequence[Mapping[str, object]] = ()
    """Rows of the file that the official evaluation reads, of answers to questions with ids; else none."""


class Scorer(Protocol):
    """Takes in predictions batch by batch, keeping little, and computes the metrics at the end."""

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[Any]) -> None:
        """Take in one batch: its transformed records, the batch made of them, one prediction per record."""
        ...

    def result(self) -> EvaluationResult:
        """The metrics over everything taken in."""
        ...


@dataclass
class Looked:
    """What was looked at, for people who read the results."""

    unit: str = "images"
    note: str = ""
    """Of protocols: how many views of a video there were."""

    def at(self, records: Sequence[Any]) -> None:
        """Take note of a batch."""
        if isinstance(records[0], Video):
            views = len(records[0].frames)
            self.unit = "videos"
            self.note = f" {records[0].frames.shape[1]} frames of {views} views of a video." if views > 1 else ""


class ClassificationScorer:
    """Top-1 and top-5 accuracy."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names`` of the classes, in the order of the labels."""
        self.names = names
        self.ranked: list[np.ndarray] = []
        self.targets: list[int] = []
        self.looked = Looked()

    def add(self, records: Sequence[LabelledImage], batch: Any, predictions: Sequence[Classification]) -> None:
        """Keep the first five labels."""
        self.looked.at(records)
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
            unit=self.looked.unit,
            protocol=f"Accuracy of the most likely class and of the five most likely.{self.looked.note} Baseline: the "
            f"most frequent classes of the evaluated {self.looked.unit}.",
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


class RetrievalScorer:
    """Recall at 1, 5 and 10, both ways."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []
        self.looked = Looked()

    def add(self, records: Sequence[CaptionedImage], batch: Any, predictions: Sequence[Embeddings]) -> None:
        """Keep the embeddings."""
        self.looked.at(records)
        self.images += [prediction.image for prediction in predictions]
        self.texts += [prediction.texts for prediction in predictions]

    def result(self) -> EvaluationResult:
        """Recalls; the baseline is chance."""
        image_of_text = np.repeat(np.arange(len(self.images)), [len(texts) for texts in self.texts])
        images, texts = np.stack(self.images), np.concatenate(self.texts)
        metrics, baselines, folds = retrieval_recall(images, texts, image_of_text), chance_recall(image_of_text), ""
        unit = self.looked.unit
        if len(images) == KARPATHY_TEST and unit == "images":
            metrics |= {f"1k_{name}": value for name, value in fold_recall(images, texts, image_of_text).items()}
            baselines |= {f"1k_{name}": value for name, value in fold_chance(image_of_text).items()}
            folds = " 1k: means over five folds of 1,000 images."
        one = unit.removesuffix("s")
        return EvaluationResult(
            metrics={name.replace("image", one): value for name, value in metrics.items()},
            baselines={name.replace("image", one): value for name, value in baselines.items()},
            main=f"{one}_to_text_r1",
            count=len(self.images),
            unit=unit,
            protocol=f"All {len(image_of_text)} captions against all {len(self.images)} {unit}; one of these is right "
            f"when any of its captions is found.{self.looked.note}{folds} Baseline: chance.",
        )

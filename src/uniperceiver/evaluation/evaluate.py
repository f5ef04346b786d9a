"""Evaluation of a task on a data set, through the same `Task.predict` that inference uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rich.progress import Progress

from uniperceiver.data.datasets import Dataset
from uniperceiver.data.datasets.scenes import SceneCaptions, SceneMotionCaptions
from uniperceiver.data.loading import evaluation_batches
from uniperceiver.data.transforms import Transform
from uniperceiver.evaluation.detection_scoring import DetectionScorer
from uniperceiver.evaluation.example_collection import ExampleCollector
from uniperceiver.evaluation.next_word_scoring import NextWordScorer
from uniperceiver.evaluation.scoring import (
    ClassificationScorer,
    EvaluationResult,
    MaskedWordScorer,
    RetrievalScorer,
    Scorer,
)
from uniperceiver.evaluation.text_classification_scoring import TextClassificationScorer
from uniperceiver.evaluation.text_retrieval_scoring import TextRetrievalScorer
from uniperceiver.evaluation.text_scoring import AnswerScorer, CaptionScorer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Answer, Caption, Classification, Detection, Embeddings
from uniperceiver.tasks.glue import label_words, question_of
from uniperceiver.tasks.task import Task
from uniperceiver.text_predictions import PartnerEmbeddings, PredictedWords, TextClassification


def evaluate(
    model: UniPerceiver,
    task: Task,
    dataset: Dataset,
    transform: Transform,
    *,
    batch_size: int,
    workers: int = 0,
    training: Any = None,
    examples: ExampleCollector | None = None,
    show_progress: bool = True,
) -> EvaluationResult:
    """The metrics of ``task`` on every record of ``dataset``.

    Runs on the model's device, in evaluation mode and without gradients; the model's mode is restored. Which metrics
    follows from the type of the predictions. Batches hold pictures of one padded size, so results do not depend on
    ``batch_size`` but for rounding.

    Args:
        task: made for this data set: its class names, in order, are the task's candidates.
        transform: what pictures go through, `data.transforms.test_transform`.
        workers: processes that load and prepare records ahead; 0: this one does when they are asked for.
        training: the data the task was trained on; captions (``texts()``) and boxes (``objects()``) of the
            trivial baselines come from it. None: from the evaluated references.
        examples: takes in the predictions too, to show some of them.

    Raises:
        ValueError: no records, or class names of the data that are not the task's candidates.
    """
    if len(dataset) == 0:
        raise ValueError(f"nothing to evaluate on: {dataset!r} is empty")
    scorer: Scorer | None = None
    device = next(model.parameters()).device
    with evaluating(model):
        batches = evaluation_batches(dataset, transform, task.collate, batch_size, workers=workers)
        for records, batch in _with_progress(batches, len(dataset), show_progress):
            predictions = task.predict(model, batch.to(device))
            scorer = scorer or scorer_for(predictions[0], task, dataset, training)
            scorer.add(records, batch, predictions)
            if examples is not None:
                examples.add(records, batch, predictions)
    assert scorer is not None  # there was a record
    return scorer.result()


def scorer_for(prediction: object, task: Task, dataset: Any, training: Any = None) -> Scorer:
    """The scorer of predictions of this type.

    Raises:
        ValueError: class names of the data that are not the task's candidates.
        TypeError: no metric for this type.
    """
    match prediction:
        case Classification():
            _check_names(task, dataset)
            return ClassificationScorer(dataset.names)
        case Detection():
            _check_names(task, dataset)
            return DetectionScorer(dataset, training)
        case Caption():
            scenes = dataset if isinstance(dataset, SceneCaptions | SceneMotionCaptions) else None
            return CaptionScorer(None if training is None else training.texts(), scenes)
        case Embeddings():
            return RetrievalScorer()
        case PartnerEmbeddings():
            return TextRetrievalScorer()
        case Answer():
            return AnswerScorer()
        case list():
            return MaskedWordScorer()
        case TextClassification():
            return _text_scorer(task, dataset)
        case PredictedWords():
            return NextWordScorer()
        case _:
            raise TypeError(f"no metric is known for predictions of type {type(prediction).__name__}")


def _text_scorer(task: Task, dataset: Any) -> TextClassificationScorer:
    words = label_words(task.setting.config, dataset.names)
    if tuple(words) != tuple(task.candidates.texts):
        raise ValueError(
            f"the task compares with {', '.join(task.candidates.texts)}, but the classes of {dataset!r} are, in order, "
            f"{', '.join(words)}: give both data sets the same classes (`classes`)"
        )
    question = question_of(task.setting.config)
    known = [name for name in question.words or dataset.names if name in dataset.names]
    positive = dataset.names.index(known[-1])
    return TextClassificationScorer(dataset.names, question.metrics, positive)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Within it the model is in evaluation mode and records no gradients; afterwards its mode is as before."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _with_progress(batches: Iterator[tuple[list[Any], Any]], total: int, show: bool) -> Iterator[tuple[list[Any], Any]]:
    if not show:
        yield from batches
        return
    with Progress(transient=True) as progress:
        bar = progress.add_task("evaluating", total=total)
        for records, batch in batches:
            yield records, batch
            progress.advance(bar, len(records))


def _check_names(task: Task, dataset: Any) -> None:
    """Predicted and annotated labels must number the same names."""
    if tuple(task.candidates.texts) != tuple(dataset.names):
        raise ValueError(
            f"the task's {len(task.candidates.texts)} candidates are not the {len(dataset.names)} class names of "
            f"{dataset!r}, in order: make the task with the candidates of the data set it is evaluated on"
        )

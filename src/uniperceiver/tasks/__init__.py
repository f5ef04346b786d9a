"""The tasks, by name. This is the only place that chooses by a task's name."""

from __future__ import annotations

from typing import Any

from uniperceiver.config import TaskKind
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.captioning import CaptioningTask
from uniperceiver.tasks.classification import ClassificationTask
from uniperceiver.tasks.detection import DetectionTask
from uniperceiver.tasks.language_modeling import LanguageModelingTask
from uniperceiver.tasks.masked_language_modeling import MaskedLanguageModelingTask
from uniperceiver.tasks.retrieval import RetrievalTask
from uniperceiver.tasks.task import Task, TaskSetting
from uniperceiver.tasks.text_classification import TextClassificationTask
from uniperceiver.tasks.visual_question_answering import VisualQuestionAnsweringTask

AnyTask = (
    ClassificationTask
    | DetectionTask
    | CaptioningTask
    | RetrievalTask
    | MaskedLanguageModelingTask
    | VisualQuestionAnsweringTask
    | LanguageModelingTask
    | TextClassificationTask
)

TASKS: dict[TaskKind, type[AnyTask]] = {
    "classification": ClassificationTask,
    "detection": DetectionTask,
    "captioning": CaptioningTask,
    "retrieval": RetrievalTask,
    "masked_language_modeling": MaskedLanguageModelingTask,
    "visual_question_answering": VisualQuestionAnsweringTask,
    "language_modeling": LanguageModelingTask,
    "text_classification": TextClassificationTask,
}

NAMING_TASKS: frozenset[TaskKind] = frozenset({"classification", "detection", "text_classification"})
"""Tasks whose candidates are the class names of their data: of other data they need other candidates."""

HEADED_TASKS: frozenset[TaskKind] = frozenset({"classification", "text_classification"})
"""Tasks that choose one of a few classes: prompt tuning gives them a linear head (`class_logits`)."""


def find_candidates(setting: TaskSetting, dataset: Any) -> CandidateSet:
    """The target set Y of a task, found in its training data: class names, words, answers; none for retrieval."""
    return TASKS[setting.config.kind].find_candidates(setting, dataset)


def build_task(setting: TaskSetting, candidates: CandidateSet) -> Task:
    """A task with the target set Y that it compares with: that of `find_candidates`, or any other of its kind."""
    return TASKS[setting.config.kind](setting, candidates)

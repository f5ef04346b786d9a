"""Every kind of task is built from its configuration, and again from what a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import get_args

import pytest

from uniperceiver.config import TaskKind
from uniperceiver.tasks import TASKS, build_task, find_candidates
from uniperceiver.tasks.candidates import CandidateSet

DATASET = SimpleNamespace(
    names=("red car", "dog"), texts=lambda: ["a red car", "two dogs"], answers=lambda: [("yes", "no"), ("yes",)]
)
SIZES = {
    "classification": 2,
    "detection": 2,
    "captioning": 6,
    "retrieval": 0,
    "masked_language_modeling": 5,
    "visual_question_answering": 2,
    "language_modeling": 6,
    "text_classification": 2,
}


def test_every_kind_has_a_task() -> None:
    assert set(TASKS) == set(get_args(TaskKind))


@pytest.mark.parametrize("kind", get_args(TaskKind))
def test_built_from_data_and_built_again(setting: Callable, kind: TaskKind) -> None:
    chosen = setting(kind=kind, vocabulary_from_data=True)
    candidates = find_candidates(chosen, DATASET)
    task = build_task(chosen, candidates)
    assert isinstance(task, TASKS[kind])
    assert len(task.candidates) == SIZES[kind]
    if candidates.token_ids:
        again = CandidateSet.from_token_ids(candidates.token_ids, chosen.tokenizer)
    else:
        again = CandidateSet.from_texts(candidates.texts, chosen.tokenizer)
    assert again.texts == candidates.texts
    assert again.token_ids == candidates.token_ids

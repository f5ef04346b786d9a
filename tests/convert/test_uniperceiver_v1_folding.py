"""A folded Uni-Perceiver-MoE does every task as the whole one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
import torch

from uniperceiver.config import ModelConfig, MoEConfig, TaskConfig, TaskKind, TemperatureGroup
from uniperceiver.convert.uniperceiver_v1 import folded
from uniperceiver.data.records import (
    CaptionedImage,
    LabelledImage,
    LabelledText,
    PairedText,
    QuestionedImage,
    Record,
    TextRecord,
)
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.conditional_moe import ConditionalPair, PairWeights
from uniperceiver.model.segments import Bits, task_streams
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import TASKS, build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import Task, TaskSetting

PICTURE = torch.arange(3 * 32 * 32).view(3, 32, 32).remainder(251).to(torch.uint8)
CAPTIONED = CaptionedImage(PICTURE, "0", ("a red car beside a green tree .",))
SENTENCE = TextRecord("two dogs run on the grass .")
RECORDS: list[tuple[TaskKind, list[Record]]] = [
    ("classification", [LabelledImage(PICTURE, "0", 1)]),
    ("captioning", [CAPTIONED]),
    ("retrieval", [CAPTIONED, CaptionedImage(255 - PICTURE, "1", ("two dogs",))]),
    ("retrieval", [PairedText("a red car", "0", ("two dogs",)), PairedText("a cat", "1", ("a tree",))]),
    ("masked_language_modeling", [CAPTIONED]),
    ("masked_language_modeling", [SENTENCE]),
    ("language_modeling", [CAPTIONED]),
    ("language_modeling", [SENTENCE]),
    ("visual_question_answering", [QuestionedImage(PICTURE, "0", "is there a blue ball ?", ("no",))]),
    ("text_classification", [LabelledText("a red car", None, "0", 0)]),
]
"""All that v1 can do: it has no regions to detect."""


@pytest.fixture(scope="module")
def whole(tiny_v1_config: ModelConfig) -> UniPerceiver:
    """A tiny Uni-Perceiver-MoE."""
    moe = MoEConfig(experts=4, layers="even", in_attention=True, targets_have_image_bit=True)
    decoder = replace(tiny_v1_config.decoder, moe=moe)
    torch.manual_seed(0)
    return UniPerceiver(replace(tiny_v1_config, decoder=decoder, temperatures=get_args(TemperatureGroup))).eval()


def task_of(kind: TaskKind, model: UniPerceiver, tokenizer: Tokenizer) -> Task:
    words = kind in {"captioning", "masked_language_modeling", "language_modeling"}
    ids = (tokenizer.end_id, *range(5, tokenizer.vocabulary_size)) if words else ()
    candidates = CandidateSet.restored(("yes", "no"), ids, tokenizer)
    return build_task(TaskSetting(TaskConfig(kind, max_tokens=24), tokenizer, model.config.pixels), candidates)


def losses(
    kind: TaskKind, records: list[Record], models: Sequence[UniPerceiver], tokenizer: Tokenizer
) -> list[dict[str, torch.Tensor]]:
    """Of one batch by each model."""
    task = task_of(kind, models[0], tokenizer)
    torch.manual_seed(0)
    batch = task.collate(records)
    with torch.no_grad():
        return [task.loss(model, batch) for model in models]


def test_every_task_is_the_same(whole: UniPerceiver, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {kind for kind, _ in RECORDS} == TASKS.keys() - {"detection"}
    seen: set[Bits] = set()
    merge = ConditionalPair.weights

    def noting(self: ConditionalPair, streams: Sequence[Bits]) -> list[PairWeights]:
        seen.update(streams)
        return merge(self, streams)

    lean = folded(whole)
    monkeypatch.setattr(ConditionalPair, "weights", noting)
    for kind, records in RECORDS:
        expected, found = losses(kind, records, [whole, lean], tokenizer)
        for part, value in expected.items():
            assert value > 0
            torch.testing.assert_close(found[part], value, atol=1e-5, rtol=1e-5)
    assert seen == set(task_streams(targets_have_image_bit=True)), "folded for no more streams than there are"

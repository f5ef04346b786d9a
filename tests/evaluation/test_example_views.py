from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.config import BackboneConfig, TaskConfig
from uniperceiver.data.records import CaptionedImage, LabelledImage, QuestionedImage, TextRecord
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.example_views import AnswerView, CaptionView, ClassificationView, views_of
from uniperceiver.predictions import Answer, Caption, Classification, FilledMask
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.task import TaskSetting

IMAGE = torch.zeros(3, 20, 30, dtype=torch.uint8)


def test_classification() -> None:
    prediction = Classification(np.array([1, 0, 2]), ("dog", "cat", "cow"), np.array([0.9, 0.06, 0.04]))
    views = [ClassificationView(LabelledImage(IMAGE, "7", n), prediction, ("cat", "dog", "cow")) for n in (1, 0)]
    assert [view.is_right for view in views] == [True, False]
    example = views[1].example()
    assert example.facts == (("said", "dog (90 %), cat (6 %), cow (4 %)"), ("annotated", "cat"))
    assert "cat" in example.panels[0].alt


def test_caption_and_references() -> None:
    view = CaptionView(CaptionedImage(IMAGE, "7", ("a dog", "an animal")), Caption("", -3.0))
    assert view.is_right is None
    assert view.example().facts == (("model", "(nothing)"), ("people", "a dog"), ("people", "an animal"))


def test_answers() -> None:
    record = QuestionedImage(IMAGE, "7", "is it?", ("yes",) * 8 + ("no",) * 2)
    views = [AnswerView(record, Answer((word,), np.array([0.5]))) for word in ("yes", "no", "blue")]
    # "no" agrees with two people, or with one when one of the two is left out: 0.6.
    assert [view.is_right for view in views] == [True, True, False]
    assert dict(views[2].example().facts) == {
        "question": "is it?", "answered": "blue (50 %)", "people": "yes × 8, no × 2",
    }  # fmt: skip
    assert len({AnswerView(QuestionedImage(IMAGE, "7", q, ("a",)), views[0].prediction).key for q in "ab"}) == 2


def test_masked_words_are_numbered_in_the_text(tokenizer: Tokenizer) -> None:
    setting = TaskSetting(TaskConfig(kind="masked_language_modeling"), tokenizer, BackboneConfig("resnet10t"))
    task = build_task(setting, find_candidates(setting, SimpleNamespace(texts=lambda: ())))
    records = [TextRecord("a red car beside a green tree ."), TextRecord("two dogs run on the grass .")]
    for seed in range(20):
        torch.manual_seed(seed)
        batch = task.collate(records)
        said = [[FilledMask((word, "x"), np.array([0.7, 0.3])) for word in row] for row in batch.references]
        views = list(views_of(records, batch, said, None, tokenizer))
        for view, record, hidden in zip(views, records, batch.references, strict=True):
            assert view.is_right is True
            read, *numbers = view.example().facts
            assert [what for what, _ in numbers] == [f"[{n}]" for n in range(1, len(hidden) + 1)]
            assert [words for _, words in numbers] == [f"{word} (70 %), x (30 %); hidden: {word}" for word in hidden]
            text = read[1]
            for number, word in enumerate(hidden, start=1):
                start = text.index(f"[{number}")
                text = text[:start] + word + text[text.index("]", start) + 1 :]
            assert "".join(text.split()) == "".join(record.text.split())
    wrong = [[FilledMask(("zzz",), np.array([0.7]))] * len(row) for row in batch.references]
    assert [view.is_right for view in views_of(records, batch, wrong, None, tokenizer)] == [False, False]


def test_an_unknown_prediction_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(TypeError, match="type str cannot be shown"):
        views_of(["record"], None, ["text"], None, tokenizer)

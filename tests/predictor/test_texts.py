"""Texts and pairs of texts in, the classes a model was trained with out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import TaskConfig
from uniperceiver.data.records import LabelledText
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting

MOOD = TaskConfig(
    "text_classification",
    max_tokens=24,
    template="{first} {end} it is {slot} .",
    label_words={"negative": "red", "positive": "blue"},
)
RTE = TaskConfig("text_classification", max_tokens=32, template="rte")
STORED = {"mood": StoredTask(MOOD, texts=("red", "blue")), "rte": StoredTask(RTE, texts=("no", "yes"))}
TEXTS = ["a red car", "two dogs run on the grass .", "a cat", "how many birds are there ?", "the man rides a bicycle"]
NOISE = 1e-5


def predictor_of(checkpoint: Checkpoint, *streams: str, batch_size: int = 8) -> Predictor:
    tasks = {name: STORED[name] for name in streams}
    return Predictor(replace(checkpoint, tasks=checkpoint.tasks | tasks), batch_size=batch_size)


def test_a_text_has_the_probabilities_of_its_task(checkpoint: Checkpoint) -> None:
    (found,) = predictor_of(checkpoint, "mood").classify_text(TEXTS[0])
    candidates = CandidateSet.from_texts(("red", "blue"), checkpoint.tokenizer)
    task = build_task(TaskSetting(MOOD, checkpoint.tokenizer, checkpoint.model.config.pixels), candidates)
    (expected,) = task.predict(checkpoint.model, task.collate([LabelledText(TEXTS[0], None, "0", 0)]))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=NOISE)
    assert found.probabilities.sum() == pytest.approx(1)
    assert (found.names, found.words) == (("negative", "positive"), ("red", "blue"))
    assert found.best == found.names[found.probabilities.argmax()]
    assert found.lines()[0] == f"{found.best} {100 * found.probabilities.max():.1f} %"
    assert found.to_json() == {
        "names": ["negative", "positive"],
        "words": ["red", "blue"],
        "probabilities": found.probabilities.tolist(),
    }


def test_texts_keep_their_order_in_batches(checkpoint: Checkpoint) -> None:
    predictor = predictor_of(checkpoint, "mood", batch_size=2)
    together = predictor.classify_text(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = predictor.classify_text([text])
        np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=NOISE)
    assert len({round(float(found.probabilities[0]), 6) for found in together}) == len(TEXTS)
    assert predictor.classify_text([]) == []


def test_pairs_have_one_second_text_for_all_or_one_for_each(checkpoint: Checkpoint) -> None:
    predictor = predictor_of(checkpoint, "rte")
    for_all = predictor.classify_text(TEXTS[:2], "a blue ball")
    for_each = predictor.classify_text(TEXTS[:2], ["a blue ball", "a small table"])
    assert for_all[0].names == ("not_entailment", "entailment")
    np.testing.assert_allclose(for_all[0].probabilities, for_each[0].probabilities, atol=NOISE)
    assert abs(for_all[1].probabilities - for_each[1].probabilities).max() > NOISE
    (swapped,) = predictor.classify_text("a blue ball", TEXTS[0])
    assert abs(swapped.probabilities - for_all[0].probabilities).max() > NOISE


def test_labels_are_classes_of_the_task_or_any_words(checkpoint: Checkpoint) -> None:
    predictor = predictor_of(checkpoint, "mood")
    (trained,) = predictor.classify_text(TEXTS[1])
    (turned,) = predictor.classify_text(TEXTS[1], labels=["positive", "negative"])
    assert (turned.names, turned.words) == (("positive", "negative"), ("blue", "red"))
    np.testing.assert_allclose(turned.probabilities, trained.probabilities[::-1], atol=NOISE)
    (own,) = predictor.classify_text(TEXTS[1], labels=["green", "red", "a small table"])
    assert own.names == own.words == ("green", "red", "a small table")
    assert own.probabilities.sum() == pytest.approx(1)


def test_of_several_classifications_one_is_named(checkpoint: Checkpoint) -> None:
    predictor = predictor_of(checkpoint, "mood", "rte")
    assert predictor.classify_text("a cat", task="mood")[0].words == ("red", "blue")
    assert predictor.classify_text("a cat", "a dog", task="rte")[0].words == ("no", "yes")
    with pytest.raises(ValueError, match="several tasks of text_classification: name one of mood, rte"):
        predictor.classify_text("a cat")
    with pytest.raises(ValueError, match="no task 'sst2' of text_classification: name one of mood, rte"):
        predictor.classify_text("a cat", task="sst2")


def test_mistakes_say_what_to_change(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="not trained for text_classification; it was trained for captioning"):
        Predictor(checkpoint).classify_text("a cat")
    one, two = predictor_of(checkpoint, "mood"), predictor_of(checkpoint, "rte")
    with pytest.raises(ValueError, match="classifies pairs of texts: give `second`"):
        two.classify_text("a cat")
    with pytest.raises(ValueError, match="classifies single texts: leave out `second`"):
        one.classify_text("a cat", "a dog")
    with pytest.raises(ValueError, match="3 second texts for 2 texts: give one for all, or one for each"):
        two.classify_text(TEXTS[:2], TEXTS[:3])
    with pytest.raises(ValueError, match="text 1 is blank"):
        one.classify_text(["a cat", " \n"])
    with pytest.raises(ValueError, match="text 0 is blank"):
        two.classify_text("a cat", "")
    with pytest.raises(ValueError, match="expected a list of texts"):
        one.classify_text("a cat", labels="positive")
    with pytest.raises(ValueError, match="'blue' is given twice"):
        one.classify_text("a cat", labels=["positive", "blue"])

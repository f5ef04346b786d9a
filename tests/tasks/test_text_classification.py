"""Text classification: parity with the official code, classes and grades, that it learns, both families."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from uniperceiver.batches import TextBatch
from uniperceiver.config import PatchEncoderConfig, TaskConfig
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.data.records import LabelledText
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting
from uniperceiver.tasks.text_classification import LabelledTextBatch, TextClassificationTask

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = {
    "rte": ("entailment", "not_entailment"),
    "mnli": ("contradiction", "neutral", "entailment"),
    "stsb": ("unrelated", "equivalent"),
}
PAIRS = [
    LabelledText("two dogs run on the grass .", "a cat sits", "0", 0),
    LabelledText("a red car", "the man rides a bicycle", "1", 1),
    LabelledText("is there a blue ball ?", "how many birds are there ?", "2", 1),
]
MakeTask = Callable[..., TextClassificationTask]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(template: str, names: tuple[str, ...] = (), **fields: object) -> TextClassificationTask:
        chosen = setting(kind="text_classification", template=template, **fields)
        chosen = replace(chosen, config=replace(chosen.config, max_tokens=32))
        dataset = SimpleNamespace(names=names or NAMES[template])
        return TextClassificationTask(chosen, TextClassificationTask.find_candidates(chosen, dataset))

    return make


def test_words_follow_the_classes_of_the_data(make_task: MakeTask) -> None:
    """Hugging Face's copy of RTE numbers entailment 0, the words come in that order."""
    assert make_task("rte").candidates.texts == ("yes", "no")
    assert make_task("mnli").candidates.texts == ("no", "maybe", "yes")
    own = make_task("{first} {slot}", ("red car", "dog"))
    assert own.candidates.texts == ("red car", "dog")
    renamed = make_task("{first} {slot}", ("1", "2"), label_words={"1": "bad", "2": "good", "3": "best"})
    assert renamed.candidates.texts == ("bad", "good")
    with pytest.raises(ValueError, match=r"the data have the class 'contradiction': give the task `label_words`"):
        make_task("rte", NAMES["mnli"])


def test_the_loss_is_minus_the_log_probability_of_the_class(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task("rte")
    batch = task.collate(PAIRS)
    assert batch.text.is_slot.sum(dim=1).tolist() == [1, 1, 1]
    found = task.predict(model, batch)
    for prediction in found:
        assert prediction.words == ("yes", "no")
        assert prediction.probabilities.sum() == pytest.approx(1)
    expected = -sum(math.log(p.probabilities[int(r.label)]) for p, r in zip(found, PAIRS, strict=True)) / 3
    with torch.no_grad():
        assert task.loss(model, batch)["classes"].item() == pytest.approx(expected, abs=1e-5)


def test_a_grade_is_the_chance_of_the_second_word(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task("stsb")
    graded = [replace(record, label=grade) for record, grade in zip(PAIRS, (0.0, 0.25, 1.0), strict=True)]
    batch = task.collate(graded)
    logs = [[math.log(p) for p in prediction.probabilities] for prediction in task.predict(model, batch)]
    expected = -(logs[0][0] + 0.75 * logs[1][0] + 0.25 * logs[1][1] + logs[2][1]) / 3
    with torch.no_grad():
        assert task.loss(model, batch)["classes"].item() == pytest.approx(expected, abs=1e-5)


def test_a_text_is_classified_alike_in_any_batch(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task("mnli")
    together = task.predict(model, task.collate(PAIRS))
    for record, found in zip(PAIRS, together, strict=True):
        (alone,) = task.predict(model, task.collate([record]))
        assert alone.probabilities == pytest.approx(found.probabilities, abs=1e-5)


@pytest.mark.parametrize("family", ["model", "v1_model"])
def test_overfits_one_batch(
    family: str, request: pytest.FixtureRequest, make_task: MakeTask, overfit: Callable
) -> None:
    """With a language model for f_text, and with word embeddings."""
    model = request.getfixturevalue(family)
    task = make_task("rte")
    batch = task.collate(PAIRS)
    history = overfit(model, task, batch, 25)
    assert history[-1]["sum"] < 0.3 < history[0]["sum"]
    assert [int(p.probabilities.argmax()) for p in task.predict(model, batch)] == [0, 1, 1]


def test_the_temperature_is_that_of_masked_language_modelling(v1_model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task("rte")
    task.loss(v1_model, task.collate(PAIRS))["classes"].backward()
    inverse = v1_model.log_inverse_temperatures
    assert [name for name in inverse if inverse[name].grad is not None] == ["text_mlm"]


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_probabilities_are_those_of_the_official_code(name: str, tokenizer: Tokenizer) -> None:
    tensors = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
    state = {key.removeprefix("param/"): value for key, value in tensors.items() if key.startswith("param/")}
    model = convert_uniperceiver_v1(ReleaseFile.from_content(state), V1Options(heads=4)).model.eval()
    rows = tensors["in/glue/set_tokens"].tolist()
    candidates = CandidateSet([str(row) for row in rows], rows, (), padding_id=0)
    assert isinstance(model.config.pixels, PatchEncoderConfig)
    setting = TaskSetting(TaskConfig("text_classification", template="rte"), tokenizer, model.config.pixels)
    task = TextClassificationTask(setting, candidates)
    ids, is_padding = tensors["in/glue/input0"], tensors["in/glue/input0_invalid_mask"].bool()
    is_slot = torch.zeros_like(is_padding)
    is_slot[torch.arange(3), tensors["in/glue/spe_index"]] = True
    text = TextBatch(ids, is_padding, torch.arange(ids.shape[1]).expand_as(ids), is_slot)
    found = task.predict(model, LabelledTextBatch(text, torch.zeros(3)))
    expected = tensors["out/glue/logits"].double().softmax(dim=1)
    torch.testing.assert_close(
        torch.stack([torch.from_numpy(p.probabilities) for p in found]), expected, atol=1e-4, rtol=1e-4
    )

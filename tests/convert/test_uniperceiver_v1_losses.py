"""Losses of v1's tasks and their gradients are those of the official code, through our tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import WordLevel
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.config import ScheduleConfig, TaskConfig, TaskKind
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import to_official
from uniperceiver.data.clip_tokenizer import END, SPE
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.recall import retrieval_recall
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.captioning import CaptioningBatch, CaptioningTask
from uniperceiver.tasks.class_logits import classification_loss
from uniperceiver.tasks.classification import ClassificationBatch, ClassificationTask
from uniperceiver.tasks.masked_language_modeling import MaskedLanguageModelingTask, MaskedTextBatch
from uniperceiver.tasks.retrieval import RetrievalBatch, RetrievalTask
from uniperceiver.tasks.task import TaskSetting
from uniperceiver.tasks.text_classification import LabelledTextBatch, TextClassificationTask
from uniperceiver.tasks.visual_question_answering import QuestionBatch, VisualQuestionAnsweringTask
from uniperceiver.training.schedule import learning_rate_factor

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = 1000


class Recorded:
    """A converted model, the recorded batches as ours, and the official losses and norms of gradients."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.golden = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
        self.golden |= load_file(GOLDEN / f"uniperceiver_v1_{name}_more.safetensors")
        videos = load_file(GOLDEN / "uniperceiver_v1_videos.safetensors")
        self.golden |= {k.removeprefix(f"{name}/"): v for k, v in videos.items() if k.startswith(f"{name}/")}
        frames = load_file(GOLDEN / "uniperceiver_v1_dense_more.safetensors")["in/vtr/input0"]
        self.golden |= {"in/vtr/input0": frames, "in/vidcap/input0": frames}  # all models were shown the same
        params = {key[6:]: value for key, value in self.golden.items() if key.startswith("param/")}
        self.model = convert_uniperceiver_v1(ReleaseFile.from_content(params), V1Options(heads=4)).model
        words = [f"w{index}" for index in range(WORDS)]
        words[996], words[999] = END, SPE
        raw = RawTokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="w0"))
        self.tokenizer = Tokenizer(raw)
        with safe_open(GOLDEN / "uniperceiver_v1_losses.safetensors", "pt") as file:
            self.order = json.loads(file.metadata()[name])
            self.official = {
                key.removeprefix(f"{name}/"): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118
                if key.startswith(f"{name}/")
            }

    def setting(self, kind: TaskKind, label_smoothing: float = 0.0) -> TaskSetting:
        return TaskSetting(TaskConfig(kind, label_smoothing=label_smoothing), self.tokenizer, self.model.config.pixels)

    def images(self, task: str) -> ImageBatch | VideoBatch:
        pixels = self.golden[f"in/{task}/input0"]
        if pixels.ndim == 5:
            return VideoBatch(pixels)
        return ImageBatch(pixels, torch.zeros(len(pixels), 64, 64, dtype=torch.bool))

    def text(self, name: str) -> TextBatch:
        ids = self.golden[f"in/{name}"]
        is_padding = self.golden.get(f"in/{name}_invalid_mask", torch.zeros_like(ids)).bool()
        return TextBatch(ids, is_padding, torch.arange(ids.shape[1]).expand_as(ids), torch.zeros_like(is_padding))

    def names(self, task: str) -> CandidateSet:
        ids = self.golden[f"in/{task}/set_tokens"]
        mask = self.golden.get(f"in/{task}/set_invalid_mask", torch.zeros_like(ids)).bool()
        rows = [row[~hidden].tolist() for row, hidden in zip(ids, mask, strict=True)]
        return CandidateSet([str(row) for row in rows], rows, (), 0)

    def vocabulary(self) -> CandidateSet:
        return CandidateSet.from_token_ids(range(WORDS), self.tokenizer)

    def labels(self, task: str) -> Tensor:
        return self.golden[f"in/{task}/target_idx"]


def classification(r: Recorded) -> dict[str, Tensor]:
    task = ClassificationTask(r.setting("classification", 0.1), r.names("imgcls"))
    return task.loss(r.model, ClassificationBatch(r.images("imgcls"), r.labels("imgcls")))


def retrieval(r: Recorded, case: str = "itr") -> dict[str, Tensor]:
    text = r.text(f"{case}/target0")
    own = torch.arange(text.size)
    task = RetrievalTask(r.setting("retrieval", 0.1), CandidateSet.from_texts((), r.tokenizer))
    return task.loss(r.model, RetrievalBatch(r.images(case), text, own, own, own, (1,) * text.size))


def retrieval_of_videos(r: Recorded) -> dict[str, Tensor]:
    return retrieval(r, "vtr")


def captioning(r: Recorded, case: str = "cap", label_smoothing: float = 0.0) -> dict[str, Tensor]:
    text, targets = r.text(f"{case}/input1"), r.labels(case)
    length = targets.shape[1]
    words = TextBatch(*(part[:, :length] for part in (text.ids, text.is_padding, text.positions, text.is_slot)))
    rows = [row[~hidden].tolist() for row, hidden in zip(words.ids, words.is_padding, strict=True)]
    layout = TextBatch.with_slot_per_word(rows, 0, 999)
    batch = CaptioningBatch(r.images(case), layout, targets, torch.arange(text.size))
    assert torch.equal(batch.text.ids.masked_fill(text.is_padding, 0), text.ids.masked_fill(text.is_padding, 0))
    return CaptioningTask(r.setting("captioning", label_smoothing), r.vocabulary()).loss(r.model, batch)


def captioning_of_videos(r: Recorded) -> dict[str, Tensor]:
    return captioning(r, "vidcap", 0.1)


def masked_words(r: Recorded) -> dict[str, Tensor]:
    targets = r.labels("mlm")
    batch = MaskedTextBatch(None, r.text("mlm/input0"), targets >= 0, targets, ((),) * len(targets))
    return MaskedLanguageModelingTask(r.setting("masked_language_modeling"), r.vocabulary()).loss(r.model, batch)


def texts(r: Recorded) -> dict[str, Tensor]:
    text, labels = r.text("glue/input0"), r.labels("glue")
    text.is_slot[torch.arange(len(labels)), r.golden["in/glue/spe_index"]] = True
    task = TextClassificationTask(r.setting("text_classification", 0.1), r.names("glue"))
    return task.loss(r.model, LabelledTextBatch(text, labels.float()))


def questions(r: Recorded) -> dict[str, Tensor]:
    text, answers = r.text("vqa/input1"), r.labels("vqa")
    text.is_slot[torch.arange(len(answers)), r.golden["in/vqa/spe_index"]] = True
    own = torch.arange(len(answers))
    batch = QuestionBatch(r.images("vqa"), text, own, answers, own, torch.ones(len(answers)))
    return VisualQuestionAnsweringTask(r.setting("visual_question_answering"), r.names("vqa")).loss(r.model, batch)


CASES: dict[str, tuple[float, Callable[[Recorded], dict[str, Tensor]]]] = {
    "imgcls": (1.0, classification),
    "itr": (0.5, retrieval),
    "vtr": (1.0, retrieval_of_videos),
    "cap": (1.0, captioning),
    "vidcap": (1.0, captioning_of_videos),
    "mlm": (0.5, masked_words),
    "glue": (1.0, texts),
    "vqa": (0.1, questions),
}
"""Task, the weight of its loss in the recording, and our loss."""


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in ("dense", "moe") for case in CASES if (name, case) != ("moe", "vqa")]
)
def test_losses_and_the_norms_of_all_gradients(name: str, case: str) -> None:
    recorded = Recorded(name)
    weight, loss = CASES[case]
    losses = [weight * value for value in loss(recorded).values()]
    official = [value for key, value in recorded.official.items() if key.startswith(f"out/{case}/train_")]
    found = sorted(value.item() for value in losses)
    torch.testing.assert_close(found, sorted(value.item() for value in official), atol=1e-4, rtol=1e-5)
    torch.stack(losses).sum().backward()
    gradients = {name: p.grad for name, p in recorded.model.named_parameters()}
    ours = to_official(gradients, packed_attention=name == "dense")
    for theirs, norm in zip(recorded.order, recorded.official[f"gradnorm/{case}"].tolist(), strict=True):
        gradient = gradients[ours[theirs]] if theirs in ours else None
        expected = max(norm, 0.0)  # -1: none
        assert (0.0 if gradient is None else float(gradient.norm())) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def misc() -> dict[str, Tensor]:
    return load_file(GOLDEN / "uniperceiver_v1_misc.safetensors")


def test_losses_of_classes(misc: dict[str, Tensor]) -> None:
    logits, target, shares = (misc[f"in/loss/{name}"] for name in ("logits", "target", "soft_target"))
    for weight, expected, found in (
        (0.25, "ce_w0.25", classification_loss(logits, target, 0.0)),
        (0.5, "label_smoothing0.1_w0.5", classification_loss(logits, target, 0.1)),
        (1.0, "soft_ce_w1", classification_loss(logits, shares, 0.0)),
    ):
        torch.testing.assert_close(weight * found, misc[f"out/loss/{expected}"], atol=1e-4, rtol=1e-5)


def test_the_schedule_is_the_official_one_a_step_earlier(misc: dict[str, Tensor]) -> None:
    """The official first step has rate 0. Its cosine is cut at the smallest rate, ours ends in it."""
    official = misc["out/lr/warmupcosine_base1e-3_min1e-6_w10_T50"]
    config = ScheduleConfig(steps=49, warmup_steps=10, decay="cosine", constant=9 / 49, final=1e-3)
    ours = torch.tensor([1e-3 * learning_rate_factor(config, step, step / 49) for step in range(49)])
    assert float(official[0]) == 0
    torch.testing.assert_close(ours, official[1:].to(ours.dtype), rtol=0, atol=1.1e-6)


def test_recalls(misc: dict[str, Tensor]) -> None:
    images, captions = (misc[f"in/retrieval/{side}_feats"].numpy() for side in ("image", "text"))
    ours = retrieval_recall(images, captions, torch.arange(130).repeat_interleave(3).numpy())
    for k in (1, 5, 10):
        found = ours[f"image_to_text_r{k}"], ours[f"text_to_image_r{k}"]
        expected = [float(misc[f"out/retrieval/{way}-r{k}"]) for way in ("i2t", "t2i")]
        assert [100 * value for value in found] == pytest.approx(expected, abs=1e-4)

"""Videos in converted v1 models: recorded values of the official code, dense and with experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import WordLevel
from torch import Tensor

from uniperceiver.batches import TextBatch
from uniperceiver.config import PatchEncoderConfig, TaskConfig, TemperatureGroup
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.data.clip_tokenizer import END, SPE
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.likelihood import similarity
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.tasks.beam_search import beam_search
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.captioning import CaptioningTask, _NextWord
from uniperceiver.tasks.task import TaskSetting

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = 1000
SEE = TaskAttributes(input_image=True, input_text=False)
DESCRIBE = TaskAttributes(input_image=True, input_text=True)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


class Recorded:
    """A converted model, what f_image makes of the recorded frames, and what the official model said of them."""

    def __init__(self, name: str) -> None:
        tensors = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
        state = {key.removeprefix("param/"): value for key, value in tensors.items() if key.startswith("param/")}
        self.model = convert_uniperceiver_v1(ReleaseFile.from_content(state), V1Options(heads=4)).model
        videos = load_file(GOLDEN / "uniperceiver_v1_videos.safetensors")
        self.golden = {k.removeprefix(f"{name}/"): v for k, v in videos.items() if k.startswith(f"{name}/")}
        self.name, self.steps = name, load_file(GOLDEN / "uniperceiver_v1_search.safetensors")
        words = [f"w{index}" for index in range(WORDS)]
        words[996], words[999] = END, SPE
        raw = RawTokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="w0"))
        self.tokenizer = Tokenizer(raw)
        self.vocabulary = CandidateSet.from_token_ids(range(WORDS), self.tokenizer)

    def video(self, task: str) -> Segment:
        tokens = self.golden[f"in/{task}/patches"]
        return Segment(tokens, torch.zeros(tokens.shape[:2], dtype=torch.bool), "image")

    def text(self, ids: str, mask: str) -> TextBatch:
        rows, is_padding = self.golden[f"in/{ids}"], self.golden[f"in/{mask}"].bool()
        return TextBatch(rows, is_padding, torch.arange(rows.shape[1]).expand_as(rows), torch.zeros_like(is_padding))

    def targets(self, text: TextBatch) -> Tensor:
        return self.model.decode(self.model.encode_text(text), attributes=SEE, side="target").spe

    def logits(self, x: Tensor, y: Tensor, group: TemperatureGroup) -> Tensor:
        return similarity(x, y, self.model.temperature(group))


@pytest.fixture(scope="module", params=["dense", "moe"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


def test_classification(recorded: Recorded) -> None:
    """Of every view; the mean over views is taken of probabilities."""
    x = recorded.model.decode(recorded.video("vidcls"), attributes=SEE).spe
    y = recorded.targets(recorded.text("vidcls/set_tokens", "vidcls/set_invalid_mask"))
    close(x, recorded.golden["out/vidcls/input_feats"])
    close(y, recorded.golden["out/vidcls/target_feats"])
    close(recorded.logits(x, y, "video_cls"), recorded.golden["out/vidcls/logits"])


def test_retrieval(recorded: Recorded) -> None:
    x = recorded.model.decode(recorded.video("vtr"), attributes=SEE).spe
    y = recorded.targets(recorded.text("vtr/target0", "vtr/target0_invalid_mask"))
    close(F.normalize(x, dim=-1), recorded.golden["out/vtr/input_feats_l2"])
    close(F.normalize(y, dim=-1), recorded.golden["out/vtr/target_feats_l2"])
    close(recorded.logits(x, y, "retrieve"), recorded.golden["out/vtr/train_logits_i2t"])
    close(recorded.logits(y, x, "retrieve"), recorded.golden["out/vtr/train_logits_t2i"])


def test_captions_in_the_training_layout(recorded: Recorded) -> None:
    text = recorded.text("vidcap/input1", "vidcap/input1_invalid_mask")
    is_word = recorded.golden["in/vidcap/target_idx"] != -1
    length = is_word.shape[1]
    places = torch.arange(2 * length).expand_as(text.ids)
    text = replace(text, positions=places.remainder(length), is_slot=places >= length, causal=True)
    decoded = recorded.model.decode(recorded.video("vtr"), recorded.model.encode_text(text), attributes=DESCRIBE)
    slots = decoded.segments[1][:, length:][is_word]
    words = recorded.vocabulary.encode(recorded.model, DESCRIBE)
    close(recorded.logits(slots, words, "caption"), recorded.golden["out/vidcap/train_logits"])


def test_the_search_finds_the_recorded_captions(recorded: Recorded) -> None:
    model, golden = recorded.model, recorded.golden
    assert isinstance(model.config.pixels, PatchEncoderConfig)
    setting = TaskSetting(TaskConfig(kind="captioning"), recorded.tokenizer, model.config.pixels)
    task = CaptioningTask(setting, recorded.vocabulary)
    predict, steps = _NextWord(task, model, ImageFeatures(recorded.video("vtr"), None)), []

    def next_word(words: Tensor | None, parents: Tensor) -> Tensor:
        steps.append(predict(words, parents))
        return steps[-1]

    found = beam_search(next_word, 2, 2, end=recorded.tokenizer.end_id, max_words=6, length_penalty=0.0)
    expected = [
        tuple(w for w in row if w != recorded.tokenizer.end_id) for row in golden["out/gen_vidcap/ids"].tolist()
    ]
    assert [sentence.words for sentence in found] == expected
    totals = golden["out/gen_vidcap/word_logp"].sum(dim=1)
    torch.testing.assert_close(torch.tensor([s.log_probability for s in found]), totals, atol=1e-3, rtol=1e-4)
    assert len(steps) == 6
    for step, log_probabilities in enumerate(steps):  # of every tenth word
        close(log_probabilities[:, ::10], recorded.steps[f"{recorded.name}/gen_vidcap/step{step}"])

"""Prompt-tuned models of the official code become ours: recorded ones, dense and with experts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.batches import TextBatch
from uniperceiver.config import LinearHeadConfig, PromptConfig, TuneConfig
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1, to_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import to_official
from uniperceiver.likelihood import similarity
from uniperceiver.model.extending import extend
from uniperceiver.model.linear_head import LinearHead
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.training.adapting import freeze

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS, END_ID, WIDTH, EXPERTS = 1000, 996, 64, 8
CLASSIFY = TaskAttributes(input_image=True, input_text=False)
CAPTION = TaskAttributes(input_image=True, input_text=True)
EXPERT_MAPS = {
    "self_attn.qkv_proj": (192, 64),
    "self_attn.dense": (64, 64),
    "linear1": (192, 64),
    "linear2": (64, 192),
}


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class Prompted:
    """A converted model and what the official one said; `tests/golden` tells how the recordings were made small."""

    def __init__(self, name: str, classes: str = "", head_alone: bool = False) -> None:
        everything = load_file(GOLDEN / "uniperceiver_v1_prompt.safetensors")
        self.golden = {key[2:]: value for key, value in everything.items() if key.startswith(f"{name}/")}
        params = {key.removeprefix("param/"): v for key, v in self.golden.items() if key.startswith("param/")}
        words = torch.zeros(WORDS, WIDTH)
        words[self.golden["words/index"]] = self.golden["words/rows"]
        params["token_embed.embeddings.weight"] = words
        params["video_embed.embeddings.weight"] = torch.zeros(WIDTH, 3, 16, 16)
        places = params["token_embed.embeddings_pos.position_embeddings.weight"]
        params["token_embed.embeddings_pos.position_embeddings.weight"] = F.pad(places, (0, 0, 0, 64 - len(places)))
        for part in ("weight", "bias"):
            params[f"token_embed.embeddings_norm.{part}"] = params[f"video_embed.embeddings_norm.{part}"]
        for expert in range(EXPERTS) if name == "C" else ():
            for part, shape in EXPERT_MAPS.items():
                key = f"fused_encoder.layers.0.{part}.experts.deepspeed_experts.{expert}."
                params.setdefault(key + "weight", torch.zeros(shape))
                params.setdefault(key + "bias", torch.zeros(shape[0]))
        if head_alone:
            del params["similarity_weight"]
        options = V1Options(heads=4, classes=tuple(classes))
        conversion = convert_uniperceiver_v1(ReleaseFile.from_content(params), options)
        self.model, self.unused, self.report = conversion.model, conversion.unused, conversion.report

    def image(self, task: str) -> Segment:
        tokens = self.golden[f"in/{task}/patches"]
        return Segment(tokens, torch.zeros(tokens.shape[:2], dtype=torch.bool), "image")

    def text(self, ids: str, mask: str) -> TextBatch:
        rows = self.golden[f"in/{ids}"]
        is_padding = self.golden[f"in/{mask}"].bool()
        return TextBatch(rows, is_padding, torch.arange(rows.shape[1]).expand_as(rows), torch.zeros_like(is_padding))

    def targets(self, text: TextBatch, attributes: TaskAttributes) -> Tensor:
        return self.model.decode(self.model.encode_text(text), attributes=attributes, side="target").spe


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("name", "own_targets"), [("A", False), ("B", True), ("C", False)])
def test_prompts_are_part_of_the_configuration(name: str, own_targets: bool) -> None:
    config = Prompted(name).model.config
    assert config.decoder.prompts == PromptConfig(4, own_targets)
    assert config.text.spe_bias


def test_the_linear_head() -> None:
    """Eq. (4) of the v1 paper as the official code has it."""
    recorded = load_file(GOLDEN / "uniperceiver_v1_prompt.safetensors")
    x, y, logits = (recorded[f"A/out/imgcls/{name}"] for name in ("input_feats", "target_feats", "logits"))
    head = LinearHead(LinearHeadConfig(tuple("abcdefg")), WIDTH)
    names = {"weight": "fc_prompt.weight", "bias": "fc_prompt.bias", "similarity_weight": "similarity_weight"}
    head.load_state_dict({ours: recorded[f"A/param/{theirs}"] for ours, theirs in names.items()})
    similarities = similarity(x, y, recorded["A/param/loss_prepare.logit_scale_img_cls"].neg().exp())
    close(head(x, similarities), logits)
    some = torch.tensor([4, 1])
    close(head(x, similarities[:, some], some), logits[:, some])
    assert not torch.allclose(similarities, logits, atol=1e-2)


def test_classification_with_prompts_and_a_linear_head() -> None:
    """Case A from patches to logits: prompts that inputs and targets share, <SPE>'s bias, the head."""
    prompted = Prompted("A", classes="abcdefg")
    golden, model = prompted.golden, prompted.model
    x = model.decode(prompted.image("imgcls"), attributes=CLASSIFY).spe
    y = prompted.targets(prompted.text("imgcls/set_tokens", "imgcls/set_invalid_mask"), CLASSIFY)
    close(x, golden["out/imgcls/input_feats"])
    close(y, golden["out/imgcls/target_feats"])
    head = model.head_for("abcdefg")
    assert head is not None
    close(head(x, similarity(x, y, model.temperature("img_cls"))), golden["out/imgcls/logits"])


def test_a_linear_head_needs_its_classes() -> None:
    without = Prompted("A")
    assert without.model.head_for("abcdefg") is None
    assert {"fc_prompt.weight", "fc_prompt.bias", "similarity_weight"} <= set(without.unused)
    assert Prompted("A", "abcdefg", head_alone=True).report.made == ("heads.0.similarity_weight",)
    assert float(Prompted("A", "abcdefg", head_alone=True).model.heads[0].similarity_weight) == 0
    with pytest.raises(ValueError, match="has 7 classes, but 2 were given"):
        Prompted("A", "ab")
    with pytest.raises(ValueError, match="the file has no linear head"):
        Prompted("B", "ab")


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_prompt_tuning_trains_what_the_official_code_leaves_trainable(name: str) -> None:
    with safe_open(GOLDEN / "uniperceiver_v1_prompt.safetensors", "pt") as file:
        expected = json.loads(file.metadata()[f"trainable_{name}"])
    prompted = Prompted(name, classes="abcdefg" if name == "A" else "")
    freeze(prompted.model, TuneConfig("prompt"))
    trained = [ours for ours, parameter in prompted.model.named_parameters() if parameter.requires_grad]
    official = set(to_official(trained, packed_attention=name != "C"))
    # Second names of two tensors, which the official code lists once.
    second = {"token_embed.s_token_bias", "video_embed.embeddings_norm.weight", "video_embed.embeddings_norm.bias"}
    assert official - second == set(expected)


@pytest.mark.parametrize(("name", "own_targets"), [("B", True), ("C", False)])
def test_the_way_back_has_prompts_and_a_head(name: str, own_targets: bool) -> None:
    prompted = Prompted(name)
    extend(prompted.model, replace(prompted.model.config, heads=(LinearHeadConfig(("yes", "no")),)))
    official = to_uniperceiver_v1(prompted.model, {})
    assert official["fc_prompt.weight"].shape == (2, WIDTH)
    assert official["s_token_bias"].shape == (1, WIDTH)
    assert float(official["similarity_weight"]) == 1
    key = "fused_encoder.layers.1.deep_prompt_embedding.target_embedding.weight"
    assert (key in official) is own_targets


@pytest.mark.parametrize("name", ["B", "C"])
def test_retrieval(name: str) -> None:
    prompted = Prompted(name)
    x = prompted.model.decode(prompted.image("itr"), attributes=CLASSIFY).spe
    y = prompted.targets(prompted.text("itr/target0", "itr/target0_invalid_mask"), CLASSIFY)
    close(F.normalize(x, dim=-1), prompted.golden["out/itr/input_feats_l2"])
    close(y, prompted.golden["out/itr/target_feats"])


@pytest.mark.parametrize("name", ["B", "C"])
def test_captions(name: str) -> None:
    prompted = Prompted(name)
    golden, model = prompted.golden, prompted.model
    text = prompted.text("cap/input1", "cap/input1_invalid_mask")
    places, length = torch.arange(text.ids.shape[1]), text.ids.shape[1] // 2
    text = replace(
        text,
        positions=places.remainder(length).expand_as(text.ids),
        is_slot=(places >= length).expand_as(text.ids),
        causal=True,
    )
    decoded = model.decode(prompted.image("cap"), model.encode_text(text), attributes=CAPTION)
    slots = decoded.segments[1][:, length:][golden["in/cap/target_idx"] != -1]
    words = TextBatch.from_ids([[word, END_ID] for word in golden["in/cap/candidates"].tolist()], 0)
    logits = similarity(slots, prompted.targets(words, CAPTION), model.temperature("caption"))
    close(logits, golden["out/cap/train_logits"])

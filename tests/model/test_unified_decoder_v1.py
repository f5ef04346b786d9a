"""The unified decoder expresses Uni-Perceiver v1 and v1-MoE: parity with recorded values of the official code."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from uniperceiver.config import MoEConfig, UnifiedDecoderConfig
from uniperceiver.likelihood import similarity
from uniperceiver.model.segments import Segment, Side, TaskAttributes
from uniperceiver.model.unified_decoder import UnifiedDecoder

GOLDEN = Path(__file__).parents[1] / "golden"
SPE_ID, END_ID, VOCABULARY = 999, 996, 1000
IMAGE_CLASSIFICATION = TaskAttributes(input_image=True, input_text=False)
MASKED_LANGUAGE_MODELING = TaskAttributes(input_image=False, input_text=True)
CAPTIONING = TaskAttributes(input_image=True, input_text=True)
V1_VOCABULARY = TaskAttributes(input_image=True, input_text=True)
"""v1 gives the vocabulary and GLUE's labels the bits of captioning's targets, whatever the input is."""

KEYS = (
    (r"self_attn\.in_proj_(weight|bias)", r"attention.first.\1"),
    (r"self_attn\.qkv_proj\.(weight|bias)", r"attention.first.\1"),
    (r"self_attn\.(?:out_proj|dense)\.(weight|bias)", r"attention.second.\1"),
    (r"linear1\.(weight|bias)", r"feed_forward.first.\1"),
    (r"linear2\.(weight|bias)", r"feed_forward.second.\1"),
    (r"self_attn\.qkv_proj\.experts\.deepspeed_experts\.(.*)", r"attention.first.experts.\1"),
    (r"self_attn\.dense\.experts\.deepspeed_experts\.(.*)", r"attention.second.experts.\1"),
    (r"linear1\.experts\.deepspeed_experts\.(.*)", r"feed_forward.first.experts.\1"),
    (r"linear2\.experts\.deepspeed_experts\.(.*)", r"feed_forward.second.experts.\1"),
    (r"self_attn\.qkv_proj\.gate\.tag_transform\.0\.(.*)", r"attention.gate.embed.\1"),
    (r"self_attn\.qkv_proj\.gate\.tag_transform\.1\.(.*)", r"attention.gate.norm.\1"),
    (r"self_attn\.qkv_proj\.gate\.wg\.(.*)", r"attention.gate.wg.\1"),
    (r"linear1\.gate\.tag_transform\.0\.(.*)", r"feed_forward.gate.embed.\1"),
    (r"linear1\.gate\.tag_transform\.1\.(.*)", r"feed_forward.gate.norm.\1"),
    (r"linear1\.gate\.wg\.(.*)", r"feed_forward.gate.wg.\1"),
    (r"(?:self_attn\.dense|linear2)\.gate\..*", None),  # unused in v1: these maps follow the other decision
    (r"((?:norm1|norm2)\.(?:weight|bias)|gamma_[12])", r"\1"),
)


def from_v1(params: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a v1 state dict that belongs to g, under our names."""
    state = {}
    for key, value in params.items():
        if key.startswith(("loss_prepare.ln_post.", "loss_prepare.proj.")):
            state[key.removeprefix("loss_prepare.")] = value
        if not key.startswith("fused_encoder.layers."):
            continue
        layer, name = re.fullmatch(r"fused_encoder\.layers\.(\d+)\.(.*)", key).groups()
        (target,) = [(p, t) for p, t in KEYS if re.fullmatch(p, name)]
        if target[1] is not None:
            state[f"layers.{layer}.{re.sub(*target, name)}"] = value
    return state


class V1:
    """v1's embeddings (spec/uni_perceiver_v1_moe.md, 2.2 to 2.4) in front of our decoder."""

    def __init__(self, name: str) -> None:
        tensors = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
        self.params = {key.removeprefix("param/"): v for key, v in tensors.items() if key.startswith("param/")}
        self.golden = {key: value for key, value in tensors.items() if not key.startswith("param/")}
        moe = MoEConfig(layers="even", in_attention=True) if name == "moe" else None
        config = UnifiedDecoderConfig(
            width=64,
            layers=3,
            heads=4,
            feedforward=192,
            layer_scale=1e-3,
            moe=moe,
            type_codes=False,
            text_positions=0,
            own_spe=False,
        )
        self.g = UnifiedDecoder(config).eval()
        self.g.load_state_dict(from_v1(self.params))

    def norm(self, x: Tensor) -> Tensor:
        weight, bias = (self.params[f"token_embed.embeddings_norm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, (64,), weight, bias, 1e-5)

    def spe(self) -> Tensor:
        return self.norm(self.params["token_embed.embeddings.weight"][SPE_ID])

    def image(self, pixels: Tensor) -> Segment:
        embed = "video_embed.embeddings"
        weight, bias = self.params[f"{embed}.weight"], self.params[f"{embed}.bias"]
        patches = F.conv2d(pixels, weight, bias, stride=16).flatten(2).mT
        place = self.params[f"{embed}_st_pos.spatial_pos_embed.weight"]
        time = self.params[f"{embed}_st_pos.temporal_pos_embed.weight"][0]
        tokens = self.norm(patches + place + time)
        return Segment(tokens, torch.zeros(tokens.shape[:2], dtype=torch.bool), "image")

    def text(self, ids: Tensor, invalid: Tensor | None, slots_from: int | None = None) -> Segment:
        """Text; with ``slots_from`` the causal training layout of captions, whose slots count from 0 again."""
        length = ids.shape[1]
        positions = torch.arange(length).remainder(slots_from or length).expand_as(ids)
        x = self.params["token_embed.embeddings.weight"][ids]
        x = x + self.params["token_embed.embeddings_pos.position_embeddings.weight"][positions]
        x = x + self.params["token_embed.embeddings_token_type.weight"][0]
        is_padding = torch.zeros_like(ids, dtype=torch.bool) if invalid is None else invalid.bool()
        is_slot = (torch.arange(length) >= slots_from).expand_as(ids) if slots_from else None
        return Segment(self.norm(x), is_padding, "text", positions, is_slot, causal=slots_from is not None)

    def decode(self, *segments: Segment, attributes: TaskAttributes, side: Side = "input") -> Tensor:
        """Read-outs (B, 1 + L, D) of the whole sequence."""
        out = self.g(segments, attributes, side, self.spe())
        return torch.cat([out.spe[:, None], *out.segments], dim=1)

    def hidden(self, *segments: Segment, attributes: TaskAttributes) -> Tensor:
        """Hidden states (B, 1 + L, D), before the read-out."""
        bare = copy.deepcopy(self.g)
        bare.ln_post, bare.proj = nn.Identity(), nn.Identity()
        out = bare(segments, attributes, spe=self.spe())
        return torch.cat([out.spe[:, None], *out.segments], dim=1)

    def targets(self, ids: Tensor, invalid: Tensor | None, attributes: TaskAttributes) -> Tensor:
        return self.decode(self.text(ids, invalid), attributes=attributes, side="target")[:, 0]

    def vocabulary(self) -> Tensor:
        words = torch.arange(VOCABULARY)
        return self.targets(torch.stack([words, torch.full_like(words, END_ID)], dim=1), None, V1_VOCABULARY)

    def logits(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        scale = self.params[f"loss_prepare.logit_scale_{name}"].exp().clamp(max=100)
        return similarity(x, y, 1 / scale)


@pytest.fixture(scope="module", params=["dense", "moe"])
def v1(request: pytest.FixtureRequest) -> V1:
    return V1(request.param)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


def test_every_v1_parameter_of_the_decoder_has_a_place(v1: V1) -> None:
    assert from_v1(v1.params).keys() == v1.g.state_dict().keys()


def test_image_classification(v1: V1) -> None:
    golden, image = v1.golden, v1.image(v1.golden["in/imgcls/input0"])
    close(v1.hidden(image, attributes=IMAGE_CLASSIFICATION), golden["out/imgcls/input_hidden"])
    x = v1.decode(image, attributes=IMAGE_CLASSIFICATION)[:, 0]
    y = v1.targets(golden["in/imgcls/set_tokens"], golden["in/imgcls/set_invalid_mask"], IMAGE_CLASSIFICATION)
    close(x, golden["out/imgcls/input_feats"])
    close(y, golden["out/imgcls/target_feats"])
    close(v1.logits(x, y, "img_cls"), golden["out/imgcls/logits"])


def test_masked_language_modeling(v1: V1) -> None:
    golden, text = v1.golden, v1.text(v1.golden["in/mlm/input0"], None)
    close(v1.hidden(text, attributes=MASKED_LANGUAGE_MODELING), golden["out/mlm/input_hidden"])
    is_hidden = golden["in/mlm/target_idx"] != -1
    x = v1.decode(text, attributes=MASKED_LANGUAGE_MODELING)[:, 1:][is_hidden]
    y = v1.vocabulary()
    close(x, golden["out/mlm/input_feats"])
    close(y[::10], golden["out/mlm/target_feats"])
    close(v1.logits(x, y, "text_mlm"), golden["out/mlm/logits"])


def test_retrieval(v1: V1) -> None:
    golden, image = v1.golden, v1.image(v1.golden["in/itr/input0"])
    close(v1.hidden(image, attributes=IMAGE_CLASSIFICATION), golden["out/itr/input_hidden"])
    x = v1.decode(image, attributes=IMAGE_CLASSIFICATION)[:, 0]
    y = v1.targets(golden["in/itr/target0"], golden["in/itr/target0_invalid_mask"], IMAGE_CLASSIFICATION)
    close(F.normalize(x, dim=-1), golden["out/itr/input_feats_l2"])
    close(F.normalize(y, dim=-1), golden["out/itr/target_feats_l2"])
    close(v1.logits(x, y, "retrieve"), golden["out/itr/train_logits_i2t"])
    close(v1.logits(y, x, "retrieve"), golden["out/itr/train_logits_t2i"])


def captions(v1: V1) -> tuple[Segment, Segment]:
    ids, invalid = v1.golden["in/cap/input1"], v1.golden["in/cap/input1_invalid_mask"]
    return v1.image(v1.golden["in/cap/input0"]), v1.text(ids, invalid, slots_from=ids.shape[1] // 2)


def test_captioning_in_the_training_layout(v1: V1) -> None:
    golden, segments = v1.golden, captions(v1)
    is_token = ~torch.cat([torch.zeros(3, 1, dtype=torch.bool), *(s.is_padding for s in segments)], dim=1)
    hidden = v1.hidden(*segments, attributes=CAPTIONING)
    close(hidden[is_token], golden["out/cap/all_hidden"][-1][is_token])
    is_word = golden["in/cap/target_idx"] != -1
    slots = v1.decode(*segments, attributes=CAPTIONING)[:, -is_word.shape[1] :]
    close(v1.logits(slots[is_word], v1.vocabulary(), "caption"), golden["out/cap/train_logits"])


def test_captioning_step_by_step(v1: V1) -> None:
    image, text = captions(v1)
    words, target = text.tokens.shape[1] // 2, v1.golden["in/cap/target_idx"]
    cache = v1.g.prefill([image], CAPTIONING, spe=v1.spe())
    slots = []
    for t in range(words):
        columns = [words + t] if t == 0 else [t - 1, words + t]
        part = replace(
            text,
            tokens=text.tokens[:, columns],
            is_padding=text.is_padding[:, columns],
            positions=text.positions[:, columns],
            is_slot=text.is_slot[:, columns],
        )
        out, cache = v1.g.step(part, CAPTIONING, cache)
        slots.append(out[:, -1])
    is_word = target != -1
    logits = v1.logits(torch.stack(slots, dim=1)[is_word], v1.vocabulary(), "caption")
    close(logits, v1.golden["out/cap/train_logits"])


def test_text_classification(v1: V1) -> None:
    golden = v1.golden
    text = v1.text(golden["in/glue/input0"], golden["in/glue/input0_invalid_mask"])
    is_token = ~F.pad(text.is_padding, (1, 0))
    hidden = v1.hidden(text, attributes=MASKED_LANGUAGE_MODELING)
    close(hidden[is_token], golden["out/glue/input_hidden"][is_token])
    rows, place = torch.arange(3), golden["in/glue/spe_index"]
    x = v1.decode(text, attributes=MASKED_LANGUAGE_MODELING)[:, 1:][rows, place]
    y = v1.targets(golden["in/glue/set_tokens"], None, V1_VOCABULARY)
    close(x, golden["out/glue/input_feats"])
    close(y, golden["out/glue/target_feats"])
    close(v1.logits(x, y, "text_mlm"), golden["out/glue/logits"])


def test_visual_question_answering() -> None:
    v1 = V1("dense")
    golden = v1.golden
    image = v1.image(golden["in/vqa/input0"])
    question = v1.text(golden["in/vqa/input1"], golden["in/vqa/input1_invalid_mask"])
    is_token = ~torch.cat([torch.zeros(3, 1, dtype=torch.bool), image.is_padding, question.is_padding], dim=1)
    hidden = v1.hidden(image, question, attributes=CAPTIONING)
    close(hidden[is_token], golden["out/vqa/input_hidden"][is_token])
    rows, place = torch.arange(3), golden["in/vqa/spe_index"]
    x = v1.decode(image, question, attributes=CAPTIONING)[:, -question.tokens.shape[1] :][rows, place]
    y = v1.targets(golden["in/vqa/set_tokens"], golden["in/vqa/set_invalid_mask"], CAPTIONING)
    close(x, golden["out/vqa/input_feats"])
    close(y, golden["out/vqa/target_feats"])
    close(v1.logits(x, y, "downstream"), golden["out/vqa/logits"])


@pytest.mark.parametrize(
    ("name", "streams"),
    [
        ("imgcls", [IMAGE_CLASSIFICATION.bits("image", "input", False)]),
        ("mlm", [MASKED_LANGUAGE_MODELING.bits("text", "input", False)]),
        ("cap", [CAPTIONING.bits("image", "input", False), CAPTIONING.bits("text", "input", True)]),
        ("itr_t", [IMAGE_CLASSIFICATION.bits("text", "target", False)]),
        ("cls", [IMAGE_CLASSIFICATION.bits("text", "target", False)]),
        ("vocab", [V1_VOCABULARY.bits("text", "target", False)]),
    ],
)
@pytest.mark.parametrize("layer", [0, 2])
def test_gates(name: str, streams: list[tuple[int, ...]], layer: int) -> None:
    v1 = V1("moe")
    for ours, theirs in (("attention", "qkv_proj"), ("feed_forward", "linear1")):
        routing = v1.g.stack[layer].get_submodule(ours).gate(streams)
        assert torch.equal(routing.experts, v1.golden[f"out/gate/layer{layer}/{theirs}/{name}/index"])
        close(routing.gates, v1.golden[f"out/gate/layer{layer}/{theirs}/{name}/weight"])


def test_bits_equal_the_recorded_attributes() -> None:
    golden = V1("moe").golden
    tasks = {
        "imgcls": (IMAGE_CLASSIFICATION, [("image", False)], IMAGE_CLASSIFICATION),
        "itr": (IMAGE_CLASSIFICATION, [("image", False)], IMAGE_CLASSIFICATION),
        "mlm": (MASKED_LANGUAGE_MODELING, [("text", False)], V1_VOCABULARY),
        "glue": (MASKED_LANGUAGE_MODELING, [("text", False)], V1_VOCABULARY),
        "cap": (CAPTIONING, [("image", False), ("text", True)], V1_VOCABULARY),
    }
    for name, (inputs, streams, targets) in tasks.items():
        bits = [inputs.bits(modality, "input", causal) for modality, causal in streams]
        assert torch.equal(torch.tensor(bits).float(), golden[f"in/{name}/input_attr"])
        bits = [targets.bits("text", "target", False)]
        assert torch.equal(torch.tensor(bits).float(), golden[f"in/{name}/target_attr"])


def test_folded_v1_moe_keeps_its_captions() -> None:
    v1 = V1("moe")
    expected = v1.decode(*captions(v1), attributes=CAPTIONING)
    streams = [CAPTIONING.bits("image", "input", False), CAPTIONING.bits("text", "input", True)]
    v1.g = v1.g.fold(streams)
    torch.testing.assert_close(v1.decode(*captions(v1), attributes=CAPTIONING), expected, atol=1e-6, rtol=1e-6)

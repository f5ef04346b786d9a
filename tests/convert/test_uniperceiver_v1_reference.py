"""Converted v1 models give what a second implementation, made from the specification alone, makes of the same file.

Recorded values are of a few models; here files of many shapes are drawn and compared in float64, so that tolerances
leave no room for a mistake. The second implementation is `tests/fixtures/uniperceiver_v1_reference.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from uniperceiver_v1_reference import PICTURE, TARGET, TEXT, WORD_TARGET, Reference, searched_caption

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.config import PatchEncoderConfig, TaskConfig, TemperatureGroup
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1, folded
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

WIDTH, HEADS, FEED_FORWARD, VOCABULARY, POSITIONS, PADDING_ID = 16, 2, 24, 20, 12, 0
SPE_ID, END_ID = VOCABULARY - 1, VOCABULARY - 4
PATCH, PICTURE_SIZE, FRAMES = 16, 32, 4
STEPS = 5
CLASSIFY = TaskAttributes(input_image=True, input_text=False)
LANGUAGE = TaskAttributes(input_image=False, input_text=True)
CAPTION = TaskAttributes(input_image=True, input_text=True)
MAPS = {
    "self_attn.qkv_proj": (3 * WIDTH, WIDTH),
    "self_attn.dense": (WIDTH, WIDTH),
    "linear1": (FEED_FORWARD, WIDTH),
    "linear2": (WIDTH, FEED_FORWARD),
}
IN_FEED_FORWARD = ("linear1", "linear2")


@dataclass(frozen=True)
class Shape:
    """What a file may be."""

    layers: int = 2
    packed: bool = False
    """The attention in the spelling of dense models."""
    expert_layers: Sequence[int] = ()
    experts: int = 8
    expert_maps: Sequence[str] = tuple(MAPS)
    fold: bool = False
    prompts: int = 0
    targets_have_prompts: bool = False
    spe_bias: bool = False
    frames: int = 1
    layer_scale: bool = True
    norms: int = 1
    """2: a norm for pictures and one for texts."""


SHAPES = {
    "dense": Shape(packed=True),
    "dense, three layers, videos": Shape(layers=3, packed=True, frames=3),
    "dense, other spelling, no layer scale": Shape(layers=1, frames=2, layer_scale=False),
    "dense, two norms": Shape(packed=True, norms=2),
    "dense, a prompt for all": Shape(packed=True, prompts=1, spe_bias=True, frames=2),
    "dense, prompts of targets": Shape(prompts=20, targets_have_prompts=True, spe_bias=True),
    "experts in even layers": Shape(layers=3, expert_layers=(0, 2), frames=2),
    "experts in odd layers": Shape(expert_layers=(1,), experts=3, layer_scale=False),
    "experts in all layers": Shape(expert_layers=(0, 1), experts=2, frames=3),
    "experts in the feed-forward": Shape(expert_layers=(0, 1), experts=3, expert_maps=IN_FEED_FORWARD),
    "experts in the only layer, folded": Shape(layers=1, expert_layers=(0,), fold=True, frames=2),
    "experts, prompts of targets": Shape(
        layers=3, expert_layers=(0, 2), experts=3, prompts=20, targets_have_prompts=True, spe_bias=True, frames=2
    ),
    "experts in odd feed-forwards, a prompt for all": Shape(
        layers=3, expert_layers=(1,), experts=2, expert_maps=IN_FEED_FORWARD, prompts=1
    ),
}
of_every_shape = pytest.mark.parametrize("pair", SHAPES, indirect=True)
of_dense_shapes = pytest.mark.parametrize(
    "pair", [name for name, shape in SHAPES.items() if not shape.expert_layers], indirect=True
)
of_some_shapes = pytest.mark.parametrize(
    "pair", ["dense", "experts in even layers", "experts, prompts of targets"], indirect=True
)
"""For the search, whose every step is compared for every shape."""


def drawn_file(shape: Shape) -> dict[str, Tensor]:
    """An official state dict of this shape with numbers that let every tensor count (spec, 9.1)."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}

    def draw(name: str, *size: int, mean: float = 0.0, std: float = 0.5) -> None:
        tensors[name] = mean + std * torch.randn(*size, generator=generator)

    def norm(name: str) -> None:
        draw(f"{name}.weight", WIDTH, mean=1.0)
        draw(f"{name}.bias", WIDTH)

    draw("token_embed.embeddings.weight", VOCABULARY, WIDTH, std=1.0)
    draw("token_embed.embeddings_pos.position_embeddings.weight", POSITIONS, WIDTH)
    draw("token_embed.embeddings_token_type.weight", 2, WIDTH)
    draw("video_embed.embeddings.weight", WIDTH, 3, PATCH, PATCH, std=0.05)
    draw("video_embed.embeddings.bias", WIDTH)
    draw("video_embed.embeddings_type.weight", 1, WIDTH)
    draw("video_embed.embeddings_st_pos.spatial_pos_embed.weight", (PICTURE_SIZE // PATCH) ** 2, WIDTH)
    draw("video_embed.embeddings_st_pos.temporal_pos_embed.weight", FRAMES, WIDTH)
    norm("token_embed.embeddings_norm")
    norm("video_embed.embeddings_norm")
    if shape.norms == 1:
        for part in ("weight", "bias"):
            tensors[f"token_embed.embeddings_norm.{part}"] = tensors[f"video_embed.embeddings_norm.{part}"]
    if shape.spe_bias:
        draw("s_token_bias", 1, WIDTH)
    norm("loss_prepare.ln_post")
    draw("loss_prepare.proj.weight", WIDTH, WIDTH)
    draw("loss_prepare.proj.bias", WIDTH)
    for place, group in enumerate(get_args(TemperatureGroup)):
        tensors[f"loss_prepare.logit_scale_{group}"] = torch.tensor(1 + 0.5 * place)  # from 4.61 on it is clamped
    for layer in range(shape.layers):
        stem = f"fused_encoder.layers.{layer}"
        norm(f"{stem}.norm1")
        norm(f"{stem}.norm2")
        for name in ("gamma_1", "gamma_2") if shape.layer_scale else ():
            draw(f"{stem}.{name}", WIDTH)
        for name in ("embedding", "target_embedding")[: 1 + shape.targets_have_prompts] if shape.prompts else ():
            draw(f"{stem}.deep_prompt_embedding.{name}.weight", shape.prompts, WIDTH, std=1.0)
        for name, size in MAPS.items():
            has_experts = layer in shape.expert_layers and name in shape.expert_maps
            experts = [f".experts.deepspeed_experts.{expert}" for expert in range(shape.experts)]
            for expert in experts if has_experts else [""]:
                draw(f"{stem}.{name}{expert}.weight", *size, std=size[1] ** -0.5)
                draw(f"{stem}.{name}{expert}.bias", size[0])
            if has_experts:
                draw(f"{stem}.{name}.gate.tag_transform.0.weight", WIDTH, 8, std=1.0)
                draw(f"{stem}.{name}.gate.tag_transform.0.bias", WIDTH)
                norm(f"{stem}.{name}.gate.tag_transform.1")
                draw(f"{stem}.{name}.gate.wg.weight", shape.experts, WIDTH)
    if not shape.packed:
        return tensors
    return {
        name.replace("qkv_proj.", "in_proj_").replace("self_attn.dense", "self_attn.out_proj"): tensor
        for name, tensor in tensors.items()
    }


def drawn_texts(*lengths: int) -> list[list[int]]:
    """Ragged texts of any words, also <SPE>, the end and the one that pads."""
    drawn = random.Random(len(lengths))
    return [[drawn.randrange(VOCABULARY) for _ in range(length)] for length in lengths]


class Pair:
    """A converted model and the reference, of the same file, and what they are shown."""

    def __init__(self, shape: Shape) -> None:
        tensors = drawn_file(shape)
        options = V1Options(heads=HEADS, input_norm="auto" if shape.norms == 1 else "per_modality")
        model = convert_uniperceiver_v1(ReleaseFile.from_content(tensors), options).model.double()
        self.model = folded(model) if shape.fold else model
        self.reference = Reference(tensors, HEADS)
        # Gates are float32 also in a model in float64, and so are temperatures.
        self.near = partial(torch.testing.assert_close, rtol=0, atol=2e-6 if shape.expert_layers else 1e-12)
        generator = torch.Generator().manual_seed(1)
        size = (3, PICTURE_SIZE, PICTURE_SIZE)
        pixels = torch.randn(2, *size, generator=generator, dtype=torch.float64)
        frames = torch.randn(2, shape.frames, *size, generator=generator, dtype=torch.float64)
        is_padding = torch.zeros(2, PICTURE_SIZE, PICTURE_SIZE, dtype=torch.bool)
        self.pictures = self.model.encode_image(ImageBatch(pixels, is_padding)).segment
        self.picture_patches = [self.reference.patches(picture[None]) for picture in pixels]
        self.videos = self.model.encode_video(VideoBatch(frames))
        self.video_patches = [self.reference.patches(video) for video in frames]
        self.vocabulary = torch.stack(
            [self.reference.target([word, END_ID], WORD_TARGET) for word in range(VOCABULARY)]
        )

    def texts(self, rows: Sequence[Sequence[int]]) -> Segment:
        return self.model.encode_text(TextBatch.from_ids(rows, PADDING_ID))

    def looked_at(self) -> list[tuple[Segment, list[Tensor]]]:
        """Two pictures and two videos, each for the model and for the reference."""
        return [(self.pictures, self.picture_patches), (self.videos, self.video_patches)]

    def next_word(self) -> _NextWord:
        """The model about to tell captions of the pictures."""
        words = [f"w{index}" for index in range(VOCABULARY)]
        words[END_ID], words[SPE_ID] = END, SPE
        raw = RawTokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="w0"))
        tokenizer = Tokenizer(raw)
        assert isinstance(self.model.config.pixels, PatchEncoderConfig)
        setting = TaskSetting(TaskConfig(kind="captioning"), tokenizer, self.model.config.pixels)
        task = CaptioningTask(setting, CandidateSet.from_token_ids(range(VOCABULARY), tokenizer))
        return _NextWord(task, self.model, ImageFeatures(self.pictures, None))

    def search(self, end: int, length_penalty: float) -> list[tuple[int, ...]]:
        """The words of captions of the pictures, the same from both."""
        found = beam_search(self.next_word(), 2, 2, end, max_words=STEPS, length_penalty=length_penalty)
        for sentence, patches in zip(found, self.picture_patches, strict=True):
            words, score = searched_caption(partial(self.log_probabilities, patches), 2, end, STEPS, length_penalty)
            assert sentence.words == words
            assert sentence.log_probability == pytest.approx(score, abs=1e-5)
        return [sentence.words for sentence in found]

    def log_probabilities(self, patches: Tensor, words: Sequence[int]) -> Tensor:
        """What the reference says of the word after these (Y,)."""
        x = self.reference.next_word(patches, words)
        return self.reference.logits(x[None], self.vocabulary, "caption")[0].log_softmax(dim=0)


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(SHAPES[request.param])


def near_logits(found: Tensor, expected: Tensor) -> None:
    """Logits up to 100, and logarithms of probabilities."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@of_every_shape
def test_pictures_and_videos(pair: Pair) -> None:
    for seen, patches in pair.looked_at():
        decoded = pair.model.decode(seen, attributes=CLASSIFY)
        expected = torch.stack([pair.reference.everything(one, PICTURE) for one in patches])
        pair.near(decoded.spe, expected[:, 0])
        pair.near(decoded.segments[0], expected[:, 1:])
        pair.near(pair.model.summary(seen, attributes=CLASSIFY), expected[:, 0])


@of_every_shape
def test_texts_that_may_be_the_answer(pair: Pair) -> None:
    rows = drawn_texts(1, 4, POSITIONS)
    found = pair.model.summary(pair.texts(rows), attributes=CLASSIFY, side="target")
    pair.near(found, torch.stack([pair.reference.target(row, TARGET) for row in rows]))


@of_every_shape
def test_words_that_may_be_the_answer(pair: Pair) -> None:
    words = pair.texts([[word, END_ID] for word in range(VOCABULARY)])
    for attributes in (LANGUAGE, CAPTION):
        pair.near(pair.model.summary(words, attributes=attributes, side="target"), pair.vocabulary)


@of_every_shape
def test_masked_words(pair: Pair) -> None:
    rows = [[SPE_ID, *row] for row in drawn_texts(0, 4, POSITIONS - 1)]
    (found,) = pair.model.decode(pair.texts(rows), attributes=LANGUAGE).segments
    for features, row in zip(found, rows, strict=True):
        pair.near(features[: len(row)], pair.reference.everything(pair.reference.words(row), TEXT)[1:])


@of_every_shape
def test_captions_in_the_layout_of_training(pair: Pair) -> None:
    """At once, and as continuation of a picture that was read before, as training does with several captions of it."""
    rows = drawn_texts(2, 6)
    text = pair.model.encode_text(TextBatch.with_slot_per_word(rows, PADDING_ID, SPE_ID))
    for seen, patches in pair.looked_at():
        at_once = pair.model.decode(seen, text, attributes=CAPTION).segments[1]
        after = pair.model.g.follow(text, CAPTION, pair.model.prefill(seen, attributes=CAPTION))
        for picture, row in enumerate(rows):
            expected = pair.reference.caption(patches[picture], row)
            for found in (at_once, after):
                pair.near(found[picture, 6 : 6 + len(row)], expected)


@of_every_shape
def test_captions_word_by_word(pair: Pair) -> None:
    captions = drawn_texts(STEPS, STEPS)
    next_word, pictures = pair.next_word(), torch.arange(2)
    for length in range(STEPS + 1):
        words = torch.tensor([caption[length - 1] for caption in captions]) if length else None
        found = next_word(words, pictures)
        for picture, caption in enumerate(captions):
            expected = pair.log_probabilities(pair.picture_patches[picture], caption[:length])
            near_logits(found[picture], expected)


@of_some_shapes
def test_beam_search(pair: Pair) -> None:
    """With the official two beams, and penalty of untuned models."""
    pair.search(END_ID, length_penalty=2.0)


@of_some_shapes
def test_beam_search_of_sentences_that_end_early(pair: Pair) -> None:
    """The end is the second word that was said before; without a penalty, as of tuned models."""
    (_, end, *_), _ = pair.search(END_ID, length_penalty=0.0)
    assert len(pair.search(end, length_penalty=0.0)[0]) < 2


@of_dense_shapes
def test_questions(pair: Pair) -> None:
    """The official gates know no questions, and without experts the bits given to the reference count nothing."""
    rows = [[*row, SPE_ID, END_ID] for row in drawn_texts(0, 7)]
    found = pair.model.decode(pair.pictures, pair.texts(rows), attributes=CAPTION).segments[1]
    for features, patches, row in zip(found, pair.picture_patches, rows, strict=True):
        tokens = torch.cat([patches, pair.reference.words(row)])
        pair.near(features[len(row) - 2], pair.reference.everything(tokens, TEXT)[-2])


@of_every_shape
def test_logits_of_every_temperature(pair: Pair) -> None:
    x = torch.stack([pair.reference.everything(patches, PICTURE)[0] for patches in pair.picture_patches])
    found = pair.model.summary(pair.pictures, attributes=CLASSIFY)
    words = pair.texts([[word, END_ID] for word in range(VOCABULARY)])
    y = pair.model.summary(words, attributes=CAPTION, side="target")
    for group in get_args(TemperatureGroup):
        expected = pair.reference.logits(x, pair.vocabulary, group)
        near_logits(similarity(found, y, pair.model.temperature(group)), expected)

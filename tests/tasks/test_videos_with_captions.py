"""Videos are searched and captioned as pictures are, by models that read frames."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from uniperceiver.batches import VideoBatch
from uniperceiver.config import (
    BackboneConfig,
    ImageSizeConfig,
    ModelConfig,
    MoEConfig,
    PatchEncoderConfig,
    TaskConfig,
    UnifiedDecoderConfig,
    WordEmbeddingConfig,
)
from uniperceiver.data.records import CaptionedVideo
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Caption
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.task import Task, TaskSetting

SIZE = ImageSizeConfig(train=32, test=32)
CAPTIONS = ("a red car", "two dogs run on the grass")


class Texts:
    """Data with the two captions."""

    def texts(self) -> list[str]:
        return list(CAPTIONS)


@pytest.fixture(params=[None, MoEConfig(experts=2, noise=0.0)], ids=["dense", "experts"])
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> UniPerceiver:
    torch.manual_seed(0)
    words = WordEmbeddingConfig("words", tokenizer.vocabulary_size, positions=20, spe_id=tokenizer.slot_id)
    decoder = UnifiedDecoderConfig(
        width=32,
        layers=2,
        heads=2,
        feedforward=64,
        drop_path=0.0,
        moe=request.param,
        type_codes=False,
        text_positions=0,
        own_spe=False,
        input_norm="shared",
    )
    image = PatchEncoderConfig("patches", image_size=32, frames=4)
    return UniPerceiver(ModelConfig(image, words, decoder, temperatures=("caption", "retrieve")))


def videos(views: int = 1) -> list[CaptionedVideo]:
    """A red one and a blue one, both getting brighter."""
    brighter = torch.linspace(60, 240, 4).to(torch.uint8)[None, :, None, None, None].expand(views, -1, 3, 32, 32)
    red, blue = (brighter * torch.tensor(colour, dtype=torch.uint8)[:, None, None] for colour in ((1, 0, 0), (0, 0, 1)))
    return [CaptionedVideo(red, "red", CAPTIONS[:1]), CaptionedVideo(blue, "blue", CAPTIONS[1:])]


def make(kind: str, model: UniPerceiver, tokenizer: Tokenizer) -> Task:
    config = TaskConfig(kind, SIZE, max_tokens=12, vocabulary_from_data=True)
    setting = TaskSetting(config, tokenizer, model.config.pixels)
    return build_task(setting, find_candidates(setting, Texts()))


def test_videos_are_captioned(
    model: UniPerceiver, tokenizer: Tokenizer, overfit: Callable[..., list[dict[str, float]]]
) -> None:
    task = make("captioning", model, tokenizer)
    batch = task.collate(videos())
    assert isinstance(batch.images, VideoBatch)
    history = overfit(model, task, batch, 120, rate=3e-3)
    assert history[-1]["words"] < 0.1 * history[0]["words"]
    found = task.predict(model, batch)
    assert all(isinstance(caption, Caption) for caption in found)
    assert [caption.text for caption in found] == list(CAPTIONS)
    seen, backwards = (
        model.decode(model.encode_video(VideoBatch(pixels)), attributes=task.attributes).spe
        for pixels in (batch.images.pixels, batch.images.pixels.flip(1))
    )
    assert not torch.allclose(seen, backwards), "time counts"


def test_videos_and_captions_find_each_other(
    model: UniPerceiver, tokenizer: Tokenizer, overfit: Callable[..., list[dict[str, float]]]
) -> None:
    task = make("retrieval", model, tokenizer)
    batch = task.collate(videos())
    history = overfit(model, task, batch, 60, rate=3e-3)
    assert {"video_to_text", "text_to_video"} < set(history[0])
    assert history[-1]["sum"] < 0.2 * history[0]["sum"]
    red, blue = task.predict(model, batch)
    assert red.image @ red.texts[0] > red.image @ blue.texts[0]
    assert blue.image @ blue.texts[0] > blue.image @ red.texts[0]


def test_a_video_lies_in_the_middle_of_its_views(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    task = make("retrieval", model, tokenizer)
    views = torch.randint(0, 255, (3, 4, 3, 32, 32), dtype=torch.uint8)
    (joint,) = task.predict(model.eval(), task.collate([CaptionedVideo(views, "a", CAPTIONS)]))
    alone = task.predict(model, task.collate([CaptionedVideo(view[None], "a", CAPTIONS[:1]) for view in views]))
    expected = F.normalize(torch.stack([torch.from_numpy(each.image) for each in alone]).mean(dim=0), dim=0)
    torch.testing.assert_close(torch.from_numpy(joint.image), expected, atol=1e-5, rtol=1e-5)
    assert joint.texts.shape == (2, 32)


def test_what_cannot_look_at_videos_says_so(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    task = make("captioning", model, tokenizer)
    with pytest.raises(ValueError, match="a caption is of one view of a video, got 3"):
        task.collate(videos(views=3))
    for kind in ("captioning", "retrieval"):
        config = TaskConfig(kind, SIZE, max_tokens=12, vocabulary_from_data=True)
        setting = TaskSetting(config, tokenizer, BackboneConfig(name="resnet10t"))
        with pytest.raises(ValueError, match="videos need a model whose f_image reads frames"):
            build_task(setting, find_candidates(setting, Texts())).collate(videos())

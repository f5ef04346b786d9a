"""The predictor: pictures and strings in, typed results out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, StoredTask
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.images import ImageError
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver

SIZE = ImageSizeConfig(train=64, test=64, test_longest=128)


@pytest.fixture
def predictor(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Predictor:
    words = tuple(range(5, 60))
    tasks = {
        "names": StoredTask(TaskConfig("classification", SIZE), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", SIZE), texts=("cat", "dog")),
        "captions": StoredTask(TaskConfig("captioning", SIZE, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
    }
    return Predictor(Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks))


def test_pictures_of_any_size_and_kind(predictor: Predictor, data: Path) -> None:
    pictures = [
        data / "images" / "0.png",
        str(data / "images" / "1.png"),
        Image.new("L", (32, 32)),
        Image.new("RGBA", (400, 30)),
        Image.new("CMYK", (1, 1)),
    ]
    assert len(predictor.classify(pictures)) == len(predictor.caption(pictures)) == 5
    for picture, detection in zip(pictures, predictor.detect(pictures), strict=True):
        size = picture.size if isinstance(picture, Image.Image) else (64, 48)
        assert detection.masks is not None
        assert detection.masks.shape[1:] == (size[1], size[0])


def test_a_picture_alone_and_among_others_is_the_same(predictor: Predictor, data: Path) -> None:
    pictures = [data / "images" / f"{index}.png" for index in range(3)]
    together = predictor.detect(pictures)
    for picture, expected in zip(pictures, together, strict=True):
        (alone,) = predictor.detect(picture)
        np.testing.assert_array_equal(alone.boxes, expected.boxes)
        np.testing.assert_array_equal(alone.scores, expected.scores)


def test_labels_are_any_texts_and_any_number(predictor: Predictor, data: Path) -> None:
    many = [f"thing {number}" for number in range(1203)]
    (result,) = predictor.classify(data / "images" / "0.png", labels=many)
    assert set(result.names) <= set(many)
    assert 0 < result.probabilities.sum() <= 1 + 1e-9
    (only,) = predictor.classify(data / "images" / "0.png", labels=["cat"])
    assert only.probabilities.tolist() == pytest.approx([1.0])
    (trained,) = predictor.classify(data / "images" / "0.png")
    assert set(trained.names) == {"cat", "dog", "tree"}


def test_mistakes_are_named(predictor: Predictor, data: Path) -> None:
    with pytest.raises(ValueError, match="labels is empty"):
        predictor.classify(data / "images" / "0.png", labels=[])
    with pytest.raises(ImageError, match=r"missing\.png"):
        predictor.classify(data / "missing.png")
    only_names = Checkpoint(predictor.model, predictor.checkpoint.tokenizer, {})
    with pytest.raises(ValueError, match="not trained for captioning"):
        Predictor(only_names).caption(data / "images" / "0.png")


@pytest.mark.parametrize("size", [(32, 32), (4000, 300), (300, 4000)])
def test_extreme_sizes(predictor: Predictor, size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 60).convert("RGB")
    (detection,) = predictor.detect(picture)
    assert np.isfinite(detection.boxes).all()
    assert detection.masks is not None
    assert detection.masks.shape[1:] == (size[1], size[0])
    assert predictor.classify(picture)[0].probabilities.sum() == pytest.approx(1)
    assert isinstance(predictor.caption(picture)[0].text, str)

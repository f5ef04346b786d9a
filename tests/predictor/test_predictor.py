"""The predictor: pictures and strings in, typed results out."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.batches import ImageBatch
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.data.images import ImageError
from uniperceiver.precision import computed_in

NOISE = 1e-4
"""What float sums in another order change in a result."""


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def count_encoded(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of pictures whenever f_image runs."""
    seen: list[int] = []
    encode = predictor.model.encode_image

    def counted(images: ImageBatch) -> Any:
        seen.append(images.size)
        return encode(images)

    monkeypatch.setattr(predictor.model, "encode_image", counted)
    return seen


def test_pictures_of_any_size_and_kind(predictor: Predictor, data: Path) -> None:
    pictures = [
        data / "images" / "0.png",
        str(data / "images" / "1.png"),
        Image.new("L", (32, 32)),
        Image.new("RGBA", (400, 30)),
        Image.new("CMYK", (1, 1)),
        np.zeros((20, 30, 3), dtype=np.uint8),
        torch.rand(3, 40, 20),
    ]
    sizes = [(48, 64), (48, 64), (32, 32), (30, 400), (1, 1), (20, 30), (40, 20)]
    assert len(predictor.classify(pictures)) == len(predictor.caption(pictures)) == len(pictures)
    for size, detection in zip(sizes, predictor.detect(pictures, threshold=0), strict=True):
        assert detection.masks is not None
        assert detection.masks.shape[1:] == size
        assert detection.draw().size == size[::-1]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_results_keep_the_order_and_do_not_depend_on_neighbours(checkpoint: Checkpoint, batch_size: int) -> None:
    pictures = [noise(64, 48, 1), noise(48, 64, 2), noise(64, 48, 3), noise(200, 60, 4), noise(64, 50, 5)]
    predictor = Predictor(checkpoint, batch_size=batch_size, remembered=0)
    together = predictor.detect(pictures, threshold=0)
    classes = predictor.classify(pictures)
    vectors = predictor.embed_image(pictures)
    captions = predictor.caption(pictures)
    for place, picture in enumerate(pictures):
        (alone,) = predictor.detect(picture, threshold=0)
        np.testing.assert_allclose(alone.boxes, together[place].boxes, atol=NOISE * 200)
        np.testing.assert_allclose(alone.scores, together[place].scores, atol=NOISE)
        np.testing.assert_allclose(
            predictor.classify(picture)[0].probabilities, classes[place].probabilities, atol=NOISE
        )
        np.testing.assert_allclose(predictor.embed_image(picture)[0], vectors[place], atol=NOISE)
        assert predictor.caption(picture)[0].text == captions[place].text


def test_a_picture_is_encoded_once_per_preparation(
    predictor: Predictor, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count_encoded(predictor, monkeypatch)
    path = data / "images" / "0.png"
    predictor.caption(path)
    assert seen == [1]
    predictor.match(path, ["a cat", "a dog"])
    predictor.embed_image(path)
    predictor.answer([path, path], ["is there a cat ?", "how many ?"])
    predictor.caption(Image.open(path))  # the same picture, found by its content
    assert seen == [1]
    predictor.detect(path)
    predictor.detect(path, ["bicycle"])
    assert seen == [1, 1]


def test_a_shared_encoding_serves_every_verb(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(checkpoint, share_encoding=True, remembered=0)
    seen = count_encoded(predictor, monkeypatch)
    (picture,) = predictor.look(noise(90, 60))
    predictor.classify(picture)
    predictor.detect(picture, threshold=0)
    predictor.caption(picture)
    predictor.match(picture, ["a cat"])
    predictor.answer(picture, "is there a cat ?")
    predictor.fill_mask("a [MASK]", picture)
    assert seen == [1]


def test_only_the_pictures_seen_last_are_remembered(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(checkpoint, remembered=2)
    seen = count_encoded(predictor, monkeypatch)
    for seed in (0, 1, 2, 0):
        predictor.caption(noise(64, 64, seed))
    assert seen == [1, 1, 1, 1]
    predictor.caption(noise(64, 64, 2))
    assert seen == [1, 1, 1, 1]


def test_labels_are_any_texts_and_any_number(predictor: Predictor, data: Path) -> None:
    many = [f"thing {number}" for number in range(1203)]
    (result,) = predictor.classify(data / "images" / "0.png", labels=many)
    assert set(result.names) <= set(many)
    assert 0 < result.probabilities.sum() <= 1 + 1e-9
    (detection,) = predictor.detect(data / "images" / "0.png", many, threshold=0)
    assert len(detection) == 100
    (only,) = predictor.classify(data / "images" / "0.png", labels=["cat"])
    assert only.probabilities.tolist() == pytest.approx([1.0])
    (trained,) = predictor.classify(data / "images" / "0.png")
    assert set(trained.names) == {"cat", "dog", "tree"}


def test_labels_are_encoded_once(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = predictor.model.encode_text, []
    monkeypatch.setattr(predictor.model, "encode_text", lambda text: (calls.append(text.size), encode(text))[1])
    for seed in range(3):
        predictor.classify(noise(40, 40, seed), ["cat", "dog"])
    assert sum(calls) == 2


def test_the_threshold_leaves_out_what_scores_less(predictor: Predictor) -> None:
    (everything,) = predictor.detect(noise(64, 64), threshold=0)
    middle = float(np.median(everything.scores))
    (best,) = predictor.detect(noise(64, 64), threshold=middle)
    expected = everything.at_least(middle)
    assert 0 < len(best) < len(everything)
    np.testing.assert_allclose(best.scores, expected.scores, atol=NOISE)
    assert best.masks is not None
    assert expected.masks is not None
    np.testing.assert_array_equal(best.masks, expected.masks)
    (nothing,) = predictor.detect(noise(64, 64), threshold=1)
    assert len(nothing) == 0
    assert nothing.to_json() == {"objects": []}
    assert nothing.draw().size == (64, 64)


def test_match_is_the_cosine_of_the_embeddings(predictor: Predictor) -> None:
    texts = ["a red car", "two dogs run", "a cat"]
    pictures = [noise(64, 64, 1), noise(70, 30, 2)]
    cosines = predictor.embed_image(pictures) @ predictor.embed_text(texts).T
    for row, match in zip(cosines, predictor.match(pictures, texts), strict=True):
        np.testing.assert_allclose(match.similarities, row, atol=NOISE)
        assert match.probabilities.sum() == pytest.approx(1)
        assert match.best == texts[int(row.argmax())]
        tau = predictor.model.temperature().item()
        np.testing.assert_allclose(match.probabilities, np.exp(row / tau) / np.exp(row / tau).sum(), rtol=1e-2)
    assert predictor.embed_image([]).shape == (0, 40)
    np.testing.assert_allclose(np.linalg.norm(predictor.embed_text("a cat"), axis=1), 1, atol=1e-5)


def test_answers_are_among_the_candidates(predictor: Predictor) -> None:
    (trained,) = predictor.answer(noise(64, 64), "is there a cat ?")
    assert set(trained.answers) == {"yes", "no", "three"}
    assert trained.probabilities.sum() == pytest.approx(1)
    (own,) = predictor.answer(noise(64, 64), "is there a cat ?", ["red", "blue"])
    assert set(own.answers) == {"red", "blue"}
    with pytest.raises(ValueError, match="a question is blank"):
        predictor.answer(noise(64, 64), " ")
    with pytest.raises(ValueError, match="2 questions for 1 pictures"):
        predictor.answer(noise(64, 64), ["is there ?", "how many ?"])


def test_masks_are_filled_with_and_without_a_picture(predictor: Predictor) -> None:
    alone = predictor.fill_mask(["a [MASK] car", "two [MASK] run on the <mask> ."])
    assert [len(slots) for slots in alone] == [1, 2]
    beside = predictor.fill_mask(["a [MASK] car", "two [MASK] run on the <mask> ."], noise(64, 64))
    assert [len(slots) for slots in beside] == [1, 2]
    assert (alone[0][0].probabilities != beside[0][0].probabilities).any()
    with pytest.raises(ValueError, match=r"write \[MASK\]"):
        predictor.fill_mask("a red car")
    with pytest.raises(ValueError, match="shorten it"):
        predictor.fill_mask("a car " * 12 + "[MASK]")
    with pytest.raises(ValueError, match="2 pictures for 1 texts"):
        predictor.fill_mask("a [MASK]", [noise(8, 8), noise(8, 8, 1)])


def test_mistakes_are_named(predictor: Predictor, data: Path) -> None:
    picture = data / "images" / "0.png"
    for labels, message in (([], "empty"), (["a", " "], "label 1 is blank"), (["a", "a"], "given twice")):
        with pytest.raises(ValueError, match=message):
            predictor.classify(picture, labels=labels)
    with pytest.raises(ValueError, match="list of texts"):
        predictor.classify(picture, labels="cat")
    with pytest.raises(ImageError, match=r"missing\.png"):
        predictor.classify(data / "missing.png")
    with pytest.raises(ValueError, match="batch_size"):
        Predictor(predictor.checkpoint, batch_size=0)
    only_names = Checkpoint(predictor.model, predictor.checkpoint.tokenizer, {})
    with pytest.raises(ValueError, match="not trained for captioning"):
        Predictor(only_names).caption(picture)


def test_nothing_gives_no_results(predictor: Predictor) -> None:
    assert predictor.classify([]) == predictor.detect([]) == predictor.caption([]) == predictor.fill_mask([]) == []
    width = predictor.model.config.decoder.width
    assert predictor.embed_image([]).shape == predictor.embed_text([]).shape == (0, width)


def test_a_text_may_be_embedded_several_times(predictor: Predictor) -> None:
    """Unlike a label, of which a probability would be split."""
    vectors = predictor.embed_text(["a dog", "a car", "a dog"])
    assert vectors.shape == (3, predictor.model.config.decoder.width)
    assert np.array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(vectors[:2], predictor.embed_text(["a dog", "a car"]), atol=1e-6)
    assert abs(vectors[0] - vectors[1]).max() > 1e-4


@pytest.mark.parametrize("size", [(32, 32), (4000, 300), (300, 4000)])
def test_extreme_sizes(predictor: Predictor, size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 60).convert("RGB")
    (detection,) = predictor.detect(picture, threshold=0)
    assert np.isfinite(detection.boxes).all()
    assert detection.masks is not None
    assert detection.masks.shape[1:] == (size[1], size[0])
    assert predictor.classify(picture)[0].probabilities.sum() == pytest.approx(1)
    assert isinstance(predictor.caption(picture)[0].text, str)


def test_boxes_of_a_rotated_photograph_are_in_upright_pixels(predictor: Predictor, tmp_path: Path) -> None:
    upright = noise(60, 90)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned by 90 degrees clockwise
    upright.rotate(90, expand=True).save(tmp_path / "lying.png", exif=exif)
    (turned,) = predictor.detect(tmp_path / "lying.png", threshold=0)
    (expected,) = predictor.detect(upright, threshold=0)
    np.testing.assert_allclose(turned.boxes, expected.boxes)
    assert turned.draw().size == (60, 90)


def test_bfloat16_is_close_to_float32_and_results_are_float32(checkpoint: Checkpoint) -> None:
    exact, reduced = (Predictor(checkpoint, precision=precision) for precision in ("float32", "bfloat16"))
    pictures, close = [noise(64, 48, 1), noise(48, 64, 2)], 0.05
    expected, found = exact.embed_image(pictures), reduced.embed_image(pictures)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=close)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(reduced.embed_text(["a red car"]), exact.embed_text(["a red car"]), atol=close)
    assert len(reduced.caption(pictures)) == 2
    (one,), (other,) = (each.classify(pictures[0], ["cat", "dog"]) for each in (exact, reduced))
    assert dict(zip(other.names, other.probabilities, strict=True)) == pytest.approx(
        dict(zip(one.names, one.probabilities, strict=True)), abs=close
    )
    for each in (exact, reduced):
        (detection,) = each.detect(pictures[0], threshold=0)
        assert detection.masks is not None
        assert detection.boxes.dtype == detection.scores.dtype == np.float64
    assert reduced.match(pictures[0], ["a cat", "a dog"])[0].probabilities.sum() == pytest.approx(1)
    assert reduced.answer(pictures[0], "how many ?")[0].probabilities.dtype == np.float64
    assert len(reduced.fill_mask("a [MASK] car")[0]) == 1
    chosen = Predictor(checkpoint, precision="auto").precision
    assert chosen == computed_in("auto", torch.device("cpu")) != "auto"
    with pytest.raises(ValueError, match="precision is one of float32, bfloat16, auto, got 'int8'"):
        Predictor(checkpoint, precision="int8")  # type: ignore[arg-type]


def test_from_pretrained_hands_on_every_option(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.from_pretrained(
        untrained, batch_size=1, remembered=0, share_encoding=True, precision="bfloat16"
    )
    assert predictor.precision == "bfloat16"
    assert predictor.fingerprint != Predictor.from_pretrained(untrained).fingerprint  # all verbs see a picture alike
    seen = count_encoded(predictor, monkeypatch)
    predictor.embed_image([noise(64, 64, 1), noise(64, 64, 2)])
    predictor.embed_image(noise(64, 64, 2))
    assert seen == [1, 1, 1]


def test_the_fingerprint_is_that_of_the_embeddings(checkpoint: Checkpoint) -> None:
    first = Predictor(checkpoint).fingerprint
    assert first == Predictor(checkpoint).fingerprint
    assert len(first) == 32
    tasks = dict(checkpoint.tasks)
    config = tasks["pairs"].config
    tasks["pairs"] = replace(tasks["pairs"], config=replace(config, image=replace(config.image, test=96)))
    assert Predictor(replace(checkpoint, tasks=tasks)).fingerprint != first
    other = copy.deepcopy(checkpoint.model)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1
    assert Predictor(replace(checkpoint, model=other)).fingerprint != first

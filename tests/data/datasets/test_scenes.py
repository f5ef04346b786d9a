from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as codec

from uniperceiver.config import FrameSamplingConfig, ImageSizeConfig, ScenesConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.scenes import VIEWS, Scenes, SceneView
from uniperceiver.data.scenes.sources import CutoutError
from uniperceiver.data.transforms import test_transform as transform_for_test


def scenes(view: str, split: str = "train", **settings) -> Scenes:
    return open_dataset(ScenesConfig(**({"view": view, "split": split, "images": 24, "size": 96} | settings)))


def all_of(dataset):
    return [dataset[index] for index in range(len(dataset))]


def test_objects() -> None:
    dataset = scenes("objects")
    assert len(dataset) == 24
    assert repr(dataset) == "scenes of shapes, objects of train (24 records, 12 training names, seed 0)"
    for record in all_of(dataset):
        count = len(record.labels)
        assert record.image.shape == (3, 96, 96)
        assert record.image.dtype == torch.uint8
        assert record.masks.shape == (count, 96, 96)
        assert record.masks.dtype == record.is_crowd.dtype == torch.bool
        assert record.boxes.dtype == torch.float32
        assert record.labels.dtype == torch.int64
        assert record.original_size == (96, 96)
        assert record.labels.max() < len(dataset.names)


def test_reference_is_of_the_record_before_its_transform() -> None:
    dataset = scenes("objects")
    record = dataset[7]
    resized = transform_for_test("detection", ImageSizeConfig(test=200))(record)
    reference = dataset.reference(resized)
    assert (reference.image_id, reference.size) == (record.image_id, (96, 96))
    np.testing.assert_array_equal(reference.boxes, record.boxes.numpy())
    np.testing.assert_array_equal(codec.decode(reference.masks).transpose(2, 0, 1), record.masks.numpy())
    np.testing.assert_array_equal(reference.areas, record.masks.sum(dim=(1, 2)).numpy())
    np.testing.assert_array_equal(reference.labels, record.labels.numpy())


def test_objects_without_painting() -> None:
    dataset = scenes("objects", occlusion=0.0)
    for record, (boxes, labels) in zip(all_of(dataset), dataset.objects(), strict=True):
        np.testing.assert_allclose(boxes * 96, record.boxes.numpy(), atol=1.6)
        np.testing.assert_array_equal(labels, record.labels.numpy())


def test_labels_take_turns_and_are_of_one_object() -> None:
    dataset = scenes("labels")
    assert [record.label for record in all_of(dataset)] == [index % 12 for index in range(24)]
    assert len({record.image_id for record in all_of(dataset)}) == 24


def test_captions_questions_and_objects_are_of_the_same_scenes() -> None:
    objects, captions, questions = scenes("objects"), scenes("captions"), scenes("questions", questions=2)
    assert len(questions) == 48
    for index in (0, 5, 23):
        assert objects[index].image_id == captions[index].image_id == questions[2 * index + 1].image_id
        assert torch.equal(objects[index].image, captions[index].image)
        assert torch.equal(objects[index].image, questions[2 * index + 1].image)
        first, second = questions[2 * index], questions[2 * index + 1]
        assert first.others == ((second.question, second.answers),)
        shown = {objects.names[label] for label in objects[index].labels}
        assert captions.shown_names(captions[index]) == shown


def test_texts_and_answers_are_those_of_the_records() -> None:
    captions, questions, texts = scenes("captions"), scenes("questions"), scenes("texts")
    assert list(captions.texts()) == [caption for record in all_of(captions) for caption in record.captions]
    assert list(questions.answers()) == [record.answers for record in all_of(questions)]
    assert list(texts.texts()) == [record.text for record in all_of(texts)]
    assert set(captions.texts()) < set(texts.texts())


def test_clips_of_both_views_are_the_same() -> None:
    motions, captions = scenes("motions"), scenes("motion_captions")
    assert motions.names == ("moving to the left", "moving to the right", "moving up", "moving down")
    assert repr(motions) == "scenes of shapes, motions of train (24 records, 12 training names, seed 0)"
    for index, (motion, caption) in enumerate(zip(all_of(motions), all_of(captions), strict=True)):
        assert motion.image_id == caption.image_id == f"clip-train-{index}"
        assert motion.frames.shape == (1, 8, 3, 96, 96)
        assert motion.frames.dtype == torch.uint8
        assert torch.equal(motion.frames, caption.frames)
        assert motion.label == index % 4
        assert all(motions.names[motion.label].removeprefix("moving ") in text for text in caption.captions)
        assert captions.shown_names(caption) == frozenset(captions.source.clip(index).middle.counts())
    assert list(captions.texts()) == [text for record in all_of(captions) for text in record.captions]
    held_out = scenes("motion_captions", categories="held_out", held_out=3)
    assert len(held_out.names) == 3
    assert held_out[0].image_id == "clip-train-held-out-0"
    assert held_out.shown_names(held_out[1]) <= set(held_out.names)


def test_frames_of_clips_are_sampled_as_those_of_videos() -> None:
    """Seven frames: evenly spaced, interleaved in several clips, from a random start with a stride."""
    every = scenes("motions", frames=7, sampling=FrameSamplingConfig(7))[5].frames[0]
    assert len({frame.numpy().tobytes() for frame in every}) == 7
    evenly = scenes("motions", frames=7, sampling=FrameSamplingConfig(3))[5].frames
    assert torch.equal(evenly[0], every[[1, 3, 5]])
    views = scenes("motions", frames=7, sampling=FrameSamplingConfig(3, clips=2))[5].frames
    assert torch.equal(views, torch.stack([every[[0, 2, 5]], every[[1, 4, 6]]]))
    strided = scenes("motions", frames=7, sampling=FrameSamplingConfig(2, stride=15))  # half a second: four frames
    starts = set()
    for seed in range(12):
        torch.manual_seed(seed)
        first, second = strided[5].frames[0]
        start = next(number for number in range(7) if torch.equal(first, every[number]))
        assert torch.equal(second, every[start + 4])
        starts.add(start)
    assert starts == {0, 1}


@pytest.mark.parametrize("view", VIEWS)
def test_records_past_the_end(view: str) -> None:
    dataset = scenes(view)
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    with pytest.raises(IndexError):
        dataset[-1]


def test_a_record_depends_on_neither_the_length_nor_the_order() -> None:
    short, long = scenes("objects", images=5), scenes("objects", images=500)
    last = long[499]
    for index in (4, 0):
        assert torch.equal(short[index].image, long[index].image)
    assert torch.equal(last.image, long[499].image)


def test_splits_and_seeds_give_other_scenes() -> None:
    firsts = [scenes("objects", split, seed=seed)[0] for split in ("train", "val", "test") for seed in (0, 1)]
    pictures = {record.image.numpy().tobytes() for record in firsts}
    assert len(pictures) == 6
    assert len({record.image_id for record in firsts}) == 3


def test_held_out_names_occur_in_their_part_alone() -> None:
    settings = {"names": 8, "held_out": 4}
    known, novel = scenes("objects", **settings), scenes("objects", categories="held_out", **settings)
    assert (len(known.names), len(novel.names)) == (8, 4)
    assert not set(known.names) & set(novel.names)
    assert known[0].image_id != novel[0].image_id
    assert scenes("captions", **settings).names == known.names
    captions = scenes("captions", categories="held_out", **settings)
    assert set.union(*(set(captions.shown_names(record)) for record in all_of(captions))) == set(novel.names)


def test_names_that_cannot_be_drawn() -> None:
    with pytest.raises(CutoutError, match="the cut-outs have 12"):
        scenes("objects", names=10, held_out=5)


def test_views_share_their_cutouts_in_memory() -> None:
    views: list[SceneView] = [scenes("objects"), scenes("captions")]
    assert views[0].source.cutouts is views[1].source.cutouts


@pytest.mark.parametrize(
    "wrong",
    [
        {"objects": (4, 2)},
        {"objects": (1, 13)},
        {"categories": "held_out"},
        {"size": 32},
        {"view": "boxes"},
        {"frames": 1},
    ],
)
def test_settings_that_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"objects|held_out|size|view|frames"):
        scenes(**({"view": "objects"} | wrong))

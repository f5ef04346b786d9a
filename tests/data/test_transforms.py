from __future__ import annotations

import pickle
from typing import get_args

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from uniperceiver.boxes import masks_to_boxes
from uniperceiver.config import ImageSizeConfig, TaskKind
from uniperceiver.data import transforms
from uniperceiver.data.detection_transforms import (
    MIN_OBJECT_PIXELS,
    PADDING_GREY,
    DetectionCrop,
    LargeScaleJitter,
    RandomShorterSide,
)
from uniperceiver.data.records import (
    AnnotatedImage,
    AnsweredQuestion,
    CaptionedImage,
    LabelledImage,
    QuestionedImage,
    Record,
    TextRecord,
)

SIZES = [(1, 1), (48, 64), (64, 48), (200, 8000), (8000, 200)]
PICTURE_TASKS: list[TaskKind] = ["classification", "captioning", "retrieval", "visual_question_answering"]


def record_for(kind: TaskKind, image: Tensor) -> Record:
    if kind == "classification":
        return LabelledImage(image, "a", 3)
    if kind == "visual_question_answering":
        return QuestionedImage(image, "a", "left?", ("yes",))
    return CaptionedImage(image, "a", ("a cat",))


def noise(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def annotated(height: int, width: int, boxes: list[list[int]]) -> AnnotatedImage:
    """Objects are filled rectangles; the picture is red where object 0 is, green where object 1 is."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        masks[index, y0:y1, x0:x1] = True
        image[index, y0:y1, x0:x1] = 255
    return AnnotatedImage(
        image,
        "a",
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks,
        torch.arange(len(boxes)),
        torch.arange(len(boxes)) != 0,
        torch.arange(len(boxes)) == 1,
        (height, width),
    )


def test_every_task_has_both_transforms_and_they_can_be_sent_to_workers() -> None:
    for kind in get_args(TaskKind):
        for make in (transforms.train_transform, transforms.test_transform):
            assert callable(pickle.loads(pickle.dumps(make(kind, ImageSizeConfig()))))


@pytest.mark.parametrize("kind", PICTURE_TASKS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pictures_become_squares(kind: TaskKind, height: int, width: int) -> None:
    size = ImageSizeConfig(train=32, test=40)
    record = record_for(kind, noise(height, width))
    trained = transforms.train_transform(kind, size)(record)
    tested = transforms.test_transform(kind, size)(record)
    assert trained.image.dtype == tested.image.dtype == torch.uint8
    assert (tuple(trained.image.shape), tuple(tested.image.shape)) == ((3, 32, 32), (3, 40, 40))
    assert type(trained) is type(record)
    assert trained.image_id == "a"


def test_half_of_the_questions_are_mirrored_with_their_words() -> None:
    """The bright half is to the right, and whoever is asked about it says so, however the picture is turned."""
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, :, 16:] = 255
    others = (AnsweredQuestion("what is left?", ("night", "left")),)
    record = QuestionedImage(image, "a", "what is right?", ("day", "right"), others, 7, "other")
    transform = transforms.train_transform(
        "visual_question_answering", ImageSizeConfig(train=32, shorter_side=(32, 32), swap_sides=True)
    )
    seen: dict[bool, QuestionedImage] = {}
    for _ in range(20):
        cropped = transform(record)
        assert isinstance(cropped, QuestionedImage)
        seen[bool(cropped.image[0, 0, -1] == 255)] = cropped
    assert (seen[True].question, seen[True].answers, seen[True].others) == (record.question, record.answers, others)
    mirrored = seen[False]
    assert torch.equal(mirrored.image, image.flip(2))
    assert (mirrored.question, mirrored.answers) == ("what is left?", ("day", "left"))
    assert mirrored.others == (AnsweredQuestion("what is right?", ("night", "right")),)
    assert (mirrored.question_id, mirrored.answer_type) == (7, "other")


def test_a_question_is_never_flipped_and_a_class_half_of_the_time() -> None:
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, :, 16:] = 255
    size = ImageSizeConfig(train=32, scale=(0.99, 1.0))

    def flips(kind: TaskKind) -> int:
        transform = transforms.train_transform(kind, size)
        views = [transform(record_for(kind, image)).image.float() for _ in range(60)]
        return sum(float(view[:, :, :8].mean()) > float(view[:, :, -8:].mean()) for view in views)

    assert flips("visual_question_answering") == 0
    assert 15 < flips("classification") < 45
    assert 15 < flips("captioning") < 45


def test_evaluation_keeps_the_whole_picture_of_a_caption_and_the_centre_of_a_class() -> None:
    image = torch.zeros(3, 32, 96, dtype=torch.uint8)
    image[:, :, :32] = 255  # the left third
    size = ImageSizeConfig(test=48)
    captioned = transforms.test_transform("captioning", size)(record_for("captioning", image))
    classified = transforms.test_transform("classification", size)(record_for("classification", image))
    assert float(captioned.image.float().mean()) == pytest.approx(255 / 3, rel=0.02)
    assert int(classified.image.max()) == 0


def test_centre_crop_is_resize_then_crop() -> None:
    from torchvision.transforms.v2 import CenterCrop, Compose, InterpolationMode, Resize

    image = noise(60, 75)
    expected = Compose([Resize(256, interpolation=InterpolationMode.BICUBIC), CenterCrop(224)])(image)
    got = transforms.test_transform("classification", ImageSizeConfig())(LabelledImage(image, "a", 0))
    assert torch.equal(got.image, expected)


def test_texts_pass_and_wrong_records_are_errors() -> None:
    size = ImageSizeConfig()
    text = TextRecord("a")
    picture = LabelledImage(noise(4, 4), "a", 0)
    for kind in ("masked_language_modeling", "language_modeling"):
        assert transforms.train_transform(kind, size)(text) is text
    with pytest.raises(TypeError, match="reads texts"):
        transforms.train_transform("text_classification", size)(picture)
    with pytest.raises(TypeError, match=r"reads pictures with annotated objects .* LabelledImage"):
        transforms.train_transform("detection", size)(picture)
    for record in (text, annotated(4, 4, [])):
        with pytest.raises(TypeError, match="does the stream's data set fit its task"):
            transforms.train_transform("captioning", size)(record)


@pytest.mark.parametrize(
    "size",
    [ImageSizeConfig(train=64, scale=(0.1, 2.0)), ImageSizeConfig(train=64, shorter_side=(20, 120), longest=160)],
    ids=["jitter", "shorter side"],
)
def test_boxes_masks_and_pixels_stay_together_in_training(size: ImageSizeConfig) -> None:
    record = annotated(48, 60, [[5, 4, 25, 40], [30, 10, 58, 30]])
    transform = transforms.train_transform("detection", size)
    seen = 0
    for seed in range(40):
        torch.manual_seed(seed)
        got = transform(record)
        assert tuple(got.image.shape) == (3, 64, 64)
        assert tuple(got.masks.shape) == (len(got.labels), 64, 64)
        assert got.masks.dtype == torch.bool
        assert torch.equal(got.boxes, masks_to_boxes(got.masks))
        assert torch.equal(got.is_crowd, got.labels == 1)
        assert got.original_size == (48, 60)
        for label, mask in zip(got.labels.tolist(), got.masks, strict=True):
            colour = (got.image[label].float() - got.image[2].float()) > 127
            overlap = float((colour & mask).sum() / (colour | mask).sum())
            assert overlap > 0.8 or int(mask.sum()) < 60
            seen += 1
    assert seen > 40


def test_padding_is_grey_and_holds_no_object() -> None:
    record = annotated(40, 20, [[0, 0, 20, 40]])
    got = DetectionCrop(64, LargeScaleJitter(64, (0.5, 0.5)), flip=True)(record)
    assert torch.equal(got.boxes, torch.tensor([[0.0, 0, 16, 32]]))
    outside = ~got.masks[0]
    assert (got.image[:, outside] == PADDING_GREY).all()
    assert (got.image[0, ~outside] == 255).all()


def test_objects_outside_the_crop_and_tiny_ones_are_removed() -> None:
    record = annotated(64, 64, [[30, 30, 33, 33], [0, 0, 64, 64]])
    kept = set()
    for seed in range(20):
        torch.manual_seed(seed)
        got = DetectionCrop(32, LargeScaleJitter(32, (2.0, 2.0)), flip=True)(record)
        assert int(got.masks.flatten(1).sum(1).min()) >= MIN_OBJECT_PIXELS
        kept.add(tuple(got.labels.tolist()))
    assert kept == {(1,), (0, 1)}
    shrunk = DetectionCrop(16, LargeScaleJitter(16, (1.0, 1.0)), flip=True)(record)
    assert shrunk.labels.tolist() == [1]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_extreme_shapes_and_pictures_without_objects(height: int, width: int) -> None:
    size = ImageSizeConfig(train=64, scale=(0.1, 2.0), test=48, test_longest=96)
    trained = transforms.train_transform("detection", size)(annotated(height, width, []))
    assert tuple(trained.image.shape) == (3, 64, 64)
    assert (tuple(trained.masks.shape), tuple(trained.boxes.shape)) == ((0, 64, 64), (0, 4))
    tested = transforms.test_transform("detection", size)(annotated(height, width, [[0, 0, width, height]]))
    assert max(tested.image.shape[1:]) <= 96
    assert tuple(tested.masks.shape[1:]) == tuple(tested.image.shape[1:])
    assert tested.masks.all()
    assert tested.boxes[0].tolist() == pytest.approx([0, 0, *reversed(tested.image.shape[1:])])


def test_evaluation_of_detection_keeps_aspect_and_all_objects() -> None:
    record = annotated(40, 60, [[5, 4, 25, 40], [30, 10, 31, 11]])
    got = transforms.test_transform("detection", ImageSizeConfig(test=80, test_longest=1000))(record)
    assert tuple(got.image.shape) == (3, 80, 120)
    assert torch.equal(got.boxes, record.boxes * 2)
    assert torch.equal(got.masks[0], record.masks[0].repeat_interleave(2, 0).repeat_interleave(2, 1))
    bounded = transforms.test_transform("detection", ImageSizeConfig(test=80, test_longest=30))(record)
    assert tuple(bounded.image.shape) == (3, 20, 30)
    assert len(bounded.labels) == 2
    overlaps = box_iou(bounded.boxes[:1], masks_to_boxes(bounded.masks[:1]))
    assert float(overlaps[0, 0]) > 0.8


def test_the_shorter_side_is_drawn_from_the_range_of_appendix_b() -> None:
    resizing = RandomShorterSide((200, 1800), 2400)
    drawn = [resizing(500, 600) for _ in range(400)]
    shorter = [height for height, _ in drawn]
    assert min(shorter) >= 200
    assert max(shorter) <= 1800
    assert min(shorter) < 300
    assert max(shorter) > 1700
    assert all(abs(width / height - 1.2) < 0.01 for height, width in drawn)
    assert max(max(resizing(200, 800)) for _ in range(50)) <= 2400


def test_randomness_is_torchs_default_generator() -> None:
    record = annotated(48, 60, [[5, 4, 25, 40]])
    for kind, given in (("detection", record), ("classification", LabelledImage(noise(30, 30), "a", 0))):
        transform = transforms.train_transform(kind, ImageSizeConfig(train=32))
        first, second = ((torch.manual_seed(5), transform(given).image)[1] for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.parametrize("kind", ["classification", "captioning", "retrieval"])
def test_pictures_are_mirrored_only_where_it_is_allowed(kind: TaskKind) -> None:
    left_is_white = torch.zeros(3, 32, 32, dtype=torch.uint8)
    left_is_white[:, :, :16] = 255
    sides = {}
    for flip in (True, False):
        transform = transforms.train_transform(kind, ImageSizeConfig(train=32, scale=(1.0, 1.0), flip=flip))
        pictures = [transform(CaptionedImage(left_is_white, "", ("a",))).image for _ in range(20)]
        sides[flip] = {bool(picture[0, 16, 4] > 128) for picture in pictures}
    assert sides == {True: {True, False}, False: {True}}

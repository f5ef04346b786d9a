from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from uniperceiver.config import (
    FoldConfig,
    HuggingFaceConfig,
    ImageListConfig,
    ImageTextPairsConfig,
    ScenesConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
    VocConfig,
)
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import find_video
from uniperceiver.data.doctor import check_data, pairs
from uniperceiver.data.recognition.found import RecognitionError, split_of
from uniperceiver.data.recognition.image_lists import is_image_list
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.recognition.tables import IMAGE_COLUMNS, TEXT_COLUMNS, lists_videos
from uniperceiver.data.scenes.export import compose

Write = Callable[[str], Path]
SPLIT_OFF = "no other part was found"


@pytest.mark.parametrize(
    ("name", "group", "origin"),
    [
        ("coco_instances", "coco_instances", "instances_val2017.json"),
        ("yolo", "yolo", "images/val"),
        ("voc", "voc", "Segmentation/val.txt"),
        ("image_folder", "image_folder", "val"),
        ("image_list", "image_list", "meta/val.txt"),
        ("webdataset", "webdataset", "val-00000.tar"),
        ("coco_captions", "coco_captions", SPLIT_OFF),
        ("karpathy", "karpathy_captions", "dataset.json"),
        ("table", "image_text_pairs", SPLIT_OFF),
        ("json_lines", "image_text_pairs", SPLIT_OFF),
        ("webdataset_pairs", "webdataset_pairs", "val-00000.tar"),
        ("visual_genome", "visual_genome", SPLIT_OFF),
        ("vqa", "vqa", SPLIT_OFF),
        ("plain_text", "plain_text", SPLIT_OFF),
    ],
)
def test_folders_are_recognised_with_their_parts(write_format: Write, name: str, group: str, origin: str) -> None:
    (found,) = recognise(write_format(name))
    assert found.group == group
    assert origin in found.origin
    assert found.training != found.evaluation
    if origin == SPLIT_OFF:
        assert found.evaluation.fold == FoldConfig(10, held_out=True)
        assert found.training.fold == FoldConfig(10, held_out=False)


def test_a_saved_hugging_face_data_set_may_serve_several_tasks(write_format: Write) -> None:
    labels, captions = recognise(write_format("hugging_face"))
    assert isinstance(labels.training, HuggingFaceConfig)
    assert (labels.training.target, labels.training.split) == ("label", "train")
    assert (captions.group, captions.tasks) == ("captions", ("captioning", "retrieval"))
    assert isinstance(captions.evaluation, HuggingFaceConfig)
    assert captions.evaluation.split == "test"


@pytest.mark.parametrize(
    ("name", "file", "group"),
    [
        ("coco_instances", "annotations/instances_train2017.json", "coco_instances"),
        ("yolo", "data.yaml", "yolo"),
        ("image_list", "meta/train.txt", "image_list"),
        ("vqa", "questions_train.json", "vqa"),
        ("webdataset_pairs", "train-00000.tar", "webdataset_pairs"),
        ("json_lines", "pairs.jsonl", "image_text_pairs"),
        ("plain_text", "train.txt", "plain_text"),
    ],
)
def test_single_files_are_recognised(write_format: Write, name: str, file: str, group: str) -> None:
    (found,) = recognise(write_format(name) / file)
    assert found.group == group


def test_content_decides_not_names(write_format: Write) -> None:
    folder = write_format("coco_captions")
    (folder / "captions_train.json").rename(folder / "instances_val2014.json")
    assert recognise(folder)[0].group == "coco_captions"


def test_composed_scenes_are_recognised_as_all_that_they_are(tmp_path: Path) -> None:
    config = ScenesConfig(view="objects", split="train", images=3, held_out=2, size=64)
    compose(config, tmp_path / "composed")
    found = {entry.group: entry for entry in recognise(tmp_path / "composed")}
    assert set(found) == {"coco_instances", "karpathy_captions", "vqa"}
    assert "not used" in found["coco_instances"].origin
    assert "instances_novel.json" in found["coco_instances"].origin


def test_a_table_that_is_called_a_text_is_no_text(write_format: Write) -> None:
    root = write_format("table")
    (root / "pairs.csv").rename(root / "captions.txt")
    for path in (root, root / "captions.txt"):
        with pytest.raises(RecognitionError, match=r"begins as a table with the columns filename, caption: call it"):
            recognise(path)


def test_hidden_folders_are_no_classes(write_format: Write) -> None:
    root = write_format("image_folder") / "train"
    (root / ".thumbnails").mkdir()
    (found,) = recognise(root)
    assert found.group == "image_folder"


def test_masks_of_voc_are_used_only_where_they_are(write_format: Write) -> None:
    folder = write_format("voc")
    assert recognise(folder)[0].training == VocConfig(str(folder), split="train", masks=True)
    shutil.rmtree(folder / "ImageSets")
    (folder / "SegmentationObject/000000000000.png").unlink()
    assert recognise(folder)[0].training.masks is False


def test_roboflow_layout_and_missing_parts(write_format: Write) -> None:
    folder = write_format("yolo")
    for part in ("train", "val"):
        (folder / part).mkdir()
        for kind in ("images", "labels"):
            (folder / kind / part).rename(folder / part / kind)
    (folder / "data.yaml").write_text(
        "train: ../train/images\nval: ../val/images\ntest: ../test/images\nnames: [a, b]\n"
    )
    (found,) = recognise(folder)
    assert found.training.images == str(folder / "train/images")
    (folder / "data.yaml").write_text("train: ../nothing/images\nnames: [a, b]\n")
    with pytest.raises(RecognitionError, match=r"`train` is '\.\./nothing/images'"):
        recognise(folder)
    (folder / "data.yaml").unlink()
    with pytest.raises(RecognitionError, match="no class names: looked for"):
        recognise(folder)
    (folder / "classes.txt").write_text("a\nb\n")
    assert recognise(folder)[0].evaluation.images == str(folder / "val/images")


def test_lists_of_videos(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    for name, text in (("train.csv", "a.mp4,run"), ("kinetics.csv", "label,youtube_id,time_start\nrun,a,3")):
        (tmp_path / name).write_text(text)
        (found,) = recognise(tmp_path / name)
        assert isinstance(found.training, VideoCsvConfig)
        assert found.training.videos == str(tmp_path / "videos")


def test_videos_as_cameras_name_them(tmp_path: Path) -> None:
    (tmp_path / "GOPR1.MP4").touch()
    for name, text in (("train.csv", "GOPR1.MP4,run"), ("captions.csv", "video,caption\nGOPR1,a man runs")):
        (tmp_path / name).write_text(text)
        (found,) = recognise(tmp_path / name)
        assert isinstance(found.training, VideoCsvConfig | VideoCaptionsConfig)
        assert found.training.videos == str(tmp_path)
    assert find_video(tmp_path, "GOPR1", "") == tmp_path / "GOPR1.MP4"


def test_shards_in_a_folder_of_any_name(write_format: Write, tmp_path: Path) -> None:
    folder = shutil.copytree(write_format("webdataset"), tmp_path / "photos [1]")
    (found,) = recognise(folder)
    assert len(open_dataset(found.training)) > 0


@pytest.mark.parametrize(
    ("line", "is_list"),
    [
        ("clips/a b.MOV 12", True),
        ('"a.m4v",run', True),
        ("a.mp4;run", True),
        ("the film began.moved to tears,good", False),
        ("text,label", False),
    ],
)
def test_only_whole_endings_make_a_list_of_videos(tmp_path: Path, line: str, is_list: bool) -> None:
    (tmp_path / "train.csv").write_text(line)
    assert lists_videos(tmp_path / "train.csv") == is_list


def test_what_is_not_recognised_says_what_was_looked_for(tmp_path: Path, write_format: Write) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        recognise(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecognitionError, match=r"Looked for:\n.*COCO instances(.|\n)*one folder of pictures per class"):
        recognise(tmp_path / "empty")
    (tmp_path / "empty" / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RecognitionError, match="a column with pictures"):
        recognise(tmp_path / "empty" / "table.csv")
    for other in ("[1, 2]", "{}", '"text"', '{"images": [], "annotations": [3]}'):
        (tmp_path / "empty" / "other.json").write_text(other)
        with pytest.raises(RecognitionError, match="no data set that is known"):
            recognise(tmp_path / "empty" / "other.json")
    (tmp_path / "empty" / "broken.json").write_text("{")
    with pytest.raises(DatasetError, match=r"broken\.json is not valid JSON"):
        recognise(tmp_path / "empty")


def test_several_of_one_kind_are_ambiguous(write_format: Write) -> None:
    folder = write_format("coco_captions")
    shutil.copy(folder / "captions_train.json", folder / "more_train.json")
    with pytest.raises(RecognitionError, match=r"several coco_captions .*captions_train\.json, .*more_train\.json"):
        recognise(folder)


def test_pictures_that_are_not_found_or_found_twice(write_format: Write) -> None:
    folder = write_format("coco_captions")
    shutil.copytree(folder / "images", folder / "copy")
    with pytest.raises(RecognitionError, match=r"in several folders: .*copy, .*images"):
        recognise(folder)
    shutil.rmtree(folder / "copy")
    shutil.rmtree(folder / "images")
    with pytest.raises(RecognitionError, match=r"looked for 000000000000\.jpg in"):
        recognise(folder)


def test_questions_need_answers_and_shards_need_names(write_format: Write) -> None:
    questions = write_format("vqa")
    (questions / "annotations_train.json").write_text(json.dumps({"annotations": []}))
    with pytest.raises(RecognitionError, match="0 JSON files answer them all"):
        recognise(questions)
    asked = {"questions": [{"question_id": 0, "image_id": [], "question": "why ?"}, 5]}
    (questions / "questions_train.json").write_text(json.dumps(asked))
    with pytest.raises(RecognitionError, match="0 JSON files answer them all"):
        recognise(questions)
    shards = write_format("webdataset")
    (shards / "classes.txt").unlink()
    with pytest.raises(RecognitionError, match=r"expected their names in classes\.txt"):
        recognise(shards)


def test_a_list_of_pictures_needs_the_names_of_its_classes(write_format: Write) -> None:
    folder = write_format("image_list")
    (found,) = recognise(folder)
    expected = ImageListConfig(str(folder / "meta/train.txt"), str(folder / "train"), str(folder / "classes.txt"))
    assert found.training == expected
    (folder / "classes.txt").rename(folder / "meta" / "classes.txt")
    assert recognise(folder / "meta")[0].training == replace(expected, classes=str(folder / "meta" / "classes.txt"))
    (folder / "meta" / "classes.txt").unlink()
    with pytest.raises(RecognitionError, match=r"class numbers: expected the classes' names, .* in classes\.txt"):
        recognise(folder)
    shutil.rmtree(folder / "val")
    with pytest.raises(RecognitionError, match=r"the pictures of .*val\.txt were not found: looked for 0\.JPEG"):
        recognise(folder / "meta" / "val.txt")


@pytest.mark.parametrize(
    ("lines", "is_list"),
    [
        ("a.jpg 0\n\nb c/d.PNG 12\n", True),
        ("\ufeffa.jpg 0", True),
        ("a.jpg", False),  # YOLO's list of pictures
        ("0 0.5 0.5 0.1 0.1", False),  # its boxes
        ("a.jpg cat", False),
        ("a.mp4 0", False),
        ("a.jpg 0\nI took photo.jpg 3 times", False),
        ("", False),
    ],
)
def test_only_paths_of_pictures_with_a_number_are_a_list(tmp_path: Path, lines: str, is_list: bool) -> None:
    (tmp_path / "train.txt").write_text(lines, encoding="utf-8")
    assert is_image_list(tmp_path / "train.txt") == is_list


def test_columns_are_found_by_name(write_format: Write) -> None:
    (found,) = recognise(write_format("table"))
    assert isinstance(found.training, ImageTextPairsConfig)
    assert (found.training.image, found.training.text) == ("filename", "caption")


def test_the_doctor_looks_at_every_table_that_is_trained_on() -> None:
    assert set(IMAGE_COLUMNS) <= set(pairs.IMAGE_COLUMNS)
    assert set(TEXT_COLUMNS) <= set(pairs.TEXT_COLUMNS)


@pytest.mark.parametrize(("name", "ending"), [("table", ".CSV"), ("json_lines", ".ndjson"), ("json_lines", ".JSONL")])
def test_the_doctor_knows_the_endings_of_tables(write_format: Write, name: str, ending: str) -> None:
    (table,) = (path for path in write_format(name).iterdir() if path.suffix in {".csv", ".jsonl"})
    renamed = table.rename(table.with_suffix(ending))
    assert recognise(renamed)
    (looked,) = check_data(renamed).looked_at
    assert "image-text pairs" in looked


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_val2017.json", "val"),
        ("Training", "train"),
        ("valid", "val"),
        ("evaluate", None),
        ("cat-test-0", "test"),
    ],
)
def test_names_speak_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("name", ["train.txt", "names.csv", "classes.txt", "extra.tsv", "a.json", "b.tar", "c.jsonl"])
def test_folders_called_like_files_are_no_files(write_format: Write, name: str) -> None:
    root = write_format("image_folder")
    expected = recognise(root)
    (root / name).mkdir()
    assert recognise(root) == expected

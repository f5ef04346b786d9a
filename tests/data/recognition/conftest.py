"""The same few pictures in every format that a training reads."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from uniperceiver.config import (
    ModelConfig,
)

NUMBER = 6
SIZE = (64, 48)
NAMES = ("red car", "blue ball")
CAPTIONS = ("a red car beside a green tree .", "two dogs run on the grass .")
BOX = (10, 8, 40, 38)


def draw(path: Path, index: int) -> None:
    picture = Image.new("RGB", SIZE, (200, 200, 180))
    ImageDraw.Draw(picture).rectangle(BOX, fill=(200, 20, 20) if index % 2 == 0 else (20, 20, 200))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def draw_all(folder: Path) -> list[str]:
    files = [f"{index:012d}.jpg" for index in range(NUMBER)]
    for index, file in enumerate(files):
        draw(folder / file, index)
    return files


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def coco_instances(root: Path) -> None:
    x0, y0, x1, y1 = BOX
    for part in ("train2017", "val2017"):
        files = draw_all(root / part)
        write_json(
            root / f"annotations/instances_{part}.json",
            {
                "images": [{"id": i, "file_name": f, "width": 64, "height": 48} for i, f in enumerate(files)],
                "categories": [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)],
                "annotations": [
                    {
                        "id": i,
                        "image_id": i,
                        "category_id": i % 2 + 1,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": 900,
                        "iscrowd": 0,
                        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                    }
                    for i in range(NUMBER)
                ],
            },
        )


def yolo(root: Path) -> None:
    for part in ("train", "val"):
        for index, file in enumerate(draw_all(root / "images" / part)):
            label = (root / "labels" / part / file).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            polygon = "0.2 0.2 0.6 0.2 0.6 0.8"
            label.write_text(f"{index % 2} {'0.4 0.5 0.5 0.6' if index else polygon}\n")
    (root / "data.yaml").write_text(
        yaml.safe_dump({"train": "images/train", "val": "images/val", "names": list(NAMES)})
    )


def voc(root: Path) -> None:
    for index, file in enumerate(draw_all(root / "JPEGImages")):
        x0, y0, x1, y1 = BOX
        text = (
            f"<annotation><filename>{file}</filename><object><name>{NAMES[index % 2]}</name><bndbox>"
            f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            "</bndbox></object></annotation>"
        )
        path = (root / "Annotations" / file).with_suffix(".xml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        values = np.zeros((48, 64), dtype=np.uint8)
        values[y0:y1, x0:x1] = 1
        mask = (root / "SegmentationObject" / file).with_suffix(".png")
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(mask)
    for split in ("train", "val"):
        path = root / "ImageSets/Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(f"{index:012d}" for index in range(NUMBER)))


def image_folder(root: Path) -> None:
    for part in ("train", "val"):
        for index in range(NUMBER):
            draw(root / part / NAMES[index % 2] / f"{index}.png", index)


def image_list(root: Path) -> None:
    """As ImageNet: training pictures in folders of their class; the list to test on has no pictures."""
    for part, folder in (("train", "n{}/"), ("val", "")):
        lines = [f"{folder.format(index % 2)}{index}.JPEG {index % 2}" for index in range(NUMBER)]
        for index, line in enumerate(lines):
            draw(root / part / line.split()[0], index)
        (root / "meta").mkdir(exist_ok=True)
        (root / "meta" / f"{part}.txt").write_text("\n".join(lines))
    (root / "meta" / "test.txt").write_text("7.JPEG 0\n8.JPEG 0\n")
    (root / "classes.txt").write_text("\n".join(NAMES))


def coco_captions(root: Path) -> None:
    files = draw_all(root / "images")
    write_json(
        root / "captions_train.json",
        {
            "images": [{"id": i, "file_name": file} for i, file in enumerate(files)],
            "annotations": [{"image_id": i, "caption": CAPTIONS[i % 2]} for i in range(NUMBER)],
        },
    )


def karpathy(root: Path) -> None:
    files = draw_all(root / "images")
    entries = [
        {"imgid": i, "filename": f, "split": "train" if i < 4 else "test", "sentences": [{"raw": CAPTIONS[i % 2]}]}
        for i, f in enumerate(files)
    ]
    write_json(root / "dataset.json", {"images": entries})


def table(root: Path) -> None:
    files = draw_all(root / "pictures")
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "caption"), *((f, CAPTIONS[i % 2]) for i, f in enumerate(files))])


def json_lines(root: Path) -> None:
    files = draw_all(root / "pictures")
    rows = [json.dumps({"image": f, "text": [CAPTIONS[i % 2]]}) for i, f in enumerate(files)]
    (root / "pairs.jsonl").write_text("\n".join(rows))


def shards(root: Path, suffix: str) -> None:
    files = draw_all(root / "drawn")
    for part in ("train", "val"):
        for number in range(2):
            with tarfile.open(root / f"{part}-{number:05d}.tar", "w") as tar:
                for index in range(3 * number, 3 * number + 3):
                    tar.add(root / "drawn" / files[index], f"{index}.jpg")
                    content = (str(index % 2) if suffix == "cls" else CAPTIONS[index % 2]).encode()
                    info = tarfile.TarInfo(f"{index}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    if suffix == "cls":
        (root / "classes.txt").write_text("\n".join(NAMES))


def visual_genome(root: Path) -> None:
    for index in range(NUMBER):
        draw(root / ("VG_100K" if index % 2 else "VG_100K_2") / f"{index}.jpg", index)
    content = [{"id": i, "regions": [{"image_id": i, "phrase": CAPTIONS[i % 2]}]} for i in range(NUMBER)]
    write_json(root / "region_descriptions.json", content)


def vqa(root: Path) -> None:
    draw_all(root / "images")
    write_json(
        root / "questions_train.json",
        {"questions": [{"question_id": i, "image_id": i, "question": "how many birds ?"} for i in range(NUMBER)]},
    )
    write_json(
        root / "annotations_train.json",
        {"annotations": [{"question_id": i, "answers": [{"answer": "yes" if i % 2 else "no"}]} for i in range(NUMBER)]},
    )


def hugging_face(root: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    files = draw_all(root.parent / f"{root.name}_drawn")
    pictures = [{"bytes": (root.parent / f"{root.name}_drawn" / f).read_bytes(), "path": None} for f in files]
    for part in ("train", "test"):
        folder = root / part
        folder.mkdir(parents=True)
        labels = [i % 2 for i in range(NUMBER)]
        content = pyarrow.table({"image": pictures, "label": labels, "text": [CAPTIONS[i] for i in labels]})
        path = str(folder / "data.arrow")
        with pyarrow.OSFile(path, "wb") as sink, pyarrow.ipc.new_stream(sink, content.schema) as writer:
            writer.write_table(content)
        features = {"image": {"_type": "Image"}, "label": {"names": list(NAMES), "_type": "ClassLabel"}, "text": {}}
        write_json(folder / "dataset_info.json", {"features": features})
        write_json(folder / "state.json", {"_data_files": [{"filename": "data.arrow"}]})
    write_json(root / "dataset_dict.json", {"splits": ["train", "test"]})


def plain_text(root: Path) -> None:
    (root / "train.txt").write_text("\n".join(CAPTIONS * 5))
    (root / "README.txt").write_text("not a text to train on")


def webdataset(root: Path) -> None:
    shards(root, "cls")


def webdataset_pairs(root: Path) -> None:
    shards(root, "txt")


WRITERS: dict[str, Callable[[Path], None]] = {
    writer.__name__: writer
    for writer in (
        coco_instances,
        yolo,
        voc,
        image_folder,
        image_list,
        webdataset,
        coco_captions,
        karpathy,
        table,
        json_lines,
        webdataset_pairs,
        visual_genome,
        vqa,
        hugging_face,
        plain_text,
    )
}


COLOURS = ((1, 0, 0), (0, 0, 1))
WriteVideo = Callable[..., Path]


def kinetics(root: Path, write_video: WriteVideo) -> None:
    for part in ("train", "val"):
        rows = [("label", "youtube_id", "time_start", "time_end", "split")]
        for index in range(4):
            name = NAMES[index % 2]
            write_video(root / "videos" / name / f"{part}{index}_000003_000013.mp4", 6, COLOURS[index % 2])
            rows.append((name, f"{part}{index}", "3", "13", part))
        with (root / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def msrvtt(root: Path, write_video: WriteVideo) -> None:
    splits = ("train", "train", "train", "validate", "test")
    for index in range(len(splits)):
        write_video(root / "TrainValVideo" / f"video{index}.mp4", 6, COLOURS[index % 2])
    videos = [{"video_id": f"video{index}", "split": split} for index, split in enumerate(splits)]
    sentences = [{"video_id": f"video{index}", "caption": CAPTIONS[index % 2]} for index in range(len(splits))]
    write_json(root / "videodatainfo.json", {"info": {}, "videos": videos, "sentences": sentences})


def msvd(root: Path, write_video: WriteVideo) -> None:
    lines = ["VideoID,Start,End,WorkerID,Language,Description"]
    for index in range(5):
        write_video(root / "YouTubeClips" / f"clip{index}_0_9.avi", 6, COLOURS[index % 2])
        lines += [f"clip{index},0,9,1,English,{CAPTIONS[index % 2]}", f"clip{index},0,9,2,German,ein Ball"]
    (root / "MSVD.csv").write_text("\n".join(lines))


def coco_of_videos(root: Path, write_video: WriteVideo) -> None:
    for index in range(4):
        write_video(root / "videos" / f"{index}.mp4", 6, COLOURS[index % 2])
    for part, numbers in (("train", range(3)), ("val", range(3, 4))):
        images = [{"id": i, "file_name": f"{i}.mp4"} for i in numbers]
        write_json(
            root / f"captions_{part}.json",
            {"images": images, "annotations": [{"image_id": i, "caption": CAPTIONS[i % 2]} for i in numbers]},
        )


def video_table(root: Path, write_video: WriteVideo) -> None:
    rows = [("path", "caption")]
    for index in range(4):
        write_video(root / "clips" / f"{index}.mp4", 6, COLOURS[index % 2])
        rows.append((f"clips/{index}.mp4", CAPTIONS[index % 2]))
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


VIDEO_WRITERS: dict[str, Callable[[Path, WriteVideo], None]] = {
    writer.__name__: writer for writer in (kinetics, msrvtt, msvd, coco_of_videos, video_table)
}


@pytest.fixture
def write_format(tmp_path: Path, write_video: WriteVideo) -> Callable[[str], Path]:
    """Writes a tiny data set of a format and returns its folder."""

    def write(name: str) -> Path:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        if name in VIDEO_WRITERS:
            VIDEO_WRITERS[name](folder, write_video)
        else:
            WRITERS[name](folder)
        return folder

    return write


@pytest.fixture
def tiny_model(tiny_model_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path) -> str:
    """A YAML file of a tiny model."""
    return write_model(tiny_model_config, tmp_path)


@pytest.fixture
def tiny_video_model(tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path) -> str:
    """A YAML file of a tiny model that reads frames."""
    return write_model(tiny_v1_config, tmp_path)

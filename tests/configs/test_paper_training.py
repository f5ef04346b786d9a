"""The trainings of Tab. 8: their numbers, and tiny files in the folder layout that docs/data.md describes."""

from __future__ import annotations

import io
import json
import math
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from uniperceiver.config import ImageSizeConfig, ModelConfig, StreamConfig, TrainConfig, load_train_config, to_data
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.data.transforms import train_transform
from uniperceiver.training.train import train

SWIN_AND_RESNET = {"resnet50": 224, "swin_base": 384, "swin_large": 384}
PAIRS = {  # s_k, ω_k of captioning, ω_k of retrieval
    "yfcc": (0.09831, 0.16385, 0.3277),
    "cc12m": (0.08514, 0.1419, 0.2838),
    "cc3m": (0.04428, 0.0738, 0.1476),
    "visual_genome": (0.02973, 0.04955, 0.0991),
    "coco_caption": (0.0192, 0.032, 0.064),
    "sbu": (0.02328, 0.0388, 0.0776),
}
CAPTION = "a red car beside a green tree ."


def row(stream: StreamConfig) -> tuple[str, int, float, float]:
    return stream.task.kind, stream.batch_size, stream.sampling_weight, stream.scale


@pytest.mark.parametrize(("name", "side"), SWIN_AND_RESNET.items())
def test_rows_are_those_of_table_8(name: str, side: int) -> None:
    config = load_train_config(name, {"data": "DATA"})
    expected = {
        "imagenet": ("classification", 28, 0.1, 1.0),
        "coco": ("detection", 1, 0.25, 1.0),
        "books_and_wiki": ("masked_language_modeling", 256, 0.05, 0.5),
    }
    for data, (share, captioning, retrieval) in PAIRS.items():
        expected[f"captioning_{data}"] = ("captioning", 24, share, captioning)
        expected[f"retrieval_{data}"] = ("retrieval", 28, share, retrieval)
    assert {key: row(stream) for key, stream in config.streams.items()} == expected
    assert config.schedule.steps == (150_000 if name == "resnet50" else 200_000)
    assert config.streams["imagenet"].task.image.train == side
    detection = config.streams["coco"].task.image
    assert (detection.shorter_side, detection.longest, detection.train) == ((200, 1800), 2400, 1600)
    assert (detection.test, detection.test_longest) == (1400, 1600)
    shares = [stream.sampling_weight for key, stream in config.streams.items() if key.startswith("captioning")]
    assert sum(shares) == pytest.approx(0.3, abs=1e-3)
    trained_on = yaml.safe_dump([to_data(stream.dataset) for stream in config.streams.values()])
    assert "flickr30k" not in trained_on


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (80, 60), (200, 20, 20)).save(path)


def karpathy(path: Path, images: Path, folder: str | None) -> None:
    entries = []
    for number, split in enumerate(("train", "restval", "val", "test")):
        file = f"{number}.jpg"
        draw(images / (folder or "") / file)
        entry = {"imgid": number, "filename": file, "split": split, "sentences": [{"raw": CAPTION}]}
        entries.append(entry | ({"filepath": folder} if folder else {}))
    write(path, {"images": entries})


def write_coco(root: Path) -> None:
    for part in ("train2017", "val2017"):
        draw(root / part / "000000000001.jpg")
        square = [10, 10, 50, 10, 50, 50, 10, 50]
        instance = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
        content = {
            "images": [{"id": 1, "file_name": "000000000001.jpg", "width": 80, "height": 60}],
            "categories": [{"id": 3, "name": "car"}],
            "annotations": [instance | {"segmentation": [square]}],
        }
        write(root / f"annotations/instances_{part}.json", content)
    karpathy(root / "dataset_coco.json", root, "val2014")


def write_shard(path: Path, picture: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        tar.add(picture, "000000000.jpg")
        info = tarfile.TarInfo("000000000.txt")
        info.size = len(CAPTION)
        tar.addfile(info, io.BytesIO(CAPTION.encode()))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of docs/data.md with a picture or two in each."""
    root = tmp_path_factory.mktemp("layout")
    for part in ("train", "val"):
        draw(root / f"imagenet/{part}/n01440764/1.JPEG")
    write(root / "imagenet/classes.csv", "wnid,name\nn01440764,tench\nn01443537,goldfish\n")
    write_coco(root / "coco")
    for name in ("sbu", "cc3m", "cc12m", "yfcc"):
        write_shard(root / name / "00000.tar", root / "coco/train2017/000000000001.jpg")
    draw(root / "visual_genome/VG_100K/1.jpg")
    draw(root / "visual_genome/VG_100K_2/2.jpg")
    regions = [{"id": number, "regions": [{"phrase": "a red car"}]} for number in (1, 2)]
    write(root / "visual_genome/region_descriptions.json", regions)
    for part in ("train", "val"):
        write(root / f"books_wiki/{part}.txt", f"{CAPTION}\n" * 3)
    karpathy(root / "flickr30k/dataset_flickr30k.json", root / "flickr30k/flickr30k-images", None)
    return root


@pytest.mark.parametrize("name", SWIN_AND_RESNET)
def test_every_stream_reads_its_layout(name: str, layout: Path) -> None:
    for stream in load_train_config(name, {"data": str(layout)}).streams.values():
        dataset = open_dataset(stream.dataset)
        if stream.task.kind != "detection":  # 1600 pixels are for real machines; its transform has tests of its own
            train_transform(stream.task.kind, stream.task.image)(dataset[0])
        if stream.evaluation is not None:
            assert len(open_dataset(stream.evaluation))


def tiny(config: TrainConfig, model: str) -> TrainConfig:
    size = ImageSizeConfig(train=64, test=64, scale=(0.6, 1.0))
    streams = {
        key: replace(stream, batch_size=2, task=replace(stream.task, image=size, max_tokens=12))
        for key, stream in config.streams.items()
    }
    schedule = replace(config.schedule, steps=12, warmup_steps=2)
    loss = replace(config.proposal_loss, points=32)
    return replace(config, model=model, streams=streams, schedule=schedule, proposal_loss=loss, workers=0)


def test_the_mixture_trains_on_its_layout(
    layout: Path, tiny_model_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = to_data(tiny_model_config)
    tokenizer.save(tmp_path / "tokenizer.json")
    model["text"]["tokenizer"] = str(tmp_path / "tokenizer.json")
    write(tmp_path / "model.yaml", yaml.safe_dump(model))
    config = load_train_config("swin_large", {"data": str(layout)})
    train(tiny(config, str(tmp_path / "model.yaml")), tmp_path / "run")
    losses = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert all(math.isfinite(line["loss"]) for line in losses if "loss" in line)

"""COCO captions, Visual Genome, tables of pairs, shards of pairs: pictures with captions."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import (
    CocoCaptionsConfig,
    FoldConfig,
    ImageTextPairsConfig,
    VisualGenomeConfig,
    WebDatasetPairsConfig,
)
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.coco_captions import open_coco_captions
from uniperceiver.data.datasets.image_text_pairs import open_image_text_pairs
from uniperceiver.data.datasets.visual_genome import open_visual_genome, phrase_as_caption
from uniperceiver.data.datasets.webdataset import WebDatasetPairs

WriteJson = Callable[[str, Any], str]


@pytest.fixture
def pictures(write_picture: Callable[..., Path], tmp_path: Path) -> Path:
    for name in ("1.jpg", "2.jpg"):
        write_picture(f"images/{name}")
    return tmp_path / "images"


def test_coco_captions(pictures: Path, write_json: WriteJson) -> None:
    content = {
        "images": [{"id": 2, "file_name": "2.jpg"}, {"id": 1, "file_name": "1.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": " a "},
            {"image_id": 2, "caption": "b"},
            {"image_id": 1, "caption": "c"},
        ],
    }
    dataset = open_coco_captions(CocoCaptionsConfig(write_json("captions.json", content), str(pictures)))
    assert [(dataset[i].image_id, dataset[i].captions) for i in range(2)] == [("2", ("b",)), ("1", ("a", "c"))]
    assert list(dataset.texts()) == ["b", "a", "c"]
    held_out = CocoCaptionsConfig(write_json("captions.json", content), str(pictures), fold=FoldConfig(2, True))
    assert list(open_coco_captions(held_out).texts()) == ["b"]


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([{"image_id": 1, "caption": "a"}, {"image_id": 3, "caption": "b"}], r"annotations\[1\] belongs to image 3"),
        ([{"image_id": 1, "caption": " "}], r"annotations\[0\] has an empty caption"),
        ([{"image_id": 1}], r"annotations\[0\] has no caption"),
        ([], "image 1 has no caption"),
    ],
)
def test_coco_captions_that_cannot_be_used(
    pictures: Path, write_json: WriteJson, annotations: list[Any], message: str
) -> None:
    content = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": annotations}
    with pytest.raises(DatasetError, match=message):
        open_coco_captions(CocoCaptionsConfig(write_json("captions.json", content), str(pictures)))


def test_visual_genome(pictures: Path, write_json: WriteJson, tmp_path: Path) -> None:
    content = [
        {"id": 1, "regions": [{"phrase": "a red car", "image_id": 1}, {"phrase": " "}, {"phrase": "sky."}]},
        {"id": 7, "regions": []},
        {"id": 2, "regions": [{"phrase": "grass"}]},
    ]
    source = write_json("region_descriptions.json", content)
    dataset = open_visual_genome(VisualGenomeConfig(source, (str(tmp_path / "elsewhere"), str(pictures))))
    assert [dataset[i].captions for i in range(len(dataset))] == [("a red car.", "sky."), ("grass.",)]
    assert dataset[1].image_id == "2"
    assert phrase_as_caption("who?") == "who?"
    with pytest.raises(DatasetError, match=r"needs the picture 1\.jpg, which is not in"):
        open_visual_genome(VisualGenomeConfig(source, (str(tmp_path),)))
    with pytest.raises(DatasetError, match="should be a JSON list"):
        open_visual_genome(VisualGenomeConfig(write_json("x.json", {}), (str(pictures),)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.csv", 'image,caption\n1.jpg,"a, b"\n2.jpg,c\n1.jpg,d\n'),
        ("pairs.tsv", "caption\timage\na, b\t1.jpg\nc\t2.jpg\nd\t1.jpg\n"),
        ("pairs.jsonl", '{"image": "1.jpg", "caption": ["a, b", "d"]}\n\n{"image": "2.jpg", "caption": "c"}\n'),
    ],
)
def test_pairs(pictures: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    dataset = open_image_text_pairs(ImageTextPairsConfig(str(tmp_path / name), str(pictures)))
    assert [(dataset[i].image_id, dataset[i].captions) for i in range(2)] == [
        ("1.jpg", ("a, b", "d")),
        ("2.jpg", ("c",)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "image,text\n1.jpg,a\n", r"line 2 has no 'caption': it has 'image', 'text'"),
        ("p.csv", "image,caption\n1.jpg\n", r"line 2 has 1 cells, but there are 2 columns"),
        ("p.csv", "image,caption\n,a\n", r"line 2 has an empty 'image'"),
        ("p.csv", "image,caption\n1.jpg, \n", r"line 2 has no text in 'caption'"),
        ("p.csv", "image,caption\n9.jpg,a\n", r"needs the picture .*9\.jpg"),
        ("p.csv", "image,image\n9.jpg,a\n", r"line 1 should name the columns"),
        ("p.csv", 'image,caption\n1.jpg,"a', r"line 2: unexpected end of data"),
        ("p.jsonl", '{"image": "1.jpg"', r"line 1 is not valid JSON"),
        ("p.jsonl", "[1]", r"line 1 should be a JSON object"),
        ("p.jsonl", '{"image": "1.jpg", "caption": ["a", 3]}', r"line 1 has no text"),
        ("p.jsonl", "[" * 2000, r"line 1 is not valid JSON"),
        ("p.txt", "a", r"should end in \.csv"),
        ("p.csv", "image,caption\n1.jpg," + "a" * 2**20, r"line 2 is longer than"),
        ("p.csv", "image,caption\n", "holds no picture with a caption"),
    ],
)
def test_pairs_that_cannot_be_used(pictures: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        open_image_text_pairs(ImageTextPairsConfig(str(tmp_path / name), str(pictures)))


def test_latin1_is_an_error(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("image,caption\n1.jpg,café\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        open_image_text_pairs(ImageTextPairsConfig(str(tmp_path / "p.csv"), str(pictures)))


@pytest.fixture
def write_shard(pictures: Path, tmp_path: Path) -> Callable[..., None]:
    def write(name: str, captions: dict[str, bytes]) -> None:
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as tar:
            for key, caption in captions.items():
                tar.add(pictures / "1.jpg", f"{key}.jpg")
                for suffix, content in ((".txt", caption), (".json", json.dumps({"key": key}).encode())):
                    info = tarfile.TarInfo(key + suffix)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))

    return write


def test_shards_of_pairs(write_shard: Callable[..., None], tmp_path: Path) -> None:
    write_shard("00000.tar", {"a": b" one ", "b": b"two"})
    write_shard("00001.tar.gz", {"c": "caf\u00e9".encode()})
    dataset = pickle.loads(pickle.dumps(WebDatasetPairs(WebDatasetPairsConfig(str(tmp_path / "0000*")))))
    assert list(dataset.texts()) == ["one", "two", "caf\u00e9"]
    assert dataset.shard_lengths == (2, 1)
    assert (dataset[2].image_id, dataset[2].captions) == ("00001.tar.gz/c", ("caf\u00e9",))
    held_out = WebDatasetPairs(WebDatasetPairsConfig(str(tmp_path / "0000*"), fold=FoldConfig(2, True)))
    assert list(held_out.texts()) == ["one", "two"]
    one = WebDatasetPairs(WebDatasetPairsConfig(str(tmp_path / "00000.tar"), fold=FoldConfig(2, False)))
    assert list(one.texts()) == ["two"]


def test_shards_of_pairs_that_cannot_be_used(write_shard: Callable[..., None], tmp_path: Path) -> None:
    write_shard("0.tar", {"a": b"", "b": b"\xff"})
    dataset = WebDatasetPairs(WebDatasetPairsConfig(str(tmp_path / "0.tar")))
    with pytest.raises(DatasetError, match=r"a\.txt is empty"):
        dataset[0]
    with pytest.raises(DatasetError, match=r"b\.txt is not UTF-8"):
        dataset[1]
    with tarfile.open(tmp_path / "1.tar", "w") as tar:
        tar.add(tmp_path / "images/1.jpg", "a.jpg")
    with pytest.raises(DatasetError, match=r"needs one \.txt and one of \.jpg.*it has picture"):
        WebDatasetPairs(WebDatasetPairsConfig(str(tmp_path / "1.tar")))

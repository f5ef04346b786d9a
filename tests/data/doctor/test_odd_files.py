"""Files that are odd rather than wrong, and wrong ones that Python's own readers stumble over."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.doctor import Kind, check_data
from uniperceiver.data.recognition.recognise import recognise

LONG = "x" * 5000
ENDS = "a\u2028b\x85c\x0cd"
"""Unicode calls each of these the end of a line; CSV and JSON Lines do not."""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.csv", f"image,caption\n1.jpg,{ENDS}\n"),
        ("pairs.jsonl", json.dumps({"image": "1.jpg", "caption": f"a{ENDS[1]}b"}, ensure_ascii=False)),
    ],
)
def test_only_a_line_feed_ends_a_line(write, picture, kinds, name: str, text: str) -> None:
    picture("1.jpg", 1)
    write(name, text)
    assert kinds() == set()


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 200_000])
def test_json_that_python_does_not_read(write, kinds, root, text: str) -> None:
    write("pairs.jsonl", '{"image": "1.jpg", "caption": "a"}\n' + text)
    write("captions.json", text)
    assert {Kind.BAD_ENTRY, Kind.UNREADABLE_FILE} <= kinds()
    with pytest.raises(DatasetError, match=r"captions\.json is not valid JSON"):
        recognise(root)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.json", {"images": [{"id": 1, "file_name": LONG}], "annotations": [{"image_id": 1, "caption": "a"}]}),
        ("dataset.json", {"images": [{"filename": LONG, "split": "train", "sentences": [{"raw": "a cat"}]}]}),
        ("pairs.csv", f"image,caption\n{LONG},a cat\n"),
        ("train.txt", f"1.jpg 0\n{LONG}.jpg 0\n"),
        ("regions.json", [{"id": LONG, "regions": [{"phrase": "a cat"}]}]),
        ("Annotations/1.xml", f"<annotation><filename>{LONG}</filename></annotation>"),
    ],
)
def test_a_name_that_no_file_can_have(write, picture, kinds, name: str, content: object) -> None:
    picture("1.jpg", 1)
    write(name, content)
    assert Kind.MISSING_IMAGE in kinds()


def test_what_recognition_finds_is_no_traceback(write, picture, root) -> None:
    picture("images/1.jpg", 1)
    write("dataset.json", {"images": [{"filename": LONG, "filepath": None, "split": [], "sentences": []}]})
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        recognise(root)
    (root / "dataset.json").unlink()
    write("texts.tsv", "x" * 200_000 + "\ty\n")
    with pytest.raises(DatasetError):
        recognise(root)


@pytest.mark.parametrize(
    "text", ['<?xml version="1.0" encoding="unheard-of"?><annotation/>', "<!DOCTYPE a><annotation/>"]
)
def test_xml_that_the_reader_refuses(write, kinds, text: str) -> None:
    write("Annotations/1.xml", text)
    write("ImageSets/Main/train.txt", b"\xff\xfe")
    assert {Kind.UNREADABLE_FILE, Kind.NOT_UTF8} <= kinds()


def test_a_size_with_too_many_digits(write, picture, kinds) -> None:
    picture("JPEGImages/1.jpg", 1)
    size = f"<size><width>{'9' * 5000}</width><height>16</height></size>"
    write("Annotations/1.xml", f"<annotation><filename>1.jpg</filename>{size}</annotation>")
    assert kinds() == {Kind.NO_OBJECT}


def test_links_in_a_shard_are_left_alone(root, jpeg, kinds) -> None:
    with tarfile.open(root / "a.tar", "w") as tar:
        for name, content in (("1.jpg", jpeg(1)), ("1.cls", b"9" * 5000)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (("2.jpg", "2.jpg"), ("2.cls", "/gone")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    assert kinds() == {Kind.BAD_ENTRY}


@pytest.mark.parametrize("target", ["gone.jpg", "link.jpg"])
def test_a_link_to_nothing(picture, root, kinds, target: str) -> None:
    picture("cat/1.jpg", 1)
    picture("dog/2.jpg", 2)
    (root / "cat/link.jpg").symlink_to(target)
    assert Kind.UNREADABLE_IMAGE in kinds()


def test_a_name_that_is_not_utf8_is_written(picture, root, tmp_path: Path) -> None:
    picture("dog/2.jpg", 2)
    picture("cat/1.jpg", 1).rename(root / "cat" / os.fsdecode(b"\xff.jpg"))
    (root / "cat" / os.fsdecode(b"\xfe.jpg")).write_bytes(b"no picture")
    check_data(root).write(tmp_path / "found.json")
    assert "\udcfe.jpg" in json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["findings"][0]["files"][0]

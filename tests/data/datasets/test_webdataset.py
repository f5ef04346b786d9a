from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.config import FoldConfig, WebDatasetConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.webdataset import WebDataset, expand_shards
from uniperceiver.data.doctor import Kind, check_data
from uniperceiver.data.recognition.recognise import recognise


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def members(keys: Iterable[int]) -> list[tuple[str, bytes]]:
    return [
        member
        for key in keys
        for member in (
            (f"{key:04}.png", picture(key)),
            (f"{key:04}.cls", str(key % 3).encode()),
            (f"{key:04}.txt", b"ignored"),
        )
    ]


@pytest.fixture
def open_shards(tmp_path: Path) -> Callable[[str], WebDataset]:
    (tmp_path / "classes.txt").write_text("cat\ndog\nemu\n")
    return lambda pattern: WebDataset(WebDatasetConfig(str(tmp_path / pattern), str(tmp_path / "classes.txt")))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_samples_of_all_shards(tmp_path: Path, open_shards: Any, suffix: str) -> None:
    write_shard(tmp_path / f"a-00.{suffix}", members(range(3)))
    write_shard(tmp_path / f"a-01.{suffix}", members(range(3, 8)))
    dataset = pickle.loads(pickle.dumps(open_shards(f"a-{{00..01}}.{suffix}")))
    assert dataset.names == ("cat", "dog", "emu")
    assert (len(dataset), dataset.shard_lengths) == (8, (3, 5))
    for index in (7, 0, 4, 2, 3):
        record = dataset[index]
        assert record.image_id == f"a-{index // 3 and 1:02}.{suffix}/{index:04}"
        assert record.label == index % 3
        expected = torch.from_numpy(np.array(Image.open(io.BytesIO(picture(index))))).permute(2, 0, 1)
        assert torch.equal(record.image, expected)


@pytest.mark.parametrize(("folds", "held_out"), [(2, [0, 1, 2, 6, 7]), (4, [0, 4])])
def test_a_fold_takes_whole_shards_where_there_are_enough(tmp_path: Path, folds: int, held_out: list[int]) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\nemu\n")
    for number, keys in enumerate((range(3), range(3, 6), range(6, 8))):
        write_shard(tmp_path / f"a-{number}.tar", members(keys))
    config = WebDatasetConfig(str(tmp_path / "a-*.tar"), str(tmp_path / "classes.txt"))
    parts = [WebDataset(replace(config, fold=FoldConfig(folds, held_out=is_held_out))) for is_held_out in (True, False)]
    found = [[int(part[i].image_id.rpartition("/")[2]) for i in range(len(part))] for part in parts]
    assert found == [held_out, [key for key in range(8) if key not in held_out]]
    assert [sum(part.shard_lengths) for part in parts] == [len(keys) for keys in found]


def test_keys_may_have_folders_and_further_dots(tmp_path: Path, open_shards: Any) -> None:
    write_shard(
        tmp_path / "a.tar",
        [
            ("x.y/1.PNG", picture(1)),
            ("x.y/1.seg.png", b"?"),
            ("x.y/1.cls", b"2\n"),
            ("z/1.cls", b"0"),
            ("z/1.jpg", picture(2)),
        ],
    )
    dataset = open_shards("a.tar")
    assert [(dataset[i].image_id, dataset[i].label) for i in range(2)] == [("a.tar/x.y/1", 2), ("a.tar/z/1", 0)]


def test_patterns(tmp_path: Path) -> None:
    for name in ("t-008.tar", "t-009.tar", "t-010.tar", "v-1-a.tar"):
        (tmp_path / name).touch()

    def names(pattern: str) -> list[str]:
        return [path.name for path in expand_shards(str(tmp_path / pattern))]

    assert names("t-{008..010}.tar") == ["t-008.tar", "t-009.tar", "t-010.tar"]
    assert names("t-*.tar") == ["t-008.tar", "t-009.tar", "t-010.tar"]
    assert names("v-{1..1}-*.tar") == ["v-1-a.tar"]
    assert names("v-1-a.tar") == ["v-1-a.tar"]
    (tmp_path / "photos [1]").mkdir()
    (tmp_path / "photos [1]" / "t-{0..1}.tar").touch()
    assert names("photos [1]/t-{0..1}.tar") == ["t-{0..1}.tar"]
    with pytest.raises(DatasetError, match=r"no shard .*t-011\.tar"):
        names("t-{009..011}.tar")
    with pytest.raises(DatasetError, match=r"no shard .*w-\*\.tar"):
        names("w-*.tar")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([("1.png", b"x")], "'1' needs one .cls and one of .jpg.*; it has picture"),
        ([("1.cls", b"0")], "'1' needs .*; it has .cls"),
        ([("1.txt", b"0")], "'1' needs .*; it has neither"),
        ([("1.png", b"x"), ("1.jpg", b"x"), ("1.cls", b"0")], "it has picture and picture and .cls"),
        ([("1.png", b"x"), ("1.cls", b"cat")], "1.cls should hold a class number, got b'cat'"),
        ([("1.png", b"x"), ("1.cls", b"3")], "1.cls is 3, but there are 3 class names"),
        ([], "holds no sample"),
    ],
)
def test_bad_samples_are_named(
    tmp_path: Path, open_shards: Any, content: list[tuple[str, bytes]], message: str
) -> None:
    write_shard(tmp_path / "bad.tar", content)
    with pytest.raises(DatasetError, match=rf"bad\.tar:? .*{message}"):
        open_shards("bad.tar")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_shard_is_named(tmp_path: Path, open_shards: Any, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    write_shard(path, members(range(40)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DatasetError, match=r"cut\.tar.* is broken"):
        open_shards(path.name)


def test_a_cut_between_two_members_is_noticed(tmp_path: Path, open_shards: Any) -> None:
    path = tmp_path / "cut.tar"
    write_shard(path, members(range(3)))
    with tarfile.open(path) as tar:
        start = tar.getmember("0002.png").offset
    path.write_bytes(path.read_bytes()[:start])
    with pytest.raises(DatasetError, match=r"cut\.tar is broken after sample '0001'.*no end mark at byte"):
        open_shards("cut.tar")


def test_a_changed_byte_in_gzip_and_what_is_no_tar(tmp_path: Path, open_shards: Any) -> None:
    path = tmp_path / "bad.tar.gz"
    write_shard(path, members(range(5)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"bad\.tar\.gz is broken"):
        open_shards("bad.tar.gz")
    (tmp_path / "page.tar").write_text("<html>" * 200)
    with pytest.raises(DatasetError, match=r"page\.tar is broken: "):
        open_shards("page.tar")


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7])
def test_a_size_that_no_file_has_is_a_broken_shard(tmp_path: Path, open_shards: Any, size: bytes) -> None:
    path = tmp_path / "wild.tar"
    write_shard(path, members(range(3)))
    with tarfile.open(path) as tar:
        start = tar.getmember("0001.cls").offset
    data = bytearray(path.read_bytes())
    data[start + 124 : start + 136] = size
    checksum = sum(data[start : start + 512]) - sum(data[start + 148 : start + 156]) + 8 * ord(" ")
    data[start + 148 : start + 156] = f"{checksum:06o}\0 ".encode()
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"wild\.tar is broken"):
        open_shards("wild.tar")
    assert Kind.BROKEN_SHARD in {finding.kind for finding in check_data(tmp_path).findings}
    with pytest.raises(DatasetError, match=r"wild\.tar"):
        recognise(tmp_path)


def test_a_broken_picture_names_shard_and_key(tmp_path: Path, open_shards: Any) -> None:
    write_shard(tmp_path / "a.tar", [("7.jpg", b"no picture"), ("7.cls", b"1")])
    with pytest.raises(ValueError, match=r"a\.tar/7 is not a picture"):
        open_shards("a.tar")[0]


def test_class_names(tmp_path: Path, open_shards: Any) -> None:
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(DatasetError, match=r"classes\.txt should hold one class name a line"):
        open_shards("a.tar")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*classes\.txt"):
        open_shards("a.tar")

"""What is damaged in annotation files ends in a `DatasetError` that names the file, never in a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import (
    CocoCaptionsConfig,
    ImageFolderConfig,
    ImageTextPairsConfig,
    KarpathyCaptionsConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
    VisualGenomeConfig,
    VocConfig,
    VqaConfig,
)
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError

LONG = "x" * 5000
FILES: dict[str, Any] = {
    "captions.json": {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"image_id": 1, "caption": "a cat"}],
    },
    "karpathy.json": {
        "images": [{"imgid": 1, "filename": "1.jpg", "filepath": "", "split": "train", "sentences": [{"raw": "a cat"}]}]
    },
    "regions.json": [{"id": 1, "regions": [{"phrase": "a cat"}]}],
    "questions.json": {"questions": [{"question_id": 1, "image_id": 1, "question": "why?"}]},
    "answers.json": {"annotations": [{"question_id": 1, "answers": [{"answer": "because"}]}]},
    "videos.json": {"videos": [{"video_id": "a"}], "sentences": [{"video_id": "a", "caption": "a cat"}]},
}


def config_of(name: str, root: Path) -> Any:
    path, images = str(root / name), str(root / "images")
    match name:
        case "captions.json":
            return CocoCaptionsConfig(path, images)
        case "karpathy.json":
            return KarpathyCaptionsConfig(path, images, ("train",))
        case "regions.json":
            return VisualGenomeConfig(path, (images,))
        case "videos.json":
            return VideoCaptionsConfig(path, images)
    return VqaConfig(str(root / "questions.json"), str(root / "answers.json"), images)


@pytest.fixture
def opened(write_picture: Callable[..., Path], tmp_path: Path) -> Callable[[str, str], str]:
    """The one-line error with which a file of this content is refused."""
    write_picture("images/1.jpg")
    for name, content in FILES.items():
        (tmp_path / name).write_text(json.dumps(content))

    def refused(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        with pytest.raises(DatasetError) as caught:
            open_dataset(config_of(name, tmp_path))
        assert name in str(caught.value)
        return str(caught.value)

    return refused


@pytest.mark.parametrize("name", FILES)
def test_json_that_python_does_not_read(opened: Callable[[str, str], str], name: str) -> None:
    assert "not valid JSON" in opened(name, "9" * 5000)
    assert "not valid JSON" in opened(name, "[" * 200_000)


def test_a_folder_in_the_place_of_a_file(opened: Callable[[str, str], str], tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(DatasetError, match=f"cannot read .*{name}"):
            open_dataset(config_of(name, tmp_path))
        (tmp_path / name).rmdir()
        (tmp_path / name).write_text(json.dumps(FILES[name]))


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        *(("captions.json", ("images", 0, "id"), value) for value in ([], {}, None)),
        *(("captions.json", ("images", 0, "file_name"), value) for value in (None, 3, LONG)),
        *(("captions.json", ("annotations", 0, "image_id"), value) for value in ([], {}, None)),
        *(("captions.json", ("annotations", 0, "caption"), value) for value in (None, [], {}, 1.5, True)),
        *(("karpathy.json", ("images", 0, key), None) for key in ("filename", "filepath", "split", "sentences")),
        ("karpathy.json", ("images", 0, "split"), []),
        *(("karpathy.json", ("images", 0, "sentences", 0, "raw"), value) for value in (None, [], 1.5)),
        ("karpathy.json", ("images", 0, "sentences", 0), None),
        *(("regions.json", (0, "regions"), value) for value in (None, {}, "")),
        ("regions.json", (0, "regions", 0, "phrase"), None),
        ("regions.json", (0, "id"), LONG),
        ("questions.json", ("questions", 0, "question_id"), []),
        *(("questions.json", ("questions", 0, "image_id"), v) for v in (None, "x", float("inf"), 1.5, "9" * 5000)),
        *(("questions.json", ("questions", 0, "question"), value) for value in (None, [], " ")),
        ("answers.json", ("annotations", 0, "question_id"), []),
        *(("answers.json", ("annotations", 0, "answers", 0, "answer"), value) for value in (None, [], {})),
        ("videos.json", ("videos", 0, "video_id"), []),
        ("videos.json", ("sentences", 0, "video_id"), {}),
        ("videos.json", ("videos", 0, "video_id"), None),
    ],
)
def test_values_of_another_kind(opened: Callable[[str, str], str], name: str, place: Any, value: Any) -> None:
    content = json.loads(json.dumps(FILES[name]))
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    opened(name, json.dumps(content))


def test_two_answers_to_one_question(opened: Callable[[str, str], str]) -> None:
    entry = {"question_id": 1, "answers": [{"answer": "because"}]}
    assert "annotations[1] answers question 1" in opened("answers.json", json.dumps({"annotations": [entry, entry]}))


def test_a_line_with_too_long_a_number(write_picture: Callable[..., Path], tmp_path: Path) -> None:
    write_picture("1.jpg")
    (tmp_path / "p.jsonl").write_text('{"image": "1.jpg", "caption": "a", "width": ' + "9" * 5000 + "}\n")
    with pytest.raises(DatasetError, match=r"p\.jsonl, line 1 is not valid JSON"):
        open_dataset(ImageTextPairsConfig(str(tmp_path / "p.jsonl"), str(tmp_path)))


@pytest.mark.parametrize("text", ["label,youtube_id\n" + "x" * 200_000 + ",a\n", "x" * 200_000 + ",run\n", LONG + " 1"])
def test_lists_of_videos(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"v\.csv, line [12]"):
        open_dataset(VideoCsvConfig(str(tmp_path / "v.csv"), str(tmp_path)))


@pytest.mark.parametrize("content", [b"folder,name\ncat,K\xe4tzchen\n", b"folder,name\n" + b"x" * 200_000])
def test_names_of_folders(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"names\.csv"):
        open_dataset(ImageFolderConfig(str(tmp_path), names=str(tmp_path / "names.csv")))


@pytest.mark.parametrize("encoding", ["unheard-of", "gb2312"])
def test_encodings_of_xml(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/1.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
    with pytest.raises(DatasetError, match=r"1\.xml is not valid XML"):
        open_dataset(VocConfig(str(tmp_path)))

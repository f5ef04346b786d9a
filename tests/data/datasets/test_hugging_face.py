from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from uniperceiver.config import FoldConfig, HuggingFaceConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.hugging_face import HuggingFace
from uniperceiver.data.records import LabelledText

pyarrow = pytest.importorskip("pyarrow")


def png(colour: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write(folder: Path, columns: dict[str, list[Any]], features: dict[str, Any]) -> Path:
    """What ``save_to_disk`` writes, in two Arrow files."""
    folder.mkdir(parents=True)
    table = pyarrow.table(columns)
    half = table.num_rows // 2
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    for name, part in zip(names, (table.slice(0, half), table.slice(half)), strict=True):
        with pyarrow.OSFile(str(folder / name), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(part)
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    columns = {
        "image": [png("red"), png("blue"), png("green")],
        "label": [1, 0, 1],
        "caption": [["a", "b"], ["c"], ["d"]],
        "question": ["q0", "q1", "q2"],
    }
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
        "caption": {"_type": "Sequence"},
        "question": {"_type": "Value", "dtype": "string"},
    }
    return write(tmp_path / "saved", columns, features)


def test_texts_with_a_class(tmp_path: Path) -> None:
    columns = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [1, 0, 1]}
    features: dict[str, Any] = {name: {"_type": "Value", "dtype": "string"} for name in columns}
    features["label"] = {"names": ["entailment", "contradiction"], "_type": "ClassLabel"}
    folder = str(write(tmp_path / "mnli", columns, features))
    pairs = HuggingFace(HuggingFaceConfig(folder, "labelled_texts", "label", text="premise", second="hypothesis"))
    assert pairs.names == ("entailment", "contradiction")
    assert pairs[2] == LabelledText("c", "f", "2", 1)
    alone = HuggingFace(HuggingFaceConfig(folder, "labelled_texts", "label", text="premise"))
    assert alone[1] == LabelledText("b", None, "1", 0)
    with pytest.raises(DatasetError, match="has no column 'sentence'"):
        HuggingFace(HuggingFaceConfig(folder, "labelled_texts", "label"))


def test_the_four_views(saved: Path) -> None:
    labels = pickle.loads(pickle.dumps(HuggingFace(HuggingFaceConfig(str(saved), "labels", "label"))))
    assert labels.names == ("cat", "dog")
    assert [labels[i].label for i in range(3)] == [1, 0, 1]
    assert labels[1].image[:, 0, 0].tolist() == [0, 0, 255]
    captions = HuggingFace(HuggingFaceConfig(str(saved), "captions", "caption"))
    assert captions[0].captions == ("a", "b")
    assert list(captions.texts()) == ["a", "b", "c", "d"]
    questions = HuggingFace(HuggingFaceConfig(str(saved), "questions", "caption"))
    assert (questions[2].question, questions[2].answers) == ("q2", ("d",))
    assert list(questions.answers()) == [("a", "b"), ("c",), ("d",)]
    texts = HuggingFace(HuggingFaceConfig(str(saved), "texts", "question", fold=FoldConfig(2, held_out=True)))
    assert [texts[i].text for i in range(len(texts))] == ["q0", "q2"]


def test_what_cannot_be_used_is_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column 'labels': it has image, label"):
        HuggingFace(HuggingFaceConfig(str(saved), "labels", "labels"))
    with pytest.raises(DatasetError, match="'question' is no ClassLabel"):
        HuggingFace(HuggingFaceConfig(str(saved), "labels", "question"))
    with pytest.raises(DatasetError, match="without splits"):
        HuggingFace(HuggingFaceConfig(str(saved), "labels", "label", split="train"))
    with pytest.raises(DatasetError, match="save_to_disk wrote"):
        HuggingFace(HuggingFaceConfig(str(tmp_path), "labels", "label"))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(DatasetError, match="has the splits train"):
        HuggingFace(HuggingFaceConfig(str(tmp_path), "labels", "label"))
    next(saved.glob("*.arrow")).write_bytes(b"broken")
    with pytest.raises(DatasetError, match="cannot read the Arrow file"):
        HuggingFace(HuggingFaceConfig(str(saved), "labels", "label"))


def test_an_index_of_rows_is_refused(saved: Path) -> None:
    state = json.loads((saved / "state.json").read_text()) | {"_indices_files": [{"filename": "indices.arrow"}]}
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(DatasetError, match="flatten_indices"):
        HuggingFace(HuggingFaceConfig(str(saved), "labels", "label"))


def test_what_the_datasets_package_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "text": datasets.Value("string"),
        }
    )
    pictures = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    table = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0], "text": ["a", "b"]}, features=features)
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "saved"))
    labels = HuggingFace(HuggingFaceConfig(str(tmp_path / "saved"), "labels", "label", split="train"))
    assert [(labels[i].label, labels[i].image[:, 0, 0].tolist()) for i in range(2)] == [
        (1, [255, 0, 0]),
        (0, [0, 0, 255]),
    ]
    texts = HuggingFace(HuggingFaceConfig(str(tmp_path / "saved"), "texts", "text", split="train"))
    assert list(texts.texts()) == ["a", "b"]

"""Tables of texts recognised: GLUE, classes, pairs, and saved Hugging Face data sets of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import FoldConfig, GlueConfig, HuggingFaceConfig, LabelledTextsConfig, TextPairsConfig
from uniperceiver.data.recognition.glue import glue_part
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.recognition.training_plan import training_plan

RTE = 'index\tsentence1\tsentence2\tlabel\n0\tIt "rains.\tIt is wet.\tentailment\n1\ta\tb\tnot_entailment\n'
HEADERS = {
    "sst2": "sentence\tlabel\na\t1\n",
    "rte": RTE,
    "wnli": "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n",
    "qnli": "index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n",
    "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t0\n",
    "mrpc": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta\tb\n",
    "cola": "gj04\t1\t\tThe dog ran.\ngj04\t0\t*\tThe dog run fast the.\n",
}


@pytest.mark.parametrize("task", HEADERS)
def test_glue_by_its_columns(task: str, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(HEADERS[task], encoding="utf-8")
    part = glue_part(tmp_path / "train.tsv")
    assert part is not None
    assert part.config == GlueConfig(str(tmp_path / "train.tsv"), task)
    assert part.split == "train"


@pytest.mark.parametrize("content", ["index\tsentence\n0\ta\n", "image\tcaption\na.png\tb\n", "a\tb\n", ""])
def test_what_is_not_glue(content: str, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text(content)
    assert glue_part(tmp_path / "test.tsv") is None


def test_a_folder_of_glue_trains_with_its_template(tmp_path: Path) -> None:
    for name in ("train", "dev", "dev_mismatched"):
        (tmp_path / f"{name}.tsv").write_text(RTE)
    (tmp_path / "test.tsv").write_text('index\tsentence1\tsentence2\n0\tIt "rains.\tb\n')
    (found,) = recognise(tmp_path)
    assert found.tasks == ("text_classification",)
    assert (found.training.path, found.evaluation.path) == (str(tmp_path / "train.tsv"), str(tmp_path / "dev.tsv"))
    (stream,) = training_plan([found], "nano").streams.values()
    assert stream.task.template == "rte"
    assert recognise(tmp_path / "train.tsv")[0].training.task == "rte"


def test_tables_of_classes_and_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text("text,topic\n" + "a goal,sport\nrates rise,money\n" * 3)
    (tmp_path / "qa.jsonl").write_text("\n".join(json.dumps({"question": str(i), "answer": "b"}) for i in range(3)))
    found = {entry.group: entry for entry in recognise(tmp_path)}
    fold = FoldConfig(10, held_out=False)
    assert found["labelled_texts"].training == LabelledTextsConfig(str(tmp_path / "news.csv"), label="topic", fold=fold)
    assert found["text_pairs"].training == TextPairsConfig(str(tmp_path / "qa.jsonl"), fold=fold)
    plan = training_plan(list(found.values()), "nano")
    assert set(plan.streams) == {"text_classification", "retrieval"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("premise", "hypothesis", "label", "idx"), ("premise", "hypothesis")),
        (("text", "label"), ("text", None)),
        (("sentence", "label", "idx"), ("sentence", None)),
    ],
)
def test_saved_hugging_face_data_sets(
    columns: tuple[str, ...], expected: tuple[str, str | None], tmp_path: Path
) -> None:
    features: dict[str, Any] = {name: {"_type": "Value", "dtype": "string"} for name in columns}
    features["label"] = {"_type": "ClassLabel", "names": ["no", "yes"]}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": features}))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": []}))
    found = {entry.group: entry for entry in recognise(tmp_path)}
    config = found["labelled_texts"].training
    assert isinstance(config, HuggingFaceConfig)
    assert (config.text, config.second, config.target) == (*expected, "label")
    (stream, *_) = training_plan([found["labelled_texts"]], "nano").streams.values()
    assert ("{second}" in stream.task.template) == (expected[1] is not None)

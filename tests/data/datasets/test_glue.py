"""GLUE's TSV files as they are published: columns, labels, quotes, broken rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver.config import FoldConfig, GlueConfig, GlueName
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.glue import FORMATS, Glue
from uniperceiver.data.records import LabelledText

MNLI_HEADER = [
    *("index", "promptID", "pairID", "genre"),
    *("sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"),
    *("sentence1", "sentence2", "label1", "gold_label"),
]
FILES: dict[GlueName, tuple[list[str], LabelledText]] = {
    "cola": (
        ["gj04\t1\t\tThe dog ran.", "gj04\t0\t*\tThe dog run fast the."],
        LabelledText("The dog ran.", None, "line 1", 1),
    ),
    "sst2": (["sentence\tlabel", "a fine film \t1", "dull\t0"], LabelledText("a fine film", None, "line 2", 1)),
    "mrpc": (
        ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", '1\t7\t8\tHe said "no.\tHe said no.', "0\t7\t8\ta\tb"],
        LabelledText('He said "no.', "He said no.", "line 2", 1),
    ),
    "qqp": (
        ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "0\t1\t2\tWhy?\tHow?\t0", "1\t3\t4\ta\tb\t1"],
        LabelledText("Why?", "How?", "line 2", 0),
    ),
    "stsb": (
        [
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\tg\tf\t2012\t1\tnone\tnone\tA plane.\tAn air plane.\t3.800",
            "1\tg\tf\t2012\t1\tnone\tnone\tA plane.\tA dog.\t0.000",
        ],
        LabelledText("A plane.", "An air plane.", "line 2", 0.76),
    ),
    "mnli": (
        [
            "\t".join(MNLI_HEADER),
            "0\tp\tq\tg\t( )\t( )\t( )\t( )\tIt rains.\tIt is wet.\tneutral\tneutral",
            "1\tp\tq\tg\t( )\t( )\t( )\t( )\tIt rains.\tIt is dry.\tneutral\tcontradiction",
        ],
        LabelledText("It rains.", "It is wet.", "line 2", 1),
    ),
    "qnli": (
        ["index\tquestion\tsentence\tlabel", "0\tWho?\tHe did.\tentailment", "1\tWho?\tNo.\tnot_entailment"],
        LabelledText("Who?", "He did.", "line 2", 1),
    ),
    "rte": (
        ["index\tsentence1\tsentence2\tlabel", "0\tIt rains.\tIt is wet.\tnot_entailment", "1\ta\tb\tentailment"],
        LabelledText("It rains.", "It is wet.", "line 2", 0),
    ),
    "wnli": (
        ["index\tsentence1\tsentence2\tlabel", "0\tI stuck it.\tIt stuck.\t1", "1\ta\tb\t0"],
        LabelledText("I stuck it.", "It stuck.", "line 2", 1),
    ),
}


def write(folder: Path, lines: list[str]) -> str:
    path = folder / "train.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("task", FORMATS)
def test_published_files_are_read(task: GlueName, tmp_path: Path) -> None:
    lines, expected = FILES[task]
    data = open_dataset(GlueConfig(write(tmp_path, lines), task))
    assert len(data) == 2
    first = data[0]
    assert first == LabelledText(expected.text, expected.second, expected.text_id, pytest.approx(expected.label))
    assert len(data.names) == (3 if task == "mnli" else 2)


@pytest.mark.parametrize("task", [task for task in FORMATS if task != "cola"])
def test_files_without_a_header_are_read_alike(task: GlueName, tmp_path: Path) -> None:
    """fairseq's preparation removes it."""
    lines, expected = FILES[task]
    data = Glue(GlueConfig(write(tmp_path, lines[1:]), task))
    assert len(data) == 2
    assert (data[0].text, data[0].second) == (expected.text, expected.second)


def test_the_development_files_of_mnli_have_more_columns(tmp_path: Path) -> None:
    header = [*MNLI_HEADER[:-1], "label2", "label3", "label4", "label5", "gold_label"]
    row = ["0"] * 8 + ["It rains.", "It is dry."] + ["neutral"] * 5 + ["contradiction"]
    data = Glue(GlueConfig(write(tmp_path, ["\t".join(header), "\t".join(row)]), "mnli"))
    assert data.names[int(data[0].label)] == "contradiction"


def test_broken_rows_of_qqp_are_left_out_and_said(tmp_path: Path) -> None:
    lines = FILES["qqp"][0]
    with pytest.warns(UserWarning, match=r"1 rows without all columns are left out, the first in line 3"):
        data = Glue(GlueConfig(write(tmp_path, [*lines[:2], "5\t6\tbroken", lines[2]]), "qqp"))
    assert [data[i].label for i in range(len(data))] == [0, 1]


def test_folds(tmp_path: Path) -> None:
    path = write(tmp_path, FILES["sst2"][0])
    held_out = Glue(GlueConfig(path, "sst2", fold=FoldConfig(2, held_out=True)))
    assert [held_out[i].text for i in range(len(held_out))] == ["a fine film"]
    assert repr(held_out) == f"glue sst2 {path} (1 rows)"


@pytest.mark.parametrize(
    ("task", "lines", "message"),
    [
        (
            "rte",
            ["index\tsentence1\tsentence2", "0\ta\tb"],
            r"line 1 has 3 columns; .* Test files of GLUE have no labels",
        ),
        ("rte", [*FILES["rte"][0], "2\ta\tb"], "line 4 has 3 columns, line 1 has 4"),
        ("rte", [*FILES["rte"][0], "2\ta\tb\tmaybe"], r"line 4 has the label 'maybe': expected not_entailment or"),
        ("sst2", ["text\tlabels", "a\t1"], "line 1 has the label 'labels': expected 0 or 1"),
        (
            "stsb",
            [*FILES["stsb"][0], "1\tg\tf\t1\t1\tn\tn\ta\tb\t5.5"],
            r"the score '5\.5': expected a number from 0 to 5",
        ),
        ("stsb", [*FILES["stsb"][0], "1\tg\tf\t1\t1\tn\tn\ta\tb\tnan"], "the score 'nan'"),
        ("sst2", ["sentence\tlabel"], "holds no row of sst2"),
        ("sst2", ["sentence\tlabel", "a" * 2**20 + "\t1"], "line 2 is longer than"),
    ],
)
def test_what_cannot_be_read_is_named(task: GlueName, lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        Glue(GlueConfig(write(tmp_path, lines), task))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot read"):
        Glue(GlueConfig(str(tmp_path / "no.tsv"), "rte"))
    (tmp_path / "latin.tsv").write_bytes("sentence\tlabel\ncaf\xe9\t1\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="is not UTF-8"):
        Glue(GlueConfig(str(tmp_path / "latin.tsv"), "sst2"))

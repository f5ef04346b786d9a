"""Every verb, run as a user runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor

from uniperceiver import Predictor, cli
from uniperceiver.cli import prediction_run
from uniperceiver.predictions import Embedding

VERBS = ["classify", "detect", "caption", "match", "answer", "fill", "embed"]


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == 0
    assert "--model" in capsys.readouterr().out


def test_classify_writes_probabilities_and_pictures(untrained: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    given = ["--model", untrained, "--out", out, "--labels", "dog, red car, tree", "--format", "json,csv,pictures"]
    assert run("classify", data / "images", *given) == 0
    entries = json.loads((out / "predictions.json").read_text())
    assert len(entries) == 6
    assert set(entries[0]["names"]) == {"dog", "red car", "tree"}
    assert sum(entries[0]["probabilities"]) == pytest.approx(1)
    assert Image.open(out / entries[0]["annotated"]).height > 48
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert len(rows) == 18
    assert float(rows[0]["probability"]) == pytest.approx(entries[0]["probabilities"][0])
    assert not list(out.glob(".*"))


def test_detect_writes_boxes_masks_and_coco(untrained: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    options = ["--threshold", "0", "--format", "json,coco,pictures"]
    assert run("detect", data / "images" / "0.png", "--model", untrained, "--out", out, *options) == 0
    (entry,) = json.loads((out / "predictions.json").read_text())
    assert Image.open(out / entry["annotated"]).size == (64, 48)
    assert {item["name"] for item in entry["objects"]} == {"red car", "blue ball"}
    assert all(sum(item["segmentation"]["counts"]) == 64 * 48 for item in entry["objects"])
    coco = COCO(str(out / "predictions.coco.json"))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["red car", "blue ball"]
    assert len(coco.getAnnIds()) == len(entry["objects"])
    assert coco.annToMask(coco.loadAnns(1)[0]).shape == (48, 64)


def test_without_out_everything_is_printed(untrained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [data / "images" / "0.png", data / "images" / "1.png"]
    commands = {
        "classify": ["--labels", "cat, dog"],
        "detect": ["--threshold", "0"],
        "caption": [],
        "match": ["--text", "a red car, parked", "--text", "a dog"],
        "answer": ["--question", "is there a cat ?", "--answers", "yes, no"],
        "embed": [],
    }
    for verb, options in commands.items():
        assert run(verb, *pictures, "--model", untrained, *options) == 0
        printed = capsys.readouterr().out
        assert "0.png\n  " in printed
        assert "1.png\n  " in printed
        assert run(verb, *pictures, "--model", untrained, *options, "--format", "json") == 0
        assert [Path(json.loads(line)["file"]).name for line in capsys.readouterr().out.splitlines()] == [
            "0.png",
            "1.png",
        ]
        assert run(verb, *pictures, "--model", untrained, *options, "--format", "csv") == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert {Path(row["file"]).name for row in rows} == {"0.png", "1.png"}


def test_fill_and_embed_read_texts(untrained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fill", "a [MASK] car", "two dogs [MASK] .", "--model", untrained) == 0
    assert capsys.readouterr().out.startswith("a [MASK] car\n  ")
    picture = data / "images" / "0.png"
    assert run("fill", "a [MASK] car", "--picture", picture, "--model", untrained, "--json") == 0
    (slot,) = json.loads(capsys.readouterr().out)["slots"]
    assert len(slot["words"]) == len(slot["probabilities"]) == 10
    assert run("embed", "--text", "a red car", "--text", "a dog", "--model", untrained) == 0
    vectors = [json.loads(line)["embedding"] for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_bad_files_do_not_stop_the_others(
    untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(data / "images" / "0.png", folder / "good.png")
    (folder / "bad.png").write_bytes(b"not a picture")
    out = tmp_path / "results"
    assert run("classify", folder, folder / "missing.png", "--model", untrained, "--out", out) == 1
    said = capsys.readouterr()
    assert "1 of 3 pictures" in said.out
    assert "bad.png" in said.err
    assert "missing.png" in said.err
    entries = json.loads((out / "predictions.json").read_text())
    assert ["error" in entry for entry in entries] == [True, False, True]


def test_many_pictures_are_asked_for_together_and_large_ones_apart(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred masks of each would not fit into memory."""
    monkeypatch.setattr(prediction_run, "BATCH", 3)
    monkeypatch.setattr(prediction_run, "BATCH_PIXELS", 5_000)
    for number, side in enumerate([10, 10, 10, 10, 60, 80, 60, 10]):
        Image.new("RGB", (side, side)).save(tmp_path / f"{number}.png")
    predictor, together = Predictor.from_pretrained(untrained), []

    def ask(pictures: list[Tensor]) -> Sequence[Embedding]:
        together.append([picture.shape[-1] for picture in pictures])
        return [Embedding(vector) for vector in predictor.embed_image(pictures)]

    out = tmp_path / "out"
    read = prediction_run.file_reader(predictor, "retrieval", None)
    prediction_run.run(prediction_run.given([str(tmp_path)], out, "json"), ask, read)
    assert together == [[10, 10, 10], [10, 60], [80], [60, 10]]
    files = [Path(entry["file"]).name for entry in json.loads((out / "predictions.json").read_text())]
    assert files == [f"{number}.png" for number in range(8)]


def test_a_video_is_one_thing_or_its_frames(
    untrained: Path,
    untrained_v1: Path,
    data: Path,
    write_video: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "results"
    write_video(folder / "b.mp4", 12)
    write_video(folder / "d.mp4", 5, (1, 0, 0))
    (folder / "c.mp4").write_text("no video")
    shutil.copy(data / "images" / "0.png", folder / "a.png")
    classes = ["--labels", "cat, dog"]
    assert run("classify", folder, "--model", untrained_v1, *classes, "--out", out) == 1
    said = capsys.readouterr()
    assert "3 of 4 pictures" in said.out
    assert f"cannot read the video {folder / 'c.mp4'}" in said.err
    entries = json.loads((out / "predictions.json").read_text())
    assert [Path(entry["file"]).name for entry in entries] == ["a.png", "b.mp4", "c.mp4", "d.mp4"]
    assert Image.open(out / entries[1]["annotated"]).height > 64
    (expected,) = Predictor.from_pretrained(untrained_v1).classify(folder / "b.mp4", ["cat", "dog"])
    assert entries[1]["probabilities"] == pytest.approx(expected.probabilities.tolist(), abs=1e-6)

    frames = {"5": ["b.mp4#0", "b.mp4#5", "b.mp4#10"], "30": ["b.mp4#0"]}
    question = ["--question", "is it red ?"]
    for verb, given, every in (
        ("classify", [*classes, "--every", "5", "--model", untrained_v1], "5"),
        ("classify", [*classes, "--model", untrained], "30"),
        ("answer", [*question, "--model", untrained_v1], "30"),
    ):
        assert run(verb, folder / "b.mp4", *given, "--format", "json") == 0
        names = [Path(json.loads(line)["file"]).name for line in capsys.readouterr().out.splitlines()]
        assert names == frames[every]


def test_labels_from_a_file_and_pictures_from_a_pattern(
    untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("a car, red\n\nsky\n")
    given = [f"{data}/**/[01].png", "--model", untrained, "--labels", tmp_path / "labels.txt", "--format", "json"]
    assert run("classify", *given) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(entries) == 4  # once under images, once under folders
    assert set(entries[0]["names"]) == {"a car, red", "sky"}


def test_labels_as_an_editor_of_windows_saves_them(
    untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("car\nsky\n", encoding="utf-8-sig")
    given = [data / "images" / "0.png", "--model", untrained, "--labels", tmp_path / "labels.txt", "--format", "json"]
    assert run("classify", *given) == 0
    assert set(json.loads(capsys.readouterr().out)["names"]) == {"car", "sky"}


def test_a_name_of_bytes_that_are_no_text_does_not_stop_the_others(untrained: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [str(folder / os.fsdecode(name)) for name in (b"a.png", b"caf\xe9.png", b"z.png")]
    for name in names:
        shutil.copy(data / "images" / "0.png", name)
    out = tmp_path / "results"
    assert run("classify", folder, "--model", untrained, "--out", out, "--format", "json,csv") == 0
    assert [entry["file"] for entry in json.loads((out / "predictions.json").read_text())] == names
    assert len({row["file"] for row in csv.DictReader(io.StringIO((out / "predictions.csv").read_text()))}) == 3
    command = [sys.executable, "-m", "uniperceiver", "classify", str(folder), "--model", str(untrained)]
    printed = subprocess.run([*command, "--format", "json"], check=True, capture_output=True, text=True).stdout
    assert [json.loads(line)["file"] for line in printed.splitlines()] == names


def test_the_folder_of_a_training_is_its_checkpoint(untrained: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copytree(untrained, tmp_path / "run" / "checkpoint")
    assert run("classify", data / "images" / "0.png", "--model", tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect", "a.jpg", "--model", "/no/such/checkpoint"], "no model /no/such/checkpoint"),
        (["detect", "a.jpg", "--model", "nanoo"], "no model nanoo"),
        (["classify", "a.jpg", "--labels", " , "], "holds no name"),
        (["classify", "a.jpg", "--labels", "/no/such/labels.txt"], "--labels: no file /no/such/labels.txt"),
        (["match", "a.jpg"], "--text"),
        (["match", "a.jpg", "--texts", "/no/such/file"], "No such file"),
        (["embed"], "either pictures or --text"),
        (["embed", "a.jpg", "--text", "a"], "either pictures or --text"),
        (["embed", "--text", "a", "--out", "x"], "neither --out nor --format"),
    ],
)
def test_mistakes_end_in_one_line(
    untrained: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if "--model" in arguments else ["--model", untrained]
    assert run(*arguments, *model) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "xml"], "expected some of json, csv, coco, pictures"),
        (["--format", "pictures"], "say where with --out"),
        (["--format", "coco"], "coco is for detect"),
    ],
)
def test_wrong_formats(untrained: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", "a.jpg", "--model", untrained, *options) == 2
    assert message in capsys.readouterr().err


def test_precision_is_an_option(untrained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["embed", data / "images" / "0.png", "--model", untrained, "--format", "json", "--precision"]
    vectors = []
    for precision in ("float32", "bfloat16"):
        assert run(*arguments, precision) == 0
        vectors.append(json.loads(capsys.readouterr().out)["embedding"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=0.05)
    assert vectors[0] != vectors[1]
    assert run(*arguments, "auto") == 0
    assert json.loads(capsys.readouterr().out)["embedding"] in vectors
    assert run(*arguments, "int8") == 2


def test_a_second_run_takes_the_place_of_the_first(untrained: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    pictures = [data / "images" / f"{number}.png" for number in range(3)]
    assert run("classify", *pictures, "--model", untrained, "--labels", "cat, dog", "--out", out) == 0
    (out / "0001_mine.png").write_bytes(b"not of a run")
    assert run("classify", pictures[2], "--model", untrained, "--labels", "cat, dog", "--out", out) == 0
    assert sorted(file.name for file in out.iterdir()) == ["0000_2.png", "0001_mine.png", "predictions.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["classify", "PICTURE", "--format", "xml"], "--format 'xml': expected some of json"),
        (["classify", "PICTURE", "--format", "coco", "--out", "x"], "coco is for detect"),
        (["detect", "PICTURE", "--format", "pictures"], "writes files: say where with --out"),
        (["caption", "PICTURE", "--out", "PICTURE"], "is a file: give a folder"),
        (["embed", "PICTURE", "--format", "json,pictures", "--out", "x"], "a vector cannot be drawn"),
        (["embed", "*.nothing"], "no file fits this pattern"),
    ],
)
def test_mistakes_are_noticed_before_the_model_is_loaded(
    data: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(data / "images" / "0.png")
    assert run(*(picture if each == "PICTURE" else each for each in options), "--model", "/no/such/model") == 2
    assert message in capsys.readouterr().err

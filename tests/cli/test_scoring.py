from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from uniperceiver import cli


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: Any) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return str(path)

    return write


def run(kind: str, predictions: str, annotations: str, *more: str) -> str:
    arguments = ["score", kind, "--predictions", predictions, "--annotations", annotations, *more]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_detections(write, tmp_path: Path) -> None:
    found = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "score": 0.9}
    truth = {
        "images": [{"id": 1, "height": 100, "width": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500}],
    }
    said = run("detections", write("a", [found]), write("b", truth), "--json", str(tmp_path / "scores.json"))
    assert "1 images. COCO evaluation" in said
    assert "100.00" in said
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["metrics"]["box_ap"] == pytest.approx(1)
    assert written["metrics"]["box_ap_small"] is None
    assert written["count"] == 1


def test_captions(write) -> None:
    truth = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a cat on a mat"}]}
    said = run("captions", write("a", [{"image_id": 1, "caption": "a cat on a mat"}]), write("b", truth))
    assert "rouge_l" in said
    assert "1 images." in said


def test_answers(write) -> None:
    truth = {"annotations": [{"question_id": 1, "answers": [{"answer": "two"}] * 10}]}
    said = run("answers", write("a", [{"question_id": 1, "answer": "2"}]), write("b", truth))
    assert "1 questions. Official VQA accuracy" in said


def test_a_missing_prediction_is_one_line_and_exit_code_2(write, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write("b", {"annotations": [{"question_id": 1, "answers": [{"answer": "two"}]}]})
    with pytest.raises(SystemExit) as stopped:
        cli.main(["score", "answers", "--predictions", write("a", []), "--annotations", truth])
    assert stopped.value.code == 2
    assert "1 are missing" in capsys.readouterr().err
